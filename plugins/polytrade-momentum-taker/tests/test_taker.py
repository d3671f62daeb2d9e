"""The taker: direction, costs, sizes, waits, what it hands over, and a replay."""

from math import exp
from typing import Any

import orjson
import polytrade_momentum_taker
import pytest
from polytrade_momentum_taker import MomentumTaker
from polytrade_momentum_taker.taker import COOLDOWNS_MAX

from polytrade import testing
from polytrade.api import BUY, CAUTION, DANGER, NO, SELL, TAKER, YES, Event, View, no_estimate

SECOND = 1_000_000_000


def make(**changes: Any) -> MomentumTaker:
    """Only the queue speaks: half a spread at full imbalance; no cooldown; fair value alone."""
    settings = {
        "fair_weight": 1.0,
        "flow_gain": 0.0,
        "momentum_gain": 0.0,
        "imbalance_gain": 1.0,
        "cooldown_s": 0.0,
        **changes,
    }
    return MomentumTaker(**settings)


def takes(taker: MomentumTaker, view: View) -> tuple[int, int, int, float]:
    """(token, side, limit price_e4, shares) of the only wish."""
    wishes, why = taker.takes(view)
    assert len(wishes) == 1, why
    (wish,) = wishes
    assert (wish.engine, why) == (TAKER, "")
    return wish.token, wish.side, wish.price_e4, wish.size_e6 / 1e6


def reason(taker: MomentumTaker, view: View) -> str:
    wishes, why = taker.takes(view)
    assert wishes == []
    return why


def rising(**terms: Any) -> Any:
    """Bid 0.49 by 300, offered at 0.51 by 100: the queue expects half of the half spread up."""
    return testing.market({49: 300}, {51: 100}, **terms)


def falling(**terms: Any) -> Any:
    return testing.market({49: 100}, {51: 300}, **terms)


def test_the_plugin_says_which_api_and_what_it_offers() -> None:
    assert polytrade_momentum_taker.polytrade_api == 1
    assert polytrade_momentum_taker.polytrade_takers() == {"momentum": MomentumTaker}


def test_buys_yes_before_it_rises_and_no_before_it_falls() -> None:
    assert takes(make(), testing.view(0.52, rising())) == (YES, BUY, 5_100, 10)
    assert takes(make(), testing.view(0.48, falling())) == (NO, BUY, 5_100, 10)


def test_sells_what_is_held_of_the_other_token() -> None:
    up = testing.view(0.52, rising(), testing.holding(no=7.255))
    assert takes(make(), up) == (NO, SELL, 4_900, 7.25)
    down = testing.view(0.48, falling(), testing.holding(yes=30))
    assert takes(make(), down) == (YES, SELL, 4_900, 10)


def test_never_against_the_expected_move() -> None:
    """YES is worth 0.60 and offered at 0.51, but the queue says that it falls."""
    assert reason(make(), testing.view(0.60, falling())) == "no_take_edge"


def test_edge_is_net_of_the_fee_and_counts_the_move() -> None:
    """0.52 + 0.005 less 0.51 and a fee of 0.07 * 0.51 * 0.49."""
    view = testing.view(0.52, rising(fee_rate_e6=10_000))
    wishes, _ = make().takes(view)
    assert wishes[0].edge_bps == pytest.approx((0.015 - 0.01 * 0.51 * 0.49) / 0.51 * 1e4, rel=1e-4)


@pytest.mark.parametrize(("trigger", "why"), [(293.0, ""), (295.0, "no_take_edge")])
def test_the_trigger_decides(trigger: float, why: str) -> None:
    """0.015 on 0.51 is 294 bps."""
    assert make(trigger_bps=trigger).takes(testing.view(0.52, rising()))[1] == why


def test_pad_costs_edge() -> None:
    estimate = testing.estimate(0.52, pad=0.0149)
    assert reason(make(), testing.view(estimate, rising())) == "no_take_edge"


def test_fair_value_is_weighed_against_the_mid() -> None:
    """The mid is 0.50: with a weight of 0.5, a fair value of 0.52 is 0.51."""
    view = testing.view(0.52, rising())
    wishes, _ = make(fair_weight=0.5).takes(view)
    assert wishes[0].edge_bps == pytest.approx(0.005 / 0.51 * 1e4)
    assert reason(make(fair_weight=0.0), view) == "no_take_edge"


def test_levels_within_the_slippage_are_taken_while_each_pays() -> None:
    """30 bps of 0.5100 reach 0.5115; the level at 0.5120 is beyond it."""
    market = testing.market({49: 90}, {51: 3, 51.1: 4, 51.2: 50}, tick_e4=10)
    view = testing.view(0.54, market)
    assert takes(make(imbalance_gain=0.9), view) == (YES, BUY, 5_110, 7)
    assert takes(make(max_slippage_bps=60.0), view) == (YES, BUY, 5_120, 10)
    assert takes(make(max_slippage_bps=60.0, trigger_bps=690.0), view)[2] == 5_110


