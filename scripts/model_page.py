"""The section of docs/results.md about the models: tables and the sentences that follow from them.

Every sentence is made from the numbers: none is written by hand.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from model_captures import Captured
from model_runs import (
    CONTROLS,
    MODELS,
    RunResult,
    SeedResult,
    mean_and_error,
    ratio_and_error,
)

from polytrade.builtin.horizons import NAMES
from polytrade.calibration import MID, Scores
from polytrade.core.markouts import HORIZONS_S
from polytrade.lenses import EXPECTED, LENSES

BEGIN: Final = "<!-- models: written by scripts/measure_models.py --write-docs -->"
END: Final = "<!-- models: end -->"
NONE: Final = "-"
ALL: Final = "all"
TRADING: Final = ("maker", "taker", "arb")
ENGINES: Final = (*TRADING, "flatten", ALL)

Row = dict[str, Any]


def write_page(page: Path, text: str) -> None:
    """Replace what stands between the markers; ValueError when the page lacks them."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN!r} and {END!r} in {page}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def section(seeds: Sequence[SeedResult], captures: Sequence[Captured], about: str) -> str:
    """Every table that there is something to fill with."""
    parts = [f"Measured {about}."]
    if seeds:
        scores = pooled(seeds)
        parts += [
            "### Forecasts on the local venue",
            f"{scores.resolved} markets resolved, {scores.split} of them 50-50, "
            f"{scores.unresolved} dropped without an outcome.",
            score_table(scores, "mid"),
            "\n".join(statements(scores)),
            "By seed (Brier score over all times to the end, and net profit of the run in USDC, "
            "expected lens):",
            seed_table(seeds),
            "### Profit on the local venue",
            "USDC a seed: mean over seeds ± its standard error.\n"
            "`net` is gross less fees with rebates as estimated, `net, no rebates` without them.\n"
            "What is held to the end of a window makes most of the error: markouts say more about "
            "an hour than profit does.",
            profit_table(seeds),
            "\n".join([*control_statements(seeds), *idle_statements(seeds)]),
            "### Markouts on the local venue",
            "Basis points of what the fills were worth, all seeds together ± standard error "
            "(a seed is one observation); `net` is after fees, without rebates.",
            markout_table(seeds),
        ]
        parts += [f"- {text}" for text in faults(seeds)]
    if captures:
        parts += ["### Real captures", capture_table(captures)]
        for each in captures:
            if each.scores.resolved:
                parts += [f"#### {each.name}", score_table(each.scores, each.against)]
                parts.append("\n".join(statements(each.scores, each.against)))
    return "\n\n".join(part for part in parts if part) + "\n"


def pooled(seeds: Sequence[SeedResult]) -> Scores:
    """The scores of all seeds together."""
    scores = Scores()
    for seed in seeds:
        scores.merge(seed.scores)
    return scores


# -- forecasts ------------------------------------------------------------------------------------


def score_table(scores: Scores, against: str) -> str:
    """Brier score and log loss of every model and of what it is compared with."""
    head = [
        *("model", "time to end", "markets", "samples", "Brier", f"{against}: Brier"),
        *("difference", "log loss", f"{against}: log loss", "verdict"),
    ]
    rows = []
    for name, label in scored_rows(scores):
        row = scores.overall[name].row() if label == ALL else _horizon(scores, name, label)
        if not row["samples"]:
            continue
        own = name == MID
        rows.append(
            (
                f"`{name}`",
                label,
                f"{row['markets']:,}",
                f"{row['samples']:,}",
                _number(row["brier"], 4),
                NONE if own else _number(row["mid_brier"], 4),
                NONE if own else _signed(row["gap"], row["gap_se"], 4),
                _number(row["log_loss"], 4),
                NONE if own else _number(row["mid_log_loss"], 4),
                NONE if own else row["verdict"] or NONE,
            )
        )
    return table(head, rows)


def scored_rows(scores: Scores) -> list[tuple[str, str]]:
    """Models in the order of the tables, each over all times and by time to the end."""
    names = [name for name in (*MODELS, MID) if name in scores.overall]
    return [(name, label) for name in names for label in (ALL, *NAMES)]


