"""How long a thread of ours may keep the interpreter from the event loop.

The interval belongs to the whole process, and several parts of the daemon ask for it at once.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final

SWITCH_S: Final = 0.0005
"""How long a thread that draws or writes files keeps the interpreter from the event loop."""


@final
class _Interval:
    """Who needs it short, and what it was before the first of them."""

    def __init__(self) -> None:
        self.users = 0
        self.before_s = 0.0


_interval: Final = _Interval()


@contextmanager
def short_switches() -> Iterator[None]:
    """For the block threads are switched after `SWITCH_S` at most.

    Blocks may overlap in any order: the last one out puts back what was before the first.
    """
    if _interval.users == 0:
        _interval.before_s = sys.getswitchinterval()
        sys.setswitchinterval(min(_interval.before_s, SWITCH_S))
    _interval.users += 1
    try:
        yield
    finally:
        _interval.users -= 1
        if _interval.users == 0:
            sys.setswitchinterval(_interval.before_s)
