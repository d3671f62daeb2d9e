"""A market as it stood after the last event: what is looked at when an instant has passed.

Instants (a shot at +10 ms, a markout at +5 s) fall between events, and are noticed only at the
first event after them, which the engine has then applied already. So what stood before is kept.
"""

from typing import Final, final

from polytrade.core.engine import Engine
from polytrade.core.market import OPEN, MarketState
from polytrade.core.markouts import NO_MID, mid_e6_of

NEVER_NS: Final = 1 << 62
"""The next instant of something that waits for none."""


@final
class Wake:
    """The first instant that anything of the shadow waits for; 0 before the first event."""

    __slots__ = ("ns",)

    def __init__(self) -> None:
        self.ns = 0

    def by(self, ns: int) -> None:
        """Something is to be looked at right after this instant."""
        self.ns = min(self.ns, ns)


@final
class Track:
    """The top of one market's book as of the last event; `top_ns` is when it last moved."""

    __slots__ = (
        "_ask",
        "_bid",
        "ask_e4",
        "bid_e4",
        "market",
        "mid_e6",
        "top_ns",
        "two_sided",
        "valid",
    )

    def __init__(self, market: MarketState) -> None:
        self.market = market
        self.bid_e4 = 0
        self.ask_e4 = 0
        self.mid_e6: int = NO_MID
        self.top_ns = 0
        self.two_sided = False
        self.valid = False
        self._bid = 0  # where the top was on the book's grid: quicker to compare than prices
        self._ask = 0
        self.refresh(0)

    def touch(self, ts_ns: int) -> None:
        """A level of the book changed: take over the top where it moved.

        Trust and phase change with effects of their own, which call for `refresh`.
        """
        book = self.market.book
        if book.best_bid != self._bid or book.best_ask != self._ask:
            self.refresh(ts_ns)

    def refresh(self, ts_ns: int) -> None:
        """Take over how the market stands after an event of `ts_ns`."""
        market = self.market
        book = market.book
        self._bid, self._ask = book.best_bid, book.best_ask
        bid_e4, ask_e4 = book.bid_e4, book.ask_e4
        if bid_e4 != self.bid_e4 or ask_e4 != self.ask_e4:
            self.bid_e4 = bid_e4
            self.ask_e4 = ask_e4
            self.top_ns = ts_ns
        self.two_sided = book.two_sided
        self.valid = market.trust.valid and not book.crossed
        self.mid_e6 = mid_e6_of(market)

    @property
    def open(self) -> bool:
        """Whether the market is open to quotes."""
        return self.market.phase == OPEN


@final
class Tracks:
    """Every market the engine knows, by name and by symbol."""

    __slots__ = ("_engine", "by_symbol", "of")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.of: dict[str, Track] = {}
        self.by_symbol: dict[str, list[Track]] = {}
        self.sync()

    def sync(self) -> None:
        """Take in new markets and drop those the engine has forgotten; after each listing."""
        markets = self._engine.markets
        kept: dict[str, Track] = {}
        self.by_symbol = {}
        for name, market in markets.items():
            track = self.of.get(name)
            if track is None or track.market is not market:
                track = Track(market)
            kept[name] = track
            self.by_symbol.setdefault(market.spec.symbol, []).append(track)
        self.of = kept

    def mid_e6(self, market: str) -> int:
        """The mid of YES after the last event, `NO_MID` when there is none."""
        track = self.of.get(market)
        return NO_MID if track is None else track.mid_e6
