"""Check the daemon against real captures: counts, hashes, validity, digests; live and replayed.

Usage: python scripts/check_captures.py --captures DIR [--only NAME]... [--speed X] [--json-out F]
[--write-docs]. The captures are no part of the project; POLYTRADE_CAPTURES names the folder too.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

HERE: Final = Path(__file__).resolve().parent
sys.path[:0] = [folder for folder in (str(HERE), str(HERE.parent)) if folder not in sys.path]

from capture_counts import (  # noqa: E402 - see above
    MARKET,
    VERDICTS,
    Counts,
    Survey,
    count,
    survey,
    write_chain,
)
from capture_page import write_page  # noqa: E402
from live_playback import ROOT, LiveRun, PlaybackFailed, environment, play, polytrade  # noqa: E402

from polytrade.captures import write_capture  # noqa: E402
from polytrade.importers import read_capture  # noqa: E402

PLAYED_S: Final = 30.0
"""A longer capture is played faster, so that it lasts this long, within the two limits below."""
PLAYED_PER_S: Final = 400.0
"""Messages a second beyond which a capture is not sped up: below the busiest live market's."""
SPEED_MAX: Final = 1000.0
"""The venue's own limit."""
JONAH: Final = "jonah-multisource/m9-rtds-"
CASES: Final = {
    "cronos": "cronos-btc5m-book",
    "ali": "ali-btc5m-raw/market-ws.head.jsonl",
    "jonah-smoke": f"{JONAH}chainlink-smoke-20260428b/raw_messages.jsonl",
    "jonah-startup": f"{JONAH}current-window-startuplog-20260429T035356Z/raw_messages.jsonl",
    "jonah-natural": f"{JONAH}natural-20260429T021025Z-fresh/raw_messages.jsonl",
    "tinli": "tinli-fixtures/ws_frames_fed.json",
    "polycopy": "polycopy-fixtures/clob_ws_market_sample.jsonl",
    "ssmd-book": "ssmd-fixtures/polymarket_book.jsonl",
    "ssmd-trade": "ssmd-fixtures/polymarket_trade.jsonl",
    "pulsearb-change": "pulsearb-frames/poly_ws_price_change.jsonl",
    "pulsearb-tick": "pulsearb-frames/poly_ws_tick_size_change.jsonl",
    "pulsearb-resolved": "pulsearb-frames/poly_ws_market_resolved.jsonl",
    "pulsearb-pong": "pulsearb-frames/poly_ws_pong.jsonl",
    "legacy": "legacy-formats/aaimek_price_change_messages_202501302221.csv",
}
"""Every capture with frames of Polymarket's market channel, by a short name."""
DATA_TAGS: Final = (
    "book_changed",
    "best_quoted",
    "trade_printed",
    "tick_size_changed",
    "market_resolved",
)
"""Events that come from market-channel messages alone; whole books come over REST as well."""


@attrs.define
class Report:
    """What was found for one capture; `wrong` is empty when everything holds."""

    name: str
    path: str
    counts: Counts
    survey: Survey
    speed: float = 0.0
    live: LiveRun | None = None
    not_played: str = ""
    digests: dict[str, str] = attrs.field(factory=dict)
    rest_books: int = 0
    wrong: list[str] = attrs.field(factory=list)

    def expect(self, what: str, expected: object, found: object) -> None:
        """Note what does not hold."""
        if expected != found:
            self.wrong.append(f"{what}: expected {expected}, found {found}"[:600])

    def to_dict(self) -> dict[str, Any]:
        """The numbers, as plain data."""
        result, live = self.survey.result, self.live
        return {
            "name": self.name,
            "path": self.path,
            "length_s": round(self.counts.length_s, 3),
            "frames": dict(sorted(self.counts.frames.items())),
            "messages": dict(sorted(self.counts.messages.items())),
            "keepalives": self.counts.keepalives,
            "replay": {
                "events": result.events_by_type,
                "quality": result.quality,
                "books": result.books,
                "orders": result.orders,
                "fills": result.fills,
                "data_valid_ratio": self.survey.valid_ratio,
                "invalid": self.survey.invalid,
                "hashes": self.survey.hashes,
                "unchecked": self.survey.unchecked,
                "states": self.survey.states,
                "states_fitting": self.survey.states_fitting,
            },
            "speed": self.speed,
            "not_played": self.not_played,
            "live": None if live is None else _live_dict(live, self.rest_books),
            "digests": self.digests,
            "wrong": self.wrong,
        }


