"""Make or bring up to date the project's `.venv`; used by `run`, `test` and `.ci/run`.

Standard library only, run by the system's Python (3.11 or newer). Prints nothing on standard
output. Two at once wait for each other; a second time with nothing changed costs one file read.

Usage: python3 scripts/prepare.py [EXTRA...]
"""

import fcntl
import hashlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "polytrade-installed.json"
LOCK = ROOT / ".venv.lock"
PYTHON = VENV / "bin" / "python"


def say(text: str) -> None:
    """A line for whoever waits."""
    print(f"polytrade: {text}", file=sys.stderr, flush=True)


def wanted() -> dict[str, object]:
    """What an installation must be made of: this project, at this place, this Python."""
    return {
        "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
        "root": str(ROOT),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def installed(want: dict[str, object], extras: list[str]) -> bool:
    """Whether `.venv` already is what is wanted; more extras than wanted do no harm."""
    try:
        stamp = json.loads(STAMP.read_text())
        there = set(stamp.pop("extras"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False
    return bool(stamp == want and PYTHON.exists() and there.issuperset(extras))


def present_extras() -> list[str]:
    """The extras installed before, so that `run` after `test` takes nothing away."""
    try:
        return list(json.loads(STAMP.read_text())["extras"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def create() -> None:
    """A fresh `.venv` of this Python."""
    say(f"creating {VENV} with Python {sys.version.split()[0]}")
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=sys.stderr, check=False
    )
    if done.returncode != 0:
        raise SystemExit(
            f"polytrade: could not create {VENV}; the message is above\n"
            "polytrade: on Debian and Ubuntu the package python3-venv is needed"
        )


def usable() -> bool:
    """Whether the `.venv` there runs and is of this Python's version."""
    code = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(PYTHON), "-c", code], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return done.stdout.strip() == f"{sys.version_info.major}.{sys.version_info.minor}"


def install(want: dict[str, object], extras: list[str]) -> None:
    """The project, editable, with its dependencies from the package index."""
    what = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    say("installing dependencies (the first time takes a minute or two)")
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--editable", what], stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise SystemExit(
            f"polytrade: pip failed with exit code {done.returncode}; its message is above\n"
            "polytrade: the package index must be reachable (PIP_INDEX_URL, PIP_PROXY)"
        )
    STAMP.write_text(json.dumps({**want, "extras": extras}))


def main(extras: list[str]) -> int:
    """Make `.venv` fit; 0, or SystemExit with what went wrong."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the system's Python may be anything
        raise SystemExit(f"polytrade: Python 3.11 or newer is needed, found {sys.version}")
    want = wanted()
    if installed(want, extras):
        return 0
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another one that installs")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if installed(want, extras):
            return 0
        everything = sorted({*extras, *present_extras()})
        STAMP.unlink(missing_ok=True)
        if not usable():
            create()
        install(want, everything)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("polytrade: interrupted; the next start goes on")
