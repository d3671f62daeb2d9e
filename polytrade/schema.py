"""The settings of a factory: the fields of its attrs class, and where their values come from.

A value is that of `[plugins.settings.<name>]`, else for a field named like a setting of its kind's
section that of the section, else the field's default.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import attrs

from polytrade.config import Config
from polytrade.config_values import (
    RefusedValue,
    array,
    did_you_mean,
    element_type,
    expectation,
    scalar,
)
from polytrade.errors import ConfigError, Problem
from polytrade.hookspecs import SHARED_FIELDS, Factory, Kind

SCALARS: Final = (bool, int, float, str)
FACTORY: Final[Any] = attrs.Factory


@attrs.frozen
class Field:
    """A setting of a factory: `name` as it is written, `kind` a plain type or `tuple[X, ...]`.

    `default` is as attrs has it: NOTHING, a value, or a factory of values.
    """

    name: str
    kind: Any
    default: Any
    metadata: Mapping[str, Any]
    converted: bool = False

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is attrs.NOTHING

    def made(self) -> Any:
        """The default as a configuration would say it; NOTHING when it needs the object."""
        if not isinstance(self.default, FACTORY):
            return self.default
        return attrs.NOTHING if self.default.takes_self else self.default.factory()

    @property
    def takes(self) -> str:
        """What it takes, in words."""
        element = element_type(self.kind)
        words = expectation(element or self.kind, self.metadata)
        return f"array of {words}" if element else words

    def read(self, value: object) -> Any:
        """The value as the factory gets it; RefusedValue when it does not take it."""
        element = element_type(self.kind)
        if element is not None:
            return array(element, self.metadata, value)
        return scalar(self.kind, self.metadata, value)


def fields_of(factory: Factory) -> tuple[Field, ...]:
    """The settings of an attrs class, in its order.

    TypeError when it is none, or a field is of a type that no configuration has.
    """
    if not isinstance(factory, type) or not attrs.has(factory):
        raise TypeError(f"expected an attrs class, found {factory!r:.80}")
    attrs.resolve_types(factory)
    fields = []
    for field in attrs.fields(factory):
        if not field.init:
            continue
        kind: Any = field.type
        if (element_type(kind) or kind) not in SCALARS:
            shown = getattr(kind, "__name__", kind)
            raise TypeError(
                f"field {field.name!r} is of type {shown}: expected bool, int, float, str or a "
                "tuple of one of these"
            )
        name = field.alias or field.name
        converted = field.converter is not None
        fields.append(Field(name, kind, field.default, field.metadata, converted))
    return tuple(fields)


def check_defaults(factory: Factory) -> None:
    """TypeError for a default that its own field would not take from a configuration.

    Defaults that are made from the object, and those that a converter changes, are not looked at.
    """
    for field in fields_of(factory):
        default = attrs.NOTHING if field.converted else field.made()
        if default is attrs.NOTHING:
            continue
        try:
            field.read(default)
        except RefusedValue as refused:
            place, message, _ = refused.refusals[0]
            raise TypeError(f"default of {field.name}{place}: {message}") from refused


def values_of(factory: Factory, kind: Kind, name: str, config: Config) -> dict[str, Any]:
    """What the factory named `name` is called with under this configuration.

    ConfigError with every problem and its path.
    """
    fields = fields_of(factory)
    known = [field.name for field in fields]
    given: Mapping[str, Any] = config.plugins.settings.get(name, {})
    home = f"plugins.settings.{name}"
    problems = [
        Problem(f"unknown setting{did_you_mean(key, known)}", f"{home}.{key}", ", ".join(known))
        for key in given
        if key not in known
    ]
    section = section_values(kind, config)
    values: dict[str, Any] = {}
    for field in fields:
        path = f"{home}.{field.name}"
        if field.name in given:
            value = given[field.name]
        elif field.name in section:
            value, path = section[field.name], f"{kind.section}.{field.name}"
        elif field.required:
            problems.append(Problem(f"expected {field.takes}, found nothing", path, field.takes))
            continue
        else:
            continue
        try:
            values[field.name] = field.read(value)
        except RefusedValue as refused:
            problems += [
                Problem(message, path + place, allowed)
                for place, message, allowed in refused.refusals
            ]
    if problems:
        raise ConfigError(*problems)
    return values


def section_values(kind: Kind, config: Config) -> dict[str, Any]:
    """The settings that a kind's section hands to fields of the same name."""
    if not kind.section:
        return {}
    section = cast(attrs.AttrsInstance, getattr(config, kind.section))
    names = SHARED_FIELDS.get(kind.section)
    return {
        field.name: getattr(section, field.name)
        for field in attrs.fields(type(section))
        if names is None or field.name in names
    }
