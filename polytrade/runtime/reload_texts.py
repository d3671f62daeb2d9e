"""What is told of a reload: texts that every file can hold, without secrets, and bounded."""

from collections.abc import Iterator
from typing import Any, Final

import attrs

from polytrade import strict
from polytrade.config import Config
from polytrade.config_values import INT_RANGE
from polytrade.core.judging import holdable
from polytrade.runtime.logs import REDACTOR

TEXT_MAX: Final = 2_000
"""Characters of one text in a record: far more than any message of ours."""
ENTRIES_MAX: Final = 256
"""Entries of one array or table in a record."""
CHANGES_MAX: Final = 64
"""Settings whose change is recorded one by one; the others are counted."""
SETTINGS: Final = "plugins.settings"


def told_text(text: str) -> str:
    """The text without secrets, as JSON can carry it."""
    return holdable(REDACTOR.text(text))


def told_value(key: str, value: object, most: int | None = None) -> Any:
    """The value under `key` without secrets, as JSON can carry it.

    With `most`, texts end after that many characters and arrays and tables after `ENTRIES_MAX`.
    """
    return _held(REDACTOR.value(key, value), most)


def _held(value: object, most: int | None) -> Any:
    entries = None if most is None else ENTRIES_MAX
    if isinstance(value, str):
        return holdable(value)[:most]
    if isinstance(value, dict):
        kept = list(value.items())[:entries]
        return {holdable(str(name))[:most]: _held(it, most) for name, it in kept}
    if isinstance(value, list):
        return [_held(it, most) for it in value[:entries]]
    if isinstance(value, int) and value not in INT_RANGE:
        return str(value)[:most]
    return value


def changed_settings(before: Config, after: Config) -> dict[str, Any]:
    """What differs, as `{"strategy.ttl_ms": [400, 500]}`; None for what is not set.

    Values are without secrets and bounded. Beyond `CHANGES_MAX` settings `...` counts the others.
    """
    told: dict[str, Any] = {}
    left = 0
    for path, old, new in _differences(before, after):
        if len(told) == CHANGES_MAX:
            left += 1
            continue
        name = path.rpartition(".")[2]
        told[path] = [told_value(name, old, TEXT_MAX), told_value(name, new, TEXT_MAX)]
    return {**told, "...": left} if left else told


def _differences(before: Config, after: Config) -> Iterator[tuple[str, object, object]]:
    for section in strict.SECTIONS:
        old, new = getattr(before, section), getattr(after, section)
        if old == new:
            continue
        for field in attrs.fields(type(old)):
            path = f"{section}.{field.name}"
            was, now = getattr(old, field.name), getattr(new, field.name)
            if path == SETTINGS:
                yield from _tables(was, now)
            elif was != now:
                yield path, was, now


def _tables(before: Any, after: Any) -> Iterator[tuple[str, object, object]]:
    """The tables of `plugins.settings`, setting by setting; an empty one counts as none."""
    for name in {**before, **after}:
        old, new = before.get(name, {}), after.get(name, {})
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                yield f"{SETTINGS}.{name}.{key}", old.get(key), new.get(key)
