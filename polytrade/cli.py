"""The commands: arguments in, exit code out (0 done, 1 failed, 2 wrong usage or configuration).

Only `click` is imported here; each command imports what it runs, so that `--help` answers at once.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from polytrade import __version__
from polytrade.cli_plugins import new_plugin, plugins, sites_option
from polytrade.cli_reports import report, verify
from polytrade.cli_sandbox import sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from polytrade.config import Config, Control
    from polytrade.runtime.command_requests import Commands
    from polytrade.runtime.status import DaemonStatus

F = TypeVar("F")

OK, FAILED, USAGE = 0, 1, 2

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _config_options(function: F) -> F:
    directory = click.option(
        "--config",
        "directory",
        type=click.Path(path_type=Path),
        default=Path("configs"),
        show_default=True,
        metavar="DIR",
        help="Directory of TOML files.",
    )
    overrides = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one setting, e.g. risk.max_open_orders=5; may be repeated.",
    )
    return directory(overrides(function))  # type: ignore[type-var]


_run_for = click.option(
    "--run-for",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop cleanly after so long; without it until Ctrl-C or SIGTERM.",
)


def _digest(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """8 to 64 hexadecimal digits, or nothing."""
    if value and not re.fullmatch(r"[0-9a-fA-F]{8,64}", value):
        raise click.BadParameter(f"expected 8 to 64 hexadecimal digits, found {value!r}")
    return value


_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")


@click.command("polytrade-daemon", context_settings=CONTEXT)
@_config_options
@_run_for
@click.option("--check", is_flag=True, help="Check the configuration and stop.")
@click.option("--print-config", is_flag=True, help="Print the effective configuration and stop.")
@_json
def daemon(
    *,
    directory: Path,
    overrides: tuple[str, ...],
    run_for: float | None,
    check: bool,
    print_config: bool,
    as_json: bool,
) -> int:
    """Trade on paper: real feeds, simulated execution, HTTP control.

    Relative paths in the configuration are taken from the project that holds DIR (the nearest
    folder with a pyproject.toml), else from the current folder.

    \b
    Example:
      polytrade-daemon --config configs --set universe.coins='["btc"]' --run-for 600
    """
    from polytrade import strict
    from polytrade.errors import ConfigError

    warnings: list[str] = []
    try:
        config = strict.load(directory, overrides)
        if check:
            from polytrade.catalogue import warnings_of
            from polytrade.lineup import build_lineup

            build_lineup(config)  # names of models and makers are known to the plugins alone
            warnings = warnings_of(config.plugins)
    except ConfigError as error:
        if as_json and (check or print_config):
            _echo_json({"ok": False, "problems": [str(problem) for problem in error.problems]})
            return USAGE
        raise
    if print_config:
        if as_json:
            _echo_json(strict.to_dict(config))
        else:
            click.echo(strict.to_toml(config), nl=False)
        return OK
    if check:
        digest = strict.config_digest(config)
        if as_json:
            _echo_json({"ok": True, "config_digest": digest, "warnings": warnings})
        else:
            for warning in warnings:
                click.echo(f"warning: {warning}", err=True)
            click.echo(f"configuration ok: {directory}, digest {digest[:12]}")
        return OK
    return _run_daemon(directory, overrides, config, run_for)


@click.command(context_settings=CONTEXT)
@_config_options
@_run_for
def record(directory: Path, overrides: tuple[str, ...], run_for: float | None) -> int:
    """Record the raw frames of every feed; nothing is quoted.

    \b
    Example:
      polytrade record --config configs --run-for 3600
    """
    from polytrade import strict

    overrides = (*overrides, "storage.record_raw=true")
    config = strict.load(directory, overrides)
    return _run_daemon(directory, overrides, config, run_for, record_only=True)


@click.command(context_settings=CONTEXT)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--config",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Configuration for a raw capture; a journal carries its own.",
)
@click.option("--until", type=click.IntRange(min=0), metavar="SEQ", help="Stop after this event.")
@click.option(
    "--verify",
    "digest",
    default="",
    metavar="DIGEST",
    callback=_digest,
    help="Fail unless this effect digest, or one that begins so, comes out.",
)
@click.option(
    "--no-compare",
    is_flag=True,
    help="Do not compare with the journal's own effects.",
)
@sites_option
@_json
def replay(
    *,
    path: Path,
    directory: Path | None,
    until: int | None,
    digest: str,
    no_compare: bool,
    sites: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Step the engine through a journal or a raw capture again.

    PATH is the folder of a run, a segment of a journal, or a capture. Fails when a journal's
    effects do not come out again.

    \b
    Example:
      polytrade replay datasets/runs/20250601T120000Z --json
    """
    from polytrade.replay import run_replay_command

    return run_replay_command(
        path,
        as_json=as_json,
        until=until,
        verify=not no_compare,
        digest=digest,
        configs=directory,
        sites=sites,
    )


