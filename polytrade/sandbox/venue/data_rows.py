"""Rows of the Data API: positions, trades and outcomes, from the bank and the exchange.

Costs and profits are those of the trades the venue still remembers; shares that came by a split
count as bought at the price of the moment.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs

from polytrade.core.ids import BUY, SIDE_NAMES, YES
from polytrade.core.units import ONE_E6, SECOND_NS, parse_scaled
from polytrade.sandbox.matching.orders import (
    CONFIRMED,
    MINED,
    RETRYING,
    TRADE_MATCHED,
    Order,
    Trade,
)
from polytrade.sandbox.world.calendar import PAYOUTS_E6
from polytrade.sandbox.world.gamma_fields import Quote, number, outcome_prices
from polytrade.sandbox.world.listing import EVENT, Listing
from polytrade.sandbox.world.windows import rfc3339

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

ON_CHAIN: Final = (MINED, CONFIRMED)
Row = dict[str, Any]


@attrs.frozen
class Leg:
    """One side of a trade: an order, and what it got of it at which price."""

    trade: Trade
    order: Order
    size_e6: int
    cash_e6: int
    is_taker: bool


def legs(venue: "LocalVenue") -> Iterator[Leg]:
    """Both sides of every remembered trade that is on chain, newest first, takers before makers."""
    for trade in reversed(list(venue.exchange.trades.values())):
        if trade.status not in ON_CHAIN:
            continue
        yield Leg(trade, trade.taker, trade.size_e6, trade.cash_e6, True)
        for fill in trade.fills:
            yield Leg(trade, fill.order, fill.size_e6, fill.cash_e6, False)


def market_row(listing: Listing, token: int) -> Row:
    """What every row says about its market."""
    return {
        "condition_id": listing.rules.condition,
        "token_id": listing.rules.tokens[token],
        "title": listing.question,
        "slug": listing.slug,
        "icon": "",
        "event_slug": listing.event_slug,
        "outcome": listing.rules.outcomes[token],
        "outcome_index": token,
    }


def trade_row(listing: Listing, leg: Leg) -> Row:
    """A row of `/v2/trades`."""
    return {
        "proxy_wallet": leg.order.maker_address or leg.order.wallet,
        **market_row(listing, leg.order.token),
        "side": SIDE_NAMES[leg.order.side].upper(),
        "size": number(leg.size_e6, 6),
        "price": number(leg.cash_e6 * ONE_E6 // leg.size_e6, 6),
        "timestamp": leg.trade.match_ns // SECOND_NS,
        "transaction_hash": leg.trade.transaction_hash,
        "name": "",
        "pseudonym": "",
        "bio": "",
        "profile_image": "",
    }


def activity_row(listing: Listing, leg: Leg) -> Row:
    """A row of `/v2/activity`; only trades are remembered."""
    return {
        **trade_row(listing, leg),
        "type": "TRADE",
        "is_combo": False,
        "usdc_size": number(leg.cash_e6, 6),
    }


def price_e6(venue: "LocalVenue", listing: Listing, token: int) -> int:
    """What a share is worth: its payout, else the middle of the book, else the last trade."""
    if listing.winner >= 0:
        return PAYOUTS_E6[listing.winner][token]
    market = venue.exchange.markets.get(listing.rules.condition)
    quote = Quote(0)
    if market is not None:
        bid_e4, ask_e4 = market.book.best_bid_e4(), market.book.best_ask_e4()
        quote = Quote(0, bid_e4, ask_e4, market.last_yes_e4)
    return parse_scaled(outcome_prices(listing, quote)[token], 6)


@attrs.define
class Bought:
    """What a wallet traded of one token."""

    bought_e6: int = 0
    paid_e6: int = 0
    sold_e6: int = 0
    got_e6: int = 0
    fees_e6: int = 0
    first_s: int = 0
    last_s: int = 0

    def add(self, leg: Leg) -> None:
        """Count one side of a trade; newest first."""
        seconds = leg.trade.match_ns // SECOND_NS
        self.first_s = seconds
        self.last_s = self.last_s or seconds
        self.fees_e6 += leg.trade.fee_e6 if leg.is_taker else 0
        if leg.order.side == BUY:
            self.bought_e6 += leg.size_e6
            self.paid_e6 += leg.cash_e6
        else:
            self.sold_e6 += leg.size_e6
            self.got_e6 += leg.cash_e6


def bought_by(venue: "LocalVenue", wallet: str) -> dict[str, Bought]:
    """What a wallet traded, by token id."""
    found: dict[str, Bought] = {}
    for leg in legs(venue):
        if leg.order.wallet != wallet:
            continue
        listing = venue.calendar.by_condition.get(leg.trade.condition)
        if listing is not None:
            found.setdefault(listing.rules.tokens[leg.order.token], Bought()).add(leg)
    return found


def position_rows(venue: "LocalVenue", user: str) -> list[Row]:
    """Rows of `/v2/positions` of a wallet: one for each token it holds."""
    wallet = user.lower()
    traded = bought_by(venue, wallet)
    held = _on_chain(venue, wallet)
    rows: list[Row] = []
    for token_id, size_e6 in held.items():
        listing = venue.calendar.by_token.get(token_id)
        if listing is None or size_e6 <= 0:
            continue
        token = listing.rules.tokens.index(token_id)
        other_e6 = held.get(listing.rules.tokens[1 - token], 0)
        bought = traded.get(token_id, Bought())
        now_e6 = price_e6(venue, listing, token)
        rows.append(_position(venue, user, listing, token, size_e6, other_e6, bought, now_e6))
    return rows


def _on_chain(venue: "LocalVenue", wallet: str) -> dict[str, int]:
    """Shares by token id without those of trades that are not mined yet."""
    held = venue.bank.holdings(wallet)
    for trade in venue.exchange.trades.values():
        if trade.status in (TRADE_MATCHED, RETRYING):
            tokens = venue.exchange.markets[trade.condition].rules.tokens
            filled = ((fill.order, fill.size_e6) for fill in trade.fills)
            for order, size_e6 in ((trade.taker, trade.size_e6), *filled):
                if order.wallet == wallet and order.side == BUY:
                    held[tokens[order.token]] -= size_e6
    return held


def _position(
    venue: "LocalVenue",
    user: str,
    listing: Listing,
    token: int,
    size_e6: int,
    other_e6: int,
    bought: Bought,
    now_e6: int,
) -> Row:
    average_e6 = bought.paid_e6 * ONE_E6 // bought.bought_e6 if bought.bought_e6 else now_e6
    cost_e6 = average_e6 * size_e6 // ONE_E6
    value_e6 = now_e6 * size_e6 // ONE_E6
    realized_e6 = bought.got_e6 - average_e6 * bought.sold_e6 // ONE_E6
    unrealized_e6 = value_e6 - cost_e6
    resolved = listing.winner >= 0
    topic = venue.calendar.topics.get(listing.event_slug)
    return {
        "proxy_wallet": user,
        **market_row(listing, token),
        "current_size": number(size_e6, 6),
        "avg_price": number(average_e6, 6),
        "entry_cost_usdc": number(cost_e6, 6),
        "entry_fees_usdc": number(bought.fees_e6, 6),
        "total_cost_usdc": number(cost_e6 + bought.fees_e6, 6),
        "current_price": number(now_e6, 6),
        "current_value": number(value_e6, 6),
        "total_size": number(max(size_e6, bought.bought_e6), 6),
        "realized_pnl": signed(realized_e6),
        "unrealized_pnl": signed(unrealized_e6),
        "total_pnl": signed(realized_e6 + unrealized_e6),
        "percent_pnl": _percent(unrealized_e6, cost_e6),
        "percent_realized_pnl": _percent(realized_e6, bought.paid_e6),
        "status": "REDEEMABLE" if resolved else "OPEN",
        "redeemable": resolved,
        "mergeable": not resolved and other_e6 > 0,
        "negative_risk": listing.rules.neg_risk,
        "archived": False,
        "verified": False,
        "opposite_outcome": listing.rules.outcomes[1 - token],
        "opposite_token_id": listing.rules.tokens[1 - token],
        "event_id": str(topic.number) if topic is not None else None,
        "end_date": rfc3339(listing.end_s)[:10],
        "first_entry_at": bought.first_s,
        "last_event_at": bought.last_s,
    }


def resolution_row(listing: Listing) -> Row:
    """A row of `/v2/resolutions`."""
    resolved = listing.winner >= 0
    row: Row = {
        "condition_id": listing.rules.condition,
        "status": "resolved" if resolved else "initialized",
        "extended_review": False,
        "was_disputed": False,
        "new_version_q": False,
        "market_type": "INCREMENTAL_NEGRISK" if listing.rules.neg_risk else "BINARY",
        "last_update_timestamp": listing.closed_s if resolved else listing.listed_s,
        "payouts": None,
    }
    if resolved:
        payouts_e6 = PAYOUTS_E6[listing.winner]
        row |= {
            "payouts": list(payouts_e6),
            "price": number(payouts_e6[YES], 6),
            "resolution_source": "reported",
            "reporter": _reporter(listing),
            "resolved_at": rfc3339(listing.closed_s),
        }
    return row


def _reporter(listing: Listing) -> str:
    if listing.kind == EVENT:
        return "UMA_OO"
    return "CHAINLINK" if listing.lookback_s else "EOA"


def signed(value_e6: int) -> int | float:
    """A scaled integer of either sign as a JSON number."""
    return number(value_e6, 6) if value_e6 >= 0 else -number(-value_e6, 6)


def _percent(part_e6: int, whole_e6: int) -> int | float:
    return signed(part_e6 * 100 * ONE_E6 // whole_e6) if whole_e6 > 0 else 0


def wanted_status(row: Row, status: str) -> bool:
    """Whether a position is of a status that can be asked for; empty for all."""
    match status:
        case "REDEEMABLE_LOST":
            return bool(row["redeemable"]) and row["current_price"] == 0
        case "MERGEABLE":
            return bool(row["mergeable"])
        case "":
            return True
    return bool(row["status"] == status)
