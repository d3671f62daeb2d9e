"""What each fault does to the live venue, and that it ends."""

import pytest
import trio

from polytrade.sandbox.faults import FAULTS, FaultRefused, parse_fault
from polytrade.sandbox.venue.frame_faults import HELD_MAX, RULES_MAX, connection_faults
from polytrade.sandbox.venue.troubles import FOREVER_NS
from tests.sandbox.test_fault_table import LEAST
from tests.sandbox.venue.small_venue import (
    BTC,
    DOWN,
    SECOND,
    START_S,
    UP,
    WALLET,
    SmallVenue,
    frame,
)


@pytest.fixture
def venue():
    return SmallVenue()


def fault(venue, kind, **fields):
    """Order a fault."""
    order = parse_fault({"kind": kind, **fields}, playback=False)
    return venue.troubles.apply(order, venue)


def texts(venue, endpoint="market"):
    return [text for _, name, text in venue.published if name == endpoint]


@pytest.mark.parametrize("kind", FAULTS)
async def test_every_fault_of_the_table_can_be_carried_out(venue, kind):
    await trio.lowlevel.checkpoint()
    venue.connect("market")
    fault(venue, kind, **LEAST.get(kind, {}))
    assert venue.troubles.applied == {kind: 1}


async def test_nothing_is_wrong_with_a_new_venue(venue):
    await trio.lowlevel.checkpoint()
    troubles = venue.troubles
    assert [troubles.refusal(kind) for kind in ("place", "cancel", "read", "auth")] == [None] * 4
    assert not troubles.post_only and not troubles.restarting and not troubles.keys_revoked
    assert not troubles.take_lost_answer()
    assert troubles.take_late_answer_s() == 0.0
    assert troubles.gamma_mode() == ""
    assert not troubles.missing_strike()
    assert troubles.in_force() == []


# Trading modes


async def test_restart_is_425_then_post_only_then_over(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "restart", seconds=30, post_only_seconds=10)
    troubles = venue.troubles
    for kind in ("place", "cancel"):
        answer = troubles.refusal(kind)
        assert (answer.status, answer.headers["Retry-After"]) == (425, "30")
    assert troubles.refusal("read") is None
    assert troubles.restarting and not troubles.post_only
    venue.advance(30)
    assert troubles.refusal("place") is None
    assert troubles.post_only and not troubles.restarting
    assert troubles.post_only_refusal().status == 503
    assert troubles.post_only_refusal().body == {
        "error": "post-only mode: only post-only orders and cancels are allowed",
        "code": "post_only_mode",
        "retry_after_seconds": 10,
    }
    venue.advance(10)
    assert not troubles.post_only
    assert troubles.in_force() == []


async def test_feeds_are_quiet_during_a_restart_and_whole_after_it(venue):
    await trio.lowlevel.checkpoint()
    venue.bank.fund(WALLET, 10**9)
    fault(venue, "restart", seconds=5)
    venue.bid(4800)
    venue.publish("user", frame("a fill", "trade"))
    venue.publish("rtds", frame("a price", "crypto_prices"))
    venue.advance(4.9)
    assert venue.published == [(START_S * SECOND, "rtds", "a price")]
    venue.advance(0.1)
    assert texts(venue, "user") == ["a fill"]
    books = texts(venue)
    assert [UP in text or DOWN in text for text in books] == [True, True, False, False]
    assert '"bids":[{"price":"0.48","size":"10"}]' in books[0]
    assert venue.troubles.frames.lost["market:quiet"] > 0
    venue.publish("market", frame("again"))
    assert texts(venue)[-1] == "again"


async def test_clear_ends_a_restart_at_once_without_post_only(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "restart")
    venue.publish("user", frame("a fill", "trade"))
    fault(venue, "clear")
    assert texts(venue, "user") == ["a fill"]
    assert venue.troubles.refusal("place") is None
    assert not venue.troubles.post_only
    before = len(venue.published)
    venue.advance(60)
    assert len(venue.published) == before


