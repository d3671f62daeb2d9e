"""Installed plugins as they are on disk: what is found, what is half there, whose code is fresh."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from polytrade.distributions import (
    Source,
    find_plugins,
    fresh_code,
    loaded,
    modules_in_force,
    put_modules,
)
from polytrade.plugin_code import RefusedCode, check_code, last_line
from tests.plugin_projects import SiteFolder, maker_source, plugin_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def problem(name: str = "bidder") -> str:
    return find_plugins()[name].problem


def test_plugin_is_found_with_its_distribution_and_code(site: SiteFolder) -> None:
    site.install("bidder", maker_source(), version="1.2")
    found = find_plugins()["bidder"]
    assert (found.module, found.distribution, found.version) == (
        "polytrade_bidder",
        "polytrade-bidder",
        "1.2",
    )
    assert found.packages == ("polytrade_bidder",)
    assert found.problem == ""
    assert len(found.digest) == 64
    assert list(found.code) == [str(site.installed["polytrade-bidder"].file.resolve())]


def test_plugins_come_in_the_order_of_their_names(site: SiteFolder) -> None:
    for name in ("b", "c", "a"):
        site.install(name, maker_source())
    assert list(find_plugins()) == ["a", "b", "c"]


def test_disabled_plugin_is_not_found(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    assert find_plugins(("bidder",)) == {}


def test_digest_is_of_every_file_but_the_compiled(site: SiteFolder) -> None:
    def digest() -> str:
        return find_plugins()["bidder"].digest

    one = site.install("bidder", maker_source(), files={"model.json": "{}", "deep/x.py": "A = 1\n"})
    first = digest()
    compiled = one.file.parent / "__pycache__" / "x.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"x")
    assert digest() == first
    (one.file.parent / "model.json").write_text("[]")
    second = digest()
    assert second != first
    (one.file.parent / "deep" / "x.py").write_text("A = 2\n")
    assert digest() not in (first, second)


def test_entry_point_declared_by_two_distributions_is_refused(site: SiteFolder) -> None:
    site.install("bidder", maker_source(), version="1.0")
    site.install("bidder", maker_source(), distribution="acme", module="acme_x", version="2.0")
    assert problem() == "declared by acme 2.0 and by polytrade-bidder 1.0"


def test_two_versions_beside_each_other_are_refused(site: SiteFolder) -> None:
    old = site.install("bidder", maker_source(), version="1.0")
    kept = old.info.with_name("kept")
    os.rename(old.info, kept)
    site.install("bidder", maker_source(), version="1.1")
    os.rename(kept, old.info)
    assert problem() == "polytrade-bidder is installed twice: 1.0 and 1.1"


def test_the_first_on_the_path_hides_another(site: SiteFolder, tmp_path: Path) -> None:
    site.install("bidder", maker_source(), version="1.0")
    with plugin_site(tmp_path / "before") as front:
        front.install("bidder", maker_source(), version="2.0")
        found = find_plugins()["bidder"]
        assert (found.version, found.problem) == ("2.0", "")


def test_information_without_module_is_half_installed(site: SiteFolder) -> None:
    made = site.install("bidder", maker_source())
    (made.info / "RECORD").unlink()
    made.file.unlink()
    assert problem() == "half installed: its module 'polytrade_bidder' is not there"


def test_recorded_file_that_is_missing_is_half_installed(site: SiteFolder) -> None:
    made = site.install("bidder", maker_source(), files={"part.py": ""})
    (made.file.parent / "part.py").unlink()
    assert problem() == "half installed: polytrade_bidder/part.py of its RECORD is missing"


def test_distribution_without_metadata_is_half_installed(site: SiteFolder) -> None:
    made = site.install("bidder", maker_source())
    (made.info / "METADATA").unlink()
    assert problem() == "half installed: its METADATA is missing"


def test_distributions_without_metadata_are_told_each_by_its_folder(site: SiteFolder) -> None:
    for name in ("bidder", "other"):
        (site.install(name, maker_source(name)).info / "METADATA").unlink()
    found = find_plugins()
    assert {name: (it.distribution, it.problem) for name, it in found.items()} == {
        "bidder": ("polytrade-bidder", "half installed: its METADATA is missing"),
        "other": ("polytrade-other", "half installed: its METADATA is missing"),
    }


TORN = b"Metadata-Version: 2.1\nName: polytrade-bidder\nVersion: 1.0.0\nSummary: \xff\n"


def test_metadata_that_is_no_text_is_told_of_its_plugin(site: SiteFolder) -> None:
    made = site.install("bidder", maker_source())
    site.install("other", maker_source("other"))
    (made.info / "METADATA").write_bytes(TORN)
    found = find_plugins()
    assert list(found) == ["bidder", "other"]
    torn = found["bidder"]
    assert (torn.distribution, torn.version, torn.packages) == ("polytrade-bidder", "unknown", ())
    assert torn.problem == (
        "half installed: polytrade_bidder-1.0.0.dist-info/METADATA: UnicodeDecodeError: "
        "'utf-8' codec can't decode byte 0xff in position 69: invalid start byte"
    )
    assert found["other"].problem == ""
    assert list(find_plugins(("bidder",))) == ["other"]


def test_metadata_that_is_no_text_beside_another_version_is_refused(site: SiteFolder) -> None:
    old = site.install("bidder", maker_source(), version="1.0")
    kept = old.info.with_name("kept")
    os.rename(old.info, kept)
    site.install("bidder", maker_source(), version="1.1")
    os.rename(kept, old.info)
    (old.info / "METADATA").write_bytes(TORN)
    assert problem() == "polytrade-bidder is installed twice: 1.1 and unknown"


def test_metadata_and_entry_points_that_are_no_text_are_told_by_the_folder(
    site: SiteFolder,
) -> None:
    made = site.install("bidder", maker_source())
    site.install("other", maker_source("other"))
    (made.info / "METADATA").write_bytes(TORN)
    points = (made.info / "entry_points.txt").read_bytes()
    (made.info / "entry_points.txt").write_bytes(points + b"\xff\n")
    found = find_plugins()
    assert list(found) == ["other", "polytrade-bidder"]
    assert found["polytrade-bidder"].problem.startswith("half installed: UnicodeDecodeError: ")


@pytest.mark.parametrize("text", [b"\xff\xfe", b"Name", b""])
def test_torn_metadata_of_what_is_no_plugin_is_not_told(site: SiteFolder, text: bytes) -> None:
    site.install("bidder", maker_source())
    info = site.folder / "unrelated-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_bytes(text)
    assert {name: it.problem for name, it in find_plugins().items()} == {"bidder": ""}


@pytest.mark.parametrize("text", [b"[polytrade]\nunrel", b"[other]\nx", b"\xff\xfe", b"[poly"])
def test_torn_metadata_of_anybody_stops_nobody(site: SiteFolder, text: bytes) -> None:
    """pip was killed while it wrote: any distribution of the environment may look so."""
    site.install("bidder", maker_source())
    info = site.folder / "unrelated-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: unrelated\nVersion: 1.0\n")
    (info / "entry_points.txt").write_bytes(text)
    found = find_plugins()
    assert (found["bidder"].problem, found["bidder"].version) == ("", "1.0.0")
    declares = b"[polytrade]" in text
    assert list(found) == (["bidder", "unrelated"] if declares else ["bidder"])
    if declares:
        torn = found["unrelated"]
        assert (torn.distribution, torn.packages) == ("unrelated", ())
        assert torn.problem.startswith("half installed: ")
        assert list(find_plugins(("unrelated",))) == ["bidder"]


def test_torn_entry_points_of_a_plugin_are_told_by_its_distribution(site: SiteFolder) -> None:
    made = site.install("bidder", maker_source())
    site.install("other", maker_source("other"))
    whole = (made.info / "entry_points.txt").read_text()
    (made.info / "entry_points.txt").write_text(whole[: whole.index(" = ")])
    found = find_plugins()
    assert list(found) == ["other", "polytrade-bidder"]
    assert found["polytrade-bidder"].problem.startswith("half installed: ")
    assert found["other"].problem == ""


def test_torn_record_of_a_plugin_is_half_installed(site: SiteFolder) -> None:
    made = site.install("bidder", maker_source())
    site.install("other", maker_source("other"))
    (made.info / "RECORD").write_bytes(b"\xff\xfe\x00polytrade_bidder.py,,\n")
    found = find_plugins()
    assert found["bidder"].problem.startswith("half installed: UnicodeDecodeError: ")
    assert found["other"].problem == ""


def test_editable_installation_is_found_by_a_running_process(
    site: SiteFolder, tmp_path: Path
) -> None:
    """pip leaves a `.pth` file that only a new interpreter would read."""
    made = site.install("bidder", maker_source())
    project = tmp_path / "project"
    project.mkdir()
    os.rename(made.file, project / made.file.name)
    (site.folder / "_editable.pth").write_text(f"import gone\n{project}\n")
    record = made.info / "RECORD"
    rows = record.read_text().replace("polytrade_bidder.py", "_editable.pth")
    record.write_text(rows)
    found = find_plugins()["bidder"]
    assert found.problem == ""
    assert list(found.code) == [str((project / made.file.name).resolve())]
    assert sys.path[-1] == str(project)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("polytrade_bidder:Bidder", "expected a module, found 'polytrade_bidder:Bidder'"),
        ("json", "expected a module of its own, found 'json'"),
        ("polytrade.builtin", "expected a module of its own, found 'polytrade.builtin'"),
    ],
)
def test_entry_point_must_be_a_module_of_its_own(site: SiteFolder, value: str, reason: str) -> None:
    site.install("bidder", maker_source(), points={"bidder": value})
    assert problem() == reason


def import_fresh(source: Source) -> dict[str, object]:
    with modules_in_force(source.packages, {}), fresh_code([source]):
        module = importlib.import_module(source.module)
        assert set(loaded(source.packages)) >= {source.module}
        return dict(vars(module))


def test_fresh_import_leaves_sys_modules_as_it_was(site: SiteFolder) -> None:
    site.install("bidder", "from polytrade_bidder.part import A\n", files={"part.py": "A = 1\n"})
    source = find_plugins()["bidder"]
    before, finders = dict(sys.modules), list(sys.meta_path)
    assert import_fresh(source)["A"] == 1
    assert sys.modules == before
    assert sys.meta_path == finders


def test_failed_import_leaves_sys_modules_as_it_was(site: SiteFolder) -> None:
    source_text = "from polytrade_bidder.part import A\nfrom polytrade_bidder.gone import B\n"
    site.install("bidder", source_text, files={"part.py": "A = 1\n"})
    source = find_plugins()["bidder"]
    before = dict(sys.modules)
    with pytest.raises(ModuleNotFoundError):
        import_fresh(source)
    assert sys.modules == before


def test_loaded_generation_comes_back_after_a_fresh_import(site: SiteFolder) -> None:
    site.install("bidder", "A = 1\n")
    old = importlib.import_module("polytrade_bidder")
    site.edit("polytrade-bidder", "A = 1", "A = 2")
    assert import_fresh(find_plugins()["bidder"])["A"] == 2
    assert sys.modules["polytrade_bidder"] is old
    assert old.A == 1


def test_edit_of_the_same_second_and_size_is_new_code(
    site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ordinary import would read the bytecode of the first text: it is there, and fits."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    made = site.install("bidder", "A = 1\n")
    importlib.import_module("polytrade_bidder")
    assert list(made.file.parent.glob("__pycache__/polytrade_bidder.*.pyc"))
    site.edit("polytrade-bidder", "A = 1", "A = 2")
    put_modules({"polytrade_bidder"}, {})
    assert importlib.import_module("polytrade_bidder").A == 1, "bytecode is stale here"
    assert import_fresh(find_plugins()["bidder"])["A"] == 2


def test_fresh_import_writes_no_bytecode(site: SiteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    made = site.install("bidder", "A = 1\n")
    import_fresh(find_plugins()["bidder"])
    assert not (made.file.parent / "__pycache__").exists()


def test_code_is_that_which_was_digested(site: SiteFolder) -> None:
    """A file replaced between reading and importing is not run."""
    site.install("bidder", "A = 1\n")
    source = find_plugins()["bidder"]
    site.edit("polytrade-bidder", "A = 1", "A = 2")
    assert import_fresh(source)["A"] == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f():\n    import json\n", 2),
        ("class C:\n    def f(self):\n        from json import dumps\n", 3),
        ("async def f():\n    if 1:\n        import json\n", 3),
        ("def f():\n    __import__('json')\n", 2),
        ("import importlib\nf = lambda: importlib.import_module('json')\n", 2),
    ],
)
def test_import_inside_a_function_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(RefusedCode, match=rf"\(x\.py, line {line}\): plugins import"):
        check_code(text.encode(), "x.py")


def test_import_at_module_level_is_fine() -> None:
    text = "import json\nif True:\n    import os\ntry:\n    import sys\nexcept ImportError: pass\n"
    check_code(text.encode(), "x.py")


def test_last_line_names_the_plugins_own_line(site: SiteFolder) -> None:
    site.install("bidder", "import json\n\nA = json.loads('{')\n")
    source = find_plugins()["bidder"]
    with pytest.raises(ValueError, match="Expecting") as caught:
        import_fresh(source)
    assert last_line(caught.value) == (
        "JSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1) (polytrade_bidder.py, line 3: A = json.loads('{'))"
    )


@pytest.mark.parametrize(
    ("head", "inner", "said"),
    [
        ("x = 1\n", "1 / 0\n", "division by zero (polytrade_bidder/deep/down.py, line 1: 1 / 0)"),
        ("1 / 0\n", "", "division by zero (polytrade_bidder/__init__.py, line 1: 1 / 0)"),
        ("x = 1\n", "\n)\n", "unmatched ')' (polytrade_bidder/deep/down.py, line 2: ))"),
        # Found by the compiler alone, when the syntax as such is well.
        (
            "x = 1\n",
            "break\n",
            "'break' outside loop (polytrade_bidder/deep/down.py, line 1: break)",
        ),
        (
            "x = 1\n",
            "def f():\n    import json\n",
            "(polytrade_bidder/deep/down.py, line 2): plugins import at module level",
        ),
        ("x = 1\n", "raise SyntaxError('mine')\n", "down.py, line 1: raise SyntaxError('mine'))"),
        ("1 /\t0 #\u2028\x07" + "x" * 99 + "\n", "", "line 1: 1 / 0 #  " + "x" * 68 + "...)"),
    ],
)
def test_last_line_has_the_file_of_the_package_and_the_text_that_ran(
    site: SiteFolder, head: str, inner: str, said: str
) -> None:
    files = {"deep/__init__.py": "", "deep/down.py": inner}
    site.install("bidder", f"{head}import polytrade_bidder.deep.down\n", files=files)
    source = find_plugins()["bidder"]
    with pytest.raises((ArithmeticError, SyntaxError, RefusedCode)) as caught:
        import_fresh(source)
    assert last_line(caught.value).endswith(said)


def test_last_line_shows_the_code_that_runs_and_not_what_is_on_disk_by_now(
    site: SiteFolder,
) -> None:
    site.install("bidder", "def fail():\n    return {}['old']\n")
    fail = import_fresh(find_plugins()["bidder"])["fail"]
    site.edit("polytrade-bidder", "old", "new")
    with pytest.raises(KeyError) as caught:
        fail()
    said = "KeyError: 'old' (polytrade_bidder.py, line 2: return {}['old'])"
    assert last_line(caught.value) == said


def test_last_line_of_an_error_that_cannot_say_itself_is_its_name() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert last_line(Mute()) == "Mute"
    assert last_line(ValueError("half \ud800 a\x1b[0m character")) == (
        "ValueError: half   a [0m character"
    )
