"""Everything that looks on while an engine steps: the folds whose results a report is made of.

Live, paper and replay make one `Watch` and call it after each step, in the same order, so that
their reports are the same but for what only a live run can measure.
"""

from collections.abc import Sequence
from typing import Final, final

from polytrade.builtin.coherence import Coherence
from polytrade.calibration import Calibration
from polytrade.config import Config
from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import Event, LineupSwapped, MarketResolved, OrderFilled
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.journal import EffectDigest
from polytrade.lenses import Lenses
from polytrade.meter import Meter
from polytrade.reports.curves import Curves
from polytrade.shadow import Shadow, shadow_settings
from polytrade.swaps import config_after

FINAL: Final = (MarketResolved, OrderFilled)
"""Events that calibration and curves must see; for the rest they look once a second."""


@final
class Tally:
    """What a manifest states of the events: how many, from when to when, with what answers."""

    __slots__ = ("digest", "events", "first_ts_ns", "last_ts_ns")

    def __init__(self) -> None:
        self.events = 0
        self.first_ts_ns = 0
        self.last_ts_ns = 0
        self.digest = EffectDigest()


@final
class Watch:
    """The folds of one run, in the order in which each event reaches them.

    They read the engine's state, so `observe` must be called within the session, right after the
    step (`replay.Witness`). A live run hands in its own `meter`, which it tells how long things
    took; a replay has nothing to measure there, and its report no such numbers. `config` is the one
    in force.
    """

    def __init__(self, config: Config, engine: Engine, meter: Meter | None = None) -> None:
        self.config = config
        self.engine = engine
        self.live = meter is not None
        self.tally = Tally()
        self.meter = meter or Meter(config.risk.stale_tick_filter_ms * MS_NS)
        self.curves = Curves(engine)
        self.shadow = Shadow(shadow_settings(config), engine, self.curves.markout)
        self.lenses = Lenses(engine)
        self.calibration = Calibration(engine)
        vol = config.strategy
        self.coherence = Coherence(engine, vol.vol_blend, vol.vol_floor_bps, vol.vol_cap_bps)
        self._next_ns = 0

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event` and wants `effects`."""
        ts_ns, tally = event.ts_ns, self.tally
        tally.events += 1
        tally.last_ts_ns = ts_ns
        if effects:
            tally.digest.add(ts_ns, effects)
        if not self.live:
            self.meter.observe(event, effects, 0)
        self.shadow.observe(event, effects)
        self.lenses.observe(event, effects)
        if isinstance(event, LineupSwapped):
            self._reconfigure(event)
        if ts_ns >= self._next_ns or isinstance(event, FINAL):
            self._sample(event, effects)

    def _reconfigure(self, event: LineupSwapped) -> None:
        """Look on by the configuration that is in force from this event on."""
        self.config = config_after(self.config, event)
        vol = self.config.strategy
        self.coherence.configure(vol.vol_blend, vol.vol_floor_bps, vol.vol_cap_bps)
        self.calibration.rewired()

    def _sample(self, event: Event, effects: Sequence[Effect]) -> None:
        """What looks once a second, and at what it must not miss."""
        if not self._next_ns:
            self.tally.first_ts_ns = event.ts_ns
        self._next_ns = (event.ts_ns // SECOND_NS + 1) * SECOND_NS
        self.calibration.observe(event, effects)
        self.coherence.observe(event, effects)
        self.curves.observe(event, effects)
        self.shadow.freshen()
