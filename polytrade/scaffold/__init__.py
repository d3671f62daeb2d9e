"""New plugin projects: what `polytrade new-plugin` writes.

Each kind has a module and its tests as templates in `templates/`; the rest of a project is the same
for all. What is written installs, passes its tests and can be reloaded as it is.
"""

import re
from importlib import resources
from pathlib import Path
from typing import Any, Final

import attrs

from polytrade import builtin
from polytrade.errors import ConfigError, Problem
from polytrade.hookspecs import KINDS

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
NAME_MAX: Final = 40
PREFIX: Final = "polytrade-"
"""Of the distribution; a name given with it is taken without."""
POLYTRADE: Final = "polytrade>=0.1,<1"
"""What a plugin needs of polytrade: nothing leaves the API before the next major version."""
STRATEGY: Final = "strategy"
"""What people call a maker."""
_CURL: Final = "curl -s -X POST http://127.0.0.1:8080/control/reload_{} -d '{}' \\\n  {}"
_HEADER: Final = "-H 'Content-Type: application/json'"


@attrs.frozen
class Shape:
    """What is particular of a kind: its words, its place in the configuration, its reload."""

    kind: str
    title: str
    summary: str
    endpoint: str
    dependencies: tuple[str, ...] = ("attrs>=24.2", POLYTRADE)


SHAPES: Final = {
    "maker": Shape(
        "maker", "Maker", "quotes around a smoothed fair value, shifted by the position", "strategy"
    ),
    "taker": Shape("taker", "Taker", "buys what is offered below its worth", "taker"),
    "allocator": Shape("allocator", "Allocator", "sizes by confidence and drawdown", "allocator"),
    "fair-value": Shape(
        "fair_value", "Fair-value model", "a lognormal price at one volatility", "strategy"
    ),
    "feed": Shape("feed", "Feed", "reference prices of a venue with a WebSocket", "plugins"),
    "risk-rule": Shape("risk_rule", "Risk rule", "refuses purchases that are too dear", "plugins"),
    "notifier": Shape(
        "notifier",
        "Notifier",
        "writes notices to a file",
        "plugins",
        ("attrs>=24.2", POLYTRADE, "trio>=0.31"),
    ),
}
"""What can be made, by the name of `--kind`."""
CHOICES: Final = (STRATEGY, *SHAPES)


@attrs.frozen
class Project:
    """A project to be written: `plugin` is the name in the configuration and the entry point."""

    plugin: str
    kind: str

    @property
    def distribution(self) -> str:
        """What pip calls it."""
        return PREFIX + self.plugin

    @property
    def module(self) -> str:
        """What Python calls it."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The class of its objects."""
        return "".join(part.capitalize() for part in self.plugin.split("-"))

    def files(self) -> dict[str, str]:
        """Every file's text by its path in the project."""
        texts = {
            "pyproject.toml": "pyproject.toml",
            "README.md": "README.md",
            ".gitignore": "gitignore",
            f"{self.module}/__init__.py": f"{self.kind}.py",
            f"tests/test_{self.module.removeprefix('polytrade_')}.py": f"{self.kind}_test.py",
        }
        written = {path: self._filled(name) for path, name in texts.items()}
        return {**written, f"{self.module}/py.typed": ""}

    def _filled(self, template: str) -> str:
        text = resources.files(__name__).joinpath("templates", f"{template}.txt").read_text("utf-8")
        for word, value in self._words().items():
            text = text.replace(f"@{word}@", value)
        return text

    def _words(self) -> dict[str, str]:
        shape = SHAPES[self.kind]
        kind = KINDS[shape.kind]
        section, _, setting = kind.selected_by.partition(".")
        chosen = f'["{self.plugin}"]' if kind.many else f'"{self.plugin}"'
        if kind.many:
            selected = f"`{kind.selected_by}` lists what is in use:"
            patch = f'{{"{setting}": {chosen}}}'
        else:
            selected = f"`{kind.selected_by}` selects it:"
            patch = f'{{"plugin": {chosen}}}'
        return {
            "PLUGIN": self.plugin,
            "DISTRIBUTION": self.distribution,
            "MODULE": self.module,
            "CLASS": self.class_name,
            "TITLE": shape.title,
            "SUMMARY": shape.summary,
            "DEPENDENCIES": ", ".join(f'"{each}"' for each in shape.dependencies),
            "SELECTED": selected,
            "CONFIGURATION": f"[{section}]\n{setting} = {chosen}",
            "RELOAD": _CURL.format(shape.endpoint, patch, _HEADER),
            "RELOAD_CODE": _CURL.format(shape.endpoint, '{"code": true}', _HEADER),
        }


def plan(name: str, kind: str) -> Project:
    """The project of that name; ConfigError for a name or a kind that cannot be."""
    plugin = name.removeprefix(PREFIX)
    if kind == STRATEGY:
        kind = "maker"
    if kind not in SHAPES:
        allowed = ", ".join(CHOICES)
        raise ConfigError(Problem(f"expected one of {allowed}, found {kind!r}", "--kind", allowed))
    allowed = f"lower-case words of letters and digits joined by -, up to {NAME_MAX} characters"
    if not NAME.fullmatch(plugin) or len(plugin) > NAME_MAX:
        raise ConfigError(Problem(f"expected {allowed}, found {name!r}", "NAME", allowed))
    taken = built_in_names()
    if plugin in taken:
        message = f"{plugin!r} is built in: take another name than {', '.join(taken)}"
        raise ConfigError(Problem(message, "NAME", allowed))
    return Project(plugin, kind)


def built_in_names() -> list[str]:
    """Names that no plugin may offer, sorted."""
    names: set[str] = set()
    for kind in KINDS.values():
        hook: Any = getattr(builtin, kind.hook, None)
        if hook is not None:
            names |= set(hook())
    return sorted(names)


def write_project(project: Project, directory: Path | None = None) -> Path:
    """Write the project into a new folder, named as its distribution unless told; the folder.

    ConfigError when the folder exists; OSError passes through.
    """
    folder = directory if directory is not None else Path(project.distribution)
    if folder.exists():
        raise ConfigError(Problem(f"expected a folder that is not there yet, found {folder}"))
    for path, text in project.files().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder
