"""A field of the configuration with what the documentation and the strict loader need of it."""

from typing import Any, TypeVar

import attrs

T = TypeVar("T")


def setting(
    default: T,
    doc: str,
    *,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    choices: tuple[str, ...] = (),
) -> T:
    """An attrs field with its documentation and range; the strict loader enforces both ends."""
    metadata: dict[str, Any] = {"doc": doc, "unit": unit, "ge": ge, "le": le, "choices": choices}
    if isinstance(default, (list, dict)):
        raise TypeError("settings are immutable: use a tuple")
    field: T = attrs.field(default=default, metadata=metadata)
    return field
