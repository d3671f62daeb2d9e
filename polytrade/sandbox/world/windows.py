"""When windows begin and end, and what their slugs and titles are (protocols 1.3)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

WINDOWS: Final = ("5m", "15m", "1h", "4h", "1d")
FIXED_S: Final[Mapping[str, int]] = {"5m": 300, "15m": 900, "1h": 3600}
"""Windows that begin at multiples of their length."""
EASTERN: Final = ZoneInfo("America/New_York")
NOON: Final = 12
FOUR_HOURS: Final = 4
COIN_NAMES: Final[Mapping[str, str]] = {
    "btc": "Bitcoin",
    "eth": "Ethereum",
    "sol": "Solana",
    "xrp": "XRP",
    "doge": "Dogecoin",
    "bnb": "BNB",
    "hype": "Hyperliquid",
    "zec": "Zcash",
}
_E8: Final = 100_000_000


def boundary_s(window: str, now_s: int, steps: int = 0) -> int:
    """Unix seconds at which the running window began, or the one `steps` windows later begins.

    4-hour windows begin at 0, 4, 8 ... o'clock and days at noon, both US Eastern time.
    """
    if window in FIXED_S:
        length_s = FIXED_S[window]
        return (now_s // length_s + steps) * length_s
    local = datetime.fromtimestamp(now_s, EASTERN)
    if window == "4h":
        wall = datetime(local.year, local.month, local.day, local.hour // FOUR_HOURS * FOUR_HOURS)
        wall += timedelta(hours=FOUR_HOURS * steps)
    elif window == "1d":
        wall = datetime(local.year, local.month, local.day, NOON)
        wall += timedelta(days=steps - (local.hour < NOON))
    else:
        raise ValueError(f"expected a window of {', '.join(WINDOWS)}, found {window!r}")
    return int(wall.replace(tzinfo=EASTERN).timestamp())


def eastern(seconds: int) -> datetime:
    """A time on a New York clock."""
    return datetime.fromtimestamp(seconds, EASTERN)


def rfc3339(seconds: int) -> str:
    """A time as Gamma writes it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def day_slug(seconds: int) -> str:
    """`september-19`: the Eastern day in slugs."""
    local = eastern(seconds)
    return f"{local:%B}-{local.day}".lower()


def window_slug(coin: str, window: str, start_s: int, end_s: int) -> str:
    """The slug of a window's event and market."""
    if window not in ("1h", "1d"):
        return f"{coin}-updown-{window}-{start_s}"
    name = COIN_NAMES[coin].lower()
    if window == "1d":
        return f"{name}-up-or-down-on-{day_slug(end_s)}-{eastern(end_s).year}"
    local = eastern(start_s)
    hour = f"{(local.hour - 1) % 12 + 1}{local:%p}".lower()
    # The hour that Eastern clocks show twice in autumn is told apart by its fold.
    twice = "-2" if local.fold else ""
    return f"{name}-up-or-down-{day_slug(start_s)}-{local.year}-{hour}-et{twice}"


def window_title(coin: str, window: str, start_s: int, end_s: int) -> str:
    """`Bitcoin Up or Down - June 24, 3:50AM-3:55AM ET` and its like."""
    name, start, end = COIN_NAMES[coin], eastern(start_s), eastern(end_s)
    if window == "1d":
        return f"{name} Up or Down on {end:%B} {end.day}?"
    if window == "1h":
        return f"{name} Up or Down - {start:%B} {start.day}, {_hour(start)} ET"
    first, last = (f"{(t.hour - 1) % 12 + 1}:{t:%M}{t:%p}" for t in (start, end))
    return f"{name} Up or Down - {start:%B} {start.day}, {first}-{last} ET"


def _hour(local: datetime) -> str:
    return f"{(local.hour - 1) % 12 + 1}{local:%p}"


def ladder_step_e8(spot_e8: int) -> int:
    """The distance of a ladder's strikes: 1, 2 or 5 times a power of ten, at least 1 % of spot."""
    least = max(1, spot_e8 // 100)
    power = int(10 ** (len(str(least)) - 1))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least)


def strike_slug(strike_e8: int) -> str:
    """`112k`, `950`, `2pt45`: a threshold in a slug."""
    whole, fraction = divmod(strike_e8, _E8)
    if fraction:
        return f"{whole}pt{f'{fraction:08d}'.rstrip('0')}"
    return f"{whole // 1000}k" if whole and whole % 1000 == 0 else str(whole)


def strike_title(strike_e8: int) -> str:
    """`112,000`, `2.45`: a threshold in a question."""
    whole, fraction = divmod(strike_e8, _E8)
    return f"{whole:,}" + (f".{f'{fraction:08d}'.rstrip('0')}" if fraction else "")
