"""Bodies of reload requests: classes made from the table of endpoints and the configuration.

Types, ranges and choices are those of the settings; every field may be left out.
"""

from typing import Any, Final

import attrs

from polytrade.config_values import RefusedValue, free_tables
from polytrade.control.errors import Fault, FaultError
from polytrade.control.schema import parse_body, parse_object, structured
from polytrade.runtime.reload_requests import (
    ENDPOINTS,
    PLUGINS,
    ROLLBACK,
    Endpoint,
    ReloadRequest,
)


def _optional(kind: Any, metadata: Any) -> Any:
    """A field that is None when it is left out; null itself is refused."""
    return attrs.field(default=None, type=kind, metadata=metadata)


def _plain(doc: str) -> dict[str, Any]:
    return {"doc": doc, "unit": "", "ge": None, "le": None, "choices": ()}


def _body_class(name: str, endpoint: Endpoint) -> type[Any]:
    fields: dict[str, Any] = {}
    for field, it in endpoint.fields.items():
        declared = it.declared
        fields[field] = _optional(declared.type, declared.metadata)
    if endpoint.kinds:
        fields["plugin"] = _optional(str, _plain("switch to this implementation"))
    if endpoint.kinds or name == PLUGINS:
        fields["code"] = _optional(bool, _plain("load the code anew"))
        fields["settings"] = _optional(dict, {**_plain("the plugin's own settings"), "free": True})
    fields["expected_generation"] = _generation()
    made: type[Any] = attrs.make_class(f"Reload_{name}", fields, frozen=True, kw_only=True)
    return made


def _generation() -> Any:
    return _optional(int, {**_plain("refuse unless this one is in force"), "ge": 1})


RollbackBody: Final[type[Any]] = attrs.make_class(
    "RollbackBody", {"expected_generation": _generation()}, frozen=True, kw_only=True
)
"""The body of `POST /plugins/rollback`."""
BODIES: Final = {name: _body_class(name, endpoint) for name, endpoint in ENDPOINTS.items()}
"""The class of each endpoint's body."""


def parse_reload(name: str, raw: bytes, who: str) -> ReloadRequest:
    """The request in a body; FaultError names the field that is wrong."""
    endpoint = ENDPOINTS[name]
    value = parse_object(raw)
    settings: dict[str, Any] = {}
    if "settings" in {field.name for field in attrs.fields(BODIES[name])}:
        settings = _settings(value.pop("settings", {}), tables=name == PLUGINS)
    body = structured(BODIES[name], value)
    given = {
        field.name: held
        for field in attrs.fields(type(body))
        if (held := getattr(body, field.name)) is not None
    }
    return ReloadRequest(
        name=name,
        who=who,
        patch={field: held for field, held in given.items() if field in endpoint.fields},
        plugin=given.get("plugin", ""),
        code=given.get("code", False),
        settings=settings,
        expected_generation=given.get("expected_generation"),
    )


def _settings(value: object, *, tables: bool) -> dict[str, Any]:
    """Settings of a plugin's own, or a table of them a name; what they take it says itself.

    None where a setting, or a table, is to be taken back.
    """
    try:
        if tables:
            return _with_nulls(value, {})
        own: dict[str, Any] = _with_nulls({"settings": value}, None)["settings"]
        return own
    except RefusedValue as refused:
        place, message, allowed = refused.refusals[0]
        field = f"settings{place}" if tables else place.removeprefix(".") or "settings"
        raise FaultError(
            Fault(status=400, code="invalid_value", message=message, field=field, allowed=allowed)
        ) from None


def _with_nulls(value: object, for_null: object) -> dict[str, Any]:
    """`free_tables`, where a setting may be null, and a table where it is checked as `for_null`."""
    if not isinstance(value, dict):
        return dict(free_tables(value))
    checked = free_tables(
        {
            name: {key: True if it is None else it for key, it in table.items()}
            if isinstance(table, dict)
            else (for_null if table is None else table)
            for name, table in value.items()
        }
    )
    return {
        name: None
        if value[name] is None
        else {key: None if value[name][key] is None else it for key, it in table.items()}
        for name, table in checked.items()
    }


def parse_rollback(raw: bytes, who: str) -> ReloadRequest:
    """The request of `POST /plugins/rollback`."""
    body = parse_body(RollbackBody, raw)
    return ReloadRequest(name=ROLLBACK, who=who, expected_generation=body.expected_generation)
