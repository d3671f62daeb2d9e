"""One value of a setting: what it may be, and what is said when it is not.

Nothing is coerced: 55.9 is no int, true is no number, NaN and infinity are refused. The one
widening is an int where a float is wanted.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args, get_origin

import orjson

SHOWN_MAX: Final = 60
"""Characters of a bad value that an error message quotes: enough to recognise it by."""
INT_RANGE: Final = range(-(2**63), 2**63)
"""What JSON journals and TOML itself can carry."""
TABLES_MAX: Final = 256
"""Tables of settings, and settings of one: a plugin has a few dozen."""
KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
"""Names in a free table: what TOML takes without quotes."""


class RefusedValue(ValueError):
    """A value of the wrong kind or out of range.

    Each refusal is (place, message, what is allowed); the place is what follows the setting's own
    path: empty, or `[2]` in an array, or `.name.key` in a table.
    """

    def __init__(self, *refusals: tuple[str, str, str]) -> None:
        super().__init__(*refusals)
        self.refusals = refusals


def show(value: object) -> str:
    """A value as an operator would write it in TOML, shortened."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = orjson.dumps(value).decode()
    elif isinstance(value, (list, tuple)):
        nested = (list, tuple)  # not shown: a body may have a thousand levels
        told = ("[...]" if isinstance(entry, nested) else show(entry) for entry in value)
        text = "[" + ", ".join(told) + "]"
    elif isinstance(value, dict):
        text = "a table"
    else:
        text = str(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


def expectation(kind: type[Any], metadata: Mapping[str, Any]) -> str:
    """What a setting takes, in words: `int from 1 to 10000`, `one of queue, touch`."""
    if metadata.get("choices"):
        return "one of " + ", ".join(metadata["choices"])
    least, most = metadata.get("ge"), metadata.get("le")
    name = "string" if kind is str else "true or false" if kind is bool else kind.__name__
    if least is not None and most is not None:
        return f"{name} from {least:.10g} to {most:.10g}"
    if least is not None:
        return f"{name} of at least {least:.10g}"
    return f"{name} of at most {most:.10g}" if most is not None else name


def element_type(kind: Any) -> type[Any] | None:
    """The type of the entries when `kind` is `tuple[X, ...]`, else None."""
    if get_origin(kind) is not tuple:
        return None
    element: type[Any] = get_args(kind)[0]
    return element


def scalar(kind: type[Any], metadata: Mapping[str, Any], value: object, place: str = "") -> Any:
    """The value of a plain setting; RefusedValue when it is not what the setting takes."""
    allowed = expectation(kind, metadata)
    written = value
    if kind is float and type(value) is int:
        value = float(value)
    choices = metadata.get("choices") or ()
    least, most = metadata.get("ge"), metadata.get("le")
    good = type(value) is kind and (not choices or value in choices)
    if good and isinstance(value, (int, float)) and kind is not bool:
        good = math.isfinite(value)
        good = good and (least is None or value >= least) and (most is None or value <= most)
    if good and kind is int and value not in INT_RANGE:
        allowed, good = "a 64-bit int", False
    if not good:
        message = f"expected {allowed}, found {show(written)}"
        if choices and isinstance(value, str):
            message += did_you_mean(value, choices)
        raise RefusedValue((place, message, allowed))
    return value


def array(kind: type[Any], metadata: Mapping[str, Any], value: object) -> tuple[Any, ...]:
    """The entries of an array setting; RefusedValue names each bad one by its place."""
    allowed = f"array of {kind.__name__ if kind is not str else 'strings'}"
    if not isinstance(value, (list, tuple)):
        raise RefusedValue(("", f"expected {allowed}, found {show(value)}", allowed))
    entries: list[Any] = []
    refusals: list[tuple[str, str, str]] = []
    for index, entry in enumerate(value):
        try:
            entries.append(scalar(kind, metadata, entry, f"[{index}]"))
        except RefusedValue as refused:
            refusals.extend(refused.refusals)
    if refusals:
        raise RefusedValue(*refusals)
    return tuple(entries)


def free_tables(value: object) -> dict[str, dict[str, Any]]:
    """Tables of settings whose names only somebody else knows: each value plain, or an array.

    Arrays become tuples. RefusedValue for what TOML and JSON could not both carry.
    """
    if not isinstance(value, dict):
        raise RefusedValue(("", f"expected tables, found {show(value)}", "tables"))
    tables: dict[str, dict[str, Any]] = {}
    refusals: list[tuple[str, str, str]] = []
    for name, table in value.items():
        if not isinstance(table, dict):
            refusals.append((f".{name}", f"expected a table, found {show(table)}", "a table"))
            continue
        tables[name] = {}
        for key, entry in table.items():
            try:
                tables[name][key] = _free(entry)
            except RefusedValue as refused:
                refusals += [
                    (f".{name}.{key}{place}", message, allowed)
                    for place, message, allowed in refused.refusals
                ]
    for name, keys in [("", value), *((f".{name}", table) for name, table in tables.items())]:
        bad = [key for key in keys if not isinstance(key, str) or not KEY.fullmatch(key)]
        refusals += [(name, f"expected a plain name, found {show(key)}", "a name") for key in bad]
        if len(keys) > TABLES_MAX:
            refusals.append((name, f"expected at most {TABLES_MAX} names, found more", ""))
    if refusals:
        raise RefusedValue(*refusals)
    return tables


def _free(value: object) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_free_scalar(entry, f"[{index}]") for index, entry in enumerate(value))
    return _free_scalar(value, "")


def _free_scalar(value: object, place: str) -> Any:
    for kind in (bool, str, int, float):
        if type(value) is kind:
            return scalar(kind, {}, value, place)
    allowed = "string, number, true or false, or an array of them"
    raise RefusedValue((place, f"expected {allowed}, found {show(value)}", allowed))


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint when `name` looks like one of the known, else nothing."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
