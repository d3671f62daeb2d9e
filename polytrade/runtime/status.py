"""What an observer may know of the daemon, and the commands an operator may give it.

`DaemonStatus` is one consistent snapshot: the daemon makes it, the control plane, the metrics page
and the terminal read it, and none of them touches the engine. `Commands` goes the other way: a
handler sends a command and waits for the reply; the daemon's own task does the work, so a client
that vanishes cancels nothing.

Money, prices and sizes are integers with the scale in the name; only probabilities are floats.
"""

from collections.abc import Mapping
from typing import Final, TypeVar, final

import attrs
import trio

from polytrade.core.units import notional_e6_down
from polytrade.gates import GateResult
from polytrade.metrics import Quantiles, Readings
from polytrade.runtime.report_requests import Reports

T = TypeVar("T")

COMMANDS_WAITING_MAX: Final = 16
"""Commands sent and not yet taken up: four times what the control plane lets in at once."""

GOOD_TASK_STATES: Final = frozenset({"starting", "running", "done"})
"""Task states that do not degrade the daemon; any other (`waiting`, `parked`, `failed`) does."""


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
    window_id: int = 0
    readings: Readings = attrs.field(factory=Readings)
    quality: Mapping[str, object] = attrs.field(factory=dict)

    @property
    def ready(self) -> bool:
        """Whether the first valid book and the first reference tick have been seen."""
        return self.first_book_seen and self.first_reference_seen

    @property
    def health(self) -> str:
        """`halted`, `degraded` (a task, feed or host is not well, or orders only reduce), `ok`."""
        if self.engine_mode == "halt":
            return "halted"
        well = (
            self.engine_mode == "run"
            and all(task.state in GOOD_TASK_STATES for task in self.tasks)
            and all(feed.connected and not feed.stale for feed in self.feeds)
            and all(host.reachable is not False for host in self.hosts)
        )
        return "ok" if well else "degraded"

    def latency(self, name: str) -> Quantiles:
        """The distribution of a latency of the contract; empty when nothing was measured."""
        return self.readings.summaries.get(name, Quantiles())


@attrs.frozen
class Pause:
    """No new orders; resting orders are cancelled."""


@attrs.frozen
class Resume:
    """Quote again; `clear_halt` also leaves a halt."""

    clear_halt: bool = False


@attrs.frozen
class Flatten:
    """Cancel every order, then close every position."""


@attrs.frozen
class ResetShadow:
    """Begin a new measuring window."""


Command = Pause | Resume | Flatten | ResetShadow


@attrs.frozen
class PauseReply:
    """Whether the daemon is paused now."""

    paused: bool


@attrs.frozen(kw_only=True)
class Closed:
    """One position closed, in part or whole; `price_e4` is the average."""

    market: str
    slug: str
    token: str
    side: str
    size_e6: int
    price_e4: int

    @property
    def notional_e6(self) -> int:
        """The money it moved, rounded down."""
        return notional_e6_down(self.price_e4, self.size_e6)


@attrs.frozen(kw_only=True)
class Left:
    """What could not be closed, and why."""

    market: str
    slug: str
    token: str
    size_e6: int
    why: str


@attrs.frozen(kw_only=True)
class FlattenReply:
    """What a flatten did: ids of cancelled orders, positions closed, positions left."""

    cancelled: tuple[str, ...] = ()
    closed: tuple[Closed, ...] = ()
    left: tuple[Left, ...] = ()


@attrs.frozen
class ResetReply:
    """The number of the measuring window that began."""

    window_id: int


@attrs.frozen
class Refusal:
    """The command was not carried out: `code` for programs (`halted`, `busy`), why for people."""

    code: str
    message: str


STOPPING: Final = Refusal("stopping", "the daemon is stopping and takes no commands")

Reply = PauseReply | FlattenReply | ResetReply


@final
class CommandRequest:
    """A command on its way; the daemon answers it exactly once, synchronously.

    An answer nobody waits for any more is dropped.
    """

    __slots__ = ("_answered", "answer", "command")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.answer: Reply | Refusal | None = None
        self._answered = trio.Event()

    def reply(self, answer: Reply | Refusal) -> None:
        """Hand the answer to whoever waits."""
        if self.answer is not None:
            raise AssertionError(f"{self.command} was answered twice")
        self.answer = answer
        self._answered.set()

    async def wait_answer(self) -> Reply | Refusal:
        """The daemon's answer. Cancelling the wait does not cancel the command."""
        await self._answered.wait()
        if self.answer is None:
            raise AssertionError("woken without an answer")
        return self.answer


@final
class Commands:
    """The operator's side sends, the daemon's task takes from `requests` in order.

    A command is queued before its sender first waits, so a cancelled sender changes nothing.
    `reports` answers what changes nothing; None where none are made.
    """

    def __init__(self, reports: Reports | None = None) -> None:
        self.reports = reports
        self._send: trio.MemorySendChannel[CommandRequest]
        self.requests: trio.MemoryReceiveChannel[CommandRequest]
        self._send, self.requests = trio.open_memory_channel(COMMANDS_WAITING_MAX)

    async def pause(self) -> PauseReply | Refusal:
        """Pause quoting."""
        return _expected(await self._ask(Pause()), PauseReply)

    async def resume(self, clear_halt: bool = False) -> PauseReply | Refusal:
        """Resume quoting; refused with code `halted` while halted, unless `clear_halt`."""
        return _expected(await self._ask(Resume(clear_halt)), PauseReply)

    async def flatten(self) -> FlattenReply | Refusal:
        """Cancel every order and close every position; waits until that is done."""
        return _expected(await self._ask(Flatten()), FlattenReply)

    async def reset_shadow(self) -> ResetReply | Refusal:
        """Begin a new measuring window."""
        return _expected(await self._ask(ResetShadow()), ResetReply)

    def close(self) -> None:
        """The daemon takes no more commands: waiting and later ones are refused as `stopping`."""
        self._send.close()
        while True:
            try:
                self.requests.receive_nowait().reply(STOPPING)
            except (trio.EndOfChannel, trio.ClosedResourceError):
                break
        self.requests.close()

    async def _ask(self, command: Command) -> Reply | Refusal:
        request = CommandRequest(command)
        try:
            self._send.send_nowait(request)
        except trio.WouldBlock:
            return Refusal("busy", f"{COMMANDS_WAITING_MAX} commands wait already, try again")
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return STOPPING
        return await request.wait_answer()


def _expected(answer: Reply | Refusal, kind: type[T]) -> T | Refusal:
    if isinstance(answer, (kind, Refusal)):
        return answer
    raise AssertionError(f"expected {kind.__name__}, the daemon answered {answer!r}")
