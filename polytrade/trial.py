"""A trial of new plugins: what happened last, and then worse, with every answer watched.

The engine is the one that trades; the venue is a script that accepts and fills everything. Ends at
the first thing a plugin does that would take it out of service.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from resource import RUSAGE_THREAD, getrusage
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final

import attrs

from polytrade.config import Config
from polytrade.core.effects import (
    CancelOrder,
    Effect,
    MergePairs,
    PlaceOrder,
    SplitPairs,
)
from polytrade.core.events import (
    BookReplaced,
    ClockTicked,
    Event,
    FillConfirmed,
    MarketListed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    PairsMerged,
    PairsSplit,
    ReferenceTicked,
    RunStarted,
)
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.core.judging import JUDGES
from polytrade.core.units import MS_NS, ONE_E4, ONE_E6, SECOND_NS
from polytrade.hookspecs import FEED, KINDS, RISK_RULE
from polytrade.lineup import ROLES, Lineup
from polytrade.plugin_code import last_line, pass_on
from polytrade.session import build_session, run_started
from polytrade.wire_roles import WireError

EVENTS_MAX: Final = 8_192
"""Events of a trial, answers of the script's venue among them."""
TICKS: Final = 20
"""Clock ticks after each shock: two seconds, in which every market is decided twenty times."""
TICK_NS: Final = 100 * MS_NS
LEVELS: Final = 50
"""Levels of a side that are told again."""
NONSENSE: Final[tuple[str | bytes, ...]] = (
    *("", "x", "{}", "[]", "null", "5", '"x"', b"\xff", '{"type": 5}', '{"a": [{"b": null}]}'),
)
"""Frames that are of no venue."""
SYMBOL: Final = "TRIAL"
"""What the market of the trial is about: no feed's ticks and no coin's state get into it."""
JUMPS: Final = (1.02, 0.95, 1.5, 0.6, 1.0)
"""References jump by these factors: what a crash looks like, and what a broken feed does."""


class TrialFailed(Exception):
    """What a plugin did; `kind` and `name` say which object, empty when nobody is to blame."""

    def __init__(self, kind: str, name: str, why: str) -> None:
        super().__init__(kind, name, why)
        self.kind = kind
        self.name = name
        self.why = why


@attrs.define
class Watch:
    """Counts and times the calls of plugins: a call over `budget_us` is an overrun.

    One during which the host took the processor away counts only if the call itself took as long.
    """

    budget_us: int
    overruns_max: int
    calls: int = 0
    worst_us: int = 0
    worst: str = ""
    last: tuple[str, str] = ("", "")
    failed: TrialFailed | None = None
    overruns: dict[tuple[str, str], int] = attrs.field(factory=dict)
    each: dict[str, list[int]] = attrs.field(factory=dict)
    """Calls, and the longest in us, by `kind/name`."""

    def timed(self, kind: str, name: str, method: str, inner: Any) -> Callable[..., Any]:
        """The method of `inner`, watched. What is wrong comes out as TrialFailed.

        The first is kept in `failed`, because the engine does not let it pass.
        """
        called = getattr(inner, method)
        judge = JUDGES.get(method)
        tally = self.each.setdefault(f"{kind}/{name}", [0, 0])

        def call(*arguments: Any) -> Any:
            self.last = (kind, name)
            self.calls += 1
            tally[0] += 1
            switches = getrusage(RUSAGE_THREAD).ru_nivcsw
            cpu_ns, began_ns = thread_time_ns(), perf_counter_ns()
            try:
                answer = called(*arguments)
            except BaseException as error:
                pass_on(error)
                raise self._fail(kind, name, last_line(error)) from error
            took_us = (perf_counter_ns() - began_ns) // 1_000
            if getrusage(RUSAGE_THREAD).ru_nivcsw != switches:
                took_us = (thread_time_ns() - cpu_ns) // 1_000
            tally[1] = max(tally[1], took_us)
            self._took(kind, name, took_us)
            wrong = judge(answer) if judge is not None else ""
            if wrong:
                raise self._fail(kind, name, wrong)
            return answer

        return call

    def _fail(self, kind: str, name: str, why: str) -> TrialFailed:
        failed = TrialFailed(kind, name, why)
        if self.failed is None:
            self.failed = failed
        return failed

    def _took(self, kind: str, name: str, took_us: int) -> None:
        if took_us > self.worst_us:
            self.worst_us = took_us
            self.worst = name
        if took_us <= self.budget_us:
            return
        count = self.overruns[kind, name] = self.overruns.get((kind, name), 0) + 1
        if count > self.overruns_max:
            why = f"{count} calls took longer than {self.budget_us} us, the longest {self.worst_us}"
            raise self._fail(kind, name, why)


