"""The feeds of plugins: run beside the built-in ones, and replaced while the daemon trades.

Make before break: at a reload the new connections are opened first, and only when all of them are
up do the old ones go. Up is a feed from which something readable was heard; what it says before the
reload is in force reaches nobody. A new connection has a source name of its own (`deribit/1` after
`deribit/0`), so that the end of the old one is not mistaken for the end of the feed.
"""

import logging
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs
import trio

from polytrade.config import Config, Feeds
from polytrade.errors import PluginError
from polytrade.feed_events import fault_text
from polytrade.hookspecs import FEED, KINDS
from polytrade.lineup import Lineup
from polytrade.plugin_code import pass_on
from polytrade.reference import CODECS
from polytrade.reference.codec import FeedCodec
from polytrade.runtime.budget import Budget
from polytrade.runtime.feed_door import FeedDoor, OutOfService
from polytrade.runtime.feeds import (
    FeedLost,
    FeedPlan,
    feed_policy,
    link_settings,
    run_reference_feed,
)
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.links import FeedStatus, FeedTable, LinkSettings
from polytrade.runtime.socket import Connector
from polytrade.runtime.supervise import Policy, TaskTable, supervise
from polytrade.schema import values_of

log = logging.getLogger(__name__)

UP_S: Final = 5.0
"""Longest that new feeds may take to be up: five times a slow TLS handshake with its hello."""
FAILURES_MAX: Final = 50
"""Failures in a row after which a plugin's feed is parked where the operator sets no number: about
twelve minutes of the longest delays. The reference exchanges are tried for ever."""
FEEDS_MAX: Final = 32
"""Feeds of plugins at once: each is a connection, a task and a socket."""
STEP: Final = "feeds"
QUIET: Final = "it is connected, and nothing readable was heard"
OUT: Final = Policy(failures_max=1)
"""For the task of a feed that is out of service: it rests, and says why."""


@attrs.frozen(kw_only=True)
class Wanted:
    """A feed of a lineup: its codec, and what makes it the same feed as another lineup's.

    `line` is the version and digest of the plugin (`PluginInfo.line`).
    """

    codec: FeedCodec
    plugin: str
    version: str
    line: str
    factory: Any
    settings: Mapping[str, Any]

    def same(self, other: "Wanted") -> bool:
        """Whether the other is of the same code with the same settings."""
        return (
            self.factory is other.factory
            and self.settings == other.settings
            and (self.plugin, self.line) == (other.plugin, other.line)
        )

    def fault(self, reason: str) -> PluginError:
        """The error of a feed that cannot be run."""
        return PluginError(self.plugin, self.version, reason, STEP)


def wanted_feeds(lineup: Lineup, config: Config) -> dict[str, Wanted]:
    """The feeds that a lineup, built for this configuration, wants to run, by name."""
    wanted: dict[str, Wanted] = {}
    for name, codec in lineup.feeds.items():
        assert lineup.catalogue is not None, "feeds come from a catalogue"
        offer = lineup.catalogue.factories[FEED, name]
        info = lineup.catalogue.plugins[offer.plugin]
        wanted[name] = Wanted(
            codec=codec,
            plugin=info.name,
            version=info.version,
            line=info.line,
            factory=offer.factory,
            settings=values_of(offer.factory, KINDS[FEED], name, config),
        )
    return wanted


@attrs.define(eq=False)
class _Running:
    """A feed with its task, and its way into the inbox."""

    wanted: Wanted
    plan: FeedPlan
    link: LinkSettings
    status: FeedStatus
    door: FeedDoor
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Change:
    """New feeds that are up beside those they replace: take it with `commit`, or leave it with
    `abort`. Neither waits; after one of them the other does nothing.

    `codecs` are those that run on because their feeds are the same: a lineup should hold these.
    """

    def __init__(self, feeds: "PluginFeeds", new: dict[str, _Running], kept: list[str]) -> None:
        self._feeds = feeds
        self._new = new
        self._kept = kept
        self._open = True
        self.codecs = {name: feeds._running[name].wanted.codec for name in kept}

    def commit(self) -> None:
        """From now on the new feeds run; those replaced or not wanted any more are stopped."""
        if self._open:
            self._open = False
            self._feeds._take(self._new, self._kept)

    def abort(self) -> None:
        """Stop the new feeds; what ran before runs on."""
        if self._open:
            self._open = False
            self._feeds._leave(self._new)


