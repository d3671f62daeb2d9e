"""The models on real captures, as far as these allow: the settlement ticks of a day with strikes
and winners, order books with payouts, and whether any other capture holds an outcome at all.

The captures are no part of the project.
"""

import csv
import gzip
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
from model_runs import fair_value

from polytrade.builtin.horizons import HORIZONS, horizon_of
from polytrade.calibration import LEAST, MID, Calibration, Losses, Scores
from polytrade.captures import CaptureError
from polytrade.config import Config
from polytrade.core.events import (
    BookReplaced,
    ClockTicked,
    Event,
    MarketListed,
    MarketResolved,
    ReferenceTicked,
)
from polytrade.core.ids import ANCHOR, FAST, NO, YES
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import FairValue
from polytrade.core.units import MS_NS, ONE_E4, ONE_E6, SECOND_NS
from polytrade.replay import replay
from polytrade.session import build_session, run_started

SYMBOL: Final = "BTC"
COIN_FLIP: Final = 0.5
"""What a market without a book is compared with."""
LISTED_BEFORE_NS: Final = 60 * SECOND_NS
RESOLVED_AFTER_NS: Final = 120 * SECOND_NS
"""About when the venue tells the outcome (data facts 2.8)."""
LOOKBACK_S: Final = 60
"""The average that settled the 15-minute windows of September 2026 (data facts 2.10)."""
ANY_STRIKE_E8: Final = 1
"""A market without a strike never opens; without a price of the asset no model reads this one."""
TICKS: Final = "ligengxin-chainlink"
BOOKS: Final = "resolvedkit-btc15m"
FRAMES: Final = {
    "cronos-btc5m-book": "cronos-btc5m-book",
    "ali-btc5m-raw": "ali-btc5m-raw/market-ws.head.jsonl",
    "jonah-multisource": (
        "jonah-multisource/m9-rtds-natural-20260429T021025Z-fresh/raw_messages.jsonl"
    ),
    "pulsearb-frames": "pulsearb-frames/poly_ws_market_resolved.jsonl",
}
"""Captures of frames by folder, and the file of each that is replayed."""


@attrs.define(kw_only=True)
class Captured:
    """What one capture says of the models; `missing` is what cannot be computed from it, and why.

    `against` names what stands in the place of the mid.
    """

    name: str
    what: str
    missing: list[str]
    scores: Scores = attrs.Factory(Scores)
    against: str = "its mid"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "what": self.what,
            "missing": self.missing,
            "against": self.against,
            "scores": self.scores.to_dict(),
        }


def captured(folder: Path) -> Iterator[Captured]:
    """Every capture of the folder that says something; CaptureError for one that is broken."""
    if (folder / TICKS).is_dir():
        yield from settlement_days(folder / TICKS)
    if (folder / BOOKS).is_dir():
        yield books_with_payouts(folder / BOOKS)
    for name, place in FRAMES.items():
        if (folder / place).exists():
            yield frames(name, folder / place)


# -- a day of settlement ticks --------------------------------------------------------------------


def settlement_days(folder: Path) -> Iterator[Captured]:
    """`digital` with the settling price as its only reference, against a coin flip."""
    for path in sorted(folder.glob("*-prices-*.csv.gz")):
        listed = path.name.replace("-prices-", "-5m-markets-").replace("USD", "")
        markets = path.parent / listed.replace(".csv.gz", ".jsonl.gz")
        if not markets.exists():
            continue
        windows = [window for window in _windows(markets) if window.winner in (YES, NO)]
        days = Captured(
            name=path.name,
            what=f"{len(windows)} windows of 5 minutes with strike and winner, settlement ticks",
            missing=[
                "the mid: there are no books, so every model is compared with a coin flip (0.5)",
                "`basis_mr` and `blend`: they need the mid",
                "PnL, fills, markouts: nothing to trade with",
            ],
            against="a coin flip",
        )
        model = fair_value(Config(), "digital")
        days.scores = score_windows(windows, _ticks(path), model)
        yield days


@attrs.frozen
class Window:
    """One window, its official strike and its winner."""

    listed: MarketListed
    winner: int


def _windows(path: Path) -> Iterator[Window]:
    with gzip.open(path, "rb") as file:
        for line in file:
            row = orjson.loads(line)
            if not row.get("resolved") or row.get("strike_value") in (None, "", "0"):
                continue
            start_ns, end_ns = row["start_sec"] * SECOND_NS, row["end_sec"] * SECOND_NS
            strike_e8 = int(row["strike_value"]) // 10**10
            prices = [str(price) for price in row["outcome_prices"]]
            winner = {"1": YES, "0": NO}.get(prices[0], -1)
            spec = market_listed(row["condition_id"], row["slug"], start_ns, end_ns, "spot", 0)
            spec.strike_e8 = strike_e8
            yield Window(spec, winner)


