"""Liquidity rewards over REST: which markets pay them, which orders score, what was paid."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.core.ids import NO, YES
from polytrade.core.units import ONE_E4, ONE_E6, SECOND_NS
from polytrade.sandbox.matching.orders import Refused
from polytrade.sandbox.matching.rewards import REWARD
from polytrade.sandbox.matching.rules import RewardRules
from polytrade.sandbox.venue.clob_calls import Call, Door, Public, answer, paged
from polytrade.sandbox.venue.clob_markets import (
    COLLATERAL,
    Told,
    number,
    padded,
    price_now_e4,
    sides_e4,
)
from polytrade.sandbox.venue.wallets import wallets_of
from polytrade.sandbox.world.windows import rfc3339

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

PAGE: Final = 100
PAGE_MAX: Final = 500
DIGITS_MAX: Final = 4
SCORED_MAX: Final = 1000
"""Orders one `POST /orders-scoring` may name."""
DAY_S: Final = 86_400
BAD_DATE: Final = "invalid date, expected YYYY-MM-DD"

Obj = dict[str, Any]


class _Rewards:
    def __init__(self, venue: "LocalVenue") -> None:
        self._venue = venue

    def _paying(self) -> list[tuple[Told, RewardRules]]:
        calendar = self._venue.calendar.by_condition
        return [
            (Told(market, calendar.get(market.rules.condition)), market.rules.rewards)
            for market in self._venue.exchange.markets.values()
            if market.rules.rewards is not None and market.accepting
        ]

    # Markets.

    def current(self) -> Response:
        return paged(self._paying(), PAGE_MAX, lambda row: _current(row[0], row[1]))

    def of_market(self, condition: str) -> Response:
        wanted = padded(condition.lower())
        rows = [row for row in self._paying() if row[0].market.rules.condition == wanted]
        return paged(rows, PAGE, lambda row: _of_market(row[0], row[1]))

    def discovered(self) -> Response:
        size = request.args.get("page_size", "")
        most = int(size) if size.isdecimal() and len(size) <= DIGITS_MAX else PAGE
        most = most if 1 <= most <= PAGE_MAX else PAGE
        query = request.args.get("q", "").lower()
        rows = [
            row
            for row in self._paying()
            if row[0].listing is not None and query in row[0].listing.question.lower()
        ]
        return paged(rows, most, self._discovered)

    def _discovered(self, row: tuple[Told, RewardRules]) -> Obj:
        told, rewards = row
        market, listing = told.market, told.listing
        assert listing is not None, "only listed markets are discovered"
        topic = self._venue.calendar.topics.get(listing.event_slug)
        bid_e4, ask_e4 = sides_e4(market, YES)
        return {
            **_of_market(told, rewards),
            "market_id": str(topic.numbers.get(listing.slug, 0)) if topic else "0",
            "event_id": str(topic.number) if topic else "0",
            "group_item_title": topic.items.get(listing.slug, "") if topic else "",
            "spread": number(ask_e4 - bid_e4, ONE_E4),
            "volume_24hr": number(market.volume_e6, ONE_E6),
            "one_day_price_change": 0,
            "created_at": rfc3339(listing.listed_s),
            "end_date": rfc3339(listing.end_s),
        }

    # Orders.

    async def is_scoring(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return answer({"scoring": self._scores(call, request.args.get("order_id", ""))})

    async def are_scoring(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        names = call.json("Invalid payload")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Refused("Invalid payload")
        if len(names) > SCORED_MAX:
            raise Refused("Payload exceeds the limit")
        return answer({name: self._scores(call, name) for name in names})

    def _scores(self, call: Call, order_id: str) -> bool:
        exchange = self._venue.exchange
        order = exchange.orders.get(order_id.lower())
        if order is None or order.owner != call.key.owner:
            return False
        return exchange.rewards.is_scoring(order)

    # What was earned; the venue remembers days' totals, not which market they came from.

    async def earnings(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        _day_s(request.args.get("date", ""))
        return paged([], PAGE)

    async def total(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        wallet = self._wallet(call)
        paid_e6, day_s = self._paid_e6(wallet)
        if not paid_e6:
            return answer([])
        return answer([_earned(wallet, paid_e6, rfc3339(day_s))])

    async def percentages(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        wallet, shares = self._wallet(call).lower(), {}
        for told, _ in self._paying():
            scores = self._venue.exchange.rewards.scores(told.market)
            if scores.get(wallet):
                share = 100 * scores[wallet] / sum(scores.values())
                shares[told.market.rules.condition] = round(share, 2)
        return answer(shares)

    async def with_markets(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        _day_s(request.args.get("date", ""))
        wallet = self._wallet(call)
        rows = []
        for told, rewards in self._paying():
            scores = self._venue.exchange.rewards.scores(told.market)
            mine = scores.get(wallet.lower(), 0)
            share = round(100 * mine / sum(scores.values()), 2) if mine else 0
            rows.append((told, rewards, share))
        return paged(rows, PAGE, lambda row: _with_market(row[0], row[1], row[2], wallet))

    def rebates(self) -> Response:
        _day_s(request.args.get("date", ""))
        return answer([])

    def _wallet(self, call: Call) -> str:
        kind = request.args.get("signature_type", "0")
        wallets = [address for known, address in wallets_of(call.key.address) if str(known) == kind]
        if not wallets:
            raise Refused("Invalid signature_type")
        used = [wallet for wallet in wallets if self._venue.bank.knows(wallet.lower())]
        return (used or wallets)[0]

    def _paid_e6(self, wallet: str) -> tuple[int, int]:
        """What was paid for a day, at the midnight after it, and when the day began."""
        day_s = _day_s(request.args.get("date", ""))
        paid = [
            payout.cash_e6
            for payout in self._venue.exchange.rewards.payouts
            if payout.kind == REWARD
            and payout.wallet == wallet.lower()
            and day_s < payout.ts_ns // SECOND_NS <= day_s + DAY_S
        ]
        return sum(paid), day_s


def _day_s(text: str) -> int:
    """The midnight a date begins with. Raises Refused."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise Refused(BAD_DATE) from None