@click.command(context_settings=CONTEXT)
@_config_options
@_json
def doctor(directory: Path, overrides: tuple[str, ...], as_json: bool) -> int:
    """Check configuration, disk, limits, secrets, clock and every host the daemon would use.

    \b
    Example:
      polytrade doctor --config configs
    """
    from polytrade import doctor as checks

    return checks.main(directory, overrides, as_json=as_json)


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="polytrade")
def polytrade() -> None:
    """Trade Polymarket, from paper to live, on real feeds.

    \b
    Example:
      polytrade doctor --config configs
      polytrade daemon --config configs/sandbox --run-for 60
    """


polytrade.add_command(daemon, "daemon")
for _command in (sandbox, record, replay, report, verify, plugins, new_plugin, doctor):
    polytrade.add_command(_command)


def _run_daemon(
    directory: Path,
    overrides: tuple[str, ...],
    config: "Config",
    run_for: float | None,
    *,
    record_only: bool = False,
) -> int:
    """Put the control plane into the daemon, which knows nothing of HTTP, and run it."""
    from functools import partial

    import attrs

    from polytrade import strict
    from polytrade.control.task import check_control, run_control
    from polytrade.runtime.daemon import main as run_daemon

    root = strict.project_root(directory)
    load = partial(strict.load, directory, overrides)

    def placed(control: "Control") -> "Control":
        """The same with the token file's place; the configuration keeps the path as written."""
        token_file = control.token_file and str(root / control.token_file)
        return attrs.evolve(control, token_file=token_file)

    async def serve(
        read: "Callable[[], DaemonStatus]",
        commands: "Commands",
        config: "Control",
        stopping: "trio.Event",
    ) -> None:
        await run_control(read, commands, placed(config), stopping)

    check_control(placed(config.control))
    return run_daemon(config, run_for, root=root, control=serve, record_only=record_only, load=load)


def _echo_json(answer: object) -> None:
    import orjson

    click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())


def _invoke(command: click.Command, name: str, arguments: Sequence[str] | None) -> int:
    """Run a command; what went wrong becomes a line on stderr and an exit code."""
    from polytrade.errors import ConfigError, PluginError
    from polytrade.import_alarm import alarm
    from polytrade.import_limit import bounded_by

    try:
        with bounded_by(alarm):
            result = command.main(
                args=None if arguments is None else list(arguments),
                prog_name=name,
                standalone_mode=False,
            )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"configuration: {problem}", err=True)
        return USAGE
    except PluginError as error:
        click.echo(str(error), err=True)
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return FAILED
    return result if isinstance(result, int) else OK


def main(arguments: Sequence[str] | None = None) -> int:
    """The `polytrade` program; the exit code."""
    return _invoke(polytrade, "polytrade", arguments)


def daemon_main(arguments: Sequence[str] | None = None) -> int:
    """The `polytrade-daemon` program; the exit code."""
    return _invoke(daemon, "polytrade-daemon", arguments)
