"""From wheels, with pip, in a fresh environment: install, trade, upgrade, reload, roll back."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest

from tests.wheels import Environment, make_wheel

ROOT = Path(__file__).resolve().parents[2]
GLFT = ROOT / "plugins" / "polytrade-glft"
MOMENTUM = ROOT / "plugins" / "polytrade-momentum-taker"
WAIT_S = 120.0
"""Longest anything is waited for, on a machine however busy."""
POLL_S = 0.05
STEP = 0.05
"""The prices of the second version are multiples of this."""
SECOND = '''

class Coarse(GlftMaker):
    """Quotes at multiples of five cents, further from fair value."""

    def quotes(self, view):
        wishes, why = super().quotes(view)
        return [
            Wish(
                wish.token,
                wish.side,
                min(max((wish.price_e4 + 499 * wish.side) // 500 * 500, 500), 9500),
                wish.size_e6,
                wish.edge_bps,
                wish.engine,
            )
            for wish in wishes
        ], why
'''
SETTINGS = (
    "control.port=0",
    'strategy.fair_value="basis_mr"',  # quotes at once: no volatility to warm up
    "risk.max_loop_lag_ms=20000",
    "risk.book_stale_ms=8000",
    "risk.orders_per_s=200",
    "risk.max_loss_streak=1000",
    "risk.daily_drawdown_cap_pct=1.0",
    "risk.max_daily_loss=1000",
    "reload.call_budget_us=1000000",  # a busy machine is no fault of the plugin's
    "reload.probe_s=60",
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Polytrade and the first versions of two plugins."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, GLFT, MOMENTUM):
        make_wheel(project, folder)
    return folder


@pytest.fixture(scope="module")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A fresh environment with polytrade and two plugins from wheels."""
    made = Environment.make(tmp_path_factory.mktemp("fresh") / "venv", wheels)
    made.install_polytrade()
    made.pip("install", "polytrade-glft", "polytrade-momentum-taker")
    return made


def second_version() -> dict[str, str]:
    """What differs in the next version of the maker."""
    name = "polytrade_glft/__init__.py"
    text = (GLFT / name).read_text()
    assert '{"glft": GlftMaker}' in text
    text = text.replace("import Maker, hookimpl", "import Maker, Wish, hookimpl")
    return {name: text.replace('{"glft": GlftMaker}', '{"glft": Coarse}') + SECOND}


@attrs.frozen
class Running:
    """A daemon of the environment, asked over HTTP."""

    process: "subprocess.Popen[bytes]"
    client: httpx2.Client
    log: Path

    def get(self, path: str) -> Any:
        """The answer to a GET."""
        return self.client.get(path).json()

    def reload(self, path: str, **body: object) -> Any:
        """The answer to a reload that must succeed."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, f"{answer.text}\n{self.log.read_text()[-2000:]}"
        return answer.json()

    def prices(self) -> list[float]:
        """The prices of our open orders."""
        markets = self.get("/state/positions")["positions"]
        return [order["price"] for market in markets for order in market["open_orders"]]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds."""
        end_s = time.monotonic() + WAIT_S
        while not condition():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < end_s, f"not yet: {what}\n{self.log.read_text()[-2000:]}"
            time.sleep(POLL_S)

    def quotes_coarsely(self) -> None:
        """Wait until everything open is of the second version."""
        self.until(
            lambda: bool(prices := self.prices()) and all(map(coarse, prices)), "coarse quotes"
        )

    def quotes_finely(self) -> None:
        """Wait until something is open that only the first version quotes."""
        self.until(lambda: not all(map(coarse, self.prices())), "fine quotes")

    def plugin(self, name: str) -> Any:
        """A plugin's row."""
        (row,) = [row for row in self.get("/plugins")["plugins"] if row["name"] == name]
        return row


def coarse(price: float) -> bool:
    """Whether a price is a multiple of five cents."""
    return round(price * 10_000) % round(STEP * 10_000) == 0


