"""The venue goes wrong over real sockets, and the daemon does the right thing."""

from collections import Counter
from pathlib import Path

import pytest
import trio

from polytrade.core.events import TickSizeChanged, TradePrinted
from tests.daemon.measured import measured
from tests.daemon.rig import Rig, running

BOTH_PATHS = ("polymarket.market/0", "polymarket.market/1")


async def heal(rig: Rig, fault: str, began_s: float, state: str) -> None:
    """Quotes go, books are doubted as `state`, then synced again, then quoted again."""
    await rig.pulled()
    pulled_s = trio.current_time() - began_s
    await rig.until(lambda: any(found == state for found, _ in rig.tap.states()), state)
    await rig.until(rig.restored, "synced books")
    measured(fault, pulled_s, trio.current_time() - began_s)
    await rig.quoting()


async def test_frozen_socket_is_noticed_by_its_silence_whatever_its_pongs_say(
    tmp_path: Path,
) -> None:
    settings = ("risk.book_stale_ms=1000", "feeds.market_silence_s=2.5", "feeds.ping_interval_s=0.2")
    async with running(tmp_path, *settings) as rig:
        await rig.quoting()

        # One of two: nobody is disturbed but the connection itself.
        (first, _) = await rig.market_connections()
        await rig.fault("freeze", connection=first)
        rig.tap.clear()
        await rig.until(lambda: rig.feed(BOTH_PATHS[0]).reconnects == 1, "the frozen one cut")
        assert rig.feed(BOTH_PATHS[0]).last_error == "silent"
        assert rig.feed(BOTH_PATHS[1]).reconnects == 0
        assert rig.tap.count("feed_gap") == rig.tap.count("feed_down") == 0
        await rig.quoting()

        # Both, and those that come anew: REST goes on answering and pongs go on coming.
        rig.tap.clear()
        began_s = trio.current_time()
        await rig.fault("freeze")
        await rig.pulled()
        pulled_s = trio.current_time() - began_s
        assert ("stale", "silent") in rig.tap.states()
        pongs = rig.feed(BOTH_PATHS[1]).messages
        assert rig.feed(BOTH_PATHS[1]).connected
        await rig.until(lambda: rig.tap.count("feed_down") == 1, "both cut")
        assert rig.feed(BOTH_PATHS[1]).messages > pongs
        assert [event.reason for event in rig.tap.of("feed_down")] == ["silent"]
        code, health = await rig.health()
        assert (code, health["status"]) == (200, "degraded")
        open_now = [m for m in rig.engine.markets.values() if m.phase == "open"]
        assert {market.trust.state for market in open_now} == {"stale"}
        assert rig.tap.count("place_order") == 0
        assert rig.paper.idle

        await rig.fault("clear")
        cleared_s = trio.current_time()
        await rig.until(rig.restored, "synced books")
        measured("market channel frozen, pongs go on", pulled_s, trio.current_time() - cleared_s)
        await rig.quoting()
        await rig.stop()
        rig.nothing_rests()


async def test_damaged_frames_make_books_suspect_until_a_fresh_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        for kind in ("garbage", "truncate"):
            malformed = rig.feed(BOTH_PATHS[0]).malformed
            rig.tap.clear()
            began_s = trio.current_time()
            await rig.fault(kind)
            await heal(rig, f"{kind} frame", began_s, "suspect")
            assert rig.feed(BOTH_PATHS[0]).malformed == malformed + 1
            assert {event.reason for event in rig.tap.of("feed_gap")} == {"malformed"}
            assert rig.tap.count("request_snapshot") >= 1

        rig.tap.clear()
        suspect = rig.engine.quality()["turned_suspect"]
        began_s = trio.current_time()
        await rig.fault("drop_price_change")
        await rig.until(lambda: rig.tap.count("book_state_changed") > 0, "a doubt")
        (market,) = {row[1] for row in rig.tap.rows if row[0] == "book_state_changed"}
        await rig.until(
            lambda: not [o for o in rig.engine.orders.of_market(market)], "no quote there"
        )
        pulled_s = trio.current_time() - began_s
        await rig.until(rig.restored, "synced books")
        measured("price_change lost", pulled_s, trio.current_time() - began_s)
        assert rig.tap.states()[0] == ("suspect", "no hash fitted within the reorder window")
        assert rig.tap.count("feed_gap") == 0
        assert rig.engine.quality()["turned_suspect"] == suspect + 1

        # The same on one of two connections: the twin's copies are used.
        mismatched = rig.engine.quality()["hash_mismatched"]
        rig.tap.clear()
        (first, _) = await rig.market_connections()
        await rig.fault("drop_price_change", connection=first, n=3)
        await rig.until(lambda: rig.tap.count("book_replaced") > 1, "books and changes")
        await rig.trades_on()
        assert rig.tap.count("book_state_changed") == 0
        assert rig.engine.quality()["hash_mismatched"] == mismatched
        await rig.stop()
        rig.nothing_rests()


async def test_duplicated_and_reordered_frames_change_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        rig.tap.clear()
        played = Counter((await rig.venue_status())["messages"]["polymarket.market/0"])
        for kind in ("duplicate", "reorder"):
            await rig.fault(kind, n=10_000)
        await rig.until(lambda: len(rig.tap.of("trade_printed")) >= 8, "trades")
        await rig.trades_on()
        await rig.fault("clear")
        after = Counter((await rig.venue_status())["messages"]["polymarket.market/0"])
        trades = after["last_trade_price"] - played["last_trade_price"]
        found = [trade.row()[2:] for trade in rig.tap.of("trade_printed")]
        assert len(found) == len({tuple(row) for row in found})
        assert trades - 1 <= len(found) <= trades + 1
        assert rig.tap.count("book_state_changed") == 0
        assert rig.tap.count("feed_gap") == 0
        assert rig.engine.quality()["turned_suspect"] == 0
        await rig.stop()
        rig.nothing_rests()


