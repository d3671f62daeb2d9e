"""Plugins for a daemon that trades: a good one, and one for each way to be broken."""

from typing import Final

STEADY: Final = '''
"""A maker that quotes both sides of the book, one tick behind the best, as YES and as NO."""

import time
from pathlib import Path

import attrs

from polytrade.api import BUY, MAKER, NO, YES, View, Wish, hookimpl, setting

polytrade_api = 1
EDITION = "first"


@attrs.define
class Steady:
    """Bids for `size` shares of each token."""

    size: float = setting(5.0, "shares a bid", unit="shares", ge=5, le=50)
    asked: int = attrs.field(init=False, default=0)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        """Two bids that never cross."""
        self.asked += 1
        book, size_e6 = view.market.book, round(self.size * 1e6)
        bid_e4, ask_e4 = book.bid_e4 - 100, book.ask_e4 + 100
        if book.bid_e4 <= 100 or book.ask_e4 >= 9900 or book.ask_e4 <= book.bid_e4:
            return [], "no_quote_one_sided"
        bid_e4, no_e4 = bid_e4 // 100 * 100, (10_000 - ask_e4) // 100 * 100
        return [
            Wish(YES, BUY, max(bid_e4, 100), size_e6, 10.0, MAKER),
            Wish(NO, BUY, max(no_e4, 100), size_e6, 10.0, MAKER),
        ], ""

    def dump(self) -> dict[str, int]:
        """How often it was asked."""
        return {"asked": self.asked}

    def restore(self, state: dict[str, int]) -> None:
        """Go on counting."""
        self.asked = state["asked"]


@hookimpl
def polytrade_makers():
    """The maker."""
    return {"NAME": Steady}
'''
ASKED: Final = "        self.asked += 1\n"
HOOK: Final = '@hookimpl\ndef polytrade_makers():\n    """The maker."""\n'


def steady(name: str = "steady") -> str:
    """A plugin module that offers a maker which trades."""
    return STEADY.replace("NAME", name)


def edited(before: str, after: str, name: str = "broken") -> str:
    """The good plugin with a change."""
    source = steady(name)
    assert before in source, before
    return source.replace(before, after)


def answering(line: str, name: str = "broken") -> str:
    """The good plugin whose answer begins with this line."""
    return edited(ASKED, f"{ASKED}        {line}\n", name)


BROKEN: Final[dict[str, tuple[str, str, str]]] = {
    "syntax_error": ("def f(:\n", "import", "SyntaxError: invalid syntax (polytrade_broken.py"),
    "import_error": (
        edited("import attrs\n", "import attrs\nfrom polytrade.api import gone\n"),
        "import",
        "ImportError: cannot import name 'gone' from 'polytrade.api'",
    ),
    "missing_dependency": (
        edited("import attrs\n", "import attrs\nimport scipy_of_another_world\n"),
        "import",
        "ModuleNotFoundError: No module named 'scipy_of_another_world'",
    ),
    "wrong_hook_signature": (
        edited("def polytrade_makers():", "def polytrade_makers(config):"),
        "hooks",
        "hook 'polytrade_makers'",
    ),
    "typo_in_hook_name": (
        edited("def polytrade_makers():", "def polytrade_mackers():"),
        "hooks",
        "unknown hook 'polytrade_mackers'",
    ),
    "raises_on_the_first_event": (
        answering("raise RuntimeError('cannot think')"),
        "probe",
        "RuntimeError: cannot think",
    ),
    "wishes_no_whole_price": (
        answering("return [Wish(YES, BUY, 0.4, 5_000_000, 10.0, MAKER)], ''"),
        "probe",
        "0.4",
    ),
    "answers_none": (answering("return None"), "probe", "None"),
    "sleeps": (answering("time.sleep(3600)"), "probe", "did not end within"),
    "allocates_without_end": (
        answering("self.__class__.heap = [bytearray(1 << 26) for _ in range(10_000)]"),
        "probe",
        "emory",
    ),
    "self_check_fails": (
        edited(
            "    def dump(self)",
            "    def self_check(self):\n        raise RuntimeError('no licence')\n\n"
            "    def dump(self)",
        ),
        "self_check",
        "RuntimeError: no licence",
    ),
}
"""Source, the step that must be named, and what the answer must say; the maker is `broken`."""