def _live_dict(live: LiveRun, rest_books: int) -> dict[str, Any]:
    quality = live.quality
    return {
        "exit_code": live.exit_code,
        "wall_s": round(live.wall_s, 1),
        "data_valid_ratio": quality["data_valid_ratio"],
        "records": quality["records_total"],
        "invalid": quality["invalid_records"],
        "hashes": quality["hashes"],
        "engine": quality["engine"],
        "events": quality["events"],
        "feeds": {row["name"]: row["messages"] for row in quality["feeds"]},
        "malformed": sum(row["malformed"] for row in quality["feeds"]),
        "reconnects": sum(row["reconnects"] for row in quality["feeds"]),
        "rest_books": rest_books,
        "sent": live.status["messages"],
        "latency": {name: row["p99"] for name, row in quality["latency"].items()},
    }


def check(name: str, shown: str, path: Path, speed: float | None, work: Path) -> Report:
    """Everything about one capture; raises PlaybackFailed, CaptureError and OSError."""
    capture = read_capture(path)
    own = work / "capture.jsonl.zst"
    write_capture(own, capture.header, capture)
    report = Report(name, shown, count(read_capture(own)), survey(own))
    first, second = _replay(path), _replay(path)
    report.expect("a second replay", first, second)
    for digest in ("effect_digest", "data_digest"):
        report.digests[f"capture {digest}"] = first[digest]
        found = getattr(report.survey.result, digest)
        report.expect(f"{digest} of the imported copy", first[digest], found)
    kinds = {kind: n for rows in _market_rows(first["messages"]) for kind, n in rows.items()}
    if report.counts.messages:
        report.expect("messages decoded", dict(sorted(report.counts.messages.items())), kinds)
        report.speed = speed or _speed(report.counts)
        report.live = play(own, work, report.speed)
        _check_counts(report, report.live, first)
        _check_digests(report, report.live)
    else:
        report.not_played = "keepalives only: there is no market to subscribe"
    return report


def _speed(counts: Counts) -> float:
    rate = counts.messages.total() / max(counts.length_s, 1.0)
    fastest = min(counts.length_s / PLAYED_S, PLAYED_PER_S / rate, SPEED_MAX)
    return round(max(fastest, 1.0), 1)


def _market_rows(messages: dict[str, dict[str, int]]) -> Iterator[dict[str, int]]:
    for source, rows in sorted(messages.items()):
        if source.startswith(MARKET):
            yield {kind: n for kind, n in rows.items() if kind != "frame"}


def _replay(path: Path, config: Path | None = None) -> dict[str, Any]:
    """`polytrade replay --json` in a process of its own, without what differs every time."""
    command = polytrade("replay", str(path), "--json")
    if config is not None:
        command += ["--config", str(config)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=False)
    if done.returncode:
        raise PlaybackFailed(f"{path.name} does not replay: {done.stderr.decode()[-800:]}")
    found: dict[str, Any] = orjson.loads(done.stdout)
    for name in ("elapsed_s", "events_per_s"):
        found.pop(name)
    return found


def _check_counts(report: Report, live: LiveRun, replayed: dict[str, Any]) -> None:
    """What the capture holds, the venue sent, and the daemon received and stepped, is the same."""
    counts, status, quality = report.counts, live.status, live.quality
    report.expect("exit code", 0, live.exit_code)
    answers = sum(n for why, n in status["skipped"].items() if why.endswith(" answers"))
    played = dict(sorted(status["frames"].items()))
    report.expect("frames played", sum(counts.frames.values()) - answers, sum(played.values()))
    sent: Counter[str] = Counter()
    for source, kinds in status["messages"].items():
        if source.startswith(MARKET):
            sent.update(kinds)
    report.expect("messages sent", dict(counts.messages), dict(sent))
    feeds = {row["name"]: row for row in quality["feeds"]}
    rows = [row for row in status["connections"] if row["frames"]]
    for endpoint in sorted({row["endpoint"] for row in rows}):
        mine = [row for row in rows if row["endpoint"] == endpoint]
        expected = sorted(row["frames"] + sum(row["extra"].values()) for row in mine)
        stem = f"polymarket.{endpoint}" if endpoint in ("market", "rtds") else endpoint
        names = [name for name in feeds if name.partition("/")[0] == stem]
        found = sorted(feeds[name]["messages"] for name in names)
        report.expect(f"frames received on {endpoint}", expected, found)
        if endpoint == "market":
            for row in mine:
                what = f"messages on connection {row['id']}"
                report.expect(what, dict(counts.messages), row["messages"])
    for row in feeds.values():
        report.expect(f"malformed on {row['name']}", 0, row["malformed"])
    for tag in DATA_TAGS:
        expected_events = replayed["events_by_type"].get(tag, 0)
        report.expect(f"{tag} stepped live", expected_events, quality["events"].get(tag, 0))