def test_size_is_bounded_by_money_and_by_what_can_be_sent() -> None:
    view = testing.view(0.52, rising())
    assert takes(make(max_notional=2.0), view) == (YES, BUY, 5_100, 3.92)
    assert reason(make(base_size=1.5), view) == "no_take_notional"


def test_a_weak_signal_is_not_acted_on() -> None:
    view = testing.view(0.52, rising())
    assert make(signal_min=0.0049).takes(view)[1] == ""
    assert reason(make(signal_min=0.0051), view) == "no_take_signal"


def test_flow_moves_by_ticks_within_its_bound() -> None:
    taker = make(flow_gain=0.25, imbalance_gain=0.0)
    view = testing.view(0.5)
    assert taker.expected_move(view, 2.0) == pytest.approx(0.005)
    assert taker.expected_move(view, -50.0) == pytest.approx(-0.0075)


def test_momentum_moves_by_what_the_price_does_to_the_payoff() -> None:
    prices = [(54.0 + at / 10, 60_000.0) for at in range(31)]
    reference = testing.reference(*prices, (57.1, 60_000.0 * exp(0.3e-4)))
    view = testing.view(0.5, testing.market(), reference=reference)
    taker = make(imbalance_gain=0.0, momentum_gain=0.5, horizons_s=(0.5,))
    assert taker.expected_move(view, 0.0) == pytest.approx(
        0.5 * (2 / 0.5**0.5 - 1) * 0.3989423 / 240**0.5, rel=1e-4
    )


def test_the_expected_move_has_an_end() -> None:
    taker = make(flow_gain=10.0, imbalance_gain=0.0)
    assert taker.expected_move(testing.view(0.5), 3.0) == 0.03


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"regime": DANGER}, "no_take_danger"),
        ({"regime": CAUTION}, "no_take_caution"),
        ({"active": False}, "no_take_inactive"),
    ],
)
def test_what_the_engine_says_is_respected(changes: dict[str, Any], why: str) -> None:
    assert reason(make(), testing.view(0.52, rising(), **changes)) == why


def test_nothing_is_taken_without_a_fair_value_a_book_or_a_price() -> None:
    assert reason(make(), testing.view(no_estimate("x"), rising())) == "no_take_fair_value"
    unsure = testing.view(testing.estimate(0.52, 0.44), rising())
    assert reason(make(), unsure) == "no_take_confidence"
    assert reason(make(), testing.view(0.52, testing.market({}, {51: 1}))) == "no_take_one_sided"
    assert reason(make(), testing.view(0.52, testing.market({52: 9}, {51: 1}))) == "no_take_crossed"
    stale = testing.reference((57.9, 60_000.0))
    assert reason(make(), testing.view(0.52, rising(), reference=stale)) == "no_take_stale"


def test_a_market_waits_after_its_order_and_only_that_market() -> None:
    taker = make(cooldown_s=5.0)
    takes(taker, testing.view(0.52, rising()))
    soon = testing.NOW_NS + 5 * SECOND - 1
    assert reason(taker, testing.view(0.52, rising(), ts_ns=soon)) == "no_take_cooldown"
    takes(taker, testing.view(0.52, rising(market="0xother"), ts_ns=soon))
    takes(taker, testing.view(0.52, rising(), ts_ns=soon + 1))


def test_waits_remembered_are_bounded() -> None:
    taker = make(cooldown_s=5.0)
    for at in range(COOLDOWNS_MAX + 1):
        takes(taker, testing.view(0.52, rising(market=f"m{at}")))
    kept = taker.dump()["taken_ns"]
    assert len(kept) == COOLDOWNS_MAX
    assert "m0" not in kept


def test_flows_and_waits_are_handed_over() -> None:
    first, second = make(cooldown_s=5.0), make(cooldown_s=5.0)
    view = testing.view(0.52, rising())
    takes(first, view)
    second.restore(orjson.loads(orjson.dumps(first.dump())))
    assert second.dump() == first.dump()
    assert reason(second, view) == "no_take_cooldown"


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="expected state 1, found 7"):
        make().restore({"state": 7})


def test_self_check_refuses_a_signal_that_cannot_be() -> None:
    make().self_check()
    make(signal_min=0.03, shift_max=0.03).self_check()
    with pytest.raises(ValueError, match=r"signal_min at most shift_max 0\.01, found 0\.02"):
        make(signal_min=0.02, shift_max=0.01).self_check()


def test_replay_of_the_sample_takes_and_repeats_itself(sample: list[Event]) -> None:
    results = [testing.run_strategy(sample, taker=MomentumTaker(base_size=5.0)) for _ in range(2)]
    assert results[0].digest == results[1].digest
    assert len(results[0].orders) > 0
    assert len(results[0].fills) > 0
    assert results[0].broken == ""
