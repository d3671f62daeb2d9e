"""Everything the limits look at, in a state in which a plain order passes."""

from polytrade.core.effects import PlaceOrder
from polytrade.core.events import FillConfirmed, OrderFilled
from polytrade.core.ids import BUY, YES
from polytrade.core.ledger import Ledger
from polytrade.core.limits import (
    Approved,
    Blocked,
    Context,
    MarketFacts,
    Request,
    RiskSettings,
    RiskState,
    check,
)
from polytrade.core.orders import Order, Orders
from polytrade.core.units import SECOND_NS
from tests.core.factory import END_NS, MARKET, SHARE, START_NS, listed

NOW = START_NS + 10 * SECOND_NS
USDC = 1_000_000
OTHER = "0xother"


def risk_settings(orders_per_s_e6: int = 20_000_000) -> RiskSettings:
    """The defaults of the configuration, but for an order size that lets the other caps show."""
    return RiskSettings(
        50 * USDC,
        100 * USDC,
        400 * USDC,
        60 * USDC,
        20,
        15_000,
        50 * USDC,
        5,
        60 * SECOND_NS,
        2 * SECOND_NS,
        1_500,
        2_000,
        orders_per_s_e6,
        20 * SECOND_NS,
    )


class Room:
    """Everything a check looks at, in a state in which a plain order passes."""

    def __init__(self) -> None:
        self.settings = risk_settings()
        self.risk = RiskState(self.settings)
        self.orders = Orders()
        self.ledger = Ledger()
        self.ledger.deposit(1_000 * USDC)
        self.ledger.listed(listed())
        self.ledger.listed(listed(market=OTHER, symbol="ETH"))
        self.facts = MarketFacts(
            True, "", 4_700, 4_900, 4_800, SECOND_NS, "open", True, START_NS, END_NS, 100,
            5 * SHARE, "BTC",
        )  # fmt: skip
        self.request = Request(MARKET, YES, BUY, 4_700, 10 * SHARE, "GTC", True, "maker")
        self.ts_ns = NOW
        self.names = 0

    def context(self) -> Context:
        account = self.ledger.account(self.request.market)
        assert account is not None
        return Context(self.ts_ns, self.risk, self.ledger, self.orders, account, self.facts)

    def check(self) -> Approved | Blocked:
        return check(self.request, self.context())

    def blocked(self) -> str:
        result = self.check()
        assert isinstance(result, Blocked), result
        assert result.request is self.request
        assert result.why
        return result.limit

    def why(self) -> str:
        result = self.check()
        assert isinstance(result, Blocked), result
        return result.why

    def size(self) -> int:
        result = self.check()
        assert isinstance(result, Approved), (result.limit, result.why)
        assert result.request is self.request
        return result.size_e6

    def capped(self) -> tuple[int, str]:
        result = self.check()
        assert isinstance(result, Approved), (result.limit, result.why)
        return result.size_e6, result.capped_by

    def rest(self, token: int, side: int, cents: int, shares: int, market: str = MARKET) -> Order:
        """One of our orders rests."""
        self.names += 1
        effect = PlaceOrder(
            f"o{self.names}", market, token, side, cents * 100, shares * SHARE, "GTC", True, 0, "m"
        )
        order = self.orders.open(effect, 1)
        self.ledger.hold(order)
        return order

    def own(self, token: int, shares: int, cents: int, market: str = MARKET) -> None:
        """Bought and settled."""
        order = self.rest(token, BUY, cents, shares, market)
        fill = OrderFilled(
            1, order.order_id, order.order_id, cents * 100, shares * SHARE, 0, True, "x"
        )
        self.orders.apply(fill)
        self.ledger.filled(order, fill)
        self.ledger.apply(FillConfirmed(1, order.order_id))
