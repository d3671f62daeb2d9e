"""Child processes that answer one JSON line with another: a clean interpreter for a measurement."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

SCRIPTS: Final = Path(__file__).resolve().parent.parent
ROOT: Final = SCRIPTS.parent
ANSWER_MAX: Final = 64 << 20
"""Longest answer, in bytes: the stamps of 600,000 messages have 12 MB."""
END_S: Final = 10.0


class WorkerFailed(Exception):
    """The child ended instead of answering; what it had to say is on standard error."""


class Worker:
    """A running child; `ask` sends a request and waits for its answer."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        self._process = process
        self._name = name

    def send(self, **request: object) -> None:
        """Send a request; the answer is fetched by `answer`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next answer; raises WorkerFailed when the child is gone."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline(ANSWER_MAX)
        if not line.endswith("\n"):
            raise WorkerFailed(f"{self._name} ended with {self._process.wait(END_S)}")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, **request: object) -> dict[str, Any]:
        """The answer to a request."""
        self.send(**request)
        return self.answer()


@contextmanager
def worker(module: str, package: Path = ROOT) -> Iterator[Worker]:
    """Run `benchmarks.<module>` as a child with `package/polytrade`; it is gone after the block."""
    environment = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{SCRIPTS}"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}"],
        env=environment,
        cwd=package,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Worker(process, module)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The child's side: answer every line until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
