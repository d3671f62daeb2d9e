"""Wire strings of prices and sizes to exact integers, remembered because they repeat.

Subclasses of dict on purpose: a hit is one C look-up, about 30 ns, where parsing costs 600.
"""

from typing import Final

from polytrade.core.units import ONE_E4, parse_scaled, truncate_scaled

REMEMBERED_MAX: Final = 16_384
"""Strings kept a table before it starts afresh: a 0.001 grid has 1,000 prices, and freeing this
many strings stays below a millisecond."""
DIGITS_MAX: Final = 12
"""Digits before the point: a million million shares is beyond any book and fits 64 bits at 1e-6."""
MS_MAX: Final = 1 << 43
"""Latest venue time accepted, in ms: the year 2248; times in other units fall outside."""
_POWERS: Final = (1_000_000, 100_000, 10_000, 1_000, 100, 10, 1)


class Prices(dict[object, int]):
    """`"0.48"` -> 4800, for prices inside `low..high`; ValueError or TypeError for anything else.

    `finer` decimals are cut off instead of refused where it is true (averaged prints).
    """

    __slots__ = ("_finer", "_high", "_low")

    def __init__(
        self,
        low_e4: int,
        high_e4: int,
        *,
        finer: bool = False,
        known: dict[object, int] | None = None,
    ) -> None:
        super().__init__(known or {})
        self._low = low_e4
        self._high = high_e4
        self._finer = finer

    def __missing__(self, text: object) -> int:
        if not isinstance(text, str):
            raise TypeError(f"expected a price as text, found {text!r:.80}")
        value = truncate_scaled(text, 4) if self._finer else parse_scaled(text, 4)
        if not self._low <= value <= self._high:
            raise ValueError(f"expected a price within {self._low}..{self._high} e-4, found {text}")
        if len(self) < REMEMBERED_MAX:
            self[text] = value
        return value


class Sizes(dict[object, int]):
    """`"142.1"` -> 142100000; ValueError or TypeError for what is no size of at most 6 decimals."""

    __slots__ = ("_finer",)

    def __init__(self, *, finer: bool = False) -> None:
        super().__init__()
        self._finer = finer

    def __missing__(self, text: object) -> int:
        if not isinstance(text, str):
            raise TypeError(f"expected a size as text, found {text!r:.80}")
        whole, _, fraction = text.partition(".")
        if len(fraction) <= 6 and text.isascii() and (whole + fraction).isdigit():
            value = int(whole + fraction) * _POWERS[len(fraction)]  # the plain case, made short
        else:
            value = truncate_scaled(text, 6) if self._finer else parse_scaled(text, 6)
        if value < 0 or value >= 10 ** (DIGITS_MAX + 6):
            raise ValueError(f"expected a size from 0 to 1e{DIGITS_MAX}, found {text:.80}")
        if len(self) >= REMEMBERED_MAX:
            self.clear()
        self[text] = value
        return value


LEVEL_PRICES: Final = Prices(1, ONE_E4 - 1)
TRADE_PRICES: Final = Prices(0, ONE_E4, finer=True)
BEST_BIDS: Final = Prices(0, ONE_E4, known={None: -1, "": 0})
BEST_ASKS: Final = Prices(0, ONE_E4, known={None: -1, "": ONE_E4})
TICKS: Final = Prices(1, ONE_E4, known={None: 0, "": 0})
SIZES: Final = Sizes()
TRADE_SIZES: Final = Sizes(finer=True)


def venue_ms(value: object) -> int:
    """A venue time in ms from text or a number; ValueError or TypeError when it is none."""
    if not isinstance(value, (str, int)):
        raise TypeError(f"expected ms since 1970 as text, found {value!r:.80}")
    ms = int(value)
    if not 0 <= ms < MS_MAX:
        raise ValueError(f"expected ms since 1970, found {ms}")
    return ms
