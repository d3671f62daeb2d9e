"""Makers of the small worlds that strategies are asked about.

Sizes are in shares, prices of books in cents, money in USDC, as people say them; what is made
carries the exact integers of the engine.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from polytrade.config import Config
from polytrade.core.events import BookReplaced, MarketListed, ReferenceTicked
from polytrade.core.ids import BUY, FAST, SELL, YES
from polytrade.core.ledger import Ledger
from polytrade.core.limits import RiskState
from polytrade.core.market import OPEN, MarketState
from polytrade.core.orders import Orders
from polytrade.core.reference import SymbolReference
from polytrade.core.risk import Context, MarketFacts, Request
from polytrade.core.roles import Estimate, Inventory, Portfolio, View
from polytrade.core.units import ONE_E4, ONE_E6, SECOND_NS
from polytrade.session import risk_settings

START_NS: Final = 1_800_000_000 * SECOND_NS
"""When the made-up window starts, in Unix nanoseconds: on a whole five minutes."""
END_NS: Final = START_NS + 300 * SECOND_NS
NOW_NS: Final = START_NS + 60 * SECOND_NS
"""When views are asked unless told: a minute into the window."""
STRIKE: Final = 60_000.0
"""The price to beat, in USD."""
REORDER_NS: Final = 250_000_000
Levels = Mapping[float, float]


def listing(ts_ns: int = 0, **terms: Any) -> MarketListed:
    """An up/down market on Bitcoin of five minutes, on a grid of a cent, without fees.

    `terms` are fields of `events.MarketListed`, for example `tick_e4=10` or `condition="below"`.
    """
    fields: dict[str, Any] = {
        "ts_ns": ts_ns,
        "market": "0xfeed",
        "slug": f"btc-updown-5m-{START_NS // SECOND_NS}",
        "symbol": "BTC",
        "condition": "updown",
        "yes": "111",
        "no": "222",
        "tick_e4": 100,
        "min_size_e6": 5 * ONE_E6,
        "neg_risk": False,
        "fee_rate_e6": 0,
        "fee_exponent": 1,
        "rebate_rate_e6": 0,
        "start_ns": START_NS,
        "end_ns": END_NS,
        "settle": "spot",
        "lookback_s": 0,
        "strike_e8": round(STRIKE * 1e8),
        "accepting": True,
        "closed": False,
        "taker_delay_ms": 0,
        "version": "test",
    }
    unknown = sorted(set(terms) - set(MarketListed.FIELDS))
    if unknown:
        raise TypeError(f"expected fields of MarketListed, found {', '.join(unknown)}")
    return MarketListed(**{**fields, **terms})


def market(bids: Levels | None = None, asks: Levels | None = None, **terms: Any) -> MarketState:
    """A market of `listing` with a book: cents to shares, 46 to 54 with 100 shares each."""
    state = MarketState(listing(**terms), "enforce", REORDER_NS)
    state.phase = OPEN
    book(state, {46: 100} if bids is None else bids, {54: 100} if asks is None else asks)
    return state


def snapshot(
    market: str, bids: Levels, asks: Levels, ts_ns: int = START_NS, ms: int = 1
) -> BookReplaced:
    """The event of a whole book of YES; `ms` is the venue's own time."""
    return BookReplaced(
        ts_ns,
        market,
        YES,
        [(round(price * 100), round(size * ONE_E6)) for price, size in sorted(bids.items())],
        [(round(price * 100), round(size * ONE_E6)) for price, size in sorted(asks.items())][::-1],
        0,
        "?",
        ms,
        "",
        False,
    )


def book(state: MarketState, bids: Levels, asks: Levels, ms: int = 1) -> None:
    """Replace a market's book; `ms` is the venue's time and must grow from call to call."""
    state.book.replace(snapshot(state.spec.market, bids, asks, START_NS, ms), True)


def estimate(fair: float, confidence: float = 1.0, pad: float = 0.0, sd: float = 0.0) -> Estimate:
    """An estimate that speaks; `polytrade.api.no_estimate` makes one that does not."""
    return Estimate(True, fair, confidence, sd, pad, "")


def holding(yes: float = 0.0, no: float = 0.0, settled: bool = True) -> Inventory:
    """An inventory in shares, all of it or nothing of it sellable."""
    yes_e6, no_e6 = round(yes * ONE_E6), round(no * ONE_E6)
    return Inventory(yes_e6, no_e6, yes_e6 * settled, no_e6 * settled)


