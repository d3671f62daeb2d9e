"""A capture played by the local venue to a daemon: two processes, real sockets, one report.

Both are started as a user starts them. The venue serves every frame verbatim; the daemon follows
the capture's markets by slug, records what it receives, and is stopped with SIGTERM.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import httpx2

from polytrade.strict import load, to_toml

ROOT: Final = Path(__file__).resolve().parent.parent
CONFIG: Final = ROOT / "configs" / "sandbox"
COINS: Final = ("btc", "eth", "sol", "xrp", "doge")
"""Coins whose reference prices captures have; none of their windows is looked for."""
EXCHANGES: Final = ("binance", "coinbase", "kraken", "okx", "bybit")
URLS: Final = ("market_url", "clob_url", "gamma_url", "rtds_url", "polybolt_url")
READY_S: Final = 120.0
"""Longest either process may take to get ready: the venue reads its capture first."""
SLACK_S: Final = 90.0
"""How much longer than its length a playback may take on a busy machine."""
SETTLED_S: Final = 30.0
"""Longest the daemon may take for what is still on the sockets when the venue is done."""
STOP_S: Final = 60.0
POLL_S: Final = 0.2
ANSWER_S: Final = 30.0
LISTENS: Final = re.compile(r"(http://[0-9.:]+).*control plane listens")


class PlaybackFailed(Exception):
    """A process ended or did not get as far as it should have."""


@attrs.frozen(kw_only=True)
class LiveRun:
    """What a live run left: both sides' reports, its folder, and the configuration it ran under.

    `status` is the venue's `/admin/status`, `quality` the daemon's `/quality`, `health` its
    `/health`, all after everything played had arrived. `config` is a folder for `replay --config`.
    """

    ready: dict[str, Any]
    status: dict[str, Any]
    quality: dict[str, Any]
    health: dict[str, Any]
    metrics: str
    run: Path
    config: Path
    exit_code: int
    wall_s: float


def play(capture: Path, work: Path, speed: float) -> LiveRun:
    """Play a capture to a daemon, from start to stop; raises PlaybackFailed."""
    began_s = time.monotonic()
    with _process(_venue_command(capture, speed), work / "venue.log", stdout=True) as venue:
        assert venue.stdout is not None
        ready = json.loads(venue.stdout.readline() or "{}")
        if not ready.get("ready"):
            raise PlaybackFailed(f"the venue did not start: {_tail(work / 'venue.log')}")
        overrides = _overrides(ready, work)
        config = _effective(work, overrides)
        with _process(_daemon_command(overrides), work / "daemon.log") as daemon:
            url = _listening(daemon, work / "daemon.log")
            status = _play_to_the_end(daemon, ready["admin_url"], work)
            quality = _settled(daemon, url, ready["admin_url"], work)
            status = _get(ready["admin_url"] + "/admin/status").json()
            health = _get(url + "/health").json()
            metrics = _get(url + "/metrics").text
            daemon.send_signal(signal.SIGTERM)
            code = daemon.wait(STOP_S)
    (run,) = (work / "runs").iterdir()
    return LiveRun(
        ready=ready,
        status=status,
        quality=quality,
        health=health,
        metrics=metrics,
        run=run,
        config=config,
        exit_code=code,
        wall_s=time.monotonic() - began_s,
    )


def polytrade(*arguments: str) -> list[str]:
    """The command line of a `polytrade` command of this checkout."""
    return [sys.executable, "-m", "polytrade", *arguments]


def environment() -> dict[str, str]:
    """The processes' environment: this checkout first."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _venue_command(capture: Path, speed: float) -> list[str]:
    return polytrade("sandbox", "--playback", str(capture), "--speed", f"{speed:g}")


def _overrides(ready: dict[str, Any], work: Path) -> list[str]:
    """What is not as in configs/sandbox, as `--set` takes it.

    Windows of now are not looked for; reference sources that a capture has only minutes apart are
    not called silent; a busy machine is not what is measured here.
    """
    settings: dict[str, object] = {
        "venue.managed": False,
        "control.port": 0,
        "storage.data_dir": str(work / "runs"),
        "storage.record_raw": True,
        "storage.segment_mb": 4096,
        "universe.coins": list(COINS),
        "universe.windows": [],
        "universe.slugs": ready["slugs"],
        "feeds.reference_silence_s": 600,
        "risk.max_loop_lag_ms": 60000,
    }
    settings |= {f"feeds.{name}": ready.get(name, "") for name in URLS}
    for name in EXCHANGES:
        url = ready.get(f"{name}_url", "")
        settings |= {f"feeds.{name}.enabled": bool(url), f"feeds.{name}.url": url}
    return [f"{name}={json.dumps(value)}" for name, value in settings.items()]


def _daemon_command(overrides: list[str]) -> list[str]:
    sets = [word for override in overrides for word in ("--set", override)]
    return polytrade("daemon", "--config", str(CONFIG), *sets)


def _effective(work: Path, overrides: list[str]) -> Path:
    """A configuration folder with exactly what the daemon will run under."""
    folder = work / "config"
    folder.mkdir()
    text = to_toml(load(CONFIG, overrides))
    (folder / "effective.toml").write_text(text, encoding="utf-8")
    return folder


@contextmanager
def _process(
    command: list[str], log: Path, *, stdout: bool = False
) -> Iterator[subprocess.Popen[str]]:
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout else file,
            stderr=file,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-1500:]


def _until(
    process: subprocess.Popen[str], condition: Callable[[], bool], limit_s: float, what: str
) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if process.poll() is not None:
            raise PlaybackFailed(f"the daemon ended with {process.returncode} before {what}")
        if time.monotonic() > deadline_s:
            raise PlaybackFailed(f"not within {limit_s:g} s: {what}")
        time.sleep(POLL_S)


def _listening(daemon: subprocess.Popen[str], log: Path) -> str:
    found: list[str] = []

    def listens() -> bool:
        found.extend(LISTENS.findall(_tail(log)))
        return bool(found)

    _until(daemon, listens, READY_S, "the control plane")
    return found[0]


def _get(url: str) -> httpx2.Response:
    answer = httpx2.get(url, timeout=ANSWER_S)
    answer.raise_for_status()
    return answer


def _play_to_the_end(daemon: subprocess.Popen[str], admin: str, work: Path) -> dict[str, Any]:
    status: dict[str, Any] = _get(admin + "/admin/status").json()
    limit_s = status["length_s"] / status["speed"] + SLACK_S

    def done() -> bool:
        status.update(_get(admin + "/admin/status").json())
        return bool(status["done"])

    try:
        _until(daemon, done, limit_s, "the end of the capture")
    except PlaybackFailed as error:
        raise PlaybackFailed(f"{error}: {_tail(work / 'daemon.log')}") from None
    return status


def _settled(daemon: subprocess.Popen[str], url: str, admin: str, work: Path) -> dict[str, Any]:
    """The daemon's report once it has received everything the venue sent."""
    quality: dict[str, Any] = {}

    def settled() -> bool:
        quality.update(_get(url + "/quality").json())
        status = _get(admin + "/admin/status").json()
        sent = sum(row["frames"] + sum(row["extra"].values()) for row in status["connections"])
        got = sum(row["messages"] for row in quality["feeds"] if row["name"] != "gamma/0")
        return bool(got >= sent)

    _until(daemon, settled, SETTLED_S, f"everything sent has arrived ({work.name})")
    return quality