class StandIn:
    """An object of a plugin, some of whose methods are watched; otherwise it is the object."""

    def __init__(self, inner: Any, watch: Watch, kind: str, name: str) -> None:
        self._inner = inner
        for method in KINDS[kind].methods:
            setattr(self, method, watch.timed(kind, name, method, inner))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def watched(lineup: Lineup, watch: Watch) -> Lineup:
    """The lineup with everything that the engine calls under watch."""
    roles: dict[str, Any] = {
        kind: StandIn(made, watch, kind, name)
        for (kind, name), made in lineup.objects().items()
        if kind in ROLES
    }
    rules: Any = tuple((name, StandIn(rule, watch, RISK_RULE, name)) for name, rule in lineup.rules)
    return attrs.evolve(lineup, **roles, rules=rules)


class Trial:
    """One session under watch, its scripted venue, and the events it is given."""

    def __init__(self, config: Config, lineup: Lineup) -> None:
        reload = config.reload
        self.watch = Watch(reload.call_budget_us, reload.overruns_max)
        self.events = 0
        self._config = config
        self._lineup = lineup
        self._session = build_session(config, lineup=watched(lineup, self.watch), paper=False)
        self._ts_ns = 0
        self._answers: list[Event] = []
        self._resting: dict[str, PlaceOrder] = {}
        self._fills = 0
        self._prices: dict[tuple[str, str], int] = {}
        self._markets: dict[str, int] = {}

    def run(self, events: Sequence[Event]) -> None:
        """Step the events and then the shocks; TrialFailed at the first fault of a plugin.

        A market of the trial's own is added: whatever state the others are in, it is a calm one.
        """
        ts_ns = events[0].ts_ns if events else SECOND_NS
        if not events or not isinstance(events[0], RunStarted):
            self._step(run_started(self._config, ts_ns, "trial"))
        for event in [*events, *made_up(events[-1].ts_ns if events else ts_ns)]:
            self._step(event)
        self._hear_nonsense()
        self._wait()
        self._jump()
        self._fill_resting()
        self._jump()
        self._fill_resting()
        self._resolve()

    def _hear_nonsense(self) -> None:
        """Feeds say hello and hear what no venue says: WireError is the one right complaint."""
        for name, codec in self._lineup.feeds.items():
            try:
                codec.reset()
                hello = codec.hello()
                if not isinstance(hello, list) or not all(isinstance(it, str) for it in hello):
                    why = f"expected a list of texts from hello, found {hello!r:.80}"
                    raise TrialFailed(FEED, name, why)
                for frame in NONSENSE:
                    with suppress(WireError):
                        codec.decode(frame, self._ts_ns, f"{name}/0")
            except TrialFailed:
                raise
            except BaseException as error:
                pass_on(error)
                raise TrialFailed(FEED, name, last_line(error)) from error

    def _wait(self, factor: float = 1.0) -> None:
        """Two seconds in which books and references are told again, these times `factor`."""
        for tick in range(TICKS):
            for book in self._books():
                self._step(book)
            if tick % 5 == 0:
                self._tell_references(factor)
            self._step(ClockTicked(self._ts_ns + TICK_NS))

    def _books(self) -> list[Event]:
        """Every valid book as it stands: nothing goes stale during a trial."""
        now_ns = self._ts_ns
        return [
            BookReplaced(
                now_ns,
                name,
                YES,
                market.book.depth(BUY, LEVELS)[::-1],
                market.book.depth(SELL, LEVELS)[::-1],
                0,
                "?",
                now_ns // MS_NS,
                "",
                False,
            )
            for name, market in self._session.engine.markets.items()
            if market.trust.valid and name in self._markets
        ]

    def _tell_references(self, factor: float) -> None:
        for (symbol, source), price_e8 in list(self._prices.items()):
            told_e8 = round(price_e8 * factor)
            now_ns = self._ts_ns
            self._step(ReferenceTicked(now_ns, symbol, source, FAST, told_e8, now_ns))
            self._prices[symbol, source] = price_e8

    def _jump(self) -> None:
        for factor in JUMPS:
            self._wait(factor)

    def _fill_resting(self) -> None:
        for order_id, order in list(self._resting.items()):
            del self._resting[order_id]
            self._fill(order)
        self._wait()

    def _resolve(self) -> None:
        for market in list(self._markets):
            self._step(MarketResolved(self._ts_ns + MS_NS, market, YES, "trial"))
            del self._markets[market]
        self._wait()

    def _step(self, event: Event) -> None:
        """Step one event, then the script's answers to what it caused."""
        self._one(event)
        while self._answers:
            self._one(self._answers.pop(0))

    def _one(self, event: Event) -> None:
        if self.events >= EVENTS_MAX:
            self._answers.clear()
            return
        self.events += 1
        self._ts_ns = max(self._ts_ns, event.ts_ns)
        event.ts_ns = self._ts_ns
        if isinstance(event, ReferenceTicked) and event.kind == FAST:
            self._prices[event.symbol, event.source] = event.price_e8
        elif isinstance(event, MarketListed):
            self._markets[event.market] = event.end_ns
        try:
            steps = self._session.handle(event)
        except TrialFailed:
            raise
        except BaseException as error:
            pass_on(error)
            kind, name = self.watch.last
            raise TrialFailed(kind, name, f"its answer broke: {last_line(error)}") from error
        if self.watch.failed is not None:
            raise self.watch.failed
        for _, effects in steps:
            for effect in effects:
                self._answer(effect)

    def _answer(self, effect: Effect) -> None:
        now_ns = self._ts_ns
        if effect.TAG == "plugin_faulted":
            row = dict(zip(effect.FIELDS, effect.row()[1:], strict=True))
            raise TrialFailed(str(row["role"]), str(row["name"]), str(row["why"]))
        if isinstance(effect, PlaceOrder):
            self._answers.append(OrderAccepted(now_ns, effect.order_id, f"t{effect.order_id}"))
            if effect.tif in ("FAK", "FOK"):
                self._fill(effect)
            else:
                self._resting[effect.order_id] = effect
        elif isinstance(effect, CancelOrder):
            if self._resting.pop(effect.order_id, None) is not None:
                self._answers.append(OrderCancelled(now_ns, effect.order_id, "trial"))
        elif isinstance(effect, MergePairs):
            self._answers.append(PairsMerged(now_ns, effect.market, effect.size_e6))
        elif isinstance(effect, SplitPairs):
            self._answers.append(PairsSplit(now_ns, effect.market, effect.size_e6))

    def _fill(self, order: PlaceOrder) -> None:
        self._fills += 1
        fill, now_ns = f"f{self._fills}", self._ts_ns
        maker = order.post_only
        self._answers += [
            OrderFilled(now_ns, order.order_id, fill, order.price_e4, order.size_e6, 0, maker, "t"),
            FillConfirmed(now_ns, fill),
        ]


