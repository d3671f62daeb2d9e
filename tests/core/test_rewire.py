"""Settings and plugins replaced between two events."""

import gc
import weakref

from polytrade.config import Config, Risk
from polytrade.core.ids import BUY, YES
from polytrade.core.limits import RiskSettings, RiskState
from polytrade.core.regimes import ToxicitySettings
from polytrade.core.roles import Share, Wish
from polytrade.core.settings import EngineSettings
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.session import BOOK_SOURCE, risk_settings
from tests.core.factory import SHARE, START_NS, listed
from tests.core.rig import Rig, Words, ask, bid, placed


def settings(**changes: object) -> EngineSettings:
    """Those of the rig, as an object of their own."""
    values: dict[str, object] = {
        "book_source": BOOK_SOURCE,
        "book_stale_ns": 3 * SECOND_NS,
        "closing_ns": 20 * SECOND_NS,
        "hash_mode": "enforce",
        "merge_at_e6": 5 * SHARE,
        "reorder_ns": 250 * MS_NS,
        "requote_size_pct": 0.25,
        "requote_ticks": 1,
        "ttl_ns": 400 * MS_NS,
        "vol_fast_s": 30.0,
        "vol_slow_s": 600.0,
    }
    return EngineSettings(**{**values, **changes})  # type: ignore[arg-type]


def rewire(rig: Rig, words: Words | None = None, **changes: object) -> None:
    rig.words = words if words is not None else rig.words
    rig.engine.rewire(settings(**changes), rig.words, rig.words, rig.words, rig.words)


def risk(**changes: object) -> RiskSettings:
    base = {"orders_per_s": 500.0, "price_collar": 0.5}
    return risk_settings(Config(risk=Risk(**{**base, **changes})))  # type: ignore[arg-type]


def told(rig: Rig) -> list[tuple[object, ...]]:
    """Everything the engine wanted, by value."""
    return [
        (effect.TAG, *(getattr(effect, name) for name in type(effect).__slots__))
        for effect in rig.effects
    ]


def story(rewiring: bool) -> list[tuple[object, ...]]:
    """Quotes, a fill, a requote, a taking and a refusal; rewired between all events or never."""
    rig = Rig().open()

    def between() -> None:
        if rewiring:
            rewire(rig)
            rig.engine.risk.configure(risk())

    between()
    rig.want(bid(46), ask(54), ms=10)
    between()
    rig.accept("o1", "o2")
    between()
    rig.fill("o1", 4)
    between()
    rig.want(bid(44), ask(54), ms=20)
    between()
    rig.gone("o1")
    between()
    rig.words.takings = [Wish(YES, BUY, 5_200, 10 * SHARE, 90.0, "taker")]
    rig.refer(30)
    between()
    rig.want(bid(1), ask(99), ms=1_100)
    between()
    rig.tick(1_200)
    return told(rig)


def test_equal_settings_and_the_same_plugins_change_no_effect() -> None:
    expected = story(False)
    assert len(expected) >= 6
    assert story(True) == expected


def test_another_lifetime_of_quotes_counts_from_the_next_decision_on() -> None:
    rig = Rig().open()
    rig.want(bid(44), ms=10)
    rig.accept("o1")
    rig.want(bid(46), ms=200)
    assert not [e for e in rig.effects if e.TAG == "cancel_order"]
    rewire(rig, ttl_ns=100 * MS_NS)
    (cancel,) = [e for e in rig.refer(210) if e.TAG == "cancel_order"]
    assert (cancel.order_id, cancel.reason) == ("o1", "replaced")  # type: ignore[attr-defined]


def test_another_allocator_sizes_the_next_order() -> None:
    rig = Rig().open()
    words = Words()
    words.given = Share(0.5)
    rewire(rig, words)
    words.wishes = [bid(46, 20)]
    assert placed(rig.refer(10)) == [("o1", YES, BUY, 46, 10.0)]


