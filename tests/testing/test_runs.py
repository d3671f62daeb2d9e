"""Runs of plugins over events: the same every time, and with differences named."""

import tracemalloc
from typing import Any

import attrs
import pytest

from polytrade.api import BUY, MAKER, NO, YES, Estimate, Share, View, Wish
from polytrade.config import Config
from polytrade.core.events import ClockTicked, Event, MarketResolved, RunStarted, TradePrinted
from polytrade.core.units import SECOND_NS
from polytrade.testing import (
    START_NS,
    assert_deterministic,
    capture_events,
    config,
    market_events,
    measure_calls,
    role_of,
    run_strategy,
    venue_events,
)
from tests.daemon.rig import SAMPLE

EVENTS = market_events(30)


@attrs.define(eq=False)
class Bidder:
    """Bids five shares of YES, a cent lower every hundredth time.

    One that is `forgetful` hands nothing over.
    """

    forgetful: bool = False
    asked: int = 0

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        self.asked += 1
        price_e4 = 4_500 - self.asked // 100 * 100
        return [Wish(YES, BUY, max(price_e4, 100), 5_000_000, 10.0, MAKER)], ""

    def dump(self) -> dict[str, int]:
        return {"asked": 0 if self.forgetful else self.asked}

    def restore(self, state: dict[str, int]) -> None:
        self.asked = state["asked"]


class Silent:
    """A maker that says why it wishes nothing."""

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        return [], "no_quote_silent"


# -- events ------------------------------------------------------------------------------------


def test_market_events_are_the_same_every_time_and_differ_by_seed() -> None:
    assert market_events(5) == market_events(5)
    assert market_events(5) != market_events(5, seed=2)


def test_market_events_never_run_backwards_and_end_with_a_resolution() -> None:
    events = market_events(400)
    times = [event.ts_ns for event in events]
    assert times == sorted(times)
    assert times[0] == START_NS
    resolved = [event for event in events if isinstance(event, MarketResolved)]
    assert [(it.ts_ns, it.winner in (YES, NO)) for it in resolved] == [
        (START_NS + 301 * SECOND_NS, True)
    ]
    assert not any(isinstance(event, MarketResolved) for event in EVENTS)


def test_market_events_have_trades_and_ticks() -> None:
    assert len([event for event in EVENTS if isinstance(event, ClockTicked)]) == 300
    assert len([event for event in EVENTS if isinstance(event, TradePrinted)]) == 30
    assert market_events(1, condition="below")[1].condition == "below"  # type: ignore[attr-defined]


def test_venue_events_are_decoded_frames_of_the_local_venue() -> None:
    events = venue_events(5)
    assert isinstance(events[0], RunStarted)
    assert {"market_listed", "book_replaced", "reference_ticked"} <= {it.TAG for it in events}
    assert events == venue_events(5)


def test_capture_events_are_those_of_the_recording() -> None:
    events = capture_events(SAMPLE, until=500)
    assert len(events) == 500
    assert isinstance(events[0], RunStarted)


# -- runs --------------------------------------------------------------------------------------


def test_run_keeps_orders_fills_and_reasons() -> None:
    run = run_strategy(EVENTS, maker=Bidder())
    assert run.broken == ""
    assert {order.price_e4 % 100 for order in run.orders} == {0}
    assert len(run.orders) == run.counts["place_order"] > 0
    assert len(run.fills) > 0
    assert run.steps[0][0].TAG == "run_started"
    silent = run_strategy(EVENTS, maker=Silent())
    assert silent.orders == []
    assert silent.pnl == 0.0
    assert silent.reasons["no_quote_silent"] == 1


def test_runs_of_the_same_are_equal_and_of_others_are_not() -> None:
    first = run_strategy(EVENTS, maker=Bidder())
    assert run_strategy(EVENTS, maker=Bidder()).digest == first.digest
    assert run_strategy(EVENTS, maker=Silent()).digest != first.digest


def test_plugin_that_fails_is_told() -> None:
    class Bad:
        def quotes(self, view: View) -> tuple[list[Wish], str]:
            raise RuntimeError("bad day")

    run = run_strategy(EVENTS, maker=Bad())
    assert run.broken.startswith("maker ")
    assert "is out of service: RuntimeError: bad day" in run.broken
    with pytest.raises(AssertionError, match="RuntimeError: bad day"):
        assert_deterministic(Bad, EVENTS)


def test_rules_are_asked_about_every_order() -> None:
    class Never:
        def check(self, request: Any, context: Any) -> str:
            return "never"

    run = run_strategy(EVENTS, rules=[Never()])
    assert run.orders == []
    assert run.reasons["rule:Never"] > 0
    assert run.broken == ""


