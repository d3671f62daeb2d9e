"""Longer series of events: of the local venue, and of recordings."""

from functools import partial
from itertools import islice
from pathlib import Path

from polytrade.config import Config
from polytrade.core.events import Event, RunStarted
from polytrade.core.units import MS_NS
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.importers import read_capture
from polytrade.sandbox.tape import RECORDED, Tape
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.session import run_started


def venue_events(
    seconds: int = 30,
    seed: int = 7,
    *,
    coins: tuple[str, ...] = ("btc",),
    windows: tuple[str, ...] = ("5m",),
    activity: float = 0.1,
    settings: Config | None = None,
) -> list[Event]:
    """What a daemon on the local venue would step in so many seconds, decoded from real frames.

    The same arguments give the same events. At the real market's message rate (`activity` 1.0) they
    take about half as long to make as they last, at a tenth of it a few seconds a minute.
    """
    options = VenueOptions(
        seed=seed,
        coins=coins,
        windows=windows,
        windows_ahead=1,
        slow_markets=False,
        activity=activity,
    )
    settings = settings or Config()
    records = Tape(options, sources=RECORDED).records(seconds)
    begin = partial(_begin, settings)
    tick_ns = settings.latency.tick_interval_ms * MS_NS
    return list(recorded_events(records, FrameDecoders(coins), begin, tick_ns))


def capture_events(
    path: Path | str, *, until: int | None = None, settings: Config | None = None
) -> list[Event]:
    """The first `until` events of a capture of any known layout, all of them when None.

    Raises CaptureError for a file that is none, OSError when it cannot be read.
    """
    settings = settings or Config()
    begin = partial(_begin, settings)
    tick_ns = settings.latency.tick_interval_ms * MS_NS
    capture = read_capture(Path(path))
    return list(islice(recorded_events(capture, FrameDecoders(), begin, tick_ns), until))


def _begin(settings: Config, ts_ns: int) -> RunStarted:
    return run_started(settings, ts_ns, "test")
