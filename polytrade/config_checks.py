"""What several settings must be together, one function a section; ranges are in `config.py`."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from polytrade import config
from polytrade.errors import Problem

_COIN = re.compile(r"[a-z0-9]{2,10}")
_ENVIRONMENT_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")

LATENCY_QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)
"""The quantiles that `execution.*_latency_ms` gives the values of."""


def _problem(path: str, expected: str, found: object) -> Problem:
    return Problem(f"expected {expected}, found {found}", path, expected)


def _distinct(path: str, names: tuple[str, ...]) -> Iterator[Problem]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        yield _problem(path, "each entry once", ", ".join(repeated) + " twice")


def _not_above(section: object, name: str, low: str, high: str) -> Iterator[Problem]:
    """`low` may not exceed `high`; the problem is told where `low` is."""
    least, most = getattr(section, low), getattr(section, high)
    if least > most:
        yield _problem(f"{name}.{low}", f"at most {name}.{high} = {most:g}", f"{least:g}")


def _url(path: str, value: str, schemes: tuple[str, str], *, optional: bool) -> Iterator[Problem]:
    if not value and optional:
        return
    expected = f"{schemes[0]}:// or {schemes[1]}:// address" + (" or empty" if optional else "")
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        if parts.username is not None or parts.password is not None:
            # It would stand in every journal's header; and not even here is it repeated.
            yield _problem(path, "address without a user and a password", "one with them")
            return
    except ValueError:
        good = False
    if not good:
        yield _problem(path, expected, f'"{value}"')


def universe(section: config.Universe) -> Iterator[Problem]:
    """Something is followed, and named once."""
    for name in ("coins", "windows", "series", "slugs"):
        yield from _distinct(f"universe.{name}", getattr(section, name))
    for coin in section.coins:
        if not _COIN.fullmatch(coin):
            yield _problem("universe.coins", "lower-case ticker such as btc", f'"{coin}"')
    if not (section.coins and section.windows) and not section.series and not section.slugs:
        yield _problem("universe", "coins with windows, series or slugs to follow", "none")


def feeds(section: config.Feeds) -> Iterator[Problem]:
    """Addresses fit their protocols; intervals fit each other."""
    for name in ("market_url", "rtds_url", "polybolt_url"):
        optional = name != "market_url"
        yield from _url(f"feeds.{name}", getattr(section, name), ("wss", "ws"), optional=optional)
    for name in ("clob_url", "gamma_url"):
        yield from _url(f"feeds.{name}", getattr(section, name), ("https", "http"), optional=False)
    for name in ("binance", "coinbase", "kraken", "okx", "bybit"):
        url = getattr(section, name).url
        yield from _url(f"feeds.{name}.url", url, ("wss", "ws"), optional=True)
    if section.assets_per_connection % 2:
        # Both tokens of a market belong on one connection.
        yield _problem("feeds.assets_per_connection", "even number", section.assets_per_connection)
    yield from _not_above(section, "feeds", "backoff_min_s", "backoff_max_s")
    yield from _not_above(section, "feeds", "ping_interval_s", "pong_limit_s")


def strategy(section: config.Strategy) -> Iterator[Problem]:
    """Half lives and bounds of the volatility are in order."""
    yield from _not_above(section, "strategy", "vol_fast_s", "vol_slow_s")
    yield from _not_above(section, "strategy", "vol_floor_bps", "vol_cap_bps")


def allocator(section: config.Allocator) -> Iterator[Problem]:
    """Somebody gets capital."""
    weights = (section.taker_weight, section.maker_weight, section.arb_weight)
    if not any(weights):
        yield _problem("allocator.maker_weight", "a weight above 0 among the three", "none")


def toxicity(section: config.Toxicity) -> Iterator[Problem]:
    """Caution comes before Danger."""
    yield from _not_above(section, "toxicity", "safe_threshold", "caution_threshold")
    yield from _not_above(section, "toxicity", "cooldown_min_sec", "cooldown_max_sec")
    for seconds in (1, 5, 10):
        low, high = f"markout_{seconds}s_danger_bps", f"markout_{seconds}s_caution_bps"
        yield from _not_above(section, "toxicity", low, high)


def arb(section: config.Arb) -> Iterator[Problem]:
    """No way is named twice, and one is when sets are traded."""
    yield from _distinct("arb.ways", section.ways)
    if section.enabled and not section.ways:
        yield _problem("arb.ways", "a way while arb.enabled is true", "none")


def execution(section: config.Execution) -> Iterator[Problem]:
    """A latency table has one value a quantile, none below the one before."""
    for name in ("place_latency_ms", "cancel_latency_ms"):
        values: tuple[float, ...] = getattr(section, name)
        if len(values) != len(LATENCY_QUANTILES):
            expected = f"{len(LATENCY_QUANTILES)} values (quantiles 0, 0.5, 0.9, 0.99, 1)"
            yield _problem(f"execution.{name}", expected, f"{len(values)}")
        elif list(values) != sorted(values):
            found = ", ".join(f"{value:g}" for value in values)
            yield _problem(f"execution.{name}", "values that never decrease", found)


def latency(section: config.Latency) -> Iterator[Problem]:
    """A batch fits into the queue it is taken from."""
    yield from _not_above(section, "latency", "io_flush_batch", "io_queue_capacity")
    yield from _not_above(section, "latency", "drain_max", "inbox_capacity")


def storage(section: config.Storage) -> Iterator[Problem]:
    """There is a place to write to."""
    if not section.data_dir:
        yield _problem("storage.data_dir", "a folder", "an empty string")


def control(section: config.Control) -> Iterator[Problem]:
    """There is an address to bind and a name to look a token up by."""
    if not section.host:
        yield _problem("control.host", "an address such as 127.0.0.1", "an empty string")
    if section.token_env and not _ENVIRONMENT_NAME.fullmatch(section.token_env):
        # The value is not shown: somebody may have put the token itself here.
        yield Problem(
            "expected the name of an environment variable, found something else",
            "control.token_env",
            "A-Z, 0-9 and _",
        )


def plugins(section: config.Plugins) -> Iterator[Problem]:
    """Nothing is named twice."""
    for name in ("disabled", "feeds", "risk_rules", "notifiers"):
        yield from _distinct(f"plugins.{name}", getattr(section, name))


def venue(section: config.Venue) -> Iterator[Problem]:
    """No capture is played twice, and what is played has no other faults than its own."""
    yield from _distinct("venue.playback", section.playback)
    if section.playback and section.scenario:
        yield _problem("venue.scenario", "none beside playback", section.scenario)


CHECKS: dict[str, Callable[[Any], Iterator[Problem]]] = {
    "universe": universe,
    "feeds": feeds,
    "strategy": strategy,
    "allocator": allocator,
    "toxicity": toxicity,
    "arb": arb,
    "execution": execution,
    "latency": latency,
    "storage": storage,
    "control": control,
    "plugins": plugins,
    "venue": venue,
}
"""The check of each section that has one."""
