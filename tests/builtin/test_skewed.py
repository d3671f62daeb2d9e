"""The skewed maker: prices, edges, silence, and which token is traded."""

from typing import Any

import pytest

from polytrade.builtin.skewed import SkewedMaker
from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, Inventory, no_estimate
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS
from tests.core.factory import END_NS, SHARE, START_NS, market, snapshot

NOW = START_NS + 60 * SECOND_NS
FLAT = Inventory(0, 0, 0, 0)


def make(**changes: Any) -> SkewedMaker:
    settings: dict[str, Any] = {
        "base_quote_size": 10.0,
        "half_spread": 0.01,
        "min_edge_bps": 4.0,
        "inventory_skew": 0.15,
        "max_spread": 0.08,
        "join": False,
        "jump_bps": 4.0,
        "no_quote_before_end_s": 20.0,
        "no_quote_after_start_s": 2.0,
        **changes,
    }
    return SkewedMaker(**settings)


def booked(bids: dict[int, int] | None = None, asks: dict[int, int] | None = None) -> MarketState:
    state = market()
    bids = {46: 100} if bids is None else bids
    asks = {54: 100} if asks is None else asks
    state.book.replace(snapshot(bids, asks), True)
    return state


def fair(value: float, confidence: float = 1.0, pad: float = 0.0) -> Estimate:
    return Estimate(True, value, confidence, 0.0, pad, "")


def quotes(
    maker: SkewedMaker,
    estimate: Estimate,
    state: MarketState | None = None,
    held: Inventory = FLAT,
    reference: SymbolReference | None = None,
    ts_ns: int = NOW,
) -> list[tuple[int, int, int, float]]:
    """(token, side, price_e4, shares) of the wishes."""
    wishes, _ = maker.quotes(state or booked(), reference, estimate, held, ts_ns)
    return [(w.token, w.side, w.price_e4, w.size_e6 / SHARE) for w in wishes]


def reason(maker: SkewedMaker, estimate: Estimate, state: MarketState, ts_ns: int = NOW) -> str:
    wishes, why = maker.quotes(state, None, estimate, FLAT, ts_ns)
    assert wishes == []
    return why


def test_both_sides_at_half_a_spread_in_yes_and_no() -> None:
    assert quotes(make(), fair(0.50)) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_900, 10)]


def test_prices_are_rounded_away_from_the_fair_value() -> None:
    assert quotes(make(), fair(0.5025)) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_800, 10)]


def test_quotes_never_cross_the_book() -> None:
    assert quotes(make(), fair(0.60)) == [(YES, BUY, 5_300, 10), (NO, BUY, 3_900, 10)]


def test_join_stays_behind_the_touch() -> None:
    assert quotes(make(join=True), fair(0.50)) == [(YES, BUY, 4_600, 10), (NO, BUY, 4_600, 10)]


@pytest.mark.parametrize(
    ("net", "bid_e4", "ask_e4"),
    [
        (4, 4_840, 5_040),
        (-4, 4_960, 5_160),
        (20, 4_600, 5_010),  # the ask would be 4800: it stays where the least edge is
        (-20, 4_990, 5_400),
        (1_000, 4_400, 5_010),
        (-1_000, 4_990, 5_600),
    ],
)
def test_inventory_shifts_both_quotes_but_never_below_the_least_edge(
    net: int, bid_e4: int, ask_e4: int
) -> None:
    """0.15 USDC a hundred shares, 5 cents at most; nothing of it is settled."""
    held = Inventory(max(net, 0) * SHARE, max(-net, 0) * SHARE, 0, 0)
    state = booked({40: 1}, {60: 1})
    state.book.set_terms(5_000_000, False, 10)
    maker = make(max_spread=1.0, inventory_skew=0.15, half_spread=0.01)
    assert quotes(maker, fair(0.50), state, held) == [
        (YES, BUY, bid_e4, 10),
        (NO, BUY, ONE_E4 - ask_e4, 10),
    ]


def test_shift_does_not_make_up_for_a_half_spread_without_edge() -> None:
    maker = make(half_spread=0.0001, min_edge_bps=50.0, max_spread=1.0)
    state = booked({40: 1}, {60: 1})
    state.book.set_terms(5_000_000, False, 10)
    assert quotes(maker, fair(0.50), state, Inventory(30 * SHARE, 0, 0, 0)) == [
        (YES, BUY, 4_540, 10)
    ]


def test_pad_widens() -> None:
    assert quotes(make(), fair(0.50, pad=0.02)) == [(YES, BUY, 4_700, 10), (NO, BUY, 4_700, 10)]


