"""Every fault of feeds, discovery and prices, met by a whole daemon at the live venue."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from polytrade.core.events import TradePrinted
from polytrade.core.ids import BUY, SELL, YES
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.polymarket import discovery
from polytrade.sandbox.faults import FAULTS
from tests.daemon import rig as rig_module
from tests.daemon.live_rig import EXCHANGES, FIRST_S, WINDOW_S, LiveRig, live
from tests.daemon.measured import measured
from tests.daemon.rig import ROOT
from tests.daemon.test_faults import (
    BOTH_PATHS,
    all_above,
    cut,
    heals,
    malformed,
    may_ask,
    reached,
    reconnects,
)

SHORT = ("risk.book_stale_ms=1000", "feeds.market_silence_s=1.8", "feeds.ping_interval_s=0.2")
"""A part of the shipped patience, so that a test need not wait ten seconds."""
PATIENT = ("risk.book_stale_ms=8000", "feeds.market_silence_s=4", "feeds.ping_interval_s=0.2")
"""Where nothing may be taken for silent that is only slow."""


def test_every_kind_of_fault_has_a_row() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    missing = [kind for kind in FAULTS if f"`{kind}`" not in page]
    assert missing == []


# The market channel


async def test_damaged_frames_and_lost_connections_heal(tmp_path: Path) -> None:
    async with live(tmp_path) as rig:
        await rig.quoting()
        for kind in ("garbage", "truncate"):
            await heals(rig, f"live: {kind} on both", "suspect", kind)
        await rig.until(lambda: malformed(rig) == [2, 2], "damage on both")
        for kind in ("close_mid_frame", "disconnect"):
            await comes_back(rig, kind)
        await heals(rig, "live: kill of everything for 1 s", "stale", "kill", seconds=1.0)
        await rig.trades_on()
        await rig.stop()
        rig.nothing_rests()


async def comes_back(rig: LiveRig, kind: str) -> None:
    """After the loss of both connections both come anew, with books that are quoted on.

    Where one is back before the other is noticed gone, no book was ever without a connection.
    """
    before = [rig.feed(path).reconnects for path in BOTH_PATHS]
    with rig.stopwatch() as watch:
        await rig.fault(kind)
        await rig.until(partial(all_above, rig, before), "both made anew")
        await rig.until(rig.restored, "synced books")
        assert watch.doubted <= {"stale"}
        if watch.doubted:
            await rig.until(lambda: watch.pulled_s is not None, f"{kind}: no quote")
            measured(f"live: {kind} on both", watch.pulled_s, watch.again_s)
    await rig.quoting()


async def test_one_of_two_connections_going_wrong_disturbs_nobody(tmp_path: Path) -> None:
    async with live(tmp_path, *PATIENT) as rig:
        await rig.quoting()
        (first, second) = await rig.both_connections()
        rig.tap.clear()
        for kind in ("garbage", "truncate", "drop_price_change", "duplicate", "reorder"):
            await rig.fault(kind, connection=first, n=2)
        await rig.until(lambda: sum(rig.feed(p).malformed for p in BOTH_PATHS) == 4, "damage")
        await rig.trades_on()
        await rig.fault("slow_drain", connection=second, ms=300)
        await rig.trades_on()
        await rig.fault("clear")
        await rig.fault("freeze", connection=second)
        await rig.until(lambda: reconnects(rig) == [0, 1], "the frozen one cut")
        await rig.fault("disconnect", connection=first)
        await rig.until(lambda: reconnects(rig) == [1, 1], "the other one cut")
        await rig.trades_on()
        assert rig.tap.states() == []
        assert rig.tap.count("feed_down") == 0
        await rig.stop()
        rig.nothing_rests()


async def test_silence_and_restart_pull_the_quotes_whatever_pongs_and_books_say(
    tmp_path: Path,
) -> None:
    async with live(tmp_path, *SHORT) as rig:
        for kind in ("freeze", "restart"):
            await rig.quoting()
            rig.tap.clear()
            began_s = trio.current_time()
            before = [rig.feed(path).reconnects for path in BOTH_PATHS]
            orders: dict[str, Any] = {} if kind == "freeze" else {"post_only_seconds": 0.0}
            await rig.fault(kind, **orders)
            await rig.until(lambda: ("stale", "silent") in rig.tap.states(), "stale books")
            await rig.pulled()
            pulled_s = trio.current_time() - began_s
            rig.tap.clear()
            # Made anew they are shown no book, and what keeps them up is no data.
            await rig.until(partial(all_above, rig, before), "both cut and up again")
            heard = [rig.feed(path).messages for path in BOTH_PATHS]
            await rig.until(partial(heard_more, rig, heard, 5), "pongs")
            assert not rig.quoted()
            assert rig.tap.count("place_order") == 0
            await rig.fault("clear")
            cleared_s = trio.current_time()
            await rig.until(rig.restored, "synced books")
            measured(f"live: {kind}", pulled_s, trio.current_time() - cleared_s)
        await rig.quoting()
        await rig.stop()
        rig.nothing_rests()


def heard_more(rig: LiveRig, before: list[int], count: int) -> bool:
    """Whether every market connection heard so many frames more."""
    now = [rig.feed(path).messages for path in BOTH_PATHS]
    return all(after >= had + count for after, had in zip(now, before, strict=True))


async def test_lost_and_late_changes_are_caught_by_the_hash(tmp_path: Path) -> None:
    async with live(tmp_path) as rig:
        await rig.quoting()
        # Several, because one may be of a window not open yet, whose next change comes much later.
        wanted = {"type": "price_change", "n": 20}
        await doubts_pass(rig, "live: drop on both", "drop", **wanted)
        await doubts_pass(rig, "live: delay 3 s on both", "delay", ms=3000, **wanted)
        await rig.until_async(partial(nothing_late, rig, 3.0), "the late ones")
        await rig.until(rig.restored, "synced books")
        rig.tap.clear()
        matched = rig.engine.quality()["hash_matched"]
        await rig.until(lambda: rig.engine.quality()["hash_matched"] > matched + 10, "hashes")
        assert rig.tap.states() == []

        # A print that is lost moves no book; frames that come twice change nothing.
        await rig.fault("drop", type="last_trade_price", n=1)
        await rig.fault("duplicate", n=10_000)
        seen = len(rig.tap.of("trade_printed"))
        await rig.until(lambda: len(rig.tap.of("trade_printed")) > seen, "a trade")
        await rig.trades_on()
        await rig.fault("clear")
        assert rig.tap.states() == []
        trades = [tuple(trade.row()[2:]) for trade in rig.tap.of("trade_printed")]
        assert len(trades) == len(set(trades))
        # Where little happens, a frame that changes places with the next comes late.
        await rig.fault("reorder", n=5)
        await rig.until_async(partial(none_in_force, rig), "five pairs")
        await rig.until(rig.restored, "synced books")
        await rig.trades_on()
        assert rig.tap.count("feed_gap") == 0
        await rig.stop()
        rig.nothing_rests()


async def doubts_pass(rig: LiveRig, name: str, kind: str, **fields: Any) -> None:
    """After a fault some book is suspect and healed; where it was quoted its quotes are pulled.

    The changes it touches may all be of a window without a quote of ours.
    """
    await rig.until(lambda: may_ask(rig), "snapshots may be asked for")
    with rig.stopwatch() as watch:
        await watch.order(kind, **fields)
        await rig.until(lambda: bool(watch.doubted), f"{name}: a doubt")
        await rig.until(rig.restored, f"{name}: synced books")
        assert watch.doubted == {"suspect"}
        if watch.pulled_s is not None:
            measured(name, watch.pulled_s, watch.again_s)
    await rig.quoting()


async def none_in_force(rig: LiveRig) -> bool:
    """Whether the venue has no fault left."""
    return not (await rig.venue_status())["faults"]


async def nothing_late(rig: LiveRig, late_s: float) -> bool:
    """Whether no frame waits at the venue to come late; none is held longer than `late_s`."""
    await trio.lowlevel.checkpoint()
    faults = (await rig.venue_status())["faults"]
    if any(row["kind"] == "delay" for row in faults):
        return False
    ordered_ns = rig.engine.ts_ns
    await rig.until(lambda: rig.engine.ts_ns > ordered_ns + late_s * SECOND_NS, "time")
    return True


async def test_books_that_come_late_are_not_quoted_on(tmp_path: Path) -> None:
    async with live(tmp_path, *SHORT) as rig:
        await rig.quoting()
        rig.tap.clear()
        began_s = trio.current_time()
        await rig.fault("slow_drain", ms=500)
        # Until they are later than a silence may last, and a second, they are believed.
        began_ns = rig.engine.ts_ns
        last_s = began_s
        while rig.engine.ts_ns < began_ns + 4 * SECOND_NS:
            last_s = trio.current_time() if rig.quoted() else last_s
            await trio.sleep(0.01)
        rig.tap.clear()
        await rig.until(lambda: rig.engine.ts_ns > began_ns + 5 * SECOND_NS, "more of it")
        assert rig.market().trust.state == "stale"
        assert not rig.quoted()
        assert rig.tap.count("place_order") == 0
        await rig.fault("clear")
        cleared_s = trio.current_time()
        await rig.until(rig.restored, "synced books")
        measured("live: slow_drain of both", last_s - began_s, trio.current_time() - cleared_s)
        await rig.quoting()
        await rig.stop()
        rig.nothing_rests()


async def test_tick_size_changes_under_resting_orders(tmp_path: Path) -> None:
    async with live(tmp_path) as rig:
        await rig.quoting()
        market = rig.market()
        for tick, tick_e4 in (("0.001", 10), ("0.01", 100)):
            await rig.until(partial(may_ask, rig), "snapshots may be asked for")
            await rig.quoting()
            orders = set(rig.paper.resting())
            rig.tap.clear()
            began_s = trio.current_time()
            await rig.fault("tick_size", asset="btc-updown-5m", tick=tick)
            await rig.until(partial(on_grid, market, tick_e4), "the grid")
            await rig.until(partial(gone, rig, orders), "no old order")
            pulled_s = trio.current_time() - began_s
            await rig.until(rig.restored, "synced books")
            measured(f"live: tick_size {tick}", pulled_s, trio.current_time() - began_s)
            await rig.trades_on()
            own = [rig.engine.orders.find(order) for order in rig.paper.resting()]
            assert all(order.price_e4 % tick_e4 == 0 for order in own)
            assert "tick size changed" in {reason for _, reason in rig.tap.states()}
        await rig.stop()
        rig.nothing_rests()


def on_grid(market: Any, tick_e4: int) -> bool:
    """Whether the daemon has the market on this grid."""
    found: bool = market.book.tick_e4 == tick_e4
    return found


# Prices


async def test_one_price_source_going_wrong_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("feeds.reference_silence_s=1.5", "universe.refresh_interval_s=0.5")
    async with live(tmp_path, *settings, keys=monkeypatch) as rig:
        await rig.quoting()
        feeds = {f"{name}/0": name for name in EXCHANGES}
        feeds |= {f"polymarket.{name}/0": name for name in ("rtds", "polybolt")}
        await rig.until(lambda: all(rig.feed(feed).connected for feed in feeds), "all up")
        await rig.until(lambda: rig.exchanges_heard() == set(EXCHANGES), "all heard")
        rig.tap.clear()
        for name in feeds.values():
            await rig.fault("garbage", endpoint=name)
        await rig.until(lambda: all(rig.feed(feed).malformed == 1 for feed in feeds), "garbage")
        # Half of them at a time.
        for half in (list(feeds)[::2], list(feeds)[1::2]):
            for feed in half:
                await rig.fault("price_stall", endpoint=feeds[feed])
            await rig.until(partial(all_silent, rig, half), f"{half} cut")
            await rig.trades_on()
            await rig.fault("clear")
            await rig.until(partial(all_up, rig, half), f"{half} up")
        for name in feeds.values():
            await rig.fault("disconnect", endpoint=name)
        await rig.trades_on()
        await rig.until(partial(all_up, rig, list(feeds)), "all up")
        assert "risk:stale_reference" not in rig.reasons()
        assert rig.tap.count("book_state_changed") == 0
        assert {event.source for event in rig.tap.of("feed_gap")} == set(feeds)
        await rig.stop()
        rig.nothing_rests()


def all_silent(rig: LiveRig, feeds: list[str]) -> bool:
    """Whether each of these connections was cut for its silence."""
    return all(rig.feed(feed).last_error == "silent" for feed in feeds)


def all_up(rig: LiveRig, feeds: list[str]) -> bool:
    """Whether each of these connections is up."""
    return all(rig.feed(feed).connected for feed in feeds)


async def test_no_quotes_without_a_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("risk.stale_tick_filter_ms=800", "feeds.reference_silence_s=3.5")
    async with live(tmp_path, *settings, keys=monkeypatch) as rig:
        feeds = len(EXCHANGES) + 2
        await rig.until(lambda: rig.tap.count("feed_up") >= feeds, "all up")
        for kind in ("price_stall", "freeze", "kill"):
            await rig.quoting()
            rig.tap.clear()
            began_s = trio.current_time()
            if kind == "price_stall":
                await rig.fault(kind)
            else:
                for name in (*EXCHANGES, "rtds", "polybolt"):
                    await rig.fault(kind, endpoint=name, seconds=1.5)
            await rig.until(lambda: "risk:stale_reference" in rig.reasons(), "the reason")
            await rig.pulled()
            pulled_s = trio.current_time() - began_s
            if kind == "price_stall":
                # Made anew, some are told the price of the moment: good for 800 ms.
                await rig.until(lambda: len(cut(rig)) == feeds, "all cut")
                await rig.until(lambda: len(back(rig)) == feeds, "all up again")
                up_ns = rig.engine.ts_ns
                await rig.until(partial(passed, rig, up_ns + SECOND_NS), "no news")
                rig.tap.clear()
                await rig.until(partial(passed, rig, up_ns + 2 * SECOND_NS), "more of it")
                assert not rig.quoted()
                assert rig.tap.count("place_order") == 0
                await rig.fault("clear")
            over_s = trio.current_time() if kind == "price_stall" else began_s + 1.5
            await rig.quoting()
            measured(f"live: {kind} of every price", pulled_s, trio.current_time() - over_s)
        await rig.stop()
        rig.nothing_rests()


def back(rig: LiveRig) -> set[str]:
    """The feeds that came up, some perhaps more than once."""
    return {event.source for event in rig.tap.of("feed_up")}


def passed(rig: LiveRig, moment_ns: int) -> bool:
    """Whether the daemon is past this time."""
    found: bool = rig.engine.ts_ns >= moment_ns
    return found


async def test_price_jump_pulls_the_quotes_it_threatens(tmp_path: Path) -> None:
    async with live(tmp_path) as rig:
        for bps in (60, -60):
            await rig.until(partial(both_sides, rig), "a bid and an ask")
            threatened = set(resting(rig, up=bps < 0))
            began_s = trio.current_time()
            await rig.fault("price_jump", coin="btc", bps=bps)
            await rig.until(partial(gone, rig, threatened), "no threatened quote")
            measured(f"live: price_jump {bps} bps", trio.current_time() - began_s, None)
            await rig.fault("price_jump", coin="btc", bps=-bps)
        assert "synced" in {market.trust.state for market in rig.engine.markets.values()}
        await rig.stop()
        rig.nothing_rests()


def gone(rig: LiveRig, orders: set[str]) -> bool:
    """Whether none of these rests any more."""
    return not orders & set(rig.paper.resting())


def both_sides(rig: LiveRig) -> bool:
    """Whether a bid and an ask of ours rest."""
    return bool(resting(rig, up=True)) and bool(resting(rig, up=False))


def resting(rig: LiveRig, *, up: bool) -> list[str]:
    """Our resting orders that gain when the price goes up, or those that gain when it goes down."""
    found = []
    for name in rig.paper.resting():
        order = rig.engine.orders.find(name)
        if ((order.token == YES) == (order.side == BUY)) == up:
            found.append(name)
    return found


# Discovery


async def test_gamma_going_wrong_stops_nothing_that_is_known(tmp_path: Path) -> None:
    async with live(tmp_path, "universe.refresh_interval_s=0.2") as rig:
        await rig.quoting()
        known = list(rig.engine.markets)
        counts = rig.parts.discovery.counts
        for mode, kind in (
            ("500", "unavailable"),
            ("404", "not_found"),
            ("garbage", "garbage"),
            ("stale", "ok"),
        ):
            before = counts[kind]
            await rig.fault("gamma", mode=mode)
            await rig.until(partial(reached, counts, kind, before + 3), kind)
            await rig.trades_on()
            assert list(rig.engine.markets) == known
            ok = counts["ok"]
            began_s = trio.current_time()
            await rig.fault("clear")
            await rig.until(partial(reached, counts, "ok", ok + 1), "an answer")
            measured(f"live: gamma {mode}", None, trio.current_time() - began_s)
        assert rig.tap.count("feed_down") == 0
        assert {state for state, _ in rig.tap.states()} <= {"synced"}
        await rig.stop()
        rig.nothing_rests()


async def test_nothing_is_quoted_without_a_price_to_beat(tmp_path: Path) -> None:
    # So late in the window that the relays' two minutes of past do not reach its start.
    fault = {"kind": "missing_strike"}
    settings = ("universe.refresh_interval_s=0.5",)
    async with live(tmp_path, *settings, into_window_s=150, fault=fault) as rig:
        await rig.until(lambda: rig.market() is not None, "the market")
        market = rig.market()
        await rig.until(lambda: market.trust.state == "synced", "its book")
        counts = rig.parts.discovery.counts
        looks = counts["ok"]
        await rig.until(lambda: counts["ok"] >= looks + 3, "looks for the price")
        assert (market.phase, market.strike_e8) == ("hydrating", -1)
        assert rig.tap.count("place_order") == 0
        await rig.fault("clear")
        cleared_s = trio.current_time()
        await rig.quoting()
        measured("live: missing_strike", None, trio.current_time() - cleared_s)
        assert market.strike_e8 > 0
        await rig.stop()
        rig.nothing_rests()


async def test_clock_apart_from_the_venues_blocks_quoting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "SKEW_S", 0.3)
    async with live(tmp_path) as rig:
        for ms in (5_000, -5_000):
            await rig.quoting()
            began_s = trio.current_time()
            await rig.fault("clock_skew", ms=ms)
            await rig.until(lambda: "risk:clock_skew" in rig.reasons(), "the reason")
            await rig.pulled()
            pulled_s = trio.current_time() - began_s
            await rig.fault("clear")
            cleared_s = trio.current_time()
            await rig.quoting()
            measured(f"live: clock_skew {ms} ms", pulled_s, trio.current_time() - cleared_s)
        await rig.stop()
        rig.nothing_rests()


async def test_refused_reads_leave_the_socket_to_bring_the_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig_module, "SKEW_S", 60.0)  # the read that is refused is a book's
    async with live(tmp_path) as rig:
        await rig.quoting()
        await rig.fault("forbidden")
        await heals(rig, "live: garbage while forbidden", "suspect", "garbage")
        await rig.until(lambda: rig.parts.market_feed.snapshot_failures >= 1, "a refused read")
        await rig.fault("clear")
        await rig.until(lambda: not rig.parts.market_feed._snapshots, "no REST book wanted")

        failures = rig.parts.market_feed.snapshot_failures
        await rig.fault("rate_limit", calls="read", n=1, retry_s=2)
        began_s = trio.current_time()
        await heals(rig, "live: garbage while rate_limit", "suspect", "garbage")
        await rig.until(lambda: not rig.parts.market_feed._snapshots, "the REST book")
        # One market was told to wait, and asked no sooner.
        assert rig.parts.market_feed.snapshot_failures == failures + 1
        assert trio.current_time() - began_s >= 2.0
        await rig.stop()
        rig.nothing_rests()


async def test_window_ends_resolves_and_the_next_is_found_though_its_report_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (
        "strategy.no_quote_before_end_s=2",
        "strategy.no_quote_after_start_s=0",
        "universe.refresh_interval_s=1",
    )
    quick = {"resolve_after_s": 4, "missing_after_s": 6}
    async with live(
        tmp_path, *settings, into_window_s=280, keys=monkeypatch, calendar=quick, speed=2
    ) as rig:
        await rig.until(lambda: rig.market(1) is not None, "both windows")
        await rig.fault("missing_report", coin="btc")  # of the end, and of the next start
        first, second = rig.market(0), rig.market(1)
        await rig.until(lambda: rig.tap.count("order_accepted") > 0, "a quote at the venue")
        await rig.until(partial(filled, rig, first), "a position")
        await rig.until(lambda: first.phase == "pending_resolution", "the end")
        assert held_e6(rig, first) > 0
        assert not rests_in(rig, first)
        # The next window's price to beat is not out; our own observation of the average will do.
        await rig.until(lambda: second.phase == "open", "the next window")
        measured("live: missing_report, own strike after", None, since_s(rig, FIRST_S + WINDOW_S))
        assert second.strike_provisional
        observed_e8 = second.strike_e8
        await rig.until(lambda: not second.strike_provisional, "the official strike")
        measured("live: missing_report, official after", None, since_s(rig, FIRST_S + WINDOW_S))
        assert abs(second.strike_e8 - observed_e8) < second.strike_e8 // 10_000
        await rig.until(lambda: first.phase == "redeemed", "the outcome")
        measured("live: missing_report, outcome after", None, since_s(rig, FIRST_S + WINDOW_S))
        assert first.winner in (0, 1)
        assert first.predicted == first.winner
        assert held_e6(rig, first) == 0
        await rig.until(lambda: rig.market(2) is not None, "the window after")
        await rig.quoting()
        await rig.stop()
        rig.nothing_rests()


def filled(rig: LiveRig, market: Any) -> bool:
    """Whether a position is held; as long as not, whoever rests just now is traded with."""
    if held_e6(rig, market) > 0:
        return True
    if rests_in(rig, market):
        trade_through_our_quotes(rig, market)
    return False


def rests_in(rig: LiveRig, market: Any) -> bool:
    """Whether an order of ours rests in a market."""
    find, name = rig.engine.orders.find, market.spec.market
    return any(find(order).market == name for order in rig.paper.resting())


def trade_through_our_quotes(rig: LiveRig, market: Any) -> None:
    """Have somebody trade through everything the book shows: who rests there is filled."""
    name, size_e6 = market.spec.market, 1_000_000_000_000
    for side, price_e4 in ((SELL, 10), (BUY, 9_990)):
        now_ns = rig.parts.inbox.now_ns()
        trade = TradePrinted(now_ns, name, YES, side, price_e4, size_e6, now_ns // MS_NS, "test")
        rig.parts.inbox.put(trade)


def held_e6(rig: LiveRig, market: Any) -> int:
    """Shares of both outcomes held in a market."""
    sheet = rig.engine.ledger.account(market.spec.market).now
    found: int = sheet.yes.provisional_e6 + sheet.no.provisional_e6
    return found


def since_s(rig: LiveRig, moment_s: int) -> float:
    """Seconds since a time of the day."""
    passed: float = rig.engine.ts_ns / SECOND_NS - moment_s
    return passed
