"""The check of real captures itself, on invented ones: what it counts, and that it can fail."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from polytrade.captures import CaptureHeader, CaptureRecord, write_capture
from polytrade.core.book import Book
from polytrade.core.events import BookChanged, BookReplaced
from polytrade.core.ids import BUY, YES

ROOT = Path(__file__).resolve().parent.parent
MARKET, UP, DOWN, T0 = "0x" + "ab" * 32, "111", "222", 1_790_000_000_000
SHARE = 1_000_000


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of scripts/ by name; none of them stays imported."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and "scripts" in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def change(ts_ms: int, size: int, seal: str = "") -> BookChanged:
    return BookChanged(0, MARKET, YES, BUY, 4_000, size * SHARE, 4_000, 10_000, ts_ms, seal)


def chain(sizes: list[int]) -> list[dict[str, Any]]:
    """A book and one change of a bid a millisecond, each sealed with the book's true hash."""
    book = Book(MARKET, UP, DOWN, 100, 5 * SHARE, False)
    empty = BookReplaced(0, MARKET, YES, [], [], 100, "0.400", T0, "", False)
    book.replace(empty, True)
    head = {"market": MARKET, "asset_id": UP, "tick_size": "0.01", "last_trade_price": "0.400"}
    seal = book.hash_of(YES, T0, "0.400")
    stamped = {"timestamp": str(T0), "hash": seal, "bids": [], "asks": []}
    frames: list[dict[str, Any]] = [{"event_type": "book", **head, **stamped}]
    for number, size in enumerate(sizes, 1):
        book.change(change(T0 + number, size), False)
        seal = book.hash_of(YES, T0 + number, "0.400")
        entry = {"asset_id": UP, "side": "BUY", "price": "0.4", "size": str(size), "hash": seal}
        frames.append(
            {
                "event_type": "price_change",
                "market": MARKET,
                "price_changes": [entry],
                "timestamp": str(T0 + number),
            }
        )
    return frames


def written(path: Path, frames: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(frame) + b"\n" for frame in frames))
    return path


def test_counts_are_of_messages_and_keepalives_are_none(scripts: Any, tmp_path: Path) -> None:
    frames = ["PONG", "", orjson.dumps(chain([1])).decode(), orjson.dumps(chain([1])[1]).decode()]
    path = tmp_path / "own.jsonl"
    records = [
        CaptureRecord(number, "polymarket.market/0", number, number * 10**9, number, frame)
        for number, frame in enumerate(frames, 1)
    ]
    records.append(CaptureRecord(5, "binance/0", 1, 6 * 10**9, 5, "{}"))
    write_capture(path, CaptureHeader("", "x"), records)
    counting = scripts("capture_counts")
    counts = counting.count(records)
    assert counts.frames == {"polymarket.market/0": 4, "binance/0": 1}
    assert counts.messages == {"book": 1, "price_change": 2}
    assert counts.keepalives == 2
    assert counts.length_s == 5.0


def test_survey_finds_states_that_only_arrived_out_of_order(scripts: Any, tmp_path: Path) -> None:
    counting = scripts("capture_counts")
    book, first, second, third = chain([1, 2, 3])
    found = counting.survey(written(tmp_path / "in-order.jsonl", [book, first, second, third]))
    assert found.hashes == {"matched": 4, "mismatched": 0, "not_checkable": 0}
    assert found.unchecked == {}
    assert (found.states, found.states_fitting) == (0, 0)
    other = {**second, "price_changes": [{**second["price_changes"][0], "price": "0.3"}]}
    found = counting.survey(written(tmp_path / "wrong.jsonl", [book, first, other, third]))
    assert found.hashes["mismatched"] == 2
    assert (found.states, found.states_fitting) == (4, 2)


def test_survey_says_why_a_hash_was_not_checked(scripts: Any, tmp_path: Path) -> None:
    found = scripts("capture_counts").survey(written(tmp_path / "cold.jsonl", chain([1, 2])[1:]))
    assert found.hashes == {"matched": 0, "mismatched": 0, "not_checkable": 2}
    assert found.unchecked == {"no snapshot yet": 2}


def test_noted_chain_becomes_frames_that_verify(scripts: Any, tmp_path: Path) -> None:
    counting = scripts("capture_counts")
    book, *changes = chain([5, 6, 7])
    noted = [{**frame["price_changes"][0], "timestamp": frame["timestamp"]} for frame in changes]
    source, out = tmp_path / "chain.json", tmp_path / "chain.jsonl"
    source.write_bytes(orjson.dumps({"snapshot": book, "changes_for_snapshot_asset": noted}))
    counting.write_chain(source, out)
    assert counting.survey(out).hashes == {"matched": 4, "mismatched": 0, "not_checkable": 0}


def test_page_is_changed_between_its_markers_only(scripts: Any, tmp_path: Path) -> None:
    page = scripts("capture_page")
    file = tmp_path / "results.md"
    file.write_text(f"above\n{page.BEGIN}\nstale numbers\n{page.END}\nbelow\n")
    page.write_page(file, [{"name": "x", "wrong": ["messages sent: expected 2, found 1"]}], "today")
    text = file.read_text()
    assert text.startswith(f"above\n{page.BEGIN}\n")
    assert text.endswith(f"{page.END}\nbelow\n")
    assert "- x: messages sent: expected 2, found 1" in text
    assert "stale numbers" not in text
    assert "held for every capture" not in text
    file.write_text("no markers")
    with pytest.raises(ValueError, match="expected"):
        page.write_page(file, [], "today")


def test_difference_is_reported_with_both_sides(scripts: Any, tmp_path: Path) -> None:
    counting, checking = scripts("capture_counts"), scripts("check_captures")
    path = written(tmp_path / "in-order.jsonl", chain([1]))
    report = checking.Report("x", "x.jsonl", counting.Counts(), counting.survey(path))
    report.expect("messages sent", {"book": 1}, {"book": 1})
    assert report.to_dict()["wrong"] == []
    report.expect("messages sent", {"book": 2}, {"book": 1})
    assert report.to_dict()["wrong"] == ["messages sent: expected {'book': 2}, found {'book': 1}"]


def test_missing_captures_are_an_error_not_a_pass(
    scripts: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = scripts("check_captures").main
    assert main(["--captures", str(tmp_path)]) == 1
    assert "cronos: not there" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--captures", str(tmp_path / "missing")])
