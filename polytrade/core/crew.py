"""The plugins as the engine asks them: what they answer is checked, and who fails is taken out.

A fair value or a maker that raises, or answers nonsense, is cut out: it says nothing any more, and
the rest trades on. A taker, an allocator or a risk rule that fails halts the engine. Either is
over when another object comes in its place.
"""

from collections.abc import Callable, Sequence
from typing import Final, final

from polytrade.core.effects import Alarmed, Effect, PluginFaulted
from polytrade.core.judging import (
    holdable,
    place_of,
    without_addresses,
    wrong_estimate,
    wrong_share,
    wrong_verdict,
    wrong_wishes,
)
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.risk import HALT, Context, Request, RiskState
from polytrade.core.roles import (
    MAKER,
    TAKER,
    Allocator,
    Estimate,
    FairValue,
    Maker,
    Portfolio,
    Share,
    Taker,
    View,
    Wish,
    no_estimate,
)
from polytrade.core.rules import RiskRule

FAIR_VALUE: Final = "fair_value"
ALLOCATOR: Final = "allocator"
RISK_RULE: Final = "risk_rule"
HALTING: Final = (TAKER, ALLOCATOR, RISK_RULE)
"""Roles whose failure halts the engine."""
QUARANTINED: Final = "quarantined"
"""Why a role that is out of service gives nothing, behind `no_quote_` or `no_take_`."""
RULE: Final = "rule:"
"""What the limit of a risk rule is called: this and its name."""
CALLERS: Final = ("core/crew.py", "runtime/budget.py", "runtime/stages.py", "polytrade/trial.py")
"""Whose lines say nothing of a plugin: stopwatches stand between it and the engine only live."""
FIRST_GENERATION: Final = 1
"""The generation a run begins with; each `LineupSwapped` has its own."""
WHY_MAX: Final = 300
"""Characters kept of what a plugin did."""

Wishes = tuple[list[Wish], str]
Rules = Sequence[tuple[str, RiskRule]]


@final
class Silence:
    """What stands in for a plugin that is out of service."""

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        """Nothing."""

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        """Nothing."""
        return no_estimate(f"no_quote_{QUARANTINED}")

    def forget(self, market: str) -> None:
        """Nothing."""

    def quotes(self, view: View) -> Wishes:
        """Nothing."""
        return [], f"no_quote_{QUARANTINED}"

    def takes(self, view: View) -> Wishes:
        """Nothing."""
        return [], f"no_take_{QUARANTINED}"

    def share(self, view: View, portfolio: Portfolio) -> Share:
        """Nothing."""
        return Share(0.0, QUARANTINED)


