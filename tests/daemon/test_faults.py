"""The venue goes wrong over real sockets, and the daemon does the right thing."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from polytrade.core.engine import SNAPSHOT_RETRY_NS
from tests.daemon.measured import measured
from tests.daemon.rig import Rig, running

BOTH_PATHS = ("polymarket.market/0", "polymarket.market/1")


async def heals(rig: Rig, name: str, state: str, kind: str, **fields: Any) -> None:
    """After a fault books are doubted as `state`, quotes go, books are synced and quoted again."""
    if state == "suspect":
        await rig.until(lambda: may_ask(rig), "snapshots may be asked for")
    with rig.stopwatch() as watch:
        await watch.order(kind, **fields)
        await rig.until(lambda: watch.pulled_s is not None, f"{name}: no quote")
        await rig.until(lambda: watch.again_s is not None, f"{name}: synced books")
        assert watch.doubted == {state}
        assert watch.again_s is not None
        measured(name, watch.pulled_s, watch.again_s)
        await rig.quoting()


def all_above(rig: Rig, before: list[int]) -> bool:
    """Whether every market connection came anew since `before`."""
    now = [rig.feed(path).reconnects for path in BOTH_PATHS]
    return all(count > had for count, had in zip(now, before, strict=True))


def may_ask(rig: Rig) -> bool:
    """Whether no book asked for a snapshot just now: it may do so again after two seconds only."""
    engine = rig.engine
    return all(engine.ts_ns - m.snapshot_ns > SNAPSHOT_RETRY_NS for m in engine.markets.values())


def malformed(rig: Rig) -> list[int]:
    """Damaged frames of the market connections so far."""
    return [rig.feed(path).malformed for path in BOTH_PATHS]


def reconnects(rig: Rig) -> list[int]:
    """How often the market connections came anew, fewest first."""
    return sorted(rig.feed(path).reconnects for path in BOTH_PATHS)


async def test_frozen_socket_is_noticed_by_its_silence_whatever_its_pongs_say(
    tmp_path: Path,
) -> None:
    settings = (
        "risk.book_stale_ms=1000",
        "feeds.market_silence_s=2.5",
        "feeds.ping_interval_s=0.2",
    )
    async with running(tmp_path, *settings) as rig:
        await rig.quoting()

        # One of two: nobody is disturbed but the connection itself.
        (first, _) = await rig.both_connections()
        await rig.fault("freeze", connection=first)
        rig.tap.clear()
        await rig.until(lambda: reconnects(rig) == [0, 1], "the frozen one cut")
        assert {rig.feed(path).last_error for path in BOTH_PATHS} == {"", "silent"}
        assert rig.tap.count("feed_gap") == rig.tap.count("feed_down") == 0
        await rig.quoting()

        # Both, and those that come anew: REST goes on answering and pongs go on coming.
        rig.tap.clear()
        began_s = trio.current_time()
        await rig.fault("freeze")
        pongs = [rig.feed(path).messages for path in BOTH_PATHS]
        before = [rig.feed(path).reconnects for path in BOTH_PATHS]
        await rig.until(lambda: bool(rig.tap.states()), "a doubt")
        await rig.pulled()
        pulled_s = trio.current_time() - began_s
        assert set(rig.tap.states()) == {("stale", "silent")}
        await rig.until(lambda: all_above(rig, before), "both cut and up again")
        measured("market channel frozen: both reconnected", None, trio.current_time() - began_s)
        assert {rig.feed(path).last_error for path in BOTH_PATHS} == {"silent"}
        assert all(
            rig.feed(path).messages > had for path, had in zip(BOTH_PATHS, pongs, strict=True)
        )
        code, health = await rig.health()
        assert (code, health["status"]) == (200, "degraded")
        open_now = [m for m in rig.engine.markets.values() if m.phase == "open"]
        assert {market.trust.state for market in open_now} == {"stale"}
        assert not rig.tap.blind()
        assert not rig.quoted()

        await rig.fault("clear")
        cleared_s = trio.current_time()
        await rig.until(rig.restored, "synced books")
        measured("market channel frozen, pongs go on", pulled_s, trio.current_time() - cleared_s)
        await rig.quoting()
        await rig.stop()
        rig.nothing_rests()


@pytest.mark.parametrize("kind", ["garbage", "truncate"])
async def test_damaged_frame_makes_books_suspect_until_a_fresh_snapshot(
    kind: str, tmp_path: Path
) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        await heals(rig, f"{kind} frame", "suspect", kind)
        # Each connection has its own damaged frame, and either may be the later one.
        await rig.until(lambda: malformed(rig) == [1, 1], "damage on both")
        assert {event.reason for event in rig.tap.of("feed_gap")} == {"malformed"}
        assert rig.tap.count("request_snapshot") >= 1
        await rig.stop()
        rig.nothing_rests()


async def test_lost_change_is_caught_by_the_hash_unless_the_twin_has_it(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        (first, _) = await rig.both_connections()
        await rig.fault("drop_price_change", connection=first, n=3)
        await rig.until_async(lambda: lost_on(rig, first, "dropped", 3), "three changes lost")
        await rig.trades_on()
        assert rig.tap.of("feed_gap") == []
        # The twin's copy may come behind the next message: a moment's doubt, never a suspicion.
        assert rig.engine.quality()["turned_suspect"] == 0

        # Several, because one may be of a window not open yet, whose next change comes much later.
        await heals(rig, "price_change lost", "suspect", "drop_price_change", n=6)
        assert rig.tap.states()[0] == ("suspect", "no hash fitted within the reorder window")
        assert rig.tap.count("feed_gap") == 0
        assert rig.engine.quality()["turned_suspect"] >= 1
        await rig.stop()
        rig.nothing_rests()


async def lost_on(rig: Rig, connection: int, why: str, count: int) -> bool:
    """Whether a connection lost at least so many frames that way."""
    rows = (await rig.venue_status())["connections"]
    (row,) = [row for row in rows if row["id"] == connection]
    found: int = row["lost"].get(why, 0)
    return found >= count


BUSY_S = 55
"""Into the sample's first window: twenty trades in the next minute."""


