"""A daemon at the live venue in a thread of its own, for tests that ask it over real sockets."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import attrs
import httpx2
import pytest
import trio

from polytrade.runtime.daemon import Daemon
from tests.daemon.live_rig import LiveRig, live
from tests.daemon.rig import WAIT_S

T = TypeVar("T")

POLL_S = 0.02


@attrs.define
class Seen:
    """What a refused reload must not change."""

    generation: int
    active: dict[str, list[str]]
    paused: bool
    faults: list[dict[str, Any]]
    modules: dict[str, ModuleType]
    path: list[str]


@attrs.define(kw_only=True)
class Asked:
    """A running daemon, asked over HTTP; `inside` looks at it from its own loop."""

    rig: LiveRig
    token: trio.lowlevel.TrioToken
    client: httpx2.Client

    def inside(self, look: Callable[[], T]) -> T:
        """What `look` finds between two events."""
        return trio.from_thread.run_sync(look, trio_token=self.token)

    def get(self, path: str) -> Any:
        """The answer to a GET, whatever its status."""
        return self.client.get(path).json()

    def post(self, path: str, **body: object) -> tuple[int, Any]:
        """The answer to a POST."""
        answer = self.client.post(path, json=body)
        return answer.status_code, answer.json()

    def strategy(self, **body: object) -> tuple[int, Any]:
        """`POST /control/reload_strategy`."""
        return self.post("/control/reload_strategy", **body)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds."""
        end_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end_s, f"not yet: {what}\n{self.rig.log.getvalue()[-2000:]}"
            time.sleep(POLL_S)

    def seen(self) -> Seen:
        """How things are."""
        rows, health = self.get("/plugins"), self.get("/health")
        return Seen(
            rows["generation"],
            {row["name"]: row["active"] for row in rows["plugins"] if row["active"]},
            health["paused"],
            health["faults"],
            plugin_modules(),
            list(sys.path),
        )

    def generation(self) -> int:
        """The generation in force."""
        found: int = self.get("/plugins")["generation"]
        return found

    def fault(self) -> str:
        """Why a plugin is out of service, empty when none is."""
        return "; ".join(row["why"] for row in self.get("/health")["faults"])

    def trades_on(self) -> None:
        """Events go on, the maker is asked and places orders, and none of them is orphaned."""
        asked = self.inside(lambda: (self.rig.parts.strategy.events, self.maker_asked()))
        accepted = self.accepted()
        self.until(lambda: self.accepted() > accepted, "another order")
        events, times = self.inside(lambda: (self.rig.parts.strategy.events, self.maker_asked()))
        assert events > asked[0]
        assert times > asked[1]
        assert self.inside(self.orphans) == []

    def maker_asked(self) -> int:
        """How often the maker was asked, as it counts itself; call it inside."""
        asked: int = getattr(self.rig.parts.session.lineup.maker, "asked", 0)
        return asked

    def accepted(self) -> int:
        """Orders the paper venue took so far."""
        return self.inside(lambda: self.rig.tap.count("order_accepted"))

    def orphans(self) -> list[str]:
        """Orders at the paper venue that the engine does not hold open; call it inside."""
        known = {order.order_id for order in self.rig.engine.orders.all_open()}
        return [order_id for order_id in self.rig.paper.resting() if order_id not in known]


def plugin_modules() -> dict[str, ModuleType]:
    """The modules of plugins that are imported."""
    return {name: it for name, it in list(sys.modules.items()) if name.startswith("polytrade_")}


async def _no_signals(*_arguments: object) -> None:
    await trio.sleep_forever()


@contextmanager
def daemon_in_a_thread(folder: Path, *overrides: str) -> Iterator[Asked]:
    """A daemon that quotes; at the end it is stopped and nothing may rest."""
    box: dict[str, Any] = {}
    up = threading.Event()

    async def serve() -> None:
        async with live(folder, *overrides, into_window_s=20.0) as rig:
            await rig.quoting()
            box["rig"], box["url"] = rig, await rig.control_url()
            box["token"], box["stop"] = trio.lowlevel.current_trio_token(), trio.Event()
            up.set()
            await box["stop"].wait()
            await rig.stop()
            box["rests"] = (rig.paper.resting(), rig.engine.orders.open_count())

    def run() -> None:
        try:
            trio.run(serve)
        except Exception as error:  # told by the test's own thread
            box["failed"] = error
        finally:
            up.set()

    with pytest.MonkeyPatch.context() as patch:
        # Signals go to the main thread, which is pytest's.
        patch.setattr(Daemon, "_watch_signals", _no_signals)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            up.wait()
            if "failed" in box:
                raise box["failed"]
            with httpx2.Client(base_url=box["url"], timeout=WAIT_S) as client:
                yield Asked(rig=box["rig"], token=box["token"], client=client)
        finally:
            if "stop" in box and "failed" not in box:
                trio.from_thread.run_sync(box["stop"].set, trio_token=box["token"])
            thread.join()
    if "failed" in box:
        raise box["failed"]
    assert box["rests"] == ([], 0)
