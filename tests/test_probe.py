"""The probe: what it finds in a process of its own, and what it is bounded by."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from polytrade import probe
from polytrade.config import Config, Plugins, Reload, Strategy
from polytrade.core.events import ClockTicked, MarketListed
from polytrade.core.judging import JUDGES
from polytrade.core.roles import Estimate, Share, no_estimate
from polytrade.lineup import build_lineup, scan
from polytrade.plugin_code import REASON_MAX
from polytrade.trial import Trial, TrialFailed, Watch, made_up
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

QUOTES = '        return [Wish(YES, BUY, self.price_e4, round(self.size * 1e6), 10.0, MAKER)], ""'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def select(maker: str = "bidder", **reload: Any) -> Config:
    return Config(strategy=Strategy(maker=maker), reload=Reload(**reload))


def ask(config: Config, folder: Path | None = None, **asked: Any) -> probe.ProbeAnswer:
    """Run a probe as the daemon does, which works in that folder."""
    done = subprocess.run(
        probe.command(),
        env=probe.environment(),
        input=probe.request(config, **asked),
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return probe.parse_answer(done.stdout, done.returncode, config, done.stderr)


def quoting(line: str, imports: str = "") -> str:
    """A maker whose answer is this line."""
    source = maker_source()
    assert QUOTES in source
    return source.replace(QUOTES, line).replace("import attrs", f"import attrs\n{imports}")


def tried(config: Config) -> Trial:
    """A trial in this process."""
    trial = Trial(config, build_lineup(config, scan(config.plugins)))
    trial.run([])
    return trial


def failure(source: str, site: SiteFolder, **reload: Any) -> TrialFailed:
    site.install("bidder", source)
    with pytest.raises(TrialFailed) as caught:
        tried(select(**reload))
    assert (caught.value.kind, caught.value.name) == ("maker", "bidder")
    return caught.value


# -- the trial, in this process ----------------------------------------------------------------


def test_trial_of_what_is_built_in_passes_and_is_the_same_twice() -> None:
    config = Config(reload=Reload(call_budget_us=1_000_000))
    first, second = tried(config), tried(config)
    assert (first.events, first.watch.calls) == (second.events, second.watch.calls)
    assert first.watch.calls > 400


def test_trial_fills_the_makers_orders(site: SiteFolder) -> None:
    """The script's venue accepts and fills, so that plugins see inventory, too."""
    state = "        assert view.inventory.yes_e6 == 0, 'filled'\n"
    failed = failure(quoting(state + QUOTES), site)
    assert failed.why == (
        "AssertionError: filled "
        "(polytrade_bidder.py, line 23: assert view.inventory.yes_e6 == 0, 'filled')"
    )


def test_trial_jumps_the_reference(site: SiteFolder) -> None:
    jumped = "        assert view.reference.price < 140_000, 'jumped'\n"
    why = failure(quoting(jumped + QUOTES), site).why
    assert why == (
        "AssertionError: jumped "
        "(polytrade_bidder.py, line 23: assert view.reference.price < 140_000, 'jumped')"
    )


def test_maker_that_raises_on_the_first_event_fails(site: SiteFolder) -> None:
    why = failure(quoting("        return {}['x']"), site).why
    assert why == "KeyError: 'x' (polytrade_bidder.py, line 23: return {}['x'])"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("5", "expected a list of wishes and a text, found 5"),
        ("None", "expected a list of wishes and a text, found None"),
        ("[], 5", "expected a list of wishes and a text, found ([], 5)"),
        ("[5], ''", "expected a Wish, found 5"),
        (
            "[Wish(YES, BUY, 0.5, 5_000_000, 1.0, MAKER)], ''",
            "expected an int price_e4 from 1 to 9999, found 0.5",
        ),
        (
            "[Wish(YES, BUY, 10_000, 5_000_000, 1.0, MAKER)], ''",
            "expected an int price_e4 from 1 to 9999, found 10000",
        ),
        (
            "[Wish(YES, BUY, 4_000, True, 1.0, MAKER)], ''",
            "expected an int size_e6 above 0, found True",
        ),
        ("[Wish(YES, 7, 4_000, 1, 1.0, MAKER)], ''", "expected a token and a side, found 0 and 7"),
        (
            "[Wish(YES, BUY, 4_000, 1, float('nan'), MAKER)], ''",
            "expected a finite edge_bps, found nan",
        ),
    ],
)
def test_nonsense_answer_fails(site: SiteFolder, answer: str, why: str) -> None:
    assert failure(quoting(f"        return {answer}"), site).why == why


