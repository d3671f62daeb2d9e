"""The scorecard: the window's numbers again, market by market, in bounded memory."""

from operator import attrgetter
from typing import Any, Final, final

import attrs

from polytrade.core.market import MarketState
from polytrade.core.markouts import HORIZON_10S, HORIZONS_S, Markout
from polytrade.shadow.causes import CAUSE_NAMES, Outcome
from polytrade.shadow.samples import Samples, ratio

MARKETS_MAX: Final = 512
"""Markets scored in a window: 43 hours of one coin's five-minute windows; the oldest goes first."""
MARKET_SAMPLES_MAX: Final = 256
"""Samples kept of one number of one market: 17 MB at most for eight numbers of every market."""
USDC: Final = 1e10
"""Basis points times 1e-6 USDC in one USDC."""


@attrs.frozen(kw_only=True)
class ScoreRow:
    """One market's row; None where nothing was measured."""

    market_id: str
    slug: str
    symbol: str
    shots_10ms: int
    outcomes: int
    survival_10ms: float | None
    fillability_10ms: float | None
    ev_net_usdc_p50: float | None
    ev_net_usdc_p10: float | None
    ev_positive_ratio: float | None
    fills: int
    pnl_1s_p50_bps: float | None
    pnl_5s_p50_bps: float | None
    pnl_10s_p50_bps: float | None
    net_markout_10s_usdc_p50: float | None
    net_markout_10s_usdc_total: float | None
    roi_notional_10s_bps_p50: float | None
    net_edge_p50_bps: float | None
    net_edge_p10_bps: float | None
    top_cause: str | None

    def to_dict(self) -> dict[str, Any]:
        """The row by column."""
        return dict(zip(COLUMNS, _cells(self), strict=True))


COLUMNS: Final = tuple(field.name for field in attrs.fields(ScoreRow))
_cells: Final = attrgetter(*COLUMNS)


@final
class _Score:
    """What is kept of one market."""

    __slots__ = (
        "causes",
        "edges",
        "ev_usdc",
        "fillable",
        "fills",
        "gross_bps",
        "net_usdc",
        "outcomes",
        "reached",
        "roi_bps",
        "shots",
        "slug",
        "survived",
        "symbol",
    )

    def __init__(self, market: MarketState) -> None:
        self.slug = market.spec.slug
        self.symbol = market.spec.symbol
        self.shots = 0
        self.survived = 0
        self.reached = 0
        self.fillable = 0
        self.outcomes = 0
        self.fills = 0
        self.causes: dict[str, int] = {}
        self.edges = Samples(MARKET_SAMPLES_MAX)
        self.ev_usdc = Samples(MARKET_SAMPLES_MAX)
        self.gross_bps = [Samples(MARKET_SAMPLES_MAX) for _ in HORIZONS_S]
        self.net_usdc = Samples(MARKET_SAMPLES_MAX)
        self.roi_bps = Samples(MARKET_SAMPLES_MAX)


@final
class Scorecard:
    """The scores of the window's markets, in the order they were first traded.

    A row is made anew only when its market has changed since: markets that are over cost nothing.
    """

    __slots__ = ("_changed", "_rows", "_scores")

    def __init__(self) -> None:
        self._scores: dict[str, _Score] = {}
        self._rows: dict[str, ScoreRow] = {}
        self._changed: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._scores)

    def follow(self, market: MarketState) -> None:
        """An order of the market was sent: it has a row from here on."""
        name = market.spec.market
        if name in self._scores:
            return
        if len(self._scores) >= MARKETS_MAX:
            oldest = next(iter(self._scores))
            del self._scores[oldest], self._rows[oldest]
            self._changed.pop(oldest, None)
        score = self._scores[name] = _Score(market)
        self._rows[name] = _row(name, score)

    def concluded(self, outcome: Outcome, cause: str, net_usdc: float | None) -> None:
        """An outcome of the market came to its end."""
        score = self._change(outcome.market)
        if score is None:
            return
        score.outcomes += 1
        score.causes[cause] = score.causes.get(cause, 0) + 1
        if outcome.valid:
            score.reached += 1
            score.fillable += outcome.filled_e6 > 0
        if net_usdc is not None:
            score.ev_usdc.add(net_usdc)

    def shot(self, outcome: Outcome) -> None:
        """A shot at +10 ms of the market arrived at a trusted book."""
        score = self._change(outcome.market)
        if score is None:
            return
        score.shots += 1
        score.survived += outcome.survived
        if outcome.late_edge_bps is not None:
            score.edges.add(outcome.late_edge_bps)

    def filled(self, market: str) -> None:
        """One of our orders filled, in part or whole."""
        score = self._change(market)
        if score is not None:
            score.fills += 1

    def markout(self, markout: Markout) -> None:
        """A horizon of one of our fills passed."""
        score = self._change(markout.market)
        if score is None:
            return
        score.gross_bps[markout.horizon].add(markout.bps)
        if markout.horizon == HORIZON_10S:
            score.net_usdc.add(markout.net_bps * markout.notional_e6 / USDC)
            score.roi_bps.add(markout.net_bps)

    def rows(self) -> tuple[ScoreRow, ...]:
        """The scorecard as it stands."""
        while self._changed:
            self.freshen()
        return tuple(self._rows.values())

    def freshen(self) -> None:
        """Make the row anew that has waited longest: a look now and then keeps `rows` cheap."""
        if self._changed:
            name = next(iter(self._changed))
            del self._changed[name]
            self._rows[name] = _row(name, self._scores[name])

    def _change(self, market: str) -> _Score | None:
        """The score of a market, which is about to change."""
        score = self._scores.get(market)
        if score is not None:
            self._changed[market] = None
        return score


def _row(name: str, score: _Score) -> ScoreRow:
    ev_p50, ev_p10 = score.ev_usdc.percentiles(0.5, 0.1)
    edge_p50, edge_p10 = score.edges.percentiles(0.5, 0.1)
    pnl = [samples.percentile(0.5) for samples in score.gross_bps]
    # Of equal counts the cause named first in the table.
    named = max(CAUSE_NAMES, key=lambda cause: score.causes.get(cause, 0))
    return ScoreRow(
        market_id=name,
        slug=score.slug,
        symbol=score.symbol,
        shots_10ms=score.shots,
        outcomes=score.outcomes,
        survival_10ms=ratio(score.survived, score.shots),
        fillability_10ms=ratio(score.fillable, score.reached),
        ev_net_usdc_p50=ev_p50,
        ev_net_usdc_p10=ev_p10,
        ev_positive_ratio=score.ev_usdc.positive_ratio(),
        fills=score.fills,
        pnl_1s_p50_bps=pnl[0],
        pnl_5s_p50_bps=pnl[1],
        pnl_10s_p50_bps=pnl[2],
        net_markout_10s_usdc_p50=score.net_usdc.percentile(0.5),
        net_markout_10s_usdc_total=score.net_usdc.total if len(score.net_usdc) else None,
        roi_notional_10s_bps_p50=score.roi_bps.percentile(0.5),
        net_edge_p50_bps=edge_p50,
        net_edge_p10_bps=edge_p10,
        top_cause=named if score.outcomes else None,
    )
