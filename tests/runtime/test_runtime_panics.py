"""What is no Exception, raised by a plugin in a daemon: it costs the plugin alone."""

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from polytrade.config import Config
from polytrade.lineup import build_lineup
from polytrade.runtime.rehearsal import standing_states
from tests.runtime.feed_stage import Stage, wanted
from tests.runtime.test_notices import Recording, office


class Panic(BaseException):
    """As extension modules raise it: Python does not count it as an error."""


@pytest.fixture(params=[Panic, GeneratorExit])
def end(request: pytest.FixtureRequest) -> BaseException:
    made: BaseException = request.param("unwrap of None")
    return made


@pytest.fixture
async def stage(autojump_clock: MockClock, nursery: trio.Nursery) -> Stage:
    return Stage(nursery)


# -- feeds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["decode", "hello", "reset", "answers"])
async def test_codec_that_panics_is_tried_again_and_the_others_run_on(
    stage: Stage, autojump_clock: MockClock, method: str, end: BaseException
) -> None:
    def panic(*_: object) -> Any:
        raise end

    it = wanted()
    if method == "answers":  # asked after the welcome
        it.codec.answers = panic  # type: ignore[attr-defined]
    await stage.run({"alpha": it, "beta": wanted("beta")})
    peers = await stage.accept_all(2)
    setattr(it.codec, method, panic)
    if method != "answers":
        await peers["alpha"].send("raise")
    await peers["alpha"].wait_closed()
    await trio.sleep(2.5)
    row = stage.tasks.row("alpha/0")
    told = f"alpha/0: codec: {type(end).__name__}: unwrap of None"
    assert (row.state in ("waiting", "running"), told in row.last_error) == (True, True), row
    await peers["beta"].send("4800")
    await wait_all_tasks_blocked()
    assert stage.events()[-1] == "reference_ticked beta 4800000000"


@pytest.mark.parametrize("method", ["hello", "ping"])
async def test_codec_that_panics_before_it_runs_refuses_the_reload(
    stage: Stage, autojump_clock: MockClock, method: str, end: BaseException
) -> None:
    def panic() -> Any:
        raise end

    await stage.run({"beta": wanted("beta")})
    (peer,) = (await stage.accept_all(1)).values()
    it = wanted()
    setattr(it.codec, method, panic)
    error = await stage.refused({"alpha": it}, 0)
    told = f"'alpha': {type(end).__name__}: unwrap of None"
    assert (error.step, error.reason) == ("feeds", told)
    await peer.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events()[-1] == "reference_ticked beta 4800000000"


# -- notifiers ---------------------------------------------------------------------------------


class Panicking(Recording):
    """Raises `end` at its first word and when it listens, and at every look at it."""

    def __init__(self, end: BaseException) -> None:
        super().__init__()
        self.end, self.lives = end, 0

    commands = True

    async def notify(self, notices: Sequence[Any], http: Any) -> None:
        await super().notify(notices, http)
        if len(self.calls) == 1:
            raise self.end

    async def listen(self, operator: Any, http: Any) -> None:
        self.lives += 1
        if self.lives == 1:
            raise self.end
        await trio.sleep_forever()


async def test_notifier_that_panics_is_only_a_failed_one(
    autojump_clock: MockClock, end: BaseException
) -> None:
    panicking, other = Panicking(end), Recording()
    async with office("operator", a=panicking, b=other) as made:
        made.tell("one")
        await trio.sleep(3.5)
        told = f"RetryLater: {type(end).__name__}: unwrap of None"
        row = made.tasks.row("notifier a")
        assert (row.state, row.last_error) == ("waiting", told)
        assert made.tasks.row("notifier a commands").last_error == told
        await trio.sleep(60)
        assert made.tasks.row("notifier a").state == "running"
    assert (panicking.texts, panicking.lives, other.texts) == (["one", "one"], 2, ["one"])


@pytest.mark.parametrize("look", ["kinds", "commands", "__eq__"])
async def test_notifier_that_panics_at_a_look_is_told_all_the_same(
    autojump_clock: MockClock, look: str, end: BaseException
) -> None:
    def panic(*_: object) -> Any:
        raise end

    odd = type("Odd", (Recording,), {look: panic if look == "__eq__" else property(panic)})
    first, second = odd(), odd()
    async with office("operator", a=first) as made:
        made.tell("one")
        await trio.sleep(4)
        made.notices.configure({"a": second})
        made.tell("two")
        await trio.sleep(4)
    assert (first.texts, second.texts) == (["one"], ["two"])


class Mute(Exception):
    """Panics when it is asked what it says."""

    def __str__(self) -> str:
        raise Panic


async def test_notifier_whose_error_panics_is_only_a_failed_one(autojump_clock: MockClock) -> None:
    mute = Recording(Mute())
    async with office(a=mute) as made:
        made.tell("one")
        await trio.sleep(3.5)
        told = made.tasks.row("notifier a").last_error
        await trio.sleep(60)
    assert (told, mute.texts) == ("RetryLater: Mute: its text cannot be had", ["one", "one"])


# -- states ------------------------------------------------------------------------------------


class Keeper:
    """An object with a state, or with an end instead."""

    def __init__(self, end: BaseException | None = None) -> None:
        self.end = end

    def dump(self) -> dict[str, int]:
        if self.end is not None:
            raise self.end
        return {"a": 1}


def test_object_that_panics_at_its_state_keeps_nobody_from_a_trial(end: BaseException) -> None:
    both: Any = {"maker": Keeper(end), "taker": Keeper()}
    lineup = attrs.evolve(build_lineup(Config()), **both)
    assert standing_states(lineup, Config()) == {"taker/none": b'{"a":1}'}
