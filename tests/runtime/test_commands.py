"""The operator's commands against a running engine on paper, in a clock of the test's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from polytrade.config import Config, Execution, Latency
from polytrade.config import Strategy as StrategySettings
from polytrade.core.events import ClockTicked, Event, ReferenceTicked
from polytrade.core.ids import BUY, FAST, SELL
from polytrade.core.roles import FullShare
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.lineup import build_lineup
from polytrade.meter import Meter
from polytrade.runtime.command_requests import Commands, FlattenReply, PauseReply, Refusal
from polytrade.runtime.commands import CommandServer
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Clock, Inbox
from polytrade.runtime.links import FeedTable
from polytrade.runtime.observe import Observer
from polytrade.runtime.risk import RiskWatch
from polytrade.runtime.status import DaemonStatus, ReloadsRow
from polytrade.runtime.strategy import Strategy
from polytrade.runtime.supervise import TaskTable
from polytrade.session import build_session, run_started
from tests.core.factory import MARKET, SHARE, START_NS, change, listed, snapshot, trade

CONFIG = Config(
    strategy=StrategySettings(
        base_quote_size=10.0,
        max_spread=0.08,
        fair_value="basis_mr",
        basis_warmup_ticks=0,
        half_spread=0.01,
        min_edge_bps=0.0,
        vol_floor_bps=0.1,
    ),
    execution=Execution(
        place_latency_ms=(10.0,) * 5, cancel_latency_ms=(5.0,) * 5, settle_delay_s=0.1
    ),
    latency=Latency(drain_max=1),
)
BEGIN_NS = START_NS - 10 * SECOND_NS
BEGIN_MS = BEGIN_NS // MS_NS


@attrs.define
class Room:
    """A strategy task with one market at the money, a reference and an operator."""

    strategy: Strategy
    watch: RiskWatch
    observer: Observer
    commands: Commands
    quiet: bool = False

    def put(self, event: Event) -> None:
        self.strategy.inbox.put(event)

    def now_ns(self) -> int:
        return self.strategy.inbox.now_ns()

    async def world(self) -> None:
        """Ticks every 20 ms, a reference every 500 and a book that says the same every second."""
        while True:
            at_ms = (self.now_ns() - BEGIN_NS) // MS_NS
            if at_ms % 500 == 0 and not self.quiet:
                price_e8 = 6_000_000_000_000 + (at_ms // 500 % 2) * 1_000_000
                self.put(ReferenceTicked(self.now_ns(), "BTC", "x", FAST, price_e8, self.now_ns()))
            if at_ms % 1000 == 0:
                self.put(change(BUY, 47, 100, self.now_ns(), BEGIN_MS + at_ms))
            self.put(ClockTicked(self.now_ns()))
            await trio.sleep(0.02)

    async def hold(self, shares: int) -> None:
        """Buy `shares` of YES by a print through our bid, and let them settle."""
        self.put(trade(SELL, 47, shares, self.now_ns()))
        await trio.sleep(0.3)
        account = self.strategy.session.engine.ledger.account(MARKET)
        assert account is not None
        assert account.now.yes.provisional_e6 == shares * SHARE

    async def status(self) -> DaemonStatus:
        """The observer's picture, not one of before."""
        await trio.sleep(0.06)
        return self.observer.read()


@asynccontextmanager
async def room(*, record_only: bool = False, config: Config = CONFIG) -> AsyncIterator[Room]:
    clock = Clock(lambda: BEGIN_NS, lambda: round(trio.current_time() * SECOND_NS))
    inbox = Inbox(clock, config.latency.inbox_capacity)
    lineup = attrs.evolve(build_lineup(config), allocator=FullShare())
    session = build_session(config, lineup=lineup)
    strategy = Strategy(session, inbox, None, Meter(), config.latency)
    watch = RiskWatch(config, strategy.session, inbox)
    observer = Observer(
        config,
        "test",
        strategy,
        watch,
        tasks=TaskTable(),
        feeds=FeedTable(),
        hosts=HostTable(clock),
        journal=None,
        recorder=None,
    )
    found = Room(strategy, watch, observer, Commands())
    server = CommandServer(found.commands, strategy, 500, lambda: 2, record_only=record_only)
    async with trio.open_nursery() as nursery:
        inbox.put(run_started(config, inbox.now_ns(), "test"))
        inbox.put(listed(inbox.now_ns(), settle="spot", lookback_s=0))
        inbox.put(snapshot({48: 100, 47: 100}, {52: 100, 53: 100}, inbox.now_ns()))
        nursery.start_soon(strategy.run)
        nursery.start_soon(server.run)
        nursery.start_soon(found.world)
        await trio.sleep(13)
        yield found
        nursery.cancel_scope.cancel()


