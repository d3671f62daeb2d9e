"""The hooks: what a plugin may offer. Each declares factories; none runs on the tick path.

A plugin is a module with `polytrade_api = 1` and some of these functions, marked with `hookimpl`.
Its distribution names it in the entry-point group `polytrade`. Every hook

- takes nothing and returns a mapping from names to factories;
- is called once when the plugin is loaded, in the thread that loads it (at start the main thread,
  at a reload a worker), never while trading;
- makes its plugin unusable when it raises or returns anything else; other plugins stay usable.

A factory is an attrs class whose fields are its settings. Names are unique over all hooks and all
plugins. The objects that factories make are called directly.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import pluggy

PROJECT: Final = "polytrade"
"""The name of the markers and of the entry-point group."""
API: Final = 1
"""The number a plugin states as `polytrade_api`; it grows when something is removed."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Factory = Callable[..., Any]
"""An attrs class (in the built-ins also a function) that makes one object of its kind."""
Factories = Mapping[str, Factory]


class HookSpecs:
    """The hooks a plugin may implement."""

    @hookspec
    def polytrade_fair_values(self) -> Factories:
        """Fair-value models, selected by `strategy.fair_value`.

        Made objects are `FairValue`. Fields named as settings of `[strategy]` take these. Since
        API 1.
        """
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_makers(self) -> Factories:
        """Makers, selected by `strategy.maker`.

        Made objects are `Maker`. Fields named as settings of `[strategy]` take these. Since API 1.
        """
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_takers(self) -> Factories:
        """Takers, selected by `strategy.taker`.

        Made objects are `Taker`. Fields named as settings of `[taker]` take these. Since API 1.
        """
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_allocators(self) -> Factories:
        """Allocators, selected by `strategy.allocator`.

        Made objects are `Allocator`. Fields named as settings of `[allocator]` take these. Since
        API 1.
        """
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_feeds(self) -> Factories:
        """Codecs of reference feeds, all of `plugins.feeds` run at once.

        Made objects are `FeedCodec`. A field `coins` takes `universe.coins`. Since API 1.
        """
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_risk_rules(self) -> Factories:
        """Vetoes after the built-in limits, asked in the order of `plugins.risk_rules`.

        Made objects are `RiskRule`. Since API 1.
        """
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_notifiers(self) -> Factories:
        """Ways to tell people, all of `plugins.notifiers` at once.

        Made objects are `Notifier`. Since API 1.
        """
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_importers(self) -> Factories:
        """Layouts of foreign captures; those of every plugin are tried.

        Made objects are `Importer`. Since API 1.
        """
        raise AssertionError("a hook specification is never called")


@attrs.frozen
class Kind:
    """What one hook's objects are: their hook, the section that fills fields of the same name,
    the setting that selects them, and the methods and attributes without which they cannot play.

    `many` is true where the setting is a list; kinds without `selected_by` are all active.
    """

    name: str
    hook: str
    section: str = ""
    selected_by: str = ""
    many: bool = False
    methods: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()

    def chosen(self, config: Any) -> tuple[str, ...]:
        """The names that a `Config` selects of this kind; none where none is selected by name."""
        if not self.selected_by:
            return ()
        section, _, setting = self.selected_by.partition(".")
        value: Any = getattr(getattr(config, section), setting)
        return tuple(value) if self.many else (value,)


FAIR_VALUE: Final = "fair_value"
MAKER: Final = "maker"
TAKER: Final = "taker"
ALLOCATOR: Final = "allocator"
FEED: Final = "feed"
RISK_RULE: Final = "risk_rule"
NOTIFIER: Final = "notifier"
IMPORTER: Final = "importer"

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            FAIR_VALUE,
            "polytrade_fair_values",
            "strategy",
            "strategy.fair_value",
            methods=("estimate", "forget", "on_reference"),
        ),
        Kind(MAKER, "polytrade_makers", "strategy", "strategy.maker", methods=("quotes",)),
        Kind(TAKER, "polytrade_takers", "taker", "strategy.taker", methods=("takes",)),
        Kind(
            ALLOCATOR,
            "polytrade_allocators",
            "allocator",
            "strategy.allocator",
            methods=("share",),
        ),
        Kind(
            FEED,
            "polytrade_feeds",
            "universe",
            "plugins.feeds",
            many=True,
            methods=("decode", "hello", "ping", "reset"),
            attributes=(
                *("name", "default_url", "ping_interval_s", "max_age_s"),
                *("counts", "unknown", "reconnect_wanted"),
            ),
        ),
        Kind(
            RISK_RULE,
            "polytrade_risk_rules",
            "",
            "plugins.risk_rules",
            many=True,
            methods=("check",),
        ),
        Kind(
            NOTIFIER,
            "polytrade_notifiers",
            "",
            "plugins.notifiers",
            many=True,
            methods=("notify",),
            attributes=("kinds",),
        ),
        Kind(
            IMPORTER,
            "polytrade_importers",
            methods=("fits", "read"),
            attributes=("looks", "times", "sources"),
        ),
    )
}
"""Every kind by its name, in the order of the hooks."""
SHARED_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {"universe": ("coins",)}
"""Of these sections only the fields named are handed on; of the others all are."""
