"""Hidden prices: a matter of seed and second, as volatile as their coin, with exact averages."""

import math
import time
from itertools import pairwise

import pytest

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.world.prices import COINS, HISTORY_S, STEP_NS, YEAR_S, Prices

START_S = 1_795_000_000
SIX = {coin: COINS[coin] for coin in ("btc", "eth", "sol", "xrp", "doge", "bnb")}


def prices_of(seed: int = 7, start_ns: int = START_S * SECOND_NS) -> tuple[Prices, Schedule]:
    schedule = Schedule(start_ns)
    return Prices(seed, SIX, schedule), schedule


def moves(prices: Prices, coin: str, seconds: range) -> list[float]:
    logs = [math.log(prices.second_e8(coin, second)) for second in seconds]
    return [after - before for before, after in pairwise(logs)]


def yearly(steps: list[float]) -> float:
    return math.sqrt(sum(step * step for step in steps) / len(steps) * YEAR_S)


def test_the_same_seed_and_second_give_the_same_path_however_it_is_read() -> None:
    often, often_at = prices_of()
    once, once_at = prices_of(start_ns=START_S * SECOND_NS + 999_999_999)
    seen = []
    for step in range(1, 2_001):
        often_at.run_until(START_S * SECOND_NS + step * STEP_NS)
        seen.append(often.spot_e8("eth"))
    once_at.run_until(START_S * SECOND_NS + 2_000 * STEP_NS)
    assert once.spot_e8("eth") == seen[-1]
    seconds = range(START_S - 3_600, START_S + 101)
    for coin in SIX:
        assert [once.report_e18(coin, s) for s in seconds] == [
            often.report_e18(coin, s) for s in reversed(seconds)
        ][::-1]


def test_another_seed_or_second_is_another_path() -> None:
    first, later, other = (
        prices_of()[0],
        prices_of(start_ns=(START_S + 1) * SECOND_NS)[0],
        prices_of(seed=8)[0],
    )
    assert len({p.spot_e8("btc") for p in (first, later, other)}) == 3


def test_volatility_is_the_coins_before_and_after_the_start() -> None:
    prices, schedule = prices_of()
    schedule.run_until((START_S + 3_600) * SECOND_NS)
    for coin, spec in SIX.items():
        past = yearly(moves(prices, coin, range(START_S - 26 * 3600, START_S, 31)))
        assert past / math.sqrt(31) == pytest.approx(spec.sigma_year, rel=0.1)
        lived = yearly(moves(prices, coin, range(START_S, START_S + 3_600)))
        assert 0.4 * spec.sigma_year < lived < 2.5 * spec.sigma_year


def test_coins_move_together() -> None:
    prices, schedule = prices_of()
    schedule.run_until((START_S + 3_600) * SECOND_NS)
    seconds = range(START_S, START_S + 3_600)
    btc, eth = moves(prices, "btc", seconds), moves(prices, "eth", seconds)
    square = math.sqrt(sum(x * x for x in btc) * sum(y * y for y in eth))
    assert 0.65 < sum(x * y for x, y in zip(btc, eth, strict=True)) / square < 0.9


def test_the_stated_volatility_follows_the_spell() -> None:
    schedule = Schedule(START_S * SECOND_NS)
    prices = Prices(11, {"btc": COINS["btc"]}, schedule)
    found = {}
    for minute in range(90):
        schedule.run_until((START_S + minute * 60) * SECOND_NS)
        found[prices.spell] = prices.sigma_bps("btc")
    assert found["calm"] == pytest.approx(0.69, abs=0.01)
    assert found["busy"] == pytest.approx(1.13, abs=0.01)


def test_a_report_is_the_price_of_its_second_within_a_basis_point() -> None:
    prices, schedule = prices_of()
    schedule.run_until((START_S + 600) * SECOND_NS)
    distances = []
    for second in range(START_S - 600, START_S + 601):
        price_e18 = prices.second_e8("sol", second) * 10**10
        distances.append((prices.report_e18("sol", second) - price_e18) / price_e18 * 1e4)
    assert max(map(abs, distances)) <= 1.0
    assert max(distances) - min(distances) > 0.3


