"""What is no Exception, raised by a plugin while it is loaded or tried: its own fault alone.

A panic of an extension written in Rust is of such a class, and no `except Exception` keeps it.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from polytrade import probe
from polytrade.catalogue import scan
from polytrade.config import Config, Plugins, Reload, Strategy
from polytrade.core.ids import YES
from polytrade.errors import ConfigError, PluginError
from polytrade.feed_events import fault_text
from polytrade.import_limit import Overdue
from polytrade.lineup import Lineup, build_lineup, check_lineup, dump_states, restore_states
from polytrade.plugin_code import faults_dropped, last_line, pass_on, text_of
from polytrade.replay_feeds import GuardedCodec
from polytrade.swaps import InForce, succeed
from polytrade.trial import Trial, TrialFailed
from polytrade.wire_roles import WireError
from tests.daemon.sigma_venue import SIGMA
from tests.plugin_projects import SiteFolder, maker_source, plugin_site
from tests.test_calibration import Desk, Fair

ENDS = [f"{kind}('unwrap of None')" for kind in ("Panic", "GeneratorExit", "SystemExit")]
"""What is raised: a class of the plugin's own, and what Python itself has of the kind."""
PANIC = "class Panic(BaseException):\n    pass\n\n\n"
HOOK = '    """The bidder."""\n    return {'
METHOD = "    def quotes"
QUOTES = "        self.asked += 1\n"
CONFIG = Config(
    strategy=Strategy(maker="bidder"), reload=Reload(probe_s=60.0, call_budget_us=1_000_000)
)


class Panic(BaseException):
    """As extension modules raise it."""


class Mute(BaseException):
    """Panics when it is asked what it says."""

    def __str__(self) -> str:
        raise Panic


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


@pytest.fixture(params=ENDS)
def end(request: pytest.FixtureRequest) -> str:
    raised: str = request.param
    return raised


def said(end: str) -> str:
    """How an end is told."""
    return f"{end.partition('(')[0]}: unwrap of None (polytrade_bidder.py, line "


def source(*edits: tuple[str, str]) -> str:
    """The bidder with these changes, and with `Panic`."""
    text = maker_source()
    for before, after in edits:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text.replace("@attrs.define", f"{PANIC}@attrs.define")


def built(site: SiteFolder, *edits: tuple[str, str]) -> Lineup:
    """The lineup with that bidder."""
    site.install("bidder", source(*edits))
    return build_lineup(CONFIG, scan(CONFIG.plugins), checked=False)


def fault(call: Callable[[], object]) -> PluginError:
    with pytest.raises(PluginError) as caught:
        call()
    assert caught.value.name == "bidder"
    return caught.value


# -- whose fault it is -------------------------------------------------------------------------


def cancellation() -> BaseException:
    """What trio raises in a task that is cancelled."""
    caught: list[BaseException] = []

    async def cancelled() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                caught.append(error)
                raise

    trio.run(cancelled)
    return caught[0]


@pytest.mark.parametrize("made", [KeyboardInterrupt, Overdue, cancellation])
def test_what_is_no_plugins_passes(made: Callable[[], BaseException]) -> None:
    error = made()
    with pytest.raises(type(error)) as caught:
        pass_on(error)
    assert caught.value is error
    with pytest.raises(type(error)), faults_dropped():
        raise error


@pytest.mark.parametrize(
    "error",
    [Panic(), SystemExit(3), GeneratorExit(), BaseExceptionGroup("", [Panic()]), StopIteration()],
)
def test_everything_else_is_the_plugins(error: BaseException) -> None:
    pass_on(error)
    with faults_dropped():
        raise error


def test_error_whose_text_panics_is_told_by_its_name() -> None:
    assert (last_line(Mute()), fault_text(Mute())) == ("Mute", "Mute")
    assert (text_of(Mute()), text_of(Mute(), "mute"), text_of(Panic("x"))) == ("", "mute", "x")


def test_error_whose_attributes_panic_is_told_by_its_name() -> None:
    class Odd(SyntaxError):
        @property
        def lineno(self) -> int:  # type: ignore[override]
            raise Panic

    assert fault_text(Odd("x", ("file.py", 1, 0, ""))) == "Odd"


# -- loading and building ----------------------------------------------------------------------


@pytest.mark.parametrize("step", ["import", "hooks"])
def test_panic_of_an_import_or_a_hook_leaves_the_plugin_out(
    site: SiteFolder, step: str, end: str
) -> None:
    lines = f"    raise {end}\n{HOOK}" if step == "hooks" else HOOK
    text = source((HOOK, lines)) + (f"\n\nraise {end}\n" if step == "import" else "")
    site.install("bidder", text)
    site.install("other", maker_source("other"))
    catalogue = scan(Plugins())
    info = catalogue.plugins["bidder"]
    assert (info.error_step, catalogue.plugins["other"].error) == (step, "")
    assert said(end) in info.error
    assert fault(lambda: build_lineup(CONFIG, catalogue)).step == step


