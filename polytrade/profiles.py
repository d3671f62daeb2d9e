"""The taker's profiles: how bold it is, and with which symbols it is careful.

Apart from the taker, because the configuration takes the names of the profiles from here.
"""

from collections.abc import Mapping
from typing import Final, final


@final
class Guard:
    """What a profile changes for one symbol: factors of the trigger and of the slippage."""

    __slots__ = ("slippage", "trigger")

    def __init__(self, trigger: float, slippage: float) -> None:
        self.trigger = trigger
        self.slippage = slippage


GUARDED: Final = Guard(1.25, 0.8)
UNGUARDED: Final = Guard(1.0, 1.0)


@final
class Profile:
    """How bold the taker is: guarded symbols, and whether it takes in Caution."""

    __slots__ = ("aggressive", "guards", "name")

    def __init__(self, name: str, aggressive: bool, guards: Mapping[str, Guard]) -> None:
        self.name = name
        self.aggressive = aggressive
        self.guards = guards

    def guard(self, symbol: str) -> Guard:
        """The factors of a symbol."""
        return self.guards.get(symbol, UNGUARDED)


PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("balanced", False, {}),
        Profile("balanced_sol_guard", False, {"SOL": GUARDED}),
        Profile("aggressive", True, {}),
        Profile("aggressive_sol_guard", True, {"SOL": GUARDED}),
    )
}
"""The values of `market_tier_profile`."""


def profile_of(name: str) -> Profile:
    """The profile of that name; ValueError names the known ones."""
    if name not in PROFILES:
        known = ", ".join(f"`{known}`" for known in PROFILES)
        raise ValueError(f"expected a taker profile of {known}, found {name!r}")
    return PROFILES[name]
