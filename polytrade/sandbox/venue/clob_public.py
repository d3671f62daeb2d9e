"""The CLOB's public endpoints (protocols 2.1): markets, books, prices, the clock."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from quart import Response, request
from quart_trio import QuartTrio

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import (
    ONE_E4,
    SECOND_NS,
    decimal_text,
    price_text,
)
from polytrade.sandbox.matching.market import Market
from polytrade.sandbox.matching.orders import Refused
from polytrade.sandbox.venue.clob_calls import Door, Public, answer, paged
from polytrade.sandbox.venue.clob_markets import (
    FEE_FLAG,
    Told,
    compact_market,
    last_e4,
    long_market,
    number,
    padded,
    price_now_e4,
    sides_e4,
    simplified_market,
)
from polytrade.sandbox.venue.clob_records import live_trade
from polytrade.sandbox.venue.wire_market import SIDE_TEXTS

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

TOKENS_MAX: Final = 500
"""Tokens one request may name (protocols 2.1)."""
MARKETS_PAGE: Final = 500
ACTIVITY_MAX: Final = 100
"""Trades `/markets/live-activity` shows."""
HISTORY_MAX: Final = 10_000
"""Points of one price history: a week of minutes."""
MINUTE_S: Final = 60
DAY_S: Final = 86_400
INTERVALS_S: Final = {
    "1h": 3600,
    "6h": 6 * 3600,
    "1d": DAY_S,
    "1w": 7 * DAY_S,
    "1m": 30 * DAY_S,
    "max": 0,
    "all": 0,
}
NO_BOOK: Final = "No orderbook exists for the requested token id"
NO_MARKET: Final = "market not found"
BAD_TOKEN: Final = "Invalid token id"
BAD_PAYLOAD: Final = "Invalid payload"

Quote = Callable[[Market, int], str]


class _Public:
    """What is answered from the matching engine and the calendar alone."""

    def __init__(self, venue: "LocalVenue") -> None:
        self._venue = venue

    # The venue itself.

    def ok(self) -> Response:
        return answer("OK")

    def time(self) -> Response:
        return answer(self._venue.now_s())

    def version(self) -> Response:
        return answer({"version": 2})

    # One token.

    def _named(self, missing: str = NO_BOOK) -> tuple[Market, int]:
        token_id = request.args.get("token_id", "")
        if not (token_id.isascii() and token_id.isdigit()):
            raise Refused(BAD_TOKEN)
        found = self._venue.exchange.tokens.get(token_id)
        if found is None:
            raise Refused(missing, 404)
        return found

    def book(self) -> Response:
        market, token = self._named()
        text = self._venue.market_channel.rest_book(market.rules.tokens[token])
        if text is None:
            raise Refused(NO_BOOK, 404)
        return Response(text, content_type="application/json")

    def price(self) -> Response:
        market, token = self._named()
        return answer({"price": _price(market, token, _side(request.args.get("side")))})

    def midpoint(self) -> Response:
        return answer({"mid": _mid(*self._named())})

    def spread(self) -> Response:
        return answer({"spread": _spread(*self._named())})

    def last_trade_price(self) -> Response:
        market, token = self._named()
        return answer({"price": _last(market, token), "side": _last_side(market, token)})

    def tick_size(self) -> Response:
        market, _ = self._named(NO_MARKET)
        return answer({"minimum_tick_size": number(market.rules.tick_e4, ONE_E4)})

    def neg_risk(self) -> Response:
        return answer({"neg_risk": self._named(NO_MARKET)[0].rules.neg_risk})

    def fee_rate(self) -> Response:
        market, _ = self._named(NO_MARKET)
        return answer({"base_fee": FEE_FLAG if market.rules.fees is not None else 0})

    # Many tokens: those that are not known are left out.

    def _listed(self, body: object) -> list[tuple[str, Market, int, dict[str, Any]]]:
        if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
            raise Refused(BAD_PAYLOAD)
        if len(body) > TOKENS_MAX:
            raise Refused("Payload exceeds the limit")
        found = []
        for item in body:
            token_id = str(item.get("token_id"))
            known = self._venue.exchange.tokens.get(token_id)
            if known is not None:
                found.append((token_id, *known, item))
        return found

    def books(self, body: object) -> Response:
        rest_book = self._venue.market_channel.rest_book
        tokens = dict.fromkeys(token_id for token_id, *_ in self._listed(body))
        texts = [text for text in map(rest_book, tokens) if text is not None]
        return Response(f"[{','.join(texts)}]", content_type="application/json")

    def prices(self, body: object) -> Response:
        shown: dict[str, dict[str, str]] = {}
        for token_id, market, token, item in self._listed(body):
            side = _side(item.get("side"))
            shown.setdefault(token_id, {})[SIDE_TEXTS[side]] = _price(market, token, side)
        return answer(shown)

    def midpoints(self, body: object) -> Response:
        return self._quotes(body, _mid)

    def spreads(self, body: object) -> Response:
        return self._quotes(body, _spread)

    def _quotes(self, body: object, quote: Quote) -> Response:
        return answer({name: quote(market, at) for name, market, at, _ in self._listed(body)})

    def last_trades_prices(self, body: object) -> Response:
        return answer(
            [
                {
                    "token_id": token_id,
                    "price": _last(market, token),
                    "side": _last_side(market, token),
                }
                for token_id, market, token, _ in self._listed(body)
                if market.last_e4 >= 0
            ]
        )

    # Markets.

    def _told(self, market: Market) -> Told:
        return Told(market, self._venue.calendar.by_condition.get(market.rules.condition))

    def _market(self, condition: str) -> Told:
        if not condition.startswith("0x") or len(condition) not in (64, 66):
            raise Refused("Invalid market")
        market = self._venue.exchange.markets.get(padded(condition.lower()))
        if market is not None:
            return self._told(market)
        raise Refused(NO_MARKET, 404)

    def market(self, condition: str) -> Response:
        return answer(long_market(self._market(condition)))

    def clob_market(self, condition: str) -> Response:
        return answer(compact_market(self._market(condition)))

    def markets(self) -> Response:
        return self._page(lambda market: True, long_market)

    def simplified(self) -> Response:
        return self._page(lambda market: True, simplified_market)

    def sampling(self) -> Response:
        return self._page(_sampled, long_market)

    def sampling_simplified(self) -> Response:
        return self._page(_sampled, simplified_market)

    def _page(self, wanted: Callable[[Market], bool], show: Callable[[Told], object]) -> Response:
        markets = [market for market in self._venue.exchange.markets.values() if wanted(market)]
        return paged(markets, MARKETS_PAGE, lambda market: show(self._told(market)))

    def market_by_token(self, token_id: str) -> Response:
        found = self._venue.exchange.tokens.get(token_id)
        if found is None:
            raise Refused(NO_MARKET, 404)
        primary, secondary = found[0].rules.tokens
        return answer(
            {
                "condition_id": found[0].rules.condition,
                "primary_token_id": primary,
                "secondary_token_id": secondary,
            }
        )

    def live_activity(self, condition: str) -> Response:
        told = self._market(condition)
        rules = told.market.rules
        trades = [t for t in self._venue.exchange.trades.values() if t.condition == rules.condition]
        trades.reverse()
        return answer([live_trade(trade, told) for trade in trades[:ACTIVITY_MAX]])

    def builder_fees(self, code: str) -> Response:
        if not code.startswith("0x") or len(code) != 66:
            raise Refused("Invalid builder code")
        return answer({"builder_maker_fee_rate_bps": 0, "builder_taker_fee_rate_bps": 0})

    # Prices of the past: the last trade before each step, as far as trades are remembered.

    def prices_history(self) -> Response:
        args, now_s = request.args, self._venue.schedule.now_ns // SECOND_NS
        found = self._venue.exchange.tokens.get(args.get("market", ""))
        if found is None:
            raise Refused("invalid filters: market")
        market, token = found
        end_s, step_s = _whole("endTs", now_s), max(1, _whole("fidelity", 1)) * MINUTE_S
        interval = args.get("interval", "")
        if interval and interval not in INTERVALS_S:
            raise Refused("invalid filters: interval")
        if not interval and "startTs" not in args:
            raise Refused("invalid filters: startTs or interval is required")
        length_s = INTERVALS_S.get(interval, 0)
        start_s = _whole("startTs", end_s - length_s if length_s else 0)
        return answer({"history": self._history(market, token, (start_s, end_s, step_s))})

    def _history(
        self, market: Market, token: int, span_s: tuple[int, int, int]
    ) -> list[dict[str, float]]:
        start_s, end_s, step_s = span_s
        points: dict[int, int] = {}
        condition = market.rules.condition
        for trade in self._venue.exchange.trades.values():
            at_s = trade.match_ns // SECOND_NS
            if trade.condition == condition and start_s <= at_s <= end_s:
                price_e4 = trade.price_e6 // 100
                own = trade.taker.token == token
                points[at_s - at_s % step_s] = price_e4 if own else ONE_E4 - price_e4
        now_s = self._venue.schedule.now_ns // SECOND_NS
        if start_s <= now_s <= end_s:
            points[now_s] = price_now_e4(market, token)
        rows = sorted(points.items())[-HISTORY_MAX:]
        return [{"t": at_s, "p": number(price_e4, ONE_E4)} for at_s, price_e4 in rows]


def _sampled(market: Market) -> bool:
    """Whether the market pays liquidity rewards now."""
    return market.accepting and market.rules.rewards is not None


def _whole(name: str, default: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise Refused(f"invalid filters: {name}")
    return int(text)


def _side(text: object) -> int:
    if text not in SIDE_TEXTS:
        raise Refused("Invalid side")
    return SIDE_TEXTS.index(str(text))


def _price(market: Market, token: int, side: int) -> str:
    """The best price of the side itself: what rests to buy for BUY."""
    bid_e4, ask_e4 = sides_e4(market, token)
    return price_text(bid_e4 if side == BUY else ask_e4)


def _mid(market: Market, token: int) -> str:
    return decimal_text(sum(sides_e4(market, token)) * 5, 5)


def _spread(market: Market, token: int) -> str:
    bid_e4, ask_e4 = sides_e4(market, token)
    return price_text(ask_e4 - bid_e4)


def _last(market: Market, token: int) -> str:
    price_e4 = last_e4(market, token)
    return price_text(price_e4) if price_e4 >= 0 else "0.5"


def _last_side(market: Market, token: int) -> str:
    trade = market.last_trade
    if trade is None:
        return ""
    taker = trade.taker
    own_side = taker.side if taker.token == token else (SELL if taker.side == BUY else BUY)
    return SIDE_TEXTS[own_side]


def add(app: QuartTrio, door: Door, venue: "LocalVenue") -> None:
    """Give the application its public routes."""
    public = _Public(venue)
    read: dict[str, Public] = {
        "/": public.ok,
        "/ok": public.ok,
        "/time": public.time,
        "/version": public.version,
        "/book": public.book,
        "/price": public.price,
        "/midpoint": public.midpoint,
        "/spread": public.spread,
        "/last-trade-price": public.last_trade_price,
        "/tick-size": public.tick_size,
        "/neg-risk": public.neg_risk,
        "/fee-rate": public.fee_rate,
        "/prices-history": public.prices_history,
        "/markets": public.markets,
        "/markets/<condition>": public.market,
        "/markets/live-activity/<condition>": public.live_activity,
        "/clob-markets/<condition>": public.clob_market,
        "/markets-by-token/<token_id>": public.market_by_token,
        "/simplified-markets": public.simplified,
        "/sampling-markets": public.sampling,
        "/sampling-simplified-markets": public.sampling_simplified,
        "/fees/builder-fees/<code>": public.builder_fees,
    }
    for path, handler in read.items():
        app.add_url_rule(path, f"get {path}", door.public(handler), methods=["GET"])
    for path, poster in {
        "/books": public.books,
        "/prices": public.prices,
        "/midpoints": public.midpoints,
        "/spreads": public.spreads,
        "/last-trades-prices": public.last_trades_prices,
    }.items():
        app.add_url_rule(path, f"post {path}", door.posted(poster), methods=["POST"])
