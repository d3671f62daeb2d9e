"""Fields of built-in plugins that are settings of a section: their documentation and range."""

from typing import Any

import attrs


def of(section: type[Any], name: str, default: Any = attrs.NOTHING) -> Any:
    """A field as the section's setting `name` is documented and bounded."""
    field: attrs.Attribute[Any] = getattr(attrs.fields(section), name)
    return attrs.field(default=default, metadata=field.metadata)