def _horizon(scores: Scores, name: str, label: str) -> Row:
    return scores.horizons[name][NAMES.index(label)].row()


def statements(scores: Scores, against: str = "the mid") -> list[str]:
    """Where each model is worse than what it is compared with, and where it is better."""
    lines = []
    for name in (name for name in MODELS if name in scores.overall):
        found: dict[str, list[str]] = {"worse": [], "better": [], "no different": []}
        for label in (ALL, *NAMES):
            row = scores.overall[name].row() if label == ALL else _horizon(scores, name, label)
            if row["verdict"] is not None:
                where = "over all times" if label == ALL else label
                gap = _signed(row["gap"], row["gap_se"], 4)
                found[row["verdict"]].append(f"{where} ({gap})")
        said = [f"{verdict}: {', '.join(where)}" for verdict, where in found.items() if where]
        if said:
            lines.append(f"- `{name}` against {against}, Brier score: {'; '.join(said)}.")
    return lines


def seed_table(seeds: Sequence[SeedResult]) -> str:
    """Each seed on a line."""
    names = [name for name in (*MODELS, MID) if name in pooled(seeds).overall]
    runs = list(seeds[0].runs)
    head = ["seed", "markets", *(f"`{name}` Brier" for name in names)]
    head += [f"`{name}` net" for name in runs]
    rows = [
        (
            str(seed.seed),
            str(seed.scores.resolved),
            *(_number(_brier(seed, name), 4) for name in names),
            *(_number(seed.runs[name].net_usdc(EXPECTED), 2) for name in runs),
        )
        for seed in seeds
    ]
    return table(head, rows)


def _brier(seed: SeedResult, name: str) -> float | None:
    score = seed.scores.overall.get(name)
    brier: float | None = score.row()["brier"] if score is not None else None
    return brier


# -- money ----------------------------------------------------------------------------------------


def profit_table(seeds: Sequence[SeedResult]) -> str:
    """Profit by run, lens and engine."""
    head = ("run", "lens", "engine", "fills", "gross", "fees", "rebates", "net", "net, no rebates")
    rows = []
    for run in seeds[0].runs:
        for lens in LENSES:
            for engine in ENGINES:
                found = [_lens_row(seed.runs[run], lens, engine) for seed in seeds]
                if any(row is not None for row in found):
                    rows.append((f"`{run}`", lens, engine, *_profits(found)))
    return table(head, rows)


def _lens_row(run: RunResult, lens: str, engine: str) -> Row | None:
    for row in run.lenses:
        if row["lens"] == lens and row["engine"] == engine:
            return row
    return None


def _profits(found: Sequence[Row | None]) -> list[str]:
    def of(value: Callable[[Row], float]) -> str:
        mean, error = mean_and_error([value(row) if row is not None else 0.0 for row in found])
        return _signed(mean, error, 2)

    fills = sum(row["fills"] for row in found if row is not None)
    cells = [f"{fills:,}"]
    for name in ("gross_usdc", "fees_usdc", "rebates_usdc", "net_usdc"):
        cells.append(of(lambda row, name=name: row[name]))  # type: ignore[misc]
    cells.append(of(lambda row: row["net_usdc"] - row["rebates_usdc"]))
    return cells


def control_statements(seeds: Sequence[SeedResult]) -> list[str]:
    """Whether the negative controls lose, as they must."""
    lines = []
    for run in (name for name in CONTROLS if name in seeds[0].runs):
        for lens in LENSES:
            said = []
            for what, rebates in (("net", True), ("net without rebates", False)):
                nets = [seed.runs[run].net_usdc(lens, rebates=rebates) for seed in seeds]
                mean, error = mean_and_error(nets)
                lost = sum(net < 0.0 for net in nets)
                said.append(
                    f"{what} {_signed(mean, error, 2)} ({_verdict(mean, error)}; {lost} of "
                    f"{len(nets)} seeds lose)"
                )
            lines.append(f"- `{run}`, {lens} lens: {', '.join(said)}.")
        lines.append(_control_markout(seeds, run))
    return lines


