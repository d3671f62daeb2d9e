"""The commands: exit codes, `--help` with an example, errors on stderr, answers as JSON."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click
import pytest
import trio

from polytrade import __version__, cli, strict
from polytrade.config import Config
from polytrade.errors import ConfigError, PluginError

COMMANDS = ("daemon", "sandbox", "record", "replay", "report", "verify", "doctor")


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("")
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "risk.toml").write_text("[risk]\nmax_open_orders = 7\n")
    return folder


class Calls:
    """A module that notes how its functions were called and answers `result`."""

    def __init__(self, result: int = 0, error: BaseException | None = None) -> None:
        self.seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.result = result
        self.error = error

    def __call__(self, *arguments: Any, **named: Any) -> int:
        self.seen.append((arguments, named))
        if self.error is not None:
            raise self.error
        return self.result


def fake_module(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> None:
    module = ModuleType(name)
    for key, member in members.items():
        setattr(module, key, member)
    monkeypatch.setitem(sys.modules, name, module)


def test_help_lists_the_commands_and_needs_no_engine() -> None:
    code = (
        "import sys; from polytrade.cli import main; code = main(['--help']);"
        "heavy = {'trio', 'numpy', 'cattrs', 'httpx2', 'rich'} & set(sys.modules);"
        "print(sorted(heavy)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")
    assert [word for word in COMMANDS if f"\n  {word} " not in done.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example:\n" in shown
    assert "polytrade" in shown.partition("Example:")[2]


def test_module_runs_as_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "polytrade", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"polytrade, version {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["daemon", "--nonsense"],
        ["daemon", "--run-for", "0"],
        ["daemon", "--run-for", "soon"],
        ["sandbox", "--playback", "/nonexistent.jsonl"],
        ["sandbox", "--playback", "pyproject.toml", "--seed", "8"],
        ["sandbox", "--speed", "2"],
        ["sandbox", "--tape", "x", "--at", "noon"],
        ["replay"],
        ["replay", "/nonexistent"],
        ["replay", ".", "--verify", "nonsense"],
    ],
)
def test_wrong_usage_is_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Error: " in shown.err


def test_check_says_the_configuration_is_good(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = strict.config_digest(strict.load(configs))
    assert cli.daemon_main(["--config", str(configs), "--check"]) == 0
    assert capsys.readouterr().out == f"configuration ok: {configs}, digest {digest[:12]}\n"
    assert cli.daemon_main(["--config", str(configs), "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "config_digest": digest,
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        (
            "fair_value",
            "expected one of `basis_mr`, `blend`, `digital`, found 'x' @ strategy.fair_value",
        ),
        (
            "maker",
            "expected one of `control_mid`, `control_random`, `skewed`, found 'x' @ strategy.maker",
        ),
    ],
)
def test_check_knows_the_names_that_only_plugins_offer(
    setting: str, problem: str, configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(configs), "--set", f"strategy.{setting}=x", "--check"]
    assert cli.daemon_main(arguments) == 2
    assert capsys.readouterr().err == f"configuration: {problem}\n"
    assert cli.daemon_main([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"ok": False, "problems": [problem]}


def test_plugin_that_cannot_be_loaded_is_two(
    configs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(config: Config) -> None:
        raise PluginError("glft", "1.2", "cannot be loaded: no module named scipy")

    fake_module(monkeypatch, "polytrade.lineup", build_lineup=broken)
    assert cli.daemon_main(["--config", str(configs), "--check"]) == 2
    expected = "plugin glft 1.2: cannot be loaded: no module named scipy\n"
    assert capsys.readouterr().err == expected


def test_bad_configuration_is_two_with_every_problem(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(configs), "--set", "risk.max_open_orders=5.5", "--set", "x=1"]
    expected = [
        'expected section.key=value, found "x=1" (--set)',
        "expected int of at least 1, found 5.5 @ risk.max_open_orders (--set)",
    ]
    for extra in ([], ["--check"], ["--print-config"]):
        assert cli.daemon_main([*arguments, *extra]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.splitlines() == [f"configuration: {line}" for line in expected]
    assert cli.daemon_main([*arguments, "--check", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"ok": False, "problems": expected}


def test_effective_configuration_is_printed(
    configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.daemon_main(["--config", str(configs), "--print-config"]) == 0
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "all.toml").write_text(capsys.readouterr().out)
    assert strict.load(tmp_path / "again") == strict.load(configs)
    assert cli.daemon_main(["--config", str(configs), "--print-config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == strict.to_dict(strict.load(configs))


@pytest.mark.parametrize("program", [cli.daemon_main, lambda words: cli.main(["daemon", *words])])
def test_daemon_is_called_with_what_was_asked(
    configs: Path, monkeypatch: pytest.MonkeyPatch, program: Any
) -> None:
    calls = Calls(result=1)
    fake_module(monkeypatch, "polytrade.runtime.daemon", main=calls)
    assert program(["--config", str(configs), "--run-for", "2.5"]) == 1
    ((arguments, named),) = calls.seen
    assert arguments == (strict.load(configs), 2.5)
    assert callable(named.pop("control"))
    assert named.pop("load")() == strict.load(configs)
    assert named == {"root": configs.parent, "record_only": False}


def test_record_switches_recording_on(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    fake_module(monkeypatch, "polytrade.runtime.daemon", main=calls)
    assert cli.main(["record", "--config", str(configs)]) == 0
    (((config, run_for), named),) = calls.seen
    assert isinstance(config, Config)
    assert (config.storage.record_raw, config.risk.max_open_orders) == (True, 7)
    assert run_for is None
    assert callable(named.pop("control"))
    assert named.pop("load")().storage.record_raw
    assert named == {"root": configs.parent, "record_only": True}


async def test_token_file_is_found_below_the_project(
    configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls()
    served: list[tuple[Any, ...]] = []

    async def run_control(*arguments: Any) -> None:
        await trio.lowlevel.checkpoint()
        served.append(arguments)

    fake_module(monkeypatch, "polytrade.runtime.daemon", main=calls)
    checked = Calls()
    fake_module(
        monkeypatch, "polytrade.control.task", check_control=checked, run_control=run_control
    )
    assert cli.daemon_main(["--config", str(configs), "--set", "control.token_file=token"]) == 0
    (((config, _), named),) = calls.seen
    assert config.control.token_file == "token"
    placed = attrs.evolve(config.control, token_file=f"{configs.parent}/token")
    assert checked.seen == [((placed,), {})]
    await named["control"]("read", "commands", config.control, "stopping")
    assert served == [("read", "commands", placed, "stopping")]


def test_replay_is_called_with_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(result=1)
    fake_module(monkeypatch, "polytrade.replay", run_replay_command=calls)
    assert cli.main(["replay", str(tmp_path), "--until", "9", "--json", "--no-compare"]) == 1
    (configs := tmp_path / "configs").mkdir()
    more = ["--plugins", str(tmp_path), "--plugins", str(configs)]
    asked = ["replay", str(tmp_path), "--config", str(tmp_path), "--verify", "0aB1" * 2]
    assert cli.main([*asked, *more]) == 1
    assert calls.seen == [
        (
            (tmp_path,),
            {
                "as_json": True,
                "until": 9,
                "verify": False,
                "digest": "",
                "configs": None,
                "sites": (),
            },
        ),
        (
            (tmp_path,),
            {
                "as_json": False,
                "until": None,
                "verify": True,
                "digest": "0aB10aB1",
                "configs": tmp_path,
                "sites": (tmp_path, configs),
            },
        ),
    ]


def test_report_and_verify_take_other_versions_of_plugins_as_replay_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, verify = Calls(), Calls(result=1)
    fake_module(
        monkeypatch,
        "polytrade.reports.command",
        run_report_command=report,
        run_verify_command=verify,
    )
    (other := tmp_path / "other").mkdir()
    more = ["--plugins", str(tmp_path), "--plugins", str(other)]
    assert cli.main(["report", str(tmp_path), "--out-root", str(other), *more]) == 0
    assert cli.main(["verify", str(tmp_path), "--json", *more]) == 1
    sites = (tmp_path, other)
    told = {"out_root": other, "configs": None, "as_json": False, "sites": sites}
    assert report.seen == [((tmp_path,), told)]
    assert verify.seen == [((tmp_path,), {"run": None, "as_json": True, "sites": sites})]


@pytest.mark.parametrize(
    ("arguments", "field"), [(["--coins", "btc,pepe"], "coins"), (["--activity", "5"], "activity")]
)
def test_sandbox_names_what_it_cannot_be(
    arguments: list[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sandbox", *arguments]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.rpartition("@ ")[2]) == ("", f"{field}\n")


def test_sandbox_takes_several_captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, options = Calls(), Calls()
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.touch()
    second.touch()
    monkeypatch.setattr("polytrade.sandbox.program.run_program", calls)
    monkeypatch.setattr("polytrade.sandbox.playback.options.PlaybackOptions", options)
    assert cli.main(["sandbox", "--playback", str(first), str(second), "--speed", "10"]) == 0
    assert options.seen == [
        (
            (),
            {
                "files": (first, second),
                "speed": 10.0,
                "loop": False,
                "shift": False,
                "host": "127.0.0.1",
                "port_base": 0,
                "start": "subscribe",
            },
        )
    ]
    assert len(calls.seen) == 1
    assert calls.seen[0][1] == {"exit_with_parent": False}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interrupt_is_one_line_and_one(
    configs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
) -> None:
    fake_module(monkeypatch, "polytrade.runtime.daemon", main=Calls(error=error))
    assert cli.daemon_main(["--config", str(configs)]) == 1
    assert capsys.readouterr().err.strip() == "interrupted"


def test_operator_error_found_late_is_two_without_a_traceback(
    configs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ConfigError("expected a token, found none @ control.token_env")
    fake_module(monkeypatch, "polytrade.runtime.daemon", main=Calls(error=error))
    assert cli.daemon_main(["--config", str(configs)]) == 2
    assert capsys.readouterr().err == f"configuration: {error}\n"


def test_check_warns_of_a_disabled_plugin_that_is_not_there(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--config", str(configs), "--set", 'plugins.disabled=["nope"]', "--check")
    assert cli.daemon_main(words) == 0
    said = capsys.readouterr()
    assert said.err == "warning: plugins.disabled: no plugin 'nope' is installed\n"
    assert said.out.startswith("configuration ok: ")
    assert cli.daemon_main([*words, "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert warnings == ["plugins.disabled: no plugin 'nope' is installed"]
