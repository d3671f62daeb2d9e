"""What an observer may know of the daemon.

`DaemonStatus` is one consistent snapshot: the daemon makes it, the control plane, the metrics page
and the terminal read it, and none of them touches the engine.

Money, prices and sizes are integers with the scale in the name; only probabilities are floats.
"""

from collections.abc import Mapping
from typing import Final

import attrs

from polytrade.gates import GateResult
from polytrade.metrics import Quantiles, Readings

GOOD_TASK_STATES: Final = frozenset({"starting", "running", "done"})
"""Task states that do not degrade the daemon; any other (`waiting`, `parked`, `failed`) does."""
NOTIFIER_TASKS: Final = "notifier "
"""What the names of the notifiers' tasks begin with."""


@attrs.frozen(kw_only=True)
class TaskRow:
    """One supervised task."""

    name: str
    state: str
    restarts: int = 0
    last_error: str = ""


@attrs.frozen(kw_only=True)
class FeedRow:
    """One feed connection; `last_message_age_ms` is None before the first message."""

    name: str
    connected: bool
    stale: bool = False
    last_message_age_ms: int | None = None
    rate: float = 0.0
    messages: int = 0
    malformed: int = 0
    reconnects: int = 0
    last_error: str = ""


@attrs.frozen(kw_only=True)
class HostRow:
    """One host the daemon talks to; `reachable` is None until it was tried."""

    name: str
    reachable: bool | None
    last_error: str = ""
    since_ts_ns: int = 0


@attrs.frozen(kw_only=True)
class QueueRow:
    """One bounded queue of the shell."""

    name: str
    depth: int
    capacity: int
    peak: int = 0
    dropped: int = 0


@attrs.frozen(kw_only=True)
class OrderRow:
    """One open order; `token` and `side` are in words (`yes`, `buy`)."""

    order_id: str
    token: str
    side: str
    price_e4: int
    size_e6: int
    filled_e6: int = 0
    state: str = "live"
    engine: str = "maker"


@attrs.frozen(kw_only=True)
class MarketRow:
    """One followed market. Prices are YES's; None where there is none.

    `quote_bid_e4` and `quote_ask_e4` are our own best resting quotes in terms of YES.
    `cost_yes_e6` is what the YES held cost in all; `exposure_e6` is the worst-case loss of
    positions and open orders together.
    """

    market: str
    slug: str
    symbol: str = ""
    phase: str = ""
    book_state: str = "cold"
    book_reason: str = ""
    bid_e4: int | None = None
    ask_e4: int | None = None
    fair: float | None = None
    confidence: float | None = None
    quote_state: str = ""
    quote_bid_e4: int | None = None
    quote_ask_e4: int | None = None
    yes_e6: int = 0
    no_e6: int = 0
    cost_yes_e6: int = 0
    cost_no_e6: int = 0
    realized_e6: int = 0
    unrealized_e6: int = 0
    fees_e6: int = 0
    exposure_e6: int = 0
    mark_yes_e4: int | None = None
    regime: str = ""
    tox_score: float | None = None
    market_score: float | None = None
    active: bool = False
    orders: tuple[OrderRow, ...] = ()

    @property
    def pnl_e6(self) -> int:
        """Realized and unrealized profit after fees."""
        return self.realized_e6 + self.unrealized_e6 - self.fees_e6


@attrs.frozen(kw_only=True)
class PnlRow:
    """The account. `max_drawdown_e6` is the deepest fall from the peak as a share of the capital,
    in millionths, the measure of `risk.daily_drawdown_cap_pct`.
    """

    realized_e6: int = 0
    unrealized_e6: int = 0
    fees_e6: int = 0
    rebates_e6: int = 0
    equity_e6: int = 0
    equity_mid_e6: int = 0
    peak_equity_e6: int = 0
    max_drawdown_e6: int = 0
    daily_pnl_e6: int = 0


@attrs.frozen(kw_only=True)
class HashRow:
    """Book hashes: books by what their newest check said, and checks by result."""

    verified: int = 0
    unverified: int = 0
    suspect: int = 0
    matched: int = 0
    mismatched: int = 0
    not_checkable: int = 0


@attrs.frozen(kw_only=True)
class AlarmRow:
    """Something an operator must know, with when it was raised."""

    ts_ns: int
    name: str
    detail: str = ""