@final
class Crew:
    """Every plugin of the engine, to be asked in its place: never raises what one of them raises.

    `faults` says by role what is out of service and why. `news` is True until `tell` was called.
    """

    __slots__ = (
        "_allocator",
        "_ask_estimate",
        "_ask_quotes",
        "_ask_share",
        "_ask_takes",
        "_broken_rule",
        "_fair",
        "_maker",
        "_names",
        "_news",
        "_taker",
        "fair",
        "faults",
        "generation",
        "news",
        "rules",
    )

    def __init__(
        self, fair: FairValue, maker: Maker, taker: Taker, allocator: Allocator, rules: Rules = ()
    ) -> None:
        self.faults: dict[str, str] = {}
        self.generation = FIRST_GENERATION
        self.news = False
        self.fair = fair
        self.rules: Rules = ()
        self._broken_rule: RiskRule | None = None
        self._names: dict[str, str] = {}
        self._news: list[PluginFaulted] = []
        self._maker = maker
        self._taker = taker
        self._allocator = allocator
        self._fair = fair
        self._ask_estimate = fair.estimate
        self._ask_quotes = maker.quotes
        self._ask_takes = taker.takes
        self._ask_share = allocator.share
        self.rewire(fair, maker, taker, allocator, rules, {})

    def rewire(
        self,
        fair: FairValue,
        maker: Maker,
        taker: Taker,
        allocator: Allocator,
        rules: Rules,
        names: dict[str, str],
    ) -> None:
        """Ask these from now on; an object that is out of service stays so when it comes again."""
        self._names = names
        if fair is not self.fair or FAIR_VALUE not in self.faults:
            self.faults.pop(FAIR_VALUE, None)
            self.fair = self._fair = fair
            self._ask_estimate = fair.estimate
        if maker is not self._maker or MAKER not in self.faults:
            self.faults.pop(MAKER, None)
            self._maker = maker
            self._ask_quotes = maker.quotes
        if taker is not self._taker or TAKER not in self.faults:
            self.faults.pop(TAKER, None)
            self._taker = taker
            self._ask_takes = taker.takes
        if allocator is not self._allocator or ALLOCATOR not in self.faults:
            self.faults.pop(ALLOCATOR, None)
            self._allocator = allocator
            self._ask_share = allocator.share
        if all(rule is not self._broken_rule for _, rule in rules):
            self.faults.pop(RISK_RULE, None)
            self._broken_rule = None
        self.rules = rules

    # -- the roles ------------------------------------------------------------------------------

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        """A fast tick of a symbol was accepted."""
        try:
            self._fair.on_reference(reference, ts_ns)
        except BaseException as error:
            _pass_on(error)
            self.fault(FAIR_VALUE, why_of(error))

    def forget(self, market: str) -> None:
        """The market is over."""
        try:
            self._fair.forget(market)
        except BaseException as error:
            _pass_on(error)
            self.fault(FAIR_VALUE, why_of(error))

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        """The fair value of `market` now."""
        try:
            answer = self._ask_estimate(market, reference, ts_ns)
            wrong = wrong_estimate(answer)
        except BaseException as error:
            _pass_on(error)
            wrong = why_of(error)
        if wrong:
            self.fault(FAIR_VALUE, wrong)
            return no_estimate(f"no_quote_{QUARANTINED}")
        return answer

    def quotes(self, view: View) -> Wishes:
        """The maker's wishes."""
        return self._wishes(MAKER, self._ask_quotes, view, f"no_quote_{QUARANTINED}")

    def takes(self, view: View) -> Wishes:
        """The taker's wishes."""
        return self._wishes(TAKER, self._ask_takes, view, f"no_take_{QUARANTINED}")

    def share(self, view: View, portfolio: Portfolio) -> Share:
        """The allocator's word; nothing from one that failed."""
        try:
            answer = self._ask_share(view, portfolio)
            wrong = wrong_share(answer)
        except BaseException as error:
            _pass_on(error)
            wrong = why_of(error)
        if wrong:
            self.fault(ALLOCATOR, wrong)
            return Share(0.0, QUARANTINED)
        return answer

    def refusal(self, request: Request, context: Context) -> tuple[str, str]:
        """The first rule that refuses, as the name of its limit, and why; empty when none does.

        A rule that failed refuses everything. The operator's flatten orders are not asked about.
        """
        if request.flattens():
            return "", ""
        for name, rule in self.rules:
            if rule is self._broken_rule:
                return RULE + name, f"it failed: {self.faults[RISK_RULE]}"
            try:
                answer = rule.check(request, context)
                wrong = wrong_verdict(answer)
            except BaseException as error:
                _pass_on(error)
                wrong = why_of(error)
            if wrong:
                self._break_rule(name, rule, wrong)
                return RULE + name, f"it failed: {wrong}"
            if answer:
                return RULE + name, holdable(answer[:WHY_MAX])
        return "", ""

    def broken_rule(self) -> str:
        """The name of the rule that failed, empty when none did."""
        names = [name for name, rule in self.rules if rule is self._broken_rule]
        return names[0] if names else ""

    def _wishes(self, role: str, ask: Callable[[View], Wishes], view: View, nothing: str) -> Wishes:
        try:
            answer = ask(view)
            wrong = wrong_wishes(answer)
        except BaseException as error:
            _pass_on(error)
            wrong = why_of(error)
        if wrong:
            self.fault(role, wrong)
            return [], nothing
        return answer

    # -- what fails -----------------------------------------------------------------------------

    def quarantine(self, role: str, why: str, generation: int) -> None:
        """The shell takes a role out of service; a rule is said as `risk_rule:<name>`.

        Nothing when it judged another generation: who that was is gone. 0 is any.
        """
        if generation not in (0, self.generation):
            return
        kind, _, name = role.partition(":")
        if kind != RISK_RULE:
            self.fault(kind, why)
            return
        for known, rule in self.rules:
            if known == name or not name:
                self._break_rule(known, rule, why)
                return

    def fault(self, role: str, why: str) -> None:
        """The plugin of a role failed: it is not asked any more."""
        if role in self.faults:
            return
        silence = Silence()
        if role == FAIR_VALUE:
            self._fair = silence
            self._ask_estimate = silence.estimate
        elif role == MAKER:
            self._ask_quotes = silence.quotes
        elif role == TAKER:
            self._ask_takes = silence.takes
        elif role == ALLOCATOR:
            self._ask_share = silence.share
        else:
            return
        self._note(role, self._names.get(role, ""), why)

    def tell(self, risk: RiskState, effects: list[Effect]) -> str:
        """Say what failed since the last call; for some roles the engine halts, then why."""
        halted = ""
        for effect in self._news:
            effects.append(effect)
            if effect.role in HALTING:
                halted = f"{effect.role} {effect.name} failed: {effect.why}"
                risk.mode = HALT
                effects.append(Alarmed("mode", f"{HALT}: {halted}"))
        self._news = []
        self.news = False
        return halted

    def _break_rule(self, name: str, rule: RiskRule, why: str) -> None:
        if RISK_RULE not in self.faults:
            self._broken_rule = rule
            self._note(RISK_RULE, name, why)

    def _note(self, role: str, name: str, why: str) -> None:
        why = holdable(why[:WHY_MAX])
        self.faults[role] = why
        self.news = True
        self._news.append(PluginFaulted(role, name, why))


def _pass_on(error: BaseException) -> None:
    """What is not the plugin's to raise goes on: the operator's interrupt."""
    if isinstance(error, KeyboardInterrupt):
        raise error


def why_of(error: BaseException) -> str:
    """What was raised and where, the same in every process: addresses of objects are left out."""
    try:
        text = str(error)
    except BaseException as unsaid:
        _pass_on(unsaid)
        text = ""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.endswith(CALLERS):
            module = str(trace.tb_frame.f_globals.get("__name__", ""))
            place = f" ({place_of(module, code.co_filename)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return holdable(without_addresses(said)[: WHY_MAX - len(place)] + place)
