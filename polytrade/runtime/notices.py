"""Notifiers at work: a bounded queue and a supervised task each, outside of trading.

Putting a notice never waits and never fails; whatever a notifier raises, `sys.exit` too, costs
its own notices alone. One that blocks holds everything up.
Delivery is at least once: what a failed attempt may already have told is told again.
"""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, final

import attrs
import httpx2
import structlog
import trio

from polytrade import __version__, secrets
from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import Event
from polytrade.notices import (
    ALARM,
    RELOAD,
    Notice,
    Notifier,
    NotifyError,
    Operator,
)
from polytrade.plugin_code import faults_dropped, last_line, pass_on, text_of
from polytrade.runtime.logs import register_secret
from polytrade.runtime.notice_fold import NoticeFold, shown
from polytrade.runtime.notice_queue import Post
from polytrade.runtime.supervise import (
    Policy,
    RetryLater,
    TaskTable,
    supervise,
)

log = structlog.get_logger(__name__)

GATHER_S: Final = 3.0
"""News is gathered this long before it is sent: 20 messages a minute at most, which is what chat
services allow a group."""
NOTIFY_S: Final = 30.0
"""Longest a notifier may take for a batch."""
ASKED_S_MAX: Final = 3600.0
"""Longest a receiver's own `retry_after_s` is obeyed."""
ASKED_MAX: Final = 5
"""Times in a row a receiver may ask for peace before that counts as a failure."""
FLUSH_S: Final = 3.0
"""Longest a stop, or a notifier taken out by a reload, waits for what is queued."""
REQUEST_S: Final = 10.0
CONNECTIONS_MAX: Final = 16
"""Connections of all notifiers together, apart from those of the feeds."""

NOTIFIER: Final = Policy(delay_s_min=1.0, delay_s_max=300.0, failures_max=60)
"""A notifier that fails sixty times in a row, in about two hours, is parked; a reload wakes it."""
LISTENER: Final = Policy(delay_s_min=1.0, delay_s_max=60.0)
"""Commands are listened for as long as the daemon runs: they are how it is stopped from afar."""


@attrs.frozen(kw_only=True)
class NotifierRow:
    """One notifier as observers see it; `dropped` counts notices that never will be told."""

    name: str
    queued: int
    delivered: int
    dropped: int


def new_notifier_client() -> httpx2.AsyncClient:
    """The HTTP client of all notifiers: own connections, no redirects."""
    return httpx2.AsyncClient(
        headers={"User-Agent": f"polytrade/{__version__}"},
        follow_redirects=False,
        timeout=httpx2.Timeout(REQUEST_S),
        limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
    )


@final
class Notices:
    """The notifiers of the lineup in force and what they are told.

    `observe` is a listener of the strategy, `run` a task that lives as long as the daemon.
    `operator` is what notifiers that take commands may do; None when nothing may be commanded.
    """

    def __init__(
        self,
        engine: Engine,
        now_ns: Callable[[], int],
        *,
        tasks: TaskTable,
        rng: random.Random,
        operator: Operator | None = None,
        client: Callable[[], httpx2.AsyncClient] = new_notifier_client,
    ) -> None:
        self.failed = ""
        self._fold = NoticeFold(engine, self._put)
        self._now_ns = now_ns
        self._tasks = tasks
        self._rng = rng
        self._operator = operator
        self._new_client = client
        self._client: httpx2.AsyncClient | None = None
        self._nursery: trio.Nursery | None = None
        self._posts: dict[str, Post] = {}
        secrets.listen(register_secret)

    def rows(self) -> list[NotifierRow]:
        """How each notifier of the lineup is doing."""
        return [
            NotifierRow(
                name=post.name, queued=len(post), delivered=post.delivered, dropped=post.dropped
            )
            for post in self._posts.values()
        ]

    def configure(self, notifiers: Mapping[str, Notifier]) -> None:
        """From now on these; one that equals its predecessor leaves that one undisturbed.

        A new object takes over the queue of the old one of its name. One taken out has `FLUSH_S` to
        deliver what is queued.
        """
        for name in [name for name in self._posts if name not in notifiers]:
            self._retire(self._posts.pop(name))
        for name, notifier in notifiers.items():
            post = self._posts.get(name)
            if post is None:
                post = self._posts[name] = Post(name, notifier)
                if self._nursery is not None:
                    self._nursery.start_soon(self._serve, post)
            elif not _same(post.notifier, notifier):
                post.employ(notifier)
                post.scope.cancel()

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event`; never raises: a fold that fails is switched off."""
        if self.failed:
            return
        try:
            self._fold.observe(event, effects)
        except Exception as error:
            self._fail(error)

    def tell(self, kind: str, text: str, data: Mapping[str, object] | None = None) -> None:
        """Say something that no event says; texts of `data` may have secrets, too."""
        told = {name: shown(it) if isinstance(it, str) else it for name, it in (data or {}).items()}
        self._put(Notice(kind, self._now_ns(), shown(text), told))

    def alarm(self, name: str, detail: str) -> None:
        """Raise an alarm that no effect raises."""
        self.tell(ALARM, f"{name}: {detail}", {"name": name, "detail": detail})

    def reload_refused(self, who: str, step: str, why: str, plugin: str = "") -> None:
        """A reload was refused at this step; nothing has changed."""
        where = f"{step}, {plugin}" if plugin else step
        data = {"ok": False, "who": who, "step": step, "plugin": plugin, "why": why}
        self.tell(RELOAD, f"reload refused ({where}): {why}", data)

    def stopped(self, why: str) -> None:
        """The daemon stops: say so, with the day so far."""
        try:
            self._fold.stopped(self._now_ns(), why)
        except Exception as error:
            self._fail(error)

    async def run(self) -> None:
        """Serve the notifiers until cancelled."""
        async with self._new_client() as client, trio.open_nursery() as nursery:
            self._client, self._nursery = client, nursery
            try:
                for post in self._posts.values():
                    nursery.start_soon(self._serve, post)
                await trio.sleep_forever()
            finally:
                self._nursery = self._client = None

    async def finish(self) -> None:
        """Deliver what is queued, for at most `FLUSH_S`, and end every notifier; for a stop.

        Nothing is awaited of a notifier that is parked or waits for its next attempt.
        """
        posts, self._posts = list(self._posts.values()), {}
        for post in posts:
            self._retire(post)
        if self._nursery is None:
            return
        with trio.move_on_after(FLUSH_S):
            await trio.lowlevel.checkpoint()
            for post in posts:
                await post.ended.wait()

    def _put(self, notice: Notice) -> None:
        for post in self._posts.values():
            post.put(notice)

    def _fail(self, error: Exception) -> None:
        self.failed = f"{type(error).__name__}: {error}"
        log.error("notices are off: their fold failed", exc_info=error)

    def _retire(self, post: Post) -> None:
        post.close()
        if post.resting:
            post.scope.cancel()
        else:
            post.scope.deadline = trio.current_time() + FLUSH_S

    # -- one notifier -----------------------------------------------------------------------------

    async def _serve(self, post: Post) -> None:
        """Serve a queue, with the notifier of the moment, until it is closed and empty."""
        post.ended = trio.Event()
        try:
            served: Notifier | None = None
            while served is not post.notifier:
                served = post.notifier
                with trio.CancelScope() as post.scope:
                    if post.closing:
                        self._retire(post)
                    await self._attend(post, served)
        finally:
            post.ended.set()
            if self._posts.get(post.name) is None:
                self._tasks.forget(_task(post.name))
                self._tasks.forget(_commands_task(post.name))

    async def _attend(self, post: Post, notifier: Notifier) -> None:
        client = self._client
        assert client is not None, "notifiers are served while `run` runs"
        watch = partial(supervise, table=self._tasks, rng=self._rng)
        async with trio.open_nursery() as nursery:
            if self._operator is not None and _heeds(notifier):
                listen: Any = notifier
                heed = partial(_guarded, lambda: listen.listen(self._operator, client))
                nursery.start_soon(watch, _commands_task(post.name), heed, LISTENER)
            deliver = partial(_guarded, partial(_deliver, post, notifier, client))
            await watch(_task(post.name), deliver, NOTIFIER)
            nursery.cancel_scope.cancel()


def _same(one: Notifier, other: Notifier) -> bool:
    """Whether the other would tell the same in the same way: equal settings of one class."""
    same = one is other
    with faults_dropped():
        same = same or (type(one) is type(other) and bool(one == other))
    return same


def _heeds(notifier: Notifier) -> bool:
    """Whether it takes commands, and they are switched on."""
    try:
        return bool(getattr(notifier, "commands", False)) and callable(
            getattr(notifier, "listen", None)
        )
    except trio.Cancelled:
        raise
    except BaseException as error:
        pass_on(error)
        log.warning("a notifier heeds no commands", error=last_line(error))
        return False


def _task(name: str) -> str:
    return f"notifier {name}"


def _commands_task(name: str) -> str:
    return f"notifier {name} commands"


async def _deliver(post: Post, notifier: Notifier, client: httpx2.AsyncClient) -> None:
    """Hand over batch after batch until the queue is closed and empty.

    A receiver that asks for peace gets it. Raises what else goes wrong, with the batch queued again
    unless it was refused.
    """
    asked = 0
    post.resting = False
    try:
        while True:
            await post.wait()
            if post.closing and not len(post):
                return
            with trio.move_on_after(GATHER_S):
                await post.closed.wait()
            try:
                await _hand_over(post, notifier, client)
                asked = 0
            except NotifyError as error:
                asked += 1
                if error.refused or error.retry_after_s <= 0 or asked > ASKED_MAX:
                    raise
                log.info("a notifier rests", name=post.name, seconds=error.retry_after_s)
                pause_s = min(error.retry_after_s, ASKED_S_MAX)
            else:
                continue
            post.resting = True
            await trio.sleep(pause_s)
            post.resting = False
    finally:
        post.resting = True


async def _hand_over(post: Post, notifier: Notifier, client: httpx2.AsyncClient) -> None:
    batch = post.take()
    delivered, lost = 0, 0
    try:
        with trio.fail_after(NOTIFY_S):
            await notifier.notify(batch, client)
        delivered = len(batch)
    except NotifyError as error:
        delivered = min(max(error.delivered, 0), len(batch))
        lost = len(batch) - delivered if error.refused else 0
        raise
    finally:
        post.delivered += delivered
        if lost:
            post.lose(lost)
        else:
            post.put_back(batch[delivered:])


async def _guarded(call: Callable[[], Awaitable[None]]) -> None:
    """Run what a plugin wrote; whatever it raises becomes one line without a secret.

    Cancellations and Ctrl-C are not its own: they go on, also out of a group with something else.
    """
    failure: RetryLater | None = None
    try:
        await call()
    except* (trio.Cancelled, KeyboardInterrupt):
        raise
    except* BaseException as group:  # no return in here: remember, decide outside
        failure = _failure(group)
    if failure is not None:
        raise failure  # out of the handlers: the cause, which may carry a secret, is left behind


def _failure(group: BaseExceptionGroup[BaseException]) -> RetryLater:
    """The first of what was raised, as supervision takes it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, NotifyError):
        after_s: object = error.retry_after_s
        known = isinstance(after_s, (int, float)) and after_s > 0  # of NaN nothing is true
        asked_s = min(error.retry_after_s, ASKED_S_MAX) if known else 0.0
        return RetryLater(shown(str(error.reason)), asked_s)
    if isinstance(error, trio.TooSlowError):
        return RetryLater(f"not done within {NOTIFY_S:g} s")
    name, text = type(error).__name__, text_of(error, "its text cannot be had")
    return RetryLater(shown(f"{name}: {text}" if text else name).partition("\n")[0])
