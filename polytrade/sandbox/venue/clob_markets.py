"""The CLOB's descriptions of a market: long, simplified and compact (protocols 2.1, 2.3)."""

from typing import Any, Final

import attrs

from polytrade.core.ids import NO, YES
from polytrade.core.units import MS_NS, ONE_E4, ONE_E6, SECOND_NS
from polytrade.sandbox.matching.market import Market
from polytrade.sandbox.world.listing import UPDOWN, Listing
from polytrade.sandbox.world.windows import rfc3339

COLLATERAL: Final = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB"
"""pUSD (protocols 0.3)."""
FEE_FLAG: Final = 1000
"""What says that a market has fees; not a rate (protocols 2.1)."""
HALF_E4: Final = ONE_E4 // 2

Obj = dict[str, Any]


@attrs.frozen
class Told:
    """A market with what the calendar knows of it; no listing once it is forgotten there."""

    market: Market
    listing: Listing | None


def padded(condition: str) -> str:
    """A condition id of 31 bytes as the 32 the CLOB has in paths (protocols 0.4)."""
    return condition + "00" if len(condition) == 64 else condition


def price_now_e4(market: Market, token: int) -> int:
    """What a token is shown to be worth: the mid of a two-sided book, or else the last trade."""
    bid_e4, ask_e4 = market.book.best_bid_e4(), market.book.best_ask_e4()
    if bid_e4 > 0 and ask_e4 < ONE_E4:
        yes_e4 = (bid_e4 + ask_e4) // 2
    else:
        yes_e4 = market.last_yes_e4 if market.last_e4 >= 0 else HALF_E4
    return yes_e4 if token == YES else ONE_E4 - yes_e4


def sides_e4(market: Market, token: int) -> tuple[int, int]:
    """Best bid and ask of a token; 0 and 10,000 where there is none."""
    bid_e4, ask_e4 = market.book.best_bid_e4(), market.book.best_ask_e4()
    return (bid_e4, ask_e4) if token == YES else (ONE_E4 - ask_e4, ONE_E4 - bid_e4)


def last_e4(market: Market, token: int) -> int:
    """The last trade price in a token's terms; -1 before the first trade."""
    if market.last_e4 < 0:
        return -1
    return market.last_yes_e4 if token == YES else ONE_E4 - market.last_yes_e4


def number(scaled: int, one: int) -> float | int:
    """A JSON number of a scaled integer: whole when it is whole."""
    return scaled // one if scaled % one == 0 else scaled / one


def _tokens(told: Told) -> list[Obj]:
    rules, listing = told.market.rules, told.listing
    winner = listing.winner if listing is not None else -1
    worth = {0: (ONE_E4, 0), 1: (0, ONE_E4), 2: (HALF_E4, HALF_E4)}.get(winner)
    return [
        {
            "token_id": rules.tokens[token],
            "outcome": rules.outcomes[token],
            "price": number(worth[token] if worth else price_now_e4(told.market, token), ONE_E4),
            "winner": winner == token,
        }
        for token in (YES, NO)
    ]


def _rewards(told: Told) -> Obj:
    rewards = told.market.rules.rewards
    if rewards is None:
        return {"rates": None, "min_size": 0, "max_spread": 0}
    daily = number(rewards.daily_e6, ONE_E6)
    return {
        "rates": [{"asset_address": COLLATERAL, "rewards_daily_rate": daily}],
        "min_size": number(rewards.min_size_e6, ONE_E6),
        "max_spread": number(rewards.max_spread_e4, 100),
    }


def simplified_market(told: Told) -> Obj:
    """A row of `/simplified-markets`."""
    return {
        "condition_id": told.market.rules.condition,
        "rewards": _rewards(told),
        "tokens": _tokens(told),
        "active": True,
        "closed": told.market.resolved,
        "archived": False,
        "accepting_orders": told.market.accepting,
    }


def long_market(told: Told) -> Obj:
    """`GET /markets/{condition}`."""
    rules, listing = told.market.rules, told.listing
    flag = FEE_FLAG if rules.fees is not None else 0
    return {
        "enable_order_book": not told.market.resolved,
        "active": True,
        "closed": told.market.resolved,
        "archived": False,
        "accepting_orders": told.market.accepting,
        "accepting_order_timestamp": rfc3339(listing.listed_s) if listing else None,
        "minimum_order_size": number(rules.min_size_e6, ONE_E6),
        "minimum_tick_size": number(rules.tick_e4, ONE_E4),
        "condition_id": told.market.rules.condition,
        "question_id": told.market.rules.condition,
        "question": listing.question if listing else "",
        "description": listing.question if listing else "",
        "market_slug": listing.slug if listing else "",
        "end_date_iso": rfc3339(listing.end_s) if listing else None,
        "game_start_time": None,
        "seconds_delay": rules.taker_delay_ns // SECOND_NS if rules.answers_delayed else 0,
        "fpmm": "",
        "maker_base_fee": flag,
        "taker_base_fee": flag,
        "notifications_enabled": True,
        "neg_risk": rules.neg_risk,
        "neg_risk_market_id": "",
        "neg_risk_request_id": "",
        "icon": "",
        "image": "",
        "rewards": _rewards(told),
        "is_50_50_outcome": listing is not None and listing.winner == 2,
        "tokens": _tokens(told),
        "tags": [listing.category] if listing else [],
    }


def compact_market(told: Told) -> Obj:
    """`GET /clob-markets/{condition}`; fees and rewards are left out where there are none."""
    rules, listing = told.market.rules, told.listing
    flag = FEE_FLAG if rules.fees is not None else 0
    shown: Obj = {
        "t": [
            {"t": token_id, "o": outcome}
            for token_id, outcome in zip(rules.tokens, rules.outcomes, strict=True)
        ],
        "c": told.market.rules.condition,
        "v": rules.protocol,
        "mos": number(rules.min_size_e6, ONE_E6),
        "mts": number(rules.tick_e4, ONE_E4),
        "mbf": flag,
        "tbf": flag,
        "ao": told.market.accepting,
        "aot": rfc3339(listing.listed_s) if listing else None,
        "cbos": False,
        "ibce": False,
        "rfqe": False,
        "itode": rules.taker_delay_ns > 0 and not rules.answers_delayed,
        "oas": 0,
    }
    if rules.neg_risk:
        shown["nr"] = True
    if rules.answers_delayed:
        shown["sd"] = rules.taker_delay_ns // SECOND_NS
    if listing is not None and listing.kind == UPDOWN:
        shown["gst"] = rfc3339(listing.start_s)
    if rules.fees is not None:
        rate = number(rules.fees.rate_e6, ONE_E6)
        shown["fd"] = {"r": rate, "e": rules.fees.exponent, "to": True}
    if rules.rewards is not None:
        shown["r"] = {
            "mi": number(rules.rewards.min_size_e6, ONE_E6),
            "ma": number(rules.rewards.max_spread_e4, 100),
            "e": True,
            "moas": number(rules.rewards.min_age_ns // MS_NS, 1000),
        }
    return shown
