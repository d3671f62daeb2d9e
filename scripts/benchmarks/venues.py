"""What the local venue costs while it lives: its process, followed by readers and by a daemon.

Twenty markets at a little more than 2,000 messages a second of the market channel together.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import attrs

from benchmarks.endtoend import growth_mb, quantile
from benchmarks.followers import Follower
from benchmarks.workers import ROOT

GROUP: Final = "venue"
COINS: Final = "btc,eth,sol,xrp"
AHEAD: Final = 4
"""Windows of 5 minutes listed in advance: with the running one five markets a coin, twenty."""
ACTIVITY: Final = 1.8
"""2,090 messages a second expected; their number is chance."""
QUICK_ACTIVITY: Final = 0.2
SECONDS: Final = 20.0
SECONDS_QUICK: Final = 2.0
SETTLE_S: Final = 5.0
"""The venue catches up with what it missed while it started, the daemon subscribes."""
SETTLE_QUICK_S: Final = 2.0
MEMORY_S: Final = 0.5
ANSWER_S: Final = 30.0
END_S: Final = 10.0
SHARE_BUDGET: Final = 1.0
"""Of one core: beside the daemon, which has the other."""
READERS: Final = ("two readers", "the daemon")


@attrs.frozen(kw_only=True)
class Presence:
    """The venue's process with these readers, each with two connections for all markets.

    `rate` is messages a second on each of them; `us` and `share` are CPU of the whole venue.
    Lateness is from the venue's plan to the arrival at a reader, the reader's own included; with
    the daemon that reader is a third connection that follows one market. `reader_share` is CPU of
    the daemon. `closed` connections were too slow for the venue.
    """

    load: str
    reader: str
    markets: int
    rate: float
    us: float
    share: float
    late_us_p50: float
    late_us_p99: float
    growth_mb: float | None = None
    reader_share: float | None = None
    closed: int = 0

    def over_budget(self) -> list[str]:
        """What of the budget this row breaks, in words."""
        found = []
        if self.share > SHARE_BUDGET:
            found.append(f"{self.share:.2f} cores, budget {SHARE_BUDGET:g}")
        if self.closed:
            found.append(f"{self.closed} connections closed as too slow")
        return found


def _get(url: str) -> Any:
    with urlopen(url, timeout=ANSWER_S) as answer:
        return json.load(answer)


class Process:
    """What a running process costs."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def cpu_s(self) -> float:
        """CPU time of all its threads so far, to a hundredth."""
        # Behind the name, which may hold spaces: user time is the 12th field, system the 13th.
        fields = (self._folder / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Memory in use."""
        pages = int((self._folder / "statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()


class VenueProcess(Process):
    """A live venue with its ready line; `assets` are both tokens of each market."""

    def __init__(self, pid: int, ready: dict[str, Any]) -> None:
        super().__init__(pid)
        self.ready = ready
        self.assets: list[list[str]] = []
        for slug in ready["slugs"]:
            market = _get(f"{ready['gamma_url']}/markets/slug/{slug}")
            self.assets.append(json.loads(market["clobTokenIds"]))

    def sent(self) -> tuple[int, int]:
        """Messages of the market channel so far, each counted once; connections closed as slow."""
        status = _get(f"{self.ready['admin_url']}/admin/status")
        slow = [row for row in status["connections"] if row["closed_because"] == "slow consumer"]
        return sum(status["messages"]["market"].values()), len(slow)


@contextmanager
def venue_process(activity: float) -> Iterator[VenueProcess]:
    """A venue that listens; it is gone after the block."""
    command = [
        *(sys.executable, "-m", "polytrade", "sandbox", "--exit-with-parent"),
        *("--coins", COINS, "--windows", "5m", "--windows-ahead", str(AHEAD)),
        *("--no-slow-markets", "--activity", str(activity)),
    ]
    with _process(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the venue ended with {process.wait(END_S)}")
        yield VenueProcess(process.pid, json.loads(line))


@contextmanager
def _process(command: Sequence[str], stdout: int) -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=stdout, text=True
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _daemon_command(venue: VenueProcess, data: str, seconds: float) -> list[str]:
    """The daemon of the sandbox's configuration on this venue instead of one of its own."""
    ready = venue.ready
    urls = ("market", "clob", "gamma", "rtds")
    settings = {
        "venue.managed": False,
        "universe.coins": COINS.split(","),
        "universe.windows_ahead": AHEAD,
        "storage.data_dir": data,
        "control.port": 0,
        **{f"feeds.{name}_url": ready[f"{name}_url"] for name in urls},
        **{
            f"feeds.{name}.url": ready[f"{name}_url"]
            for name in ("binance", "coinbase", "kraken", "okx", "bybit")
        },
    }
    command = [sys.executable, "-m", "polytrade", "daemon", "--config", "configs/sandbox"]
    for name, value in settings.items():
        command += ["--set", f"{name}={json.dumps(value)}"]
    return [*command, "--run-for", f"{seconds:g}"]


def _measured(
    venue: VenueProcess,
    daemon: Process | None,
    followers: Sequence[Follower],
    load: str,
    seconds: float,
) -> Presence:
    """Watch for so long."""
    processes = [venue] if daemon is None else [venue, daemon]
    sent, closed = venue.sent()
    for follower in followers:
        follower.reset()
    began, spent_s = time.monotonic(), [process.cpu_s() for process in processes]
    memory = []
    while time.monotonic() < began + seconds:
        time.sleep(MEMORY_S)
        memory.append((time.monotonic(), venue.resident_bytes()))
    wall_s = time.monotonic() - began
    spent_s = [one.cpu_s() - then for one, then in zip(processes, spent_s, strict=True)]
    late_ns = [late for follower in followers for late in follower.late_ns]
    sent_now, closed_now = venue.sent()
    return Presence(
        load=load,
        reader=READERS[daemon is not None],
        markets=len(venue.assets),
        rate=(sent_now - sent) / wall_s,
        us=spent_s[0] * 1e6 / max(sent_now - sent, 1),
        share=spent_s[0] / wall_s,
        late_us_p50=quantile(late_ns, 0.5) / 1000,
        late_us_p99=quantile(late_ns, 0.99) / 1000,
        growth_mb=growth_mb(memory),
        reader_share=None if daemon is None else spent_s[1] / wall_s,
        closed=closed_now - closed,
    )


def run(*, quick: bool) -> list[Presence]:
    """The cost of a venue with either reader."""
    found = [_presence(reader == READERS[1], quick) for reader in READERS]
    for row in found:
        for problem in row.over_budget():
            print(f"over budget: {row.load}, {row.reader}: {problem}", file=sys.stderr)
    return found


def _presence(with_daemon: bool, quick: bool) -> Presence:
    activity, seconds = (QUICK_ACTIVITY, SECONDS_QUICK) if quick else (ACTIVITY, SECONDS)
    settle_s = SETTLE_QUICK_S if quick else SETTLE_S
    with ExitStack() as stack:
        venue = stack.enter_context(venue_process(activity))
        followed = [[asset for pair in venue.assets for asset in pair]] * 2
        daemon: Process | None = None
        if with_daemon:
            data = stack.enter_context(tempfile.TemporaryDirectory(prefix="polytrade-bench-"))
            command = _daemon_command(venue, data, 2 * settle_s + seconds + ANSWER_S)
            process = stack.enter_context(_process(command, stdout=subprocess.DEVNULL))
            daemon, followed = Process(process.pid), [venue.assets[0]]
        url = venue.ready["market_url"]
        followers = [stack.enter_context(Follower(url, assets)) for assets in followed]
        time.sleep(settle_s)
        load = f"{len(venue.assets)} markets, activity {activity:g}"
        return _measured(venue, daemon, followers, load, seconds)
