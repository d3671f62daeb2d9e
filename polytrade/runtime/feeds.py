"""The generic feed: connect, say hello, decode into the inbox, and tell the engine up and down.

Reference exchanges, RTDS and PolyBolt all run here; what differs is their codec. A run is one
connection after another as long as endings are planned; an unplanned one raises FeedLost and the
supervisor starts the feed again after its delay.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import attrs
import trio

from polytrade.config import Feeds, Source
from polytrade.core.events import Event, FeedDown, FeedUp
from polytrade.core.judging import holdable
from polytrade.feed_events import REASON_MAX, codec_error, fault_text
from polytrade.plugin_code import pass_on
from polytrade.polymarket.relays import (
    API_KEY_ENV,
    PASSPHRASE_ENV,
    POLYBOLT_SOURCE,
    RTDS_SOURCE,
    SECRET_ENV,
    PolyBoltCodec,
    RtdsCodec,
    polybolt_credentials,
)
from polytrade.reference import CODECS
from polytrade.reference.codec import FeedCodec
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Clock
from polytrade.runtime.links import NO_PONG, FeedStatus, Link, LinkSettings
from polytrade.runtime.socket import ConnectFailed, Connector, Socket, SocketClosed
from polytrade.runtime.supervise import Policy, RetryLater, retry_after_s
from polytrade.wire_roles import Decoder, WireError

HELLO_S: Final = 10.0
"""Longest the hello frames may take: PolyBolt's 61 at their spacing take 7.4 s."""
HELLO_SPACING_S: Final = 0.12
"""Between hello frames: below PolyBolt's 20 and Coinbase's 8 a second (protocols 7.2, 9.4)."""
ANSWERS_MAX: Final = 16
"""Answers of a codec that may wait to be sent: a venue that reads none of so many is gone."""
STOPPED: Final = "stopped"


