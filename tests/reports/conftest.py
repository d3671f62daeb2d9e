"""One short run for all tests of reports: trading a tape takes seconds."""

import shutil
from pathlib import Path

import pytest

from polytrade.reports.files import write_reports
from polytrade.reports.report import Report
from tests.reports.runs import live_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The data folder (`runs/run-a`, `reports/<date>`) of a run and the report made live."""
    root = tmp_path_factory.mktemp("datasets")
    report = live_run(root / "runs")
    write_reports(report, root / "reports")
    return root, report


@pytest.fixture
def data(run: tuple[Path, Report], tmp_path: Path) -> Path:
    """A copy of the run's data folder, to be changed."""
    return Path(shutil.copytree(run[0], tmp_path / "datasets"))
