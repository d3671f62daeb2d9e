"""The benchmark: what it feeds, counts and writes is right; how fast anything is, is no test."""

import importlib
import json
import math
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
COUNT = 60


@pytest.fixture(autouse=True)
def scripts_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture
def bench() -> Iterator[ModuleType]:
    before = list(sys.path)
    yield module("bench")
    sys.path[:] = before


def row(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "group": "decode",
        "case": "a frame",
        "baseline": "its JSON",
        "us": 5.0,
        "baseline_us": 2.0,
        "ratio": 2.5,
        "repeats": 5,
    }
    return module("benchmarks.measure").Row(**{**fields, **changes})


def passage(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "load": "2,000/s",
        "reader": "the daemon's parts",
        "repeats": 5,
        "us": 200.0,
        "share": 0.4,
        "p50_us": 300.0,
        "p99_us": 900.0,
        "p999_us": 2000.0,
        "sender_us_p99": 50.0,
        "decision_us_p99": 100.0,
        "lag_ms_p99": 2.0,
        "growth_mb": 0.5,
    }
    return module("benchmarks.endtoend").Passage(**{**fields, **changes})


def presence(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "load": "20 markets, activity 2",
        "reader": "the daemon",
        "markets": 20,
        "rate": 2_100.0,
        "us": 200.0,
        "share": 0.42,
        "late_us_p50": 3_000.0,
        "late_us_p99": 9_000.0,
        "growth_mb": 0.5,
        "reader_share": 0.8,
    }
    return module("benchmarks.venues").Presence(**{**fields, **changes})


def result(*rows: Any, passages: tuple[Any, ...] = (), presences: tuple[Any, ...] = ()) -> Any:
    about = {"processor": "P", "cores": "2", "system": "S", "python": "Py", "build": "plain"}
    return module("benchmarks.report").Result(
        created="2026-01-02",
        quick=False,
        machine=about,
        load=(1.0, 2.0),
        rows=rows,
        passages=passages,
        presences=presences,
    )


# Measuring


def test_ratio_is_the_median_of_the_turns_own_ratios() -> None:
    found = [(4.0, 1.0), (10.0, 5.0), (9.0, 3.0)]
    made = module("benchmarks.measure").row_of("g", "c", "b", found, 2.5)
    assert (made.us, made.baseline_us, made.ratio, made.repeats) == (9.0, 3.0, 3.0, 3)
    assert made.verdict == "over"


def test_verdict_is_met_up_to_the_goal_and_empty_without_one() -> None:
    assert row(goal=2.5).verdict == "met"
    assert row(goal=2.4).verdict == "over"
    assert row().verdict == ""


def test_case_and_baseline_take_turns_and_are_made_outside_of_the_time() -> None:
    measure = module("benchmarks.measure")
    calls: list[str] = []

    def side(name: str) -> Any:
        def make() -> Any:
            calls.append(f"make {name}")
            return lambda: calls.append(name)

        return measure.Side(name=name, make=make, ops=1)

    pair = measure.Pair(case=side("case"), baseline=side("base"))
    (made,) = measure.measure("g", [pair], 2)
    first, second = ["make case", "case", "make base", "base"], ["make base", "base"]
    assert calls == [*first, *second, "make case", "case", *first]
    assert (made.case, made.baseline, made.repeats) == ("case", "base", 2)


def test_quantiles_are_nearest_rank() -> None:
    quantile = module("benchmarks.endtoend").quantile
    assert quantile(range(1, 101), 0.99) == 99
    assert quantile([7], 0.5) == 7
    assert math.isnan(quantile([], 0.5))


def test_growth_is_per_minute_in_the_second_half() -> None:
    growth_mb = module("benchmarks.endtoend").growth_mb
    rising_then_flat = [(float(s), 50e6 if s >= 30 else 20e6 + s) for s in range(60)]
    assert growth_mb(rising_then_flat) == 0.0
    assert growth_mb([(float(s), s * 1e6) for s in range(60)]) == pytest.approx(60.0)
    assert growth_mb(rising_then_flat[:10]) is None


# What it feeds


def test_mix_has_its_shares_and_repeats() -> None:
    traffic = module("benchmarks.traffic")
    events = traffic.mix(2_000)
    assert Counter(event.TAG for event in events) == {
        "book_replaced": 2,
        "book_changed": 1_300,
        "trade_printed": 300,
        "reference_ticked": 400,
        "clock_ticked": 50,
    }
    assert [event.row() for event in traffic.mix(2_000)] == [event.row() for event in events]


