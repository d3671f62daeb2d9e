"""`polytrade new-plugin` and `polytrade plugins`: for who writes plugins and who installs them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from polytrade.config import Config

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
OK, FAILED, USAGE = 0, 1, 2
CONFIGS: Final = Path("configs")

_config_option = click.option(
    "--config",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory of TOML files; without it ./configs if there is one, else the defaults.",
)
_set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one setting, e.g. plugins.settings.glft.decay=80; may be repeated.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")


@click.command("new-plugin", context_settings=_CONTEXT)
@click.argument("name")
@click.option(
    "--kind",
    default="strategy",
    show_default=True,
    metavar="KIND",
    help="strategy (a maker), taker, allocator, fair-value, feed, risk-rule or notifier.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="New folder of the project; otherwise ./polytrade-NAME.",
)
def new_plugin(name: str, kind: str, directory: Path | None) -> int:
    """Write the project of a new plugin: it installs, passes its tests and can be reloaded.

    NAME is what the configuration will call it: lower-case words joined by `-`.

    \b
    Example:
      polytrade new-plugin my-maker --kind strategy
      pip install -e polytrade-my-maker && polytrade plugins check my-maker
    """
    from polytrade.scaffold import plan, write_project

    project = plan(name, kind)
    try:
        folder = write_project(project, directory)
    except OSError as error:
        click.echo(f"new-plugin: {error}", err=True)
        return FAILED
    click.echo(f"{folder}: {project.distribution} with the {project.kind} {project.plugin}")
    click.echo(f"next: pip install -e {folder} && polytrade plugins check {project.plugin}")
    return OK


@click.group("plugins", context_settings=_CONTEXT)
def plugins() -> None:
    """See, try and measure installed plugins.

    \b
    Example:
      polytrade plugins list
      polytrade plugins check --config configs
      polytrade plugins bench glft
    """


@plugins.command("list", context_settings=_CONTEXT)
@_config_option
@_set_option
@_json_option
def list_plugins(directory: Path | None, overrides: Sequence[str], as_json: bool) -> int:
    """Show every installed plugin: version, what it offers, what is in use, what is wrong.

    \b
    Example:
      polytrade plugins list --json
    """
    from polytrade.plugin_checks import listed

    rows = listed(_config(directory, overrides))
    if as_json:
        _echo_json(rows)
        return OK
    for row in rows:
        offers = ", ".join(
            f"{kind} {name}{'*' if name in row['used'].get(kind, ()) else ''}"
            for kind, names in row["offers"].items()
            for name in names
        )
        wrong = f"BROKEN at step {row['step']}: {row['error']}" if row["error"] else offers
        click.echo(f"{row['name']} {row['line']}: {wrong}")
    click.echo("* in use")
    return OK


@plugins.command("check", context_settings=_CONTEXT)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_config_option
@_set_option
@_json_option
def check_plugins(
    names: tuple[str, ...], directory: Path | None, overrides: Sequence[str], as_json: bool
) -> int:
    """Try plugins as a reload would: load, build, self-check, and a trial in a process of its own.

    NAME is a plugin; without one all that are installed. Everything a plugin offers is selected in
    turn. The answer of a broken one names the step; the exit code is 1 then.

    \b
    Example:
      polytrade plugins check glft --config configs
    """
    from polytrade.plugin_checks import check

    answers = check(_config(directory, overrides), names)
    if as_json:
        _echo_json(answers)
    elif not answers:
        click.echo("no plugin is installed")
    for answer in [] if as_json else answers:
        tried = f"{answer['name']} {answer['line']}"
        if answer["ok"]:
            click.echo(f"{tried}: ok, {answer['calls']:,} calls, {_worst(answer)}")
        else:
            where = f" @ {answer['field']}" if answer["field"] else ""
            click.echo(f"{tried}: broken at step {answer['step']}: {answer['why']}{where}")
    return OK if all(answer["ok"] for answer in answers) else FAILED


def _worst(answer: dict[str, Any]) -> str:
    if not answer["worst"]:
        return "none of them slow"
    return f"the slowest {answer['worst_call_us']:,} us ({answer['worst']})"


@plugins.command("bench", context_settings=_CONTEXT)
@click.argument("name")
@click.option(
    "--seconds",
    type=click.IntRange(5, 600),
    default=30,
    show_default=True,
    help="Seconds of the local venue's market to run over.",
)
@_config_option
@_set_option
@_json_option
def bench_plugin(
    name: str, seconds: int, directory: Path | None, overrides: Sequence[str], as_json: bool
) -> int:
    """Measure the answers of a plugin over a tape of the local venue, against the time budget.

    NAME is a plugin or something it offers. Times are of this machine, now.

    \b
    Example:
      polytrade plugins bench glft --seconds 120
    """
    from polytrade.plugin_checks import bench

    config = _config(directory, overrides)
    budget_us = config.reload.call_budget_us
    rows = bench(config, name, seconds)
    if as_json:
        _echo_json(rows)
        return OK
    for row in rows:
        click.echo(
            f"{row['name']}.{row['method']}: {row['calls']:,} calls, p50 {row['p50_us']:.1f} us, "
            f"p99 {row['p99_us']:.1f} us, most {row['max_us']:.1f} us, {row['over']} over the "
            f"budget of {budget_us} us; p50 {row['p50_bytes']} B, most {row['max_bytes']} B a call"
        )
    return OK


def _config(directory: Path | None, overrides: Sequence[str]) -> "Config":
    from tempfile import TemporaryDirectory

    from polytrade import strict

    if directory is not None or CONFIGS.is_dir():
        return strict.load(directory or CONFIGS, overrides)
    with TemporaryDirectory() as folder:  # the defaults: a directory that says nothing
        Path(folder, "defaults.toml").touch()
        return strict.load(Path(folder), overrides)


def _echo_json(answer: object) -> None:
    import orjson

    click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