@pytest.mark.parametrize(
    ("method", "answer", "why"),
    [
        ("estimate", no_estimate("no_quote_x"), ""),
        ("estimate", Estimate(True, 1.0, 0.0, 0.0, 0.0, ""), ""),
        ("estimate", None, "expected an Estimate, found None"),
        (
            "estimate",
            Estimate(True, float("nan"), 0.0, 0.0, 0.0, ""),
            "expected a fair from 0 to 1, found nan",
        ),
        (
            "estimate",
            Estimate(True, 0.5, 1.1, 0.0, 0.0, ""),
            "expected a confidence from 0 to 1, found 1.1",
        ),
        ("share", Share(1.0), ""),
        ("share", 1.0, "expected a Share, found 1.0"),
        ("share", Share(float("nan")), "expected a scale from 0 to 1, found nan"),
        ("check", "", ""),
        ("check", None, "expected a text, found None"),
        ("takes", ([], "no_take_x"), ""),
    ],
)
def test_every_answer_is_judged(method: str, answer: object, why: str) -> None:
    assert JUDGES[method](answer) == why


def test_repeated_slow_answers_fail(site: SiteFolder) -> None:
    slow = "        time.sleep(0.003)\n        return [], ''"
    failed = failure(quoting(slow, "import time"), site, call_budget_us=2000, overruns_max=5)
    assert failed.why.startswith("6 calls took longer than 2000 us, the longest ")


def test_call_without_the_processor_is_judged_by_its_own_time() -> None:
    watch = Watch(budget_us=1000, overruns_max=1)
    for _ in range(2):
        watch._took("maker", "m", 999)
    watch._took("maker", "m", 1001)
    with pytest.raises(TrialFailed, match="2 calls took longer than 1000 us, the longest 1002"):
        watch._took("maker", "m", 1002)