def _config(told: Told, rewards: RewardRules) -> Obj:
    daily = number(rewards.daily_e6, ONE_E6)
    begun_s = told.listing.listed_s if told.listing is not None else 0
    ends_s = told.listing.end_s if told.listing is not None else 0
    return {
        "id": 0,
        "asset_address": COLLATERAL,
        "start_date": rfc3339(begun_s)[:10],
        "end_date": rfc3339(ends_s)[:10],
        "rate_per_day": daily,
        "total_rewards": daily,
    }


def _bounds(rewards: RewardRules) -> Obj:
    return {
        "rewards_max_spread": number(rewards.max_spread_e4, 100),
        "rewards_min_size": number(rewards.min_size_e6, ONE_E6),
    }


def _current(told: Told, rewards: RewardRules) -> Obj:
    daily = number(rewards.daily_e6, ONE_E6)
    return {
        "condition_id": told.market.rules.condition,
        **_bounds(rewards),
        "rewards_config": [_config(told, rewards)],
        "sponsored_daily_rate": 0,
        "sponsors_count": 0,
        "native_daily_rate": daily,
        "total_daily_rate": daily,
    }


def _of_market(told: Told, rewards: RewardRules) -> Obj:
    rules, listing = told.market.rules, told.listing
    return {
        "condition_id": rules.condition,
        "question": listing.question if listing else "",
        "market_slug": listing.slug if listing else "",
        "event_slug": listing.event_slug if listing else "",
        "image": "",
        **_bounds(rewards),
        "market_competitiveness": 0,
        "tokens": [
            {
                "token_id": rules.tokens[token],
                "outcome": rules.outcomes[token],
                "price": number(price_now_e4(told.market, token), ONE_E4),
            }
            for token in (YES, NO)
        ],
        "rewards_config": [_config(told, rewards)],
    }


def _with_market(told: Told, rewards: RewardRules, share: float, wallet: str) -> Obj:
    return {
        **_of_market(told, rewards),
        "maker_address": wallet,
        "earning_percentage": share,
        "earnings": [],
    }


def _earned(wallet: str, paid_e6: int, day: str) -> Obj:
    return {
        "date": day,
        "asset_address": COLLATERAL,
        "maker_address": wallet,
        "earnings": number(paid_e6, ONE_E6),
        "asset_rate": 1,
    }


def add(app: QuartTrio, door: Door, venue: "LocalVenue") -> None:
    """Give the application its routes of rewards."""
    rewards = _Rewards(venue)
    read: dict[str, Public] = {
        "/rewards/markets/current": rewards.current,
        "/rewards/markets/multi": rewards.discovered,
        "/rewards/markets/<condition>": rewards.of_market,
        "/rebates/current": rewards.rebates,
    }
    for path, handler in read.items():
        app.add_url_rule(path, f"GET {path}", door.public(handler), methods=["GET"])
    for method, path, signed in (
        ("GET", "/order-scoring", rewards.is_scoring),
        ("POST", "/orders-scoring", rewards.are_scoring),
        ("GET", "/rewards/user", rewards.earnings),
        ("GET", "/rewards/user/total", rewards.total),
        ("GET", "/rewards/user/percentages", rewards.percentages),
        ("GET", "/rewards/user/markets", rewards.with_markets),
    ):
        view = door.signed(signed)
        app.add_url_rule(path, f"{method} {path}", view, methods=[method])
