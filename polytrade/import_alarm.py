"""An alarm for plugins that hang when they are imported, for commands and the start of the daemon.

A reload needs none: it tries new code in a child process first.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from polytrade.import_limit import Overdue

IMPORT_S: Final = 30.0
"""Longest that the import of one plugin may take: several times that of the largest numeric library
from a cold disk."""
AGAIN_S: Final = 1.0
"""Code that caught the alarm hears it again after so long."""


@contextmanager
def alarm() -> Iterator[None]:
    """Overdue is raised in the block after `IMPORT_S`, and again until the block ends.

    In the main thread, where Python handles signals; in another one nothing is bounded, nor is code
    that never comes back to the interpreter.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def ring(_number: int, _frame: Any) -> None:
        if armed:
            raise Overdue(f"did not end within {IMPORT_S:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, IMPORT_S, AGAIN_S)
    try:
        try:
            yield
        finally:
            armed = False  # it may have rung just now: what follows must not be interrupted
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)