def test_an_average_is_the_exact_mean_of_its_reports_rounded_down() -> None:
    prices, schedule = prices_of()
    schedule.run_until((START_S + 90) * SECOND_NS)
    for second in (START_S - 86_400, START_S, START_S + 10, START_S + 90):
        for window_s in (30, 60):
            reports = [prices.report_e18("btc", second - back) for back in range(window_s)]
            assert prices.twap_e18("btc", second, window_s) == sum(reports) // window_s
    assert prices.twap_e18("btc", START_S, 1) == prices.report_e18("btc", START_S)


def test_a_report_is_known_from_its_second_on_and_26_hours_back() -> None:
    prices, schedule = prices_of()
    assert prices.report_e18("btc", START_S) > 0
    assert prices.report_e18("btc", START_S + 1) == -1
    assert prices.twap_e18("btc", START_S + 1, 60) == -1
    schedule.run_until((START_S + 1) * SECOND_NS - 1)
    assert prices.report_e18("btc", START_S + 1) == -1
    schedule.run_until((START_S + 1) * SECOND_NS)
    assert prices.report_e18("btc", START_S + 1) > 0
    assert prices.twap_e18("btc", START_S - 26 * 3600, 60) > 0
    assert prices.report_e18("btc", START_S - HISTORY_S - 1) == -1


def test_past_and_present_join_without_a_jump() -> None:
    prices, schedule = prices_of()
    schedule.run_until((START_S + 60) * SECOND_NS)
    joined = moves(prices, "btc", range(START_S - 60, START_S + 60))
    assert max(map(abs, joined)) < 8e-4


def test_a_lost_report_is_missing_but_counts_in_averages() -> None:
    prices, schedule = prices_of()
    prices.lose_report("btc", START_S + 5)
    schedule.run_until((START_S + 10) * SECOND_NS)
    untouched, at = prices_of()
    at.run_until((START_S + 10) * SECOND_NS)
    assert prices.report_e18("btc", START_S + 5) == -1
    assert prices.official_e18("btc", START_S + 5) == untouched.report_e18("btc", START_S + 5)
    assert prices.report_e18("eth", START_S + 5) == untouched.report_e18("eth", START_S + 5)
    average = prices.twap_e18("btc", START_S + 10, 30)
    assert average == untouched.twap_e18("btc", START_S + 10, 30)


def test_a_jump_comes_with_the_next_step() -> None:
    plain, plain_at = prices_of()
    jumped, jumped_at = prices_of()
    jumped.jump("btc", 100.0)
    assert jumped.spot_e8("btc") == plain.spot_e8("btc")
    for at in (plain_at, jumped_at):
        at.run_until(START_S * SECOND_NS + STEP_NS)
    ratio = jumped.spot_e8("btc") / plain.spot_e8("btc")
    assert math.log(ratio) == pytest.approx(0.01, abs=1e-9)
    assert jumped.spot_e8("eth") == plain.spot_e8("eth")


def test_who_sees_the_price_late_sees_what_it_was() -> None:
    prices, schedule = prices_of()
    seen = {}
    for step in range(1, 101):
        now_ns = START_S * SECOND_NS + step * STEP_NS
        schedule.run_until(now_ns)
        seen[now_ns] = prices.spot_e8("xrp")
        late_ns = now_ns - 4 * STEP_NS
        if late_ns in seen:
            assert prices.spot_at_e8("xrp", late_ns) == seen[late_ns]
            assert prices.spot_at_e8("xrp", late_ns + STEP_NS - 1) == seen[late_ns]


def test_only_the_last_days_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polytrade.sandbox.world.prices.SECONDS_MAX", 100)
    prices, schedule = prices_of()
    schedule.run_until((START_S + 250) * SECOND_NS)
    assert prices.second_e8("btc", START_S + 10) == -1
    assert prices.second_e8("btc", START_S + 200) > 0
    assert prices.second_e8("btc", START_S - 10) > 0


def test_the_past_is_cheap() -> None:
    begin = time.process_time()
    prices_of()
    assert time.process_time() - begin < 0.5
