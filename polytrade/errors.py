"""Errors by whose fault: the operator's (`ConfigError`), a plugin author's (`PluginError`).

What a venue got wrong is `wire_roles.WireError`; what we got wrong is an assertion and crashes.
"""

import attrs


@attrs.frozen
class Problem:
    """One thing wrong with what an operator wrote: what was expected, where.

    `path` is the setting (`risk.max_open_orders`), `allowed` what it takes (`int from 1 to 10000`),
    `origin` the file or `--set`; each may be empty.
    """

    message: str
    path: str = ""
    allowed: str = ""
    origin: str = ""

    def __str__(self) -> str:
        text = self.message
        if self.path:
            text += f" @ {self.path}"
        if self.origin:
            text += f" ({self.origin})"
        return text


class ConfigError(Exception):
    """The operator's fault: every problem found, not only the first."""

    def __init__(self, *problems: Problem | str) -> None:
        if not problems:
            raise ValueError("a ConfigError names at least one problem")
        self.problems = tuple(
            problem if isinstance(problem, Problem) else Problem(problem) for problem in problems
        )
        super().__init__(*self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class PluginError(Exception):
    """A plugin's fault: which plugin, which version, what it did, at which step of loading.

    `step` is one of `lineup.STEPS`, empty outside of loading. `reason` ends with the last line of
    the traceback where there is one.
    """

    def __init__(self, name: str, version: str, reason: str, step: str = "") -> None:
        super().__init__(name, version, reason, step)
        self.name = name
        self.version = version
        self.reason = reason
        self.step = step

    def __str__(self) -> str:
        at = f" [{self.step}]" if self.step else ""
        return f"plugin {self.name} {self.version}{at}: {self.reason}"


class LineupMissing(PluginError):
    """A replay needs a plugin that is not installed, or is in another version (`installed`)."""

    def __init__(self, name: str, needed: str, installed: str) -> None:
        found = f"{installed} is installed" if installed else "it is not installed"
        super().__init__(name, needed, f"is needed, {found}", "find")
        self.installed = installed

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.reason}"