class FeedLost(RetryLater):
    """A feed's connection ended and that was not planned."""

    def __init__(self, source: str, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{source}: {reason}", retry_after_s)
        self.source = source
        self.reason = reason


class Mouth(Protocol):
    """What a feed needs of the inbox, or of what stands before it."""

    clock: Clock

    def now_ns(self) -> int:
        """The clock's time."""

    def decode(
        self, decoder: Decoder, source: str, frame: str | bytes, ts_ns: int
    ) -> tuple[list[Event], WireError | None]:
        """As `decode_or_gap`."""

    def put(self, event: Event) -> None:
        """Queue a fact."""

    def put_frame(
        self, source: str, frame: str | bytes, ts_ns: int, events: Sequence[Event]
    ) -> bool:
        """Queue what a frame decoded to; False when it was dropped."""


@attrs.frozen
class FeedPlan:
    """One feed to run: its source name (`binance/0`), address and codec.

    A codec may have more than `FeedCodec`: `answers()`, asked after each frame, gives the frames to
    send back; `silence_s` is how long it may give no event, where that is not the operator's word.
    """

    source: str
    url: str
    codec: FeedCodec


def plan_feeds(
    feeds: Feeds, coins: Sequence[str], environ: Mapping[str, str]
) -> tuple[list[FeedPlan], dict[str, str]]:
    """The reference feeds to run, and by source why each of the others is not run."""
    plans: list[FeedPlan] = []
    off: dict[str, str] = {}
    for name, make in CODECS.items():
        setting: Source = getattr(feeds, name)
        codec = make(coins)
        source = f"{name}/0"
        if not setting.enabled:
            off[source] = f"feeds.{name}.enabled is false"
        elif not codec.hello():
            off[source] = "it lists none of universe.coins"
        else:
            plans.append(FeedPlan(source, setting.url or codec.default_url, codec))
    if feeds.rtds_url:
        plans.append(FeedPlan(RTDS_SOURCE, feeds.rtds_url, RtdsCodec()))
    else:
        off[RTDS_SOURCE] = "feeds.rtds_url is empty"
    credentials = polybolt_credentials(environ)
    if not feeds.polybolt_url:
        off[POLYBOLT_SOURCE] = "feeds.polybolt_url is empty"
    elif credentials is None:
        off[POLYBOLT_SOURCE] = f"{API_KEY_ENV}, {SECRET_ENV} or {PASSPHRASE_ENV} is not set"
    else:
        codec = PolyBoltCodec(coins, credentials)
        plans.append(FeedPlan(POLYBOLT_SOURCE, feeds.polybolt_url, codec))
    return plans, off


def feed_policy(feeds: Feeds) -> Policy:
    """How the operator wants feeds restarted; parked after `failures_max` failures in a row."""
    return Policy(
        delay_s_min=feeds.backoff_min_s,
        delay_s_max=feeds.backoff_max_s,
        failures_max=feeds.failures_max,
        healthy_s=feeds.healthy_s,
    )


def link_settings(plan: FeedPlan, feeds: Feeds) -> LinkSettings:
    """The watchdogs of a feed: the venue's own ping interval when it is the shorter, and the
    codec's own patience when it has one.
    """
    ping = plan.codec.ping()
    silence_s: float = getattr(plan.codec, "silence_s", feeds.reference_silence_s)
    interval_s = feeds.ping_interval_s
    if ping is not None:
        interval_s = min(interval_s, plan.codec.ping_interval_s)
    return LinkSettings(
        silence_s=silence_s,
        pong_limit_s=feeds.pong_limit_s,
        ping_interval_s=interval_s,
        ping=ping,
        max_age_s=plan.codec.max_age_s,
    )


async def run_reference_feed(
    plan: FeedPlan,
    *,
    connect: Connector,
    inbox: Mouth,
    settings: LinkSettings,
    status: FeedStatus,
    hosts: HostTable,
) -> None:
    """Keep one feed connected; returns never, raises FeedLost when a connection is lost.

    Every connection that was up ends with a FeedDown, however it ended. A frame is stamped,
    decoded and queued without an await in between, and a full inbox never holds the reader up. A
    codec that raises anything but WireError ends the connection.
    """
    while True:
        await trio.lowlevel.checkpoint()
        status.turn("connecting", inbox.now_ns())
        reason = STOPPED
        planned = False
        try:
            async with connected(connect, plan.url, plan.source, hosts) as socket:
                await _hello(socket, _greeting(plan), plan.source)
                link, replies = _open_link(plan, socket, inbox, settings, status)
                async with replies:
                    await _live(link, replies, socket, settings)
                reason, planned = link.reason or STOPPED, link.planned
                # Told before the closing handshake, for which a frozen peer lets us wait.
                report_down(plan.source, reason, inbox, status)
        except SocketClosed as error:
            reason = f"closed: {error.reason}"
        except FeedLost as error:
            reason = error.reason
            raise
        except Exception as error:  # of what a codec gave to send
            reason = fault_text(error)
            raise
        finally:
            report_down(plan.source, reason, inbox, status)
        if not planned:
            raise FeedLost(plan.source, reason)


def _open_link(
    plan: FeedPlan, socket: Socket, inbox: Mouth, settings: LinkSettings, status: FeedStatus
) -> tuple[Link, trio.MemoryReceiveChannel[str]]:
    """The link of an open connection, and what its codec wants to answer."""
    codec, source = plan.codec, plan.source
    replies, to_send = trio.open_memory_channel[str](ANSWERS_MAX)
    answers: Callable[[], Sequence[str]] | None = getattr(codec, "answers", None)

    def take(frame: str | bytes, ts_ns: int) -> bool:
        try:
            events, error = inbox.decode(codec, source, frame, ts_ns)
            leaves = bool(codec.reconnect_wanted)
            if answers is not None:
                for answer in answers():
                    replies.send_nowait(answer)
        except trio.WouldBlock:
            link.end("it takes no answers")
            return False
        except trio.Cancelled:
            raise
        except BaseException as fault:  # the codec's, which may be a plugin's
            pass_on(fault)
            told = codec_error(fault, source, frame)
            status.refuse(ts_ns, told)
            link.end(told.reason)
            return False
        if error is not None:
            status.refuse(ts_ns, error)
        if not inbox.put_frame(source, frame, ts_ns, events):
            status.dropped += 1
        status.events += len(events)
        if leaves:
            link.end("the venue asks to reconnect", planned=True)
        return error is None and bool(events)

    link = Link(socket, inbox.clock, status, settings, take)
    now_ns = inbox.now_ns()
    status.turn("up", now_ns)
    inbox.put(FeedUp(now_ns, source))
    return link, to_send


async def _live(
    link: Link,
    replies: trio.MemoryReceiveChannel[str],
    socket: Socket,
    settings: LinkSettings,
) -> None:
    """Run a link until it ends, sending what its codec answers."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_reply, link, replies, socket, settings.pong_limit_s)
        await link.run()
        nursery.cancel_scope.cancel()


async def _reply(
    link: Link, replies: trio.MemoryReceiveChannel[str], socket: Socket, limit_s: float
) -> None:
    try:
        async for reply in replies:
            with trio.move_on_after(limit_s) as scope:
                await socket.send(reply)
            if scope.cancelled_caught:  # a frame may be half sent: nothing more can be
                link.end(NO_PONG)
    except SocketClosed as error:
        link.end(f"closed: {error.reason}")


def report_down(source: str, reason: str, inbox: Mouth, status: FeedStatus) -> None:
    """Turn a status down, once; tell the engine when the connection had been up."""
    if status.state == "down":
        return
    now_ns = inbox.now_ns()
    was_up = status.connected
    reason = holdable(reason[:REASON_MAX])
    status.turn("down", now_ns, reason)
    if was_up:
        inbox.put(FeedDown(now_ns, source, reason))


@asynccontextmanager
async def connected(
    connect: Connector, url: str, source: str, hosts: HostTable
) -> AsyncIterator[Socket]:
    """`connect(url)` with the host's row kept; raises FeedLost when no connection comes about."""
    host = hosts.name(url, source)
    try:
        async with connect(url) as socket:
            hosts.reached(host)
            yield socket
    except ConnectFailed as error:
        if error.status:
            hosts.reached(host)
        else:
            hosts.failed(host, error.reason, source)
        wait_s = retry_after_s(error.retry_after, hosts.now_ns())
        raise FeedLost(source, f"not connected: {error.reason}", wait_s) from error


def _greeting(plan: FeedPlan) -> list[str]:
    """The codec begins anew, and says what to send first; FeedLost when it cannot."""
    try:
        plan.codec.reset()
        return list(plan.codec.hello())
    except trio.Cancelled:
        raise
    except BaseException as error:
        pass_on(error)
        raise FeedLost(plan.source, f"codec: {fault_text(error)}") from error


async def _hello(socket: Socket, frames: Sequence[str], source: str) -> None:
    try:
        with trio.fail_after(HELLO_S):
            await trio.lowlevel.checkpoint()
            for number, frame in enumerate(frames):
                if number:
                    await trio.sleep(HELLO_SPACING_S)
                await socket.send(frame)
    except trio.TooSlowError:
        raise FeedLost(source, f"no hello within {HELLO_S:g} s") from None