def _ticks(path: Path) -> Iterator[ReferenceTicked]:
    """Each settlement tick when it was received; the last time holds where clocks run back."""
    last_ns = 0
    with gzip.open(path, "rb") as raw, io.TextIOWrapper(raw, "utf-8", newline="") as file:
        for row in csv.DictReader(file):
            last_ns = max(int(row["recv_ms"]) * MS_NS, last_ns)
            price_e8 = int(row["full_accuracy_value"]) // 10**10
            venue_ns = int(row["feed_ts_ms"]) * MS_NS
            yield ReferenceTicked(last_ns, SYMBOL, "chainlink", ANCHOR, price_e8, venue_ns)


def score_windows(
    windows: list[Window], ticks: Iterator[ReferenceTicked], model: FairValue
) -> Scores:
    """Ask the model once a second about every open window, knowing only what was received."""
    scores = Scores()
    scores.open("digital")
    config = Config()
    reference = SymbolReference(SYMBOL, config.strategy.vol_fast_s, config.strategy.vol_slow_s)
    waiting = sorted(windows, key=lambda window: window.listed.start_ns)
    open_now: list[tuple[Window, MarketState, list[Losses]]] = []
    second = -1
    for tick in ticks:
        ts_ns = tick.ts_ns
        while waiting and waiting[0].listed.start_ns <= ts_ns:
            window = waiting.pop(0)
            market = MarketState(window.listed, "off", 0)
            open_now.append((window, market, [(0, 0.0, 0.0, 0.0, 0.0)] * HORIZONS))
        for window, _, losses in [each for each in open_now if each[0].listed.end_ns <= ts_ns]:
            _close(scores, losses, window.winner)
        open_now = [each for each in open_now if each[0].listed.end_ns > ts_ns]
        reference.apply(tick)
        fast = ReferenceTicked(ts_ns, SYMBOL, "chainlink", FAST, tick.price_e8, tick.venue_ts_ns)
        if reference.apply(fast):
            model.on_reference(reference, ts_ns)
        if ts_ns // SECOND_NS == second:
            continue
        second = ts_ns // SECOND_NS
        for window, market, losses in open_now:
            estimate = model.estimate(market, reference, ts_ns)
            if estimate.ok:
                left_s = (window.listed.end_ns - ts_ns) / SECOND_NS
                _add(losses, horizon_of(left_s), estimate.fair, window.winner == YES)
    scores.unresolved = len(open_now)
    return scores


def _add(losses: list[Losses], horizon: int, p: float, happened: bool) -> None:
    p = min(max(p, LEAST), 1.0 - LEAST)
    right = p if happened else 1.0 - p
    n, brier, log_loss, flip_brier, flip_log = losses[horizon]
    losses[horizon] = (
        n + 1,
        brier + (1.0 - right) ** 2,
        log_loss - log(right),
        flip_brier + COIN_FLIP**2,
        flip_log - log(COIN_FLIP),
    )


def _close(scores: Scores, losses: list[Losses], winner: int) -> None:
    """Take the losses of a window that is over, by horizon and together."""
    if not any(part[0] for part in losses):
        scores.unresolved += 1
        return
    assert winner in (YES, NO), f"expected an outcome, found {winner}"
    scores.resolved += 1
    for score, part in zip(scores.horizons["digital"], losses, strict=True):
        if part[0]:
            score.take(part)
    n, *sums = (sum(column) for column in zip(*losses, strict=True))
    scores.overall["digital"].take((int(n), sums[0], sums[1], sums[2], sums[3]))


# -- books with payouts ---------------------------------------------------------------------------