def test_panic_of_a_factory_is_a_fault_of_the_plugin(site: SiteFolder, end: str) -> None:
    made = f"    def __attrs_post_init__(self):\n        raise {end}\n\n{METHOD}"
    error = fault(lambda: built(site, (METHOD, made)))
    assert error.step == "build"
    assert error.reason.startswith(f"'bidder' cannot be made: {said(end)}")


def test_panic_of_a_look_at_the_object_is_a_fault_of_the_plugin(site: SiteFolder, end: str) -> None:
    look = f"    @property\n{METHOD}(self):\n        raise {end}\n\n    def asks"
    error = fault(lambda: built(site, (METHOD, look)))
    assert error.step == "build"
    assert error.reason.startswith(f"'bidder' cannot be looked at: {said(end)}")


def test_refused_value_whose_text_panics_is_told_with_its_table(site: SiteFolder) -> None:
    mute = "class Mute(ValueError):\n    def __str__(self):\n        raise Panic\n\n\n@hookimpl"
    made = f"    def __attrs_post_init__(self):\n        raise Mute\n\n{METHOD}"
    with pytest.raises(ConfigError) as caught:
        built(site, (METHOD, made), ("@hookimpl", mute))
    assert [str(it) for it in caught.value.problems] == ["refused @ plugins.settings.bidder"]


@pytest.mark.parametrize("head", ["", "    @property\n"])
def test_panic_of_a_self_check_is_a_fault_of_the_plugin(
    site: SiteFolder, head: str, end: str
) -> None:
    check = f"{head}    def self_check(self):\n        raise {end}\n\n{METHOD}"
    lineup = built(site, (METHOD, check))
    error = fault(lambda: check_lineup(lineup))
    assert error.step == "self_check"
    assert error.reason.startswith(f"'bidder': {said(end)}")


# -- the hand-over -----------------------------------------------------------------------------

DUMP = '        return {"asked": self.asked}'
RESTORE = '        self.asked = state["asked"]'
PROPERTY = (
    "    def restore(self, state: dict[str, int]) -> None:",
    "    @property\n    def restore(self):",
)


def twice(site: SiteFolder, *edits: tuple[str, str]) -> tuple[Lineup, Lineup]:
    """A lineup with that bidder, and one with its next version."""
    old = built(site, *edits)
    site.install("bidder", source(*edits), version="1.1")
    return old, build_lineup(CONFIG, scan(CONFIG.plugins), checked=False)


def test_object_that_panics_when_it_says_its_state_holds_nothing_up(
    site: SiteFolder, end: str
) -> None:
    old, new = twice(site, (DUMP, f"        raise {end}"))
    assert dump_states(old, new) == {}
    assert dump_states(*twice(site)) == {"maker/bidder": b'{"asked":0}'}


@pytest.mark.parametrize("edits", [(), (PROPERTY,)])
def test_object_that_panics_at_the_state_handed_over_is_a_fault_of_the_plugin(
    site: SiteFolder, edits: tuple[tuple[str, str], ...], end: str
) -> None:
    old, new = twice(site, (RESTORE, f"        raise {end}"), *edits)
    error = fault(lambda: restore_states(new, {"maker/bidder": b'{"asked":0}'}))
    assert error.step == "handover"
    assert error.reason.startswith(f"'bidder': it does not take the state handed over: {said(end)}")
    assert dump_states(old, new) == ({} if edits else {"maker/bidder": b'{"asked":0}'})


@pytest.mark.parametrize(
    ("line", "edits", "told"),
    [(DUMP, (), "dump: "), (RESTORE, (), "restore: "), (RESTORE, (PROPERTY,), "dump: ")],
)
def test_hand_over_that_panics_at_a_swap_begins_anew(
    site: SiteFolder, line: str, edits: tuple[tuple[str, str], ...], told: str, end: str
) -> None:
    old, new = twice(site, (line, f"        raise {end}"), *edits)
    before, after = (InForce(it, CONFIG, it.plugins) for it in (old, new))
    now, ((kind, name, why),) = succeed(before, after, (), {})
    assert (kind, name) == ("maker", "bidder")
    assert why.startswith(f"{told}{end.partition('(')[0]}: unwrap of None (polytrade_bidder.py")
    maker: Any = now.lineup.maker
    assert (maker is not old.maker, maker.asked) == (True, 0)


# -- the trial ---------------------------------------------------------------------------------


def asked(site: SiteFolder, text: str) -> probe.ProbeAnswer:
    """What a process of its own says of the bidder."""
    site.install("bidder", text)
    done = subprocess.run(
        probe.command(),
        env=probe.environment(),
        input=probe.request(CONFIG, plugins={"bidder": ""}),
        capture_output=True,
        check=False,
    )
    return probe.parse_answer(done.stdout, done.returncode, CONFIG, done.stderr)