def test_roles_may_be_names() -> None:
    by_name = run_strategy(EVENTS, maker="control_mid", taker="profile")
    settings = config(strategy={"maker": "control_mid", "taker": "profile"})
    assert run_strategy(EVENTS, settings=settings).digest == by_name.digest


def test_every_role_may_be_an_object() -> None:
    @attrs.define(eq=False)
    class Even:
        seen: int = 0

        def on_reference(self, reference: Any, ts_ns: int) -> None:
            self.seen += 1

        def forget(self, market: str) -> None:
            pass

        def estimate(self, market: Any, reference: Any, ts_ns: int) -> Estimate:
            return Estimate(True, 0.5, 1.0, 0.0, 0.0, "")

        def share(self, view: View, portfolio: Any) -> Share:
            return Share(0.0, "nothing")

        def takes(self, view: View) -> tuple[list[Wish], str]:
            return [], "no_take_even"

    even = Even()
    run = run_strategy(EVENTS, fair_value=even, taker=even, allocator=even)
    assert even.seen > 100
    assert run.orders == []


def test_configuration_is_changed_by_section() -> None:
    changed = config(strategy={"half_spread": 0.02})
    assert (changed.strategy.half_spread, changed.strategy.base_quote_size) == (0.02, 5.0)
    assert changed.taker == Config().taker
    with pytest.raises(TypeError):
        config(strategy={"half_spred": 0.02})
    with pytest.raises(AttributeError):
        config(strateg={"half_spread": 0.02})


def test_role_is_told_by_the_methods() -> None:
    assert role_of(Bidder()) == "maker"
    with pytest.raises(TypeError, match="quotes \\(maker\\)"):
        role_of(object())


# -- determinism -------------------------------------------------------------------------------


def test_what_hands_everything_over_is_deterministic() -> None:
    assert_deterministic(Bidder, EVENTS)
    assert_deterministic(Silent, EVENTS)


def test_forgotten_state_is_found_with_the_step() -> None:
    with pytest.raises(AssertionError, match=r"a run swapped before step \d+ differs at step \d+"):
        assert_deterministic(lambda: Bidder(forgetful=True), EVENTS)


def test_what_differs_between_objects_is_found_with_both_answers() -> None:
    made: list[Bidder] = []

    def another() -> Bidder:
        made.append(Bidder(asked=100 * len(made)))
        return made[-1]

    with pytest.raises(AssertionError) as caught:
        assert_deterministic(another, EVENTS)
    text = str(caught.value)
    assert text.startswith("a second run differs at step ")
    assert "\n  first: [" in text
    assert "\n  then:  [" in text
    assert text.count("'place_order'") == 2


def test_rules_may_be_tried_too() -> None:
    class Never:
        def check(self, request: Any, context: Any) -> str:
            return "never"

    assert role_of(Never()) == "risk_rule"
    assert_deterministic(Never, EVENTS)


# -- speed -------------------------------------------------------------------------------------


def test_calls_are_counted_and_measured() -> None:
    kept: list[Bidder] = []

    def made() -> Bidder:
        kept.append(Bidder())
        return kept[-1]

    (calls,) = measure_calls(made, EVENTS)
    assert (calls.kind, calls.method) == ("maker", "quotes")
    assert len(calls.took_ns) == kept[0].asked > 0
    assert 0 < calls.us(0.5) <= calls.us(0.99) <= calls.us(1.0)
    assert calls.over(0) == len(calls.took_ns)
    assert calls.over(60_000_000) == 0
    assert calls.peak(0.5) > 0
    assert not tracemalloc.is_tracing()


def test_memory_that_is_kept_is_told() -> None:
    @attrs.define(eq=False)
    class Hoarder:
        kept: list[bytes] = attrs.field(factory=list)

        def quotes(self, view: View) -> tuple[list[Wish], str]:
            self.kept.append(bytes(10_000))
            return [], "no_quote_hoarder"

    (calls,) = measure_calls(Hoarder, EVENTS)
    assert calls.kept_bytes >= 10_000 * len(calls.peak_bytes) > 0
    assert calls.peak(0.5) >= 10_000


def test_events_are_not_changed_by_a_run() -> None:
    before = [repr(event) for event in EVENTS]
    run_strategy(EVENTS)
    assert [repr(event) for event in EVENTS] == before


def listed(events: list[Event]) -> list[str]:
    return [event.TAG for event in events]


def test_a_start_is_put_before_events_that_have_none() -> None:
    run = run_strategy(EVENTS[:3])
    assert listed([event for event, _ in run.steps]) == ["run_started", *listed(EVENTS[:3])]