def test_every_hash_of_the_traffic_fits_and_the_maker_quotes() -> None:
    stepping, traffic = module("benchmarks.stepping"), module("benchmarks.traffic")
    session = stepping.started(paper=True)
    effects = Counter(
        effect.TAG
        for event in traffic.mix(2_000)
        for _, wanted in session.handle(event)
        for effect in wanted
    )
    quality = session.engine.quality()
    assert (quality["hash_matched"], quality["hash_mismatched"]) == (1_302, 0)
    assert effects["place_order"] > 0


def test_each_market_frame_behind_the_books_gives_one_event() -> None:
    traffic = module("benchmarks.traffic")
    wire = traffic.decoder()
    frames = traffic.market_frames(COUNT, traffic.BEGIN_NS, traffic.GAP_NS)
    sizes = [len(wire.decode(frame, traffic.BEGIN_NS, traffic.SOURCE)) for frame in frames]
    assert sizes == [2] + [1] * COUNT


def test_walk_is_the_same_wherever_it_is_asked_first() -> None:
    traffic = module("benchmarks.traffic")
    one, other = traffic.Walk(1, 0), traffic.Walk(1, 0)
    late = one.at(50 * traffic.STEP_NS)
    assert [other.at(at * traffic.STEP_NS) for at in range(51)][50] == late
    with pytest.raises(AssertionError, match="behind the window"):
        one.at(traffic.WINDOW_S * 10**9)


# The socket


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frames_state_their_length(size: int, head: bytes) -> None:
    framed = module("benchmarks.market_server").framed(b"x" * size)
    assert framed == head + b"x" * size


def test_bursts_are_planned_together() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_all = module("benchmarks.market_server").send_all
        sent, planned = send_all(ours, [b"a", b"b", b"c", b"d"], 1_000, 2)
        assert theirs.recv(10) == b"abcd"
    assert [at - planned[0] for at in planned] == [0, 0, 2_000, 2_000]
    assert all(done >= due for done, due in zip(sent, planned, strict=True))


@pytest.mark.parametrize("name", ["blocking", "bare", "daemon"])
def test_every_reader_handles_every_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server, clients = module("benchmarks.market_server"), module("benchmarks.clients")
    monkeypatch.setattr(server, "LEAD_NS", 300_000_000)
    venue = server.MarketServer()
    ready = venue.answer({"count": COUNT, "rate": 2_000, "burst": 1, "seed": 1})
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(venue.answer({"run": True})))
    thread.start()
    url = f"ws://127.0.0.1:{ready['port']}/"
    tally = clients.Tally(COUNT)
    if name == "daemon":
        found = clients.daemon(url, tally, 5.0, ready["begin_ns"])
        assert (found["hash_matched"], found["hash_mismatched"]) == (2 + COUNT - 12, 0)
        assert (found["dropped"], found["lost"]) == (0, 0)
    else:
        found = clients.CLIENTS[name](url, tally, 5.0)
    thread.join(10.0)
    assert not thread.is_alive()
    assert len(answers[0]["sent"]) == len(found["stamps"]) == COUNT
    assert all(
        done > began for began, done in zip(answers[0]["sent"], found["stamps"], strict=True)
    )


def test_follower_reads_frames_of_every_length_wherever_they_are_cut() -> None:
    followers, server = module("benchmarks.followers"), module("benchmarks.market_server")
    payloads = [b"a" * 125, b"b" * 126, b"c" * 65_536]
    data = b"".join(map(server.framed, payloads))
    assert followers.frames(data) == (payloads, len(data))
    assert followers.frames(data[:-1]) == (payloads[:2], len(data) - 65_546)
    assert followers.frames(data[:1]) == ([], 0)


def test_venue_costs_something_and_follower_hears_what_it_says() -> None:
    venues = module("benchmarks.venues")
    with venues.venue_process(0.1) as venue:
        assert len(venue.assets) == 20
        assets = [asset for pair in venue.assets for asset in pair]
        with module("benchmarks.followers").Follower(venue.ready["market_url"], assets) as follower:
            found = venues._measured(venue, None, [follower], "load", 2.0)
        assert follower.messages > 0 and len(follower.late_ns) > 0
    assert (found.reader, found.markets, found.closed) == ("two readers", 20, 0)
    assert found.rate > 0 and found.us > 0 and found.share > 0
    assert found.reader_share is None


def test_too_much_load_is_refused() -> None:
    server = module("benchmarks.market_server")
    with pytest.raises(AssertionError):
        server.MarketServer().answer({"count": 10, "rate": 5_001, "burst": 1, "seed": 1})


def test_worker_that_ends_instead_of_answering_is_told() -> None:
    workers = module("benchmarks.workers")
    with workers.worker("no_such_case") as child, pytest.raises(workers.WorkerFailed):
        child.answer()


def test_replays_agree_with_what_was_journalled(tmp_path: Path) -> None:
    replays = module("benchmarks.replays")
    count = replays.write_journal(tmp_path / "run", 300)
    replayed = importlib.import_module("polytrade.replay").replay(tmp_path / "run")
    assert (replayed.events, replayed.matches, replayed.clean) == (count, True, True)