def test_panic_of_an_answer_fails_the_trial(site: SiteFolder, end: str) -> None:
    lineup = built(site, (QUOTES, f"        raise {end}\n"))
    with pytest.raises(TrialFailed) as caught:
        Trial(CONFIG, lineup).run([])
    assert (caught.value.kind, caught.value.name) == ("maker", "bidder")
    # With the code: what the engine says of the same has its place alone.
    assert caught.value.why.startswith(said(end))
    assert caught.value.why.endswith(f": raise {end})")


def test_answer_that_panics_when_it_is_read_fails_the_trial(site: SiteFolder, end: str) -> None:
    wish = (
        "class Odd(Wish):\n    reads = 0\n\n    @property\n    def size_e6(self):\n"
        f"        Odd.reads += 1\n        if Odd.reads > 2:\n            raise {end}\n"
        "        return 5_000_000\n\n    @size_e6.setter\n    def size_e6(self, _value):\n"
        "        pass\n\n\n"
    )
    lineup = built(site, ("return [Wish(", "return [Odd("), ("@hookimpl", f"{wish}@hookimpl"))
    with pytest.raises(TrialFailed) as caught:
        Trial(CONFIG, lineup).run([])
    assert (caught.value.kind, caught.value.name) == ("maker", "bidder")
    assert caught.value.why.startswith(f"its answer broke: {said(end)}")


def test_codec_that_panics_at_nonsense_fails_the_trial(site: SiteFolder, end: str) -> None:
    judged = "        if type(message) is not int:\n"
    text = f"{PANIC}{SIGMA}".replace(judged, f"        raise {end}\n{judged}")
    assert text.count(f"raise {end}") == 1
    site.install("sigma", text)
    config = attrs.evolve(Config(), plugins=Plugins(feeds=("sigma",)), reload=CONFIG.reload)
    with pytest.raises(TrialFailed) as caught:
        Trial(config, build_lineup(config, scan(config.plugins))).run([])
    assert (caught.value.kind, caught.value.name) == ("feed", "sigma")
    assert caught.value.why.startswith(f"{end.partition('(')[0]}: unwrap of None")


@pytest.mark.parametrize(
    ("edit", "step", "told"),
    [
        ((QUOTES, "        raise Panic('x')\n"), "probe", "'bidder': Panic: x"),
        ((DUMP, "        raise Panic('x')"), "handover", "it cannot say its state: Panic: x"),
        (
            (HOOK, "    raise Panic('x')\n    return {"),
            "hooks",
            "polytrade_makers failed: Panic: x",
        ),
    ],
)
def test_panic_in_a_process_of_its_own_is_told_with_its_step(
    site: SiteFolder, edit: tuple[str, str], step: str, told: str
) -> None:
    answer = asked(site, source(edit))
    assert (answer.ok, answer.step, answer.plugin) == (False, step, "bidder")
    assert told in answer.why


def test_panic_of_our_own_code_in_the_trial_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object, **__: object) -> None:
        raise Panic("deep inside")

    monkeypatch.setattr(probe, "build_lineup", panic)
    answer = probe.run(Config(), [], {}, {})
    assert (answer.ok, answer.step, answer.why) == (False, "probe", "Panic: deep inside")


# -- recordings and reports --------------------------------------------------------------------


class Codec:
    """Panics when it is told to."""

    name = "alpha"

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.end: BaseException | None = None

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Any]:
        self._end()
        return []

    def reset(self) -> None:
        self._end()

    def _end(self) -> None:
        if self.end is not None:
            raise self.end


@pytest.mark.parametrize("error", [Panic("x"), GeneratorExit("x")])
def test_codec_that_panics_in_a_replay_fails_at_its_frames(error: BaseException) -> None:
    codec: Any = Codec()
    guarded = GuardedCodec(codec, "alpha/0")
    assert guarded.decode("1", 5, "alpha/0") == []
    codec.end = error
    with pytest.raises(WireError, match=f"codec: {type(error).__name__}: x"):
        guarded.decode("1", 5, "alpha/0")
    guarded.reset()
    codec.end = None
    with pytest.raises(WireError, match=f"codec: ValueError: {type(error).__name__}: x"):
        guarded.decode("1", 5, "alpha/0")


class Opinionated(Fair):
    """Panics when its parts are asked for."""

    name = "blend"

    def opinions(self, _market: str) -> dict[str, float]:
        raise Panic


class Shy(Fair):
    """Panics at every look at its name."""

    @property
    def name(self) -> str:
        raise Panic


@pytest.mark.parametrize(("fair", "name"), [(Opinionated, "blend"), (Shy, "fair")])
def test_fair_value_that_panics_when_it_is_scored_is_scored_without_its_parts(
    fair: type[Fair], name: str
) -> None:
    desk = Desk(fair())
    desk.open("a", 50, 0.6)
    desk.tick(100.0)
    desk.tick(90.0)
    desk.resolve("a", YES)
    assert desk.row(name)["samples"] == 2