def idle_statements(seeds: Sequence[SeedResult]) -> list[str]:
    """Engines that were at work in a run and never traded."""
    idle = [
        f"`{engine}` of `{run}`"
        for run in (name for name in MODELS if name in seeds[0].runs)
        for engine in TRADING
        if not any(_lens_row(seed.runs[run], EXPECTED, engine) for seed in seeds)
    ]
    return [f"- Never traded: {', '.join(idle)}."] if idle else []


def _control_markout(seeds: Sequence[SeedResult], run: str) -> str:
    """What a control's fills made within the longest horizon: without the luck of what it held."""
    ends = [[sums[-1] for sums in seed.runs[run].markouts.values()] for seed in seeds]
    nets = [sum(sums.net for sums in end) for end in ends]
    mean, error = mean_and_error(nets)
    ratio, spread = ratio_and_error(nets, [sum(sums.worth for sums in end) for end in ends])
    lost = sum(net < 0.0 for net in nets)
    return (
        f"- `{run}`, {HORIZONS_S[-1]} s after its fills: {_signed(mean, error, 2)} USDC a seed, "
        f"{_signed(_bps(ratio), _bps(spread), 0)} bps of what they cost "
        f"({_verdict(mean, error)}; {lost} of {len(nets)} seeds lose)."
    )


def _verdict(mean: float | None, error: float | None) -> str:
    if mean is None or error is None:
        return "too few seeds"
    if mean < -2.0 * error:
        return "loses"
    return "earns" if mean > 2.0 * error else "neither loses nor earns beyond two standard errors"


def markout_table(seeds: Sequence[SeedResult]) -> str:
    """Markouts by run, engine and horizon."""
    head = ["run", "engine", "fills", *(f"{after} s" for after in HORIZONS_S)]
    head += [f"{after} s net" for after in HORIZONS_S]
    rows = []
    for run in seeds[0].runs:
        for engine in ENGINES[:-1]:
            found = [seed.runs[run].markouts.get(engine) for seed in seeds]
            if not any(found):
                continue
            cells: dict[str, list[str]] = {"gain": [], "net": []}
            for at in range(len(HORIZONS_S)):
                worth = [sums[at].worth if sums else 0.0 for sums in found]
                for kind, texts in cells.items():
                    gains = [getattr(sums[at], kind) if sums else 0.0 for sums in found]
                    ratio, error = ratio_and_error(gains, worth)
                    texts.append(_signed(_bps(ratio), _bps(error), 0))
            fills = sum(sums[0].fills for sums in found if sums)
            rows.append((f"`{run}`", engine, f"{fills:,}", *cells["gain"], *cells["net"]))
    return table(head, rows)


def _bps(ratio: float | None) -> float | None:
    return None if ratio is None else ratio * 1e4


def faults(seeds: Sequence[SeedResult]) -> list[str]:
    """What went wrong in a run: nothing should be here."""
    return [
        f"seed {seed.seed}, `{name}`: {text}"
        for seed in seeds
        for name, run in seed.runs.items()
        for text in (run.halted and f"halted, {run.halted}", run.broken)
        if text
    ]


# -- captures -------------------------------------------------------------------------------------


def capture_table(captures: Sequence[Captured]) -> str:
    """What each capture holds, and what cannot be computed from it."""
    head = ("capture", "holds", "markets scored", "cannot be computed")
    rows = [
        (each.name, each.what, str(each.scores.resolved), "; ".join(each.missing) or "nothing")
        for each in captures
    ]
    return table(head, rows)


# -- text -----------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a sentence when it would be empty."""
    if not rows:
        return "Nothing to show."
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"


def _signed(value: float | None, error: float | None, digits: int) -> str:
    if value is None:
        return NONE
    text = f"{value:+,.{digits}f}"
    return text if error is None else f"{text} ± {error:,.{digits}f}"
