"""Toxicity: how much trading in a market costs us, and which markets are worth quoting.

From a market's measures (`standing.py`) follow its score and regime (`regimes.py`; Danger starts a
cooldown), its adaptive limits and market score (`adaptive.py`), and its rank among the others.

A fold over the engine's events: no clock, and the same events give the same numbers.
"""

from typing import Final, Protocol, final

from polytrade.core.adaptive import (
    OUTCOMES_MIN,
    SAMPLES_MIN,
    market_score,
    max_spread_e4,
    min_edge_bps,
)
from polytrade.core.book import Book
from polytrade.core.events import BookChanged, TradePrinted
from polytrade.core.ids import NO
from polytrade.core.market import OPEN, MarketState
from polytrade.core.markouts import HORIZON_10S, Markout
from polytrade.core.reference import SymbolReference
from polytrade.core.regimes import (
    DANGER,
    SAFE,
    WARM_UP,
    WARM_UP_SHARE,
    MarkoutWord,
    ToxicitySettings,
    raw_score,
    regime_at,
    tox_score,
)
from polytrade.core.standing import Standing
from polytrade.core.units import ONE_E4, SECOND_NS

COOLDOWN: Final = "cooldown"
RANK_EVERY_NS: Final = SECOND_NS
"""Ranks are taken anew this often, and at once when a market opens, ends or is forgotten: a sort
of all markets has no place in every tick."""


class Judged(Protocol):
    """What is written to: a strategy's view of `market`, of which these fields come from here."""

    market: MarketState
    regime: int
    tox: float
    score: float
    rank: int
    active: bool
    progress: float
    no_quote_rate: float
    markout10_p50: float
    markout10_p25: float
    markouts: int
    min_edge_bps: float
    max_spread_e4: int


@final
class ToxicityRow:
    """One market in the toxicity report; a markout without a sample is None.

    Of a market that is not `open` it tells what was thought last; it has no bursts.
    """

    __slots__ = (
        "active",
        "cancel_burst",
        "cooldown_sec",
        "imbalance",
        "market",
        "markout_10s_bps",
        "markouts",
        "no_quote_rate",
        "open",
        "rank",
        "reason",
        "regime",
        "score",
        "symbol",
        "symbol_missing_rate",
        "tox",
        "trade_burst",
    )

    def __init__(self, standing: Standing, ts_ns: int) -> None:
        self.open = standing.open and standing.market.phase == OPEN
        self.rank = standing.rank
        self.market = standing.market.spec.market
        self.symbol = standing.market.spec.symbol
        self.tox = standing.tox
        self.regime = standing.regime
        self.reason = standing.reason
        self.score = standing.score
        self.markout_10s_bps = standing.markouts[HORIZON_10S].percentile(50)
        self.markouts = standing.samples
        self.no_quote_rate = standing.no_quote_rate
        self.symbol_missing_rate = standing.missing_rate
        self.active = standing.active
        self.cooldown_sec = max(0, standing.cooldown_until_ns - ts_ns) / SECOND_NS
        self.imbalance = standing.imbalance
        self.cancel_burst = standing.cancel_burst() if self.open else 0.0
        self.trade_burst = standing.trade_burst() if self.open else 0.0


