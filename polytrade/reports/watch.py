"""Everything that looks on while an engine steps: the folds whose results a report is made of.

Live, paper and replay make one `Watch` and call it after each step, in the same order, so that
their reports are the same but for what only a live run can measure.
"""

from collections import Counter
from collections.abc import Sequence
from typing import final

from polytrade.calibration import Calibration
from polytrade.config import Config
from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import ClockSkewMeasured, Event, FeedGap
from polytrade.core.units import MS_NS
from polytrade.journal import EffectDigest
from polytrade.lenses import Lenses
from polytrade.meter import Meter
from polytrade.reports.curves import Curves
from polytrade.shadow import Shadow, shadow_settings


@final
class Tally:
    """What a manifest states of the events themselves: how many, from when, with what answers."""

    def __init__(self) -> None:
        self.events = 0
        self.first_ts_ns = 0
        self.last_ts_ns = 0
        self.kinds: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self.digest = EffectDigest()
        self.skew_ms: int | None = None

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """Count an event and what the engine answered."""
        if not self.events:
            self.first_ts_ns = event.ts_ns
        self.events += 1
        self.last_ts_ns = event.ts_ns
        self.kinds[event.TAG] += 1
        if effects:
            self.digest.add(event.ts_ns, effects)
        if isinstance(event, FeedGap):
            self.gaps[event.reason] += 1
        elif isinstance(event, ClockSkewMeasured):
            self.skew_ms = event.skew_ms


@final
class Watch:
    """The folds of one run, in the order in which each event reaches them.

    They read the engine's state, so `observe` must be called within the session, right after the
    step (`replay.Witness`). A live run hands in its own `meter`, which it tells how long things
    took; a replay has nothing to measure there, and its report no such numbers.
    """

    def __init__(self, config: Config, engine: Engine, meter: Meter | None = None) -> None:
        self.config = config
        self.engine = engine
        self.live = meter is not None
        self.tally = Tally()
        self.meter = meter or Meter(config.risk.stale_tick_filter_ms * MS_NS)
        self.shadow = Shadow(shadow_settings(config), engine)
        self.lenses = Lenses(engine)
        self.calibration = Calibration(engine)
        self.curves = Curves(engine)

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event` and wants `effects`."""
        self.tally.observe(event, effects)
        if not self.live:
            self.meter.observe(event, effects, 0)
        self.shadow.observe(event, effects)
        self.lenses.observe(event, effects)
        self.calibration.observe(event, effects)
        self.curves.observe(event, effects)
