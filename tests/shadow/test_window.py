"""Probes, the funnel, windows, the report's names, and memory."""

import orjson
import pytest

from polytrade.config import Risk
from polytrade.core.events import FeedGap, OrderRejected, ShadowReset
from polytrade.core.ids import BUY, SELL, YES
from polytrade.core.units import SECOND_NS
from polytrade.gates import GATES
from polytrade.shadow import (
    MEASURED,
    WALL_CLOCK,
    Shadow,
    ShadowSettings,
    quantile_name,
    scorecard,
    shots,
)
from tests.core.factory import MARKET, START_NS, market
from tests.core.rig import ask, bid
from tests.shadow.watched import Watched

PROBES = ("survival_probe_5ms", "survival_probe_10ms", "survival_probe_25ms")


def led(price: float = 60_100.0) -> Watched:
    """At 1000 ms the reference moves; the book does not."""
    rig = Watched()
    rig.open()
    rig.level(BUY, 1, 7, ms=900)
    rig.move(price, ms=1_000)
    return rig


def test_probe_begins_when_the_reference_leads_by_5_ms_and_looks_5_10_and_25_ms_on() -> None:
    rig = led()
    rig.level(SELL, 52, 0, ms=1_012)  # the ask a rise threatens: there at 1010, gone at 1015
    rig.tick(1_031)
    assert rig.values(*PROBES) == [1.0, 0.0, 0.0]
    assert rig.values(*[f"{name}_n" for name in PROBES]) == [1, 1, 1]
    assert rig.report.survival_probe_10ms_by_symbol == {"BTC": 0.0}


def test_fall_threatens_the_bid() -> None:
    rig = led(59_900.0)
    rig.level(SELL, 52, 0, ms=1_012)
    rig.level(BUY, 48, 0, ms=1_020)
    rig.tick(1_031)
    assert rig.values(*PROBES) == [1.0, 1.0, 0.0]


def test_book_that_answers_within_5_ms_is_not_led() -> None:
    rig = led()
    rig.level(SELL, 52, 0, ms=1_005)
    rig.tick(1_100)
    assert rig.values(*PROBES) == [None, None, None]


def test_repeated_price_and_a_doubtful_book_take_no_probe() -> None:
    rig = led(60_000.0 + 1e-8)  # as it was
    rig.tick(1_100)
    rig.step(FeedGap(0, "polymarket.market/0", "", "malformed"), ms=1_200)
    rig.move(60_500.0, ms=1_300)
    rig.tick(1_400)
    assert rig.values(*[f"{name}_n" for name in PROBES]) == [0, 0, 0]
    assert rig.report.survival_probe_10ms_by_symbol == {}


def test_symbol_is_probed_at_most_every_200_ms() -> None:
    rig = led()
    for ms in (1_100, 1_199, 1_200, 1_300):
        rig.move(60_000.0 + ms, ms=ms)
    rig.tick(1_500)
    assert rig.values("survival_probe_10ms_n") == [2]


def test_funnel_narrows_from_what_is_seen_to_what_filled() -> None:
    rig = Watched()
    rig.open()
    rig.want(bid(48), ask(52), ms=100)
    rig.ms = 140
    rig.accept("o1")
    rig.step(OrderRejected(0, "o2", "crosses"))
    rig.words.wishes = []
    rig.fill("o1", 4)
    rig.fill("o1", 6)
    funnel = rig.report.funnel
    assert list(funnel) == [
        *("seen", "candidate", "quoted", "attempted", "eligible", "executed", "filled")
    ]
    assert [funnel[stage] for stage in ("attempted", "eligible", "executed", "filled")] == [
        *(2, 2, 1, 1)
    ]
    assert funnel["seen"] >= funnel["candidate"] >= funnel["quoted"] >= 2
    assert rig.values("executed_over_eligible", "quote_block_ratio") == [0.5, 0.5]
    assert rig.report.blocked_reason_counts["venue:crosses"] == 1


def test_only_hard_risk_blocks_count_as_policy() -> None:
    rig = Watched(risk=Risk(orders_per_s=500.0, price_collar=0.05))
    rig.open()
    rig.tick(1)
    assert rig.values("policy_block_ratio") == [None]  # it chose not to quote: no_quote_edge
    rig.want(bid(48), ms=100)
    quoting = rig.report.funnel["quoted"]
    rig.want(bid(30), ms=200)  # too far from the mid, once the old one is gone
    rig.gone("o1")
    before = rig.report.blocked_reason_counts.get("risk:price_collar", 0)
    rig.refer(300)
    counts = rig.report.blocked_reason_counts
    assert counts["risk:price_collar"] == before + 1
    assert counts["no_quote_edge"] > 0
    blocked = counts["risk:price_collar"]
    quoted = rig.report.funnel["quoted"]
    assert quoted >= quoting > 0
    assert rig.values("policy_block_ratio") == [blocked / (blocked + quoted)]