def reference(
    *prices: tuple[float, float], symbol: str = "BTC", source: str = "binance"
) -> SymbolReference:
    """A symbol's price as heard from one exchange at (seconds after the window's start, USD)."""
    heard = SymbolReference(symbol, 30.0, 600.0)
    for seconds, price in prices:
        ts_ns = START_NS + round(seconds * SECOND_NS)
        heard.apply(ReferenceTicked(ts_ns, symbol, source, FAST, round(price * 1e8), ts_ns))
    return heard


def view(
    fair: float | Estimate = 0.5,
    market: MarketState | None = None,
    held: Inventory | None = None,
    reference: SymbolReference | None = None,
    ts_ns: int = NOW_NS,
    **changes: Any,
) -> View:
    """What a strategy sees of a market in Safe, warmed up, with a least edge of 4 bps.

    `changes` are attributes of `View`, for example `regime=CAUTION`.
    """
    state = market if market is not None else _market()
    spoken = fair if isinstance(fair, Estimate) else estimate(fair)
    seen = View(state, reference, spoken, held or holding(), ts_ns)
    seen.min_edge_bps = 4.0
    seen.max_spread_e4 = 1_000
    for name, value in changes.items():
        if not hasattr(seen, name):
            raise TypeError(f"expected an attribute of View, found {name}")
        setattr(seen, name, value)
    return seen


_market = market  # `view` has a parameter of that name


def portfolio(
    capital: float = 1_000.0,
    equity: float | None = None,
    *,
    market: float = 0.0,
    symbol: float = 0.0,
    total: float = 0.0,
    engine: float = 0.0,
    siblings_up: float = 0.0,
) -> Portfolio:
    """The money of a run in USDC (`siblings_up` in shares); equity is the capital unless told."""
    return Portfolio(
        round(capital * ONE_E6),
        round((capital if equity is None else equity) * ONE_E6),
        market_e6=round(market * ONE_E6),
        symbol_e6=round(symbol * ONE_E6),
        total_e6=round(total * ONE_E6),
        engine_e6=round(engine * ONE_E6),
        siblings_up_e6=round(siblings_up * ONE_E6),
    )


def request(
    price: float = 46.0,
    size: float = 5.0,
    *,
    token: int = YES,
    side: int = BUY,
    engine: str = "maker",
    tif: str = "",
    market: str = "0xfeed",
    edge_bps: float = 10.0,
) -> Request:
    """An order somebody wants, in cents and shares; makers rest (GTC), others take (FAK)."""
    resting = engine == "maker"
    return Request(
        market,
        token,
        side,
        round(price * 100),
        round(size * ONE_E6),
        tif or ("GTC" if resting else "FAK"),
        resting,
        engine,
        edge_bps,
    )


def context(
    state: MarketState | None = None,
    *,
    fair: float = 0.5,
    cash: float = 1_000.0,
    ts_ns: int = NOW_NS,
    settings: Config | None = None,
) -> Context:
    """What a risk rule may look at: one market with nothing held, under the default limits."""
    state = state if state is not None else market()
    spec = state.spec
    ledger = Ledger()
    ledger.deposit(round(cash * ONE_E6))
    ledger.listed(spec)
    account = ledger.account(spec.market)
    assert account is not None
    facts = MarketFacts(
        book_valid=True,
        book_reason="",
        bid_e4=state.book.bid_e4,
        ask_e4=state.book.ask_e4,
        fair_e4=round(fair * ONE_E4),
        reference_age_ns=0,
        phase=state.phase,
        accepting=spec.accepting,
        start_ns=spec.start_ns,
        end_ns=spec.end_ns,
        tick_e4=spec.tick_e4,
        min_size_e6=spec.min_size_e6,
        symbol=spec.symbol,
        fair_e6=round(fair * ONE_E6),
    )
    risk = RiskState(risk_settings(settings or Config()))
    risk.on_equity(round(cash * ONE_E6), ts_ns)
    return Context(ts_ns, risk, ledger, Orders(), account, facts)


def levels(state: MarketState) -> tuple[dict[float, float], dict[float, float]]:
    """The bids and asks of a market's book, in cents and shares."""
    sides = []
    for side in (BUY, SELL):
        rows = state.book.depth(side, ONE_E4)
        sides.append({price_e4 / 100: size_e6 / ONE_E6 for price_e4, size_e6 in rows})
    return sides[0], sides[1]


def evolved(settings: Config, **sections: Mapping[str, Any]) -> Config:
    """The configuration with settings of some sections changed; TypeError for unknown names."""
    changed = {
        name: attrs.evolve(getattr(settings, name), **fields) for name, fields in sections.items()
    }
    return attrs.evolve(settings, **changed)
