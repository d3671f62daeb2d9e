"""Up/down windows, ladders of strikes and ranges on the price of a coin (protocols 1.3, 1.4)."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from polytrade.sandbox.matching.rules import FINE_TICK_E4, MarketRules
from polytrade.sandbox.world.listing import ABOVE, BELOW, RANGE, UPDOWN, Listing
from polytrade.sandbox.world.topics import CRYPTO, Series, Tag, Terms, Topic, rules_of
from polytrade.sandbox.world.windows import (
    COIN_NAMES,
    boundary_s,
    day_slug,
    eastern,
    ladder_step_e8,
    strike_slug,
    strike_title,
    window_slug,
    window_title,
)

LADDER: Final = "ladder"
RANGES: Final = "ranges"
LOOKBACK_S: Final = 60
"""Length of the settlement average of 5m, 15m and 4h windows."""
E10: Final = 10_000_000_000
RECURRENCES: Final[Mapping[str, str]] = {
    "5m": "5m",
    "15m": "15m",
    "1h": "hourly",
    "4h": "4h",
    "1d": "daily",
    LADDER: "daily",
    RANGES: "daily",
}
_SERIES_IDS: Final[Mapping[str, str]] = {
    "btc-up-or-down-5m": "10684",
    "btc-up-or-down-15m": "10192",
}
"""The two that are known; others count up from `_SERIES_FROM`."""
_SERIES_FROM: Final = 20_000
_TAG_UPDOWN: Final = Tag("102127", "Up or Down", "up-or-down")
_TAG_PRICES: Final = Tag("1312", "Crypto Prices", "crypto-prices")
_TAG_RECURRING: Final = Tag("101757", "Recurring", "recurring")
_TAG_CRYPTO: Final = Tag("21", "Crypto", "crypto")
_TAG_WINDOWS: Final[Mapping[str, Tag]] = {
    "5m": Tag("102892", "5M", "5M"),
    "15m": Tag("102467", "15M", "15M"),
    "1h": Tag("102175", "1H", "1H"),
    "4h": Tag("102531", "4h", "4h"),
    "1d": Tag("102281", "Daily", "daily"),
    LADDER: Tag("102281", "Daily", "daily"),
    RANGES: Tag("102281", "Daily", "daily"),
}


def lookback_of(window: str) -> int:
    """Seconds of the settlement average; 0 where an exchange's price decides."""
    return 0 if window in ("1h", "1d") else LOOKBACK_S


def price_source(coin: str, lookback_s: int) -> str:
    """The address of what decides."""
    if lookback_s:
        return f"https://data.chain.link/streams/{coin}-usd-twap-{lookback_s}s-streams"
    return f"https://www.binance.com/en/trade/{coin.upper()}_USDT"


def config_id(coin: str, window: str, lookback_s: int) -> str:
    """Gamma's `cryptoMarketConfigId`."""
    return f"{coin}-{window}-twap-{lookback_s}"


def series_of(coin: str, window: str) -> Series:
    """The series a window, a ladder or an event of ranges belongs to."""
    recurrence, name = RECURRENCES[window], COIN_NAMES[coin]
    if window == LADDER:
        slug, title = f"{name.lower()}-multi-strikes-daily", f"{name} Multi Strikes Daily"
    elif window == RANGES:
        slug, title = f"{name.lower()}-neg-risk-daily", f"{name} Neg Risk Daily"
    else:
        slug = f"{coin}-up-or-down-{recurrence}"
        title = f"{coin.upper()} Up or Down {recurrence}"
    number = _SERIES_FROM + list(COIN_NAMES).index(coin) * 10 + list(RECURRENCES).index(window)
    return Series(_SERIES_IDS.get(slug, str(number)), slug, title, recurrence)


def window_topic(
    terms: Terms, coin: str, window: str, now_s: int, ahead: int, protocol: str
) -> Topic:
    """The window `ahead` windows after the one running, which is listed that early."""
    start_s, end_s = (boundary_s(window, now_s, ahead + step) for step in (0, 1))
    slug = window_slug(coin, window, start_s, end_s)
    title = window_title(coin, window, start_s, end_s)
    lookback_s = lookback_of(window)
    listing = Listing(
        rules=rules_of(terms, slug, slug, CRYPTO, protocol, outcomes=("Up", "Down")),
        slug=slug,
        event_slug=slug,
        question=title,
        category=CRYPTO,
        kind=UPDOWN,
        coin=coin,
        window=window,
        listed_s=now_s,
        start_s=start_s,
        end_s=end_s,
        lookback_s=lookback_s,
    )
    return Topic(
        slug=slug,
        title=title,
        description=_window_rule(coin, window),
        source=price_source(coin, lookback_s),
        category=CRYPTO,
        listed_s=now_s,
        start_s=start_s,
        end_s=end_s,
        tags=(
            _TAG_UPDOWN,
            _TAG_PRICES,
            _TAG_RECURRING,
            _coin_tag(coin),
            _TAG_CRYPTO,
            _TAG_WINDOWS[window],
        ),
        series=series_of(coin, window),
        listings=[listing],
    )


