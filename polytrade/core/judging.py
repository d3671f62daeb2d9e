"""What a plugin may answer: the type and the range of everything the engine takes from it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.roles import Estimate, Share, Wish
from polytrade.core.units import ONE_E4

WORDS: Final = 200
"""Characters of an answer that are quoted."""
EDGE_MAX: Final = 1e9
"""Edges beyond it are nonsense, and whole ones beyond 64 bits no journal can hold."""
WIDTH_MAX: Final = 1e9
"""Standard deviations and pads beyond it are nonsense."""
WISHES_MAX: Final = 200
"""Wishes of one answer: far more than the orders a market takes."""


def without_addresses(text: str) -> str:
    """The text without the addresses that Python shows of objects: the same in every process."""
    first, *others = text.split(" at 0x")
    return first + "".join(other.lstrip("0123456789abcdef") for other in others)


def holdable(text: str) -> str:
    """The text as a journal can hold it: half characters (lone surrogates) become `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def place_of(module: str, path: str) -> str:
    """A module's file as its package has it: `polytrade_glft/maker.py`, never a machine's path."""
    packages, file = module.split("."), path.rpartition("/")[2]
    if file != "__init__.py":
        packages.pop()
    return "/".join([*packages, file])


def _shown(value: Any) -> str:
    return holdable(without_addresses(repr(value))[:WORDS])


def wrong_estimate(answer: Any) -> str:
    """What is wrong with an answer of `estimate`."""
    if type(answer) is Estimate and answer.ok is True:  # as nearly all are: one look
        fair, confidence, sd, pad = answer.fair, answer.confidence, answer.sd, answer.pad
        plain = type(fair) is float and type(confidence) is float
        plain = plain and type(sd) is float and type(pad) is float
        wide = plain and 0.0 <= sd <= WIDTH_MAX and 0.0 <= pad <= WIDTH_MAX
        if wide and 0.0 <= fair <= 1.0 and 0.0 <= confidence <= 1.0:
            return ""
    return _wrong_estimate(answer)


def _wrong_estimate(answer: Any) -> str:
    if not isinstance(answer, Estimate):
        return f"expected an Estimate, found {_shown(answer)}"
    if not answer.ok:
        return _wrong_reason(answer.reason)
    fair, confidence, sd, pad = answer.fair, answer.confidence, answer.sd, answer.pad
    if not isinstance(fair, int | float) or not 0.0 <= fair <= 1.0:
        return f"expected a fair from 0 to 1, found {_shown(fair)}"
    if not isinstance(confidence, int | float) or not 0.0 <= confidence <= 1.0:
        return f"expected a confidence from 0 to 1, found {_shown(confidence)}"
    for name, width in (("sd", sd), ("pad", pad)):
        if not isinstance(width, int | float) or not 0.0 <= width <= WIDTH_MAX:
            return f"expected a {name} from 0 to {WIDTH_MAX:g}, found {_shown(width)}"
    return ""


def wrong_wishes(answer: Any) -> str:
    """What is wrong with an answer of `quotes` or `takes`."""
    if (
        not isinstance(answer, tuple)
        or len(answer) != 2
        or not isinstance(answer[0], list)
        or not isinstance(answer[1], str)
    ):
        return f"expected a list of wishes and a text, found {_shown(answer)}"
    wishes, reason = answer
    if reason:
        wrong = _wrong_reason(reason)
        if wrong:
            return wrong
    if not wishes:
        return ""
    if len(wishes) > WISHES_MAX:
        return f"expected at most {WISHES_MAX} wishes, found {len(wishes)}"
    for wish in wishes:
        wrong = _wrong_wish(wish)
        if wrong:
            return wrong
    return ""


def _wrong_wish(wish: Any) -> str:
    if type(wish) is Wish:
        price_e4, size_e6, edge_bps = wish.price_e4, wish.size_e6, wish.edge_bps
        plain = type(price_e4) is int and type(size_e6) is int and type(edge_bps) is float
        if plain and 0 < price_e4 < ONE_E4 and size_e6 > 0 and -EDGE_MAX <= edge_bps <= EDGE_MAX:
            token, side = wish.token, wish.side
            if type(token) is int and type(side) is int and 0 <= token <= 1 and 0 <= side <= 1:
                return ""
    return _wrong_any(wish)


def _wrong_any(wish: Any) -> str:
    if not isinstance(wish, Wish):
        return f"expected a Wish, found {_shown(wish)}"
    token, side, price_e4, size_e6 = wish.token, wish.side, wish.price_e4, wish.size_e6
    plain = type(token) is int and type(side) is int
    if not plain or token not in (YES, NO) or side not in (BUY, SELL):
        return f"expected a token and a side, found {_shown(token)} and {_shown(side)}"
    if type(price_e4) is not int or not 0 < price_e4 < ONE_E4:
        return f"expected an int price_e4 from 1 to 9999, found {_shown(price_e4)}"
    if type(size_e6) is not int or size_e6 <= 0:
        return f"expected an int size_e6 above 0, found {_shown(size_e6)}"
    edge_bps = wish.edge_bps
    if not isinstance(edge_bps, int | float) or not -EDGE_MAX <= edge_bps <= EDGE_MAX:
        return f"expected a finite edge_bps, found {_shown(edge_bps)}"
    return ""


def wrong_share(answer: Any) -> str:
    """What is wrong with an answer of `share`."""
    plain = type(answer) is Share and type(answer.scale) is float and answer.reason == ""
    if plain and 0.0 <= answer.scale <= 1.0:
        return ""
    if not isinstance(answer, Share):
        return f"expected a Share, found {_shown(answer)}"
    if not isinstance(answer.scale, int | float) or not 0.0 <= answer.scale <= 1.0:
        return f"expected a scale from 0 to 1, found {_shown(answer.scale)}"
    return _wrong_reason(answer.reason)


def _wrong_reason(reason: Any) -> str:
    if not isinstance(reason, str) or len(reason) > WORDS or holdable(reason) != reason:
        return (
            f"expected a text of at most {WORDS} characters as the reason, found {_shown(reason)}"
        )
    return ""


def wrong_verdict(answer: Any) -> str:
    """What is wrong with an answer of a rule's `check`."""
    return "" if isinstance(answer, str) else f"expected a text, found {_shown(answer)}"


JUDGES: Final[Mapping[str, Callable[[Any], str]]] = {
    "estimate": wrong_estimate,
    "quotes": wrong_wishes,
    "takes": wrong_wishes,
    "share": wrong_share,
    "check": wrong_verdict,
}
"""What is wrong with the answer of a method, empty when nothing is."""
