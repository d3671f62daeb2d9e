"""Deribit's JSON-RPC: what is asked, and reading the fields of what comes.

The readers raise ValueError with `expected <what>, found <value> @ <field>`.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

MILLIS_MAX: Final = 10**14
"""The year 5138; microseconds taken for milliseconds lie above it."""
NUMBER_MAX: Final = 1e12
"""Beyond every price and volatility; infinity lies above it."""
SHOWN_MAX: Final = 120
"""Characters of the venue's text repeated in an error."""


def request(number: int, method: str, **params: object) -> str:
    """A request frame."""
    frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return orjson.dumps(frame).decode()


def channels_of(index: str) -> tuple[str, ...]:
    """The channels followed for an index such as `btc_usd`."""
    return (
        f"deribit_price_index.{index}",
        f"markprice.options.{index}",
        f"deribit_volatility_index.{index}",
    )


def missing(wanted: Sequence[str], result: object) -> list[str]:
    """The channels that an answer to `public/subscribe` does not confirm."""
    if not isinstance(result, list):
        raise ValueError(f"expected a list of channels, found {shown(result)} @ result")
    return [channel for channel in wanted if channel not in result]


def shown(value: object) -> str:
    """A value as an error repeats it."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    return repr(value)[:SHOWN_MAX]


def object_of(value: object, name: str) -> dict[str, Any]:
    """`value` when it is a JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {shown(value)} @ {name}")
    return value


def list_of(value: object, name: str) -> list[Any]:
    """`value` when it is a JSON array."""
    if not isinstance(value, list):
        raise ValueError(f"expected an array, found {shown(value)} @ {name}")
    return value


def text_of(value: object, name: str) -> str:
    """`value` when it is a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, found {shown(value)} @ {name}")
    return value


def positive_of(value: object, name: str) -> float:
    """A number above 0, whole or not, that is not absurd."""
    if isinstance(value, int | float) and type(value) is not bool and 0 < value < NUMBER_MAX:
        return float(value)
    raise ValueError(f"expected a number above 0, found {shown(value)} @ {name}")


def millis_of(value: object, name: str) -> int:
    """A time in Unix milliseconds."""
    if type(value) is not int or not 0 < value < MILLIS_MAX:
        raise ValueError(f"expected Unix milliseconds, found {shown(value)} @ {name}")
    return value
