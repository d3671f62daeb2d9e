"""Orders and trades as the venue keeps them, and the ways it says no."""

from typing import Final

import attrs

from polytrade.core.ids import BUY, SELL, YES
from polytrade.core.units import ONE_E4

GTC: Final = "GTC"
GTD: Final = "GTD"
FOK: Final = "FOK"
FAK: Final = "FAK"
RESTING_TYPES: Final = (GTC, GTD)
MARKET_TYPES: Final = (FOK, FAK)

# Order statuses (protocols 6.2). What begins with CANCELED is final.
LIVE: Final = "LIVE"
MATCHED: Final = "MATCHED"
DELAYED: Final = "DELAYED"
UNMATCHED: Final = "UNMATCHED"
CANCELED: Final = "CANCELED"
EXPIRED: Final = "CANCELED_EXPIRED_ORDER"
NOT_COVERED: Final = "CANCELED_NOT_ENOUGH_BALANCE"
RESOLVED: Final = "CANCELED_MARKET_RESOLVED"

# Trade statuses (protocols 6.3).
TRADE_MATCHED: Final = "MATCHED"
MINED: Final = "MINED"
CONFIRMED: Final = "CONFIRMED"
RETRYING: Final = "RETRYING"
FAILED: Final = "FAILED"

COMPLEMENTARY: Final = "COMPLEMENTARY"
MINT: Final = "MINT"
MERGE: Final = "MERGE"


class Refused(Exception):
    """An order or a cancel the venue does not take; `text` is the venue's own wording."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@attrs.define(eq=False, kw_only=True)
class Order:
    """One order. Price, side and size are in the terms of its own token.

    A FAK or FOK BUY binds `cash_e6`, the collateral it may spend (fees come on top); every other
    order binds `size_e6` shares. `wallet` (lower case) pays and receives; `owner` is the API key
    that placed it, empty for the venue's own traders. `expires_s` is the wire's expiration, 0 for
    never. `refusal` says why an order that was answered as delayed came to nothing.
    """

    order_id: str
    wallet: str
    owner: str = ""
    condition: str
    token: int
    side: int
    price_e4: int
    size_e6: int
    cash_e6: int = 0
    order_type: str = GTC
    post_only: bool = False
    expires_s: int = 0
    created_ns: int = 0
    maker_address: str = ""
    """The wallet as its owner writes it (checksummed)."""
    signer: str = ""
    signature_type: int = 0
    matched_e6: int = 0
    spent_e6: int = 0
    """Collateral paid or received so far, fees apart."""
    status: str = LIVE
    refusal: str = ""
    trade_ids: list[str] = attrs.field(factory=list)

    @property
    def remaining_e6(self) -> int:
        """Shares not yet matched; what a cash-bound order still buys is not in it."""
        return self.size_e6 - self.matched_e6

    @property
    def open(self) -> bool:
        """Whether it may still match."""
        return self.status in (LIVE, DELAYED)

    @property
    def binds_cash(self) -> bool:
        """Whether the order is bound by what it may spend."""
        return self.order_type in MARKET_TYPES and self.side == BUY

    @property
    def yes_price_e4(self) -> int:
        """The limit in YES terms: a NO order at q is a YES order of the other side at 1 - q."""
        return self.price_e4 if self.token == YES else ONE_E4 - self.price_e4

    @property
    def yes_side(self) -> int:
        """The side in YES terms."""
        if self.token == YES:
            return self.side
        return SELL if self.side == BUY else BUY


@attrs.frozen(eq=False)
class MakerFill:
    """One maker order's part of a trade, at the maker's own price and token."""

    order: Order
    size_e6: int
    price_e4: int
    cash_e6: int
    """Collateral the maker paid or received."""
    kind: str
    """COMPLEMENTARY, MINT or MERGE."""


@attrs.define(eq=False, kw_only=True)
class Trade:
    """One taker order against one or more maker orders, settled as one transaction.

    `cash_e6` is what the taker paid or received, fee apart; its price is `cash_e6 / size_e6`. A
    trade that is sent again has another `transaction_hash`.
    """

    trade_id: str
    condition: str
    taker: Order
    size_e6: int
    cash_e6: int
    fee_e6: int
    fills: list[MakerFill]
    match_ns: int
    update_ns: int
    bucket_index: int = 0
    transaction_hash: str = ""
    status: str = TRADE_MATCHED

    @property
    def price_e6(self) -> int:
        """The taker's average price in 1e-6, rounded to the nearest."""
        return (self.cash_e6 * 1_000_000 + self.size_e6 // 2) // self.size_e6


@attrs.frozen
class Placement:
    """The answer to an order that was taken.

    `status` is the wire's live, matched, delayed or unmatched. `making_e6` and `taking_e6` are what
    matched at once, in the terms of makerAmount and takerAmount.
    """

    order: Order
    status: str
    making_e6: int = 0
    taking_e6: int = 0
    trade_ids: tuple[str, ...] = ()