def made_up(ts_ns: int) -> list[Event]:
    """A five-minute market with books and a reference of its own, as calm as markets are."""
    now_ns, end_ns = ts_ns, ts_ns + 240 * SECOND_NS
    price_e8 = 100_000 * 10**8
    listing = MarketListed(
        now_ns,
        market="trial",
        slug="trial",
        symbol=SYMBOL,
        condition="updown",
        yes="1",
        no="2",
        tick_e4=100,
        min_size_e6=5 * ONE_E6,
        neg_risk=False,
        fee_rate_e6=0,
        fee_exponent=1,
        rebate_rate_e6=0,
        start_ns=now_ns - 60 * SECOND_NS,
        end_ns=end_ns,
        settle="spot",
        lookback_s=0,
        strike_e8=price_e8,
        accepting=True,
        closed=False,
        taker_delay_ms=0,
        version="1",
    )
    events: list[Event] = [listing]
    levels = [(step * 100, 500 * ONE_E6) for step in range(40, 50)]
    mirror = [(ONE_E4 - price_e4 + 100, size_e6) for price_e4, size_e6 in levels]
    for token in (YES, NO):
        book = BookReplaced(
            now_ns,
            "trial",
            token,
            levels,
            mirror,
            100,
            "?",
            now_ns // MS_NS,
            "",
            False,
        )
        events.append(book)
    for step in range(50):
        now_ns += 50 * MS_NS
        moved_e8 = price_e8 + (step % 7 - 3) * 10**8
        events.append(ReferenceTicked(now_ns, SYMBOL, "trial", FAST, moved_e8, now_ns))
        events.append(ClockTicked(now_ns))
    return events
