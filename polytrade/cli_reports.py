"""`polytrade report` and `polytrade verify`: the report files of a run, and their proof."""

from pathlib import Path

import click

from polytrade.cli_plugins import sites_option

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.command(context_settings=_CONTEXT)
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out-root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("datasets/reports"),
    show_default=True,
    metavar="DIR",
    help="The files go to DIR/<utc-date>/.",
)
@click.option(
    "--config",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Configuration for a raw capture; a journal carries its own.",
)
@sites_option
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def report(
    *, run: Path, out_root: Path, directory: Path | None, sites: tuple[Path, ...], as_json: bool
) -> int:
    """Write the report files of a run: replayed, under three fill models, with plots.

    RUN is the folder of a run or a raw capture; a capture is traded on paper first.

    \b
    Example:
      polytrade report datasets/runs/20250601T120000Z
    """
    from polytrade.reports.command import run_report_command

    return run_report_command(
        run, out_root=out_root, configs=directory, as_json=as_json, sites=sites
    )


@click.command(context_settings=_CONTEXT)
@click.argument("manifest", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--run",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="The run or capture; otherwise runs/<run_id> of a folder above the manifest.",
)
@sites_option
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def verify(manifest: Path, run: Path | None, sites: tuple[Path, ...], as_json: bool) -> int:
    """Make a report again from the run it rests on; fail at the first byte that differs.

    MANIFEST is a truth_manifest.json or the folder that has it. Numbers of wall-clock origin are
    taken from it: nothing can reproduce them.

    \b
    Example:
      polytrade verify datasets/reports/2025-06-01/truth_manifest.json
    """
    from polytrade.reports.command import run_verify_command

    return run_verify_command(manifest, run=run, as_json=as_json, sites=sites)
