"""Following books by their hashes: what fits is made anew, what does not stays as it was."""

import hashlib
import json

from polytrade.sandbox.playback.tracker import BookTracker

MARKET, UP = "0xaa", "11"


def _digest(stamp, bids, asks, ltp, market=MARKET, asset=UP, tick="0.01"):
    body = {
        "market": market,
        "asset_id": asset,
        "timestamp": stamp,
        "hash": "",
        "bids": [{"price": p, "size": s} for p, s in bids],
        "asks": [{"price": p, "size": s} for p, s in asks],
        "min_order_size": "5",
        "tick_size": tick,
        "neg_risk": False,
        "last_trade_price": ltp,
    }
    return hashlib.sha1(json.dumps(body, separators=(",", ":")).encode()).hexdigest()


def _book(stamp, bids, asks, digest, **more):
    return {
        "event_type": "book",
        "market": MARKET,
        "asset_id": UP,
        "timestamp": stamp,
        "hash": digest,
        "bids": [{"price": p, "size": s} for p, s in bids],
        "asks": [{"price": p, "size": s} for p, s in asks],
        **more,
    }


def _change(stamp, price, size, side, digest):
    entry = {"asset_id": UP, "price": price, "size": size, "side": side, "hash": digest}
    return {
        "event_type": "price_change",
        "market": MARKET,
        "timestamp": stamp,
        "price_changes": [entry],
    }


BIDS = [("0.01", "900"), ("0.48", "60.5")]
ASKS = [("0.99", "700"), ("0.5", "75")]


def _rename(market, asset, stamp):
    return "0xbb", "22", str(int(stamp) + 300_000)


def test_verified_messages_get_hashes_of_the_renamed_book():
    tracker = BookTracker(_rename)
    first = _digest("1000", BIDS, ASKS, "0.480")
    told = {"tick_size": "0.01", "last_trade_price": "0.480"}
    assert tracker.apply(_book("1000", BIDS, ASKS, first, **told)) == {
        first: _digest("301000", BIDS, ASKS, "0.480", "0xbb", "22")
    }
    filled = [("0.99", "700"), ("0.5", "70")]
    # A maker's NO bid at 0.5 was filled: the last trade changes with the level.
    second = _digest("1001", BIDS, filled, "0.500")
    assert tracker.apply(_change("1001", "0.5", "70", "SELL", second)) == {
        second: _digest("301001", BIDS, filled, "0.500", "0xbb", "22")
    }
    assert tracker.counts == {"verified": 2}
    assert tracker.markets[MARKET].last_trade == "0.500"


def test_ordered_tick_is_served_and_hashed_until_the_capture_says_its_own():
    tracker = BookTracker(_rename)
    first = _digest("1000", BIDS, ASKS, "0.480")
    told = {"tick_size": "0.01", "last_trade_price": "0.480"}
    tracker.apply(_book("1000", BIDS, ASKS, first, **told))
    tracker.markets[MARKET].ordered_tick = "0.001"
    more = [BIDS[0], ("0.47", "3"), BIDS[1]]
    second = _digest("1001", more, ASKS, "0.480")
    finer = _digest("301001", more, ASKS, "0.480", "0xbb", "22", tick="0.001")
    assert tracker.apply(_change("1001", "0.47", "3", "BUY", second)) == {second: finer}
    served = json.loads(tracker.snapshot(UP, rest=True))
    assert (served["tick_size"], served["hash"]) == ("0.001", finer)
    third = _digest("1002", BIDS, ASKS, "0.480")
    assert tracker.apply(_book("1002", BIDS, ASKS, third, **told)) == {
        third: _digest("301002", BIDS, ASKS, "0.480", "0xbb", "22")
    }


def test_hash_that_does_not_fit_is_not_replaced():
    tracker = BookTracker(_rename)
    assert tracker.apply(_book("1000", BIDS, ASKS, "f" * 40, last_trade_price="")) == {}
    assert tracker.counts == {"unverified": 1}
    assert json.loads(tracker.snapshot(UP, rest=True))["hash"] == "f" * 40


def test_book_without_a_last_trade_tries_what_was_printed_and_every_cent():
    tracker = BookTracker()
    tracker.apply({"event_type": "last_trade_price", "market": MARKET, "price": "0.517"})
    tracker.apply(_book("1000", BIDS, ASKS, _digest("1000", BIDS, ASKS, "0.483")))
    tracker.apply(_book("1001", BIDS, ASKS, _digest("1001", BIDS, ASKS, "0.230")))
    assert tracker.counts == {"verified": 2}


def test_hash_of_an_entry_may_cover_the_whole_message():
    tracker = BookTracker()
    tracker.apply(_book("1000", BIDS, ASKS, _digest("1000", BIDS, ASKS, ""), last_trade_price=""))
    after = [("0.01", "900"), ("0.47", "5"), ("0.48", "61")]
    digest = _digest("1001", after, ASKS, "")
    entries = [
        {"asset_id": UP, "price": "0.48", "size": "61", "side": "BUY", "hash": digest},
        {"asset_id": UP, "price": "0.47", "size": "5", "side": "BUY", "hash": digest},
    ]
    message = {**_change("1001", "0.48", "61", "BUY", digest), "price_changes": entries}
    tracker.apply(message)
    assert tracker.counts == {"verified": 2}


def test_removed_level_is_gone_and_the_snapshot_verifies():
    tracker = BookTracker(_rename)
    tracker.apply(_book("1000", BIDS, ASKS, _digest("1000", BIDS, ASKS, ""), last_trade_price=""))
    tracker.apply(_change("1001", "0.48", "0", "BUY", _digest("1001", BIDS[:1], ASKS, "")))
    snapshot = json.loads(tracker.snapshot(UP, rest=False))
    assert snapshot["bids"] == [{"price": "0.01", "size": "900"}]
    assert snapshot["hash"] == _digest("301001", BIDS[:1], ASKS, "", "0xbb", "22")
    assert (snapshot["market"], snapshot["asset_id"]) == ("0xbb", "22")


def test_unreadable_messages_are_counted_and_change_nothing():
    tracker = BookTracker()
    for message in (
        {"event_type": "book", "market": MARKET},
        {"event_type": "price_change", "market": MARKET, "price_changes": 5},
        _book("1", [("x", "1")], [], "0" * 40),
        {"event_type": "tick_size_change"},
        {"event_type": None},
    ):
        assert tracker.apply(message) == {}
    assert tracker.counts == {"unreadable": 4}
    assert tracker.snapshot(UP, rest=True) is not None or UP not in tracker.assets
