"""Plays the timeline: every frame at its time, to every client that asked for it."""

import math
from typing import Final

import trio

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.connection import SLOW_CONSUMER_S
from polytrade.sandbox.dialects import Played
from polytrade.sandbox.playback.timeline import SOCKET_FEEDS, round_length_s, start_shift_s
from polytrade.sandbox.playback.venue import Venue

YIELD_EVERY: Final = 32
"""Frames played without yielding when playback is behind: about 2 ms."""


class Player:
    """Drives a venue through its timeline, once or round by round.

    `prepare` sets the first round (and, when times are shifted, reads silently up to now); `run`
    plays, and returns when the capture is over and is not looped. Cancelling `run` leaves the
    venue's state as of the last frame.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._origin_ns = venue.timeline.first_ns
        self._origin_time = 0.0
        self._records = iter(venue.timeline.records())
        self._pending = next(self._records, None)

    async def prepare(self, now_ns: int) -> None:
        """Choose the shift for a venue that opens at the wall time `now_ns`."""
        venue = self._venue
        if not venue.options.shift:
            return
        delta_s = start_shift_s(venue.timeline, now_ns)
        venue.enter_round(delta_s, 0)
        self._origin_time = trio.current_time()
        self._origin_ns = now_ns - delta_s * SECOND_NS
        behind = 0
        while self._pending is not None and self._pending[1].recv_ts_ns <= self._position_ns():
            venue.take(*self._pending, publish=False)
            venue.fast_forwarded += 1
            self._pending = next(self._records, None)
            behind += 1
            if behind % YIELD_EVERY == 0:
                await trio.lowlevel.checkpoint()

    def _position_ns(self) -> int:
        elapsed = (trio.current_time() - self._origin_time) * self._venue.options.speed
        return self._origin_ns + int(elapsed * SECOND_NS)

    async def run(self) -> None:
        """Play until the end; forever when looped."""
        venue = self._venue
        if venue.options.waits:
            await self._wait_begin()
        if not venue.options.shift:
            self._origin_time = trio.current_time()
        venue.begun = True
        round_index = 0
        while True:
            await self._play_round()
            if not venue.options.loop:
                break
            round_index += 1
            self._next_round(round_index)
        venue.done = True

    def _next_round(self, round_index: int) -> None:
        venue = self._venue
        if venue.options.shift:
            length_s = round_length_s(venue.timeline)
            self._origin_ns -= length_s * SECOND_NS
            venue.enter_round(venue.shift.delta_s + length_s, round_index)
        else:
            self._origin_time = trio.current_time()
            self._origin_ns = venue.timeline.first_ns
            venue.enter_round(0, 0)
        self._records = iter(venue.timeline.records())
        self._pending = next(self._records, None)

    async def _play_round(self) -> None:
        venue = self._venue
        speed = venue.options.speed
        behind = 0
        while self._pending is not None:
            feed, record = self._pending
            ahead_s = (record.recv_ts_ns - self._origin_ns) / SECOND_NS / speed
            due = self._origin_time + ahead_s
            if due > trio.current_time():
                await trio.sleep_until(due)
            else:
                behind += 1
                if behind % YIELD_EVERY == 0:
                    await trio.lowlevel.checkpoint()
            played = venue.take(feed, record, publish=True)
            venue.position_ns = record.recv_ts_ns
            self._pending = next(self._records, None)
            if played is not None:
                await self._publish(SOCKET_FEEDS[feed], played)
        await trio.lowlevel.checkpoint()

    async def _publish(self, endpoint: str, played: Played) -> None:
        # Put to all without waiting first, so that a frame is on every connection or on none.
        full = self._venue.endpoints.publish(endpoint, played)
        for connection in full:
            with trio.move_on_after(SLOW_CONSUMER_S) as patience:
                await connection.wait_room()
            if patience.cancelled_caught:
                connection.close("slow consumer")

    async def _wait_begin(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_subscriptions)
            await self._venue.begin.wait()
            nursery.cancel_scope.cancel()

    async def _watch_subscriptions(self) -> None:
        """Set `begin` once everything is subscribed and quiet, or the wait has been long enough."""
        venue = self._venue
        while math.isinf(venue.last_activity):
            await venue.activity.wait()
        with trio.move_on_at(venue.last_activity + venue.options.start_after_s):
            await trio.lowlevel.checkpoint()
            while True:
                quiet_at = venue.last_activity + venue.options.settle_s
                if not venue.covered():
                    await venue.activity.wait()
                elif trio.current_time() < quiet_at:
                    await trio.sleep_until(quiet_at)
                else:
                    break
        venue.begin.set()
