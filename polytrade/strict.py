"""From TOML to `Config` and back, without a guess: every problem is told, and where it is.

Nothing is coerced: 55.9 is no int, true is no number, NaN and infinity are refused, an unknown key
is an error. The one widening is an int where a float is wanted. Environment variables are no
configuration: they only carry secrets, which never enter a `Config`.
"""

import hashlib
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import cattrs
import orjson
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from polytrade.config import Config
from polytrade.config_checks import CHECKS
from polytrade.config_values import (
    RefusedValue,
    array,
    did_you_mean,
    element_type,
    expectation,
    free_tables,
    scalar,
    show,
)
from polytrade.errors import ConfigError, Problem

__all__ = [
    "SECTIONS",
    "config_digest",
    "element_type",
    "expectation",
    "load",
    "patch_section",
    "project_root",
    "show",
    "structure",
    "structure_section",
    "to_dict",
    "to_toml",
    "toml_value",
]

T = TypeVar("T")

FILES_MAX = 64
"""Files of one configuration directory: six times the sections there are."""
FILE_BYTES_MAX = 1 << 20
"""Bytes of one file: a thousand times the largest we ship."""
OVERRIDE_ORIGIN = "--set"

SECTIONS: dict[str, type[Any]] = {
    field.name: cast(type[Any], field.type) for field in attrs.fields(Config)
}
"""The class of each section, in the order of `Config`."""


def _field_hook(field: "attrs.Attribute[Any]") -> Callable[[Any, Any], Any]:
    kind, metadata = cast(type[Any], field.type), field.metadata
    if attrs.has(kind):
        return lambda value, _: _structure_class(kind, value)
    if metadata.get("free"):
        return lambda value, _: free_tables(value)
    element = element_type(kind)
    if element is not None:
        return lambda value, _: array(element, metadata, value)
    return lambda value, _: scalar(kind, metadata, value)


@cache
def _converter(kind: type[Any]) -> Callable[[Mapping[str, Any], Any], Any]:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    hooks: dict[str, Any] = {
        field.name: override(struct_hook=_field_hook(field)) for field in attrs.fields(kind)
    }
    return make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **hooks)


def _structure_class(kind: type[T], value: object) -> T:
    if not isinstance(value, dict):
        raise RefusedValue(("", f"expected a table, found {show(value)}", "a table"))
    structured: T = _converter(cast(Any, kind))(value, kind)
    return structured


def _problems(error: BaseException, path: str) -> Iterator[tuple[str, str, str]]:
    """(path, message, allowed) of everything in a cattrs error, in the order of the fields."""
    if isinstance(error, ClassValidationError):
        noted, others = error.group_exceptions()
        for inner, note in noted:
            yield from _problems(inner, f"{path}.{note.name}" if path else note.name)
        for inner in others:
            yield from _problems(inner, path)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        for name in sorted(error.extra_fields):
            where = f"{path}.{name}" if path else name
            yield where, f"unknown setting{did_you_mean(name, known)}", ", ".join(known)
    elif isinstance(error, RefusedValue):
        for place, message, allowed in error.refusals:
            yield path + place, message, allowed
    else:
        raise error


def structure_section(
    kind: type[T],
    raw: object,
    path: str,
    origin: Callable[[str], str] = lambda path: "",
) -> T:
    """One section from plain data, checked whole; ConfigError with every problem otherwise.

    `path` is the section's name in messages and picks its check from `config_checks.CHECKS`.
    """
    try:
        section = _structure_class(kind, raw)
    except (ClassValidationError, RefusedValue) as error:
        found = [
            Problem(message, where, allowed, origin(where))
            for where, message, allowed in _problems(error, path)
        ]
        raise ConfigError(*found) from None
    check = CHECKS.get(path)
    failed = list(check(section)) if check is not None else []
    if failed:
        raise ConfigError(*(attrs.evolve(item, origin=origin(item.path)) for item in failed))
    return section


def patch_section(current: T, changes: Mapping[str, object], path: str) -> T:
    """A new section with `changes` applied, all or none; ConfigError leaves `current` in force."""
    merged = {**_plain(current), **changes}
    return structure_section(type(current), merged, path)


def structure(raw: Mapping[str, object], origin: Callable[[str], str] = lambda path: "") -> Config:
    """The whole configuration from plain data; ConfigError lists the problems of every section."""
    problems: list[Problem] = []
    sections: dict[str, object] = {}
    for name in raw:
        if name not in SECTIONS:
            message = f"unknown section{did_you_mean(name, list(SECTIONS))}"
            problems.append(Problem(message, name, ", ".join(SECTIONS), origin(name)))
    for name, kind in SECTIONS.items():
        try:
            sections[name] = structure_section(kind, raw.get(name, {}), name, origin)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(*problems)
    return Config(**sections)  # type: ignore[arg-type]


