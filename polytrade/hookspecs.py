"""The hooks: plugins declare factories here, and the objects they make are called directly.

A hook is called once, when a lineup is built, in the thread that builds it; one that raises makes
the build fail and names the plugin. Hooks never run on the tick path.
"""

from collections.abc import Callable, Mapping

import pluggy

from polytrade import config
from polytrade.config import Strategy
from polytrade.core.roles import Allocator, FairValue, Maker, Taker

PROJECT = "polytrade"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

FairValueFactory = Callable[[Strategy], FairValue]
MakerFactory = Callable[[Strategy], Maker]
TakerFactory = Callable[[config.Taker], Taker]
AllocatorFactory = Callable[[config.Allocator], Allocator]


class HookSpecs:
    """The hooks a plugin may implement. Since 0.1."""

    @hookspec
    def polytrade_fair_values(self) -> Mapping[str, FairValueFactory]:
        """Fair-value models by the name that `strategy.fair_value` selects them with."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_makers(self) -> Mapping[str, MakerFactory]:
        """Makers by the name that `strategy.maker` selects them with."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_takers(self) -> Mapping[str, TakerFactory]:
        """Takers by the name that `strategy.taker` selects them with; made from `[taker]`."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def polytrade_allocators(self) -> Mapping[str, AllocatorFactory]:
        """Allocators by the name that `strategy.allocator` selects them with; made from
        `[allocator]`.
        """
        raise AssertionError("a hook specification is never called")
