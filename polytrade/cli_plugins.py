"""`polytrade new-plugin` and `polytrade plugins`: for who writes plugins and who installs them."""

from collections.abc import Iterator, Sequence
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
sites_option = click.option(
    "--plugins",
    "sites",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Folder of other versions of plugins (pip install --target DIR); may be repeated.",
)
"""What every command that replays a run takes."""

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
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_config_option
@_set_option
@_json_option
def list_plugins(
    names: tuple[str, ...], directory: Path | None, overrides: Sequence[str], as_json: bool
) -> int:
    """Show every installed plugin: version, what it offers, what is in use, what is wrong.

    NAME is a plugin or something it offers: that one alone, with its settings.

    \b
    Example:
      polytrade plugins list --json
      polytrade plugins list glft
    """
    from polytrade.plugin_checks import listed

    rows = listed(_config(directory, overrides), names)
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
        for offered in row.get("settings", ()):
            for line in _settings(offered):
                click.echo(line)
    click.echo("* in use")
    return OK


def _settings(offered: dict[str, Any]) -> Iterator[str]:
    """A line for each setting of what a plugin offers."""
    from polytrade.config_values import show

    where = f"[{offered['table']}]" if offered["settings"] else "no settings"
    yield f"  {offered['kind']} {offered['name']}: {where}"
    for it in offered["settings"]:
        value = "" if it["default"] is None else show(it["default"])
        value = it["section"] or value
        notes = [it["takes"], it["unit"], "required" if it["required"] else ""]
        told = f"{it['name']}{f' = {value}' if value else ''} ({', '.join(filter(None, notes))})"
        yield f"    {told}{': ' if it['doc'] else ''}{it['doc']}"


@plugins.command("check", context_settings=_CONTEXT)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_config_option
@_set_option
@_json_option
def check_plugins(
    names: tuple[str, ...], directory: Path | None, overrides: Sequence[str], as_json: bool
) -> int:
    """Try plugins as a reload would: load, build, self-check, and a trial in a process of its own.

    NAME is a plugin or something it offers; without one all plugins that are installed. Everything
    a plugin offers is selected in turn. The answer of a broken one names the step; the exit code is
    1 then.

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
            click.echo(f"{tried}: ok, {_called(answer)}")
        else:
            where = f" @ {answer['field']}" if answer["field"] else ""
            click.echo(f"{tried}: broken at step {answer['step']}: {answer['why']}{where}")
    return OK if all(answer["ok"] for answer in answers) else FAILED


def _called(answer: dict[str, Any]) -> str:
    """What the trial called of the plugin, and what it only built."""
    called = {name.partition("/")[2]: calls for name, calls in answer["called"].items()}
    said = []
    if answer["calls"]:
        slowest = f"the slowest {answer['worst_call_us']:,} us ({answer['worst']})"
        said.append(f"{answer['calls']:,} calls, {slowest}")
    never = [name for name, calls in called.items() if calls == 0]
    if never:
        said.append(f"never called in the trial: {', '.join(never)}")
    built = [name for name, calls in called.items() if calls is None]
    if built or not called:
        of = f"them: {', '.join(built)}" if said else "it"
        done = "built and self-checked" if built else "loaded"
        said.append(f"{done}; the engine calls nothing of {of}")
    return "; ".join(said)


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

    NAME is a plugin or something it offers. Times are of this machine, now. The exit code is 1 when
    something of it broke or was not called at all.

    \b
    Example:
      polytrade plugins bench glft --seconds 120
    """
    from polytrade.plugin_checks import bench

    config = _config(directory, overrides)
    budget_us = config.reload.call_budget_us
    rows = bench(config, name, seconds)
    bad = any(row["broken"] or not row["calls"] for row in rows)
    if as_json:
        _echo_json(rows)
        return FAILED if bad else OK
    for row in rows:
        what = f"{row['name']}.{row['method']}"
        if row["broken"]:
            click.echo(f"{what}: broke after {row['calls']:,} calls: {row['broken']}")
            continue
        if not row["calls"]:
            click.echo(f"{what}: not called in {seconds} s: take more --seconds")
            continue
        click.echo(
            f"{what}: {row['calls']:,} calls, p50 {row['p50_us']:.1f} us, "
            f"p99 {row['p99_us']:.1f} us, most {row['max_us']:.1f} us, {row['over']} over the "
            f"budget of {budget_us} us; p50 {row['p50_bytes']} B, most {row['max_bytes']} B a call"
        )
    return FAILED if bad else OK


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