def test_another_limit_caps_the_next_order() -> None:
    rig = Rig().open()
    rig.engine.risk.configure(risk(max_market_notional=4.6))
    assert placed(rig.want(bid(46, 20), ms=10)) == [("o1", YES, BUY, 46, 10.0)]


def test_another_maker_is_asked_and_the_old_orders_stay_until_it_says_otherwise() -> None:
    rig = Rig().open()
    rig.want(bid(46), ms=10)
    rig.accept("o1")
    words = Words()
    words.wishes = [bid(46)]
    rewire(rig, words)
    assert rig.refer(20) == []
    assert [order.order_id for order in rig.orders()] == ["o1"]
    words.wishes = []
    assert [effect.TAG for effect in rig.refer(30)] == ["cancel_order", "quote_state_changed"]


def test_another_taker_waits_out_the_pause_of_the_old_one() -> None:
    rig = Rig().open()
    rig.words.takings = [Wish(YES, BUY, 5_200, 10 * SHARE, 90.0, "taker")]
    rig.refer(10)
    rig.gone("o1")
    words = Words()
    words.takings = [Wish(YES, BUY, 5_200, 20 * SHARE, 90.0, "taker")]
    rewire(rig, words)
    assert placed(rig.refer(900)) == []
    assert placed(rig.refer(1_010)) == [("o2", YES, BUY, 52, 20.0)]


def test_another_weight_is_seen_by_the_strategies() -> None:
    rig = Rig().open()
    rewire(rig, maker_weight=0.9, taker_weight=0.05, arb_weight=0.05)
    rig.want(bid(46), ms=10)
    assert rig.words.views[-1].weight == 0.9


def test_another_toxicity_is_judged_by_and_named_by() -> None:
    rig = Rig().open()
    rig.want(bid(46), ms=10)
    rewire(rig, toxicity=ToxicitySettings(min_market_score=99.0))
    rig.refer(20)
    assert rig.market.quote_state == "no_quote_score"
    rewire(rig, toxicity=ToxicitySettings(min_market_score=0.0))
    rig.refer(30)
    assert rig.market.quote_state != "no_quote_score"


def test_other_volatility_spans_reach_the_references_that_are_there() -> None:
    rig = Rig().open()
    rewire(rig, vol_fast_s=5.0, vol_slow_s=50.0)
    reference = rig.engine.references["BTC"]
    assert (reference.vol_fast_s, reference.vol_slow_s) == (5.0, 50.0)


def test_a_lower_number_of_pairs_is_merged_at_once() -> None:
    rig = Rig(trading={"maker_weight": 1.0}).open()
    rig.buy(YES, 3)
    rig.buy(1, 3)
    assert not [e for e in rig.effects if e.TAG == "merge_pairs"]
    rewire(rig, merge_at_e6=2 * SHARE)
    (merge,) = [e for e in rig.refer(800) if e.TAG == "merge_pairs"]
    assert merge.size_e6 == 3 * SHARE  # type: ignore[attr-defined]


def test_a_lower_budget_cuts_what_was_saved_and_the_modes_stay() -> None:
    state = RiskState(risk(orders_per_s=100.0))
    state.mode = "reduce"
    assert state.global_ready(START_NS, 200)
    state.configure(risk(orders_per_s=10.0))
    assert state.global_ready(START_NS, 20)
    assert not state.global_ready(START_NS, 21)
    assert state.mode == "reduce"


def test_nothing_keeps_the_old_plugins() -> None:
    rig = Rig().open()
    rig.want(bid(46), ask(54), ms=10)
    rig.accept("o1", "o2")
    old = weakref.ref(rig.words)
    rewire(rig, Words())
    rig.refer(20)
    gc.collect()
    assert old() is None


def test_a_market_listed_later_is_checked_by_the_new_settings() -> None:
    rig = Rig().open()
    rewire(rig, hash_mode="off")
    rig.step(listed(rig.ns, market="0xlater"))
    assert rig.engine.markets["0xlater"].trust.mode == "off"
    assert rig.market.trust.mode == "enforce"
