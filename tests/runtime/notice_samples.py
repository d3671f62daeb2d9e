"""Notices that tests tell."""

from polytrade.notices import FILL, Notice
from tests.core.factory import SHARE


def fill(number: int, *, token: str = "yes", market: str = "m") -> Notice:
    data = {
        "market": market,
        "slug": f"slug-{market}",
        "token": token,
        "side": "buy",
        "price_e4": 5_000,
        "size_e6": 2 * SHARE,
        "fees_e6": 10_000,
        "engine": "taker",
        "fill_id": f"f{number}",
    }
    return Notice(FILL, number, f"fill {number}", data)