async def test_tick_size_change_is_followed_and_quoted_on(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        (order, *_) = rig.paper.resting()
        market = rig.engine.markets[rig.engine.orders.find(order).market]
        rig.tap.clear()
        began_s = trio.current_time()
        await rig.fault("tick_size", asset=market.spec.yes)
        await rig.until(lambda: market.book.tick_e4 == 10, "the finer grid")
        await rig.until(rig.restored, "synced books")
        measured("tick size changed", None, trio.current_time() - began_s)
        assert {type(event) for event in rig.tap.of("tick_size_changed")} == {TickSizeChanged}
        mismatched = rig.engine.quality()["hash_mismatched"]
        matched = market.trust.matched
        await rig.until(lambda: market.trust.matched > matched + 5, "hashes that fit")
        assert rig.engine.quality()["hash_mismatched"] == mismatched
        assert market.book.tick_e4 == 10
        await rig.trades_on()
        await rig.stop()
        rig.nothing_rests()


async def test_lost_connections_come_back_and_resynchronise(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()

        # One of two.
        (first, _) = await rig.market_connections()
        rig.tap.clear()
        began_s = trio.current_time()
        await rig.fault("disconnect", connection=first)
        await rig.until(lambda: rig.feed(BOTH_PATHS[0]).reconnects == 1, "a reconnect")
        await rig.until(lambda: rig.feed(BOTH_PATHS[0]).connected, "the connection")
        measured("one of two connections cut", None, trio.current_time() - began_s)
        assert rig.tap.count("feed_gap") == rig.tap.count("feed_down") == 0
        assert rig.tap.count("book_state_changed") == 0
        assert (await rig.health())[1]["feeds"][1]["reconnects"] == 1
        await rig.trades_on()

        # Both, inside a frame.
        rig.tap.clear()
        began_s = trio.current_time()
        await rig.fault("close_mid_frame")
        await heal(rig, "sockets closed inside a frame", began_s, "stale")
        assert {event.reason for event in rig.tap.of("feed_gap")} == {"disconnected"}
        assert rig.feed(BOTH_PATHS[0]).malformed == 0

        # The market channel's endpoint, then everything.
        for endpoint, what in (({"endpoint": "market"}, "market channel"), ({}, "whole venue")):
            rig.tap.clear()
            began_s = trio.current_time()
            await rig.fault("kill", seconds=1.0, **endpoint)
            await heal(rig, f"{what} gone for 1 s", began_s, "stale")
            assert rig.tap.count("feed_down") == rig.tap.count("feed_up")
        await rig.until(lambda: rig.parts.observer.read().health == "ok", "health")
        await rig.stop()
        rig.nothing_rests()


async def test_frozen_reference_feeds_pull_the_quotes(tmp_path: Path) -> None:
    settings = ("risk.stale_tick_filter_ms=800", "feeds.reference_silence_s=1.5")
    async with running(tmp_path, *settings) as rig:
        await rig.quoting()
        rig.tap.clear()
        began_s = trio.current_time()
        for endpoint in ("binance", "rtds"):
            await rig.fault("freeze", endpoint=endpoint)
        await rig.pulled()
        pulled_s = trio.current_time() - began_s
        states = {row[2] for row in rig.tap.rows if row[0] == "quote_state_changed"}
        assert "risk:stale_reference" in states
        await rig.until(lambda: rig.tap.count("feed_down") == 2, "both cut")
        assert {event.reason for event in rig.tap.of("feed_down")} == {"silent"}
        await rig.fault("clear")
        cleared_s = trio.current_time()
        await rig.quoting()
        measured("reference feeds frozen", pulled_s, trio.current_time() - cleared_s)
        await rig.stop()
        rig.nothing_rests()


async def test_gamma_going_wrong_stops_nothing_that_is_known(tmp_path: Path) -> None:
    async with running(tmp_path, "universe.refresh_interval_s=0.2") as rig:
        await rig.quoting()
        known = list(rig.engine.markets)
        counts = rig.parts.discovery.counts
        for mode, kind in (("500", "server_error"), ("404", "not_found"), ("garbage", "malformed")):
            rig.tap.clear()
            before = counts[kind]
            await rig.fault("gamma", mode=mode)
            await rig.until(lambda k=kind, b=before: counts[k] >= b + 3, f"{kind}, it has {counts}")
            await rig.trades_on()
            assert list(rig.engine.markets) == known
            assert rig.tap.count("book_state_changed") == 0
            ok = counts["ok"]
            began_s = trio.current_time()
            await rig.fault("clear")
            await rig.until(lambda o=ok: counts["ok"] > o, "an answer")
            measured(f"Gamma answers {mode}", None, trio.current_time() - began_s)
        assert rig.feed("gamma/0").malformed >= 3
        await rig.stop()
        rig.nothing_rests()


@pytest.mark.parametrize("mode", ["500", "garbage"])
async def test_gamma_wrong_from_the_start_is_asked_until_it_answers(
    mode: str, tmp_path: Path
) -> None:
    async with running(tmp_path, gamma=mode) as rig:
        counts = rig.parts.discovery.counts
        await rig.until(lambda: sum(counts.values()) >= 6, "questions")
        assert not rig.engine.markets
        assert rig.tap.count("place_order") == 0
        await rig.fault("clear")
        await rig.until(rig.synced, "books")


def trade_ids(trades: list[TradePrinted]) -> list[str]:
    """What tells the trades apart."""
    return [trade.trade_id for trade in trades]