def test_settled_shares_are_sold_first() -> None:
    held = Inventory(6 * SHARE, 7_555_000, 6 * SHARE, 7_555_000)
    assert quotes(make(inventory_skew=0.0), fair(0.50), held=held) == [
        (NO, SELL, 5_100, 7.55),
        (YES, SELL, 5_100, 6.0),
    ]


def test_less_than_a_smallest_order_is_not_sold() -> None:
    held = Inventory(4_990_000, 4_990_000, 4_990_000, 4_990_000)
    assert quotes(make(), fair(0.50), held=held) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_900, 10)]


def test_edge_is_taken_at_the_quotes_own_price() -> None:
    """(0.50 - 0.49) / 0.49 is 204 bps, (0.51 - 0.50) / 0.51 is 196."""
    assert len(quotes(make(min_edge_bps=196.0), fair(0.50))) == 2
    assert quotes(make(min_edge_bps=197.0), fair(0.50)) == [(YES, BUY, 4_900, 10)]
    assert reason(make(min_edge_bps=205.0), fair(0.50), booked()) == "no_quote_edge"


def test_prices_stay_on_the_grid_at_the_ends() -> None:
    low = booked({1: 1}, {2: 1})
    assert quotes(make(), fair(0.005), low) == [(NO, BUY, 9_800, 10)]
    high = booked({98: 1}, {99: 1})
    assert quotes(make(), fair(0.995), high) == [(YES, BUY, 9_800, 10)]


def jumped(bps: float) -> SymbolReference:
    found = SymbolReference("BTC", 30.0, 600.0)
    for ms, price in ((0, 60_000.0), (100, 60_000.0 * (1 + bps * 1e-4))):
        at = NOW + ms * MS_NS
        found.apply(ReferenceTicked(at, "BTC", "x", FAST, round(price * 1e8), at))
    return found


@pytest.mark.parametrize(
    ("bps", "sides"), [(0.0, [YES, NO]), (5.0, [YES]), (-5.0, [NO]), (3.9, [YES, NO])]
)
def test_jump_pulls_the_threatened_side(bps: float, sides: list[int]) -> None:
    """Up: the ask is in danger (it is made by buying NO); down: the bid."""
    found = quotes(make(), fair(0.50), reference=jumped(bps))
    assert [token for token, _, _, _ in found] == sides


@pytest.mark.parametrize(
    ("estimate", "state", "ts_ns", "why"),
    [
        (no_estimate("no_quote_vol_warmup"), booked(), NOW, "no_quote_vol_warmup"),
        (fair(0.5, 0.19), booked(), NOW, "no_quote_confidence"),
        (fair(0.5), booked({}, {54: 1}), NOW, "no_quote_one_sided"),
        (fair(0.5), booked({45: 1}, {54: 1}), NOW, "no_quote_spread"),
        (fair(0.5), booked(), END_NS - 20 * SECOND_NS, "no_quote_near_end"),
        (fair(0.5), booked(), START_NS + 2 * SECOND_NS - 1, "no_quote_before_start"),
    ],
)
def test_reasons_not_to_quote(estimate: Estimate, state: MarketState, ts_ns: int, why: str) -> None:
    assert reason(make(), estimate, state, ts_ns) == why


def test_spread_and_times_are_inclusive() -> None:
    state = booked({46: 1}, {54: 1})
    assert len(quotes(make(), fair(0.5), state, ts_ns=START_NS + 2 * SECOND_NS)) == 2
    assert len(quotes(make(), fair(0.5), state, ts_ns=END_NS - 20 * SECOND_NS - 1)) == 2


def test_levels_between_ticks_are_not_joined_off_the_grid() -> None:
    """After the tick became coarser a level may still stand between two ticks."""
    state = booked()
    state.book.set_terms(5_000_000, False, 10)
    state.book.replace(snapshot({46: 1}, {54: 1}), True)
    between = snapshot({}, {}, ts_ms=9)
    between.bids, between.asks = [(4_650, SHARE)], [(5_350, SHARE)]
    state.book.replace(between, True)
    state.book.set_terms(5_000_000, False, 100)
    for token, _, price_e4, _ in quotes(make(join=True), fair(0.50), state):
        assert price_e4 % 100 == 0, (token, price_e4)
    assert 5_350 % state.book.tick_e4
    crossing = quotes(make(), fair(0.60), state)
    assert crossing[0] == (YES, BUY, 5_300, 10)
    assert all(price % 100 == 0 and 0 < price < ONE_E4 for _, _, price, _ in crossing)
