"""What is true of any order flow: the slow matcher's fills, and nothing made or lost."""

import contextlib
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import MS_NS
from polytrade.sandbox.matching.crossing import SELF_TRADES
from polytrade.sandbox.matching.orders import FAK, FOK, GTC, GTD, MARKET_TYPES, Order, Refused
from polytrade.sandbox.matching.settlement import ExchangeSettings
from tests.sandbox.matching.floor import CONDITION, CRYPTO, Floor
from tests.sandbox.matching.slow_matcher import Row, SlowMatcher

E6 = 1_000_000
WALLETS = ("alice", "bob", "carol")

orders = st.tuples(
    st.sampled_from(WALLETS),
    st.integers(0, 1),
    st.integers(BUY, SELL),
    st.one_of(st.integers(45, 55), st.integers(1, 99)),
    st.integers(1, 4_000),
    st.sampled_from((GTC, GTC, GTC, FOK, FAK)),
    st.booleans(),
)
"""Wallet, token, side, cents, hundredths of a share, type, and whether post-only if it can be."""


def order_of(floor: Floor, drawn: tuple[str, int, int, int, int, str, bool]) -> Order:
    wallet, token, side, cents, hundredths, kind, shy = drawn
    size_e6, cash_e6 = hundredths * 10_000, 0
    if kind in MARKET_TYPES and side == BUY:
        cash_e6 = cents * hundredths * 100
    return floor.order(
        wallet,
        side,
        cents * 100,
        0,
        size_e6=size_e6,
        cash_e6=cash_e6,
        token=token,
        order_type=kind,
        post_only=shy and kind == GTC and hundredths % 3 == 0,
    )


def row_of(order: Order) -> Row:
    return Row(
        name=order.order_id,
        wallet=order.wallet,
        token=order.token,
        side=order.side,
        price=Fraction(order.price_e4, 10_000),
        left=Fraction(order.size_e6, E6),
        cash=Fraction(order.cash_e6, E6),
        kind=order.order_type,
        post_only=order.post_only,
    )


@given(st.lists(st.one_of(orders, orders, orders, st.integers(0, 60)), max_size=60))
@settings(max_examples=150)
def test_the_slow_matcher_agrees_on_any_flow(steps: list[object]) -> None:
    floor, slow = Floor(), SlowMatcher()
    floor.market.refined = True
    for wallet in WALLETS:
        floor.bank.fund(wallet, 10**13)
        floor.bank.split(wallet, floor.rules, 10**12)
    placed: list[Order] = []
    for step in steps:
        if isinstance(step, int):
            if placed:
                name = placed[step % len(placed)].order_id
                assert slow.cancel(name) == (floor.exchange.cancel(name) == "")
            continue
        order = order_of(floor, step)  # type: ignore[arg-type]
        expected = slow.place(row_of(order))
        trades = floor.market.trades
        try:
            floor.exchange.place(order)
        except Refused:
            assert expected is None
        else:
            placed.append(order)
            assert expected is not None
            fills = floor.trade().fills if floor.market.trades > trades else []
            assert [
                (one.order.order_id, Fraction(one.size_e6, E6), Fraction(one.cash_e6, E6))
                for one in fills
            ] == expected
        same_books(floor, slow)


def same_books(floor: Floor, slow: SlowMatcher) -> None:
    book = floor.market.book
    left = {one.order_id: Fraction(one.remaining_e6, E6) for one in book.orders.values()}
    assert left == {row.name: row.left for row in slow.rows}
    shown = {}
    for side, levels in zip((BUY, SELL), floor.levels(), strict=True):
        for price_e4, size_e6 in levels:
            shown[side == BUY, Fraction(price_e4, 10_000)] = Fraction(size_e6, E6)
    assert shown == slow.levels()


deeds = st.tuples(
    st.sampled_from(("split", "merge", "redeem", "withdraw", "cancel", "run")),
    st.sampled_from(WALLETS),
    st.integers(1, 60_000),
)


