"""The `multi_kelly` allocator for polytrade: README.md has the model and its settings."""

from collections.abc import Callable, Mapping
from typing import Final

from polytrade.api import Allocator, hookimpl
from polytrade_kelly.allocator import MultiKelly

__all__ = ["MultiKelly", "polytrade_allocators", "polytrade_api"]

polytrade_api: Final = 1


@hookimpl
def polytrade_allocators() -> Mapping[str, Callable[..., Allocator]]:
    """The allocator `multi_kelly`."""
    return {"multi_kelly": MultiKelly}
