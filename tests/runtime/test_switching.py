"""The interpreter's switch interval is short while anybody needs it, and then what it was."""

import sys

import pytest

from polytrade.runtime.switching import SWITCH_S, short_switches


def test_interval_is_short_until_the_last_of_overlapping_users_is_done() -> None:
    before_s = sys.getswitchinterval()
    assert before_s > SWITCH_S
    first, second = short_switches(), short_switches()
    first.__enter__()
    second.__enter__()
    assert sys.getswitchinterval() == pytest.approx(0.0005, abs=1e-6)
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(0.0005, abs=1e-6)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(before_s, abs=1e-6)


def test_interval_that_is_shorter_already_stays() -> None:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    shorter_s = sys.getswitchinterval()  # whole microseconds, rounded down
    try:
        with short_switches():
            assert sys.getswitchinterval() == pytest.approx(shorter_s, abs=1e-6)
        assert sys.getswitchinterval() == pytest.approx(shorter_s, abs=2e-6)
    finally:
        sys.setswitchinterval(before_s)
