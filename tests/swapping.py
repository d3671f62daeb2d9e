"""Plugins and runs that the tests of swaps share: strategies that keep something and hand it on."""

from typing import Any

import attrs
import orjson

from polytrade.catalogue import BUILTIN, Catalogue, Offer, PluginInfo, scan
from polytrade.config import Config, Plugins
from polytrade.config_fields import setting
from polytrade.core.events import LineupSwapped
from polytrade.core.ids import BUY, YES
from polytrade.core.limits import Context, Request
from polytrade.core.roles import View, Wish
from polytrade.core.units import ONE_E6
from polytrade.lineup import Lineup, build_lineup
from polytrade.strict import to_dict


@attrs.define(eq=False)
class Stepper:
    """A maker that bids at another price each time it is asked; it hands on how often that was."""

    base_quote_size: float = setting(5.0, "shares", ge=0.1, le=100.0)
    below: int = setting(0, "ticks below the best bid at least", ge=0, le=90)
    asked: int = attrs.field(init=False, default=0)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        self.asked += 1
        tick_e4 = view.market.book.tick_e4
        price_e4 = max(view.market.book.bid_e4 - (self.below + self.asked % 3) * tick_e4, tick_e4)
        size_e6 = round(self.base_quote_size * ONE_E6)
        return [Wish(YES, BUY, price_e4, size_e6, 50.0, "maker")], ""

    def dump(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def restore(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]


@attrs.define(eq=False)
class Failing(Stepper):
    """The same, failing at the n-th question of its life."""

    fails_at: int = setting(40, "question", ge=1, le=10_000)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        if self.asked + 1 >= self.fails_at:
            raise ValueError("out of ideas")
        return super().quotes(view)


@attrs.define(eq=False)
class Picky(Stepper):
    """The same, taking over from nobody."""

    def restore(self, state: dict[str, Any]) -> None:
        self.asked = 10_000
        raise ValueError("what is this")


@attrs.define(eq=False)
class Even:
    """A rule that lets pass what has an even price in cents."""

    def check(self, request: Request, context: Context) -> str:
        return "" if request.price_e4 // 100 % 2 == 0 else "odd"


@attrs.define(eq=False)
class Counting:
    """A rule that refuses nothing, and hands on how often it was asked."""

    count: int = attrs.field(init=False, default=0)

    def check(self, request: Request, context: Context) -> str:
        self.count += 1
        return ""

    def dump(self) -> dict[str, Any]:
        return {"count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


VERSION = "1.0.0"
OURS = {
    ("maker", "stepper"): Stepper,
    ("maker", "failing"): Failing,
    ("maker", "picky"): Picky,
    ("risk_rule", "even"): Even,
    ("risk_rule", "counting"): Counting,
    ("risk_rule", "counting-2"): Counting,
}


def catalogue(version: str = VERSION, **changes: type) -> Catalogue:
    """The installed plugins, and one of these factories; `changes` replaces some of a version."""
    found = scan(Plugins())
    info = PluginInfo("ours", "polytrade-ours", version, version.encode().hex().ljust(12, "0"))
    offers = {key: changes.get(key[1], factory) for key, factory in OURS.items()}
    return attrs.evolve(
        found,
        plugins={**found.plugins, "ours": info},
        factories={
            **found.factories,
            **{key: Offer("ours", factory) for key, factory in offers.items()},
        },
    )


def swapped(
    ts_ns: int, generation: int, lineup: Lineup, config: Config, *sections: str
) -> LineupSwapped:
    """The event that puts the lineup in force, as the shell makes it."""
    whole = to_dict(config)
    return LineupSwapped(
        ts_ns,
        generation,
        orjson.dumps({name: whole[name] for name in sections}).decode(),
        orjson.dumps(dict(lineup.plugins)).decode(),
        "a test",
    )


def built(config: Config, code: Catalogue) -> Lineup:
    """A lineup of this code."""
    return build_lineup(config, code)


__all__ = [
    "BUILTIN",
    "Counting",
    "Even",
    "Failing",
    "Picky",
    "Stepper",
    "built",
    "catalogue",
    "swapped",
]