def test_reset_begins_a_window_without_anything_of_the_last() -> None:
    rig = Watched()
    rig.open()
    rig.want(bid(48), ms=100)
    rig.ms = 140
    rig.accept("o1")
    rig.words.wishes = []
    rig.step(ShadowReset(0, 7), ms=145)  # between the order's shots
    rig.fill("o1", 10)
    rig.until(12_000)
    report = rig.report
    assert (report.window_id, report.window_shots, report.window_outcomes) == (7, 0, 0)
    assert report.started_at_ms == (START_NS + 145_000_000) // 1_000_000
    assert report.elapsed_sec == pytest.approx(11.855)
    assert rig.values("survival_10ms_n") == [0]
    assert report.funnel["executed"] == 0
    assert rig.values("pnl_10s_sample_count") == [1]  # a fill of the new window


def test_window_starts_with_the_first_event() -> None:
    rig = Watched()
    assert rig.report.elapsed_sec == 0.0
    rig.open()
    rig.tick(5_000)
    assert rig.report.started_at_ms == START_NS // 1_000_000
    assert rig.report.elapsed_sec == 5.0


def test_report_has_every_name_of_the_contract_and_none_where_nothing_was_measured() -> None:
    report = Watched().report
    answer = report.to_dict()
    named = [
        *("window_id", "window_shots", "window_outcomes", "started_at_ms", "elapsed_sec"),
        *("data_valid_ratio", "seq_gap_rate", "ts_inversion_rate", "stale_tick_drop_ratio"),
        *("executed_over_eligible", "quote_block_ratio", "policy_block_ratio"),
        *(f"{what}_{ms}ms" for what in ("survival", "fillability") for ms in (5, 10, 25)),
        *(f"survival_probe_{ms}ms{n}" for ms in (5, 10, 25) for n in ("", "_n")),
        *("survival_probe_10ms_by_symbol", "funnel", "blocked_reason_counts", "causes"),
        *("pnl_1s_p50_bps", "pnl_5s_p50_bps", "pnl_10s_p50_bps"),
        *("pnl_10s_p50_bps_raw", "pnl_10s_p50_bps_robust", "pnl_10s_sample_count"),
        *("pnl_10s_outlier_ratio", "net_edge_p50_bps", "net_edge_p10_bps"),
        *("net_markout_10s_usdc_p50", "roi_notional_10s_bps_p50"),
        *("ev_net_usdc_p50", "ev_net_usdc_p10", "ev_positive_ratio"),
        *("market_scorecard", "pnl_by_engine", "wall_clock"),
    ]
    assert set(named) <= set(answer)
    gates = {gate.metric for gate in GATES}
    assert gates <= set(report.values) | set(MEASURED) | set(WALL_CLOCK)
    assert report.gate({}).passed is False
    assert len(report.gate({}).fail_reasons) == len(GATES) + 1
    counted = {name: value for name, value in report.values.items() if value is not None}
    assert set(counted.values()) == {0}
    assert all(name.endswith(("_n", "_count", "_invalid", "_valid")) for name in counted)


def test_meters_numbers_are_merged_and_the_wall_clocks_stand_apart() -> None:
    report = Watched().report
    name = quantile_name("tick_to_ack_ms", "p99")
    assert name == "tick_to_ack_p99_ms"
    answer = report.to_dict({"data_valid_ratio": 1.0}, {name: 45.0})
    assert answer["data_valid_ratio"] == 1.0
    assert answer["wall_clock"][name] == 45.0  # type: ignore[index]
    assert name not in answer
    with pytest.raises(AssertionError, match="shadow report"):
        report.to_dict({"data_valid": 1.0})


def test_report_is_json() -> None:
    rig = led()
    rig.want(bid(48), ms=1_100)
    rig.tick(2_000)
    assert orjson.loads(orjson.dumps(rig.report.to_dict()))["window_id"] == 1


