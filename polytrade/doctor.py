"""Is this machine fit to trade: configuration, Python, disk, limits, secrets; then every host.

Every row says what was looked at, `ok`, `warn` or `fail`, what was found and how to put it right.
The hosts are asked by `doctor_hosts.py`. Values of secrets are never read into a row.
"""

import os
import platform
import resource
import shutil
import socket
import stat
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import click
import orjson
import trio

from polytrade import strict
from polytrade.config import Config
from polytrade.doctor_hosts import Row, check_hosts, endpoints
from polytrade.errors import ConfigError, PluginError
from polytrade.lineup import build_lineup
from polytrade.polymarket.relays import API_KEY_ENV, PASSPHRASE_ENV, SECRET_ENV
from polytrade.probe import REST_S
from polytrade.runtime.inbox import Clock

OK, FAILED = 0, 1

FREE_BYTES_MIN = 1 << 30
"""Free space below which a run is not begun: about a day of journals of two coins."""
FREE_BYTES_GOOD = 5 << 30
"""Free space below which we warn: about a day of raw recordings besides."""
DESCRIPTORS_MIN = 256
"""Sockets of all feeds with twins, two recorders and a busy control plane come to about 100."""
DESCRIPTORS_GOOD = 1024

POLYBOLT_VARIABLES = (API_KEY_ENV, SECRET_ENV, PASSPHRASE_ENV)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check_configuration(
    directory: Path, overrides: Sequence[str]
) -> tuple[Config | None, list[Row]]:
    """The configuration, or None with a failed row for each of its problems."""
    try:
        config = strict.load(directory, overrides)
        build_lineup(config)
    except PluginError as error:
        return None, [Row("configuration", "fail", str(error), "update or disable the plugin")]
    except ConfigError as error:
        fix = f"edit the file or see the range in docs/configuration.md ({directory})"
        return None, [Row("configuration", "fail", str(problem), fix) for problem in error.problems]
    digest = strict.config_digest(config)
    return config, [Row("configuration", "ok", f"{directory}, digest {digest[:12]}")]


def check_python() -> Iterator[Row]:
    """The interpreter: its version, its build, whether assertions are on."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    if not __debug__:
        detail = f"{version} runs with -O: the engine's assertions are off"
        yield Row("python", "fail", detail, "unset PYTHONOPTIMIZE and drop -O")
    elif "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        detail = f"{version}, built without profile-guided optimisation"
        fix = "a PGO build (Debian's, python.org's) is 1.2 to 1.3 times as fast"
        yield Row("python", "warn", detail, fix)
    else:
        yield Row("python", "ok", f"{version}, PGO build")


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check_disk(config: Config, root: Path) -> Iterator[Row]:
    """The data folder takes files and has room."""
    folder = root / config.storage.data_dir
    there = _existing(folder)
    fix = "change storage.data_dir or its owner"
    if not there.is_dir():
        yield Row("data folder", "fail", f"{there} is a file, not a folder", fix)
        return
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"polytrade")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        yield Row("data folder", "fail", f"cannot write to {there}: {error.strerror}", fix)
    else:
        yield Row("data folder", "ok", f"{folder} can be written")
    free = shutil.disk_usage(there).free
    detail = f"{free / (1 << 30):.1f} GiB free at {there}"
    fix = "free some space, or lower storage.keep_runs"
    if free < FREE_BYTES_MIN:
        yield Row("disk space", "fail", detail, fix)
    elif free < FREE_BYTES_GOOD:
        yield Row("disk space", "warn", detail, fix)
    else:
        yield Row("disk space", "ok", detail)


def check_descriptors() -> Row:
    """How many files and sockets may be open at once."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= DESCRIPTORS_GOOD:
        return Row("file descriptors", "ok", f"limit {limit}")
    status = "warn" if limit >= DESCRIPTORS_MIN else "fail"
    return Row("file descriptors", status, f"limit {limit}", f"ulimit -n {DESCRIPTORS_GOOD}")


