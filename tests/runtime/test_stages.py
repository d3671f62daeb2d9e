"""The stopwatches around the stages: transparent, sampled, and without a trace in the engine."""

from typing import Any

import attrs
import pytest

from polytrade.config import Config
from polytrade.core.effects import PlaceOrder
from polytrade.core.events import OrderAccepted
from polytrade.lineup import build_lineup
from polytrade.metrics import LatencyRecorder, Readings
from polytrade.runtime.stages import EVERY, SIGN_EVERY_NS, Stages, TimedFairValue, TimedMaker
from tests.core.rig import Rig, ask, bid, of


class Model:
    name = "model"

    def on_reference(self, reference: Any, ts_ns: int) -> None:
        raise AssertionError("the stopwatch asks for estimates alone")

    def estimate(self, market: Any, reference: Any, ts_ns: int) -> Any:
        return (market, reference, ts_ns)

    def forget(self, market: str) -> None:
        raise AssertionError("the stopwatch asks for estimates alone")


class Quotes:
    def quotes(self, view: Any) -> Any:
        return view


def test_each_sixteenth_call_is_timed_and_all_are_answered() -> None:
    times = LatencyRecorder()
    fair = TimedFairValue(Model(), times)
    answers = [fair.estimate(1, None, at) for at in range(2 * EVERY)]  # type: ignore[arg-type]
    assert answers == [(1, None, at) for at in range(2 * EVERY)]
    assert times.count == 2
    maker = TimedMaker(Quotes(), times)
    assert [maker.quotes(at) for at in range(EVERY)] == list(range(EVERY))  # type: ignore[arg-type]
    assert times.count == 3


def test_everything_else_is_the_inner_object() -> None:
    inner = Model()
    fair = TimedFairValue(inner, LatencyRecorder())
    assert fair.name == "model"
    assert fair.forget == inner.forget
    assert fair.on_reference == inner.on_reference
    with pytest.raises(AttributeError, match="opinions"):
        fair.opinions  # noqa: B018
    with pytest.raises(AttributeError, match="learn"):
        TimedMaker(Quotes(), LatencyRecorder()).learn  # noqa: B018


def test_timed_lineup_has_the_plugins_of_the_other() -> None:
    lineup = build_lineup(Config())
    timed = Stages().timed(lineup)
    assert isinstance(timed.fair_value, TimedFairValue)
    assert isinstance(timed.maker, TimedMaker)
    assert attrs.asdict(timed, recurse=False) == {
        **attrs.asdict(lineup, recurse=False),
        "fair_value": timed.fair_value,
        "maker": timed.maker,
    }


def test_limits_are_asked_and_an_order_is_signed_without_a_trace() -> None:
    rig = Rig().open()
    placed = of(rig.want(bid(47), ask(53)), PlaceOrder)
    assert len(placed) == 2
    risk = rig.engine.risk
    before = (risk.loss_streak, risk.cooldown_until_ns, rig.engine.orders.open_count())
    stages = Stages()
    accepted = OrderAccepted(rig.ns, placed[0].order_id, "v")
    for _ in range(EVERY + 1):
        stages.observe(rig.engine, accepted, placed[:1])
    assert (stages.risk.count, stages.sign.count) == (2, 1)
    accepted.ts_ns = rig.ns + SIGN_EVERY_NS
    stages.observe(rig.engine, accepted, placed[:1])
    assert stages.sign.count == 2
    assert (risk.loss_streak, risk.cooldown_until_ns, rig.engine.orders.open_count()) == before
    readings = Readings()
    stages.put(readings)
    assert set(readings.summaries) == {"signal_us", "quote_us", "risk_us", "sign_us"}
    stages.reset()
    assert stages.sign.count == 0
