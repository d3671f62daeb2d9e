"""Parts of Gamma's objects, in the JSON types it has them in (protocols 1.2)."""

from datetime import UTC, datetime
from typing import Any, Final, Protocol

import attrs
import orjson

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import ONE_E4, decimal_text, notional_e6_down
from polytrade.sandbox.world.crypto_markets import config_id, lookback_of
from polytrade.sandbox.world.listing import EVENT, Listing
from polytrade.sandbox.world.topics import Series, Tag, Topic
from polytrade.sandbox.world.windows import rfc3339

PUSD: Final = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB"
FINAL_PRICES: Final = (("1", "0"), ("0", "1"), ("0.5", "0.5"))
E18: Final = 18

Obj = dict[str, Any]
EVENT_FLAGS: Final[Obj] = {
    "archived": False,
    "new": False,
    "featured": False,
    "restricted": True,
    "openInterest": 0,
    "commentCount": 0,
    "cyom": False,
    "showAllOutcomes": True,
    "showMarketImages": True,
    "automaticallyActive": True,
    "negRiskAugmented": False,
    "pendingDeployment": False,
    "deploying": False,
    "requiresTranslation": False,
}
MARKET_FLAGS: Final[Obj] = {
    "marketMakerAddress": "",
    "new": False,
    "featured": False,
    "archived": False,
    "restricted": True,
    "hasReviewedDates": True,
    "comboStatus": "disabled",
    "negRiskOther": False,
    "ready": False,
    "funded": False,
    "cyom": False,
    "competitive": 1,
    "pagerDutyNotificationEnabled": False,
    "approved": True,
    "automaticallyActive": True,
    "clearBookOnStart": False,
    "showGmpSeries": False,
    "showGmpOutcome": False,
    "manualActivation": False,
    "umaResolutionStatuses": "[]",
    "pendingDeployment": False,
    "deploying": False,
    "rfqEnabled": False,
    "holdingRewardsEnabled": False,
    "requiresTranslation": False,
    "makerRebatesFeeShareBps": 10000,
}
"""What no market or event of ours differs in."""


class Book(Protocol):
    """What is asked of a market's book, in YES terms."""

    def best_bid_e4(self) -> int:
        """0 when there is none."""

    def best_ask_e4(self) -> int:
        """10,000 when there is none."""

    def levels(self, yes_side: int) -> list[tuple[int, int]]:
        """(price, size), best first."""


@attrs.frozen
class Quote:
    """What Gamma last saw of a market's trading, and when."""

    taken_s: int
    bid_e4: int = 0
    ask_e4: int = ONE_E4
    last_e4: int = -1
    volume_e6: int = 0
    liquidity_e6: int = 0


def liquidity_e6(book: Book) -> int:
    """What resting orders bind: bids at their price, asks at what is missing to 1."""
    bids = sum(notional_e6_down(price, size) for price, size in book.levels(BUY))
    asks = sum(notional_e6_down(ONE_E4 - price, size) for price, size in book.levels(SELL))
    return bids + asks


