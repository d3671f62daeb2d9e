"""The maker: its prices, what silences it, what it hands over, and a replay."""

from typing import Any

import orjson
import polytrade_glft
import pytest
from polytrade_glft import GlftMaker, model

from polytrade import testing
from polytrade.api import BUY, CAUTION, DANGER, NO, SELL, YES, Event, View, no_estimate

SECOND = 1_000_000_000


def make(**changes: Any) -> GlftMaker:
    """No risk aversion and no reaction time: half a spread of `1 / decay`, a cent."""
    settings = {"risk_aversion": 0.0, "reaction_s": 0.0, "join": False, **changes}
    return GlftMaker(**settings)


def quotes(maker: GlftMaker, view: View) -> list[tuple[int, int, int, float]]:
    """(token, side, price_e4, shares) of the wishes."""
    wishes, _ = maker.quotes(view)
    return [(w.token, w.side, w.price_e4, w.size_e6 / 1e6) for w in wishes]


def reason(maker: GlftMaker, view: View) -> str:
    wishes, why = maker.quotes(view)
    assert wishes == []
    return why


def test_the_plugin_says_which_api_and_what_it_offers() -> None:
    assert polytrade_glft.polytrade_api == 1
    assert polytrade_glft.polytrade_makers() == {"glft": GlftMaker}


def test_both_sides_stand_at_the_half_spread() -> None:
    assert quotes(make(), testing.view(0.50)) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_900, 10)]


def test_prices_are_rounded_away_from_fair_value() -> None:
    assert quotes(make(), testing.view(0.5025)) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_800, 10)]


def test_quotes_never_cross_the_book() -> None:
    assert quotes(make(), testing.view(0.60)) == [(YES, BUY, 5_300, 10), (NO, BUY, 3_900, 10)]
    assert quotes(make(), testing.view(0.40)) == [(YES, BUY, 3_900, 10), (NO, BUY, 5_300, 10)]


def test_join_stays_behind_the_touch() -> None:
    assert quotes(make(join=True), testing.view(0.5)) == [
        (YES, BUY, 4_600, 10),
        (NO, BUY, 4_600, 10),
    ]


@pytest.mark.parametrize(
    ("net", "bid_e4", "ask_e4"), [(0, 4_878, 5_122), (20, 4_793, 5_037), (-20, 4_963, 5_207)]
)
def test_inventory_moves_both_quotes(net: float, bid_e4: int, ask_e4: int) -> None:
    """sigma is pdf(0) / sqrt(240) = 0.02575 and the slope 0.02575 * 0.016495 = 0.000425 a share:
    the half spread is 0.00999 + 5 * 0.000425 = 0.01211, the shift of 20 shares 0.00850.
    """
    maker = make(risk_aversion=0.02)
    market = testing.market({40: 1}, {60: 1}, tick_e4=1)
    held = testing.holding(max(net, 0), max(-net, 0), settled=False)
    view = testing.view(0.5, market, held, max_spread_e4=10_000)
    assert quotes(maker, view) == [(YES, BUY, bid_e4, 10), (NO, BUY, 10_000 - ask_e4, 10)]


@pytest.mark.parametrize(("net", "bid_e4", "ask_e4"), [(45, 4_687, 5_003), (-45, 4_998, 5_313)])
def test_inventory_gives_up_edge_but_not_the_least_edge(
    net: float, bid_e4: int, ask_e4: int
) -> None:
    maker = make(risk_aversion=0.02)
    market = testing.market({40: 1}, {60: 1}, tick_e4=1)
    held = testing.holding(max(net, 0), max(-net, 0), settled=False)
    view = testing.view(0.5, market, held, max_spread_e4=10_000)
    assert quotes(maker, view) == [(YES, BUY, bid_e4, 10), (NO, BUY, 10_000 - ask_e4, 10)]


def test_skew_has_an_end() -> None:
    maker = make(risk_aversion=1.0, max_skew=0.03)
    assert maker.spread(testing.view(0.5), 1_000.0, 10.0)[1] == 0.03
    assert maker.spread(testing.view(0.5), -1_000.0, 10.0)[1] == -0.03


def test_quotes_widen_as_the_end_comes_near() -> None:
    maker = make(risk_aversion=0.02, reaction_s=0.25)
    far, near = (
        maker.spread(testing.view(0.5, ts_ns=testing.END_NS - left * SECOND), 0.0, 10.0)[0]
        for left in (240, 25)
    )
    assert 0.02 < far < near


def test_the_last_skew_is_that_of_holding_to_the_end() -> None:
    view = testing.view(0.5, ts_ns=testing.END_NS - 1)
    assert make(risk_aversion=0.001).spread(view, 10.0, 10.0)[1] == pytest.approx(
        0.001 * 0.25 * 10, rel=0.01
    )


def test_reaction_time_costs_the_move_it_exposes_to() -> None:
    view = testing.view(0.5)
    half = make(reaction_s=0.25).spread(view, 0.0, 10.0)[0]
    assert half == pytest.approx(0.01 + model.binary_volatility(0.5, 240.0) * 0.5)


def test_pad_and_caution_stand_further_out() -> None:
    padded = testing.view(testing.estimate(0.5, pad=0.02))
    assert quotes(make(), padded) == [(YES, BUY, 4_700, 10), (NO, BUY, 4_700, 10)]
    careful = testing.view(0.5, regime=CAUTION, tox=2 / 3)
    assert quotes(make(), careful) == [(YES, BUY, 4_800, 5), (NO, BUY, 4_800, 5)]


