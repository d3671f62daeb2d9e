"""Orders and trades as the CLOB's REST writes them (protocols 2.4, 6.3)."""

from typing import Any, Final

from polytrade.core.units import SECOND_NS, decimal_text, price_text, size_text
from polytrade.sandbox.matching.orders import Order, Placement, Trade
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.venue.clob_markets import Told
from polytrade.sandbox.venue.user_channel import MAKER, TAKER, trade_message
from polytrade.sandbox.venue.wire_market import SIDE_TEXTS

Obj = dict[str, Any]

_SOCKET_ONLY: Final = ("event_type", "timestamp", "trade_owner")


def placed(placement: Placement) -> Obj:
    """The answer to an order that was taken; hashes come later, by its trades."""
    return {
        "errorMsg": "",
        "orderID": placement.order.order_id,
        "takingAmount": _amount(placement.taking_e6),
        "makingAmount": _amount(placement.making_e6),
        "status": placement.status,
        "success": True,
        "tradeIDs": list(placement.trade_ids),
        "transactionsHashes": [],
    }


def not_placed(text: str) -> Obj:
    """The entry of a refused order in the answer to a batch."""
    return {
        "errorMsg": text,
        "orderID": "",
        "takingAmount": "",
        "makingAmount": "",
        "status": "",
        "success": True,
        "tradeIDs": [],
        "transactionsHashes": [],
    }


def _amount(amount_e6: int) -> str:
    return decimal_text(amount_e6, 6) if amount_e6 else ""


def rest_order(order: Order, rules: MarketRules) -> Obj:
    """A row of `/data/orders`; `created_at` is whole seconds."""
    return {
        "id": order.order_id,
        "status": order.status,
        "owner": order.owner,
        "maker_address": order.maker_address or order.wallet,
        "market": rules.condition,
        "asset_id": rules.tokens[order.token],
        "side": SIDE_TEXTS[order.side],
        "original_size": size_text(order.size_e6),
        "size_matched": size_text(order.matched_e6),
        "price": price_text(order.price_e4),
        "outcome": rules.outcomes[order.token],
        "expiration": str(order.expires_s),
        "order_type": order.order_type,
        "associate_trades": list(order.trade_ids),
        "created_at": order.created_ns // SECOND_NS,
    }


def rest_trade(trade: Trade, rules: MarketRules, owner: str) -> Obj:
    """A row of `/data/trades` as an API key with a part in the trade sees it."""
    side = TAKER if trade.taker.owner == owner else MAKER
    message = trade_message(trade, rules, side, 0)
    for name in _SOCKET_ONLY:
        del message[name]
    return message


def live_trade(trade: Trade, told: Told) -> Obj:
    """A row of `/markets/live-activity`."""
    rules, listing, taker = told.market.rules, told.listing, trade.taker
    return {
        "event_type": "trade",
        "market": {
            "condition_id": rules.condition,
            "asset_id": rules.tokens[taker.token],
            "question": listing.question if listing else "",
            "icon": "",
            "slug": listing.slug if listing else "",
        },
        "user": {
            "address": taker.maker_address or taker.wallet,
            "username": "",
            "profile_picture": "",
            "optimized_profile_picture": "",
            "pseudonym": "",
        },
        "side": SIDE_TEXTS[taker.side],
        "size": size_text(trade.size_e6),
        "fee_rate_bps": "0",
        "price": decimal_text(trade.price_e6, 6),
        "outcome": rules.outcomes[taker.token],
        "outcome_index": taker.token,
        "transaction_hash": trade.transaction_hash,
        "timestamp": str(trade.match_ns // SECOND_NS),
    }