async def test_a_longer_post_only_outlives_the_one_after_a_restart(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "post_only")
    fault(venue, "restart", seconds=1, post_only_seconds=1)
    venue.advance(100)
    assert venue.troubles.post_only
    assert "retry_after_seconds" not in venue.troubles.post_only_refusal().body


@pytest.mark.parametrize(
    ("kind", "refused", "status", "error"),
    [
        (
            "cancel_only",
            {"place"},
            503,
            "the exchange is in cancel-only mode: new orders are not taken",
        ),
        ("trading_disabled", {"place", "cancel"}, 503, "trading is disabled"),
        ("unauthorized", {"place", "cancel", "auth"}, 401, "Unauthorized/Invalid api key"),
    ],
)
async def test_a_mode_refuses_what_it_is_about_until_it_ends(venue, kind, refused, status, error):
    await trio.lowlevel.checkpoint()
    fault(venue, kind, seconds=7)
    for asked in ("place", "cancel", "read", "auth"):
        answer = venue.troubles.refusal(asked)
        assert (answer is not None) == (asked in refused)
        if answer is not None:
            assert (answer.status, answer.body) == (status, {"error": error})
    assert venue.troubles.keys_revoked == (kind == "unauthorized")
    venue.advance(7)
    assert venue.troubles.refusal("place") is None


async def test_forbidden_is_a_page_of_html_for_everything(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "forbidden")
    for kind in ("place", "cancel", "read", "auth"):
        answer = venue.troubles.refusal(kind)
        assert answer.status == 403
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.body.startswith("<!DOCTYPE html>")


async def test_rate_limit_hits_the_next_requests_of_its_kind(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "rate_limit", calls="cancel", n=2, retry_s=1.5)
    assert venue.troubles.refusal("place") is None
    first, second, third = (venue.troubles.refusal("cancel") for _ in range(3))
    assert first.status == second.status == 429
    assert first.headers["Retry-After"] == "2"
    assert first.body == {"error": "Too Many Requests", "retry_after_seconds": 2}
    assert third is None


async def test_rate_limit_of_all_counts_every_request(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "rate_limit", calls="all", n=2)
    statuses = [venue.troubles.refusal(kind) for kind in ("read", "auth", "place")]
    assert [answer is not None for answer in statuses] == [True, True, False]


async def test_lost_and_late_answers_are_counted_down(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "lost_answer", n=2)
    fault(venue, "late_answer", ms=1500)
    assert [venue.troubles.take_lost_answer() for _ in range(3)] == [True, True, False]
    assert [venue.troubles.take_late_answer_s() for _ in range(2)] == [1.5, 0.0]


async def test_failed_trades_change_the_chain_and_give_it_back(venue):
    await trio.lowlevel.checkpoint()
    before = venue.exchange.settings
    fault(venue, "failed_trades", rate=0.25, retry_rate=0.5, seconds=10)
    assert venue.exchange.settings.failed_rate == 0.25
    assert venue.exchange.settings.retry_rate == 0.5
    fault(venue, "failed_trades", rate=1.0, seconds=20)
    venue.advance(10)
    assert venue.exchange.settings.failed_rate == 1.0
    venue.advance(10)
    assert venue.exchange.settings == before
    fault(venue, "failed_trades")
    fault(venue, "clear")
    assert venue.exchange.settings == before


async def test_heartbeats_expire(venue):
    await trio.lowlevel.checkpoint()
    assert fault(venue, "heartbeat_expiry") == 1
    assert venue.expired == 1


# World


@pytest.mark.parametrize("asset", [UP, DOWN, BTC, "btc-updown-5m"])
async def test_tick_size_changes_under_resting_orders(venue, asset):
    await trio.lowlevel.checkpoint()
    venue.bank.fund(WALLET, 10**9)
    on_grid, off_grid = venue.bid(4000), venue.bid(4800)
    assert fault(venue, "tick_size", asset=asset, tick="0.1") == 1
    assert venue.exchange.tokens[UP][0].rules.tick_e4 == 1000
    assert (on_grid.open, off_grid.open) == (True, False)


