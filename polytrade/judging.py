"""What a plugin may answer: the type and the range of everything the engine takes from it."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.roles import Estimate, Share, Wish
from polytrade.core.units import ONE_E4

WORDS: Final = 200
"""Characters of an answer that are quoted."""


def _wrong_estimate(answer: Any) -> str:
    if not isinstance(answer, Estimate):
        return f"expected an Estimate, found {answer!r:.{WORDS}}"
    for name in ("fair", "confidence") if answer.ok else ():
        value = getattr(answer, name)
        if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
            return f"expected a {name} from 0 to 1, found {value!r:.{WORDS}}"
    return ""


def _wrong_wishes(answer: Any) -> str:
    if (
        not isinstance(answer, tuple)
        or len(answer) != 2
        or not isinstance(answer[0], list)
        or not isinstance(answer[1], str)
    ):
        return f"expected a list of wishes and a text, found {answer!r:.{WORDS}}"
    for wish in answer[0]:
        if not isinstance(wish, Wish):
            return f"expected a Wish, found {wish!r:.{WORDS}}"
        if wish.token not in (YES, NO) or wish.side not in (BUY, SELL):
            return f"expected a token and a side, found {wish.token!r:.20} and {wish.side!r:.20}"
        if type(wish.price_e4) is not int or not 0 < wish.price_e4 < ONE_E4:
            return f"expected an int price_e4 from 1 to 9999, found {wish.price_e4!r:.{WORDS}}"
        if type(wish.size_e6) is not int or wish.size_e6 <= 0:
            return f"expected an int size_e6 above 0, found {wish.size_e6!r:.{WORDS}}"
        if not isinstance(wish.edge_bps, int | float) or not isfinite(wish.edge_bps):
            return f"expected a finite edge_bps, found {wish.edge_bps!r:.{WORDS}}"
    return ""


def _wrong_share(answer: Any) -> str:
    if not isinstance(answer, Share):
        return f"expected a Share, found {answer!r:.{WORDS}}"
    if not isinstance(answer.scale, int | float) or not 0.0 <= answer.scale <= 1.0:
        return f"expected a scale from 0 to 1, found {answer.scale!r:.{WORDS}}"
    return ""


def _wrong_verdict(answer: Any) -> str:
    return "" if isinstance(answer, str) else f"expected a text, found {answer!r:.{WORDS}}"


JUDGES: Final[Mapping[str, Callable[[Any], str]]] = {
    "estimate": _wrong_estimate,
    "quotes": _wrong_wishes,
    "takes": _wrong_wishes,
    "share": _wrong_share,
    "check": _wrong_verdict,
}
"""What is wrong with the answer of a method, empty when nothing is."""