async def test_duplicated_frames_change_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, into_window_s=BUSY_S) as rig:
        await rig.quoting()
        await rig.until(rig.restored, "every book")
        rig.tap.clear()
        before = await rig.venue_status()
        await rig.fault("duplicate", n=10_000)
        await rig.until(lambda: len(rig.tap.of("trade_printed")) >= 2, "trades")
        await rig.trades_on()
        await rig.fault("clear")
        after = await rig.venue_status()
        trades = played_trades(after) - played_trades(before)
        found = [tuple(trade.row()[2:]) for trade in rig.tap.of("trade_printed")]
        assert len(found) == len(set(found))
        assert abs(len(found) - trades) <= 1  # one may be on its way at either look
        doubled = [row["frames"] for row in after["connections"] if row["endpoint"] == "market"]
        assert min(doubled) > 2 * len(found)
        assert {state for state, _ in rig.tap.states()} <= {"synced"}
        assert rig.tap.count("feed_gap") == 0
        assert rig.engine.quality()["turned_suspect"] == 0
        await rig.stop()
        rig.nothing_rests()


async def test_reordered_frames_lose_nothing_and_doubts_heal(tmp_path: Path) -> None:
    async with running(tmp_path, into_window_s=BUSY_S) as rig:
        await rig.quoting()
        await rig.until(rig.restored, "every book")
        rig.tap.clear()
        before = await rig.venue_status()
        await rig.fault("reorder", n=10_000)
        await rig.until(lambda: len(rig.tap.of("trade_printed")) >= 2, "trades")
        await rig.fault("clear")
        after = await rig.venue_status()
        trades = played_trades(after) - played_trades(before)
        found = [tuple(trade.row()[2:]) for trade in rig.tap.of("trade_printed")]
        assert len(found) == len(set(found))
        assert abs(len(found) - trades) <= 1
        assert rig.tap.count("feed_gap") == 0
        # Changes of one millisecond on one level cannot be put back in order: a fresh book is.
        reason = "no hash fitted within the reorder window"
        assert set(rig.tap.states()) <= {("suspect", reason), ("synced", "")}
        await rig.until(rig.restored, "synced books")
        await rig.trades_on()
        await rig.stop()
        rig.nothing_rests()


