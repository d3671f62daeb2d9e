"""The venue's markets as Gamma's JSON objects, with its mix of types (protocols 1.2).

Prices, volumes and liquidity are as of up to `quotes_s` ago, as Gamma's are: nothing to price from.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.world.calendar import Calendar
from polytrade.sandbox.world.crypto_markets import config_id
from polytrade.sandbox.world.gamma_fields import (
    E18,
    EVENT_FLAGS,
    MARKET_FLAGS,
    Obj,
    Quote,
    charge_fields,
    closing_fields,
    config_object,
    gamma_time,
    json_text,
    liquidity_e6,
    number,
    outcome_prices,
    series_object,
    tag_object,
    trading_fields,
)
from polytrade.sandbox.world.identifiers import hex_of, v2_event_id
from polytrade.sandbox.world.listing import UPDOWN, Listing
from polytrade.sandbox.world.topics import Topic
from polytrade.sandbox.world.windows import rfc3339


class Markets(Protocol):
    """What is asked of the exchange."""

    @property
    def markets(self) -> Mapping[str, Any]:
        """By condition."""


@attrs.define(eq=False)
class _Made:
    """An event's objects and what they were made of."""

    of: tuple[object, ...]
    event: Obj
    markets: list[Obj]


class GammaObjects:
    """Makes Gamma's objects; an event's are made anew only when something in them changed."""

    def __init__(
        self,
        schedule: Schedule,
        calendar: Calendar,
        exchange: Markets,
        seed: int = 0,
        quotes_s: int = 20,
    ) -> None:
        self.strikes_missing = False
        self._schedule = schedule
        self._calendar = calendar
        self._exchange = exchange
        self._seed = seed
        self._quotes_s = quotes_s
        self._quotes: dict[str, Quote] = {}
        self._made: dict[str, _Made] = {}

    def events(self) -> list[Obj]:
        """Every event with its markets, in listing order."""
        self._drop_forgotten()
        return [self._topic(topic).event for topic in self._calendar.topics.values()]

    def markets(self) -> list[Obj]:
        """Every market with its bare event, in listing order."""
        self._drop_forgotten()
        topics = self._calendar.topics.values()
        return [market for topic in topics for market in self._topic(topic).markets]

    def _drop_forgotten(self) -> None:
        # Bounded by the calendar: nothing is kept of what it forgot.
        if len(self._made) > len(self._calendar.topics):
            for slug in [slug for slug in self._made if slug not in self._calendar.topics]:
                del self._made[slug]
        if len(self._quotes) > len(self._calendar.listings):
            for slug in [slug for slug in self._quotes if slug not in self._calendar.listings]:
                del self._quotes[slug]

    def _topic(self, topic: Topic) -> _Made:
        quotes = [self._quote(listing) for listing in topic.listings]
        accepting = [self._accepting(listing) for listing in topic.listings]
        of = (
            self.strikes_missing,
            *((q, a) for q, a in zip(quotes, accepting, strict=True)),
            *((x.strike_e18, x.final_e18, x.winner, x.rules.tick_e4) for x in topic.listings),
        )
        made = self._made.get(topic.slug)
        if made is None or made.of != of:
            made = self._make(topic, of, quotes, accepting)
            self._made[topic.slug] = made
        return made

    def _quote(self, listing: Listing) -> Quote:
        now_s = self._schedule.now_ns // SECOND_NS
        quote = self._quotes.get(listing.slug)
        if quote is not None and now_s < quote.taken_s + self._quotes_s:
            return quote
        market = self._exchange.markets.get(listing.rules.condition)
        if market is None:
            quote = quote or Quote(now_s)
        else:
            quote = Quote(
                now_s,
                market.book.best_bid_e4(),
                market.book.best_ask_e4(),
                market.last_yes_e4,
                market.volume_e6,
                liquidity_e6(market.book),
            )
        self._quotes[listing.slug] = quote
        return quote

    def _accepting(self, listing: Listing) -> bool:
        market = self._exchange.markets.get(listing.rules.condition)
        return market is not None and bool(market.accepting)

    def _make(
        self, topic: Topic, of: tuple[object, ...], quotes: list[Quote], accepting: list[bool]
    ) -> _Made:
        markets = [
            self._market(topic, listing, quote, takes)
            for listing, quote, takes in zip(topic.listings, quotes, accepting, strict=True)
        ]
        bare = self._event(topic, quotes)
        tags = [tag_object(tag, topic) for tag in topic.tags]
        event = {**bare, "markets": markets, "tags": tags}
        return _Made(of, event, [{**market, "events": [bare], "tags": tags} for market in markets])

    def _event(self, topic: Topic, quotes: list[Quote]) -> Obj:
        listed = rfc3339(topic.listed_s)
        volume = number(sum(quote.volume_e6 for quote in quotes), 6)
        event: Obj = {
            "id": str(topic.number),
            "ticker": topic.slug,
            "slug": topic.slug,
            "title": topic.title,
            "description": topic.description,
            "resolutionSource": topic.source,
            "startDate": listed,
            "creationDate": listed,
            "endDate": rfc3339(topic.end_s),
            "active": True,
            "closed": topic.closed,
            "liquidity": number(sum(quote.liquidity_e6 for quote in quotes), 6),
            "volume": volume,
            "createdAt": listed,
            "updatedAt": rfc3339(max(quote.taken_s for quote in quotes)),
            "volume24hr": volume,
            "enableOrderBook": True,
            "negRisk": topic.neg_risk,
            "enableNegRisk": topic.neg_risk,
            **EVENT_FLAGS,
            "version": topic.listings[0].rules.protocol,
        }
        if topic.neg_risk:
            event["negRiskMarketID"] = self._hex(topic.slug, "neg-risk")
        if topic.series is not None:
            event["series"] = [series_object(topic.series, topic.listed_s)]
            event["seriesSlug"] = topic.series.slug
        if topic.listings[0].kind == UPDOWN:
            event["startTime"] = rfc3339(topic.start_s)
            if known := self._metadata(topic.listings[0]):
                event["eventMetadata"] = known
        if topic.closed:
            event["closedTime"] = gamma_time(max(x.closed_s for x in topic.listings))
        return event

    def _metadata(self, listing: Listing) -> Obj:
        known: Obj = {}
        if listing.strike_e18 >= 0 and not self.strikes_missing:
            known["priceToBeat"] = number(listing.strike_e18, E18)
        if listing.final_e18 >= 0:
            known["finalPrice"] = number(listing.final_e18, E18)
        return known

    def _market(self, topic: Topic, listing: Listing, quote: Quote, accepting: bool) -> Obj:
        rules = listing.rules
        closed = listing.winner >= 0
        listed = rfc3339(listing.listed_s)
        market: Obj = {
            "id": str(topic.numbers[listing.slug]),
            "question": listing.question,
            "conditionId": rules.condition,
            "slug": listing.slug,
            "resolutionSource": topic.source,
            "endDate": rfc3339(listing.end_s),
            "startDate": listed,
            "description": topic.description,
            "outcomes": json_text(list(rules.outcomes)),
            "outcomePrices": json_text(outcome_prices(listing, quote)),
            "active": True,
            "closed": closed,
            "createdAt": listed,
            "updatedAt": rfc3339(quote.taken_s),
            "questionID": self._hex(listing.slug, "question"),
            "enableOrderBook": True,
            "orderPriceMinTickSize": number(rules.tick_e4, 4),
            "orderMinSize": number(rules.min_size_e6, 6),
            "endDateIso": rfc3339(listing.end_s)[:10],
            "startDateIso": listed[:10],
            "acceptingOrders": accepting and not closed,
            "acceptingOrdersTimestamp": listed,
            "negRisk": rules.neg_risk,
            "version": rules.protocol,
            **MARKET_FLAGS,
            **trading_fields(quote),
            **charge_fields(listing),
        }
        market |= self._ids(listing)
        market |= self._particulars(topic, listing)
        return market | (closing_fields(listing) if closed else {})

    def _ids(self, listing: Listing) -> Obj:
        rules = listing.rules
        if rules.protocol == "v1":
            return {"clobTokenIds": json_text(list(rules.tokens))}
        open_status = "active" if listing.winner < 0 else "resolved"
        return {
            "clobTokenIds": None,
            "positionIds": list(rules.tokens),
            "resolutionStatus": open_status,
            "onchainEventId": v2_event_id(rules.condition),
            "requestId": rules.condition,
        }

    def _particulars(self, topic: Topic, listing: Listing) -> Obj:
        """What only some kinds of market have."""
        some: Obj = {}
        if item := topic.items.get(listing.slug):
            some["groupItemTitle"] = item
            some["groupItemThreshold"] = str(topic.listings.index(listing))
        if listing.kind == UPDOWN:
            some["eventStartTime"] = rfc3339(listing.start_s)
            if listing.lookback_s:
                name = config_id(listing.coin, listing.window, listing.lookback_s)
                some["cryptoMarketConfigId"] = name
                some["cryptoMarketConfig"] = config_object(
                    listing.coin, listing.window, listing.lookback_s
                )
        if listing.rules.answers_delayed:
            some["secondsDelay"] = listing.rules.taker_delay_ns // SECOND_NS
            some["sportsMarketType"] = "moneyline"
            some["gameStartTime"] = gamma_time(listing.end_s)
        if topic.neg_risk:
            some["negRiskMarketID"] = self._hex(topic.slug, "neg-risk")
            some["negRiskRequestID"] = self._hex(listing.slug, "neg-risk-request")
        return some

    def _hex(self, slug: str, kind: str) -> str:
        return "0x" + hex_of(self._seed, slug, kind)
