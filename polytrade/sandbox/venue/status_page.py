"""What the venue says of itself: markets, accounts, connections, faults; and the page of it."""

from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from polytrade.core.ids import BUY, SELL, YES
from polytrade.core.units import ONE_E4, SECOND_NS, decimal_text, price_text, size_text
from polytrade.sandbox.connection import Connection
from polytrade.sandbox.matching.orders import Order
from polytrade.sandbox.venue.frame_faults import connection_faults
from polytrade.sandbox.world.listing import Listing

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

TRADERS_PREFIX: Final = "trader:"
"""Wallets of the venue's own traders: they are told in one row."""
ENDED_MAX: Final = 20
"""Markets shown after their end, the last ones."""
ACCOUNTS_MAX: Final = 64
ORDERS_MAX: Final = 200
"""Open orders shown of all accounts together."""
CLOSED_MAX: Final = 16
"""Closed connections shown of an endpoint."""
LEVELS_MAX: Final = 40
"""Levels of a book shown a side."""
SIDES: Final = {BUY: "BUY", SELL: "SELL"}
E18_DIGITS: Final = 18

Row = dict[str, Any]


def page() -> str:
    """The status page: one HTML document that fetches `/admin/status` by itself."""
    return files(__package__).joinpath("status_page.html").read_text()


def status(venue: "LocalVenue", started_ns: int) -> Row:
    """Everything the page shows, in JSON's types; prices, sizes and money are decimal strings."""
    now_ns = venue.schedule.now_ns
    traffic = venue.troubles.frames.traffic
    return {
        "seed": venue.options.seed,
        "now_s": now_ns // SECOND_NS,
        "uptime_s": (now_ns - started_ns) // SECOND_NS,
        "prices": {coin: usd(venue.prices.spot_e8(coin), 8) for coin in venue.prices.coins},
        "markets": list(_markets(venue)),
        "messages": {name: dict(counts) for name, counts in traffic.messages.items()},
        "messages_per_second": traffic.per_second(now_ns),
        "lost": dict(venue.troubles.frames.lost),
        "accounts": list(_accounts(venue)),
        "traders": _traders(venue),
        "connections": list(_connections(venue)),
        "faults": [*venue.troubles.in_force(), *connection_faults(venue.endpoints)],
        "faults_ordered": dict(venue.troubles.applied),
        "scenario": _scenario(venue),
    }


def usd(value: int, digits: int) -> str:
    """A price in dollars for people: two decimals, more for what is worth cents; `` unknown."""
    if value < 0:
        return ""
    places = 2 if value >= 10 * 10**digits else 5
    return f"{value / 10**digits:.{places}f}"


def _markets(venue: "LocalVenue") -> Iterator[Row]:
    ended = [one for one in venue.calendar.listings.values() if one.winner >= 0]
    shown = [one for one in venue.calendar.listings.values() if one.winner < 0]
    for listing in (*shown, *ended[-ENDED_MAX:]):
        yield market_row(venue, listing)


def market_row(venue: "LocalVenue", listing: Listing) -> Row:
    """One market: what it asks, its touch in YES terms, what was traded."""
    rules = listing.rules
    market = venue.exchange.markets.get(rules.condition)
    row: Row = {
        "slug": listing.slug,
        "question": listing.question,
        "kind": listing.kind,
        "coin": listing.coin,
        "tokens": list(rules.tokens),
        "outcomes": list(rules.outcomes),
        "protocol": rules.protocol,
        "neg_risk": rules.neg_risk,
        "tick": price_text(rules.tick_e4),
        "start_s": listing.start_s,
        "end_s": listing.end_s,
        "strike": usd(listing.strike_e18, E18_DIGITS),
        "final": usd(listing.final_e18, E18_DIGITS),
        "winner": listing.winner,
        "accepting": market is not None and market.accepting,
        "bid": "",
        "ask": "",
        "spread": "",
        "last": "",
        "trades": 0,
        "volume": "0",
    }
    if market is not None:
        bid_e4, ask_e4 = market.book.best_bid_e4(), market.book.best_ask_e4()
        row["bid"] = price_text(bid_e4) if bid_e4 > 0 else ""
        row["ask"] = price_text(ask_e4) if ask_e4 < ONE_E4 else ""
        row["spread"] = price_text(ask_e4 - bid_e4) if 0 < bid_e4 < ask_e4 < ONE_E4 else ""
        row["last"] = price_text(market.last_yes_e4) if market.last_e4 >= 0 else ""
        row["trades"] = market.trades
        row["volume"] = decimal_text(market.volume_e6, 6)
    return row


