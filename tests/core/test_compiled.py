"""The core compiled by mypyc, unchanged: the same worlds give the same effects."""

import importlib.util
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.core.world import rows_of

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = (1, 2, 5)
SECONDS = 24

RUN = f"""
import json, pathlib
import polytrade.core
from tests.core.world import rows_of
folder = pathlib.Path(polytrade.core.__file__).parent
sources = {{file.stem for file in folder.glob("*.py") if file.stat().st_size}}
compiled = {{file.name.partition(".")[0] for file in folder.glob("*.so")}}
rows = [rows_of(seed, {SECONDS}) for seed in {SEEDS}]
print(json.dumps({{"left": sorted(sources - compiled), "rows": rows}}))
"""


def missing() -> str:
    if importlib.util.find_spec("mypyc") is None or importlib.util.find_spec("setuptools") is None:
        return "mypyc or setuptools not installed: the compiled core not checked"
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()[0]
    return "" if shutil.which(compiler) else "no C compiler: the compiled core not checked"


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_compiled_core_wants_exactly_the_same(tmp_path: Path) -> None:
    """Compiled once, without optimisation: half a minute of one core."""
    script = str(ROOT / "scripts" / "build_compiled")
    built = subprocess.run(
        [sys.executable, script, "--out", str(tmp_path), "--optimise", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["left"] == []
    plain = [rows_of(seed, SECONDS) for seed in SEEDS]
    assert answer["rows"] == json.loads(json.dumps(plain))
    assert sum(len(rows) for rows in plain) > 50
