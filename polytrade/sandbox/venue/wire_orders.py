"""What a `POST /order` body means: its amounts as a side, a price and a size, or why not.

The signed order has two amounts only; price and size follow from them and the market's tick
(protocols 4.3). An order of a type that rests must give an exact price on the tick grid. One that
only takes gives a bound: collateral for a BUY, shares for a SELL, and its price is the ratio
rounded away from the market onto the grid. Whether a price is one the market takes is for the
matching engine to say.
"""

from typing import Final

import attrs

from polytrade.core.ids import BUY
from polytrade.core.units import (
    ONE_E4,
    notional_e6_down,
    price_text,
    share_e6_down,
    size_text,
    step_down,
)
from polytrade.sandbox.matching.orders import MARKET_TYPES, Order, Refused
from polytrade.sandbox.matching.rules import AMOUNT_DIGITS, SIZE_DIGITS, MarketRules
from polytrade.sandbox.venue.signed_orders import VerifiedOrder

UNITS_DIGITS: Final = 6
"""Decimals of collateral and shares on chain."""
BAD_POST_ONLY: Final = "invalid post-only order: only GTC and GTD order types are allowed"


@attrs.frozen(kw_only=True)
class Terms:
    """What an order asks for; `cash_e6` is what a FAK or FOK BUY may spend, otherwise 0."""

    price_e4: int
    size_e6: int
    cash_e6: int = 0


def check_post_only(body: object) -> None:
    """Refuse a decoded `POST /order` body that is post-only and cannot rest (protocols 2.5)."""
    if (
        isinstance(body, dict)
        and body.get("postOnly") is True
        and body.get("orderType") in MARKET_TYPES
    ):
        raise Refused(BAD_POST_ONLY)


def read_terms(sent: VerifiedOrder, tick_e4: int) -> Terms:
    """Price and size of the amounts at the market's tick. Raises Refused naming what is wrong."""
    if sent.order_type in MARKET_TYPES:
        return _market_terms(sent, tick_e4)
    return _limit_terms(sent, tick_e4)


def _limit_terms(sent: VerifiedOrder, tick_e4: int) -> Terms:
    digits = AMOUNT_DIGITS[tick_e4]
    buys = sent.side == BUY
    cash_e6, size_e6 = (
        (sent.maker_amount, sent.taker_amount) if buys else (sent.taker_amount, sent.maker_amount)
    )
    if not (_fits(cash_e6, digits) and _fits(size_e6, SIZE_DIGITS)):
        maker, taker = (digits, SIZE_DIGITS) if buys else (SIZE_DIGITS, digits)
        raise _too_fine("buy" if buys else "sell", maker, taker)
    price_e4 = share_e6_down(ONE_E4, cash_e6, size_e6)
    if notional_e6_down(price_e4, size_e6) != cash_e6:
        nearest_e4 = _nearest(cash_e6, size_e6, tick_e4)
        due_e6 = notional_e6_down(nearest_e4, size_e6)
        raise Refused(
            f"invalid amounts, the {'maker' if buys else 'taker'} amount for a "
            f"${price_text(nearest_e4)} order of size {size_text(size_e6)} should be "
            f"'{size_text(due_e6)}' but the value submited is '{size_text(cash_e6)}'"
        )
    return Terms(price_e4=price_e4, size_e6=size_e6)


def _market_terms(sent: VerifiedOrder, tick_e4: int) -> Terms:
    digits = AMOUNT_DIGITS[tick_e4]
    if not (_fits(sent.maker_amount, SIZE_DIGITS) and _fits(sent.taker_amount, digits)):
        raise _too_fine("market buy" if sent.side == BUY else "market sell", SIZE_DIGITS, digits)
    if sent.side == BUY:
        cash_e6, size_e6 = sent.maker_amount, sent.taker_amount
        price_e4 = step_down(share_e6_down(ONE_E4, cash_e6, size_e6), tick_e4)
        bound_e6 = cash_e6
    else:
        cash_e6, size_e6 = sent.taker_amount, sent.maker_amount
        # Floor of the negative is the ceiling: what a seller wants at least is not rounded away.
        price_e4 = -step_down(share_e6_down(-ONE_E4, cash_e6, size_e6), tick_e4)
        bound_e6 = 0
    return Terms(price_e4=price_e4, size_e6=size_e6, cash_e6=bound_e6)


def _fits(amount_e6: int, digits: int) -> bool:
    step: int = 10 ** (UNITS_DIGITS - digits)
    return step_down(amount_e6, step) == amount_e6


def _nearest(cash_e6: int, size_e6: int, tick_e4: int) -> int:
    """The price on the grid nearest to the ratio of the amounts."""
    doubled_e4 = share_e6_down(2 * ONE_E4, cash_e6, size_e6)
    return step_down(doubled_e4 + tick_e4, 2 * tick_e4) // 2


def _too_fine(kind: str, maker: int, taker: int) -> Refused:
    return Refused(
        f"invalid amounts, the {kind} orders maker amount supports a max accuracy of {maker} "
        f"decimals, taker amount a max of {taker} decimals"
    )


def order_of(sent: VerifiedOrder, rules: MarketRules, now_ns: int) -> Order:
    """The order the matching engine takes. Raises Refused like `read_terms`."""
    terms = read_terms(sent, rules.tick_e4)
    return Order(
        order_id=sent.order_id,
        wallet=sent.wallet,
        owner=sent.owner,
        condition=rules.condition,
        token=rules.tokens.index(sent.token_id),
        side=sent.side,
        price_e4=terms.price_e4,
        size_e6=terms.size_e6,
        cash_e6=terms.cash_e6,
        order_type=sent.order_type,
        post_only=sent.post_only,
        expires_s=sent.expiration_s,
        created_ns=now_ns,
        maker_address=sent.maker,
        signer=sent.signer,
        signature_type=sent.signature_type,
    )
