"""What a market's slug and question say about its subject, and the slugs of windows to come.

Up/down windows carry their start in the slug (protocols 1.3), above, below and range markets their
bounds in the question and again in the slug. Only conditions on the price at a moment are
recognised: `reach` and `dip to` are another product, and so is a price `in` a week or a month.
"""

import re
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from polytrade.core.units import SECOND_NS, truncate_scaled

COINS: Final = {
    "btc": "BTC",
    "bitcoin": "BTC",
    "eth": "ETH",
    "ethereum": "ETH",
    "sol": "SOL",
    "solana": "SOL",
    "xrp": "XRP",
    "doge": "DOGE",
    "dogecoin": "DOGE",
    "bnb": "BNB",
    "hype": "HYPE",
    "hyperliquid": "HYPE",
    "zec": "ZEC",
    "zcash": "ZEC",
}
"""Names in slugs and questions to our symbols; another coin's market is `other`."""
WINDOW_S: Final = {"5m": 300, "15m": 900, "1h": 3600, "4h": 14_400}
"""Lengths of windows whose slug is `<coin>-updown-<window>-<start in s>`."""
EASTERN: Final = ZoneInfo("America/New_York")
FOUR_HOURS: Final = 4
_WINDOW_SLUG: Final = re.compile(r"([a-z0-9]+)-updown-(5m|15m|1h|4h)-([0-9]{9,10})", re.ASCII)
_UPDOWN_SLUG: Final = re.compile(r"([a-z]+)-up-or-down(-.*)?", re.ASCII)
_SLUG_SUBJECT: Final = r"(?:will-)?(?:the-)?(?:price-of-)?([a-z]+)(?:-price)?(?:-be)?-"
_SLUG_PRICE: Final = r"([0-9]+(?:pt[0-9]+)?)(k)?"
_ASKED_SUBJECT: Final = r"(?:Will )?(?:the )?(?:price of )?([A-Za-z]+) (?:price )?(?:be |close )?"
_ASKED_PRICE: Final = r"\$([0-9][0-9,]*(?:\.[0-9]+)?)(k)?"
_SIDE_SLUG: Final = re.compile(
    rf"{_SLUG_SUBJECT}(above|below|greater-than|less-than)-{_SLUG_PRICE}-(?:on|at)-.*", re.ASCII
)
_SIDE_QUESTION: Final = re.compile(
    rf"{_ASKED_SUBJECT}(above|below|greater than|less than) {_ASKED_PRICE} (?:on|at) .*",
    re.ASCII | re.IGNORECASE,
)
_RANGE_SLUG: Final = re.compile(
    rf"{_SLUG_SUBJECT}between-{_SLUG_PRICE}(?:-and)?-{_SLUG_PRICE}-(?:on|at)-.*", re.ASCII
)
_RANGE_QUESTION: Final = re.compile(
    rf"{_ASKED_SUBJECT}between {_ASKED_PRICE} and {_ASKED_PRICE} (?:on|at) .*",
    re.ASCII | re.IGNORECASE,
)
_BELOW: Final = ("below", "less than", "less-than")
_DIGITS_MAX: Final = 9
"""Digits of a threshold before the point: no coin costs a thousand million USD."""


@attrs.frozen
class Subject:
    """What a market is about: `condition` as in MarketListed, `symbol` empty when it has no
    reference price, `strike_e8` -1 and times 0 where the names do not say, `upper_e8` 0 but for a
    range."""

    condition: str = "other"
    symbol: str = ""
    strike_e8: int = -1
    start_ns: int = 0
    length_ns: int = 0
    upper_e8: int = 0


def subject_of(slug: str, question: str) -> Subject:
    """The subject of a market by its names; `other` for whatever is not recognised."""
    found = _WINDOW_SLUG.fullmatch(slug)
    if found and found[1] in COINS:
        length_ns = WINDOW_S[found[2]] * SECOND_NS
        start_ns = int(found[3]) * SECOND_NS
        return Subject("updown", COINS[found[1]], -1, start_ns, length_ns)
    found = _UPDOWN_SLUG.fullmatch(slug)
    if found and found[1] in COINS:
        return Subject("updown", COINS[found[1]])
    return _asked(question, _SIDE_QUESTION, _RANGE_QUESTION) or (
        _asked(slug, _SIDE_SLUG, _RANGE_SLUG) or Subject()
    )


def _asked(text: str, side: re.Pattern[str], range_: re.Pattern[str]) -> Subject | None:
    """The subject of a question or slug about a price at a moment; None for any other."""
    found = side.fullmatch(text) or range_.fullmatch(text)
    symbol = COINS.get(found[1].lower()) if found else None
    if found is None or symbol is None:
        return None
    if found.re is side:
        condition = "below" if found[2].lower() in _BELOW else "above"
        strike_e8 = _threshold_e8(found[3], found[4] is not None)
        return Subject(condition, symbol, strike_e8) if strike_e8 > 0 else None
    lower_k, upper_k = found[3] is not None, found[5] is not None
    strike_e8, upper_e8 = _threshold_e8(found[2], lower_k), _threshold_e8(found[4], upper_k)
    # `between 112 and 114k` may mean thousands twice, or not: no guess with money.
    if lower_k != upper_k or not 0 < strike_e8 < upper_e8:
        return None
    return Subject("range", symbol, strike_e8, upper_e8=upper_e8)


def _threshold_e8(text: str, thousands: bool) -> int:
    """`110,000`, `2.5` and the slug's `2pt5`; -1 when it is too large to be a price."""
    plain = text.replace(",", "").replace("pt", ".")
    if len(plain.partition(".")[0]) > _DIGITS_MAX:
        return -1
    return truncate_scaled(plain, 8) * (1000 if thousands else 1)


def window_slugs(
    coins: tuple[str, ...], windows: tuple[str, ...], now_s: int, ahead: int
) -> list[str]:
    """Slugs of the running window and the next `ahead` ones of every coin, soonest first.

    `5m`, `15m` and `1h` windows start at multiples of their length, `4h` windows at 0, 4, 8 ...
    o'clock US Eastern time. ValueError names an unknown window.
    """
    starts: list[tuple[int, str]] = []
    for window in windows:
        if window not in WINDOW_S:
            known = ", ".join(WINDOW_S)
            raise ValueError(f"expected a window of {known}, found {window!r} @ universe.windows")
        starts += [(start_s, window) for start_s in window_starts(window, now_s, ahead)]
    starts.sort(key=lambda row: (row[0], WINDOW_S[row[1]]))
    return [f"{coin}-updown-{window}-{start_s}" for start_s, window in starts for coin in coins]


def window_starts(window: str, now_s: int, ahead: int) -> list[int]:
    """Unix seconds at which the running window and the next `ahead` ones start."""
    if window != "4h":
        length_s = WINDOW_S[window]
        first_s = now_s // length_s * length_s
        return [first_s + step * length_s for step in range(ahead + 1)]
    local = datetime.fromtimestamp(now_s, EASTERN)
    wall = datetime(local.year, local.month, local.day, local.hour // FOUR_HOURS * FOUR_HOURS)
    return [
        int((wall + timedelta(hours=FOUR_HOURS * step)).replace(tzinfo=EASTERN).timestamp())
        for step in range(ahead + 1)
    ]


def window_of_slug(slug: str) -> tuple[int, int] | None:
    """(start, end) in Unix seconds of a window's slug, None when the slug says no such thing."""
    found = _WINDOW_SLUG.fullmatch(slug)
    if found is None:
        return None
    start_s = int(found[3])
    return start_s, start_s + WINDOW_S[found[2]]
