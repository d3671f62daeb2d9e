"""Curves: what the plots of a report are drawn from, a fold over (event, effects).

Sampled by the events' own time, so that a replay draws the same lines; thinned, so that a run of
any length takes the same memory.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, final

import attrs

from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import Event, OrderFilled
from polytrade.core.ids import BUY, NO, SIDE_NAMES, TOKEN_NAMES
from polytrade.core.market import CLOSING, OPEN, UNRESOLVED, MarketState
from polytrade.core.markouts import HORIZONS_S, PENDING_MAX, Markout
from polytrade.core.orders import Order
from polytrade.core.units import ONE_E4, ONE_E6, SECOND_NS
from polytrade.lens_books import yes_side

SAMPLE_NS: Final = SECOND_NS
"""The finest interval of a curve; it doubles each time a curve is full."""
EQUITY_POINTS_MAX: Final = 4096
"""Points of the equity curve: more than a screen has columns."""
TRACK_POINTS_MAX: Final = 512
"""Points of one market's prices: a five-minute window at one a second."""
TRACKS_MAX: Final = 64
"""Markets whose prices are kept; one in which nothing was filled goes first."""
FILLS_MAX: Final = 5_000
"""Fills kept for the plots, the newest: about what a browser draws without a pause."""
MARKOUTS_MAX: Final = 15_000
"""Markouts kept for the plots, the newest: three of each fill."""


@attrs.frozen
class FillPoint:
    """A fill as it is drawn: in YES terms, beside the fair value and the mid of that moment."""

    ts_ns: int
    slug: str
    engine: str
    token: str
    side: str
    yes_price_e4: int
    size_e6: int
    maker: bool
    why: str
    fair: float | None
    mid: float | None


FILL_COLUMNS: Final = tuple(field.name for field in attrs.fields(FillPoint))