def flattened(reply: Any) -> FlattenReply:
    assert isinstance(reply, FlattenReply), reply
    return reply


async def test_flatten_closes_what_is_held_although_the_engine_is_behind_and_paused(
    autojump_clock: Any,
) -> None:
    async with room() as desk:
        await desk.hold(10)
        assert await desk.commands.pause() == PauseReply(True)
        await trio.sleep(0.1)
        for _ in range(20):  # more than the engine takes at once
            desk.put(ClockTicked(desk.now_ns()))
        reply = flattened(await desk.commands.flatten())
        assert [(row.token, row.side, row.size_e6) for row in reply.closed] == [
            ("yes", "sell", 10 * SHARE)
        ]
        assert reply.left == ()


async def test_flatten_names_the_limit_that_keeps_the_rest_and_only_resting_orders(
    autojump_clock: Any,
) -> None:
    async with room() as desk:
        await desk.hold(10)
        resting = {order.order_id for order in desk.strategy.session.engine.orders.all_open()}
        # Only 9 shares are bid for within the slippage; what is left is worth 0.48 USDC.
        desk.put(change(BUY, 47, 0, desk.now_ns(), BEGIN_MS + 90_000))
        desk.put(change(BUY, 48, 9, desk.now_ns(), BEGIN_MS + 90_001))
        reply = flattened(await desk.commands.flatten())
        assert [(row.size_e6, row.price_e4) for row in reply.closed] == [(9 * SHARE, 4_800)]
        assert set(reply.cancelled) == resting
        (left,) = reply.left
        assert (left.size_e6, left.why.partition(":")[0]) == (1 * SHARE, "min_size")
        assert left.why.endswith("least 1 USDC")


async def test_run_that_records_is_not_resumed(autojump_clock: Any) -> None:
    async with room(record_only=True) as desk:
        assert await desk.commands.pause() == PauseReply(True)
        answer = await desk.commands.resume(True)
        assert answer == Refusal("record_only", "this run records and quotes nothing")
        assert desk.strategy.session.engine.risk.paused


async def test_daily_profit_and_peak_are_of_the_equity_beside_them(autojump_clock: Any) -> None:
    async with room() as desk:
        desk.quiet = True
        await desk.hold(10)  # a bid of 0.48 marks them at what they cost
        desk.put(change(BUY, 50, 100, desk.now_ns(), BEGIN_MS + 91_000))
        status = await desk.status()
        pnl = status.pnl
        assert pnl.equity_e6 == 1_000_200_000
        assert pnl.daily_pnl_e6 == 200_000
        assert pnl.peak_equity_e6 == 1_000_200_000


async def test_loss_that_stops_trading_halts_until_the_operator_clears_it(
    autojump_clock: Any,
) -> None:
    config = attrs.evolve(CONFIG, risk=attrs.evolve(CONFIG.risk, daily_drawdown_cap_pct=0.001))
    async with room(config=config) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(desk.watch.run)
        await desk.hold(10)
        for cents in (48, 47):
            desk.put(change(BUY, cents, 0, desk.now_ns(), BEGIN_MS + 92_000 + cents))
        desk.put(change(BUY, 30, 100, desk.now_ns(), BEGIN_MS + 93_000))
        await trio.sleep(1.2)
        status = await desk.status()
        assert (status.health, status.engine_mode) == ("halted", "halt")
        assert status.engine_why == "drawdown_stop: 1.8 USDC lost, limit 1"
        assert desk.strategy.session.engine.orders.open_count() == 0
        refused = await desk.commands.resume()
        assert isinstance(refused, Refusal)
        assert refused.code == "halted"
        assert await desk.commands.resume(True) == PauseReply(False)
        await trio.sleep(1.2)
        assert (await desk.status()).engine_mode == "run"
        nursery.cancel_scope.cancel()


async def test_reload_is_seen_in_the_status_at_once(autojump_clock: Any) -> None:
    async with room() as desk:
        seen = desk.observer.read()
        assert desk.observer.read() is seen
        desk.observer.reloads = lambda: ReloadsRow(generation=2)
        assert desk.observer.read().reloads.generation == 2
