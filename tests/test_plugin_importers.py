"""Layouts of plugins: tried with ours, and read like ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polytrade.captures import CaptureError
from polytrade.import_layouts import LAYOUTS
from polytrade.importers import known_layouts, read_capture, sniff
from tests.plugin_projects import SiteFolder, plugin_site

IMPORTER = """
import attrs
from polytrade.api import RawFrame, hookimpl

polytrade_api = 1


@attrs.frozen
class Acme:
    prefix: str = "ACME "
    looks = "ACME <ns> <frame>"
    times = "ns"
    sources = "`polymarket.market/0`"

    def fits(self, head):
        return head.startswith(self.prefix.encode())

    def read(self, path):
        for line in path.read_text().splitlines():
            _, ts_ns, frame = line.split(" ", 2)
            yield RawFrame("polymarket.market/0", frame, int(ts_ns))


@hookimpl
def polytrade_importers():
    return {"acme": Acme}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.acme"
    path.write_text("ACME 1700000000000000001 []\nACME 1700000000000000002 [1]\n")
    return path


def test_layout_of_a_plugin_is_read(site: SiteFolder, file: Path) -> None:
    site.install("acme", IMPORTER)
    capture = read_capture(file)
    assert capture.layout == "acme"
    records = [(it.recv_ts_ns, it.frame) for it in capture if it.source == "polymarket.market/0"]
    assert records == [(1700000000000000001, "[]"), (1700000000000000002, "[1]")]
    layout = sniff(file)
    assert layout is not None and layout.name == "acme"


def test_layouts_of_plugins_come_before_those_that_take_many_files(site: SiteFolder) -> None:
    site.install("acme", IMPORTER)
    names = [layout.name for layout in known_layouts()]
    ours = [layout.name for layout in LAYOUTS]
    assert names == [*ours[:-2], "acme", *ours[-2:]]


def test_broken_plugin_offers_no_layout(site: SiteFolder, file: Path) -> None:
    site.install("acme", IMPORTER.replace("def fits", "def fitted"))
    assert known_layouts() == LAYOUTS
    with pytest.raises(CaptureError, match="expected a capture"):
        read_capture(file)


def test_what_a_plugin_cannot_read_is_the_captures_fault(site: SiteFolder, file: Path) -> None:
    site.install("acme", IMPORTER)
    file.write_text("ACME soon []\n")
    with pytest.raises(CaptureError, match="frame 1: expected ACME <ns> <frame>, found ValueErr"):
        list(read_capture(file))
