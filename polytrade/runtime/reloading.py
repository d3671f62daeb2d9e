"""The reload task: one transaction at a time, between two events, all of it or nothing.

Validate, try in a child, load aside in a thread, rehearse the hand-over, start new feeds, swap by
the event `LineupSwapped`, retire the old. Neither a failure before the swap nor a client that
vanishes changes anything: the work is this task's.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final, TypeVar, final

import attrs
import orjson
import structlog
import trio

from polytrade import strict
from polytrade.catalogue import Catalogue, commit
from polytrade.config import Config
from polytrade.core.events import LineupSwapped
from polytrade.core.units import MS_NS
from polytrade.errors import ConfigError, PluginError, Problem
from polytrade.hookspecs import Kind
from polytrade.lineup import (
    Changes,
    Lineup,
    build_lineup,
    changes_since,
    dump_states,
)
from polytrade.runtime.notices import Notices
from polytrade.runtime.plugin_feeds import PluginFeeds, wanted_feeds
from polytrade.runtime.rehearsal import rehearsal, run_probe, standing_states
from polytrade.runtime.reload_history import History, Kept, Outcome
from polytrade.runtime.reload_plan import (
    Plan,
    Refused,
    plan,
    possible_kinds,
    refusal_of,
    reloaded_config,
    wanted_config,
)
from polytrade.runtime.reload_requests import (
    BUSY,
    CONFIG,
    ENDPOINTS,
    FAILED,
    NOTHING_BELOW,
    PLUGINS,
    ROLLBACK,
    STALE,
    STOPPING,
    ReloadRefused,
    ReloadReply,
    ReloadRequest,
    effective,
)
from polytrade.runtime.reload_steps import (
    concerns_plugins,
    listed,
    load,
    plugin_rows,
    rehearsed,
    sections,
)
from polytrade.runtime.strategy import Strategy

log = structlog.get_logger(__name__)

T = TypeVar("T")

WAITING_MAX: Final = 16
"""Reloads sent and not yet taken up."""
BROKEN: Final = ReloadRefused(code="failed", message="the reload was interrupted by a fault")
STOPPED: Final = ReloadRefused(code=STOPPING, message="the daemon is stopping and reloads nothing")


@final
class _Pending:
    """A request on its way, answered exactly once."""

    __slots__ = ("answer", "done", "request")

    def __init__(self, request: ReloadRequest) -> None:
        self.request = request
        self.answer: ReloadReply | ReloadRefused | None = None
        self.done = trio.Event()

    def reply(self, answer: ReloadReply | ReloadRefused) -> None:
        if self.answer is None:
            self.answer = answer
            self.done.set()


@final
class Reloader:
    """`Reloads` for the control plane; `run` is the task that does the work.

    `wrap` puts stopwatches around a lineup; `check` raises Refused for a configuration that this
    run cannot take; each of `appliers` is told a configuration once it is in force. `folder` is
    that of the reports, `base` the configuration of the start as loaded.
    """

    def __init__(
        self,
        strategy: Strategy,
        folder: Path,
        base: Config,
        *,
        feeds: PluginFeeds,
        notices: Notices,
        wrap: Callable[[Lineup], Lineup],
        check: Callable[[Config], None],
        appliers: Sequence[Callable[[Config], None]] = (),
    ) -> None:
        self.kept = History(folder)
        self.swap_pause_us, self._began_s = 0, 0.0
        self.accepted: Callable[[ReloadRequest], None] = _nothing
        self._strategy = strategy
        self._session = strategy.session
        self._feeds = feeds
        self._notices = notices
        self._wrap = wrap
        self._check = check
        self._appliers = appliers
        self._base = base
        self._limiter = trio.CapacityLimiter(1)
        catalogue = strategy.session.lineup.catalogue
        assert catalogue is not None, "a lineup is built from a catalogue"
        self._catalogue: Catalogue = catalogue
        self._since = dict.fromkeys(catalogue.plugins, self.generation)
        self._scope: trio.CancelScope | None = None
        self._send: trio.MemorySendChannel[_Pending]
        self._requests: trio.MemoryReceiveChannel[_Pending]
        self._send, self._requests = trio.open_memory_channel(WAITING_MAX)

    # -- what others ask --------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """The generation in force."""
        return self._session.generation

    async def reload(self, request: ReloadRequest) -> ReloadReply | ReloadRefused:
        """Carry a request out in its turn. Cancelling the wait cancels nothing else."""
        pending = _Pending(request)
        try:
            self._send.send_nowait(pending)
        except trio.WouldBlock:
            return ReloadRefused(code=BUSY, message=f"{WAITING_MAX} reloads wait already")
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return STOPPED
        await pending.done.wait()
        assert pending.answer is not None, "woken without an answer"
        return pending.answer

    async def changes(self) -> Changes:
        """What pip did since the plugins in force were loaded; imports nothing."""
        disabled = self._session.config.plugins.disabled
        return await self._aside(partial(changes_since, self._catalogue, disabled))

    def plugins(self) -> list[dict[str, Any]]:
        """Every plugin known, whether something of it is in use, and what is wrong with it."""
        session = self._session
        return plugin_rows(self._catalogue, session.lineup, session.engine.faults, self._since)

    def history(self) -> list[dict[str, Any]]:
        """Accepted and refused reloads, newest last, bounded."""
        return list(self.kept.rows)

    def close(self) -> None:
        """Take no more, end what is under way, and refuse what waits."""
        self._send.close()
        if self._scope is not None:
            self._scope.cancel()
        while True:
            try:
                self._requests.receive_nowait().reply(STOPPED)
            except (trio.EndOfChannel, trio.ClosedResourceError):
                break

    # -- the task ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until closed. A reload under way then, or at a crash, is answered."""
        with trio.CancelScope() as self._scope:
            async for pending in self._requests:
                try:
                    await self._serve(pending)
                except Exception:
                    pending.reply(BROKEN)
                    raise
                finally:
                    pending.reply(STOPPED)  # an answer given before stands

    async def _serve(self, pending: _Pending) -> None:
        request, began_ns, self._began_s = pending.request, perf_counter_ns(), trio.current_time()
        log.info("reload", name=request.name, who=request.who, patch=request.told())
        try:
            answer: ReloadReply | ReloadRefused = await self._carry_out(request)
        except Refused as refused:
            answer = refused.refusal
        except PluginError as error:
            answer = ReloadRefused(
                code=FAILED,
                message=error.reason,
                step=error.step,
                plugin=f"{error.name} {error.version}".strip(),
            )
        except ConfigError as error:
            answer = refusal_of(error, request)
        took_ms = (perf_counter_ns() - began_ns) / MS_NS
        if isinstance(answer, ReloadRefused):
            log.warning("reload refused", step=answer.step, error=answer.message)
            self._notices.reload_refused(
                request.who, answer.step or answer.code, answer.message, plugin=answer.plugin
            )
            ts_ns, pause_us = self._now(), 0
        else:
            log.info("reloaded", generation=answer.generation, took_ms=round(took_ms, 1))
            ts_ns, pause_us = answer.applied_at_ns, self.swap_pause_us
            self.accepted(request)
        pending.reply(answer)
        await self.kept.add(
            Outcome(
                ts_ns=ts_ns,
                request=request,
                answer=answer,
                generation=self.generation,
                took_ms=took_ms,
                plugins=dict(self._session.lineup.plugins),
                pause_us=pause_us,
            )
        )

    async def _carry_out(self, request: ReloadRequest) -> ReloadReply:
        expected = request.expected_generation
        if expected is not None and expected != self.generation:
            message = f"generation {self.generation} is in force, not {expected}"
            raise Refused(ReloadRefused(code=STALE, message=message, field="expected_generation"))
        if request.name == ROLLBACK:
            return await self._roll_back(request)
        changes = await self.changes() if request.name == PLUGINS else None
        current = Kept(self.generation, self._session.config, self._catalogue)
        kinds: list[Kind | None] = [*possible_kinds(request, self._catalogue)] or [None]
        for index, kind in enumerate(kinds):
            try:
                config = await self._wanted(current.config, request, kind)
                self._check(config)
                ts_ns = await self._renew(config, request)
                break
            except Refused as refused:
                # A name nobody offered before may be of any kind that the endpoint switches.
                if refused.refusal.step != "find" or index + 1 == len(kinds):
                    raise
        self.kept.below.append(current)
        return self._reply(request, ts_ns, changes)

    async def _wanted(self, current: Config, request: ReloadRequest, kind: Kind | None) -> Config:
        if request.name != CONFIG:
            return wanted_config(current, request, kind)
        assert request.load is not None, "what reloads the configuration can load it"
        return reloaded_config(current, self._base, await self._aside(request.load))

    async def _roll_back(self, request: ReloadRequest) -> ReloadReply:
        below = self.kept.below
        if not below:
            message = "no generation below this one is kept"
            raise Refused(ReloadRefused(code=NOTHING_BELOW, message=message))
        kept = below[-1]
        why = f"rollback to generation {kept.generation}"
        told = f"{why} by {request.who}" + (f": {request.why}" if request.why else "")
        ts_ns = await self._exchange(kept.config, kept.catalogue, told, listed(request))
        below.pop()
        return self._reply(request, ts_ns, None)

    def _reply(self, request: ReloadRequest, ts_ns: int, changes: Changes | None) -> ReloadReply:
        config = self._session.config
        if request.name in ENDPOINTS:
            groups: dict[str, Any] = effective(request.name, config)
        else:
            groups = {"config": strict.to_dict(config)}
        return ReloadReply(
            generation=self.generation, applied_at_ns=ts_ns, effective=groups, changes=changes
        )

    async def _renew(self, config: Config, request: ReloadRequest) -> int:
        """Load what the configuration needs, and put it in force; when that was."""
        current, catalogue = self._session.config, self._catalogue
        told = request.why or f"{request.name} by {request.who}"
        named = listed(request)
        if not named and not concerns_plugins(current, config):
            # Nothing that a plugin is made of: whatever state they are in, this must be possible.
            ts_ns = await self._swap(config, self._session.lineup, told, named)
            self._apply(config)
            return ts_ns
        planned = await self._aside(partial(plan, current, config, request, catalogue))
        if planned.tried:
            await self._try(planned, request)
            catalogue = await self._aside(partial(load, planned, catalogue))
        return await self._exchange(config, catalogue, told, named)

    async def _try(self, planned: Plan, request: ReloadRequest) -> None:
        """Let a child try what is planned; raises what it found."""
        rows = await rehearsal(self._strategy)
        states = standing_states(self._session.lineup, planned.config)
        answer = await run_probe(planned.config, rows, planned.wanted, states, self._began_s)
        if answer.ok:
            log.info("probe", calls=answer.calls, worst_us=answer.worst_call_us, worst=answer.worst)
            return
        if answer.field:
            said = answer.why.removesuffix(f" @ {answer.field}")
            fault = ConfigError(Problem(said, answer.field, answer.allowed))
            raise Refused(refusal_of(fault, request))
        raise answer.failure()

    # -- the swap ---------------------------------------------------------------------------------

    async def _exchange(
        self, config: Config, catalogue: Catalogue, why: str, listed: Collection[str]
    ) -> int:
        """Build, hand over on copies, start feeds, swap, retire; the time of the swap."""
        copy = await self._aside(partial(build_lineup, config, catalogue, checked=False))
        states = dump_states(self._session.lineup, copy)
        lineup = await self._aside(partial(rehearsed, copy, states, config, catalogue))
        del copy, states
        wanted = wanted_feeds(lineup, config)
        lineup = attrs.evolve(lineup, feeds={**lineup.feeds, **self._feeds.unchanged(wanted)})
        change = await self._feeds.stage(wanted)
        try:
            ts_ns = await self._swap(config, self._wrap(lineup), why, listed)
        except BaseException:
            change.abort()
            raise
        change.commit()
        retired, self._catalogue = self._catalogue, catalogue
        commit(catalogue, retired)
        self._note_versions(retired)
        self._apply(config)
        self._notices.configure(lineup.notifiers)
        return ts_ns

    def _apply(self, config: Config) -> None:
        for apply in self._appliers:
            apply(config)

    async def _swap(self, config: Config, lineup: Lineup, why: str, listed: Collection[str]) -> int:
        """Stage the lineup and wait until the engine took the event; when that was.

        Not bounded: once the event is queued it will be taken, late or not.
        """
        session, generation = self._session, self.generation + 1
        session.stage(generation, lineup, config)
        event = LineupSwapped(
            self._now(),
            generation,
            sections(session.config, config, listed),
            orjson.dumps(dict(lineup.plugins), option=orjson.OPT_SORT_KEYS).decode(),
            why,
        )
        with self._timed(event):
            self._strategy.inbox.put(event)
            await self._strategy.wait_until(lambda: session.generation >= generation)
        return event.ts_ns

    @contextmanager
    def _timed(self, swap: LineupSwapped) -> Iterator[None]:
        """Measure how long the engine is held up by the event."""

        def listen(event: Any, _effects: Any) -> None:
            if event is swap:
                took_ns = perf_counter_ns() - self._strategy.onlookers.began_ns
                self.swap_pause_us = took_ns // 1_000

        self._strategy.listeners.append(listen)
        try:
            yield
        finally:
            self._strategy.listeners.remove(listen)

    def _note_versions(self, before: Catalogue) -> None:
        for name, info in self._catalogue.plugins.items():
            known = before.plugins.get(name)
            if known is None or known.line != info.line:
                self._since[name] = self.generation

    def _now(self) -> int:
        return self._strategy.inbox.now_ns()

    async def _aside(self, work: Callable[[], T]) -> T:
        """Do the work in a thread, one at a time; a stop leaves it to itself."""
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)


def _nothing(_request: ReloadRequest) -> None:
    return None
