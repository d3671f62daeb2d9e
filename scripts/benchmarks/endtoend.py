"""From the sender's stamp to the decision, over a real socket on loopback.

Every load goes, in turn and several times over, to the daemon's parts, to trio-websocket alone and
to a blocking socket; sender and reader are children of their own.
"""

import math
import statistics
import sys
from collections.abc import Sequence
from typing import Any, Final

import attrs

from benchmarks.measure import Row, row_of
from benchmarks.workers import Worker, worker

GROUP: Final = "endtoend"
CLIENTS: Final = ("daemon", "bare", "blocking")
NAMES: Final = {
    "daemon": "the daemon's parts",
    "bare": "trio-websocket alone",
    "blocking": "a blocking socket",
}
SECONDS: Final = 3.0
SECONDS_QUICK: Final = 0.5
SOAK_S: Final = 60.0
SOAK_QUICK_S: Final = 2.0
WARM: Final = 0.2
"""This share of a run's messages comes first and is left out of the latencies."""
P99_BUDGET_MS: Final = 1.0
LAG_BUDGET_MS: Final = 5.0
GROWTH_BUDGET_MB: Final = 1.0
"""Resident memory a minute, in the second half of the soak."""


@attrs.frozen
class Load:
    """Messages a second, sent `burst` at once."""

    name: str
    rate: int
    burst: int = 1


LOADS: Final = (
    Load("500/s", 500),
    Load("2,000/s", 2_000),
    Load("200 every 100 ms", 2_000, 200),
)
SOAK: Final = Load("2,000/s for a minute", 2_000)


@attrs.frozen(kw_only=True)
class Passage:
    """One reader under one load: medians over the repeats of each run's own quantiles.

    Latencies run from the sender's stamp to the decision (for the others: to the parsed message).
    `sender_us_p99` is how late the sender itself was. None where a reader has no such number.
    """

    load: str
    reader: str
    repeats: int
    us: float
    share: float
    p50_us: float
    p99_us: float
    p999_us: float
    sender_us_p99: float
    decision_us_p99: float | None = None
    lag_ms_p99: float | None = None
    growth_mb: float | None = None
    missing: int = 0

    def over_budget(self) -> list[str]:
        """What of the budget this row breaks, in words; only the daemon has one, at 2,000/s."""
        if self.reader != NAMES["daemon"] or not self.load.startswith("2,000/s"):
            return []
        found = []
        if self.p99_us > P99_BUDGET_MS * 1000:
            found.append(f"p99 {self.p99_us / 1000:.2f} ms, budget {P99_BUDGET_MS:g} ms")
        if self.lag_ms_p99 is not None and self.lag_ms_p99 > LAG_BUDGET_MS:
            found.append(f"loop lag p99 {self.lag_ms_p99:.2f} ms, budget {LAG_BUDGET_MS:g} ms")
        if self.growth_mb is not None and self.growth_mb > GROWTH_BUDGET_MB:
            found.append(
                f"memory grows {self.growth_mb:.2f} MB/min, budget {GROWTH_BUDGET_MB:g} MB/min"
            )
        if self.missing:
            found.append(f"{self.missing} messages never decided on")
        return found