@contextmanager
def running(environment: Environment, folder: Path) -> Iterator[Running]:
    """The daemon that was installed, with the local venue that it starts itself."""
    shutil.copytree(ROOT / "configs" / "sandbox", folder / "configs")
    settings = [f"--set={setting}" for setting in SETTINGS]
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [environment.folder / "bin" / "polytrade-daemon", "--config", "configs", *settings],
            env=environment.environ(),
            cwd=folder,
            stdout=stream,
            stderr=stream,
        )
    try:
        end_s = time.monotonic() + WAIT_S
        while not (url := listening(log)):
            assert process.poll() is None and time.monotonic() < end_s, log.read_text()
            time.sleep(POLL_S)
        with httpx2.Client(base_url=url, timeout=WAIT_S) as client:
            yield Running(process, client, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(WAIT_S)
            finally:
                process.kill()


def listening(log: Path) -> str:
    """Where the control plane listens, empty before it does."""
    for line in log.read_text().splitlines():
        if "plane listens" in line:
            url: str = json.loads(line)["url"]
            return url
    return ""


def test_environment_has_its_own_polytrade_and_both_plugins(environment: Environment) -> None:
    place = environment.run("python", "-c", "import polytrade; print(polytrade.__file__)")
    assert place.startswith(str(environment.folder))
    rows = json.loads(environment.run("polytrade", "plugins", "list", "--json"))
    offers = {row["name"]: row["offers"] for row in rows if row["distribution"] != "polytrade"}
    assert offers == {"glft": {"maker": ["glft"]}, "momentum-taker": {"taker": ["momentum"]}}


def test_plugins_from_wheels_are_upgraded_and_rolled_back_while_the_daemon_trades(
    environment: Environment, wheels: Path, tmp_path: Path
) -> None:
    with running(environment, tmp_path) as daemon:
        daemon.until(lambda: bool(daemon.prices()), "quotes of the built-in maker")
        assert not daemon.plugin("glft")["active"]
        daemon.reload("/control/reload_strategy", plugin="glft")
        answer = daemon.reload("/control/reload_taker", plugin="momentum")
        assert answer["taker"]["plugin"] == "momentum"
        first = daemon.plugin("glft")
        assert (first["version"], first["active"]) == ("0.1.0", ["maker/glft"])
        daemon.quotes_finely()

        make_wheel(GLFT, wheels, version="0.2.0", changes=second_version())
        environment.pip("install", "-U", "polytrade-glft")
        assert daemon.reload("/control/reload_plugins")["changed"] == ["glft"]
        assert daemon.plugin("glft")["version"] == "0.1.0"
        answer = daemon.reload("/control/reload_strategy", code=True)
        assert answer["maker"]["plugin"] == "glft"
        second = daemon.plugin("glft")
        assert (second["version"], second["generation"]) == ("0.2.0", answer["generation"])
        assert second["digest"] != first["digest"]
        daemon.quotes_coarsely()

        answer = daemon.reload("/plugins/rollback")
        again = daemon.plugin("glft")
        assert (again["version"], again["digest"]) == ("0.1.0", first["digest"])
        assert again["generation"] == answer["generation"]
        daemon.quotes_finely()
        assert daemon.get("/health")["status"] == "ok"
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(WAIT_S) == 0, daemon.log.read_text()[-2000:]
    (run,) = (tmp_path / "datasets" / "runs").iterdir()
    replay_names_what_is_missing(environment, run)


def replay_names_what_is_missing(environment: Environment, run: Path) -> None:
    """A journal needs its plugins: the version that is missing is told, and then it replays."""
    said = environment.run("polytrade", "replay", str(run), check=False)
    assert "glft 0.1.0+sha256:" in said, said
    assert "is needed, 0.2.0+sha256:" in said, said
    environment.pip("uninstall", "-y", "polytrade-momentum-taker")
    environment.pip("install", "polytrade-glft==0.1.0")
    said = environment.run("polytrade", "replay", str(run), check=False)
    assert "momentum-taker 0.1.0+sha256:" in said, said
    assert "is needed, it is not installed" in said, said