@pytest.mark.parametrize("asset", ["77", "", "eth-updown", "will-it-not"])
async def test_tick_size_of_no_market_is_refused(venue, asset):
    await trio.lowlevel.checkpoint()
    with pytest.raises(FaultRefused, match="asset: expected a token, or a slug of a running"):
        fault(venue, "tick_size", asset=asset)
    assert venue.troubles.applied == {}


async def test_tick_size_of_a_closed_market_is_refused(venue):
    await trio.lowlevel.checkpoint()
    venue.exchange.close_market("0x" + "1" * 64)
    with pytest.raises(FaultRefused, match="asset: expected a market that takes orders"):
        fault(venue, "tick_size", asset=UP)
    assert venue.exchange.tokens[UP][0].rules.tick_e4 == 100


async def test_gamma_and_its_strikes(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "gamma", mode="stale", seconds=5)
    fault(venue, "missing_strike", seconds=6)
    assert venue.troubles.gamma_mode() == "stale"
    venue.advance(5)
    assert venue.troubles.gamma_mode() == ""
    assert venue.troubles.missing_strike()
    venue.advance(1)
    assert not venue.troubles.missing_strike()


async def test_missing_report_is_that_of_the_next_boundary(venue):
    await trio.lowlevel.checkpoint()
    venue.advance(17)
    assert fault(venue, "missing_report", coin="eth") == 1
    assert fault(venue, "missing_report") == 2
    boundary = START_S + 300
    assert venue.prices.lost == [("eth", boundary), ("btc", boundary), ("eth", boundary)]
    with pytest.raises(FaultRefused, match="coin: expected one of btc, eth, found 'doge'"):
        fault(venue, "missing_report", coin="doge")


async def test_prices_jump(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "price_jump", coin="btc", bps=-30)
    assert venue.prices.jumps == [("btc", -30)]


async def test_prices_stall_on_relays_and_exchanges_until_cleared(venue):
    await trio.lowlevel.checkpoint()
    client = venue.connect("binance")
    assert fault(venue, "price_stall") == 1
    assert venue.relays.stalls == [("rtds", FOREVER_NS), ("polybolt", FOREVER_NS)]
    venue.publish("binance", frame("a quote", "bookTicker"))
    assert (client.frames, venue.troubles.frames.lost) == (0, {"binance:stalled": 1})
    venue.advance(1)
    fault(venue, "clear")
    now_ns = venue.schedule.now_ns
    assert venue.relays.stalls[2:] == [("rtds", now_ns), ("polybolt", now_ns)]
    venue.publish("binance", frame("a quote", "bookTicker"))
    assert client.frames == 1


async def test_prices_stall_on_one_endpoint_for_a_while(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "price_stall", endpoint="okx", seconds=2)
    for endpoint in ("okx", "binance"):
        venue.publish(endpoint, frame(endpoint))
    venue.advance(2)
    venue.publish("okx", frame("after"))
    assert [text for _, _, text in venue.published] == ["binance", "after"]
    with pytest.raises(FaultRefused, match="expected one of rtds, polybolt, binance, okx"):
        fault(venue, "price_stall", endpoint="market")


async def test_clock_skew(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "clock_skew", ms=-90_000)
    assert venue.troubles.skew_ms == -90_000
    assert venue.troubles.in_force() == [
        {"kind": "clock_skew", "ms": -90_000, "seconds_left": None, "left": None}
    ]
    fault(venue, "clear")
    assert venue.troubles.skew_ms == 0


# Frames


async def test_drop_loses_frames_with_a_message_of_the_type(venue):
    await trio.lowlevel.checkpoint()
    venue.connect("user")
    assert fault(venue, "drop", endpoint="user", type="trade", n=2) == 1
    for text, kind in (("1", "order"), ("2", "trade"), ("3", "trade"), ("4", "trade")):
        venue.publish("user", frame(text, kind))
    assert texts(venue, "user") == ["1", "4"]
    assert venue.troubles.frames.lost == {"user:dropped": 2}


