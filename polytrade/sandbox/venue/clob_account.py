"""What an API key may read about itself: orders, trades, balances (protocols 2.4)."""

from typing import TYPE_CHECKING, Final

import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.core.units import SECOND_NS
from polytrade.polymarket.signing import DOMAINS
from polytrade.sandbox.matching.orders import Refused, Trade
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.venue.clob_calls import CURSOR_MAX, Call, Door, answer, paged
from polytrade.sandbox.venue.clob_markets import padded
from polytrade.sandbox.venue.clob_records import rest_order, rest_trade
from polytrade.sandbox.venue.wallets import wallets_of

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

PAGE: Final = 100
"""Orders or trades of one answer."""
COLLATERAL: Final = "COLLATERAL"
CONDITIONAL: Final = {"CONDITIONAL": "v1", "CONDITIONAL-V2": "v2"}
"""Asset types that are shares, and the protocol of their markets."""
APPROVED: Final = str(2**256 - 1)
"""Wallets the faucet fills have approved every exchange."""
SIGNATURE_TYPES: Final = ("0", "1", "2", "3")


class _Account:
    def __init__(self, venue: "LocalVenue") -> None:
        self._venue = venue

    def _rules(self, condition: str) -> MarketRules | None:
        market = self._venue.exchange.markets.get(condition)
        if market is not None:
            return market.rules
        listing = self._venue.calendar.by_condition.get(condition)
        return listing.rules if listing is not None else None

    # Orders.

    async def orders(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        wanted, condition, asset = _filters()
        found = []
        for order in self._venue.exchange.open_orders(call.key.owner):
            rules = self._rules(order.condition)
            if (
                rules is not None
                and wanted in ("", order.order_id)
                and condition in ("", rules.condition)
                and asset in ("", rules.tokens[order.token])
            ):
                found.append((order, rules))
        return paged(found, PAGE, lambda row: rest_order(row[0], row[1]))

    async def order(self, call: Call, order_id: str) -> Response:
        await trio.lowlevel.checkpoint()
        if not order_id.startswith("0x") or len(order_id) != 66:
            raise Refused("Invalid orderID")
        order = self._venue.exchange.orders.get(order_id.lower())
        rules = self._rules(order.condition) if order is not None else None
        if order is None or rules is None or order.owner != call.key.owner:
            raise Refused("order not found", 404)
        return answer(rest_order(order, rules))

    async def no_orders(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return paged([], PAGE)

    # Trades.

    async def trades(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        owner = call.key.owner
        wanted, condition, asset = _filters()
        maker = request.args.get("maker_address", "").lower()
        after_ns, before_ns = _second("after", 0), _second("before", 2**63)
        found = []
        for trade in self._venue.exchange.trades_of(owner):
            rules = self._rules(trade.condition)
            if (
                rules is not None
                and wanted in ("", trade.trade_id)
                and condition in ("", rules.condition)
                and after_ns < trade.match_ns + SECOND_NS
                and trade.match_ns < before_ns
                and (not asset or asset in _assets(trade, rules, owner))
                and (not maker or maker in _wallets(trade))
            ):
                found.append((trade, rules))
        return paged(found, PAGE, lambda row: rest_trade(row[0], row[1], owner))

    def builder_trades(self) -> Response:
        return paged([], PAGE)

    # Balances.

    async def balance(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        args = request.args
        kind, signature_type = args.get("asset_type", ""), args.get("signature_type", "0")
        if kind != COLLATERAL and kind not in CONDITIONAL:
            raise Refused("Invalid asset type")
        if signature_type not in SIGNATURE_TYPES:
            raise Refused("Invalid signature_type")
        wallet = self._wallet(call.key.address, int(signature_type))
        bank = self._venue.bank
        if kind == COLLATERAL:
            balance_e6 = bank.cash_e6(wallet)
        else:
            balance_e6 = bank.shares_e6(wallet, self._asset(CONDITIONAL[kind]))
        domains = DOMAINS[self._venue.keys.settings.chain_id].values()
        allowances = {domain.contract: APPROVED for domain in domains}
        return answer({"balance": str(balance_e6), "allowances": allowances})

    def _asset(self, protocol: str) -> str:
        token_id = request.args.get("token_id", "")
        if not (token_id.isascii() and token_id.isdigit()):
            raise Refused("Invalid token id")
        found = self._venue.exchange.tokens.get(token_id)
        if found is not None and found[0].rules.protocol != protocol:
            raise Refused("Invalid asset type")
        return token_id

    def _wallet(self, signer: str, signature_type: int) -> str:
        """The signer's wallet of a type; of two, the one that ever had anything."""
        wallets = [
            address.lower() for kind, address in wallets_of(signer) if kind == signature_type
        ]
        known = [wallet for wallet in wallets if self._venue.bank.knows(wallet)]
        return (known or wallets)[0]

    # The rest.

    async def notifications(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return answer(self._venue.notifications.of(call.key.owner))

    async def drop_notifications(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        ids = [name for name in request.args.get("ids", "").split(",") if name.isdecimal()]
        self._venue.notifications.drop(
            call.key.owner, {int(name) for name in ids if len(name) <= CURSOR_MAX}
        )
        return answer("OK")

    async def tier(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return answer({"tier": self._venue.limits.tier_of(call.key.address).name})


def _filters() -> tuple[str, str, str]:
    """The `id`, `market` and `asset_id` a request asks for, each empty for all."""
    args = request.args
    condition = args.get("market", "").lower()
    return args.get("id", "").lower(), padded(condition), args.get("asset_id", "")


def _second(name: str, default: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise Refused("Invalid trade params payload")
    return int(text) * SECOND_NS


def _assets(trade: Trade, rules: MarketRules, owner: str) -> list[str]:
    """The tokens an API key traded: its own as taker, or those of its maker orders."""
    orders = [trade.taker, *(fill.order for fill in trade.fills)]
    return [rules.tokens[order.token] for order in orders if order.owner == owner]


def _wallets(trade: Trade) -> list[str]:
    return [trade.taker.wallet, *(fill.order.wallet for fill in trade.fills)]


def add(app: QuartTrio, door: Door, venue: "LocalVenue") -> None:
    """Give the application its routes of accounts."""
    account = _Account(venue)
    view = door.public(account.builder_trades)
    app.add_url_rule("/builder/trades", "GET /builder/trades", view, methods=["GET"])
    for method, path, handler in (
        ("GET", "/data/orders", account.orders),
        ("GET", "/data/order/<order_id>", account.order),
        ("GET", "/data/pre-migration-orders", account.no_orders),
        ("GET", "/data/trades", account.trades),
        ("GET", "/balance-allowance", account.balance),
        ("GET", "/balance-allowance/update", account.balance),
        ("GET", "/notifications", account.notifications),
        ("DELETE", "/notifications", account.drop_notifications),
        ("GET", "/v1/user/rate-limit-tier", account.tier),
    ):
        view = door.signed(handler)
        app.add_url_rule(path, f"{method} {path}", view, methods=[method])
