"""Survival probes: how long a price stands after the reference has moved and the book has not.

Without any order: when a symbol's fast price moves and a market's top stays as it was for 5 ms, the
reference leads its book. The price the move threatens (the ask after a rise, the bid after a fall)
is then looked at 5, 10 and 25 ms later: is it still there? That says whether we are faster than
those who quote it.
"""

from collections import deque
from typing import Final, final

from polytrade.core.units import MS_NS
from polytrade.shadow.samples import SHOTS_MAX, Tally, ratio
from polytrade.shadow.shots import DELAYS_MS, OUTCOME
from polytrade.shadow.tracks import NEVER_NS, Track, Wake

LEAD_NS: Final = 5 * MS_NS
"""The reference leads by at least this much when a probe is taken (metrics contract)."""
EVERY_NS: Final = 200 * MS_NS
"""A symbol is probed at most this often, as `book_top_lag_ms` is sampled."""
SYMBOLS_MAX: Final = 64
"""Symbols told apart; the venue has seven with fast markets."""


@final
class _Probe:
    """A price threatened by a move at `since_ns`, looked at next at `due_ns`."""

    __slots__ = ("due_ns", "price_e4", "rises", "since_ns", "track")

    def __init__(self, track: Track, rises: bool, ts_ns: int) -> None:
        self.track = track
        self.rises = rises
        self.price_e4 = track.ask_e4 if rises else track.bid_e4
        self.since_ns = ts_ns
        self.due_ns = ts_ns + LEAD_NS

    def stands(self) -> bool:
        """Whether the price can still be had."""
        track = self.track
        if self.rises:
            return track.ask_e4 <= self.price_e4
        return track.bid_e4 >= self.price_e4


@final
class Probes:
    """All probes of a window; `survived` tallies them by delay, over trusted books only."""

    __slots__ = (
        "_by_symbol",
        "_leads",
        "_moved",
        "_probed_ns",
        "_waiting",
        "_wake",
        "next_ns",
        "survived",
    )

    def __init__(self, wake: Wake, most: int = SHOTS_MAX) -> None:
        self._wake = wake
        self._leads: deque[_Probe] = deque()
        self._waiting: list[deque[_Probe]] = [deque() for _ in DELAYS_MS]
        self._moved: dict[str, float] = {}
        self._probed_ns: dict[str, int] = {}
        self._by_symbol: dict[str, list[int]] = {}
        self.next_ns = NEVER_NS
        self.survived = Tally(2 * len(DELAYS_MS), most)

    def ticked(self, symbol: str, price: float, tracks: list[Track], ts_ns: int) -> None:
        """The fast price of a symbol is now `price`; `tracks` are its markets."""
        before = self._moved.get(symbol)
        if before is None and len(self._moved) >= SYMBOLS_MAX:
            return
        self._moved[symbol] = price
        if before is None or price == before:
            return
        if ts_ns - self._probed_ns.get(symbol, -EVERY_NS) < EVERY_NS:
            return
        for track in tracks:
            gains = track.market.direction
            if gains and track.valid and track.two_sided and track.open:
                self._probed_ns[symbol] = ts_ns
                # A market may gain by a fall: then it is the bid of YES that a rise threatens. One
                # that pays within a range gains by neither, and is not probed.
                rises = (price > before) == (gains > 0)
                self._leads.append(_Probe(track, rises, ts_ns))
                self.next_ns = min(self.next_ns, ts_ns + LEAD_NS)
                self._wake.by(self.next_ns)

    def due(self, ts_ns: int) -> None:
        """Take what was to be taken before `ts_ns`; the markets are as they last were."""
        while self._leads and self._leads[0].due_ns < ts_ns:
            probe = self._leads.popleft()
            if probe.track.top_ns <= probe.since_ns and probe.track.valid:
                for waiting in self._waiting:
                    waiting.append(probe)
        self.next_ns = self._leads[0].due_ns if self._leads else NEVER_NS
        for delay, waiting in enumerate(self._waiting):
            after_ns = DELAYS_MS[delay] * MS_NS
            while waiting and waiting[0].due_ns + after_ns < ts_ns:
                self._look(waiting.popleft(), delay)
            if waiting:
                self.next_ns = min(self.next_ns, waiting[0].due_ns + after_ns)

    def by_symbol(self) -> dict[str, float | None]:
        """`survival_probe_10ms` of each symbol."""
        return {
            symbol: ratio(counts[1], counts[0] + counts[1])
            for symbol, counts in sorted(self._by_symbol.items())
        }

    def _look(self, probe: _Probe, delay: int) -> None:
        if not probe.track.valid:
            return
        stands = probe.stands()
        self.survived.add(2 * delay + stands)
        if delay == OUTCOME:
            symbol = probe.track.market.spec.symbol
            counts = self._by_symbol.setdefault(symbol, [0, 0])
            counts[stands] += 1