def _check_digests(report: Report, live: LiveRun) -> None:
    """The journal replays to the live run's digest, the recording to the journal's."""
    journal = _replay(live.run)
    recorded = _replay(live.run / "raw-000001.jsonl.zst", live.config)
    digests = report.digests
    digests["live run"] = journal["expected_digest"]
    digests["journal"] = journal["effect_digest"]
    digests["recording"] = recorded["effect_digest"]
    digests["journal data_digest"] = journal["data_digest"]
    digests["recording data_digest"] = recorded["data_digest"]
    report.expect("the run was closed", True, bool(digests["live run"]) and journal["clean"])
    report.expect("every effect compared", "", journal["unverified"])
    report.expect("journal against live run", digests["live run"], digests["journal"])
    report.expect("recording against journal", digests["journal"], digests["recording"])
    data = digests["capture data_digest"]
    report.expect("data of journal against capture", data, digests["journal data_digest"])
    report.expect("data of recording against capture", data, digests["recording data_digest"])
    report.rest_books = recorded["messages"].get("clob.book/0", {}).get("frame", 0)
    hashes = {name: live.quality["hashes"][name] for name in VERDICTS}
    again = {name: recorded["quality"][f"hash_{name}"] for name in VERDICTS}
    report.expect("hashes of the recording against live", hashes, again)
    if not report.rest_books:
        report.expect("hashes live against capture", report.survey.hashes, hashes)
    for source, kinds in recorded["messages"].items():
        if source.startswith(MARKET):
            report.expect(f"messages recorded of {source}", dict(report.counts.messages), kinds)


def about() -> str:
    """The machine, as far as it matters for the numbers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"{today}, Python {platform.python_version()}, {platform.machine()}, {cores} cores"


def main(arguments: list[str] | None = None) -> int:
    """0 when everything holds for every capture, 1 when not, 2 without captures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = os.environ.get("POLYTRADE_CAPTURES")
    parser.add_argument("--captures", type=Path, default=Path(folder) if folder else None)
    parser.add_argument("--only", action="append", choices=list(CASES), metavar="NAME")
    parser.add_argument("--speed", type=float, help="of playback; otherwise by the length")
    parser.add_argument("--json-out", type=Path)
    parser.add_argument("--write-docs", action="store_true", help="renew docs/results.md")
    parser.add_argument("--keep", type=Path, help="keep the runs in this folder")
    parser.add_argument("--chain", type=Path, help="a noted chain of book hashes, checked besides")
    options = parser.parse_args(arguments)
    # Ended from outside, the venue and the daemon are taken down on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.captures is None or not options.captures.is_dir():
        parser.error(f"expected a folder of captures, found {options.captures}: see --captures")
    rows = []
    named = {name: options.captures / CASES[name] for name in options.only or CASES}
    if options.chain:
        named["chain"] = options.chain
    for name, path in named.items():
        if not path.exists():
            print(f"{name}: not there")
            continue
        rows.append(_checked(name, path, options))
        print(_line(rows[-1]), flush=True)
    if options.json_out:
        options.json_out.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    if options.write_docs:
        write_page(ROOT / "docs" / "results.md", rows, about())
    return 1 if any(row["wrong"] for row in rows) or not rows else 0


def _checked(name: str, path: Path, options: argparse.Namespace) -> dict[str, Any]:
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="captures-") as scratch:
        work = Path(scratch)
        if options.keep:
            work = options.keep / name
            work.mkdir(parents=True)
        shown = CASES.get(name, path.name)
        if name == "chain":
            path, noted = work / "chain.jsonl", path
            write_chain(noted, path)
        try:
            row = check(name, shown, path, options.speed, work).to_dict()
        except PlaybackFailed as error:
            row = {"name": name, "wrong": [str(error)]}
    return {**row, "took_s": round(time.monotonic() - began_s, 1)}


def _line(row: dict[str, Any]) -> str:
    verdict = "ok" if not row["wrong"] else "WRONG\n  " + "\n  ".join(row["wrong"])
    return f"{row['name']}: {row['took_s']} s, {verdict}"


if __name__ == "__main__":
    sys.exit(main())