class PluginFeeds:
    """The running feeds of plugins. `run` holds their tasks; `stage` and `swap` replace them.

    `first` are those to begin with. `tell` is told the name of a feed that is taken out of service,
    and why: it took longer than `budget` allows. It comes back when it is made anew.
    """

    def __init__(
        self,
        feeds: Feeds,
        *,
        connect: Connector,
        inbox: Inbox,
        tasks: TaskTable,
        statuses: FeedTable,
        hosts: HostTable,
        rng: random.Random,
        budget: Budget,
        first: Mapping[str, Wanted] | None = None,
    ) -> None:
        self.tell: Callable[[str, str], None] = _nothing
        self._feeds = feeds
        self._budget = budget
        self._first = first or {}
        self._connect = connect
        self._inbox = inbox
        self._tasks = tasks
        self._statuses = statuses
        self._hosts = hosts
        self._rng = rng
        self._policy = _policy(feeds)
        self._running: dict[str, _Running] = {}
        self._nursery: trio.Nursery | None = None
        self._staged = False

    async def run(self) -> None:
        """Run the feeds until cancelled; the first ones need not come up.

        Raises (in a group) PluginError when one of these cannot even be tried, and what must end
        the process. A feed that fails is tried again, and parked in the end.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                self._begin()
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def _begin(self) -> None:
        # Not in `run`, whose frame would keep the first codecs as long as it runs.
        first, self._first = self._first, {}
        self._running = self._prepared(first, shut=False)
        for name, running in self._running.items():
            self._start(name, running)

    def names(self) -> list[str]:
        """The feeds that run, parked ones included, sorted."""
        return sorted(self._running)

    def faults(self) -> dict[str, str]:
        """The feeds that are out of service, and why."""
        return {name: it.door.out for name, it in self._running.items() if it.door.out}

    async def swap(self, wanted: Mapping[str, Wanted], *, anew: bool = False) -> None:
        """Run these feeds and no others; PluginError when not all new ones are up within `UP_S`.

        When it raises, or is cancelled, nothing has changed.
        """
        change = await self.stage(wanted, anew=anew)
        change.commit()

    async def stage(self, wanted: Mapping[str, Wanted], *, anew: bool = False) -> Change:
        """Start what is new or different in `wanted`, and wait until all of it is up.

        Feeds of the same code and settings are not touched, unless they are out of service and
        wanted `anew`. PluginError as `swap`; cancelled, the new feeds are stopped.
        """
        assert not self._staged, "one change at a time"
        assert self._nursery is not None, "run holds the tasks"
        self._staged = True
        kept = self._same(wanted, anew)
        new: dict[str, _Running] = {}
        try:
            changed = {name: it for name, it in wanted.items() if name not in kept}
            new = self._prepared(changed, shut=True)
            for name, running in new.items():
                self._start(name, running)
            with trio.move_on_after(UP_S):
                await trio.lowlevel.checkpoint()
                for running in new.values():
                    await running.door.heard.wait()
            for name, running in new.items():
                if running.door.out or not running.door.heard.is_set():
                    raise running.wanted.fault(self._why_down(name, running))
        except BaseException:
            self._leave(new)
            raise
        return Change(self, new, kept)

    def _same(self, wanted: Mapping[str, Wanted], anew: bool) -> list[str]:
        return [
            name
            for name, it in wanted.items()
            if (running := self._running.get(name)) is not None
            and running.wanted.same(it)
            and not (anew and running.door.out)
        ]

    def _why_down(self, name: str, running: _Running) -> str:
        error = self._tasks.row(running.plan.source).last_error or running.status.last_error
        if not error and running.status.connected:
            error = f"{QUIET}; one that is quiet so long can be switched on at a start only"
        return f"{name!r} is not up within {UP_S:g} s" + (f": {error}" if error else "")

    def _prepared(self, wanted: Mapping[str, Wanted], *, shut: bool) -> dict[str, _Running]:
        """The feeds, ready to start; those without anything to subscribe are left out."""
        if len(wanted) > FEEDS_MAX:
            first = next(iter(wanted.values()))
            raise first.fault(f"expected at most {FEEDS_MAX} feeds, found {len(wanted)}")
        ready: dict[str, _Running] = {}
        for name, it in wanted.items():
            try:
                if not it.codec.hello():
                    log.info("feed %s is off: it lists none of universe.coins", name)
                    continue
                ready[name] = self._plan(name, it, shut)
            except trio.Cancelled:
                raise
            except BaseException as error:
                pass_on(error)
                for running in ready.values():
                    self._statuses.forget(running.plan.source)
                raise it.fault(f"{name!r}: {fault_text(error)}") from error
        return ready

    def _plan(self, name: str, wanted: Wanted, shut: bool) -> _Running:
        codec = wanted.codec
        if codec.name in CODECS:
            raise ValueError(f"its ticks would be those of {codec.name!r}, which is built in")
        used = {row.source for row in self._statuses.rows()}
        source = next(text for n in range(len(used) + 1) if (text := f"{name}/{n}") not in used)
        plan = FeedPlan(source, codec.default_url, codec)
        link = link_settings(plan, self._feeds)
        if not (link.silence_s > 0 and link.ping_interval_s > 0 and codec.max_age_s > 0):
            raise ValueError("expected silence_s, ping_interval_s and max_age_s above 0")
        door = FeedDoor(codec, source, self._inbox, self._budget, shut=shut)
        status = self._statuses.open(source, plan.url)
        status.url = plan.url
        status.stale_s = link.silence_s
        return _Running(wanted, plan, link, status, door)

    def _start(self, name: str, running: _Running) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._run_one, name, running, name=f"feed {name}")

    async def _run_one(self, name: str, running: _Running) -> None:
        source = running.plan.source
        run = partial(self._until_out, name, running)
        try:
            with running.scope:
                await supervise(source, run, self._policy, table=self._tasks, rng=self._rng)
                out = partial(_rest, running.door.out)
                await supervise(source, out, OUT, table=self._tasks, rng=self._rng)
        finally:
            self._statuses.forget(source)
            self._tasks.forget(source)
            self._hosts.forget(source)

    async def _until_out(self, name: str, running: _Running) -> None:
        """Run the feed; returns only when it is out of service."""
        try:
            await run_reference_feed(
                running.plan,
                connect=self._connect,
                inbox=running.door,
                settings=running.link,
                status=running.status,
                hosts=self._hosts,
            )
        except FeedLost:
            if not running.door.out:
                raise
        if self._running.get(name) is running:
            self.tell(name, running.door.out)

    def _take(self, new: dict[str, _Running], kept: list[str]) -> None:
        old = self._running
        self._running = {name: old[name] for name in kept} | new
        for name, running in new.items():
            running.door.open()
            if running.door.out:
                self.tell(name, running.door.out)
        for name, running in old.items():
            if self._running.get(name) is not running:
                running.scope.cancel()
        self._staged = False

    def _leave(self, new: dict[str, _Running]) -> None:
        for running in new.values():
            running.scope.cancel()
        self._staged = False


def _policy(feeds: Feeds) -> Policy:
    policy = feed_policy(feeds)
    return attrs.evolve(policy, failures_max=policy.failures_max or FAILURES_MAX)


async def _rest(why: str) -> None:
    await trio.lowlevel.checkpoint()
    raise OutOfService(why)


def _nothing(_name: str, _why: str) -> None:
    return None
