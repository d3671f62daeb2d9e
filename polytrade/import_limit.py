"""How long the import of a plugin may take: whoever runs the process says so, nothing does here.

The catalogue imports under `bounded()`; what that is, is set by `bounded_by` for a block and all
that is called in it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final

Bound = Callable[[], AbstractContextManager[object]]

_BOUND: Final[ContextVar[Bound]] = ContextVar("polytrade_import_bound", default=nullcontext)


class Overdue(BaseException):
    """What a bound raises in code that takes too long; no `except Exception` of it may keep it."""


def bounded() -> AbstractContextManager[object]:
    """The bound for one plugin: its block ends with Overdue when it takes too long."""
    return _BOUND.get()()


@contextmanager
def bounded_by(bound: Bound) -> Iterator[None]:
    """Imports of plugins called for in the block are bounded by `bound`."""
    before = _BOUND.set(bound)
    try:
        yield
    finally:
        _BOUND.reset(before)