def book_of(venue: "LocalVenue", slug: str) -> Row | None:
    """The book of a market in YES terms, best levels first; None when there is no such market."""
    listing = venue.calendar.listings.get(slug)
    market = venue.exchange.markets.get(listing.rules.condition) if listing else None
    if listing is None or market is None:
        return None
    sides = {
        name: [
            [price_text(price_e4), size_text(size_e6)]
            for price_e4, size_e6 in market.book.levels(side)[:LEVELS_MAX]
        ]
        for name, side in (("bids", BUY), ("asks", SELL))
    }
    return {**market_row(venue, listing), **sides}


def _accounts(venue: "LocalVenue") -> Iterator[Row]:
    """Wallets from outside with what they have and what they have in the books."""
    orders: dict[str, list[Order]] = {}
    for order in venue.exchange.orders.values():
        if order.owner and order.open:
            orders.setdefault(order.wallet, []).append(order)
    left = ORDERS_MAX
    wallets = [name for name in venue.bank.wallets() if not name.startswith(TRADERS_PREFIX)]
    for wallet in wallets[:ACCOUNTS_MAX]:
        own = orders.get(wallet, [])
        rows = [_order(venue, order) for order in own[:left]]
        left -= len(rows)
        yield {
            "wallet": wallet,
            "cash": decimal_text(venue.bank.cash_e6(wallet), 6),
            "shares": [
                {**_outcome(venue, token), "size": size_text(size_e6)}
                for token, size_e6 in venue.bank.holdings(wallet).items()
                if size_e6 > 0
            ],
            "open_orders": len(own),
            "orders": rows,
        }


def _order(venue: "LocalVenue", order: Order) -> Row:
    listing = venue.calendar.by_condition.get(order.condition)
    return {
        "id": order.order_id,
        "slug": listing.slug if listing else order.condition,
        "outcome": listing.rules.outcomes[order.token] if listing else str(order.token),
        "side": SIDES[order.side],
        "price": price_text(order.price_e4),
        "size": size_text(order.size_e6),
        "matched": size_text(order.matched_e6),
        "type": order.order_type,
        "status": order.status,
    }


def _outcome(venue: "LocalVenue", token: str) -> Row:
    market, index = venue.exchange.tokens.get(token, (None, YES))
    listing = venue.calendar.by_condition.get(market.rules.condition) if market else None
    if listing is None:
        return {"slug": "", "outcome": token}
    return {"slug": listing.slug, "outcome": listing.rules.outcomes[index]}


def _traders(venue: "LocalVenue") -> Row:
    names = [name for name in venue.bank.wallets() if name.startswith(TRADERS_PREFIX)]
    return {
        "wallets": len(names),
        "cash": decimal_text(sum(venue.bank.cash_e6(name) for name in names), 6),
        "expected_rate": round(venue.traders.expected_rate(), 1),
    }


def _connections(venue: "LocalVenue") -> Iterator[Row]:
    for endpoint in venue.endpoints.values():
        for connection in endpoint.connections.values():
            yield connection_row(connection)
        for connection in list(endpoint.closed)[-CLOSED_MAX:]:
            yield connection_row(connection)


def connection_row(connection: Connection) -> Row:
    """One client of a socket endpoint, in the terms of the playback venue's status."""
    return {
        "id": connection.number,
        "endpoint": connection.endpoint,
        "open": connection.open,
        "closed_because": connection.closed_because,
        "frames": connection.frames,
        "messages": dict(connection.messages),
        "extra": dict(connection.extra),
        "lost": dict(connection.lost),
        "waiting": connection.waiting,
        "subscriptions": len(connection.dialect.subscriptions),
    }


def _scenario(venue: "LocalVenue") -> Row | None:
    scenario = venue.scenario
    if scenario is None or not scenario.steps:
        return None
    return {
        "steps": len(scenario.steps),
        "left": scenario.left,
        "done": dict(scenario.done),
        "refused": [{"at_s": round(at_s, 3), "why": why} for at_s, why in scenario.refused],
    }
