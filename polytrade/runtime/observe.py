"""One consistent snapshot of everything, made between two events for whoever looks."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import polytrade
from polytrade.config import Config
from polytrade.core.accounts import Account
from polytrade.core.ids import BUY, NO, SIDE_NAMES, TOKEN_NAMES, YES
from polytrade.core.market import MarketState
from polytrade.core.orders import STATE_NAMES, Order
from polytrade.core.regimes import REGIME_NAMES
from polytrade.core.standing import Standing
from polytrade.core.trust import SUSPECT
from polytrade.core.units import ONE_E4, ONE_E6, SECOND_NS, share_e6_down
from polytrade.hookspecs import FEED, RISK_RULE
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.journaling import Journal
from polytrade.runtime.links import FeedTable
from polytrade.runtime.recorder import Recorder
from polytrade.runtime.reporting import Reporter, fill_from
from polytrade.runtime.risk import RiskWatch
from polytrade.runtime.status import (
    DaemonStatus,
    FaultRow,
    FeedRow,
    HashRow,
    HostRow,
    MarketRow,
    OrderRow,
    PnlRow,
    QueueRow,
    ReloadsRow,
    TaskRow,
)
from polytrade.runtime.strategy import Strategy
from polytrade.runtime.supervise import TaskTable

RATE_NS: Final = SECOND_NS
"""The event rate is taken over at least this long."""
FRESH_NS: Final = 50_000_000
"""A snapshot this young is handed out again, unless the mode has changed since: several readers a
beat cost one, and whoever gave a command reads what came of it."""


class Observer:
    """Makes `DaemonStatus`; `read` may be called from any task, as often as wanted.

    `reloads` tells what reloads did, `feed_faults` which feeds of plugins are out of service and
    why.
    """

    def __init__(
        self,
        config: Config,
        run_id: str,
        strategy: Strategy,
        watch: RiskWatch,
        *,
        tasks: TaskTable,
        feeds: FeedTable,
        hosts: HostTable,
        journal: Journal | None,
        recorder: Recorder | None,
        reporter: Reporter | None = None,
    ) -> None:
        self.window_id = 1
        self.reloads: Callable[[], ReloadsRow] = ReloadsRow
        self.feed_faults: Callable[[], Mapping[str, str]] = dict
        self._config = config
        self._run_id = run_id
        self._strategy = strategy
        self._watch = watch
        self._tasks = tasks
        self._feeds = feeds
        self._hosts = hosts
        self._journal = journal
        self._recorder = recorder
        self._reporter = reporter
        self._began_ns = strategy.inbox.now_ns()
        self._rate = 0.0
        self._rate_events = 0
        self._rate_ns = self._began_ns
        self._last: DaemonStatus | None = None

    def read(self) -> DaemonStatus:
        """The snapshot as of now."""
        now_ns = self._strategy.inbox.now_ns()
        last = self._last
        if last is None or now_ns - last.ts_ns >= FRESH_NS or self._overtaken(last):
            last = self._last = self._make(now_ns)
        return last

    def _overtaken(self, last: DaemonStatus) -> bool:
        """Whether something was ordered, reloaded or cut out since: that is seen at once."""
        risk = self._strategy.session.engine.risk
        return (
            (last.engine_mode, last.paused) != (risk.mode, risk.paused)
            or last.reloads != self.reloads()
            or last.faults != self._faults()
        )

    def _make(self, now_ns: int) -> DaemonStatus:
        strategy = self._strategy
        engine = strategy.session.engine
        self._measure_rate(now_ns)
        readings = strategy.meter.readings(now_ns)
        report = None
        if self._reporter is not None:
            self._reporter.measure(readings)
            report = self._reporter.latest()
            if report is not None:
                fill_from(report, readings)
        if self._journal is not None:
            readings.put("records_lost_total", self._journal.lost)
        quality = engine.quality()
        marks = engine.marks()
        return DaemonStatus(
            ts_ns=now_ns,
            version=polytrade.__version__,
            run_id=self._run_id,
            mode=self._config.execution.mode,
            engine_mode=engine.risk.mode,
            engine_why=engine.mode_why,
            paused=engine.risk.paused,
            uptime_ns=now_ns - self._began_ns,
            first_book_seen=strategy.first_book_seen,
            first_reference_seen=strategy.first_reference_seen,
            events=strategy.events,
            events_per_s=self._rate,
            tasks=tuple(
                TaskRow(
                    name=row.name,
                    state=row.state,
                    restarts=row.restarts,
                    last_error=row.last_error,
                )
                for row in self._tasks.rows()
            ),
            feeds=self._feed_rows(now_ns),
            hosts=tuple(
                HostRow(
                    name=row.host,
                    reachable=row.reachable,
                    last_error=row.last_error,
                    since_ts_ns=row.since_ns,
                )
                for row in self._hosts.rows()
            ),
            queues=self._queues(),
            markets=tuple(self._market(market) for market in engine.markets.values()),
            pnl=self._pnl(),
            hashes=self._hashes(quality),
            alarms=tuple(strategy.alarms),
            reloads=self.reloads(),
            faults=self._faults(),
            gate=report.gate if report is not None else None,
            window_id=self.window_id,
            readings=readings,
            quality={**quality, "marked_markets": len(marks)},
        )

    def _faults(self) -> tuple[FaultRow, ...]:
        session = self._strategy.session
        names = {**session.lineup.names, RISK_RULE: session.engine.crew.broken_rule()}
        told = [(role, names.get(role, ""), why) for role, why in session.engine.faults.items()]
        told += [(FEED, name, why) for name, why in self.feed_faults().items()]
        return tuple(FaultRow(role=role, name=name, why=why) for role, name, why in told)

    def _measure_rate(self, now_ns: int) -> None:
        elapsed_ns = now_ns - self._rate_ns
        if elapsed_ns < RATE_NS:
            return
        events = self._strategy.events
        self._rate = (events - self._rate_events) * SECOND_NS / elapsed_ns
        self._rate_events = events
        self._rate_ns = now_ns

    def _feed_rows(self, now_ns: int) -> tuple[FeedRow, ...]:
        return tuple(
            FeedRow(
                name=row.source,
                connected=row.connected,
                stale=row.stale(now_ns),
                last_message_age_ms=row.age_ms(now_ns),
                rate=row.meter.rates(now_ns)[0],
                messages=row.messages,
                malformed=row.malformed,
                reconnects=row.reconnects,
                last_error=row.last_error,
            )
            for row in self._feeds.rows()
        )

    def _queues(self) -> tuple[QueueRow, ...]:
        inbox = self._strategy.inbox.statistics()
        rows = [
            QueueRow(
                name="inbox",
                depth=inbox.depth,
                capacity=inbox.capacity,
                peak=inbox.depth_max,
                dropped=inbox.dropped_events,
            )
        ]
        recorder = self._recorder if self._recorder is not None and self._recorder.begun else None
        for name, writer in (("journal", self._journal), ("recorder", recorder)):
            if writer is not None:
                stats = writer.statistics()
                rows.append(
                    QueueRow(
                        name=name,
                        depth=stats.depth,
                        capacity=stats.capacity,
                        peak=stats.depth_max,
                        dropped=writer.lost,
                    )
                )
        return tuple(rows)

    def _market(self, market: MarketState) -> MarketRow:
        engine = self._strategy.session.engine
        spec, book = market.spec, market.book
        account = engine.ledger.account(spec.market)
        orders = engine.orders.of_market(spec.market)
        bid_e4 = book.bid_e4 or None
        ask_e4 = book.ask_e4 if book.ask_e4 < ONE_E4 else None
        held: dict[str, Any] = (
            _held(account, book.bid_e4, book.ask_e4) if account is not None else {}
        )
        return MarketRow(
            market=spec.market,
            slug=spec.slug,
            symbol=spec.symbol,
            phase=market.phase,
            book_state=market.trust.state,
            book_reason=market.trust.reason,
            bid_e4=bid_e4,
            ask_e4=ask_e4,
            fair=market.fair if market.fair >= 0.0 else None,
            confidence=market.confidence if market.fair >= 0.0 else None,
            quote_state=market.quote_state,
            quote_bid_e4=max((_yes_price(o) for o in orders if _bids_yes(o)), default=None),
            quote_ask_e4=min((_yes_price(o) for o in orders if not _bids_yes(o)), default=None),
            mark_yes_e4=(book.bid_e4 + book.ask_e4) // 2 if book.two_sided else None,
            **_judged(engine.toxicity.standing_of(spec.market)),
            orders=tuple(_order_row(order) for order in orders),
            **held,
        )

    def _pnl(self) -> PnlRow:
        engine = self._strategy.session.engine
        ledger, risk, marks = engine.ledger, engine.risk, engine.marks()
        equity_e6 = ledger.equity_e6(marks, True)
        drawdown_e6 = 0
        if ledger.initial_e6:
            drawdown_e6 = share_e6_down(risk.max_drawdown_e6, ONE_E6, ledger.initial_e6)
        return PnlRow(
            realized_e6=ledger.realized_e6,
            unrealized_e6=ledger.unrealized_e6(marks, True),
            fees_e6=ledger.fees_e6,
            rebates_e6=ledger.rebates_e6,
            equity_e6=equity_e6,
            equity_mid_e6=ledger.equity_e6(marks, False),
            peak_equity_e6=max(risk.peak_e6, equity_e6),
            max_drawdown_e6=drawdown_e6,
            # Of the equity beside it: the engine's own is up to a second old.
            daily_pnl_e6=equity_e6 - risk.day_base_e6 if risk.started else 0,
        )

    def _hashes(self, quality: dict[str, int]) -> HashRow:
        markets = self._strategy.session.engine.markets.values()
        return HashRow(
            verified=sum(1 for market in markets if market.trust.verified),
            unverified=sum(1 for market in markets if market.trust.unverified_ns),
            suspect=sum(1 for market in markets if market.trust.state == SUSPECT),
            matched=quality["hash_matched"],
            mismatched=quality["hash_mismatched"],
            not_checkable=quality["hash_not_checkable"],
        )


def _held(account: Account, bid_e4: int, ask_e4: int) -> dict[str, Any]:
    now = account.now
    return {
        "yes_e6": now.yes.provisional_e6,
        "no_e6": now.no.provisional_e6,
        "cost_yes_e6": now.yes.cost_e6,
        "cost_no_e6": now.no.cost_e6,
        "realized_e6": now.realized_e6,
        "unrealized_e6": account.value_e6(bid_e4, ask_e4, True) - now.cost_e6(),
        "fees_e6": now.fees_e6,
        "exposure_e6": account.exposure_e6,
    }


def _judged(standing: Standing | None) -> dict[str, Any]:
    if standing is None:
        return {}
    return {
        "regime": REGIME_NAMES[standing.regime],
        "tox_score": standing.tox,
        "market_score": standing.score,
        "active": standing.active,
    }


def _bids_yes(order: Order) -> bool:
    """Whether the order stands on the bid side of YES."""
    return (order.side == BUY) == (order.token == YES)


def _yes_price(order: Order) -> int:
    return ONE_E4 - order.price_e4 if order.token == NO else order.price_e4


def _order_row(order: Order) -> OrderRow:
    return OrderRow(
        order_id=order.order_id,
        token=TOKEN_NAMES[order.token],
        side=SIDE_NAMES[order.side],
        price_e4=order.price_e4,
        size_e6=order.size_e6,
        filled_e6=order.filled_e6,
        state=STATE_NAMES[order.state],
        engine=order.engine,
    )
