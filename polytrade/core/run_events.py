"""The run itself: its beginning, time, and what operators and the shell decide."""

from typing import ClassVar, final

from polytrade.core.event import Event


@final
class RunStarted(Event):
    """A run begins: what paper money it has. The first event of every journal."""

    TAG: ClassVar[str] = "run_started"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "run_id", "mode", "cash_e6")
    __slots__ = ("cash_e6", "mode", "run_id")

    def __init__(self, ts_ns: int, run_id: str, mode: str, cash_e6: int) -> None:
        self.ts_ns = ts_ns
        self.run_id = run_id
        self.mode = mode
        self.cash_e6 = cash_e6


@final
class ClockTicked(Event):
    """Time passed. The shell sends one every `latency.tick_interval_ms`; timers hang on it."""

    TAG: ClassVar[str] = "clock_ticked"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns",)
    __slots__ = ()

    def __init__(self, ts_ns: int) -> None:
        self.ts_ns = ts_ns


@final
class ModeSet(Event):
    """The engine's mode is now `run`, `reduce` or `halt`."""

    TAG: ClassVar[str] = "mode_set"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "mode", "why")
    __slots__ = ("mode", "why")

    def __init__(self, ts_ns: int, mode: str, why: str) -> None:
        self.ts_ns = ts_ns
        self.mode = mode
        self.why = why


@final
class PauseSet(Event):
    """The operator paused or resumed quoting."""

    TAG: ClassVar[str] = "pause_set"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "paused")
    __slots__ = ("paused",)

    def __init__(self, ts_ns: int, paused: bool) -> None:
        self.ts_ns = ts_ns
        self.paused = paused


@final
class FlattenRequested(Event):
    """The operator wants every position closed within `slippage_e4` of the mid."""

    TAG: ClassVar[str] = "flatten_requested"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "slippage_e4")
    __slots__ = ("slippage_e4",)

    def __init__(self, ts_ns: int, slippage_e4: int) -> None:
        self.ts_ns = ts_ns
        self.slippage_e4 = slippage_e4


@final
class ShadowReset(Event):
    """A new measuring window begins."""

    TAG: ClassVar[str] = "shadow_reset"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "window_id")
    __slots__ = ("window_id",)

    def __init__(self, ts_ns: int, window_id: int) -> None:
        self.ts_ns = ts_ns
        self.window_id = window_id


@final
class LineupSwapped(Event):
    """Other settings and plugins are in force from here on: the configuration's generation.

    `config` is compact JSON of the sections that were set, each whole; `plugins` compact JSON of
    the plugins in use, name to version and digest; `why` says who wanted it and what for.
    """

    TAG: ClassVar[str] = "lineup_swapped"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "generation", "config", "plugins", "why")
    __slots__ = ("config", "generation", "plugins", "why")

    def __init__(self, ts_ns: int, generation: int, config: str, plugins: str, why: str) -> None:
        self.ts_ns = ts_ns
        self.generation = generation
        self.config = config
        self.plugins = plugins
        self.why = why


@final
class ReloadRejected(Event):
    """A reload was refused at `step`, and nothing changed; `patch` is what was asked, as JSON."""

    TAG: ClassVar[str] = "reload_rejected"
    FIELDS: ClassVar[tuple[str, ...]] = (
        *("ts_ns", "name", "who", "patch", "code", "step", "message"),
    )
    __slots__ = ("code", "message", "name", "patch", "step", "who")

    def __init__(
        self, ts_ns: int, name: str, who: str, patch: str, code: str, step: str, message: str
    ) -> None:
        self.ts_ns = ts_ns
        self.name = name
        self.who = who
        self.patch = patch
        self.code = code
        self.step = step
        self.message = message


@final
class PluginQuarantined(Event):
    """The shell takes the plugin of a role out of service: it took too long, again and again."""

    TAG: ClassVar[str] = "plugin_quarantined"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "role", "why", "generation")
    __slots__ = ("generation", "role", "why")

    def __init__(self, ts_ns: int, role: str, why: str, generation: int = 0) -> None:
        self.ts_ns = ts_ns
        self.role = role
        self.why = why
        self.generation = generation


@final
class ClockSkewMeasured(Event):
    """Our clock minus the venue's, as measured at the venue's `/time`."""

    TAG: ClassVar[str] = "clock_skew_measured"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "skew_ms")
    __slots__ = ("skew_ms",)

    def __init__(self, ts_ns: int, skew_ms: int) -> None:
        self.ts_ns = ts_ns
        self.skew_ms = skew_ms


@final
class RecordsLost(Event):
    """The journal could not keep `count` records here: a replay across this point is not exact."""

    TAG: ClassVar[str] = "records_lost"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "count", "why")
    __slots__ = ("count", "why")

    def __init__(self, ts_ns: int, count: int, why: str) -> None:
        self.ts_ns = ts_ns
        self.count = count
        self.why = why