async def test_delayed_frames_are_overtaken(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "delay", type="trade", ms=250)
    venue.publish("market", frame("late", "trade"))
    venue.publish("market", frame("next"))
    venue.publish("market", frame("in time", "trade"))
    venue.advance(0.2)
    assert texts(venue) == ["next", "in time"]
    venue.advance(0.05)
    assert texts(venue) == ["next", "in time", "late"]
    assert venue.published[-1][0] == START_S * SECOND + SECOND // 4


async def test_what_waits_is_bounded(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "delay", n=10_000, ms=60_000)
    fault(venue, "delay", n=10_000, ms=60_000)
    for number in range(HELD_MAX + 1):
        venue.publish("market", frame(str(number)))
    assert texts(venue) == [str(HELD_MAX)]


async def test_drops_and_delays_are_bounded(venue):
    await trio.lowlevel.checkpoint()
    for _ in range(RULES_MAX):
        fault(venue, "drop")
    with pytest.raises(FaultRefused, match="expected at most 64 drops and delays at once"):
        fault(venue, "delay")


async def test_frames_are_dropped_from_sockets_only(venue):
    await trio.lowlevel.checkpoint()
    with pytest.raises(FaultRefused, match="endpoint: expected a socket, found 'clob'"):
        fault(venue, "drop", endpoint="clob")
    with pytest.raises(FaultRefused, match="endpoint: expected one of clob, gamma, market"):
        fault(venue, "drop", endpoint="nowhere")
    assert venue.troubles.in_force() == []


async def test_socket_faults_reach_the_connections_and_are_shown(venue):
    await trio.lowlevel.checkpoint()
    one, two = venue.connect("market"), venue.connect("market")
    assert fault(venue, "garbage", n=3) == 2
    assert fault(venue, "freeze", connection=2) == 1
    assert (one.faults.garbage, two.faults.garbage) == (3, 3)
    assert connection_faults(venue.endpoints) == [
        {
            "kind": "garbage",
            "endpoint": "market",
            "connection": 1,
            "seconds_left": None,
            "left": 3,
        },
        {
            "kind": "freeze",
            "endpoint": "market",
            "connection": 2,
            "seconds_left": None,
            "left": None,
        },
        {
            "kind": "garbage",
            "endpoint": "market",
            "connection": 2,
            "seconds_left": None,
            "left": 3,
        },
    ]
    assert fault(venue, "clear") == 2
    assert connection_faults(venue.endpoints) == []


# What is told


async def test_in_force_shows_what_is_left(venue):
    await trio.lowlevel.checkpoint()
    fault(venue, "gamma", mode="404", seconds=5)
    fault(venue, "lost_answer", n=4)
    fault(venue, "drop", type="book", n=2)
    venue.advance(1.5)
    assert venue.troubles.in_force() == [
        {"kind": "gamma", "mode": "404", "seconds_left": 4, "left": None},
        {"kind": "lost_answer", "seconds_left": None, "left": 4},
        {"kind": "drop", "type": "book", "seconds_left": None, "left": 2},
    ]
    fault(venue, "clear")
    assert venue.troubles.in_force() == []


async def test_traffic_counts_what_was_sent_by_second(venue):
    await trio.lowlevel.checkpoint()
    for _ in range(3):
        venue.publish("market", frame("1"))
    venue.advance(1)
    venue.publish("user", frame("2", "order"))
    venue.advance(2)
    traffic = venue.troubles.frames.traffic
    assert traffic.messages == {"market": {"price_change": 3}, "user": {"order": 1}}
    assert traffic.per_second(venue.schedule.now_ns)[-4:] == [0, 3, 1, 0]
    assert len(traffic.per_second(venue.schedule.now_ns)) == 120
