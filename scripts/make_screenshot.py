"""Run the daemon on the local venue and save the terminal view as the picture of the README."""

import argparse
import sys
from functools import partial
from pathlib import Path

import trio

from polytrade import strict
from polytrade.control.task import run_control
from polytrade.runtime.daemon import Daemon
from polytrade.runtime.inbox import Clock
from polytrade.runtime.logs import configure_logging
from polytrade.runtime.terminal import export_svg

ROOT = Path(__file__).resolve().parent.parent


async def shoot(daemon: Daemon, seconds: float, out: Path) -> None:
    """Let the daemon trade for `seconds`, save what its terminal would show, stop it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await daemon.ready.wait()
        await trio.sleep(seconds)
        assert daemon.parts is not None
        export_svg(daemon.parts.observer.read(), out)
        daemon.stopping.set()


def main() -> int:
    """The command; see --help."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: python scripts/make_screenshot.py --seconds 90"
    )
    parser.add_argument("--seconds", type=float, default=90.0, help="how long to trade before")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "terminal.svg")
    arguments = parser.parse_args()
    config = strict.load(ROOT / "configs" / "sandbox", ("control.port=0",))
    clock = Clock()
    logs = configure_logging("warning", clock.now_ns)
    daemon = Daemon(config, ROOT, run_control, clock, logs, None, False)
    trio.run(partial(shoot, daemon, arguments.seconds, arguments.out))
    print(f"wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