def test_settled_shares_are_sold_first() -> None:
    view = testing.view(0.5, held=testing.holding(6, 7.555))
    assert quotes(make(), view) == [(NO, SELL, 5_100, 7.55), (YES, SELL, 5_100, 6.0)]


def test_a_full_position_is_not_added_to() -> None:
    view = testing.view(0.5, held=testing.holding(yes=50, settled=False))
    assert quotes(make(), view) == [(NO, BUY, 4_900, 10)]
    view = testing.view(0.5, held=testing.holding(no=50, settled=False))
    assert quotes(make(), view) == [(YES, BUY, 4_900, 10)]


@pytest.mark.parametrize(
    ("condition", "price", "sides"),
    [
        ("updown", 60_060.0, [YES]),
        ("updown", 59_940.0, [NO]),
        ("above", 60_060.0, [YES]),
        ("below", 60_060.0, [NO]),
        ("range", 60_060.0, []),
        ("range", 59_940.0, []),
        ("range", 60_006.0, [YES, NO]),
    ],
)
def test_a_jump_pulls_the_threatened_side(condition: str, price: float, sides: list[int]) -> None:
    """4 bps are 24 USDC; which side of a range is threatened is not known: both are pulled."""
    reference = testing.reference((59.7, 60_000.0), (59.9, price))
    view = testing.view(0.5, testing.market(condition=condition), reference=reference)
    wishes, why = make().quotes(view)
    assert [wish.token for wish in wishes] == sides
    assert why == ("" if sides else "no_quote_edge")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"regime": DANGER}, "no_quote_danger"),
        ({"active": False}, "no_quote_inactive"),
        ({"max_spread_e4": 799}, "no_quote_spread"),
        ({"min_edge_bps": 300.0}, "no_quote_edge"),
    ],
)
def test_what_the_engine_says_is_respected(changes: dict[str, Any], why: str) -> None:
    assert reason(make(), testing.view(0.5, **changes)) == why


@pytest.mark.parametrize(
    ("seconds", "why"),
    [(1.9, "no_quote_before_start"), (280.0, "no_quote_near_end"), (2.0, ""), (279.9, "")],
)
def test_no_quotes_at_the_ends_of_a_window(seconds: float, why: str) -> None:
    view = testing.view(0.5, ts_ns=testing.START_NS + round(seconds * SECOND))
    assert make().quotes(view)[1] == why


def test_no_quotes_without_a_fair_value_or_a_book() -> None:
    assert reason(make(), testing.view(no_estimate("no_quote_warmup"))) == "no_quote_warmup"
    assert reason(make(), testing.view(testing.estimate(0.5, 0.19))) == "no_quote_confidence"
    assert reason(make(), testing.view(0.5, testing.market({}, {54: 1}))) == "no_quote_one_sided"


def test_realized_moves_count_by_their_weight() -> None:
    maker = make(realized_weight=0.25)
    for second in range(12):
        view = testing.view(0.5 + 0.02 * (second % 2), ts_ns=testing.NOW_NS + second * SECOND)
        maker.quotes(view)
    own = model.binary_volatility(0.52, 229.0)
    expected = (0.75 * own * own + 0.25 * 0.02**2) ** 0.5
    assert maker.volatility(view) == pytest.approx(expected)


def test_a_market_without_an_end_has_only_its_realized_moves() -> None:
    maker = make()
    view = testing.view(0.5, testing.market(condition="other", end_ns=0))
    assert maker.volatility(view) == 0.0
    assert quotes(maker, view) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_900, 10)]


def test_what_was_learnt_is_handed_over() -> None:
    """One maker goes on; another takes over halfway, through JSON: their quotes are the same."""
    settings = {"learn_half_life_s": 600.0, "prior_s": 1.0, "risk_aversion": 0.02}
    views = [
        testing.view(
            0.5 + 0.003 * (at % 5),
            testing.market({46: 1}, {54: 1}, tick_e4=10),
            testing.holding(yes=10.0 * (at // 7 % 2), settled=False),
            ts_ns=testing.NOW_NS + at * SECOND,
        )
        for at in range(60)
    ]
    whole = make(**settings)
    expected = [quotes(whole, view) for view in views]
    first, second = make(**settings), make(**settings)
    found = [quotes(first, view) for view in views[:30]]
    second.restore(orjson.loads(orjson.dumps(first.dump())))
    found += [quotes(second, view) for view in views[30:]]
    assert found == expected
    assert second.dump() == whole.dump()
    assert whole.learnt != (0.1, 100.0)


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="expected state 1, found 2"):
        make().restore({"state": 2})


def test_self_check_refuses_a_spread_as_wide_as_the_market() -> None:
    make().self_check()
    with pytest.raises(ValueError, match=r"expected a half spread below 0\.5 USDC, found 0\.6"):
        make(decay=1.0, risk_aversion=0.1, base_quote_size=10.0).self_check()


def test_replay_of_the_sample_quotes_fills_and_repeats_itself(sample: list[Event]) -> None:
    results = [
        testing.run_strategy(sample, maker=GlftMaker(base_quote_size=5.0), taker="none")
        for _ in range(2)
    ]
    assert results[0].digest == results[1].digest
    assert len(results[0].orders) > 100
    assert len(results[0].fills) > 0
    assert results[0].broken == ""