@attrs.frozen(kw_only=True)
class FaultRow:
    """A plugin that is out of service: its role, and why."""

    role: str
    name: str
    why: str


@attrs.frozen(kw_only=True)
class ReloadsRow:
    """What reloads did so far; `swap_pause_us` is how long the newest swap held the engine up.

    `guard` says why the guard could not roll back, empty when it could or had not to.
    """

    generation: int = 1
    applied: int = 0
    refused: int = 0
    rolled_back: int = 0
    guard: str = ""
    overruns: int = 0
    quarantined: int = 0
    swap_pause_us: int = 0


@attrs.frozen(kw_only=True)
class DaemonStatus:
    """Everything an observer needs, taken at `ts_ns`.

    `readings` are the contract's values; `quality` is the engine's own data-quality report
    (JSON-ready); `gate` is None without reports.
    """

    ts_ns: int
    version: str
    run_id: str = ""
    mode: str = "paper"
    engine_mode: str = "run"
    engine_why: str = ""
    paused: bool = False
    uptime_ns: int = 0
    first_book_seen: bool = False
    first_reference_seen: bool = False
    events: int = 0
    events_per_s: float = 0.0
    tasks: tuple[TaskRow, ...] = ()
    feeds: tuple[FeedRow, ...] = ()
    hosts: tuple[HostRow, ...] = ()
    queues: tuple[QueueRow, ...] = ()
    markets: tuple[MarketRow, ...] = ()
    pnl: PnlRow = attrs.field(factory=PnlRow)
    hashes: HashRow = attrs.field(factory=HashRow)
    alarms: tuple[AlarmRow, ...] = ()
    gate: GateResult | None = None
    reloads: ReloadsRow = attrs.field(factory=ReloadsRow)
    faults: tuple[FaultRow, ...] = ()
    window_id: int = 0
    readings: Readings = attrs.field(factory=Readings)
    quality: Mapping[str, object] = attrs.field(factory=dict)

    @property
    def ready(self) -> bool:
        """Whether the first valid book and the first reference tick have been seen."""
        return self.first_book_seen and self.first_reference_seen

    @property
    def health(self) -> str:
        """`halted`, `degraded` (a task, feed, host or plugin is not well, or orders only reduce),
        `ok`. A notifier in trouble is a warning: trading is not the worse for it.
        """
        if self.engine_mode == "halt":
            return "halted"
        return "degraded" if self._causes() else "ok"

    @property
    def warnings(self) -> list[str]:
        """What is not well, a line each: whatever degrades the daemon, and what does not but should
        be known: notifiers in trouble, a rollback that the guard wanted and did not get.
        """
        told = [self.reloads.guard] if self.reloads.guard else []
        return told + self._causes() + [_unwell(it) for it in self.tasks if _bad(it) and _tells(it)]

    def _causes(self) -> list[str]:
        """Why the daemon is degraded."""
        causes = []
        if self.engine_mode not in ("run", "halt"):
            causes.append(f"the engine is in mode {self.engine_mode}: {self.engine_why}")
        for fault in self.faults:
            causes.append(f"{fault.role} {fault.name} is out of service: {fault.why}")
        causes += [_unwell(task) for task in self.tasks if _bad(task) and not _tells(task)]
        for feed in self.feeds:
            if not feed.connected or feed.stale:
                how = "stale" if feed.connected else "not connected"
                causes.append(f"feed {feed.name} is {how}" + _because(feed.last_error))
        for host in self.hosts:
            if host.reachable is False:
                causes.append(f"host {host.name} cannot be reached" + _because(host.last_error))
        return causes

    def latency(self, name: str) -> Quantiles:
        """The distribution of a latency of the contract; empty when nothing was measured."""
        return self.readings.summaries.get(name, Quantiles())


def _bad(task: TaskRow) -> bool:
    return task.state not in GOOD_TASK_STATES


def _unwell(task: TaskRow) -> str:
    return f"{task.name} is {task.state}" + _because(task.last_error)


def _because(error: str) -> str:
    return f": {error}" if error else ""


def _tells(task: TaskRow) -> bool:
    """Whether the task is a notifier's."""
    return task.name.startswith(NOTIFIER_TASKS)
