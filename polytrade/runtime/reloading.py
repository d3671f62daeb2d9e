"""The reload task: one transaction at a time, between two events, all of it or nothing.

Validate, try in a child, load aside in a thread, rehearse the hand-over, start new feeds, swap by
the event `LineupSwapped`, retire the old. Neither a failure before the swap nor a client that
vanishes changes anything: the work is this task's.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final, TypeVar, final

import attrs
import structlog
import trio

from polytrade.catalogue import Catalogue, commit
from polytrade.config import Config
from polytrade.core.units import MS_NS
from polytrade.distributions import find_plugins
from polytrade.errors import ConfigError, PluginError
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
from polytrade.runtime.plugin_rows import plugin_rows
from polytrade.runtime.rehearsal import rehearsal, run_probe, standing_states
from polytrade.runtime.reload_history import History, Kept, Outcome
from polytrade.runtime.reload_plan import (
    Plan,
    plan,
    possible_kinds,
    reloaded_config,
    wanted_config,
)
from polytrade.runtime.reload_refusals import (
    Refused,
    refusal_of,
    refusal_of_plugin,
    refusal_of_trial,
)
from polytrade.runtime.reload_requests import (
    BUSY,
    CONFIG,
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
    rehearsed,
    to_try,
)
from polytrade.runtime.reload_texts import changed_settings
from polytrade.runtime.strategy import Strategy
from polytrade.runtime.swapping import Swapper

log = structlog.get_logger(__name__)

T = TypeVar("T")

WAITING_MAX: Final = 16
"""Reloads sent and not yet taken up."""
BROKEN: Final = ReloadRefused(code="failed", message="the reload was interrupted by a fault")
LOOK_S: Final = 2.0
"""How long who asks for plugins waits for the disk, where a reload may be at work."""
ASIDE_S: Final = 30.0
"""For what is done in a thread: loading the largest plugin takes a tenth of a second."""
HANGS: Final = ReloadRefused(
    code="failed",
    message=f"plugin code does not end within {ASIDE_S:g} s outside its trial, in this reload or an"
    " earlier one: only a restart ends it",
)
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

    `wrap` puts stopwatches around a lineup; each of `appliers` is told a configuration once it is
    in force. `folder` is that of the reports, `base` the configuration of the start as loaded.
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
        appliers: Sequence[Callable[[Config], None]] = (),
    ) -> None:
        self.kept = History(folder, strategy.inbox.put)
        self.swapper = Swapper(strategy)
        self._began_s = 0.0
        self.accepted: Callable[[ReloadRequest], None] = _nothing
        self._strategy = strategy
        self._session = strategy.session
        self._feeds = feeds
        self._notices = notices
        self._wrap = wrap
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

    async def plugins(self) -> list[dict[str, Any]]:
        """Every plugin known or installed: what of it is in use, what is wrong, what is on disk."""
        found, now = None, self._session
        with trio.move_on_after(LOOK_S):
            found = await self._aside(find_plugins)
        disabled = now.config.plugins.disabled
        told = (now.engine, self._since, found, disabled, self._feeds.faults())
        return plugin_rows(self._catalogue, now.lineup, *told)

    def history(self) -> list[dict[str, Any]]:
        """Accepted and refused reloads, newest last, bounded."""
        return list(self.kept.rows)

    def close(self) -> None:
        """Take no more, end what is under way, and refuse what waits.

        A swap whose event is queued will be taken, and is told as what it is.
        """
        self._send.close()
        if self._scope is not None and not self.swapper.queued:
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
        before = self._session.config
        self.swapper.begin()
        log.info("reload", name=request.name, who=request.who, patch=request.told())
        try:
            answer: ReloadReply | ReloadRefused = await self._carry_out(request)
        except Refused as refused:
            answer = refused.refusal
        except PluginError as error:
            answer = refusal_of_plugin(error)
        except ConfigError as error:
            answer = refusal_of(error, request, before, catalogue=self._catalogue)
        changed = changed_settings(before, self._session.config)
        took_ms = (perf_counter_ns() - began_ns) / MS_NS
        if isinstance(answer, ReloadRefused):
            log.warning("reload refused", step=answer.step, error=answer.message)
            self._notices.reload_refused(
                request.who, answer.step or answer.code, answer.message, plugin=answer.plugin
            )
            ts_ns, pause_us = self._now(), 0
        else:
            log.info(
                "reloaded", generation=answer.generation, changed=changed, took_ms=round(took_ms, 1)
            )
            ts_ns, pause_us = answer.applied_at_ns, self.swapper.pause_us
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
                changed=changed,
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
        ts_ns = await self._exchange(
            kept.config, kept.catalogue, told, listed(request), lenient=True
        )
        below.pop()
        return self._reply(request, ts_ns, None)

    def _reply(self, request: ReloadRequest, ts_ns: int, changes: Changes | None) -> ReloadReply:
        session = self._session
        return ReloadReply(
            generation=self.generation,
            applied_at_ns=ts_ns,
            effective=effective(request.name, session.config, session.lineup),
            changes=changes,
            plugins=session.lineup.plugins,
        )

    async def _renew(self, config: Config, request: ReloadRequest) -> int:
        """Load what the configuration needs, and put it in force; when that was."""
        current, catalogue = self._session.config, self._catalogue
        told = request.why or f"{request.name} by {request.who}"
        named = listed(request)
        if not named and not concerns_plugins(current, config):
            # Nothing that a plugin is made of: whatever state they are in, this must be possible.
            ts_ns = await self.swapper.swap(config, self._session.lineup, told, named)
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
        config, wanted = await self._aside(partial(to_try, planned, self._catalogue))
        with self.swapper.held():
            states = standing_states(self._session.lineup, config)
        answer = await run_probe(config, rows, wanted, states, self._began_s)
        if answer.ok:
            log.info("probe", calls=answer.calls, worst_us=answer.worst_call_us, worst=answer.worst)
            return
        if answer.field:
            current = self._session.config
            raise Refused(refusal_of_trial(answer, request, current, self._catalogue, planned))
        raise answer.failure()

    # -- the swap ---------------------------------------------------------------------------------

    async def _exchange(
        self,
        config: Config,
        catalogue: Catalogue,
        why: str,
        listed: Collection[str],
        *,
        lenient: bool = False,
    ) -> int:
        """Build, hand over on copies, start feeds, swap, retire; the time of the swap."""
        copy = await self._aside(partial(build_lineup, config, catalogue, checked=False))
        with self.swapper.held():
            states = dump_states(self._session.lineup, copy, self._session.engine.faults)
        lineup = await self._aside(
            partial(rehearsed, copy, states, config, catalogue, lenient=lenient)
        )
        del copy, states
        change = await self._feeds.stage(wanted_feeds(lineup, config), anew="plugins" in listed)
        lineup = attrs.evolve(lineup, feeds={**lineup.feeds, **change.codecs})
        try:
            ts_ns = await self.swapper.swap(config, self._wrap(lineup), why, listed)
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

    def _note_versions(self, before: Catalogue) -> None:
        for name, info in self._catalogue.plugins.items():
            known = before.plugins.get(name)
            if known is None or known.line != info.line:
                self._since[name] = self.generation

    def _now(self) -> int:
        return self._strategy.inbox.now_ns()

    async def _aside(self, work: Callable[[], T]) -> T:
        """Do the work in a thread, one at a time; a stop leaves it to itself.

        Refused when it does not end: what hangs keeps its place, so that none comes after it.
        """
        with trio.move_on_after(ASIDE_S):
            return await trio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._limiter
            )
        raise Refused(HANGS)


def _nothing(_request: ReloadRequest) -> None:
    return None
