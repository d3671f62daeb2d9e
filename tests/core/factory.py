"""Small makers of events and states for the core's tests."""

from typing import Any

from polytrade.core.book import UNKNOWN_TRADE
from polytrade.core.effects import PlaceOrder
from polytrade.core.events import BookChanged, BookReplaced, MarketListed, TradePrinted
from polytrade.core.ids import BUY, YES
from polytrade.core.market import MarketState
from polytrade.core.units import SECOND_NS

MARKET = "0xfeed"
START_NS = 1_000 * SECOND_NS
END_NS = 1_300 * SECOND_NS
SHARE = 1_000_000


def listed(ts_ns: int = 0, **changes: Any) -> MarketListed:
    """An up/down market of BTC, 5 minutes, settled on the 60 s average."""
    fields: dict[str, Any] = {
        "ts_ns": ts_ns,
        "market": MARKET,
        "slug": "btc-updown-5m-1000",
        "symbol": "BTC",
        "condition": "updown",
        "yes": "111",
        "no": "222",
        "tick_e4": 100,
        "min_size_e6": 5 * SHARE,
        "neg_risk": False,
        "fee_rate_e6": 70_000,
        "fee_exponent": 1,
        "rebate_rate_e6": 200_000,
        "start_ns": START_NS,
        "end_ns": END_NS,
        "settle": "twap",
        "lookback_s": 60,
        "strike_e8": 6_000_000_000_000,
        "accepting": True,
        "closed": False,
        "taker_delay_ms": 50,
        "version": "v1",
        "upper_e8": 0,
    }
    unknown = set(changes) - set(fields)
    assert not unknown, unknown
    fields.update(changes)
    return MarketListed(**fields)


def market(**changes: Any) -> MarketState:
    """The state of `listed(...)`, without a book."""
    return MarketState(listed(**changes), "enforce", 250_000_000)


def snapshot(
    bids: dict[int, int],
    asks: dict[int, int],
    ts_ns: int = START_NS,
    ts_ms: int = 1,
    token: int = YES,
) -> BookReplaced:
    """A snapshot without a hash; sizes in whole shares, prices in cents."""
    return BookReplaced(
        ts_ns,
        MARKET,
        token,
        [(price * 100, size * SHARE) for price, size in sorted(bids.items())],
        [(price * 100, size * SHARE) for price, size in sorted(asks.items(), reverse=True)],
        0,
        UNKNOWN_TRADE,
        ts_ms,
        "",
        False,
    )


def change(side: int, cents: int, shares: int, ts_ns: int, ts_ms: int) -> BookChanged:
    """One level of YES, without a hash."""
    return BookChanged(ts_ns, MARKET, YES, side, cents * 100, shares * SHARE, -1, -1, ts_ms, "")


def trade(side: int, cents: int, shares: int, ts_ns: int, token: int = YES) -> TradePrinted:
    """A print in the taker's terms."""
    return TradePrinted(ts_ns, MARKET, token, side, cents * 100, shares * SHARE, 1, "0x1")


def place(
    name: str = "o1",
    token: int = YES,
    side: int = BUY,
    cents: int = 48,
    shares: int = 10,
    tif: str = "GTC",
    post_only: bool = True,
) -> PlaceOrder:
    """An order of the maker."""
    return PlaceOrder(
        name, MARKET, token, side, cents * 100, shares * SHARE, tif, post_only, 0, "maker"
    )
