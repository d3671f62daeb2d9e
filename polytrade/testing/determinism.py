"""Proof that a plugin decides by what it is shown alone, and that a swap loses nothing of it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from polytrade.config import Config
from polytrade.core.effects import Effect
from polytrade.core.events import Event
from polytrade.hookspecs import KINDS, RISK_RULE
from polytrade.testing.runs import config, fault_in, role_of, session_for, with_start

Made = Callable[[], object]
Answers = list[tuple[str, list[list[object]]]]


def assert_deterministic(
    factory: Made, events: Iterable[Event], *, settings: Config | None = None
) -> None:
    """Run what `factory` makes twice over the events, and once more with a swap in the middle.

    At the swap a third object takes over with what the first one dumped, through JSON, as at a
    reload; plugins without `dump` and `restore` are not swapped. AssertionError names the first
    event after which the runs differ, with both answers, or why the plugin was taken out of service
    in all of them.
    """
    settings = settings or config()
    listed = list(events)
    expected = _answers(factory(), listed, settings)
    _compare("a second run", expected, _answers(factory(), listed, settings))
    first = factory()
    if callable(getattr(first, "dump", None)) and callable(getattr(first, "restore", None)):
        middle = len(expected) // 2
        swapped = _answers(first, listed, settings, middle, factory)
        _compare(f"a run swapped before step {middle + 1}", expected, swapped)


class Relay:
    """Stands in a role for an object that can be replaced under way."""

    def __init__(self, inner: Any, kind: str) -> None:
        self.inner = inner
        for method in KINDS[kind].methods:
            setattr(self, method, self._passing(method))

    def _passing(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            return getattr(self.inner, method)(*arguments)  # of whoever it is by then

        return call

    def hand_over(self, successor: Any) -> None:
        """Go on with `successor`, which gets what the one before dumped; errors pass through."""
        state = orjson.dumps(self.inner.dump())
        successor.restore(orjson.loads(state))
        self.inner = successor


def _answers(
    made: object,
    events: Sequence[Event],
    settings: Config,
    swap_at: int = -1,
    factory: Made | None = None,
) -> Answers:
    """What the engine wanted after each step."""
    kind = role_of(made)
    relay = Relay(made, kind)
    session = (
        session_for(settings, {}, (relay,))
        if kind == RISK_RULE
        else session_for(settings, {kind: relay})
    )
    answers: Answers = []
    for event in with_start(events, settings):
        if factory is not None and 0 <= swap_at <= len(answers):
            relay.hand_over(factory())
            factory = None
        for stepped, effects in session.handle(event):
            fault = fault_in(effects)
            if fault:
                raise AssertionError(f"{fault}, at {stepped!r:.200}")
            answers.append((repr(stepped), _rows(effects)))
    return answers


def _rows(effects: Sequence[Effect]) -> list[list[object]]:
    return [effect.row() for effect in effects]


def _compare(name: str, expected: Answers, found: Answers) -> None:
    for number, (left, right) in enumerate(zip(expected, found, strict=False), 1):
        if left != right:
            raise AssertionError(
                f"{name} differs at step {number}, {right[0]:.200}:\n"
                f"  first: {_shown(left)}\n  then:  {_shown(right)}"
            )
    if len(expected) != len(found):
        raise AssertionError(f"{name} has {len(found)} steps, the first {len(expected)}")


def _shown(step: tuple[str, list[list[object]]]) -> str:
    """The effects of a step, or the event itself where these begin with another one."""
    event, rows = step
    text = "; ".join(str(row) for row in rows) or "nothing"
    return f"{text:.600} (at {event:.120})"
