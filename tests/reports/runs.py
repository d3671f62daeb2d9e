"""A run on paper as a live one is: a session, a journal and everything looking on."""

from collections.abc import Iterator
from pathlib import Path

import attrs

from polytrade.captures import CaptureHeader, write_capture
from polytrade.config import Config
from polytrade.core.events import ClockSkewMeasured, Event, FeedGap, ShadowReset
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.journal import EffectDigest, JournalHeader, JournalTrailer, JournalWriter
from polytrade.meter import Meter
from polytrade.reports.manifest import Basis
from polytrade.reports.report import Report, build_report
from polytrade.reports.watch import Watch
from polytrade.sandbox.tape import Tape
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.session import build_session, code_version, run_started
from polytrade.strict import config_digest, to_dict
from polytrade.witness import Witness

RUN_ID = "run-a"
TAPE_S = 40
RESET_S = 8
OPTIONS = VenueOptions(
    seed=5, coins=("btc",), windows=("5m",), windows_ahead=0, slow_markets=False, activity=0.4
)
SOURCES = ("market", "rtds", "binance")
STEP_NS, BACKLOG_NS = 40_000, 60_000
"""What a live run would have measured of each event."""


def config() -> Config:
    """A maker that quotes early and often and a taker, so that a short run fills."""
    base = Config()
    strategy = attrs.evolve(
        base.strategy, min_edge_bps=0.0, base_quote_size=10.0, max_spread=0.08, taker="profile"
    )
    return attrs.evolve(base, strategy=strategy)


def tape_file(path: Path, seconds: int = TAPE_S) -> Path:
    """The beginning of a venue's day as a capture."""
    header = CaptureHeader(created="2026-11-16T12:00:00Z", run_id="tape-5", generated=True)
    write_capture(path, header, Tape(OPTIONS, sources=SOURCES).records(seconds))
    return path


def tape_events(seconds: int, settings: Config) -> Iterator[Event]:
    """The same as events, with what else happens to a live run."""
    records = Tape(OPTIONS, sources=SOURCES).records(seconds)
    ticks_ns = settings.latency.tick_interval_ms * MS_NS
    reset_ns = 0
    for event in recorded_events(
        records, FrameDecoders(), lambda ts_ns: run_started(settings, ts_ns, RUN_ID), ticks_ns
    ):
        yield event
        if not reset_ns:
            reset_ns = event.ts_ns + RESET_S * SECOND_NS
            yield ClockSkewMeasured(event.ts_ns, 12)
            yield FeedGap(event.ts_ns, "binance/0", "", "sequence")
        elif event.ts_ns >= reset_ns > 1:
            reset_ns = 1
            yield ShadowReset(event.ts_ns, 2)


def live_run(data_dir: Path, *, seconds: int = TAPE_S, close: bool = True) -> Report:
    """Trade a tape, write the journal to `<data_dir>/run-a`; the report of the live objects."""
    settings = config()
    session = build_session(settings)
    header = JournalHeader(
        run_id=RUN_ID,
        created="2026-11-16T12:00:00Z",
        code_version=code_version(),
        config=to_dict(settings),
        config_digest=config_digest(settings),
        plugins=dict(session.lineup.plugins),
    )
    writer = JournalWriter(data_dir / RUN_ID, header, segment_bytes=64_000_000)
    watch = Watch(settings, session.engine, Meter(settings.risk.stale_tick_filter_ms * MS_NS))
    session.tape = Witness(watch)
    digest = EffectDigest()
    for event in tape_events(seconds, settings):
        for stepped, effects in session.handle(event):
            writer.append(stepped)
            writer.append_effects(effects)
            digest.add(stepped.ts_ns, effects)
            watch.meter.observe(stepped, effects, STEP_NS, BACKLOG_NS)
    trailer = JournalTrailer(watch.tally.events, digest.count, digest.hexdigest())
    if close:
        writer.close(trailer)
    else:
        writer.flush()
    return build_report(watch, Basis.of_journal(data_dir / RUN_ID))