@final
class Toxicity:
    """The standing of every market that is decided; the engine says what happened.

    Per event: `changing` before a book takes it, `traded`; per decision: `update`, then `fill`,
    then `decided` when the maker was asked; per markout: `learn`. `outcomes` is how many fills of
    the measuring window have their last markout, `settings` what is judged by now.
    """

    __slots__ = (
        "_ranked_ns",
        "_standings",
        "_ts_ns",
        "_unranked",
        "outcomes",
        "settings",
    )

    def __init__(self, settings: ToxicitySettings) -> None:
        self.settings = settings
        self._standings: dict[str, Standing] = {}
        self._ts_ns = 0
        self._ranked_ns = 0
        self._unranked = False
        self.outcomes = 0

    # -- what happened --------------------------------------------------------------------------

    def update(self, market: MarketState, reference: SymbolReference | None, ts_ns: int) -> None:
        """A market is about to be decided: measure it and judge it."""
        self._ts_ns = ts_ns
        standing = self._standings.get(market.spec.market)
        if standing is None:
            standing = Standing(market, ts_ns)
            self._standings[market.spec.market] = standing
        is_open = market.phase == OPEN
        if is_open != standing.open:
            standing.open = is_open
            self._unranked = True
        if is_open:
            standing.measure(reference, ts_ns)
            self._judge(standing, ts_ns)
        if self._unranked or ts_ns - self._ranked_ns >= RANK_EVERY_NS:
            self._rank(ts_ns)
        standing.active = self._is_active(standing)

    def learn(self, markout: Markout) -> None:
        """A markout of an own fill became known; the last of a fill is its outcome."""
        self.markout(markout.market, markout.horizon, markout.bps)
        if markout.horizon == HORIZON_10S:
            self.outcome()

    def markout(self, market: str, horizon: int, bps: float) -> None:
        """Take a markout into the market's samples; one of a forgotten market is past caring.

        It is as old as the last decision before it.
        """
        standing = self._standings.get(market)
        if standing is not None:
            standing.learn(horizon, bps, self._ts_ns)

    def outcome(self) -> None:
        """A fill of the measuring window has its last markout: the warm-up is one nearer done."""
        self.outcomes += 1

    def reset_window(self) -> None:
        """A new measuring window begins; what is known of the markets stays known."""
        self.outcomes = 0

    def decided(self, market: str, quoted: bool, ts_ns: int) -> None:
        """The strategy was asked for quotes; call it only when it was.

        Markets that this module, a limit or the operator keeps from being asked are left out: they
        would lower their own score, and stay out for ever.
        """
        standing = self._standings.get(market)
        if standing is not None:
            standing.decided(quoted, ts_ns)

    def changing(self, event: BookChanged, book: Book) -> None:
        """A level is about to change: what is taken off it counts, whoever took it."""
        standing = self._standings.get(event.market)
        if standing is None:
            return
        side, price_e4 = event.side, event.price_e4
        if event.token == NO:
            side, price_e4 = 1 - side, ONE_E4 - price_e4
        gone_e6 = book.size_e6(side, price_e4) - event.size_e6
        if gone_e6 > 0:
            standing.reduced.add(gone_e6, event.ts_ns)

    def traded(self, event: TradePrinted) -> None:
        """A public trade: what it took off the book was not cancelled."""
        standing = self._standings.get(event.market)
        if standing is not None:
            standing.traded.add(event.size_e6, event.ts_ns)

    def apply(self, settings: ToxicitySettings) -> None:
        """Judge by other settings from the next update on; running cooldowns run on."""
        self.settings = settings

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        if self._standings.pop(market, None) is not None:
            self._unranked = True

    # -- what follows ---------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """How far the warm-up of the measuring window has come, 0 to 1."""
        return min(1.0, self.outcomes / OUTCOMES_MIN)

    def fill(self, view: Judged) -> None:
        """Write what is thought of the view's market, which was updated before, into it."""
        standing = self._standings[view.market.spec.market]
        settings = self.settings
        samples = standing.samples
        p50 = standing.p50[HORIZON_10S]
        p25 = standing.markout10_p25
        view.regime = standing.regime
        view.tox = standing.tox
        view.score = standing.score
        view.rank = standing.rank
        view.active = standing.active
        view.progress = self.outcomes / OUTCOMES_MIN if self.outcomes < OUTCOMES_MIN else 1.0
        view.no_quote_rate = standing.no_quote_rate
        view.markout10_p50 = p50
        view.markout10_p25 = p25
        view.markouts = samples
        view.min_edge_bps = min_edge_bps(
            settings.min_edge_bps,
            self.outcomes,
            samples,
            standing.tox,
            standing.no_quote_rate,
            p50,
            p25,
        )
        view.max_spread_e4 = max_spread_e4(settings.max_spread_e4, samples, standing.tox)

    def standing_of(self, market: str) -> Standing | None:
        """The measures of a market, None while it was never decided."""
        return self._standings.get(market)

    def regime_of(self, market: str) -> int:
        """The regime of a market; Safe while it was never decided."""
        standing = self._standings.get(market)
        return SAFE if standing is None else standing.regime

    def score_of(self, market: str) -> float:
        """The market score, 0 to 100; 0.0 while the market was never decided."""
        standing = self._standings.get(market)
        return 0.0 if standing is None else standing.score

    def rank_of(self, market: str) -> int:
        """The rank by market score among open markets from 1 on, 0 for any other."""
        standing = self._standings.get(market)
        return 0 if standing is None else standing.rank

    def rows(self, ts_ns: int) -> list[ToxicityRow]:
        """Every market for the report: the open ones by rank, then the others."""
        rows = [ToxicityRow(standing, ts_ns) for standing in self._standings.values()]
        rows.sort(key=_row_rank)
        return rows

    # -- how ------------------------------------------------------------------------------------

    def _judge(self, standing: Standing, ts_ns: int) -> None:
        settings, markouts = self.settings, standing.p50
        word = standing.word
        if word is None or word.markouts is not markouts or word.settings is not settings:
            word = standing.word = MarkoutWord(settings, markouts)
        raw = raw_score(word, standing.spread_bps, standing.drift, standing.stale_ms)
        tox = tox_score(word, raw)
        samples = standing.samples
        if samples < SAMPLES_MIN:
            tox = min(tox, WARM_UP_SHARE * settings.safe_threshold)
            regime, reason = SAFE, WARM_UP
        else:
            regime, reason = regime_at(word, tox)
        if ts_ns >= standing.cooldown_until_ns:
            if regime == DANGER:
                standing.cooldown_until_ns = ts_ns + _cooldown_ns(settings, tox)
        elif regime != DANGER:
            regime, reason = DANGER, COOLDOWN
        standing.tox = tox
        standing.regime = regime
        standing.reason = reason
        standing.score = market_score(
            samples, markouts[HORIZON_10S], standing.no_quote_rate, standing.missing_rate, tox
        )

    def _rank(self, ts_ns: int) -> None:
        """Best score first; of equal ones the market known longer.

        A market may end without another decision, so that the phase is what counts.
        """
        ranked: list[Standing] = []
        for standing in self._standings.values():
            standing.rank = 0
            standing.active = False
            if standing.open and standing.market.phase == OPEN:
                ranked.append(standing)
        ranked.sort(key=_score_first)
        for at, standing in enumerate(ranked):
            standing.rank = at + 1
            standing.active = self._is_active(standing)
        self._ranked_ns = ts_ns
        self._unranked = False

    def _is_active(self, standing: Standing) -> bool:
        settings = self.settings
        most = settings.active_top_n_markets
        if not standing.open or standing.score < settings.min_market_score:
            return False
        return most == 0 or 0 < standing.rank <= most


def _cooldown_ns(settings: ToxicitySettings, tox: float) -> int:
    low, high = settings.cooldown_min_sec, settings.cooldown_max_sec
    return round((low + (high - low) * tox) * SECOND_NS)


def _score_first(standing: Standing) -> float:
    return -standing.score


def _row_rank(row: ToxicityRow) -> int:
    return row.rank if row.rank else 1 << 30
