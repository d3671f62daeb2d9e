"""Our own fills 1, 5 and 10 s later: profit by engine, and adverse selection (`core/adverse.py`).

A fill that failed to settle never was: it is dropped while it is being followed.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

import attrs

from polytrade.core.adverse import AdverseSelection
from polytrade.core.events import OrderFilled
from polytrade.core.ids import BUY, YES
from polytrade.core.learning import rebate_e6
from polytrade.core.markouts import HORIZON_10S, HORIZONS_S, Markout, Markouts
from polytrade.core.orders import Order
from polytrade.core.units import ONE_E4, SECOND_NS
from polytrade.shadow.samples import Samples
from polytrade.shadow.scorecard import USDC, Scorecard
from polytrade.shadow.tracks import Tracks, Wake

FOLLOWED_NS: Final = HORIZONS_S[HORIZON_10S] * SECOND_NS
ENGINES: Final = ("maker", "taker", "arb", "flatten")
"""Who wants orders; the rows of the profit by engine."""


Heard = Callable[[Markout], None]
"""Called with every markout of an own fill as it becomes known."""


@attrs.frozen(kw_only=True)
class EngineRow:
    """What one engine's fills were worth after 10 s, net of fees and with rebates estimated."""

    engine: str
    samples: int
    total_usdc: float | None
    p50_usdc: float | None
    p10_usdc: float | None
    positive_ratio: float | None


@final
class _Fill:
    __slots__ = ("engine", "key", "ts_ns")

    def __init__(self, key: str, engine: str, ts_ns: int) -> None:
        self.key = key
        self.engine = engine
        self.ts_ns = ts_ns


@final
class Fills:
    """Markouts of every fill of the window.

    `markouts` follows the fills of the run, whatever their window; `heard` is told each of them.
    """

    __slots__ = (
        "_engines",
        "_following",
        "_heard",
        "_of",
        "_scorecard",
        "_tracks",
        "_wake",
        "adverse",
        "fees_e6",
        "gross_bps",
        "markouts",
        "net_usdc",
        "rebates_e6",
        "roi_bps",
        "seen",
        "voided",
    )

    def __init__(
        self,
        tracks: Tracks,
        scorecard: Scorecard,
        markouts: Markouts,
        heard: Heard,
        wake: Wake,
    ) -> None:
        self._tracks = tracks
        self._wake = wake
        self._scorecard = scorecard
        self._heard = heard
        self._of: dict[str, _Fill] = {}
        self._following: deque[_Fill] = deque()
        self._engines: dict[str, Samples] = {name: Samples() for name in ENGINES}
        self.adverse = AdverseSelection()
        self.markouts = markouts
        self.gross_bps = [Samples() for _ in HORIZONS_S]
        self.net_usdc = Samples()
        self.roi_bps = Samples()
        self.seen = 0
        self.voided = 0
        self.fees_e6 = 0
        self.rebates_e6 = 0

    @property
    def next_ns(self) -> int:
        """The next instant a markout is wanted of."""
        return self.markouts.next_ns

    def filled(self, order: Order, event: OrderFilled) -> None:
        """One of our orders filled, as the engine took it."""
        track = self._tracks.of.get(order.market)
        if track is None or not 0 < event.price_e4 < ONE_E4:
            return
        self.seen += 1
        spec, ts_ns = track.market.spec, event.ts_ns
        self._scorecard.filled(order.market)
        yes = order.token == YES
        sign = 1 if yes == (order.side == BUY) else -1
        yes_price_e4 = event.price_e4 if yes else ONE_E4 - event.price_e4
        cost = event.fee_e6
        self.fees_e6 += event.fee_e6
        if event.maker:
            rebate = rebate_e6(spec, event.price_e4, event.size_e6)
            self.rebates_e6 += rebate
            cost -= rebate
        dropped = self.markouts.dropped
        self.markouts.filled(
            event.fill_id,
            order.market,
            sign,
            yes_price_e4,
            event.size_e6,
            cost,
            ts_ns,
            event.why,
            spec.end_ns,
        )
        if self.markouts.dropped == dropped:
            fill = _Fill(event.fill_id, order.engine, ts_ns)
            self._of[fill.key] = fill
            self._following.append(fill)
            self._wake.by(self.next_ns)

    def failed(self, fill_id: str) -> None:
        """A fill never happened after all."""
        self.markouts.void(fill_id)
        if self._of.pop(fill_id, None) is not None:
            self.voided += 1

    def due(self, ts_ns: int) -> None:
        """Take the markouts of every instant before `ts_ns`, at the mids as they last were."""
        for markout in self.markouts.due(ts_ns, self._tracks.mid_e6):
            self._heard(markout)
            fill = self._of.get(markout.key)
            if fill is not None:
                self._take(fill, markout)
        following = self._following
        while following and following[0].ts_ns + FOLLOWED_NS < ts_ns:
            self._of.pop(following.popleft().key, None)

    def engines(self) -> tuple[EngineRow, ...]:
        """The profit by engine, a row for each even when it never traded."""
        rows = []
        for name, samples in self._engines.items():
            p50, p10 = samples.percentiles(0.5, 0.1)
            row = EngineRow(
                engine=name,
                samples=len(samples),
                total_usdc=samples.total if len(samples) else None,
                p50_usdc=p50,
                p10_usdc=p10,
                positive_ratio=samples.positive_ratio(),
            )
            rows.append(row)
        return tuple(rows)

    def _take(self, fill: _Fill, markout: Markout) -> None:
        self._scorecard.markout(markout)
        self.gross_bps[markout.horizon].add(markout.bps)
        self.adverse.markout(markout)
        if markout.horizon == HORIZON_10S:
            net_usdc = markout.net_bps * markout.notional_e6 / USDC
            self.net_usdc.add(net_usdc)
            self.roi_bps.add(markout.net_bps)
            engine = self._engines.get(fill.engine)
            if engine is not None:
                engine.add(net_usdc)
