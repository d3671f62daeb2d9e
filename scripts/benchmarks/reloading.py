"""Reloads in a row while the daemon trades: what they cost it, and that nothing is lost by them.

A local venue with twenty markets at a little more than 2,000 messages a second, a whole daemon in a
process of its own, and reloads asked for over HTTP one after the other.
"""

import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import attrs

from benchmarks.endtoend import quantile
from benchmarks.venues import (
    ACTIVITY,
    AHEAD,
    COINS,
    QUICK_ACTIVITY,
    VenueProcess,
    venue_process,
)
from benchmarks.workers import ROOT, Worker, worker

GROUP: Final = "reload"
PARAMETERS: Final = "parameters"
IMPLEMENTATION: Final = "implementation"
CODE: Final = "code"
NONE: Final = "none"
COUNT: Final = 200
COUNT_QUICK: Final = 10
BASELINE_S: Final = 240.0
BASELINE_QUICK_S: Final = 5.0
SETTLE_S: Final = 10.0
SETTLE_QUICK_S: Final = 5.0
ANSWER_S: Final = 60.0
PACE_S: Final = 0.25
"""Least time between two reloads: also those of parameters go on for long enough to trade."""
PAUSE_BUDGET_MS: Final = 5.0
MODULES_MAX: Final = 10
"""Modules of a plugin that may be alive: those of the generations kept for a rollback, of the one
in force, and of the one before the next collection."""
PLUGIN: Final = "glft"
SECOND: Final = "second"
"""What implementations are switched between: two distributions with the same sources."""


@attrs.frozen(kw_only=True)
class Reloading:
    """Reloads of one kind in a row; `none` is the same daemon left alone.

    `took_ms` is from the request to its answer, `pause_ms` how long the engine is held up by a
    swap. `handled`, `lost` and `doubled` are events; `orphans` orders at the paper venue that the
    engine does not know. `alive` are old lineups that a collection does not free, `modules` the
    most generations of one plugin's code in memory. `growth_mb` compares memory after collections
    at the half and at the end: in the first half caches, histories and kept generations fill.
    """

    kind: str
    reloads: int
    refused: int
    rate: float
    took_ms_p50: float
    took_ms_p99: float
    pause_ms_p50: float
    pause_ms_p99: float
    pause_ms_max: float
    handled: int
    lost: int
    doubled: int
    placed: int
    orphans: int
    alive: int
    modules: int
    growth_mb: float
    decision_us_p99: float
    lag_ms_p99: float

    def over_budget(self) -> list[str]:
        """What of the budget this row breaks, in words."""
        found = []
        if self.pause_ms_p99 > PAUSE_BUDGET_MS:
            found.append(f"pause p99 {self.pause_ms_p99:.2f} ms, budget {PAUSE_BUDGET_MS:g} ms")
        for count, what in (
            (self.refused, "reloads refused"),
            (self.lost, "events lost"),
            (self.doubled, "events handled twice"),
            (self.orphans, "orders orphaned"),
            (self.alive, "old lineups alive"),
            (max(self.modules - MODULES_MAX, 0), "generations of code too many"),
        ):
            if count:
                found.append(f"{count} {what}")
        if not self.placed:
            found.append("no order placed: the daemon did not trade")
        return found


class ReloadsBroken(Exception):
    """The journal is not what was stepped, or orders rest after the stop."""


class _Phase:
    """Reloads of one kind, one after the other."""

    def __init__(self, kind: str, url: str, child: Worker) -> None:
        self.kind = kind
        self._url = url
        self._child = child
        self.took_ms: list[float] = []
        self.refused = 0

    def run(self, count: int, body: Callable[[int], dict[str, Any]]) -> Reloading:
        """Ask for so many; numbers of what happened meanwhile."""
        before = self._child.ask(mark=True)
        memory = before["memory"]
        for number in range(count):
            if number == count // 2:
                memory = self._child.ask(memory=True)["memory"]
            began = time.perf_counter()
            status, answer = _post(f"{self._url}/control/reload_strategy", body(number))
            took_s = time.perf_counter() - began
            self.took_ms.append(took_s * 1000)
            if status != 200:
                self.refused += 1
                print(f"{self.kind} refused: {answer}", file=sys.stderr)
            time.sleep(max(PACE_S - took_s, 0))
        return self.row(before, memory, count)

    def idle(self, seconds: float) -> Reloading:
        """The same without a reload."""
        before = self._child.ask(mark=True)
        time.sleep(seconds / 2)
        memory = self._child.ask(memory=True)["memory"]
        time.sleep(seconds / 2)
        return self.row(before, memory, 0)

    def row(self, before: dict[str, Any], memory: int, count: int) -> Reloading:
        """Everything since `before`."""
        after = self._child.ask(mark=True)
        pauses = [0.0]
        if count:
            rows = _get(f"{self._url}/control/history")["reloads"][-count:]
            pauses = [row["pause_us"] / 1000 for row in rows if "pause_us" in row] or pauses
        seconds = after["mono_s"] - before["mono_s"]
        handled = after["handled"] - before["handled"]
        return Reloading(
            kind=self.kind,
            reloads=count,
            refused=self.refused,
            rate=handled / seconds,
            took_ms_p50=_quantile(self.took_ms, 0.5),
            took_ms_p99=_quantile(self.took_ms, 0.99),
            pause_ms_p50=_quantile(pauses, 0.5),
            pause_ms_p99=_quantile(pauses, 0.99),
            pause_ms_max=max(pauses),
            handled=handled,
            lost=after["lost"] - before["lost"],
            doubled=after["doubled"] - before["doubled"],
            placed=after["placed"] - before["placed"],
            orphans=after["orphans"],
            alive=after["alive"]["lineup"] - 1,
            modules=after["alive"]["module"],
            growth_mb=(after["memory"] - memory) / 1e6,
            decision_us_p99=after["decision_ns"] / 1e3,
            lag_ms_p99=after["lag_ns"] / 1e6,
        )


