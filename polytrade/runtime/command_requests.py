"""The commands an operator may give the daemon, and its replies.

A handler sends a command and waits for the reply; the daemon's own task does the work, so a client
that vanishes cancels nothing. Money, prices and sizes are integers with the scale in the name.
"""

from typing import Final, TypeVar, final

import attrs
import trio

from polytrade.core.units import notional_e6_down
from polytrade.runtime.reload_requests import Reloads
from polytrade.runtime.report_requests import Reports

T = TypeVar("T")

COMMANDS_WAITING_MAX: Final = 16
"""Commands sent and not yet taken up: four times what the control plane lets in at once."""


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
    `reports` answers what changes nothing, `reloads` changes the configuration; None where there
    are none.
    """

    def __init__(self, reports: Reports | None = None, reloads: Reloads | None = None) -> None:
        self.reports = reports
        self.reloads = reloads
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