def check_secrets(config: Config, root: Path, environment: Mapping[str, str]) -> Iterator[Row]:
    """Secret files are ours alone; what needs a secret has one."""
    control = config.control
    token_file = root / control.token_file if control.token_file else None
    if token_file is not None:
        yield _secret_file(token_file)
    has_token = bool(control.token_env and environment.get(control.token_env))
    if control.host in LOOPBACK or has_token or token_file is not None:
        source = f"token from {control.token_env}" if has_token else "no token in the environment"
        yield Row("control token", "ok", f"{source}, bound to {control.host}")
    else:
        detail = f"{control.host} is not loopback and there is no token"
        yield Row("control token", "fail", detail, f"set {control.token_env} or control.token_file")
    present = [name for name in POLYBOLT_VARIABLES if environment.get(name)]
    if present and len(present) < len(POLYBOLT_VARIABLES):
        missing = ", ".join(name for name in POLYBOLT_VARIABLES if name not in present)
        yield Row("venue credentials", "warn", f"{missing} not set", "set all three or none")
    elif present:
        yield Row("venue credentials", "ok", "all three set")
    else:
        yield Row("venue credentials", "ok", "none set: PolyBolt is not used, paper needs none")


def _secret_file(path: Path) -> Row:
    try:
        state = path.stat()
    except OSError as error:
        fix = "create it with mode 0600, or empty control.token_file"
        return Row("token file", "fail", f"{path}: {error.strerror}", fix)
    mode = stat.S_IMODE(state.st_mode)
    if not stat.S_ISREG(state.st_mode):
        return Row("token file", "fail", f"{path} is not a file", "name a plain file")
    if mode & 0o077:
        return Row("token file", "fail", f"{path} has mode {mode:04o}", f"chmod 0600 {path}")
    return Row("token file", "ok", f"{path}, mode {mode:04o}")


def check_port(config: Config) -> Row:
    """The control plane's address can be bound."""
    host, port = config.control.host, config.control.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        fix = "stop what holds it (another daemon?), or change control.port"
        return Row("control port", "fail", f"{host}:{port}: {error.strerror}", fix)
    return Row("control port", "ok", f"{host}:{port} is free")


def check_reload(config: Config) -> Row:
    """A reload is answered within the time of its request, also when the trial takes all of its."""
    needed_s, limit_s = config.reload.probe_s + REST_S, config.control.request_limit_s
    detail = f"a trial and its reload take up to {needed_s:g} s, a request {limit_s:g} s"
    if needed_s > limit_s:
        fix = "set control.request_limit_s to more, or reload.probe_s to less"
        return Row("reload", "warn", detail, fix)
    return Row("reload", "ok", detail)


def check_captures(config: Config, root: Path) -> Iterator[Row]:
    """A managed venue's captures are there."""
    for name in config.venue.playback if config.venue.managed else ():
        path = root / name
        if path.is_file():
            yield Row("capture", "ok", f"{path}, {path.stat().st_size} bytes")
        else:
            fix = f"polytrade sandbox --tape {name}, or change venue.playback"
            yield Row("capture", "fail", f"{path} is not there", fix)


def check_here(config: Config, root: Path, environment: Mapping[str, str]) -> list[Row]:
    """Everything that needs no network."""
    return [
        *check_python(),
        *check_disk(config, root),
        check_descriptors(),
        *check_secrets(config, root, environment),
        check_port(config),
        check_reload(config),
        *check_captures(config, root),
    ]


def line(row: Row) -> str:
    """A row as a terminal shows it."""
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[row.status]
    text = f"{click.style(f'{row.status:<5}', fg=colour)} {row.what:<18} {row.detail}"
    return f"{text}\n      fix: {row.fix}" if row.fix else text


def main(directory: Path, overrides: Sequence[str] = (), *, as_json: bool = False) -> int:
    """Run every check and print it; 1 when any failed, else 0.

    A configuration that does not load fails, and the rest is checked with the defaults.
    """
    loaded, rows = check_configuration(directory, overrides)
    config = loaded if loaded is not None else Config()
    rows += check_here(config, strict.project_root(directory), os.environ)
    if not as_json:
        for row in rows:
            click.echo(line(row))
    found: list[Row] = []
    if config.venue.managed:
        detail = "not asked: the local venue is started with the daemon"
        found.append(Row("hosts", "ok", detail))
    else:
        skew_max_ms = config.risk.max_clock_skew_ms
        asked = endpoints(config, os.environ)
        found += trio.run(check_hosts, asked, skew_max_ms, Clock().now_ns)
    failed = sum(row.status == "fail" for row in (*rows, *found))
    if as_json:
        answer = {"ok": not failed, "rows": [attrs.asdict(row) for row in (*rows, *found)]}
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    else:
        for row in found:
            click.echo(line(row))
        click.echo(f"{failed} failed" if failed else "nothing failed")
    return FAILED if failed else OK
