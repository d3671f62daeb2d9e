"""The `glft` maker for polytrade: README.md has the model, the settings and what was measured."""

from collections.abc import Callable, Mapping
from typing import Final

from polytrade.api import Maker, hookimpl
from polytrade_glft.maker import GlftMaker

__all__ = ["GlftMaker", "polytrade_api", "polytrade_makers"]

polytrade_api: Final = 1


@hookimpl
def polytrade_makers() -> Mapping[str, Callable[..., Maker]]:
    """The maker `glft`."""
    return {"glft": GlftMaker}