def outcome_prices(listing: Listing, quote: Quote) -> list[str]:
    """The middle of the book, else the last trade, else a half; what was paid once resolved."""
    if listing.winner >= 0:
        return list(FINAL_PRICES[listing.winner])
    if quote.bid_e4 > 0 and quote.ask_e4 < ONE_E4:
        yes_e5 = (quote.bid_e4 + quote.ask_e4) * 5
    else:
        yes_e5 = (quote.last_e4 if quote.last_e4 >= 0 else ONE_E4 // 2) * 10
    return [decimal_text(yes_e5, 5), decimal_text(10 * ONE_E4 - yes_e5, 5)]


def config_object(coin: str, window: str, lookback_s: int) -> Obj:
    """A row of `/crypto-market-configs`."""
    return {
        "id": config_id(coin, window, lookback_s),
        "asset": coin,
        "duration": window,
        "twapEnabled": lookback_s > 0,
        "twapLookbackSeconds": lookback_s,
    }


def config_objects(coins: tuple[str, ...], windows: tuple[str, ...]) -> list[Obj]:
    """How each kind of window is settled, where an average decides."""
    kinds = [(coin, window) for coin in coins for window in windows if lookback_of(window)]
    return [config_object(coin, window, lookback_of(window)) for coin, window in kinds]


def series_object(series: Series, created_s: int) -> Obj:
    """A series without its events."""
    return {
        "id": series.id,
        "ticker": series.slug,
        "slug": series.slug,
        "title": series.title,
        "seriesType": "single",
        "recurrence": series.recurrence,
        "image": "",
        "icon": "",
        "active": True,
        "closed": False,
        "archived": False,
        "createdAt": rfc3339(created_s),
        "commentCount": 0,
        "requiresTranslation": False,
    }


def tag_object(tag: Tag, topic: Topic) -> Obj:
    """A tag as events have it."""
    return {
        "id": tag.id,
        "label": tag.label,
        "slug": tag.slug,
        "forceShow": False,
        "createdAt": rfc3339(topic.listed_s),
        "requiresTranslation": False,
    }


def trading_fields(quote: Quote) -> Obj:
    """Volumes and prices: text and numbers as Gamma mixes them."""
    volume = number(quote.volume_e6, 6)
    told: Obj = {
        "volume": decimal_text(quote.volume_e6, 6),
        "volumeNum": volume,
        "volume24hr": volume,
        "volume1wk": volume,
        "volume1mo": volume,
        "volume1yr": volume,
        "volumeClob": volume,
        "liquidity": decimal_text(quote.liquidity_e6, 6),
        "liquidityNum": number(quote.liquidity_e6, 6),
        "liquidityClob": number(quote.liquidity_e6, 6),
        "bestAsk": number(quote.ask_e4, 4),
        "spread": number(quote.ask_e4 - quote.bid_e4, 4),
    }
    if quote.bid_e4 > 0:
        told["bestBid"] = number(quote.bid_e4, 4)
    if quote.last_e4 >= 0:
        told["lastTradePrice"] = number(quote.last_e4, 4)
    return told


def charge_fields(listing: Listing) -> Obj:
    """Fees and rewards; the legacy flags are no rates (protocols 8.1)."""
    fees, rewards = listing.rules.fees, listing.rules.rewards
    told: Obj = {"feesEnabled": fees is not None}
    if fees is not None:
        told |= {
            "makerBaseFee": 1000,
            "takerBaseFee": 1000,
            "feeType": fees.kind,
            "feeSchedule": {
                "exponent": fees.exponent,
                "rate": number(fees.rate_e6, 6),
                "takerOnly": True,
                "rebateRate": number(fees.rebate_rate_e6, 6),
            },
        }
    if rewards is not None:
        told |= {
            "rewardsMinSize": number(rewards.min_size_e6, 6),
            "rewardsMaxSpread": number(rewards.max_spread_e4, 2),
            "clobRewards": [
                {
                    "id": listing.rules.condition[2:10],
                    "conditionId": listing.rules.condition,
                    "assetAddress": PUSD,
                    "rewardsAmount": 0,
                    "rewardsDailyRate": number(rewards.daily_e6, 6),
                    "startDate": rfc3339(listing.listed_s)[:10],
                    "endDate": rfc3339(listing.end_s)[:10],
                }
            ],
        }
    return told


def closing_fields(listing: Listing) -> Obj:
    """What a resolved market has besides."""
    told: Obj = {
        "closedTime": gamma_time(listing.closed_s),
        "automaticallyResolved": listing.kind != EVENT,
    }
    if listing.rules.protocol == "v1":
        told["umaResolutionStatus"] = "resolved"
        if listing.kind == EVENT:
            told["umaResolutionStatuses"] = '["proposed", "resolved"]'
    return told


def gamma_time(seconds: int) -> str:
    """`2026-07-24 00:00:16+00`: Gamma's second format of times."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}+00"


def number(value: int, digits: int) -> int | float:
    """A scaled integer as a JSON number; whole ones without a point."""
    text = decimal_text(value, digits)
    return float(text) if "." in text else int(text)


def json_text(items: list[str]) -> str:
    """A list as JSON in a string, with the blanks Gamma has."""
    return orjson.dumps(items).decode().replace('","', '", "')