# What it writes


def test_budget_is_the_daemons_at_two_thousand_a_second() -> None:
    assert passage().over_budget() == []
    broken = passage(p99_us=2_500.0, lag_ms_p99=7.0, growth_mb=3.0, missing=4)
    assert broken.over_budget() == [
        "p99 2.50 ms, budget 1 ms",
        "loop lag p99 7.00 ms, budget 5 ms",
        "memory grows 3.00 MB/min, budget 1 MB/min",
        "4 messages never decided on",
    ]
    assert passage(load="500/s", p99_us=2_500.0).over_budget() == []
    assert passage(reader="a blocking socket", p99_us=2_500.0).over_budget() == []


def test_venue_is_to_stay_within_a_core_and_to_lose_nobody() -> None:
    assert presence().over_budget() == []
    assert presence(share=1.25, closed=2).over_budget() == [
        "1.25 cores, budget 1",
        "2 connections closed as too slow",
    ]


def test_tables_show_every_row() -> None:
    report = module("benchmarks.report")
    rows = row(goal=2.2), row(group="engine")
    shown = report.text(result(*rows, passages=(passage(),), presences=(presence(),)))
    assert shown.splitlines()[0] == (
        "P, 2 cores, S, Py (plain); 2026-01-02, full, load average 1.0 before and 2.0 after"
    )
    assert "decode: a frame  5.00   its JSON  2.00   2.50   <= 2.2 (over)" in shown
    assert "engine: a frame  5.00   its JSON  2.00   2.50                  200,000" in shown
    assert "2,000/s  the daemon's parts  200     40     300" in shown
    assert "20 markets, activity 2  the daemon   2,100       200     42     3,000" in shown


def test_json_has_no_nan_and_says_what_is_over() -> None:
    body = json.loads(result(row(goal=2.2), passages=(passage(p99_us=math.nan),)).to_json())
    assert body["rows"][0]["verdict"] == "over"
    assert body["passages"][0]["p99_us"] is None
    assert body["passages"][0]["over_budget"] == []
    assert body["presences"] == []


def test_page_is_changed_between_its_markers_only(tmp_path: Path) -> None:
    report = module("benchmarks.report")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_page(page, result(row(), passages=(passage(p99_us=2_500.0),)))
    text = page.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n\nMeasured on P, 2 cores")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "| decode: a frame | 5.00 | its JSON | 2.00 | 2.50 |  |  |" in text
    assert "- Over budget at 2,000/s, the daemon's parts: p99 2.50 ms, budget 1 ms." in text
    assert "old" not in text
    report.write_page(page, result(row()))
    assert "Over budget" not in page.read_text()


def test_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    with pytest.raises(ValueError, match="expected the markers"):
        module("benchmarks.report").write_page(page, result())
    assert page.read_text() == "nothing here\n"


def test_shipped_page_has_the_markers_and_every_group(bench: ModuleType) -> None:
    report, text = module("benchmarks.report"), (ROOT / "docs" / "performance.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1
    assert [name for name in bench.GROUPS if f"| `{name}` |" not in text] == []


# The command


def test_exit_code_does_not_depend_on_speed(
    bench: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    slow = [row(ratio=1000.0, goal=1.0)], [passage(p99_us=1e9)], [presence(share=9.0)]
    monkeypatch.setitem(bench.GROUPS, "decode", lambda repeats, quick: slow)
    out = tmp_path / "bench.json"
    assert bench.main(["--quick", "--only", "decode", "--json-out", str(out)]) == 0
    assert "<= 1 (over)" in capsys.readouterr().out
    assert json.loads(out.read_text())["rows"][0]["ratio"] == 1000.0


def test_page_takes_only_a_full_run(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--quick"], ["--only", "book"]):
        with pytest.raises(SystemExit, match="2"):
            bench.main(["--write-docs", *wrong])
    assert "--write-docs takes a full run" in capsys.readouterr().err


def test_compiled_core_that_answers_differently_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stepping = module("benchmarks.stepping")

    class Child:
        def __init__(self, digest: str) -> None:
            self.digest = digest

        def __enter__(self) -> "Child":
            return self

        def __exit__(self, *_details: object) -> None:
            return None

        def ask(self, **_request: object) -> dict[str, Any]:
            return {"us": 1.0, "digest": self.digest, "compiled": True}

    children = iter([Child("a"), Child("b")])
    monkeypatch.setattr(stepping, "_compile", lambda folder: "")
    monkeypatch.setattr(stepping, "worker", lambda *arguments: next(children))
    with pytest.raises(stepping.EnginesDiffer):
        stepping._compiled(1, 10)
