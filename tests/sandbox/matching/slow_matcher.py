"""A matcher that is slow and obvious: one list, sorted for every order, in fractions."""

from fractions import Fraction
from math import floor

import attrs

from polytrade.core.ids import BUY, YES
from polytrade.sandbox.matching.orders import FAK, FOK

MICRO = Fraction(1, 10**6)
DUST = Fraction(1, 100)
Fill = tuple[str, Fraction, Fraction]
"""Maker order, shares, the maker's money."""


def whole_micros(value: Fraction) -> Fraction:
    return floor(value / MICRO) * MICRO


@attrs.define(eq=False, kw_only=True)
class Row:
    """An order; `cash` is what a FAK or FOK to buy may spend."""

    name: str
    wallet: str
    token: int
    side: int
    price: Fraction
    left: Fraction
    cash: Fraction
    kind: str
    post_only: bool

    @property
    def bids(self) -> bool:
        """Whether it wants YES to be worth more."""
        return (self.side == BUY) == (self.token == YES)

    @property
    def worth(self) -> Fraction:
        """Its price in YES terms."""
        return self.price if self.token == YES else 1 - self.price


class SlowMatcher:
    """The rules of protocols 2.5 and 10.2 by the letter; own orders in the way are cancelled."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def place(self, row: Row) -> list[Fill] | None:
        """The fills of an order, None when it is refused; what is left of a GTC order rests."""
        met = self.met(row)
        takes = row.kind in (FOK, FAK)
        spends = takes and row.side == BUY
        if met and row.post_only:
            return None
        value = row.cash if spends else whole_micros(row.price * row.left)
        if (met or takes) and value < 1:
            return None
        if not met and not takes and row.left < 5:
            return None
        fills: list[Fill] = []
        own: list[Row] = []
        size_left, cash_left = row.left, row.cash
        done = False
        for maker in met:
            same = maker.token == row.token
            price = maker.price if same else 1 - maker.price
            wanted = whole_micros(cash_left / price) if spends else size_left
            if wanted < DUST:
                done = True
                break
            if maker.wallet == row.wallet:
                own.append(maker)
                continue
            size = min(wanted, maker.left)
            money = whole_micros(maker.price * size)
            fills.append((maker.name, size, money))
            size_left -= size
            cash_left -= money if same else size - money
        rest = cash_left / row.price if spends else size_left
        done = done or whole_micros(rest) < DUST
        if (row.kind == FOK and not done) or (row.kind == FAK and not fills):
            return None
        self.rows = [one for one in self.rows if one not in own]
        for name, size, _ in fills:
            (maker,) = (one for one in self.rows if one.name == name)
            maker.left -= size
        self.rows = [one for one in self.rows if one.left >= DUST]
        if not done and not takes:
            row.left = size_left
            self.rows.append(row)
        return fills

    def met(self, row: Row) -> list[Row]:
        """The orders it crosses, best price first, then first come first served."""
        others = [one for one in self.rows if one.bids != row.bids]
        if row.bids:
            crossed = [one for one in others if one.worth <= row.worth]
            return sorted(crossed, key=lambda one: one.worth)
        crossed = [one for one in others if one.worth >= row.worth]
        return sorted(crossed, key=lambda one: -one.worth)

    def cancel(self, name: str) -> bool:
        """Whether there was such an order."""
        before = len(self.rows)
        self.rows = [one for one in self.rows if one.name != name]
        return len(self.rows) < before

    def levels(self) -> dict[tuple[bool, Fraction], Fraction]:
        """What every level shows."""
        sums: dict[tuple[bool, Fraction], Fraction] = {}
        for row in self.rows:
            key = (row.bids, row.worth)
            sums[key] = sums.get(key, Fraction(0)) + row.left
        return sums
