"""What open orders hold: cash for a BUY, shares for a SELL, and the money they put at risk."""

from typing import final

from polytrade.core.accounts import Account, raises_net
from polytrade.core.ids import BUY, SELL, YES
from polytrade.core.orders import Order, Orders
from polytrade.core.units import ONE_E4, fee_e6, notional_e6_up


def worst_cost_e6(side: int, price_e4: int, size_e6: int, rate_e6: int, exponent: int) -> int:
    """The most an order can lose when its outcome goes wrong: a BUY its price, a SELL the rest of
    the dollar it gave away, and the taker fee (rate 0 when post-only).

    The limit price is the worst one: with a fee rate up to 1 a better price costs less in all.
    """
    at_e4 = price_e4 if side == BUY else ONE_E4 - price_e4
    cost_e6 = notional_e6_up(at_e4, size_e6)
    return cost_e6 + fee_e6(size_e6, at_e4, rate_e6, exponent) if rate_e6 else cost_e6


@final
class Reservation:
    """What one open order holds: `rest_e6` shares still open, the cash of a BUY, and the money lost
    if it fills and its outcome goes wrong.
    """

    __slots__ = ("account", "cash_e6", "rest_e6", "risk_e6", "side", "token")

    def __init__(
        self, account: Account, token: int, side: int, rest_e6: int, cash_e6: int, risk_e6: int
    ) -> None:
        self.account = account
        self.token = token
        self.side = side
        self.rest_e6 = rest_e6
        self.cash_e6 = cash_e6
        self.risk_e6 = risk_e6


@final
class Reservations:
    """The reservations of all open orders; their sums live in the accounts and in `cash_e6`."""

    __slots__ = ("_held", "cash_e6")

    def __init__(self) -> None:
        self.cash_e6 = 0
        self._held: dict[str, Reservation] = {}

    def hold(self, order: Order, account: Account | None) -> None:
        """Reserve for the order's open rest, in place of what was reserved for it before.

        An open order needs an account (AssertionError).
        """
        rest_e6 = order.open_e6()
        name = order.order_id
        held = self._held.get(name)
        if held is not None:
            if held.rest_e6 == rest_e6:
                return
            del self._held[name]
            self._shift(held, -1)
        if rest_e6 <= 0:
            return
        if account is None:
            raise AssertionError(f"order {order.order_id} in unlisted market {order.market}")
        side = order.side
        rate_e6 = 0 if order.post_only else account.fee_rate_e6
        risk_e6 = worst_cost_e6(side, order.price_e4, rest_e6, rate_e6, account.fee_exponent)
        cash_e6 = risk_e6 if side == BUY else 0
        held = Reservation(account, order.token, side, rest_e6, cash_e6, risk_e6)
        self._held[name] = held
        self._shift(held, 1)

    def check(self, orders: Orders, accounts: list[Account]) -> None:
        """AssertionError unless the reservations are those of the open orders, and the sums
        theirs.
        """
        for order in orders.all_open():
            held = self._held.get(order.order_id)
            found_e6 = 0 if held is None else held.rest_e6
            if found_e6 != order.open_e6():
                raise AssertionError(f"{order!r} reserves {found_e6}")
        if len(self._held) > orders.open_count():
            raise AssertionError(f"{len(self._held)} reservations, {orders.open_count()} orders")
        cash_e6 = 0
        for held in self._held.values():
            cash_e6 += held.cash_e6
        if cash_e6 != self.cash_e6:
            raise AssertionError(f"reserved cash is {self.cash_e6}, orders hold {cash_e6}")
        for account in accounts:
            self._check_sums(account)

    def _check_sums(self, account: Account) -> None:
        up = up_risk = down = down_risk = yes = no = 0
        for held in self._held.values():
            if held.account is not account:
                continue
            if raises_net(held.token, held.side):
                up += held.rest_e6
                up_risk += held.risk_e6
            else:
                down += held.rest_e6
                down_risk += held.risk_e6
            if held.side == SELL and held.token == YES:
                yes += held.rest_e6
            elif held.side == SELL:
                no += held.rest_e6
        wanted = [up, up_risk, down, down_risk, yes, no]
        found = [
            account.up_e6,
            account.up_risk_e6,
            account.down_e6,
            account.down_risk_e6,
            account.reserved_yes_e6,
            account.reserved_no_e6,
        ]
        if wanted != found:
            raise AssertionError(f"{account.market} sums {found}, its orders hold {wanted}")

    def _shift(self, held: Reservation, sign: int) -> None:
        account, token, side = held.account, held.token, held.side
        rest_e6, risk_e6 = sign * held.rest_e6, sign * held.risk_e6
        if (token == YES) == (side == BUY):
            account.up_e6 += rest_e6
            account.up_risk_e6 += risk_e6
        else:
            account.down_e6 += rest_e6
            account.down_risk_e6 += risk_e6
        if side == BUY:
            self.cash_e6 += sign * held.cash_e6
        elif token == YES:
            account.reserved_yes_e6 += rest_e6
        else:
            account.reserved_no_e6 += rest_e6
