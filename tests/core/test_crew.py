"""A plugin that fails is taken out of service, and what it may still do to us is nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from polytrade.core.crew import CALLERS, why_of
from polytrade.core.effects import Effect, PluginFaulted
from polytrade.core.events import ModeSet, PluginQuarantined, event_from_row
from polytrade.core.ids import BUY, SELL, YES
from polytrade.core.judging import wrong_verdict
from polytrade.core.limits import HALT, RUN, Context, Request
from polytrade.core.roles import Estimate, Share, Wish, no_estimate
from polytrade.journal import effect_line
from tests.core.factory import SHARE
from tests.core.rig import Rig, Words, ask, bid, placed
from tests.core.test_rewire import settings

NAMES = {"fair_value": "fv", "maker": "mk", "taker": "tk", "allocator": "al"}


class Rule:
    """Refuses with what it is told, notes what it was asked."""

    def __init__(self, answer: Any = "") -> None:
        self.answer: Any = answer
        self.asked: list[tuple[str, int, int]] = []

    def check(self, request: Request, context: Context) -> Any:
        self.asked.append((request.engine, request.price_e4, request.size_e6))
        if isinstance(self.answer, BaseException):
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
    assert told.why.startswith("ZeroDivisionError: by nothing (tests/core/test_crew.py, line ")
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


REASON = "expected a text of at most 200 characters as the reason"
PAD = "expected a pad from 0 to 1e+09"
FOUND = "found 1" + 19 * "0"
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
    ("estimate", Estimate(True, 0.5, 1.0, 0.0, float("inf"), ""), "expected a pad from 0 to 1e+09"),
    (
        "estimate",
        Estimate(False, 0.5, 1.0, 0.0, 0.0, None),
        f"{REASON}, found None",
    ),
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
    ("takes", ([Wish(YES, SELL, 46, 1, 10**20, "")], ""), f"expected a finite edge_bps, {FOUND}0"),
    ("quotes", ([Wish(YES, SELL, 46, 1, -1.1e9, "")], ""), "expected a finite edge_bps, found -11"),
    ("quotes", ([Wish(YES, SELL, 46, 1, 10**306, "")], ""), f"expected a finite edge_bps, {FOUND}"),
    ("estimate", Estimate(True, 0.5, 1.0, -1.0, 0.0, ""), "expected a sd from 0 to 1e+09, found -"),
    ("estimate", Estimate(True, 0.5, 1.0, 0.0, -1e300, ""), "expected a pad from 0 to 1e+09"),
    ("estimate", Estimate(True, 0.5, 1.0, 0.0, 10**306, ""), f"{PAD}, {FOUND}"),
    (
        "estimate",
        Estimate(True, 0.5, 1.0, 1.1e9, 0.0, ""),
        "expected a sd from 0 to 1e+09, found 11",
    ),
    ("estimate", no_estimate("\ud800"), f"{REASON}, found '\\ud800'"),
    ("quotes", ([], "no_quote_\udcff"), f"{REASON}, found 'no_quote_\\udcff'"),
    ("takes", ([], "x" * 201), f"{REASON}, found 'xxx"),
    ("share", Share(0.5, "\udcff"), f"{REASON}, found '\\udcff'"),
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
    assert all(effect_line(effect.row()) for effect in rig.effects)


FITTING: list[tuple[str, Any]] = [
    ("estimate", Estimate(True, 0.5, 1.0, 1e9, 0.0, "")),
    ("estimate", Estimate(True, 1, 1, 0, 10**9, "")),
    ("estimate", no_estimate("n" * 200)),
    ("quotes", ([Wish(YES, BUY, 4_600, 10 * SHARE, -1e9, "")], "")),
    ("quotes", ([], "é" * 200)),
    ("takes", ([Wish(YES, BUY, 5_200, 10 * SHARE, 10**9, "")], "")),
    ("share", Share(1, "ü")),
]


@pytest.mark.parametrize(("method", "answer"), FITTING)
def test_what_is_just_within_the_bounds_is_taken_and_fits_the_journal(
    method: str, answer: Any
) -> None:
    rig = crewed()
    words = Words()
    words.wishes = [bid(46)]
    setattr(words, method, answers(answer))
    rewire(rig, words)
    effects = rig.refer(20)
    assert effects
    assert rig.engine.faults == {}
    assert all(effect_line(effect.row()) for effect in rig.effects)


class Panic(BaseException):
    """As extensions written in Rust raise it: it is no Exception."""


METHODS = ("on_reference", "forget", "estimate", "quotes", "takes", "share")


def failing_in(method: str, error: BaseException) -> Rig:
    rig = crewed()
    words = Words()
    words.wishes = [bid(46)]
    setattr(words, method, broken(error))
    rewire(rig, words)
    return rig


def provoke(rig: Rig, method: str) -> list[Effect]:
    if method == "forget":
        rig.engine.crew.forget("m")
    return rig.refer(20)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [AssertionError("mine"), SystemExit(3), Panic("unwrap of None")])
def test_whatever_a_plugin_raises_is_its_fault(method: str, error: BaseException) -> None:
    told = fault(provoke(failing_in(method, error), method))
    assert told.role == ROLE_OF.get(method, "fair_value")
    assert told.why.startswith(f"{type(error).__name__}: {error} (tests/core/test_crew.py, line ")


@pytest.mark.parametrize("method", METHODS)
def test_interrupt_of_the_operator_is_no_plugins_fault(method: str) -> None:
    rig = failing_in(method, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        provoke(rig, method)
    assert rig.engine.faults == {}


@pytest.mark.parametrize("error", [SystemExit(3), Panic("unwrap of None")])
def test_whatever_a_rule_raises_halts(error: BaseException) -> None:
    rig = crewed(("days", Rule(error)))
    told = fault(rig.want(bid(46), ms=10))
    assert (told.role, told.name, rig.engine.risk.mode) == ("risk_rule", "days", HALT)
    assert told.why.startswith(f"{type(error).__name__}: {error} (tests/core/test_crew.py, line ")


def test_interrupt_within_a_rule_goes_on() -> None:
    rig = crewed(("days", Rule(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        rig.want(bid(46), ms=10)


@pytest.mark.parametrize("text", ["no file \udcff", "\ud800"])
def test_text_that_no_journal_can_hold_is_told_with_what_can(text: str) -> None:
    """An unprintable name of a file is enough to get one."""
    shown = text.replace("\udcff", "?").replace("\ud800", "?")
    rig = failing_in("quotes", ValueError(text))
    told = fault(rig.refer(20))
    assert told.why.startswith(f"ValueError: {shown} (tests/core/test_crew.py, line ")
    ruled = crewed(("days", Rule(text)))
    (refused,) = [e for e in ruled.want(bid(46), ms=10) if e.TAG == "refused"]
    assert (refused.limit, refused.why) == ("rule:days", shown)
    slow = crewed()
    assert fault(slow.step(PluginQuarantined(0, "maker", text), 20)).why == shown
    for each in (rig, ruled, slow):
        assert all(effect_line(effect.row()) for effect in each.effects)


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


@pytest.mark.parametrize("role", ["maker", "risk_rule:slow"])
@pytest.mark.parametrize(("generation", "hits"), [(0, True), (1, False), (3, True), (4, False)])
def test_quarantine_is_for_the_generation_that_was_judged(
    role: str, generation: int, hits: bool
) -> None:
    """It may wait behind the swap that replaced whom it means; 0 is of journals before."""
    rig = crewed(("slow", Rule()))
    rig.engine.crew.generation = 3
    effects = rig.step(PluginQuarantined(0, role, "too long", generation), 20)
    assert ("plugin_faulted" in tags(effects)) is hits
    kind = role.partition(":")[0]
    assert rig.engine.faults == ({kind: "too long"} if hits else {})
    assert (rig.engine.risk.mode == HALT) is (hits and kind == "risk_rule")


def test_quarantine_of_an_old_journal_is_anybodys() -> None:
    old = event_from_row(["plugin_quarantined", 5, "maker", "too long"])
    assert isinstance(old, PluginQuarantined)
    assert old.generation == 0
    row = PluginQuarantined(5, "maker", "too long", 3).row()
    assert row == ["plugin_quarantined", 5, "maker", "too long", 3]
    again = event_from_row(row)
    assert isinstance(again, PluginQuarantined)
    assert again.row() == row


def test_broken_rule_is_known_by_name_until_it_is_replaced() -> None:
    rig = crewed(("days", Rule()), ("hours", Rule(ValueError("x"))))
    assert rig.engine.crew.broken_rule() == ""
    rig.want(bid(46), ms=10)
    assert rig.engine.crew.broken_rule() == "hours"
    rewire(rig, rig.words, ("days", Rule()), ("hours", Rule()))
    assert rig.engine.crew.broken_rule() == ""


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


def test_what_is_said_of_a_plugin_can_be_written() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "odd \udcff"

    assert why_of(ValueError("no file \udcff")) == "ValueError: no file ?"
    assert wrong_verdict(Odd()) == "expected a text, found odd ?"


@pytest.mark.parametrize("caller", CALLERS)
def test_line_of_a_stopwatch_is_no_place(caller: str) -> None:
    """A call that does not fit fails in whoever calls: a stopwatch live, the crew in a replay."""
    place: dict[str, Any] = {}
    exec(compile("def call(method):\n    method(1)", f"/any/{caller}", "exec"), place)

    def takes_nothing() -> None:
        raise AssertionError("never called")

    def said(call: Callable[[Any], None], method: Any) -> str:
        with pytest.raises((TypeError, ZeroDivisionError)) as caught:
            call(method)
        trace = caught.value.__traceback__
        assert trace is not None
        return why_of(caught.value.with_traceback(trace.tb_next))

    wrong = "test_line_of_a_stopwatch_is_no_place.<locals>.takes_nothing() takes 0 positional"
    assert said(place["call"], takes_nothing) == f"TypeError: {wrong} arguments but 1 was given"
    assert said(place["call"], lambda _: 1 / 0).startswith(
        "ZeroDivisionError: division by zero (tests/core/test_crew.py, line "
    )


@pytest.mark.parametrize("raised", [RuntimeError, SystemExit, GeneratorExit])
def test_error_that_cannot_be_shown_is_named(raised: type[BaseException]) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise raised

    assert why_of(Mute()) == "Mute"