def ladder_topic(
    terms: Terms, coin: str, now_s: int, end_s: int, spot_e8: int, strikes: int, protocol: str
) -> Topic:
    """Markets on the price at `end_s` being above each of `strikes` thresholds around spot."""
    name, day = COIN_NAMES[coin], eastern(end_s)
    topic = _day_topic(
        coin,
        LADDER,
        f"{name.lower()}-above-on-{day_slug(end_s)}-{day.year}",
        f"{name} above ___ on {day:%B} {day.day}?",
        f'Resolves to "Yes" if the Binance price of {name} at noon '
        'Eastern time on the day in the title is higher than the threshold, otherwise to "No".',
        (now_s, end_s),
    )
    for index, strike_e8 in enumerate(_strikes_e8(spot_e8, strikes)):
        slug = f"{name.lower()}-above-{strike_slug(strike_e8)}-on-{day_slug(end_s)}"
        rules = rules_of(
            terms, topic.slug, slug, CRYPTO, protocol, place=(index, strikes), tick_e4=FINE_TICK_E4
        )
        asked = f"above ${strike_title(strike_e8)}"
        _add(topic, rules, coin, slug, asked, ABOVE, (strike_e8, 0))
        topic.items[slug] = strike_title(strike_e8)
    return topic


def ranges_topic(
    terms: Terms, coin: str, now_s: int, end_s: int, spot_e8: int, strikes: int, protocol: str
) -> Topic:
    """Markets of which one pays: the price at `end_s` between two of `strikes`, or beyond them."""
    name, day = COIN_NAMES[coin], eastern(end_s)
    topic = _day_topic(
        coin,
        RANGES,
        f"{name.lower()}-price-on-{day_slug(end_s)}-{day.year}",
        f"{name} price on {day:%B} {day.day}?",
        f"Resolves by the Binance price of {name} at noon Eastern time on the day in the title. A "
        "price exactly between two ranges is in the higher one.",
        (now_s, end_s),
        neg_risk=True,
    )
    bounds = _strikes_e8(spot_e8, strikes)
    first, last = strike_title(bounds[0]), strike_title(bounds[-1])
    asked = [(f"less than ${first}", f"<{first}", BELOW, (bounds[0], 0))]
    for low_e8, high_e8 in pairwise(bounds):
        low, high = strike_title(low_e8), strike_title(high_e8)
        asked.append((f"between ${low} and ${high}", f"{low}-{high}", RANGE, (low_e8, high_e8)))
    asked.append((f"greater than ${last}", f">{last}", ABOVE, (bounds[-1], 0)))
    for index, (words, item, kind, prices_e8) in enumerate(asked):
        named = words.replace(" and ", " ").replace("$", "").replace(",", "").replace(".", "pt")
        slug = f"will-the-price-of-{name.lower()}-be-{named.replace(' ', '-')}-on-{day_slug(end_s)}"
        rules = rules_of(
            terms,
            topic.slug,
            slug,
            CRYPTO,
            protocol,
            place=(index, len(asked)),
            neg_risk=True,
            tick_e4=FINE_TICK_E4,
        )
        _add(topic, rules, coin, slug, words, kind, prices_e8)
        topic.items[slug] = item
    return topic


def _strikes_e8(spot_e8: int, strikes: int) -> list[int]:
    """`strikes` round prices around spot, lowest first."""
    step_e8 = ladder_step_e8(spot_e8)
    lowest = max(1, (spot_e8 + step_e8 // 2) // step_e8 - strikes // 2)
    return [(lowest + index) * step_e8 for index in range(strikes)]


def _day_topic(
    coin: str,
    series: str,
    slug: str,
    title: str,
    rule: str,
    times_s: tuple[int, int],
    *,
    neg_risk: bool = False,
) -> Topic:
    """The event of markets on the price at a noon, without its markets."""
    now_s, end_s = times_s
    return Topic(
        slug=slug,
        title=title,
        description=f"Generated by the sandbox. {rule}",
        source=price_source(coin, 0),
        category=CRYPTO,
        listed_s=now_s,
        start_s=now_s,
        end_s=end_s,
        tags=(
            _TAG_PRICES,
            _TAG_RECURRING,
            _coin_tag(coin),
            _TAG_CRYPTO,
            _TAG_WINDOWS[series],
        ),
        series=series_of(coin, series),
        neg_risk=neg_risk,
    )


def _add(
    topic: Topic,
    rules: MarketRules,
    coin: str,
    slug: str,
    asked: str,
    kind: str,
    prices_e8: tuple[int, int],
) -> None:
    """Add a market on the price at a noon: `prices_e8` are its strike and, of a range, the upper
    bound."""
    day = eastern(topic.end_s)
    topic.listings.append(
        Listing(
            rules=rules,
            slug=slug,
            event_slug=topic.slug,
            question=f"Will the price of {COIN_NAMES[coin]} be {asked} on {day:%B} {day.day}?",
            category=CRYPTO,
            kind=kind,
            coin=coin,
            window="1d",
            listed_s=topic.listed_s,
            start_s=topic.start_s,
            end_s=topic.end_s,
            strike_e18=prices_e8[0] * E10,
            upper_e18=prices_e8[1] * E10,
        )
    )


def _coin_tag(coin: str) -> Tag:
    name = COIN_NAMES[coin]
    return Tag(str(102_320 + list(COIN_NAMES).index(coin)), name, name.lower())


def _window_rule(coin: str, window: str) -> str:
    name = COIN_NAMES[coin]
    if window == "1h":
        how = f"the Binance 1 hour candle of {name} closes at or above its open"
    elif window == "1d":
        how = (
            f"the Binance price of {name} at noon Eastern time is higher than a day before; "
            "equal prices resolve 50-50"
        )
    else:
        how = (
            f"the 60-second average of {name} at the end of the window is greater than or equal "
            "to that at its start"
        )
    return f'Generated by the sandbox. Resolves to "Up" if {how}, otherwise to "Down".'
