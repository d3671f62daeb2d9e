"""The venue as a program: one ready line, and a clean end however it is told to."""

import json
import signal
import socket
import subprocess
import sys

import pytest


@pytest.fixture
def program(capture, short_records, root):
    path = capture(short_records)
    process = subprocess.Popen(
        (sys.executable, "-m", "polytrade", "sandbox", "--exit-with-parent", "--playback", path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "stdin"])
def test_program_prints_one_ready_line_and_ends_cleanly(program, end):
    line = json.loads(program.stdout.readline())
    assert line["ready"] is True
    named = ("market", "clob", "gamma", "rtds", "binance", "admin")
    assert [name for name in named if f"{name}_url" in line] == list(named)
    assert line["slugs"][0].startswith("btc-updown-5m-")
    assert sum(line["frames"].values()) > 0
    if end == "stdin":
        program.stdin.close()
    else:
        program.send_signal(getattr(signal, end))
    assert program.stdout.read() == ""
    assert program.wait() == 0


def test_port_that_is_taken_is_one_line_and_two(root):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            (sys.executable, "-m", "polytrade", "sandbox", "--port-base", str(port)),
            capture_output=True,
            text=True,
            cwd=root,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"configuration: cannot listen on 127.0.0.1:{port} for market: ")
    assert ended.stderr.count("\n") == 1
