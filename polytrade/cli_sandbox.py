"""`polytrade sandbox`: the local venue, alive, played back, or written down as a tape."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

_CAPTURE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A time of day in UTC as unix seconds."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"expected a time such as 2026-11-22T12:00, found {value!r}"
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


# Only for one of the two venues, so that a flag without effect is an error.
_LIVE_FLAGS = ("seed", "coins", "windows", "windows_ahead", "slow_markets", "activity", "faucet")
_LIVE_ONLY = (*_LIVE_FLAGS, "scenario", "tape", "minutes", "at", "sources")
_PLAYBACK_ONLY = ("speed", "loop", "shift", "start")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True)
@click.option("--coins", default="btc,eth,sol,xrp", show_default=True, callback=_names)
@click.option("--windows", default="5m,15m,1h,1d", show_default=True, callback=_names)
@click.option(
    "--windows-ahead", type=int, default=2, show_default=True, help="Windows listed in advance."
)
@click.option(
    "--slow-markets/--no-slow-markets",
    default=True,
    show_default=True,
    help="Add a price ladder, politics and sports.",
)
@click.option(
    "--activity",
    type=float,
    default=0.1,
    show_default=True,
    help="Message rate; 1 is the real market's.",
)
@click.option(
    "--faucet", type=int, default=10_000, show_default=True, help="pUSD for each new wallet."
)
@click.option("--scenario", type=_CAPTURE, metavar="FILE", help="Faults with their times (TOML).")
@click.option(
    "--tape",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what the feeds would send as a raw capture, as fast as possible, and stop.",
)
@click.option("--minutes", type=click.IntRange(1, 1440), default=15, show_default="15, of a tape")
@click.option(
    "--at",
    metavar="TIME",
    callback=_moment,
    help="Begin of a tape, UTC; otherwise 2026-11-16T12:00.",
)
@click.option(
    "--sources",
    default="market,rtds,binance,coinbase,kraken,okx,bybit",
    show_default=True,
    callback=_names,
    help="Sockets a tape holds.",
)
@click.option(
    "--playback",
    "files",
    multiple=True,
    type=_CAPTURE,
    metavar="FILE",
    help="Play this capture back instead; may be repeated, or followed by more files.",
)
@click.argument("more", nargs=-1, type=_CAPTURE)
@click.option(
    "--speed", type=click.FloatRange(0.01, 1000), default=1.0, show_default="1, of playback"
)
@click.option("--loop/--no-loop", default=False, help="Play back again from the end.")
@click.option(
    "--shift/--no-shift",
    default=False,
    help="Move the capture's times to now, or serve every frame verbatim.",
)
@click.option(
    "--start",
    type=click.Choice(["subscribe", "now"]),
    default="subscribe",
    help="Play once everything is subscribed, or at once.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port-base",
    type=click.IntRange(0, 65_000),
    default=0,
    show_default=True,
    help="First port; 0 takes free ones.",
)
@click.option("--exit-with-parent", is_flag=True, help="Stop when standard input ends.")
@click.pass_context
def sandbox(
    context: click.Context,
    /,
    *,
    files: tuple[Path, ...],
    more: tuple[Path, ...],
    exit_with_parent: bool,
    **flags: Any,
) -> int:
    """Serve a local venue: Polymarket and the exchanges, with real protocols on real sockets.

    Without --playback the venue lives: a matching engine, accounts, synthetic traders, rolling
    markets; any Polymarket client can trade on it. Prints one JSON line with every address when it
    is ready. docs/sandbox.md says how to point a bot at it.

    \b
    Example:
      polytrade sandbox --seed 7 --coins btc,eth --port-base 8400
      polytrade sandbox --tape datasets/hour.jsonl.zst --minutes 60 --activity 1
      polytrade sandbox --playback datasets/sample-updown-5m.jsonl.zst --speed 10
    """
    from functools import partial

    from polytrade.sandbox.program import run_program

    captures = (*files, *more)
    foreign = _LIVE_ONLY if captures else _PLAYBACK_ONLY
    for name in foreign:
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            needed = "no capture" if captures else "--playback FILE"
            raise click.UsageError(f"--{name.replace('_', '-')} needs {needed}.")
    where = {name: flags[name] for name in ("host", "port_base")}
    if captures:
        from polytrade.sandbox.playback.options import PlaybackOptions
        from polytrade.sandbox.playback.serve import serve_playback

        played = {name: flags[name] for name in _PLAYBACK_ONLY}
        options = PlaybackOptions(files=captures, **played, **where)
        return run_program(partial(serve_playback, options), exit_with_parent=exit_with_parent)
    from polytrade.sandbox.venue.options import VenueOptions

    wanted = {name: flags[name] for name in _LIVE_FLAGS}
    living = VenueOptions(**wanted, scenario=flags["scenario"], **where)
    if flags["tape"] is not None:
        from polytrade.sandbox.tape import write_tape

        wanted_of_tape = flags["minutes"], flags["at"], flags["sources"]
        summary = write_tape(flags["tape"], living, *wanted_of_tape)
        click.echo(json.dumps(summary, indent=2))
        return 0
    from polytrade.sandbox.venue.serve import serve_venue

    return run_program(partial(serve_venue, living), exit_with_parent=exit_with_parent)
