"""The `momentum` taker for polytrade: README.md has the model, the settings, what was measured."""

from collections.abc import Callable, Mapping
from typing import Final

from polytrade.api import Taker, hookimpl
from polytrade_momentum_taker.taker import MomentumTaker

__all__ = ["MomentumTaker", "polytrade_api", "polytrade_takers"]

polytrade_api: Final = 1


@hookimpl
def polytrade_takers() -> Mapping[str, Callable[..., Taker]]:
    """The taker `momentum`."""
    return {"momentum": MomentumTaker}
