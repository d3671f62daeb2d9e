"""Whole runs on paper in a test: given events, the engine, the paper venue, and your plugin."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import attrs

from polytrade.catalogue import Catalogue, scan
from polytrade.config import Config, Plugins
from polytrade.core.effects import Effect, PlaceOrder, PluginFaulted
from polytrade.core.events import Event, OrderFilled, RunStarted
from polytrade.core.units import ONE_E6
from polytrade.distributions import find_plugins
from polytrade.hookspecs import ALLOCATOR, FAIR_VALUE, KINDS, MAKER, RISK_RULE, TAKER
from polytrade.journal import EffectDigest
from polytrade.lineup import build_lineup
from polytrade.replay_result import account_of
from polytrade.session import Session, build_session, run_started
from polytrade.testing.builders import evolved

STEPPED: Final = (FAIR_VALUE, MAKER, TAKER, ALLOCATOR, RISK_RULE)
"""The kinds that the engine calls."""
Step = tuple[Event, list[Effect]]


def config(**sections: Mapping[str, Any]) -> Config:
    """A configuration fit for tests: quotes of five shares, many orders a second, no daily stop.

    `sections` change it: `config(strategy={"taker": "none"})`. TypeError for unknown names.
    """
    quiet = {
        "strategy": {"base_quote_size": 5.0},
        "risk": {"daily_drawdown_cap_pct": 1.0, "max_daily_loss": 1_000.0, "orders_per_s": 80.0},
    }
    return evolved(evolved(Config(), **quiet), **sections)


@attrs.frozen
class Run:
    """A finished run: every step with what the engine wanted, and what became of it.

    `digest` is that of the effects, as replay prints it. `broken` says which plugin was taken out
    of service and why, or that the ledger does not balance; empty when all is well.
    """

    steps: Sequence[Step] = attrs.field(repr=False)
    session: Session = attrs.field(repr=False)
    digest: str
    broken: str

    @property
    def effects(self) -> list[Effect]:
        """Everything the engine wanted, in order."""
        return [effect for _, effects in self.steps for effect in effects]

    @property
    def orders(self) -> list[PlaceOrder]:
        """The orders that were placed."""
        return [effect for effect in self.effects if isinstance(effect, PlaceOrder)]

    @property
    def fills(self) -> list[OrderFilled]:
        """The fills of our orders."""
        return [event for event, _ in self.steps if isinstance(event, OrderFilled)]

    @property
    def pnl(self) -> float:
        """Profit in USDC, positions marked at the mid."""
        return float(account_of(self.session.engine)["pnl_e6"] / ONE_E6)

    @property
    def counts(self) -> Counter[str]:
        """How many effects of each tag: `place_order`, `cancel_order`, `refused`..."""
        return Counter(effect.TAG for effect in self.effects)

    @property
    def reasons(self) -> Counter[str]:
        """Why nothing was quoted, and which limits refused orders, with how often."""
        named: Counter[str] = Counter()
        for effect in self.effects:
            fields = dict(zip(effect.FIELDS, effect.row()[1:], strict=True))
            if effect.TAG == "refused":
                named[str(fields["limit"])] += 1
            elif effect.TAG == "quote_state_changed":
                named[str(fields["state"])] += 1
        return named


def role_of(made: object) -> str:
    """The kind that an object plays in the engine, by its methods: `maker`, `risk_rule`...

    TypeError when it is none that the engine calls.
    """
    for kind in STEPPED:
        if all(callable(getattr(made, method, None)) for method in KINDS[kind].methods):
            return kind
    wanted = ", ".join(f"{'/'.join(KINDS[kind].methods)} ({kind})" for kind in STEPPED)
    raise TypeError(f"expected an object with {wanted}; found {type(made).__name__}")


def run_strategy(
    events: Iterable[Event],
    *,
    fair_value: object = None,
    maker: object = None,
    taker: object = None,
    allocator: object = None,
    rules: Sequence[object] = (),
    settings: Config | None = None,
) -> Run:
    """Trade the events on paper and keep every step.

    Each role is an object of yours, the name of a built-in or installed one, or None for what
    `settings` (of `config()` unless given) selects. Pure: the same events and objects give the same
    run. A plugin that raises or answers nonsense is taken out of service as in the daemon; see
    `Run.broken`. Raises ConfigError and PluginError as `build_lineup` does.
    """
    settings = settings or config()
    given = {FAIR_VALUE: fair_value, MAKER: maker, TAKER: taker, ALLOCATOR: allocator}
    session = session_for(settings, given, rules)
    steps: list[Step] = []
    digest = EffectDigest()
    for event in with_start(events, settings):
        for stepped, effects in session.handle(event):
            steps.append((stepped, effects))
            digest.add(stepped.ts_ns, effects)
    faults = (fault_in(effects) for _, effects in steps)
    broken = next(filter(None, faults), "") or _unbalanced(session)
    return Run(steps, session, digest.hexdigest(), broken)


def session_for(
    settings: Config, given: Mapping[str, object], rules: Sequence[object] = ()
) -> Session:
    """A paper session with these objects (or names) in their roles."""
    names = {kind: it for kind, it in given.items() if isinstance(it, str)}
    settings = evolved(settings, strategy=names) if names else settings
    ours = _builtins()
    lineup = build_lineup(settings, ours if _all_builtin(settings, ours) else None)
    objects: dict[str, Any] = {
        kind: it for kind, it in given.items() if it is not None and not isinstance(it, str)
    }
    checked: tuple[Any, ...] = tuple((type(rule).__name__, rule) for rule in rules)
    lineup = attrs.evolve(lineup, **objects, rules=(*lineup.rules, *checked))
    return build_session(settings, lineup=lineup)


def with_start(events: Iterable[Event], settings: Config) -> Iterable[Event]:
    """The events, begun by the one that says what money there is."""
    for number, event in enumerate(events):
        if number == 0 and not isinstance(event, RunStarted):
            yield run_started(settings, event.ts_ns, "test")
        yield event


@cache
def _builtins() -> Catalogue:
    """What ships with polytrade and nothing else: installed plugins cannot disturb a test."""
    return scan(Plugins(disabled=tuple(find_plugins())))


def _all_builtin(settings: Config, ours: Catalogue) -> bool:
    """Whether the configuration selects built-ins only."""
    chosen = [
        (kind, getattr(settings.strategy, kind)) for kind in (FAIR_VALUE, MAKER, TAKER, ALLOCATOR)
    ]
    chosen += [(RISK_RULE, name) for name in settings.plugins.risk_rules]
    plain = not (settings.plugins.feeds or settings.plugins.notifiers or settings.plugins.settings)
    return plain and all(key in ours.factories for key in chosen)


def fault_in(effects: Iterable[Effect]) -> str:
    """Which plugin these effects take out of service, and why; empty when none."""
    for effect in effects:
        if isinstance(effect, PluginFaulted):
            role, name, why = effect.row()[1:]
            return f"{role} {name} is out of service: {why}"
    return ""


def _unbalanced(session: Session) -> str:
    engine = session.engine
    try:
        engine.ledger.check(engine.orders)
    except AssertionError as error:
        return f"the ledger does not balance: {error}"
    return ""