def books_with_payouts(folder: Path) -> Captured:
    """The mid alone: without any price of the asset no model can speak."""
    held = Captured(
        name=folder.name,
        what="",
        missing=[
            "`digital` and `blend`: no price of the asset, and no strike",
            "`basis_mr`: no price of the asset, whose returns its anchor is made of",
            "PnL, fills, markouts: without an estimate nothing is quoted, and there are no trades",
        ],
    )
    config = Config()
    config = attrs.evolve(config, risk=attrs.evolve(config.risk, hash_mode="off"))
    session = build_session(config, paper=False)
    calibration = Calibration(session.engine)
    events = payout_events(folder)
    session.handle(run_started(config, 0, folder.name))
    for event in events:
        for stepped, effects in session.handle(event):
            calibration.observe(stepped, effects)
    held.scores = calibration.scores
    for name in [name for name in held.scores.overall if name != MID]:
        del held.scores.overall[name], held.scores.horizons[name], held.scores.bins[name]
    held.what = (
        f"{held.scores.resolved} BTC windows of 15 minutes with payouts, books about once a second"
    )
    return held


def payout_events(folder: Path) -> list[Event]:
    """Listings, books and outcomes in the order of their times."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 - optional: only this capture needs it
    except ImportError:
        reason = "expected pyarrow to read parquet, found it not installed (pip install pyarrow)"
        raise CaptureError(folder, reason) from None
    found: list[Event] = []
    for row in parquet.read_table(folder / "markets.parquet").to_pylist():
        start_ns, end_ns = row["start_ts"] * MS_NS, row["end_ts"] * MS_NS
        name, slug = row["market_id"], row["slug"]
        spec = market_listed(name, slug, start_ns, end_ns, "twap", LOOKBACK_S)
        spec.strike_e8 = ANY_STRIKE_E8
        found.append(spec)
        up = row["payout_up"]
        winner = YES if up == 1.0 else NO if up == 0.0 else -1
        found.append(MarketResolved(end_ns + RESOLVED_AFTER_NS, name, winner, folder.name))
    for row in parquet.read_table(folder / "books.parquet").to_pylist():
        found.append(_book(row))
    seconds = sorted({event.ts_ns // SECOND_NS for event in found})
    found += [ClockTicked(second * SECOND_NS) for second in seconds]
    return sorted(found, key=lambda event: event.ts_ns)


def _book(row: dict[str, Any]) -> BookReplaced:
    bids, asks = (
        sorted(
            (round(price * ONE_E4), round(size * ONE_E6))
            for price, size in zip(row[f"{side}_px"], row[f"{side}_sz"], strict=True)
        )
        for side in ("bid", "ask")
    )
    token = YES if row["side"] == "UP" else NO
    ts_ms = row["ts"]
    asks.reverse()
    return BookReplaced(
        ts_ms * MS_NS, row["market_id"], token, bids, asks, 100, "?", ts_ms, "", False
    )


# -- frames ---------------------------------------------------------------------------------------


def frames(name: str, path: Path) -> Captured:
    """Replay a capture of frames and score what resolves in it."""
    looking: list[Calibration] = []

    def attach(config: Config, session: Any) -> Calibration:
        looking.append(Calibration(session.engine))
        return looking[0]

    result = replay(path, config=Config(), attach=attach)
    scores = looking[0].scores
    books = result.events_by_type.get("book_replaced", 0)
    books += result.events_by_type.get("book_changed", 0)
    prices = result.events_by_type.get("reference_ticked", 0)
    missing = []
    if not scores.resolved:
        missing.append("every score: no market whose book was followed resolves within it")
    if not prices:
        missing.append("`digital`, `basis_mr`, `blend`: no price of the asset")
    if not result.fills:
        missing.append(f"PnL, markouts: {result.orders} orders, no fills")
    length_s = (result.last_ts_ns - result.first_ts_ns) / SECOND_NS
    what = f"{length_s:,.0f} s, {books:,} book events, {prices:,} reference ticks"
    return Captured(name=name, what=what, missing=missing, scores=scores)


def market_listed(
    name: str, slug: str, start_ns: int, end_ns: int, settle: str, lookback_s: int
) -> MarketListed:
    """An up/down window of bitcoin with the fees of its kind and no strike."""
    return MarketListed(
        ts_ns=start_ns - LISTED_BEFORE_NS,
        market=name,
        slug=slug,
        symbol=SYMBOL,
        condition="updown",
        yes=f"{name}-yes",
        no=f"{name}-no",
        tick_e4=100,
        min_size_e6=5 * ONE_E6,
        neg_risk=False,
        fee_rate_e6=70_000,
        fee_exponent=1,
        rebate_rate_e6=200_000,
        start_ns=start_ns,
        end_ns=end_ns,
        settle=settle,
        lookback_s=lookback_s,
        strike_e8=-1,
        accepting=True,
        closed=False,
        taker_delay_ms=0,
        version=datetime.fromtimestamp(start_ns / SECOND_NS, UTC).isoformat(),
    )