def load(directory: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a directory: all its `*.toml`, then `section.key=value` overrides.

    Each file holds `[section]` tables; a section in two files is an error. An override's value is
    TOML (`5`, `true`, `["btc"]`) or, when it is not, a bare string. ConfigError has every problem
    of every file.
    """
    raw, origins, problems = _read_directory(directory)
    for text in overrides:
        problems.extend(_override(raw, origins, text))

    def origin(path: str) -> str:
        parts = path.partition("[")[0].split(".")
        for length in range(len(parts), 0, -1):
            known = origins.get(".".join(parts[:length]))
            if known is not None:
                return known
        return ""

    try:
        config = structure(raw, origin)
    except ConfigError as error:
        raise ConfigError(*problems, *error.problems) from None
    if problems:
        raise ConfigError(*problems)
    return config


def project_root(directory: Path) -> Path:
    """Where relative paths of a configuration begin: the nearest folder above with a project.

    That is the nearest one, `directory` included, that holds a `pyproject.toml`; without one the
    current folder.
    """
    directory = directory.resolve()
    for folder in (directory, *directory.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
    return Path.cwd()


def _read_directory(
    directory: Path,
) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    if not directory.is_dir():
        found = "a file" if directory.exists() else "nothing"
        raise ConfigError(f"expected a directory with TOML files, found {found} at {directory}")
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise ConfigError(f"expected TOML files, found none in {directory}")
    if len(files) > FILES_MAX:
        raise ConfigError(f"expected at most {FILES_MAX} files, found {len(files)} in {directory}")
    raw: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            tables = _read_file(file)
        except (OSError, ValueError) as error:
            problems.append(Problem(str(error), origin=str(file)))
            continue
        for name, table in tables.items():
            if name in raw:
                message = f"section in two files: {origins[name]} and {file}"
                problems.append(Problem(message, name))
            elif not isinstance(table, dict):
                message = f"expected a [section] table, found {show(table)}"
                problems.append(Problem(message, name, "a table", str(file)))
            else:
                raw[name] = table
                origins[name] = str(file)
    return raw, origins, problems


def _read_file(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        data = stream.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ValueError(f"expected at most {FILE_BYTES_MAX} bytes, found more")
    return tomllib.loads(data.decode())


def _override(raw: dict[str, Any], origins: dict[str, str], text: str) -> Iterator[Problem]:
    """Put one `section.key=value` into `raw`; yields what is wrong with its form."""
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or len(keys) < 2 or not all(keys):
        yield Problem(f"expected section.key=value, found {show(text)}", origin=OVERRIDE_ORIGIN)
        return
    table = raw
    for depth, key in enumerate(keys[:-1], start=1):
        if key not in table:
            origins[".".join(keys[:depth])] = OVERRIDE_ORIGIN
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            allowed = f"a setting of [{keys[0]}]"
            yield Problem(f"expected {allowed}", path.strip(), allowed, OVERRIDE_ORIGIN)
            return
    table[keys[-1]] = _override_value(value.strip())
    origins[".".join(keys)] = OVERRIDE_ORIGIN


def _override_value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if list(parsed) == ["value"] else text


def _plain(section: object) -> dict[str, Any]:
    return attrs.asdict(
        cast(attrs.AttrsInstance, section),
        value_serializer=lambda owner, field, value: (
            list(value) if isinstance(value, tuple) else value
        ),
    )


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The effective configuration as plain data, every section and setting; JSON-ready."""
    return {name: _plain(getattr(config, name)) for name in SECTIONS}


def config_digest(config: Config) -> str:
    """sha256 (hex) over the effective configuration's sorted compact JSON."""
    return hashlib.sha256(orjson.dumps(to_dict(config), option=orjson.OPT_SORT_KEYS)).hexdigest()


def to_toml(config: Config) -> str:
    """The effective configuration as one TOML document that `load` takes back unchanged."""
    lines: list[str] = []
    for name, section in to_dict(config).items():
        lines += _toml_table(name, section)
    return "\n".join(lines) + "\n"


def _toml_table(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{name}]"
    for key, value in table.items():
        if not isinstance(value, dict):
            yield f"{key} = {toml_value(value)}"
    yield ""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _toml_table(f"{name}.{key}", value)


def toml_value(value: object) -> str:
    """A setting's value as TOML writes it."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(entry) for entry in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return orjson.dumps(value).decode().replace("\x7f", "\\u007f")
    return repr(value)
