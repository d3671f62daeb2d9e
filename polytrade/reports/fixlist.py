"""What to mend next: rules over the numbers of a report, the worst first."""

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from polytrade.calibration import MID
from polytrade.gates import COMPARISONS, GATES
from polytrade.lenses import EXPECTED, OPTIMISTIC, PESSIMISTIC
from polytrade.reports.report import PERCENTILES, Report
from polytrade.reports.tables import short
from polytrade.shadow import quantile_name

ADVICE: Final[Mapping[str, str]] = {
    "data_valid_ratio": "Look at `invalid_records_total` by reason: stale ticks call for a nearer "
    "host or a longer `stale_tick_filter_ms`, gaps for the feed that lost them.",
    "seq_gap_rate": "Find the source in `feed_gaps_total`; a full inbox or a slow reader drops "
    "before the network does.",
    "ts_inversion_rate": "A source delivers out of order: compare its relay with its own socket "
    "and switch the worse one off.",
    "tick_to_ack_p99_ms": "The venue answers late: check the route and the rate budget, and quote "
    "with a margin for what moves meanwhile.",
    "decision_compute_p99_ms": "The engine is slow: run `scripts/bench.py`, follow fewer markets, "
    "or build the core with mypyc.",
    "feed_in_p99_ms": "Prices arrive late: check the clock offset first, then the region of the "
    "host.",
    "executed_over_eligible": "Orders are refused: read the reasons of `orders_rejected_total`; "
    "crossing post-only quotes want a wider margin at the touch.",
    "quote_block_ratio": "The venue blocks quotes: slow the requoting (`requote_ticks`, `ttl_ms`) "
    "or lower the order rate.",
    "policy_block_ratio": "Our own limits block: raise the limit named most in "
    "`blocked_reason_counts`, or quote smaller.",
    "ev_net_usdc_p50": "The typical outcome loses: raise `min_edge_bps` or quote fewer markets.",
    "roi_notional_10s_bps_p50": "Fills lose within 10 s: widen the half spread, and pull quotes "
    "earlier on reference jumps.",
    "net_markout_10s_usdc_p50": "Fills lose within 10 s: see markouts by market, and leave those "
    "at the bottom of the scorecard.",
    "fillability_10ms": "Ten milliseconds later most orders would not have filled: the edge is a "
    "race; cut latency or rest deeper.",
    "net_edge_p50_bps": "The edge does not cover the fees: raise the trigger, or make instead of "
    "take.",
    "net_edge_p10_bps": "The worst tenth of edges is below cost: raise `min_edge_bps`.",
    "book_freshness_ms": "The book feed is silent: check its connection and subscriptions.",
    "ref_freshness_ms": "The fast reference is silent: add a second exchange.",
}
"""What to do about a gate that fails, by its metric."""
NO_SAMPLE: Final = "Nothing passes because nothing was measured: run until it has one."
NOT_TIMED: Final = "Only a live run can measure it; the report of a replay never passes its gate."


@attrs.frozen
class Finding:
    """One thing to mend: how bad (0 is worst), what was found, what to do."""

    weight: int
    found: str
    advice: str


Rule = Callable[[Report], list[Finding]]


def findings(report: Report) -> list[Finding]:
    """Everything the rules find, the worst first."""
    found = [finding for rule in RULES for finding in rule(report)]
    return sorted(found, key=lambda finding: finding.weight)


def fixlist_text(report: Report) -> str:
    """The file `next_fixlist.md`."""
    found = findings(report)
    lines = [f"# Next to mend: run {report.basis.run_id}, {report.day}", ""]
    if not found:
        lines.append("No rule found anything.")
    for number, finding in enumerate(found, 1):
        lines.append(f"{number}. **{finding.found}** {finding.advice}")
    return "\n".join(lines) + "\n"


def _losses(report: Report) -> list[Finding]:
    basis = report.basis
    lost = basis.records_lost + basis.records_missing + basis.records_damaged
    if not lost:
        return []
    text = f"{lost} records are not in the data this report rests on."
    advice = "A replay across the hole is not exact: use a faster disk, or follow fewer markets."
    return [Finding(0, text, advice)]


def _ready(report: Report) -> list[Finding]:
    if report.gate.ready:
        return []
    count = short(report.shadow.get("window_outcomes"))
    text = f"The window has {count} outcomes, too few to judge."
    return [Finding(1, text, "Run longer before changing anything.")]


def _gates(report: Report) -> list[Finding]:
    values = report.all_values()
    latencies = report.wall["latency"]
    timed = {quantile_name(name, each) for name in latencies for each in PERCENTILES}
    found = []
    for gate in GATES:
        value = values.get(gate.metric)
        if value is None:
            text = f"`{gate.metric}` has no sample."
            advice = NO_SAMPLE if gate.metric not in timed else NOT_TIMED
            found.append(Finding(4, text, advice))
        elif not COMPARISONS[gate.comparison](value, gate.limit):
            text = f"`{gate.metric}` is {value:.6g}, wanted {gate.comparison} {gate.limit:g}."
            found.append(Finding(2, text, ADVICE[gate.metric]))
    return found


def _lenses(report: Report) -> list[Finding]:
    nets = report.net_by_lens()
    told = ", ".join(f"{name} {short(net)} USDC" for name, net in nets.items())
    if not any(report.lens(name)["fills"] for name in nets):
        return [Finding(3, "Nothing filled under any lens.", "See the funnel for where it stops.")]
    if nets[EXPECTED] > 0 >= nets[PESSIMISTIC]:
        advice = "The profit hangs on the queue model: count on none before live fills show it."
        return [Finding(2, f"Net profit changes sign with the fill model: {told}.", advice)]
    if nets[EXPECTED] <= 0 < nets[OPTIMISTIC]:
        advice = "Only the model that flatters makers gains: this is a loss."
        return [Finding(2, f"Net profit is optimistic at best: {told}.", advice)]
    if max(nets.values()) <= 0:
        return [Finding(2, f"A loss under every fill model: {told}.", "Do not run this live.")]
    return []


def _fees(report: Report) -> list[Finding]:
    row = report.lens(EXPECTED)
    if row["gross_usdc"] > 0 > row["net_usdc"]:
        text = f"Fees of {short(row['fees_usdc'])} USDC eat {short(row['gross_usdc'])} gross."
        return [Finding(3, text, "Take less: raise `taker_trigger_bps`.")]
    return []


def _models(report: Report) -> list[Finding]:
    """Models that the mid beats, or that are not told apart from it, at the same moments."""
    found = []
    for name, row in report.calibration["overall"].items():
        if name == MID or not row["samples"] or row["verdict"] == "better":
            continue
        brier, mid = row["brier"], row["mid_brier"]
        how = "worse than" if row["verdict"] == "worse" else "not shown to be better than"
        text = f"`{name}` is {how} the market's mid: Brier {brier:.4f}, mid {mid:.4f}."
        advice = "Its edges are noise where they differ: blend it, or quote around the mid."
        found.append(Finding(3, text, advice))
    return found


def _blocked(report: Report) -> list[Finding]:
    counts: dict[str, int] = report.shadow.get("blocked_reason_counts") or {}
    if not counts:
        return []
    reason, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    text = f"The most frequent block is `{reason}`, {count} of {sum(counts.values())}."
    return [Finding(5, text, "It is the first limit or reason to look at when more is wanted.")]


RULES: Final[tuple[Rule, ...]] = (_losses, _ready, _gates, _lenses, _fees, _models, _blocked)
