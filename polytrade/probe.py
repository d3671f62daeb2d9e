"""The probe: new plugins tried in a process of their own, before the daemon imports them.

`python -m polytrade.probe` reads a request (JSON) from its standard input, loads and builds as the
daemon would, runs a trial, and writes lines of JSON to its standard output: the step it is at, and
last the answer. It is bounded in time and memory and opens no connection, so that code which never
returns, or allocates without end, ends here.
"""

import contextlib
import gc
import math
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

import polytrade
from polytrade import strict
from polytrade.catalogue import BUILTIN, Catalogue, scan, sharing
from polytrade.config import Config
from polytrade.core.events import Event, event_from_row
from polytrade.distributions import find_plugins
from polytrade.errors import ConfigError, PluginError
from polytrade.lineup import (
    Lineup,
    build_lineup,
    check_lineup,
    fault_of,
    restore_states,
    state_of,
)
from polytrade.plugin_code import REASON_MAX, last_line, pass_on
from polytrade.trial import Trial, TrialFailed

REQUEST_BYTES_MAX: Final = 64 << 20
"""Largest request: 8 markets' books and 256 events are a few hundred kilobytes."""
START_S: Final = 2.0
"""What a parent adds to a probe's own deadline before it kills it: the start of an interpreter."""
REST_S: Final = 3.0
"""What a reload takes besides the probe's own time: that start, and to load, hand over and swap."""
BANNED: Final = frozenset(
    {
        *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"),
        *("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "os.exec"),
    }
)
"""What a probe may not do, by the names of Python's audit events."""


@attrs.frozen
class ProbeAnswer:
    """What a probe found: `ok`, or the step, the plugin and why.

    `worst_call_us` is the longest answer of `worst` (a name), of `calls` in all; `events` were
    stepped. `each` has the calls and the longest of everything the engine asks, by `kind/name`.
    """

    ok: bool
    step: str = ""
    plugin: str = ""
    version: str = ""
    why: str = ""
    field: str = ""
    allowed: str = ""
    worst_call_us: int = 0
    worst: str = ""
    calls: int = 0
    events: int = 0
    each: Mapping[str, Sequence[int]] = attrs.field(factory=dict)

    def failure(self) -> PluginError:
        """What a failed probe means for a reload."""
        return PluginError(self.plugin, self.version, self.why, self.step)


# -- the daemon's side ------------------------------------------------------------------------


def command() -> list[str]:
    """How to start a probe; its environment is `environment()`."""
    return [sys.executable, "-B", "-P", "-m", "polytrade.probe"]


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a probe: ours, with this polytrade to be found first."""
    home = str(Path(polytrade.__file__).resolve().parent.parent)
    return {**environ, "PYTHONPATH": home, "OPENBLAS_NUM_THREADS": "1"}


def request(
    config: Config,
    rows: Sequence[Sequence[object]] = (),
    *,
    plugins: Mapping[str, str] | None = None,
    states: Mapping[str, bytes] | None = None,
) -> bytes:
    """What a probe is asked.

    `rows` are journal rows of events in order; `plugins` those to be loaded with the lines they
    must have (an empty line: any), all that are installed when None; `states` is of `dump_states`.
    """
    body = {
        "config": strict.to_dict(config),
        "path": list(sys.path),
        "plugins": None if plugins is None else dict(plugins),
        "states": {name: text.decode() for name, text in (states or {}).items()},
        "rows": list(rows),
    }
    return orjson.dumps(body)


def deadline_s(config: Config) -> float:
    """How long a parent waits for a probe before it kills it."""
    return config.reload.probe_s + START_S


def parse_answer(
    output: bytes, code: int | None, config: Config, complaint: bytes = b""
) -> ProbeAnswer:
    """What a probe that has ended, or was killed, said; never raises.

    `code` is its exit status (negative for a signal), None when the parent killed it; `complaint`
    is what came last on its standard error.
    """
    step, plugin = "probe", ""
    for line in output.splitlines():
        try:
            body = orjson.loads(line)
            if "ok" in body:
                return ProbeAnswer(**body)
            step, plugin = str(body["step"]), str(body.get("plugin", "")) or plugin
        except (ValueError, TypeError, KeyError):
            break
    seconds = f"{config.reload.probe_s:g} s"
    if code is None or code in (-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL):
        why = f"did not end within {seconds}"
    else:
        # The common cause is the bound on memory: some code ends the process when it is refused.
        said = _complaint(complaint) or "out of memory, or it ended itself"
        why = f"ended with status {code}: {said}"
    return ProbeAnswer(False, step, plugin, why=why)


def _complaint(text: bytes) -> str:
    """The last line that says anything, printable and at most `REASON_MAX` characters."""
    for line in reversed(text.decode(errors="replace").splitlines()):
        said = "".join(each if each.isprintable() else " " for each in line).strip()
        if said:
            return said[:REASON_MAX]
    return ""


# -- the probe's side -------------------------------------------------------------------------


class _Asked:
    """A request, taken apart."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.config: Config = strict.structure(body["config"])
        self.path: list[str] = body["path"]
        self.plugins: dict[str, str] | None = body["plugins"]
        self.states = {name: text.encode() for name, text in body["states"].items()}
        self.events: list[Event] = [event_from_row(row) for row in body["rows"]]


def main() -> None:
    """Answer one request; ends the process."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what plugins print is no answer
    body = orjson.loads(sys.stdin.buffer.read(REQUEST_BYTES_MAX))
    asked = _Asked(body)
    sys.path[:] = asked.path
    _limit(asked.config)

    def told(step: str, plugin: str = "") -> None:
        out.write(orjson.dumps({"step": step, "plugin": plugin}) + b"\n")

    answer = run(asked.config, asked.events, asked.plugins, asked.states, told)
    out.write(orjson.dumps(attrs.asdict(answer)) + b"\n")
    out.flush()
    os._exit(0)  # no thread of a plugin may keep it


def _limit(config: Config) -> None:
    """Bound this process in time and memory, and keep it off the network."""
    seconds = config.reload.probe_s
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cpu_s = math.ceil(seconds) + 2  # starting took some of it already
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    with contextlib.suppress(OSError):  # where there is no /proc the daemon's own bound remains
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + config.reload.probe_memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in BANNED:
        raise PermissionError(f"{event}: plugins connect to nothing while they are tried")


def run(
    config: Config,
    events: Sequence[Event],
    plugins: Mapping[str, str] | None,
    states: Mapping[str, bytes],
    told: Any = lambda step, plugin="": None,
) -> ProbeAnswer:
    """Load, build, hand over, check and try; the answer never raises for a plugin's fault."""
    trial: Trial | None = None
    lineup: Lineup | None = None
    try:
        asked = ", ".join(sorted(set(plugins or ()) - {BUILTIN}))
        told("import", asked)
        catalogue = _scan(config, plugins)
        _refuse_shared(config, catalogue, told)
        told("build", asked)
        lineup = build_lineup(config, catalogue, checked=False)
        with catalogue.in_force():
            told("handover")
            restore_states(lineup, states)
            told("self_check")
            check_lineup(lineup)
            gc.collect()
            gc.disable()
            told("probe")
            trial = Trial(config, lineup)
            trial.run(events)
            told("handover")
            _replace(lineup, config, catalogue)
    except PluginError as error:
        return ProbeAnswer(False, error.step, error.name, error.version, error.reason)
    except ConfigError as error:
        first = error.problems[0]
        return ProbeAnswer(
            False,
            "settings",
            why="; ".join(str(problem) for problem in error.problems),
            field=first.path,
            allowed=first.allowed,
        )
    except TrialFailed as failed:
        plugin, version = _blamed(lineup, failed)
        why = f"{failed.name!r}: {failed.why}" if failed.name else failed.why
        return _counted(ProbeAnswer(False, "probe", plugin, version, why), trial)
    except BaseException as error:
        pass_on(error)
        return ProbeAnswer(False, "probe", why=last_line(error))
    finally:
        gc.enable()
    return _counted(ProbeAnswer(True), trial)


def _replace(lineup: Lineup, config: Config, catalogue: Catalogue) -> None:
    """Let the lineup's equal take its states over: what is accepted can be replaced.

    PluginError when an object cannot say its state, or does not take its own.
    """
    states: dict[str, bytes] = {}
    for (kind, name), made in lineup.objects().items():
        try:
            states |= {f"{kind}/{name}": text for text in state_of(made)}
        except BaseException as error:
            pass_on(error)
            reason = f"it cannot say its state: {last_line(error)}"
            raise fault_of(lineup, kind, name, "handover", reason) from error
    restore_states(build_lineup(config, catalogue, checked=False), states)


def _scan(config: Config, plugins: Mapping[str, str] | None) -> Catalogue:
    """The catalogue of the plugins wanted; PluginError when one is not what it was."""
    section = config.plugins
    if plugins is None:
        return scan(section)
    others = tuple(name for name in find_plugins(section.disabled) if name not in plugins)
    catalogue = scan(attrs.evolve(section, disabled=(*section.disabled, *others)))
    for name, line in plugins.items():
        info = catalogue.plugins.get(name)
        if info is None:
            raise PluginError(name, "unknown", "is not installed", "find")
        if info.error:
            raise info.failure()
        if line and info.line != line:
            raise PluginError(name, info.version, f"is {info.line} now, not {line}", "find")
    return catalogue


def _refuse_shared(config: Config, catalogue: Catalogue, told: Any) -> None:
    """PluginError when another installed plugin offers a name that one of these does.

    The daemon imports none but these, so that only here the others show what they offer.
    """
    section = config.plugins
    found = find_plugins(section.disabled)
    others = sharing(found, catalogue)
    if not others:
        return
    told("hooks", ", ".join(others))
    away = found.keys() - catalogue.plugins.keys() - set(others)
    disabled = (*section.disabled, *sorted(away))
    both = scan(attrs.evolve(section, disabled=disabled), previous=catalogue)
    for name, info in catalogue.plugins.items():
        if not info.error and both.plugins[name].error:
            raise both.plugins[name].failure()


def _blamed(lineup: Lineup | None, failed: TrialFailed) -> tuple[str, str]:
    if lineup is None or lineup.catalogue is None:
        return "", ""
    offer = lineup.catalogue.factories.get((failed.kind, failed.name))
    if offer is None:
        return "", ""
    info = lineup.catalogue.plugins[offer.plugin]
    return info.name, info.version


def _counted(answer: ProbeAnswer, trial: Trial | None) -> ProbeAnswer:
    if trial is None:
        return answer
    return attrs.evolve(
        answer,
        worst_call_us=trial.watch.worst_us,
        worst=trial.watch.worst,
        calls=trial.watch.calls,
        each=trial.watch.each,
        events=trial.events,
    )


if __name__ == "__main__":
    main()
