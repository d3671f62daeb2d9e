"""The feed `deribit` for polytrade: README.md has what it says, and its settings."""

from collections.abc import Callable, Mapping
from typing import Final

from polytrade.api import FeedCodec, hookimpl
from polytrade_deribit.codec import Deribit

__all__ = ["Deribit", "polytrade_api", "polytrade_feeds"]

polytrade_api: Final = 1


@hookimpl
def polytrade_feeds() -> Mapping[str, Callable[..., FeedCodec]]:
    """The feed `deribit`."""
    return {"deribit": Deribit}