def test_trial_takes_events_as_they_were(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    config = select()
    trial = Trial(config, build_lineup(config, scan(config.plugins)))
    trial.run([*made_up(7_000_000_000), ClockTicked(10_000_000_000)])
    assert trial.events > 300


TAKER = """
import attrs
from polytrade.api import SAFE, hookimpl

polytrade_api = 1


@attrs.define
class Biter:
    def takes(self, view):
        if view.regime == SAFE and view.estimate.ok:
            return None
        return [], "no_take_danger"


@hookimpl
def polytrade_takers():
    return {"biter": Biter}
"""


def test_trial_asks_in_calm_whatever_state_the_daemons_markets_are_in(site: SiteFolder) -> None:
    """In a market in danger, or without a book, only some of a plugin's branches are asked."""
    site.install("biter", TAKER)
    config = Config(strategy=Strategy(taker="biter"), reload=Reload(call_budget_us=1_000_000))
    listing = made_up(7_000_000_000)[0]
    assert isinstance(listing, MarketListed)
    listing.market, listing.slug, listing.symbol = "theirs", "theirs", "BTC"
    trial = Trial(config, build_lineup(config, scan(config.plugins)))
    with pytest.raises(TrialFailed) as caught:
        trial.run([listing, ClockTicked(listing.ts_ns)])
    assert (caught.value.kind, caught.value.name) == ("taker", "biter")
    assert caught.value.why == "expected a list of wishes and a text, found None"


def test_trial_is_of_the_state_that_is_there_too(site: SiteFolder) -> None:
    """The market that is added hides none of those told."""
    source = "        assert view.market.spec.market == 'trial', 'another'\n"
    site.install("bidder", quoting(source + QUOTES))
    config = select(call_budget_us=1_000_000)
    events = made_up(7_000_000_000)
    tried(config)
    for event in events:
        if hasattr(event, "market"):
            event.market = "theirs"
    trial = Trial(config, build_lineup(config, scan(config.plugins)))
    with pytest.raises(TrialFailed, match="AssertionError: another"):
        trial.run(events)


FEED = """
import attrs
from polytrade.api import VenueCodec, hookimpl

polytrade_api = 1


@attrs.define(slots=False)
class Acme(VenueCodec):
    coins: tuple[str, ...]
    name = "acme"
    default_url = "wss://acme.example"

    def __attrs_post_init__(self):
        VenueCodec.__init__(self, self.coins)

    def hello(self):
        return ["hello"]

    def _events(self, message, ts_ns, source):
        if not isinstance(message, dict) or "price" not in message:
            raise ValueError(f"expected a price, found {message!r:.80}")
        return []


@hookimpl
def polytrade_feeds():
    return {"acme": Acme}
"""


def test_feed_must_stand_nonsense(site: SiteFolder) -> None:
    config = Config(plugins=Plugins(feeds=("acme",)), reload=Reload(call_budget_us=1_000_000))
    site.install("acme", FEED)
    assert tried(config).events > 300
    site.install(
        "acme",
        FEED.replace('not isinstance(message, dict) or "price" not in message', "message['a']"),
    )
    with pytest.raises(TrialFailed) as caught:
        tried(config)
    assert (caught.value.kind, caught.value.name) == ("feed", "acme")
    assert caught.value.why == "KeyError: 'a' (polytrade_acme.py, line 21: if message['a']:)"


def test_feed_must_say_hello_in_texts(site: SiteFolder) -> None:
    config = Config(plugins=Plugins(feeds=("acme",)), reload=Reload(call_budget_us=1_000_000))
    site.install("acme", FEED.replace('["hello"]', '"hello"'))
    with pytest.raises(TrialFailed, match="expected a list of texts from hello, found 'hello'"):
        tried(config)


# -- the probe, in a process of its own --------------------------------------------------------


def test_good_plugin_passes_and_its_answers_are_timed(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    config = select(call_budget_us=1_000_000)
    line = build_lineup(config).plugins
    rows = [event.row() for event in made_up(7_000_000_000)]
    answer = ask(config, rows=rows, plugins=line, states={"maker/bidder": b'{"asked": 3}'})
    assert answer.ok, answer
    assert answer.calls > 300 and answer.events > 300
    assert answer.worst_call_us > 0 and answer.worst


def test_probe_names_step_and_plugin_of_what_fails(site: SiteFolder) -> None:
    site.install("bidder", "1 / 0\n", version="1.1")
    answer = ask(select(), plugins={"bidder": ""})
    assert (answer.ok, answer.step, answer.plugin, answer.version) == (
        *(False, "import"),
        *("bidder", "1.1"),
    )
    assert answer.why == "ZeroDivisionError: division by zero (polytrade_bidder.py, line 1: 1 / 0)"
    error = answer.failure()
    assert (error.name, error.step) == ("bidder", "import")


def test_failing_trial_is_told_with_its_plugin(site: SiteFolder) -> None:
    site.install("bidder", quoting("        return {}['x']"))
    answer = ask(select())
    assert (answer.step, answer.plugin) == ("probe", "bidder")
    assert answer.why == "'bidder': KeyError: 'x' (polytrade_bidder.py, line 23: return {}['x'])"
    assert answer.calls > 0


def test_state_that_is_not_taken_fails(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    answer = ask(select(), states={"maker/bidder": b"{}"})
    assert (answer.step, answer.plugin) == ("handover", "bidder")
    assert answer.why == (
        "'bidder': it does not take the state handed over: "
        "KeyError: 'asked' (polytrade_bidder.py, line 30: self.asked = state[\"asked\"])"
    )


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (
            '{"asked": self.asked}',
            '{"asked": self.asked and {1}}',  # a newborn could say it
            "it cannot say its state: TypeError: Type is not JSON serializable: set",
        ),
        (
            '{"asked": self.asked}',
            "{}['x']",
            "it cannot say its state: KeyError: 'x' (polytrade_bidder.py, line 26: return {}['x'])",
        ),
        (
            '{"asked": self.asked}',
            "exit(3)",
            "it cannot say its state: SystemExit: 3 (polytrade_bidder.py, line 26: return exit(3))",
        ),
        (
            '{"asked": self.asked}',
            '"x" * 9_000_000',
            "it cannot say its state: ValueError: dump: expected at most 8388608 bytes, "
            "found 9000002",
        ),
        (
            'state["asked"]',
            'state["askd"]',
            "it does not take the state handed over: "
            "KeyError: 'askd' (polytrade_bidder.py, line 30: self.asked = state[\"askd\"])",
        ),
    ],
)
def test_what_could_not_be_replaced_is_not_accepted(
    site: SiteFolder, before: str, after: str, why: str
) -> None:
    source = maker_source()
    assert before in source
    site.install("bidder", source.replace(before, after))
    answer = ask(select(call_budget_us=1_000_000), plugins={"bidder": ""})
    assert (answer.ok, answer.step, answer.plugin) == (False, "handover", "bidder")
    assert answer.why == f"'bidder': {why}"


def test_plugin_that_keeps_no_state_can_be_replaced(site: SiteFolder) -> None:
    source = maker_source().replace("def restore", "def restart").replace("def dump", "def dumped")
    site.install("bidder", source)
    assert ask(select(call_budget_us=1_000_000), plugins={"bidder": ""}).ok


def test_table_of_an_installed_plugin_that_is_not_tried_does_no_harm(site: SiteFolder) -> None:
    """Only what is tried is loaded: nobody here knows whose table it is."""
    site.install("bidder", maker_source())
    site.install("other", maker_source("other"))
    config = attrs.evolve(
        select(call_budget_us=1_000_000), plugins=Plugins(settings={"other": {"size": 7.0}})
    )
    answer = ask(config, plugins={"bidder": ""})
    assert answer.ok, answer
    site.uninstall("polytrade-other")
    answer = ask(config, plugins={"bidder": ""})
    assert (answer.ok, answer.step, answer.field) == (False, "settings", "plugins.settings.other")


def test_folder_the_daemon_works_in_is_no_place_for_modules(
    site: SiteFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "works-here"
    folder.mkdir()
    for name in ("orjson.py", "attrs.py", "polytrade.py", "bidder_data.py"):
        (folder / name).write_text("raise SystemExit(9)\n")
    site.install("bidder", maker_source())
    config = select(call_budget_us=1_000_000)
    answer = ask(config, folder, plugins={"bidder": ""})
    assert answer.ok, answer


def test_settings_are_told_with_their_path(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    config = Config(
        strategy=Strategy(maker="bidder"), plugins=Plugins(settings={"bidder": {"size": 0.5}})
    )
    answer = ask(config)
    assert (answer.step, answer.field) == ("settings", "plugins.settings.bidder.size")
    assert answer.allowed == "float of at least 1"


def test_code_that_changed_meanwhile_is_told(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    answer = ask(select(), plugins={"bidder": "1.0.0+sha256:000000000000"})
    assert (answer.step, answer.plugin) == ("find", "bidder")
    assert answer.why.endswith(" now, not 1.0.0+sha256:000000000000")


def test_plugin_that_is_not_installed_is_told(site: SiteFolder) -> None:
    answer = ask(select(), plugins={"bidder": ""})
    assert (answer.step, answer.plugin, answer.why) == ("find", "bidder", "is not installed")


def test_other_plugins_are_not_imported(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    site.install("endless", "while True:\n    pass\n")
    assert ask(select(call_budget_us=1_000_000), plugins={"bidder": ""}).ok


def test_import_without_end_is_ended(site: SiteFolder) -> None:
    site.install("bidder", "while True:\n    pass\n")
    answer = ask(select(probe_s=2.0), plugins={"bidder": ""})
    assert (answer.ok, answer.step, answer.plugin) == (False, "import", "bidder")
    assert answer.why == "did not end within 2 s"


def test_answer_that_sleeps_is_ended(site: SiteFolder) -> None:
    site.install("bidder", quoting("        time.sleep(3600)", "import time"))
    answer = ask(select(probe_s=2.0), plugins={"bidder": ""})
    assert (answer.ok, answer.step, answer.plugin) == (False, "probe", "bidder")
    assert answer.why == "did not end within 2 s"


def test_memory_without_end_is_refused(site: SiteFolder) -> None:
    site.install("bidder", quoting("        return [b'x' * (1 << 34)], ''"))
    answer = ask(select(probe_memory_mb=256))
    assert (answer.step, answer.plugin) == ("probe", "bidder")
    assert answer.why == (
        "'bidder': MemoryError (polytrade_bidder.py, line 23: return [b'x' * (1 << 34)], '')"
    )


def test_process_that_ends_itself_is_told(site: SiteFolder) -> None:
    site.install("bidder", "import os\nos._exit(7)\n")
    answer = ask(select(), plugins={"bidder": ""})
    assert (answer.ok, answer.step, answer.plugin) == (False, "import", "bidder")
    assert answer.why == "ended with status 7: out of memory, or it ended itself"
    last = "import os\nimport sys\n\nprint('no\\nlicence\\x1b[0m', file=sys.stderr, flush=True)\n"
    site.install("bidder", f"{last}os._exit(7)\n", version="1.1")
    answer = ask(select(), plugins={"bidder": ""})
    assert answer.why == "ended with status 7: licence [0m"


def test_probe_that_dies_at_its_start_tells_its_last_words() -> None:
    done = subprocess.run(probe.command(), input=b"{}", capture_output=True, check=False)
    answer = probe.parse_answer(done.stdout, done.returncode, Config(), done.stderr)
    assert (answer.ok, answer.step) == (False, "probe")
    assert answer.why == "ended with status 1: KeyError: 'config'"
    long = probe.parse_answer(b"", 1, Config(), b"x" * 1_000 + b"\n \n")
    assert long.why == "ended with status 1: " + "x" * REASON_MAX


@pytest.mark.parametrize(
    "line", ["socket.create_connection(('127.0.0.1', 1))", "os.system('true')"]
)
def test_network_and_programs_are_refused(site: SiteFolder, line: str) -> None:
    site.install("bidder", f"import os\nimport socket\n\n{line}\n")
    answer = ask(select(), plugins={"bidder": ""})
    assert answer.step == "import"
    assert "plugins connect to nothing while they are tried" in answer.why


def test_what_a_plugin_prints_is_no_answer(site: SiteFolder) -> None:
    site.install("bidder", maker_source() + "\nprint('{\"ok\": true}', flush=True)\n1 / 0\n")
    answer = ask(select(), plugins={"bidder": ""})
    assert (answer.ok, answer.step) == (False, "import")


def test_output_of_no_probe_is_no_answer() -> None:
    for output in (b"", b"nonsense\n", b"[]\n", b'{"ok": true, "x": 1}\n'):
        answer = probe.parse_answer(output, 1, Config())
        assert (answer.ok, answer.step) == (False, "probe")
    killed = probe.parse_answer(b'{"step": "build", "plugin": "x"}\n', None, Config())
    assert (killed.step, killed.why) == ("build", "did not end within 5 s")
    told = b'{"step": "import", "plugin": "x"}\n{"step": "probe", "plugin": ""}\n'
    killed = probe.parse_answer(told, None, Config())
    assert (killed.step, killed.plugin) == ("probe", "x")


def test_command_needs_no_installed_project() -> None:
    assert probe.command()[0] == sys.executable
    assert Path(probe.environment({})["PYTHONPATH"], "polytrade", "probe.py").is_file()
    assert probe.deadline_s(select(probe_s=2.0)) == 4.0
    config = Config()
    assert config.reload.probe_s + probe.REST_S <= config.control.request_limit_s


def test_name_that_another_plugin_offers_is_refused_though_nobody_asked_for_that(
    site: SiteFolder,
) -> None:
    site.install("bidder", maker_source())
    site.install("other", maker_source())
    answer = ask(select(), plugins={"bidder": ""})
    assert (answer.ok, answer.step, answer.plugin) == (False, "hooks", "bidder")
    assert answer.why == "offers 'bidder', and so does other"


@pytest.mark.parametrize("source", ["1 / 0  # bidder\n", maker_source("bidder2")])
def test_plugin_that_only_mentions_the_name_does_no_harm(site: SiteFolder, source: str) -> None:
    site.install("bidder", maker_source())
    site.install("other", source)
    assert ask(select(call_budget_us=1_000_000), plugins={"bidder": ""}).ok
