"""What an order must be before the engine looks at the book, and the venue's words when it is not.

Texts are the venue's where one is known (protocols 2.6), otherwise in its spirit.
"""

from typing import Final

from polytrade.core.ids import SIDE_NAMES
from polytrade.core.units import (
    ONE_E4,
    SECOND_NS,
    decimal_text,
    notional_e6_down,
    price_text,
    size_text,
)
from polytrade.sandbox.matching.orders import FAK, FOK, GTD, MARKET_TYPES, Order, Refused
from polytrade.sandbox.matching.rules import MARKETABLE_MIN_E6, MarketRules

NOT_READY: Final = "the market is not yet ready to process new orders"
FOK_DEAD: Final = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_DEAD: Final = (
    "no orders found to match with FAK order. FAK orders are partially filled or killed if no "
    "match is found."
)
DEAD: Final = {FOK: FOK_DEAD, FAK: FAK_DEAD}
NO_TAKING: Final = "post-only mode: only post-only orders and cancels are allowed"
POST_ONLY_CROSSES: Final = "invalid post-only order: order crosses book"
POST_ONLY_TYPE: Final = "invalid post-only order: only GTC and GTD orders can be post-only"
BAD_EXPIRATION: Final = "invalid expiration"
OWN_ORDER: Final = "invalid order: order crosses an order of the same wallet"
MARKET_FULL: Final = "could not insert order: too many open orders in the market"

GTD_GRACE_S: Final = 5
"""An expiration may be so much too early; what the venue allows is not documented."""


def check_form(order: Order, rules: MarketRules, now_ns: int, gtd_min_s: int) -> None:
    """What can be said of an order without the book; raises Refused."""
    tick_e4, price_e4 = rules.tick_e4, order.price_e4
    if not tick_e4 <= price_e4 <= ONE_E4 - tick_e4:
        most = price_text(ONE_E4 - tick_e4)
        text = f"invalid price ({price_text(max(price_e4, 0))})"
        raise Refused(f"{text}, min: {price_text(tick_e4)} - max: {most}")
    if price_e4 % tick_e4:
        text = f"order {order.order_id} is invalid. Price ({price_text(price_e4)})"
        raise Refused(f"{text} breaks minimum tick size rule: {price_text(tick_e4)}")
    if order.post_only and order.order_type in MARKET_TYPES:
        raise Refused(POST_ONLY_TYPE)
    if order.order_type == GTD:
        # Clients reckon from a whole second, and their orders take a while to arrive.
        if order.expires_s < now_ns // SECOND_NS + gtd_min_s - GTD_GRACE_S:
            raise Refused(BAD_EXPIRATION)
    elif order.expires_s:
        raise Refused(BAD_EXPIRATION)


def check_amount(order: Order, rules: MarketRules, marketable: bool) -> None:
    """What an order must be worth: 1 pUSD when it takes, the minimum size when it rests.

    The venue's minimum is documented for every marketable order, its text only for buys.
    """
    if marketable or order.order_type in MARKET_TYPES:
        cash_bound = order.binds_cash
        worth_e6 = order.cash_e6 if cash_bound else notional_e6_down(order.price_e4, order.size_e6)
        if worth_e6 < MARKETABLE_MIN_E6:
            side = SIDE_NAMES[order.side].upper()
            worth = f"${decimal_text(max(worth_e6, 0), 6)}"
            text = f"invalid amount for a marketable {side} order ({worth}), min size: $1"
            raise Refused(text)
    elif order.size_e6 < rules.min_size_e6:
        text = f"order {order.order_id} is invalid. Size ({size_text(max(order.size_e6, 0))})"
        raise Refused(f"{text} lower than the minimum: {size_text(rules.min_size_e6)}")