def run(*, quick: bool) -> list[Reloading]:
    """The three kinds of reloads, behind a while without any."""
    activity, count = (QUICK_ACTIVITY, COUNT_QUICK) if quick else (ACTIVITY, COUNT)
    with ExitStack() as stack:
        venue = stack.enter_context(venue_process(activity))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polytrade-bench-")))
        site = Site(folder / "site")
        for plugin in (PLUGIN, SECOND):
            site.install(plugin, 0)
        port = _free_port()
        child = stack.enter_context(worker("reloaded"))
        child.ask(site=str(site.folder), overrides=_overrides(venue, folder, port))
        url = f"http://127.0.0.1:{port}"
        _wait_ready(url)
        time.sleep(SETTLE_QUICK_S if quick else SETTLE_S)
        rows = [_Phase(NONE, url, child).idle(BASELINE_QUICK_S if quick else BASELINE_S)]
        for kind, body in _bodies(site).items():
            rows.append(_Phase(kind, url, child).run(count, body))
        _check(child.ask(stop=True))
    for row in rows:
        for problem in row.over_budget():
            print(f"over budget: {row.kind}: {problem}", file=sys.stderr)
    return rows


def _bodies(site: "Site") -> dict[str, Callable[[int], dict[str, Any]]]:
    """What is asked for the n-th time of each kind; the maker is glft behind the second."""

    def parameters(number: int) -> dict[str, Any]:
        return {"min_edge_bps": 4.0 + number % 2}

    def implementation(number: int) -> dict[str, Any]:
        return {"plugin": (PLUGIN, SECOND)[number % 2]}

    def code(number: int) -> dict[str, Any]:
        site.install(PLUGIN, number + 1)
        return {"plugin": PLUGIN, "code": True}

    return {PARAMETERS: parameters, IMPLEMENTATION: implementation, CODE: code}


def _check(end: dict[str, Any]) -> None:
    """The end is in order: every event once in the journal, nothing rests."""
    if not end["same"] or end["events"] != end["journalled"]:
        raise ReloadsBroken(f"{end['events']} events stepped, {end['journalled']} in the journal")
    if end["resting"]:
        raise ReloadsBroken(f"{end['resting']} orders rest after the stop")


class Site:
    """A folder of installed distributions, laid out as pip leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, plugin: str, number: int) -> None:
        """Version 1.0.`number` of the glft maker under this name; replaces the one before it."""
        module = f"polytrade_{plugin}"
        source = ROOT / "plugins" / "polytrade-glft" / "polytrade_glft"
        for file in sorted(source.glob("*.py")):
            text = file.read_text(encoding="utf-8").replace("polytrade_glft", module)
            if file.name == "__init__.py":
                text = text.replace(f'"{PLUGIN}":', f'"{plugin}":') + f"\nNUMBER = {number}\n"
            target = self.folder / module / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        for old in self.folder.glob(f"{module}-*.dist-info/*"):
            old.unlink()
        for gone in self.folder.glob(f"{module}-*.dist-info"):
            gone.rmdir()
        info = self.folder / f"{module}-1.0.{number}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: polytrade-{plugin}\nVersion: 1.0.{number}\n"
        )
        (info / "entry_points.txt").write_text(f"[polytrade]\n{plugin} = {module}\n")


def _overrides(venue: VenueProcess, folder: Path, port: int) -> list[str]:
    """The sandbox's configuration on this venue; quotes from the first minute on."""
    ready = venue.ready
    settings = {
        "venue.managed": False,
        "universe.coins": COINS.split(","),
        "universe.windows_ahead": AHEAD,
        "storage.data_dir": str(folder / "runs"),
        "control.port": port,
        "strategy.fair_value": "basis_mr",  # needs no volatility to warm up
        "risk.max_loss_streak": 1_000,
        "risk.daily_drawdown_cap_pct": 1.0,
        "risk.orders_per_s": 200,
        **{
            f"feeds.{name}_url": ready[f"{name}_url"]
            for name in ("market", "clob", "gamma", "rtds")
        },
        **{
            f"feeds.{name}.url": ready[f"{name}_url"]
            for name in ("binance", "coinbase", "kraken", "okx", "bybit")
        },
    }
    return [f"{name}={json.dumps(value)}" for name, value in settings.items()]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait_ready(url: str) -> None:
    end_s = time.monotonic() + ANSWER_S
    while time.monotonic() < end_s:
        try:
            _get(f"{url}/health?ready=1")
            return
        except OSError:  # refused, or not ready yet
            time.sleep(0.2)
    raise TimeoutError(f"the daemon is not ready within {ANSWER_S:g} s")


def _get(url: str) -> Any:
    with urlopen(url, timeout=ANSWER_S) as answer:
        return json.load(answer)


def _post(url: str, body: dict[str, Any]) -> tuple[int, Any]:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=ANSWER_S) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, error.read().decode()


def _quantile(values: Sequence[float], share: float) -> float:
    return quantile([round(value * 1e6) for value in values], share) / 1e6