def test_memory_is_bounded_however_long_the_window() -> None:
    rig = Watched(shots_max=50)
    rig.open()
    for number in range(100):
        rig.ms += 300
        rig.send(52, 10, name=f"t{number}")
        rig.level(BUY, 1, 100 + number)
        rig.accept(f"t{number}")
        rig.tick(rig.ms + 100)
        rig.gone(f"t{number}")
    rig.until(rig.ms + 12_000)
    assert rig.shadow is not None
    window = rig.shadow._window
    assert rig.report.window_shots == 300
    assert rig.report.window_outcomes == 100
    assert len(window.shots.survived) == len(window.shots.filled) == 50
    assert sum(window.shots.survived.counts) == 50
    assert not window.shots._live
    assert not window.shots._intents
    assert not window.shots._resting
    assert not window.outcomes._of
    assert not window.outcomes._ripening
    assert window.shots.pending == 0


def test_scorecard_tells_the_same_of_each_market() -> None:
    rig = Watched()
    rig.open()
    rig.want(bid(48), ms=100)
    rig.ms = 140
    rig.accept("o1")
    rig.words.wishes = []
    rig.print(SELL, 47, 30, ms=200)
    rig.ms = 240
    rig.fill("o1", 10)
    rig.until(12_000)
    (card,) = rig.report.market_scorecard
    values = rig.report.values
    assert (card.market_id, card.symbol, card.shots_10ms, card.outcomes) == (MARKET, "BTC", 1, 1)
    assert card.survival_10ms == card.fillability_10ms == 1.0
    for name in ("ev_net_usdc_p50", "pnl_10s_p50_bps", "net_markout_10s_usdc_p50"):
        assert getattr(card, name) == values[name] is not None
    assert card.top_cause == "Unknown"  # it gained
    assert rig.engine.ts_ns == START_NS + 12 * SECOND_NS


def test_orders_and_markets_followed_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shots, "INTENTS_MAX", 3)
    monkeypatch.setattr(scorecard, "MARKETS_MAX", 2)
    rig = Watched()
    rig.open()
    for number in range(8):
        rig.send(40, 5, name=f"t{number}", tif="GTC")
    assert rig.shadow is not None
    window = rig.shadow._window
    assert list(window.shots._intents) == ["t5", "t6", "t7"]
    for number in range(5, 8):
        rig.accept(f"t{number}")
    rig.send(40, 5, name="t8", tif="GTC")
    rig.accept("t8")  # the oldest is given up before its shots arrive, and leaves nothing behind
    assert list(window.shots._live) == ["t6", "t7", "t8"]
    rig.tick(1_000)
    assert {shot.intent.effect.order_id for shot in window.shots._resting[MARKET].shots} == {
        *("t6", "t7", "t8")
    }
    for name in ("0xa", "0xb"):
        window.scorecard.follow(market(market=name))
    assert [row.market_id for row in window.scorecard.rows()] == ["0xa", "0xb"]


def test_market_the_engine_forgot_is_forgotten() -> None:
    rig = Watched()
    rig.open()
    assert rig.shadow is not None
    tracks = rig.shadow._tracks
    assert list(tracks.of) == [MARKET]
    del rig.engine.markets[MARKET]
    tracks.sync()
    assert tracks.of == {}
    assert tracks.by_symbol == {}
    assert tracks.mid_e6(MARKET) < 0


def test_row_of_a_market_is_made_anew_only_when_it_has_changed() -> None:
    card = scorecard.Scorecard()
    for name in ("0xa", "0xb"):
        card.follow(market(market=name))
    before = card.rows()
    card.filled("0xb")
    card.freshen()
    card.freshen()  # nothing is left to do
    after = card.rows()
    assert [row.fills for row in after] == [0, 1]
    assert after[0] is before[0]
    card.filled("0xb")
    assert [row.fills for row in card.rows()] == [0, 2]  # without any freshening
    assert card.rows()[1].to_dict()["market_id"] == "0xb"


def test_fill_of_an_earlier_window_is_followed_and_counts_in_neither() -> None:
    heard: list[str] = []
    rig = Watched()
    rig.shadow = Shadow(
        ShadowSettings(), rig.engine, lambda markout: heard.append(f"{markout.horizon}")
    )
    rig.open()
    rig.buy(YES, 10)
    rig.step(ShadowReset(0, 2), 500)
    rig.until(11_000)
    assert heard == ["0", "1", "2"]
    assert rig.report.values["pnl_10s_sample_count"] == 0
    assert rig.report.adverse_selection == ()


def test_range_is_not_probed_because_no_move_threatens_one_side() -> None:
    rig = Watched(condition="range")
    rig.open()
    rig.level(BUY, 1, 7, ms=900)
    rig.move(60_100.0, ms=1_000)
    rig.until(1_100)
    assert rig.report.values["survival_probe_5ms_n"] == 0
