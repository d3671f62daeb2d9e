"""Replay of a recording and of a journal, beside reading the same file and parsing its JSON."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from benchmarks.measure import Body, Pair, Row, Side, measure
from benchmarks.workers import ROOT
from polytrade.captures import CaptureReader
from polytrade.config import Config
from polytrade.core.events import Event
from polytrade.core.units import MS_NS
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.journal import EffectDigest, JournalHeader, JournalTrailer, JournalWriter
from polytrade.replay import replay
from polytrade.segments import FrameReader
from polytrade.session import build_session, run_started
from polytrade.strict import config_digest, load, to_dict

GROUP: Final = "replay"
SAMPLE: Final = ROOT / "datasets" / "sample-updown-5m.jsonl.zst"
BATCH: Final = 256
"""Rows of a zstd frame, about what a live journal writes at once."""


def _config() -> Config:
    """The configuration that comes with the project: it trades, the bare defaults do not."""
    return load(ROOT / "configs")


def _events() -> list[Event]:
    """The sample's events with the paper venue's answers, as a daemon would journal them."""
    config, reader = _config(), CaptureReader(SAMPLE)
    return list(
        recorded_events(
            reader,
            FrameDecoders(),
            lambda ts_ns: run_started(config, ts_ns, "bench"),
            config.latency.tick_interval_ms * MS_NS,
        )
    )


def write_journal(folder: Path, most: int) -> int:
    """Write the journal of the sample's first `most` events; how many events are in it."""
    config, digest = _config(), EffectDigest()
    session = build_session(config, paper=True)
    header = JournalHeader("bench", "", "", to_dict(config), config_digest(config))
    writer = JournalWriter(folder, header, segment_bytes=1 << 30)
    count = 0
    for event in _events()[:most]:
        for stepped, effects in session.handle(event):
            writer.append(stepped)
            writer.append_effects(effects)
            digest.add(stepped.ts_ns, effects)
            count += 1
            if count % BATCH == 0:
                writer.flush()
    writer.close(JournalTrailer(count, digest.count, digest.hexdigest()))
    return count


def _parse(paths: list[Path]) -> Callable[[], Body]:
    def make() -> Body:
        def body() -> None:
            for path in paths:
                for block in FrameReader(path):
                    for line in block.splitlines():
                        orjson.loads(line)

        return body

    return make


def _replay(path: Path, until: int | None) -> Callable[[], Body]:
    def make() -> Body:
        def body() -> None:
            result = replay(path, until=until, config=_config())
            assert result.matches, result.rows()

        return body

    return make


def run(repeats: int, *, quick: bool) -> list[Row]:
    """The rows of the group `replay`, in us an event."""
    most = 5_000 if quick else 1 << 30
    with tempfile.TemporaryDirectory(prefix="polytrade-bench-") as name:
        folder = Path(name) / "run"
        journalled = write_journal(folder, most)
        stepped = replay(SAMPLE, until=most, config=_config()).events
        parts = sorted(folder.iterdir())
        records = sum(block.count(b"\n") for block in FrameReader(SAMPLE))
        pairs = [
            Pair(
                case=Side(name="the sample capture", make=_replay(SAMPLE, most), ops=stepped),
                baseline=Side(name="its JSON, a record", make=_parse([SAMPLE]), ops=records),
            ),
            Pair(
                case=Side(name="a journal", make=_replay(folder, None), ops=journalled),
                baseline=Side(name="its JSON, a row", make=_parse(parts), ops=journalled),
            ),
        ]
        return measure(GROUP, pairs, repeats)