def played_trades(status: dict[str, Any]) -> int:
    """Trades the venue played so far."""
    counts: dict[str, int] = status["messages"].get("polymarket.market/0", {})
    return counts.get("last_trade_price", 0)


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
        assert {event.new_e4 for event in rig.tap.of("tick_size_changed")} == {10}
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
        (first, _) = await rig.both_connections()
        rig.tap.clear()
        began_s = trio.current_time()
        await rig.fault("disconnect", connection=first)
        await rig.until(lambda: reconnects(rig) == [0, 1], "a reconnect")
        await rig.until(lambda: all(rig.feed(path).connected for path in BOTH_PATHS), "both up")
        measured("one of two connections cut", None, trio.current_time() - began_s)
        assert rig.tap.count("feed_gap") == rig.tap.count("feed_down") == 0
        assert rig.tap.count("book_state_changed") == 0
        told = [row for row in (await rig.health())[1]["feeds"] if row["name"] in BOTH_PATHS]
        assert sorted(row["reconnects"] for row in told) == [0, 1]
        await rig.trades_on()

        # Both, inside a frame.
        await heals(rig, "sockets closed inside a frame", "stale", "close_mid_frame")
        assert {event.reason for event in rig.tap.of("feed_gap")} == {"disconnected"}
        assert rig.feed(BOTH_PATHS[0]).malformed == 0

        # The market channel's endpoint, then everything.
        for endpoint, what in (({"endpoint": "market"}, "market channel"), ({}, "whole venue")):
            await heals(rig, f"{what} gone for 1 s", "stale", "kill", seconds=1.0, **endpoint)
            for tag in ("feed_down", "feed_up"):
                found = [event.source for event in rig.tap.of(tag)]
                assert found.count("polymarket.market") == 1
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
        await rig.until(lambda: told_of_quoting(rig, "risk:stale_reference"), "the reason")
        await rig.pulled()
        pulled_s = trio.current_time() - began_s
        await rig.until(lambda: len(cut(rig)) == 2, "both cut")
        assert {event.reason for event in rig.tap.of("feed_down")} == {"silent"}
        await rig.fault("clear")
        cleared_s = trio.current_time()
        await rig.quoting()
        measured("reference feeds frozen", pulled_s, trio.current_time() - cleared_s)
        await rig.stop()
        rig.nothing_rests()


def told_of_quoting(rig: Rig, state: str) -> bool:
    """Whether this was said of quoting."""
    return any(row[0] == "quote_state_changed" and row[2] == state for row in rig.tap.rows)


def cut(rig: Rig) -> set[str]:
    """The feeds that went down, some perhaps more than once."""
    return {event.source for event in rig.tap.of("feed_down")}


def reached(counts: Counter[str], kind: str, count: int) -> bool:
    """Whether there are so many answers of a kind."""
    return counts[kind] >= count


async def test_gamma_going_wrong_stops_nothing_that_is_known(tmp_path: Path) -> None:
    async with running(tmp_path, "universe.refresh_interval_s=0.2") as rig:
        await rig.quoting()
        known = list(rig.engine.markets)
        counts = rig.parts.discovery.counts
        for mode, kind, told in (
            ("500", "unavailable", "HTTP 500"),
            ("404", "not_found", ""),
            ("garbage", "garbage", "expected UTF-8"),
        ):
            rig.tap.clear()
            before = counts[kind]
            await rig.fault("gamma", mode=mode)
            await rig.until(partial(reached, counts, kind, before + 3), kind)
            await rig.trades_on()
            assert list(rig.engine.markets) == known
            assert {state for state, _ in rig.tap.states()} <= {"synced"}
            await rig.until(partial(says, rig, told), f"{mode} told")
            ok = counts["ok"]
            began_s = trio.current_time()
            await rig.fault("clear")
            await rig.until(partial(reached, counts, "ok", ok + 1), "an answer")
            measured(f"Gamma answers {mode}", None, trio.current_time() - began_s)
        await rig.stop()
        rig.nothing_rests()


def says(rig: Rig, text: str) -> bool:
    """Whether this is in what is told of Gamma; a snapshot may be a moment old."""
    return text in rig.feed("gamma/0").last_error


@pytest.mark.parametrize("mode", ["500", "garbage"])
async def test_gamma_wrong_from_the_start_is_asked_until_it_answers(
    mode: str, tmp_path: Path
) -> None:
    async with running(tmp_path, fault={"kind": "gamma", "mode": mode}) as rig:
        counts = rig.parts.discovery.counts
        await rig.until(lambda: sum(counts.values()) >= 6, "questions")
        assert not rig.engine.markets
        assert rig.tap.count("place_order") == 0
        await rig.fault("clear")
        await rig.until(rig.synced, "books")