@final
class Thinned:
    """At most `most` rows at equal distances in time: when full, every other one goes."""

    __slots__ = ("_most", "_next_ns", "_step_ns", "rows")

    def __init__(self, most: int, step_ns: int = SAMPLE_NS) -> None:
        self._most = most
        self._step_ns = step_ns
        self._next_ns = 0
        self.rows: list[tuple[float | None, ...]] = []

    def wants(self, ts_ns: int) -> bool:
        """Whether a row is due."""
        return ts_ns >= self._next_ns

    def add(self, ts_ns: int, row: tuple[float | None, ...]) -> None:
        """Take the row of `ts_ns`."""
        self.rows.append((ts_ns, *row))
        if len(self.rows) >= self._most:
            del self.rows[1::2]
            self._step_ns *= 2
        self._next_ns = (ts_ns // self._step_ns + 1) * self._step_ns


@final
class _Track:
    """The prices of one market, and how many of our fills it saw."""

    __slots__ = ("fills", "points", "slug")

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.fills = 0
        self.points = Thinned(TRACK_POINTS_MAX)


EQUITY_COLUMNS: Final = (
    "ts_ns",
    "equity_usdc",
    "equity_mid_usdc",
    "gross_usdc",
    "fees_usdc",
    "rebates_usdc",
    "drawdown_usdc",
    "exposure_usdc",
    "net_shares",
)
TRACK_COLUMNS: Final = ("ts_ns", "bid", "ask", "fair")


Rows = tuple[tuple[float | None, ...], ...]


@attrs.frozen(kw_only=True)
class Drawn:
    """The curves of one moment; a track is its slug, its fills, and its points."""

    equity: Rows
    fills: tuple[FillPoint, ...]
    fills_total: int
    markouts: tuple[tuple[int, float, float | None], ...]
    tracks: tuple[tuple[str, int, Rows], ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain data: the columns' names and rows of numbers. Takes 50 ms when all is full."""
        return {
            "equity": {"columns": list(EQUITY_COLUMNS), "rows": _lists(self.equity)},
            "fills": [{name: getattr(fill, name) for name in FILL_COLUMNS} for fill in self.fills],
            "fills_total": self.fills_total,
            "markouts": _lists(self.markouts),
            "tracks": [
                {"slug": slug, "fills": fills, "columns": list(TRACK_COLUMNS), "rows": _lists(rows)}
                for slug, fills, rows in self.tracks
            ],
        }


@final
class Curves:
    """Equity, drawdown, inventory, fills and prices of a run.

    Call `observe` after the step, and `markout` with every markout of an own fill.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._next_ns = 0
        self._peak_e6 = 0
        self._equity = Thinned(EQUITY_POINTS_MAX)
        self._tracks: dict[str, _Track] = {}
        self._fills: deque[FillPoint] = deque(maxlen=FILLS_MAX)
        self._edges: dict[str, float | None] = {}
        self._markouts: deque[tuple[int, float, float | None]] = deque(maxlen=MARKOUTS_MAX)
        self.fills = 0

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event`."""
        if event.ts_ns >= self._next_ns:
            self._next_ns = (event.ts_ns // SAMPLE_NS + 1) * SAMPLE_NS
            self._sample(event.ts_ns)
        if isinstance(event, OrderFilled):
            self._filled(event)

    def markout(self, markout: Markout) -> None:
        """A fill was worth so much so long after it; drawn beside the edge it seemed to have."""
        edge = self._edges.get(markout.key)
        self._markouts.append((HORIZONS_S[markout.horizon], markout.net_bps, edge))

    def frozen(self) -> "Drawn":
        """The curves as they stand: nothing that happens later changes them."""
        tracks = [
            (track.slug, track.fills, tuple(track.points.rows))
            for track in self._tracks.values()
            if track.fills
        ]
        return Drawn(
            equity=tuple(self._equity.rows),
            fills=tuple(self._fills),
            fills_total=self.fills,
            markouts=tuple(self._markouts),
            tracks=tuple(sorted(tracks, key=_most_fills)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything kept, as plain data (`Drawn.to_dict`)."""
        return self.frozen().to_dict()

    def _sample(self, ts_ns: int) -> None:
        engine = self._engine
        ledger = engine.ledger
        if ledger.initial_e6 and self._equity.wants(ts_ns):
            marks = engine.marks()
            equity_e6 = ledger.equity_e6(marks, True)
            mid_e6 = ledger.equity_e6(marks, False)
            self._peak_e6 = max(self._peak_e6, equity_e6, ledger.initial_e6)
            gross_e6 = mid_e6 - ledger.initial_e6 + ledger.fees_e6 - ledger.rebates_e6
            net_e6 = sum(account.net_e6() for account in ledger.accounts())
            values = (
                *(equity_e6, mid_e6, gross_e6, ledger.fees_e6, ledger.rebates_e6),
                *(self._peak_e6 - equity_e6, ledger.exposure_total_e6, net_e6),
            )
            self._equity.add(ts_ns, tuple(value / ONE_E6 for value in values))
        for name, market in engine.markets.items():
            if market.phase in (OPEN, CLOSING) and market.winner == UNRESOLVED:
                self._follow(name, market, ts_ns)

    def _follow(self, name: str, market: MarketState, ts_ns: int) -> None:
        track = self._track(name, market)
        if track is not None and track.points.wants(ts_ns):
            book = market.book
            bid = book.bid_e4 / ONE_E4 if book.bid_e4 > 0 else None
            ask = book.ask_e4 / ONE_E4 if book.ask_e4 < ONE_E4 else None
            track.points.add(ts_ns, (bid, ask, _fair(market)))

    def _track(self, name: str, market: MarketState) -> _Track | None:
        track = self._tracks.get(name)
        if track is not None:
            return track
        if len(self._tracks) >= TRACKS_MAX:
            dull = next((each for each, old in self._tracks.items() if not old.fills), None)
            if dull is None:
                return None
            del self._tracks[dull]
        track = self._tracks[name] = _Track(market.spec.slug)
        return track

    def _filled(self, event: OrderFilled) -> None:
        order = self._engine.orders.find(event.order_id)
        if order is None:
            return
        self.fills += 1
        track = self._tracks.get(order.market)
        if track is not None:
            track.fills += 1
        market = self._engine.markets.get(order.market)
        if market is not None:
            if len(self._edges) >= PENDING_MAX:
                del self._edges[next(iter(self._edges))]
            self._edges[event.fill_id] = _edge_bps(event, order, market)
        mirrored = order.token == NO
        self._fills.append(
            FillPoint(
                ts_ns=event.ts_ns,
                slug=order.market if market is None else market.spec.slug,
                engine=order.engine,
                token=TOKEN_NAMES[order.token],
                side=SIDE_NAMES[yes_side(order)],
                yes_price_e4=ONE_E4 - event.price_e4 if mirrored else event.price_e4,
                size_e6=event.size_e6,
                maker=event.maker,
                why=event.why,
                fair=None if market is None else _fair(market),
                mid=None if market is None or market.mid < 0.0 else market.mid,
            )
        )


def _edge_bps(event: OrderFilled, order: Order, market: MarketState) -> float | None:
    """Fair value against the fill's price, on the price of the side held, before fees."""
    if market.fair < 0.0 or not 0 < event.price_e4 < ONE_E4:
        return None
    yes_e4 = ONE_E4 - event.price_e4 if order.token == NO else event.price_e4
    gains_with_yes = yes_side(order) == BUY
    entry = (yes_e4 if gains_with_yes else ONE_E4 - yes_e4) / ONE_E4
    worth = market.fair if gains_with_yes else 1.0 - market.fair
    return (worth - entry) / entry * 1e4


def _fair(market: MarketState) -> float | None:
    return market.fair if market.fair >= 0.0 else None


def _lists(rows: Iterable[tuple[float | None, ...]]) -> list[list[float | None]]:
    return [list(row) for row in rows]


def _most_fills(track: tuple[str, int, Rows]) -> tuple[int, str]:
    return -track[1], track[0]
