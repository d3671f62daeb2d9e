"""Bodies of commands: strict, whole or not at all.

A body that is not one JSON object, has an unknown field, a wrong type or a value out of range is a
`FaultError` with status 400, raised before anything is commanded. The rules are those of the
configuration files (`strict.py`), because the classes are of the same kind.
"""

import json
from typing import Any, Final, TypeVar

import attrs
import orjson

from polytrade.config import setting
from polytrade.config_values import show
from polytrade.control.errors import Fault, FaultError
from polytrade.errors import ConfigError
from polytrade.strict import structure_section

T = TypeVar("T")

NAME_MAX: Final = 64
"""Characters of a wrong field's name that are told back."""


@attrs.frozen(kw_only=True)
class EmptyBody:
    """The body of a command without fields: nothing, or `{}`."""


@attrs.frozen(kw_only=True)
class ResumeBody:
    """The body of `POST /control/resume`."""

    clear_halt: bool = setting(False, "leave a halt as well")


def parse_body(kind: type[T], raw: bytes) -> T:
    """The body as `kind`; no body at all is the empty object. FaultError otherwise."""
    return structured(kind, parse_object(raw))


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in a body; no body at all is the empty one. FaultError otherwise."""
    if not raw.strip():
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise FaultError(
            Fault(
                status=400,
                code="invalid_json",
                message=f"expected a JSON object, found text that is no JSON: {error}",
                allowed="a JSON object; NaN and infinity are no JSON",
            )
        ) from None
    if not isinstance(value, dict):
        raise FaultError(
            Fault(
                status=400,
                code="invalid_body",
                message=f"expected a JSON object, found {type(value).__name__}",
                allowed="a JSON object",
            )
        )
    _refuse_twice(raw)
    return value


def _refuse_twice(raw: bytes) -> None:
    """FaultError for a name that an object has twice: which one was meant cannot be known."""

    def once(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                message = f"{show(name)} is there twice"
                raise FaultError(
                    Fault(
                        status=400,
                        code="duplicate_field",
                        message=message,
                        field=name[:NAME_MAX],
                        allowed="each name once",
                    )
                )
            seen.add(name)

    try:
        json.loads(raw, object_pairs_hook=once, parse_int=str, parse_float=str)
    except RecursionError:
        raise FaultError(
            Fault(status=400, code="invalid_json", message="expected fewer levels of nesting")
        ) from None


def structured(kind: type[T], value: dict[str, Any]) -> T:
    """The object as `kind`, an attrs class of settings; FaultError names the field otherwise."""
    try:
        return structure_section(kind, value, "")
    except ConfigError as error:
        problem = error.problems[0]
        unknown = problem.message.startswith("unknown")
        fields = attrs.fields(kind)  # type: ignore[arg-type]
        known = ", ".join(field.name for field in fields) or "no fields"
        raise FaultError(
            Fault(
                status=400,
                code="unknown_field" if unknown else "invalid_value",
                message=str(error).replace("\n", "; "),
                field=problem.path,
                allowed=known if unknown else problem.allowed,
            )
        ) from None