def quantile(values: Sequence[int], share: float) -> float:
    """The nearest-rank quantile; NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[math.ceil(len(values) * share) - 1]


def growth_mb(memory: Sequence[Sequence[float]]) -> float | None:
    """MB a minute between the quarters around the middle and the end of (second, bytes)."""
    half = memory[len(memory) // 2 :]
    if len(half) < 8:
        return None
    quarter = len(half) // 4
    first, last = half[:quarter], half[-quarter:]
    minutes = (statistics.mean(s for s, _ in last) - statistics.mean(s for s, _ in first)) / 60
    grown = statistics.median(b for _, b in last) - statistics.median(b for _, b in first)
    return grown / 1e6 / minutes


def _once(server: Worker, reader: Worker, client: str, load: Load, seconds: float) -> "_Run":
    count = round(load.rate * seconds)
    ready = server.ask(count=count, rate=load.rate, burst=load.burst, seed=1)
    server.send(run=True)
    reader.send(client=client, count=count, seconds=seconds + 30.0, **ready)
    found, sent = reader.answer(), server.answer()
    if "error" in sent:
        raise RuntimeError(f"{load.name} to {NAMES[client]}: the sender failed: {sent['error']}")
    return _Run(found, sent["sent"], sent["planned"])


class _Run:
    """One run's numbers, in us."""

    def __init__(self, found: dict[str, Any], sent: list[int], planned: list[int]) -> None:
        stamps = found["stamps"]
        self.missing = len(sent) - len(stamps)
        warm = int(len(sent) * WARM)
        # With messages missing nothing tells which: then no latency is known.
        late = [done - began for began, done in zip(sent[warm:], stamps[warm:], strict=False)]
        known = late if not self.missing else []
        self.quantiles = [quantile(known, share) / 1000 for share in (0.5, 0.99, 0.999)]
        behind = [began - due for began, due in zip(sent, planned, strict=True)]
        self.sender_us_p99 = quantile(behind, 0.99) / 1000
        self.us = found["cpu_ns"] / 1000 / max(len(stamps), 1)
        self.share = found["cpu_ns"] / max(found["wall_ns"], 1)
        self.found = found


def _passage(load: Load, client: str, runs: Sequence[_Run]) -> Passage:
    daemon = client == "daemon"

    def median(values: Sequence[float]) -> float:
        return statistics.median(values)

    p50, p99, p999 = (median([run.quantiles[at] for run in runs]) for at in range(3))
    grown = growth_mb(runs[-1].found["memory"]) if daemon and load is SOAK else None
    return Passage(
        load=load.name,
        reader=NAMES[client],
        repeats=len(runs),
        us=median([run.us for run in runs]),
        share=median([run.share for run in runs]),
        p50_us=p50,
        p99_us=p99,
        p999_us=p999,
        sender_us_p99=median([run.sender_us_p99 for run in runs]),
        decision_us_p99=median([run.found["decision_ns"][1] / 1e3 for run in runs])
        if daemon
        else None,
        lag_ms_p99=median([run.found["lag_ns"][1] / 1e6 for run in runs]) if daemon else None,
        growth_mb=grown,
        missing=sum(run.missing for run in runs),
    )


def run(repeats: int, *, quick: bool) -> tuple[list[Row], list[Passage]]:
    """CPU a message against both baselines, and the latencies of all three; then the soak."""
    seconds = SECONDS_QUICK if quick else SECONDS
    rows: list[Row] = []
    passages: list[Passage] = []
    with worker("market_server") as server, worker("clients") as reader:
        runs: dict[tuple[str, str], list[_Run]] = {}
        for turn in range(repeats):
            for load in LOADS:
                for at in range(len(CLIENTS)):
                    client = CLIENTS[(at + turn) % len(CLIENTS)]
                    done = _once(server, reader, client, load, seconds)
                    runs.setdefault((load.name, client), []).append(done)
        for load in LOADS:
            passages += [_passage(load, client, runs[load.name, client]) for client in CLIENTS]
            for other in CLIENTS[1:]:
                pairs = zip(runs[load.name, "daemon"], runs[load.name, other], strict=True)
                found = [(ours.us, theirs.us) for ours, theirs in pairs]
                rows.append(row_of(GROUP, f"a message at {load.name}", NAMES[other], found))
        soak = _once(server, reader, "daemon", SOAK, SOAK_QUICK_S if quick else SOAK_S)
        passages.append(_passage(SOAK, "daemon", [soak]))
    for passage in passages:
        for problem in passage.over_budget():
            print(f"over budget: {passage.load}: {problem}", file=sys.stderr)
    return rows, passages
