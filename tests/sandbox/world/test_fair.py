"""Fair values: the digital on an average, on a price, before the strike and at the end."""

import math
import random

import pytest

from polytrade.core.units import ONE_E8, SECOND_NS
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.world.fair import FAIR_MIN, FairValue
from polytrade.sandbox.world.listing import ABOVE, BELOW, EVENT, RANGE, UPDOWN, Listing

START_S = 1_790_000_100
END_S = START_S + 300
ONE_E18 = 10**18
SPOT_E8 = 100_000 * ONE_E8
SIGMA_BPS = 1.0


class Reports:
    """A settling source: one report a second from `START_S - 100` on, until `known_s`."""

    def __init__(self, usd=100_000.0, known_s=END_S):
        self.usd = usd
        self.known_s = known_s
        self.lost = set()
        self.by_second = {}

    def second_e8(self, coin, second):
        return int(self.usd * ONE_E8) if second <= self.known_s else -1

    def report_e18(self, coin, second):
        if second > self.known_s or second in self.lost:
            return -1
        return int(self.by_second.get(second, self.usd) * ONE_E18)

    def twap_e18(self, coin, second, window_s):
        return int(self.usd * ONE_E18) if second <= self.known_s else -1


def listing(kind=UPDOWN, lookback_s=60, strike=100_000, **more):
    rules = MarketRules(condition="0x01", tokens=("1", "2"), outcomes=("Up", "Down"))
    values = {
        "slug": "a",
        "event_slug": "a",
        "question": "?",
        "category": "crypto",
        "coin": "btc",
        "listed_s": START_S - 600,
        "start_s": START_S,
        "end_s": END_S,
        "strike_e18": strike * ONE_E18 if strike >= 0 else -1,
    }
    return Listing(rules=rules, kind=kind, lookback_s=lookback_s, **{**values, **more})


def phi(z):
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def test_at_the_strike_both_outcomes_are_as_likely():
    fair = FairValue(listing(), Reports())
    assert fair.at((START_S + 10) * SECOND_NS, SPOT_E8, SIGMA_BPS) == 0.5


def test_average_to_come_has_the_variance_of_a_shorter_walk():
    fair = FairValue(listing(), Reports())
    value = fair.at((END_S - 160) * SECOND_NS, 100_100 * ONE_E8, SIGMA_BPS)
    deviation = 100_100 * 1e-4 * math.sqrt(160 - 40)
    assert value == pytest.approx(phi(100 / deviation), abs=1e-9)


def test_instant_settlement_has_the_variance_of_the_whole_walk():
    fair = FairValue(listing(lookback_s=0), Reports())
    value = fair.at((END_S - 100) * SECOND_NS, 100_100 * ONE_E8, SIGMA_BPS)
    assert value == pytest.approx(phi(100 / (100_100 * 1e-4 * 10)), abs=1e-9)


def test_what_was_reported_inside_the_average_is_certain():
    """With 20 of 60 s to come and 40 reports 300 above the strike, spot counts a third."""
    reports = Reports(usd=100_300.0, known_s=END_S - 20)
    fair = FairValue(listing(), reports)
    value = fair.at((END_S - 20) * SECOND_NS, SPOT_E8, SIGMA_BPS)
    mean = (40 * 100_300 + 20 * 100_000) / 60
    deviation = 100_000 * 1e-4 * math.sqrt(20**3 / (3 * 60 * 60))
    assert value == pytest.approx(min(1 - FAIR_MIN, phi((mean - 100_000) / deviation)), abs=1e-9)


def test_value_agrees_with_a_simulated_average():
    """Goal: the formulas, against walks of one-second steps from 30 s before the average begins."""
    rng = random.Random(5)
    spot, sigma, left_s, walks = 100_040.0, 2.0, 90, 4000
    ups = 0
    for _ in range(walks):
        price, total = spot, 0.0
        for second in range(1, left_s + 1):
            price += spot * sigma * 1e-4 * rng.gauss(0, 1)
            total += price if second > left_s - 60 else 0.0
        ups += total / 60 >= 100_000
    fair = FairValue(listing(), Reports())
    value = fair.at((END_S - left_s) * SECOND_NS, int(spot * ONE_E8), sigma)
    assert value == pytest.approx(ups / walks, abs=0.03)


def test_missing_report_inside_the_average_is_left_out():
    reports = Reports(usd=100_300.0, known_s=END_S)
    reports.lost = {END_S - 30}
    fair = FairValue(listing(), reports)
    assert fair.at(END_S * SECOND_NS, SPOT_E8, SIGMA_BPS) == 1 - FAIR_MIN


def test_above_market_is_worth_the_chance_to_be_above_its_threshold():
    fair = FairValue(listing(kind=ABOVE, lookback_s=0, strike=99_000), Reports())
    assert fair.at(START_S * SECOND_NS, SPOT_E8, SIGMA_BPS) == 1 - FAIR_MIN


def test_ranges_of_one_day_are_worth_one_together():
    kinds = [
        listing(kind=BELOW, lookback_s=0, strike=99_900),
        listing(kind=RANGE, lookback_s=0, strike=99_900, upper_e18=100_100 * ONE_E18),
        listing(kind=ABOVE, lookback_s=0, strike=100_100),
    ]
    now_ns, spot_e8 = (END_S - 100) * SECOND_NS, 100_050 * ONE_E8
    below, inside, above = (FairValue(one, Reports()).at(now_ns, spot_e8, 1.0) for one in kinds)
    assert below + inside + above == pytest.approx(1.0)
    assert above == pytest.approx(phi(-50 / (100_050 * 1e-4 * 10)), abs=1e-9)
    assert below == pytest.approx(phi(-150 / (100_050 * 1e-4 * 10)), abs=1e-9)


@pytest.mark.parametrize(("usd", "worth"), [(101_000, 1 - FAIR_MIN), (99_000, FAIR_MIN)])
def test_at_the_end_the_outcome_is_as_good_as_known(usd, worth):
    reports = Reports(usd=float(usd))
    fair = FairValue(listing(), reports)
    assert fair.at(END_S * SECOND_NS, usd * ONE_E8, SIGMA_BPS) == worth


def test_before_the_start_nobody_knows():
    fair = FairValue(listing(strike=-1), Reports(known_s=START_S - 1))
    assert fair.at((START_S - 50) * SECOND_NS, SPOT_E8, SIGMA_BPS) == 0.5


def test_strike_that_is_not_published_is_taken_from_the_settling_source():
    fair = FairValue(listing(strike=-1), Reports(usd=100_000.0))
    published = FairValue(listing(strike=100_000), Reports())
    now_ns, spot_e8 = (START_S + 1) * SECOND_NS, 100_050 * ONE_E8
    found, known = (one.at(now_ns, spot_e8, SIGMA_BPS) for one in (fair, published))
    assert found == pytest.approx(known, abs=1e-12)


def test_other_questions_are_worth_what_the_insiders_know():
    fair = FairValue(listing(kind=EVENT, hidden=0.31, strike=-1), Reports())
    assert fair.at(START_S * SECOND_NS, 0, 0.0) == 0.31


@pytest.mark.parametrize(("winner", "worth"), [(0, 1 - FAIR_MIN), (1, FAIR_MIN), (2, 0.5)])
def test_resolved_market_is_worth_its_payout(winner, worth):
    fair = FairValue(listing(winner=winner), Reports())
    assert fair.at(END_S * SECOND_NS, SPOT_E8, SIGMA_BPS) == worth
