"""What is said of a plugin that fails: live, under stopwatches, the same words as in a replay."""

from collections.abc import Callable
from typing import Any

import pytest

from polytrade.config import Reload
from polytrade.core.effects import PluginFaulted
from polytrade.lineup import Lineup
from polytrade.metrics import LatencyRecorder
from polytrade.runtime.budget import Budget, Overruns, Watched
from polytrade.runtime.stages import TimedMaker
from polytrade.testing import config, market_events
from polytrade.testing.runs import session_for, with_start

EVENTS = list(market_events())


class NoView:
    """A maker that takes no view."""

    def quotes(self) -> tuple[list[Any], str]:
        raise AssertionError("never called")


class Divides:
    """A maker that fails within its own code."""

    def quotes(self, _view: Any) -> tuple[list[Any], str]:
        return [], str(1 / 0)


class Nonsense:
    """A maker that answers nonsense."""

    def quotes(self, _view: Any) -> str:
        return "soon"


def live(maker: Any) -> Any:
    """The maker under a budget and a stopwatch, as in a daemon."""
    budget = Budget(Reload(), lambda role, why: None)
    return TimedMaker(Watched(maker, "maker", Overruns(budget, "maker"), budget), LatencyRecorder())


def suspect(maker: Any) -> Any:
    """The same once it was slow: what it takes is measured more closely."""
    budget = Budget(Reload(), lambda role, why: None)
    overruns = Overruns(budget, "maker")
    overruns.suspect = True
    return TimedMaker(Watched(maker, "maker", overruns, budget), LatencyRecorder())


def said(maker: Any) -> str:
    """Why the maker was cut out."""
    settings = config()
    session = session_for(settings, {"maker": maker})
    assert isinstance(session.lineup, Lineup)
    for event in with_start(EVENTS, settings):
        for _, effects in session.handle(event):
            for effect in effects:
                if isinstance(effect, PluginFaulted):
                    return effect.why
    raise AssertionError("nothing was said")


@pytest.mark.parametrize("under", [live, suspect])
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (NoView, "TypeError: NoView.quotes() takes 1 positional argument but 2 were given"),
        (Divides, "ZeroDivisionError: division by zero (tests/runtime/test_fault_texts.py, line "),
        (Nonsense, "expected a list of wishes and a text, found 'soon'"),
    ],
)
def test_fault_is_told_in_the_same_words_live_and_in_a_replay(
    kind: type, why: str, under: Callable[[Any], Any]
) -> None:
    replayed = said(kind())
    assert replayed.startswith(why)
    assert said(under(kind())) == replayed