@given(
    steps=st.lists(st.one_of(orders, orders, orders, deeds), max_size=50),
    resolved_after=st.integers(10, 80),
    payout=st.integers(0, 2),
    delay_ms=st.sampled_from((0, 0, 250)),
    self_trade=st.sampled_from(SELF_TRADES),
    fine=st.booleans(),
)
@settings(max_examples=150)
def test_nothing_is_made_lost_or_negative_by_any_flow(
    steps: list[tuple[object, ...]],
    resolved_after: int,
    payout: int,
    delay_ms: int,
    self_trade: str,
    fine: bool,
) -> None:
    chances = ExchangeSettings(failed_rate=0.3, retry_rate=0.2, self_trade=self_trade)
    floor = Floor(chances, fees=CRYPTO, taker_delay_ns=delay_ms * MS_NS)
    for wallet in WALLETS:
        floor.bank.merge(wallet, floor.rules, 985 * E6)
        floor.bank.withdraw(wallet, 1_955 * E6)
    if fine:
        floor.exchange.change_tick(CONDITION, 1)
    floor.bank.redeem_by_itself("carol")
    for at, step in enumerate(steps):
        if at == resolved_after:
            floor.exchange.resolve(CONDITION, ((0, E6), (E6, 0), (E6 // 2, E6 // 2))[payout])
        with contextlib.suppress(Refused):
            if len(step) == 3:
                do(floor, *step)  # type: ignore[arg-type]
            else:
                order = order_of(floor, step)  # type: ignore[arg-type]
                if fine:
                    order.price_e4 += order.size_e6 // 10_000 % 97
                if order.post_only:
                    order.order_type, order.expires_s = GTD, 1_800_000_500
                floor.exchange.place(order)
        floor.check_laws()
    for _ in range(30):
        floor.run(0.5)
        floor.check_laws()
    assert floor.market.unsettled == 0 and floor.bank.pending_fees_e6 == 0


def do(floor: Floor, what: str, wallet: str, amount: int) -> None:
    bank = floor.bank
    if what == "split":
        bank.split(wallet, floor.rules, amount * 333)
    elif what == "merge":
        bank.merge(wallet, floor.rules, amount * 333)
    elif what == "redeem":
        bank.redeem(wallet, floor.rules)
    elif what == "withdraw":
        bank.withdraw(wallet, amount * 33)
    elif what == "cancel":
        floor.exchange.cancel_where(wallet=wallet, token=amount % 3 - 1)
    else:
        floor.run(amount / 10_000)


def any_order(chance: Random) -> tuple[str, int, int, int, int, str, bool]:
    return (
        chance.choice(WALLETS),
        chance.randrange(2),
        chance.randrange(2),
        chance.randrange(45, 56) if chance.random() < 0.8 else chance.randrange(1, 100),
        chance.randrange(1, 4_000),
        chance.choice((GTC, GTC, GTC, FOK, FAK)),
        chance.random() < 0.5,
    )


@pytest.mark.parametrize("self_trade", SELF_TRADES)
def test_nothing_is_made_lost_or_negative_in_a_long_flow(self_trade: str) -> None:
    chance = Random(f"long {self_trade}")
    chances = ExchangeSettings(failed_rate=0.2, retry_rate=0.2, self_trade=self_trade)
    floor = Floor(chances, fees=CRYPTO, taker_delay_ns=50 * MS_NS)
    for wallet in WALLETS:
        floor.bank.merge(wallet, floor.rules, 900 * E6)
        floor.bank.withdraw(wallet, 1_800 * E6)
    for _ in range(1_500):
        with contextlib.suppress(Refused):
            if chance.random() < 0.8:
                floor.exchange.place(order_of(floor, any_order(chance)))
            else:
                what = chance.choice(("split", "merge", "cancel", "run", "run", "run"))
                do(floor, what, chance.choice(WALLETS), chance.randrange(1, 60_000))
        floor.check_laws()
    floor.exchange.resolve(CONDITION, (E6, 0))
    floor.run(60)
    floor.check_laws()
    ends = {order.status.partition(" ")[0] for order in floor.exchange.orders.values()}
    assert {"MATCHED", "CANCELED", "CANCELED_NOT_ENOUGH_BALANCE", "CANCELED_order"} <= ends
    assert {one.status for one in floor.exchange.trades.values()} == {"CONFIRMED", "FAILED"}
    assert floor.market.trades > 150
    for wallet in WALLETS:
        floor.bank.redeem(wallet, floor.rules)
    assert floor.bank.collateral_e6(CONDITION) == 0
