"""A plugin that fails is taken out of service, and what it may still do to us is nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from polytrade.core.crew import why_of
from polytrade.core.effects import Effect, PluginFaulted
from polytrade.core.events import ModeSet, PluginQuarantined
from polytrade.core.ids import BUY, SELL, YES
from polytrade.core.limits import HALT, RUN, Context, Request
from polytrade.core.roles import Estimate, Share, Wish
from tests.core.factory import SHARE
from tests.core.rig import Rig, Words, ask, bid, placed
from tests.core.test_rewire import settings

NAMES = {"fair_value": "fv", "maker": "mk", "taker": "tk", "allocator": "al"}


class Rule:
    """Refuses with what it is told, notes what it was asked."""

    def __init__(self, answer: Any = "") -> None:
        self.answer = answer
        self.asked: list[tuple[str, int, int]] = []

    def check(self, request: Request, context: Context) -> Any:
        self.asked.append((request.engine, request.price_e4, request.size_e6))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def crewed(*rules: tuple[str, Rule]) -> Rig:
    rig = Rig().open()
    rewire(rig, rig.words, *rules)
    return rig


def rewire(rig: Rig, words: Words, *rules: tuple[str, Rule]) -> None:
    rig.words = words
    rig.engine.rewire(settings(), words, words, words, words, rules, NAMES)


def broken(error: BaseException) -> Callable[..., Any]:
    def method(*_: Any) -> Any:
        raise error

    return method


def answers(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def tags(effects: list[Effect]) -> list[str]:
    return [effect.TAG for effect in effects]


def fault(effects: list[Effect]) -> PluginFaulted:
    (found,) = [effect for effect in effects if isinstance(effect, PluginFaulted)]
    return found


def test_maker_that_raises_is_cut_out_with_its_orders_and_the_taker_goes_on() -> None:
    rig = crewed()
    rig.want(bid(46), ask(54), ms=10)
    rig.accept("o1", "o2")
    rig.words.quotes = broken(ZeroDivisionError("by nothing"))  # type: ignore[method-assign]
    rewire(rig, rig.words)
    effects = rig.refer(600)
    assert tags(effects) == [
        "cancel_order",
        "cancel_order",
        "quote_state_changed",
        "plugin_faulted",
    ]
    told = fault(effects)
    assert (told.role, told.name) == ("maker", "mk")
    assert told.why.startswith("ZeroDivisionError: by nothing (test_crew.py:")
    assert rig.market.quote_state == "no_quote_quarantined"
    assert rig.engine.risk.mode == RUN
    assert rig.engine.faults == {"maker": told.why}
    rig.gone("o1")
    rig.gone("o2")
    rig.words.takings = [Wish(YES, BUY, 5_200, 10 * SHARE, 90.0, "taker")]
    assert placed(rig.refer(1_200)) == [("o3", YES, BUY, 52, 10.0)]


def test_fair_value_that_raises_is_cut_out_and_nothing_is_quoted() -> None:
    rig = crewed()
    rig.want(bid(46), ms=10)
    rig.accept("o1")
    rig.words.estimate = broken(KeyError("x"))  # type: ignore[method-assign]
    rewire(rig, rig.words)
    effects = rig.refer(600)
    assert tags(effects) == ["cancel_order", "quote_state_changed", "plugin_faulted"]
    assert rig.market.fair == -1.0
    assert rig.market.quote_state == "no_quote_quarantined"
    assert rig.engine.risk.mode == RUN
    ticks = rig.words.ticks
    rig.refer(700)
    assert rig.words.ticks == ticks


@pytest.mark.parametrize("method", ["on_reference", "forget"])
def test_fair_value_that_raises_elsewhere_is_cut_out_too(method: str) -> None:
    rig = crewed()
    setattr(rig.words, method, broken(ValueError("no")))
    rewire(rig, rig.words)
    if method == "forget":
        rig.engine.crew.forget("m")
        effects = rig.tick(20)
    else:
        effects = rig.refer(20)
    assert fault(effects).role == "fair_value"


@pytest.mark.parametrize(
    ("method", "role", "name"), [("takes", "taker", "tk"), ("share", "allocator", "al")]
)
def test_taker_or_allocator_that_raises_halts(method: str, role: str, name: str) -> None:
    rig = crewed()
    rig.words.wishes = [bid(46)]
    setattr(rig.words, method, broken(RuntimeError("out")))
    rewire(rig, _moved(rig.words, method))
    effects = rig.refer(20)
    told = fault(effects)
    assert (told.role, told.name) == (role, name)
    assert rig.engine.risk.mode == HALT
    assert rig.engine.mode_why == f"{role} {name} failed: {told.why}"
    assert "alarmed" in tags(effects)
    if role == "taker":  # the maker's order went out in the same step
        assert "cancel_order" in tags(rig.accept("o1"))
        rig.gone("o1")
    assert placed(rig.refer(1_000)) == []
    rig.step(ModeSet(0, RUN, "go on"), 3_000)
    allowed = [("o2", YES, BUY, 46, 10.0)] if role == "taker" else []
    assert [placed([e]) for e in rig.effects if e.TAG == "place_order"][1:] == [allowed] * bool(
        allowed
    )
    assert rig.engine.faults == {role: told.why}


def _moved(words: Words, method: str) -> Words:
    """The same words as another object: the engine keeps methods of an object it has."""
    other = Words()
    other.wishes = words.wishes
    setattr(other, method, getattr(words, method))
    return other


NONSENSE: list[tuple[str, Any, str]] = [
    ("estimate", None, "expected an Estimate, found None"),
    ("estimate", Estimate(True, 1.5, 0.5, 0.0, 0.0, ""), "expected a fair from 0 to 1, found 1.5"),
    (
        "estimate",
        Estimate(True, float("nan"), 0.5, 0.0, 0.0, ""),
        "expected a fair from 0 to 1, found nan",
    ),
    (
        "estimate",
        Estimate(True, 0.5, -1.0, 0.0, 0.0, ""),
        "expected a confidence from 0 to 1, found -1.0",
    ),
    ("estimate", Estimate(True, 0.5, 1.0, 0.0, float("inf"), ""), "expected a finite pad"),
    ("estimate", Estimate(False, 0.5, 1.0, 0.0, 0.0, None), "expected a text as the reason"),
    ("quotes", [], "expected a list of wishes and a text, found []"),
    ("quotes", ((), ""), "expected a list of wishes and a text, found ((), '')"),
    ("quotes", (["x"], ""), "expected a Wish, found 'x'"),
    ("quotes", ([bid(46)] * 201, ""), "expected at most 200 wishes, found 201"),
    ("quotes", ([Wish(YES, 7, 1, 1, 0.0, "")], ""), "expected a token and a side, found 0 and 7"),
    ("quotes", ([Wish(False, BUY, 1, 1, 0.0, "")], ""), "expected a token and a side, found False"),
    ("quotes", ([Wish(YES, SELL, 0, 1, 0.0, "")], ""), "expected an int price_e4 from 1 to 9999"),
    ("quotes", ([Wish(YES, SELL, True, 1, 0.0, "")], ""), "expected an int price_e4"),
    ("quotes", ([Wish(YES, SELL, 46.0, 1, 0.0, "")], ""), "expected an int price_e4"),
    ("quotes", ([Wish(YES, SELL, 46, 0, 0.0, "")], ""), "expected an int size_e6 above 0, found 0"),
    ("takes", ([Wish(YES, SELL, 46, 1, float("nan"), "")], ""), "expected a finite edge_bps"),
    ("share", 0.5, "expected a Share, found 0.5"),
    ("share", Share(float("nan")), "expected a scale from 0 to 1, found nan"),
    ("share", Share(1.5), "expected a scale from 0 to 1, found 1.5"),
]
ROLE_OF = {"estimate": "fair_value", "quotes": "maker", "takes": "taker", "share": "allocator"}


@pytest.mark.parametrize(("method", "answer", "why"), NONSENSE)
def test_nonsense_is_the_plugins_fault(method: str, answer: Any, why: str) -> None:
    rig = crewed()
    words = Words()
    words.wishes = [bid(46)]
    setattr(words, method, answers(answer))
    rewire(rig, words)
    told = fault(rig.refer(20))
    assert told.role == ROLE_OF[method]
    assert told.why.startswith(why)


def test_assertion_and_exit_in_a_plugin_are_its_fault() -> None:
    for error in (AssertionError("mine"), SystemExit(3)):
        rig = crewed()
        words = Words()
        words.quotes = broken(error)  # type: ignore[method-assign]
        rewire(rig, words)
        assert fault(rig.refer(20)).why.startswith(type(error).__name__)


def test_failure_is_told_once_and_ends_with_another_object() -> None:
    rig = crewed()
    words = Words()
    words.wishes = [bid(46)]
    words.quotes = broken(ValueError("x"))  # type: ignore[method-assign]
    rewire(rig, words)
    fault(rig.refer(20))
    assert "plugin_faulted" not in tags(rig.refer(30))
    rewire(rig, words)
    assert list(rig.engine.faults) == ["maker"]
    assert placed(rig.refer(40)) == []
    better = Words()
    better.wishes = [bid(46)]
    rewire(rig, better)
    assert rig.engine.faults == {}
    assert placed(rig.refer(50)) == [("o1", YES, BUY, 46, 10.0)]


def test_shell_takes_a_slow_maker_out() -> None:
    rig = crewed()
    rig.want(bid(46), ms=10)
    rig.accept("o1")
    effects = rig.step(PluginQuarantined(0, "maker", "6 calls took too long"), 600)
    assert tags(effects) == ["plugin_faulted", "cancel_order", "quote_state_changed"]
    assert rig.engine.faults == {"maker": "6 calls took too long"}


def test_shell_takes_out_a_slow_rule_by_name_and_halts() -> None:
    slow, other = Rule(), Rule()
    rig = crewed(("other", other), ("slow", slow))
    told = fault(rig.step(PluginQuarantined(0, "risk_rule:slow", "too long"), 20))
    assert (told.role, told.name, rig.engine.risk.mode) == ("risk_rule", "slow", HALT)
    rig.step(ModeSet(0, RUN, "go on"), 30)
    rig.want(bid(46), ms=40)
    assert rig.engine.quoter.refusals == {"rule:slow": 1}


def test_role_that_is_not_there_is_nobody() -> None:
    rig = crewed()
    assert rig.step(PluginQuarantined(0, "notifier", "too long"), 20) == []
    assert rig.step(PluginQuarantined(0, "risk_rule:gone", "too long"), 30) == []
    assert rig.engine.faults == {}


def test_rule_refuses_what_the_limits_let_pass_and_is_named() -> None:
    rule = Rule("not on Mondays")
    rig = crewed(("days", rule))
    effects = rig.want(bid(46), ms=10)
    (refused,) = [effect for effect in effects if effect.TAG == "refused"]
    assert (refused.limit, refused.why) == ("rule:days", "not on Mondays")
    assert rig.market.quote_state == "risk:rule:days"
    assert rig.engine.quoter.refusals == {"rule:days": 1}
    assert rule.asked == [("maker", 4_600, 10 * SHARE)]
    rule.answer = ""
    assert placed(rig.refer(20)) == [("o1", YES, BUY, 46, 10.0)]


def test_rules_are_asked_in_order_and_not_about_what_a_limit_refuses() -> None:
    first, second = Rule("no"), Rule()
    rig = crewed(("first", first), ("second", second))
    rig.want(bid(46), ms=10)
    assert (len(first.asked), len(second.asked)) == (1, 0)
    rig.want(Wish(YES, BUY, 5, 10 * SHARE, 50.0, "maker"), ms=20)
    assert len(first.asked) == 1


def test_rule_that_raises_halts_and_lets_nothing_pass_when_the_halt_is_cleared() -> None:
    rule = Rule(ValueError("x"))
    rig = crewed(("days", rule))
    told = fault(rig.want(bid(46), ms=10))
    assert (told.role, told.name) == ("risk_rule", "days")
    assert rig.engine.risk.mode == HALT
    rig.step(ModeSet(0, RUN, "go on"), 20)
    assert placed(rig.refer(30)) == []
    assert len(rule.asked) == 1
    rewire(rig, rig.words, ("days", Rule()))
    assert rig.engine.faults == {}
    assert placed(rig.refer(40)) == [("o1", YES, BUY, 46, 10.0)]


def test_rule_that_answers_no_text_halts() -> None:
    rig = crewed(("days", Rule(None)))
    assert fault(rig.want(bid(46), ms=10)).why == "expected a text, found None"


def test_what_is_said_of_an_object_has_no_address() -> None:
    said = why_of(ValueError(f"{object()!r} and {object()!r}"))
    assert said == "ValueError: <object object> and <object object>"


def test_error_that_cannot_be_shown_is_named() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert why_of(Mute()) == "Mute"
