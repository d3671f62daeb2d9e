"""The looks that stand for many limits at once say what those say one by one."""

from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.limit_rules import calm, plain
from polytrade.core.limits import HALT, OF_ORDER, REDUCE, RUN, STANDING
from polytrade.core.units import SECOND_NS
from tests.core.factory import END_NS, MARKET, SHARE
from tests.core.room import NOW, OTHER, USDC, Room


@given(st.data())
def test_calm_says_what_the_limits_on_market_and_account_say(data: st.DataObject) -> None:
    """The one look passes only what each of them passes, and does so where nothing is amiss."""
    room, draw = Room(), data.draw
    assert calm(room.request, room.context())
    risk, facts = room.risk, room.facts
    near = st.integers(-2, 2)
    risk.mode = draw(st.sampled_from((RUN, RUN, RUN, REDUCE, HALT)))
    risk.paused = draw(st.sampled_from((False, False, True)))
    risk.cooldown_until_ns = NOW + draw(near)
    risk.loss_streak = draw(st.integers(0, 6))
    risk.on_equity(1_000 * USDC, NOW)
    risk.peak_e6 = risk.equity_e6 + draw(
        st.sampled_from((0, 1, 14_999_999, 15_000_000, 15_000_001))
    )
    risk.day_base_e6 = risk.equity_e6 + draw(
        st.sampled_from((-1, 0, 1, 49_999_999, 50_000_000, 50_000_001))
    )
    risk.clock_skew_ms = draw(st.sampled_from((0, 2_000, -2_000, 2_001, -2_001)))
    facts.reference_age_ns = draw(st.sampled_from((-1, 0, 2 * SECOND_NS, 2 * SECOND_NS + 1)))
    facts.book_valid = draw(st.sampled_from((True, True, False)))
    facts.book_reason = draw(st.sampled_from(("stale: silent", "crossed")))
    facts.end_ns = draw(st.sampled_from((0, NOW, NOW + 1, NOW + 20 * SECOND_NS, END_NS)))
    facts.phase = draw(st.sampled_from(("open", "closing", "listed")))
    facts.accepting = draw(st.sampled_from((True, True, False)))
    context = room.context()
    passes = all(limit.check(room.request, context, 10) is None for limit in STANDING)
    assert calm(room.request, context) == passes


@given(st.data())
def test_plain_passes_only_what_every_limit_on_the_order_passes_whole(data: st.DataObject) -> None:
    """The one look says yes only where each limit does, and does so for an ordinary quote."""
    room, draw = Room(), data.draw
    assert plain(room.request, room.context(), room.request.size_e6)
    near = st.integers(-2, 2)
    settings, facts, request = room.settings, room.facts, room.request
    if draw(st.booleans()):
        room.own(draw(st.sampled_from((YES, NO))), draw(st.integers(1, 40)), 50)
    for _ in range(draw(st.integers(0, 2))):
        token, side = draw(st.sampled_from((YES, NO))), draw(st.sampled_from((BUY, SELL)))
        room.rest(token, side, draw(st.integers(40, 60)), draw(st.integers(5, 9)))
    request.token, request.side = (
        draw(st.sampled_from((YES, NO))),
        draw(st.sampled_from((BUY, SELL))),
    )
    request.price_e4 = draw(st.sampled_from((4_700, 5_300, 4_750, 100, 50, 9_900, 10_000, 6_300)))
    request.tif = draw(st.sampled_from(("GTC", "GTC", "GTD", "FAK")))
    request.post_only = draw(st.sampled_from((True, True, True, False)))
    size_e6 = draw(st.sampled_from((0, 4, 5, 10, 30, 90, 140))) * SHARE + draw(near)
    facts.fair_e4 = draw(st.sampled_from((-1, 4_800, 3_200, 6_300)))
    exposed_e6 = room.ledger.exposure_e6(MARKET)
    settings.max_market_notional_e6 = exposed_e6 + size_e6 + draw(near)
    settings.max_asset_notional_e6 = room.ledger.symbol_exposure_e6("BTC") + size_e6 + draw(near)
    settings.max_total_notional_e6 = room.ledger.exposure_total_e6 + size_e6 + draw(near)
    settings.max_order_notional_e6 = draw(st.sampled_from((60 * USDC, 2_350_000, 2_349_999)))
    settings.max_open_orders = draw(st.sampled_from((20, 1)))
    if draw(st.booleans()):
        room.ledger.cash_e6 = room.ledger.reservations.cash_e6 + size_e6 + draw(near)
    spent_in = draw(st.sampled_from((MARKET, OTHER)))
    for _ in range(draw(st.sampled_from((0, 0, 4, 5, 40)))):
        room.risk.take(spent_in, NOW)
    context = room.context()
    if plain(request, context, size_e6):
        for limit in OF_ORDER:
            verdict = limit.check(request, context, size_e6)
            whole = verdict is None or (isinstance(verdict, int) and verdict >= size_e6)
            assert whole, (limit.name, verdict)
