"""A look at the best prices stands for a look at every order, and changes no number."""

from typing import Any

import pytest

from polytrade import lenses
from polytrade.core.ids import BUY, SELL
from polytrade.reach import Reach
from polytrade.reports.watch import Watch
from polytrade.session import build_session
from polytrade.witness import Witness
from tests.reports.runs import config, tape_events

SECONDS = 30


def test_book_away_from_every_order_is_not_in_reach() -> None:
    reach = Reach()
    assert not reach.touched(0, 10_000)  # no order, an empty book
    for side, price_e4 in ((BUY, 4_800), (BUY, 4_700), (SELL, 5_200), (SELL, 5_300)):
        reach.add(side, price_e4)
    assert not reach.touched(4_900, 5_100)
    assert not reach.touched(5_199, 5_200)
    assert reach.touched(4_700, 4_800)
    assert reach.touched(5_200, 5_300)
    reach.clear()
    assert not reach.touched(5_200, 5_300)


def numbers() -> dict[str, Any]:
    settings = config()
    session = build_session(settings)
    watch = Watch(settings, session.engine)

    session.tape = Witness(watch)
    for event in tape_events(SECONDS, settings):
        session.handle(event)
    return {
        "lenses": [row.to_dict() for row in watch.lenses.table()],
        "shadow": watch.shadow.report(watch.tally.last_ts_ns).to_dict(),
        "curves": watch.curves.to_dict(),
    }


def test_looking_at_every_order_each_time_gives_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = numbers()
    monkeypatch.setattr(lenses._Standing, "quiet", lambda *_: False)
    monkeypatch.setattr(Reach, "touched", lambda *_: True)
    assert numbers() == quick
    assert sum(row["fills"] for row in quick["lenses"]) > 0
    assert quick["shadow"]["window_shots"] > 0
