"""What kind of venue is to live here."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

from polytrade.errors import ConfigError, Problem

COINS: Final = ("btc", "eth", "sol", "xrp", "doge", "bnb")
WINDOWS: Final = ("5m", "15m", "1h", "1d")
ACTIVITY_MAX: Final = 4.0
"""Times the real message rate of each market; more than this is no market."""
WINDOWS_AHEAD_MAX: Final = 12
FAUCET_MAX: Final = 10_000_000
"""pUSD a new wallet may be given."""


@attrs.frozen(kw_only=True)
class VenueOptions:
    """The live venue's settings. Raises ConfigError naming the field for a value out of range.

    The same `seed` and start time give the same prices, markets and flow as long as nobody from
    outside trades. `activity` is messages relative to the real market (1.0: about 540 a second for
    the running 5-minute window of BTC). `faucet` is what each wallet of a new signer is given, in
    pUSD. `slow_markets` adds a ladder and ranges of prices, politics and sports. `port_base` 0
    takes free ports, otherwise the endpoints take consecutive ones from there.
    """

    seed: int = 7
    coins: tuple[str, ...] = ("btc", "eth", "sol", "xrp")
    windows: tuple[str, ...] = WINDOWS
    windows_ahead: int = 2
    slow_markets: bool = True
    activity: float = 0.1
    faucet: int = 10_000
    scenario: Path | None = None
    host: str = "127.0.0.1"
    port_base: int = 0

    def __attrs_post_init__(self) -> None:
        problems = [
            *_chosen("coins", self.coins, COINS),
            *_chosen("windows", self.windows, WINDOWS),
            *_within("windows_ahead", self.windows_ahead, 0, WINDOWS_AHEAD_MAX),
            *_within("activity", self.activity, 0.0, ACTIVITY_MAX),
            *_within("faucet", self.faucet, 0, FAUCET_MAX),
            *_within("port_base", self.port_base, 0, 65_500),
            *_within("seed", self.seed, 0, 2**63 - 1),
        ]
        if problems:
            raise ConfigError(*problems)


def _chosen(field: str, found: tuple[str, ...], known: tuple[str, ...]) -> Iterable[Problem]:
    if not found or len(set(found)) != len(found) or not set(found) <= set(known):
        wanted, named = ", ".join(known), ", ".join(found) or "none"
        yield Problem(f"expected one or more of {wanted}, each once, found {named}", field)


def _within(field: str, found: float, low: float, high: float) -> Iterable[Problem]:
    if not low <= found <= high:
        yield Problem(f"expected {low:g} to {high:g}, found {found:g}", field)
