"""Replays give the same effects every time, and say where they do not."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from rich.console import Console

from polytrade.captures import CaptureError, CaptureHeader, CaptureRecord, write_capture
from polytrade.config import Config, Execution, Strategy
from polytrade.core import events as ev
from polytrade.core.effects import Effect
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.journal import JournalError, JournalHeader
from polytrade.replay import print_result, replay, run_replay_command
from polytrade.replay_result import ReplayResult, Stepper
from polytrade.runtime.inbox import Clock, Inbox
from polytrade.runtime.journaling import Journal
from polytrade.runtime.recorder import Recorder
from polytrade.segments import FrameReader, segments_of
from polytrade.session import Session, build_session, code_version, run_started
from polytrade.strict import config_digest, to_dict

T0_S = 1_767_225_600
START_NS = (T0_S + 30) * 10**9
STEP_NS = 100_000_000
MARKET = "0x" + "a1" * 32
SLUG = f"btc-updown-5m-{T0_S}"
CONFIG = Config(strategy=Strategy(base_quote_size=10.0, max_spread=0.08))


def gamma_frame() -> str:
    market = {
        "conditionId": MARKET,
        "slug": SLUG,
        "question": SLUG,
        "outcomes": '["Up", "Down"]',
        "clobTokenIds": '["111", "222"]',
        "eventStartTime": "2026-01-01T00:00:00Z",
        "endDate": "2026-01-01T00:05:00Z",
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "negRisk": False,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "cryptoMarketConfig": {"twapEnabled": False},
    }
    event = {"slug": SLUG, "eventMetadata": {"priceToBeat": 100000.0}, "markets": [market]}
    return orjson.dumps(event).decode()


def book_frame(ms: int) -> str:
    bids = [{"price": "0.4", "size": "200"}, {"price": "0.48", "size": "50"}]
    asks = [{"price": "0.6", "size": "200"}, {"price": "0.54", "size": "50"}]
    return message("book", ms, bids=bids, asks=asks, hash="")


def trade_frame(ms: int, number: int) -> str:
    side, price = ("SELL", "0.47") if number % 2 else ("BUY", "0.55")
    return message(
        "last_trade_price",
        ms,
        side=side,
        price=price,
        size="30",
        fee_rate_bps="0",
        transaction_hash=f"0x{number:064x}",
    )


def message(kind: str, ms: int, **fields: Any) -> str:
    body = {"event_type": kind, "market": MARKET, "asset_id": "111", "timestamp": str(ms)}
    return orjson.dumps({**body, **fields}).decode()


def ticker_frame(number: int) -> str:
    bid = 100_000 + number * 7 % 13 - 6
    body = {"u": number, "s": "BTCUSDT", "b": f"{bid}.00", "B": "1", "a": f"{bid}.02", "A": "1"}
    return orjson.dumps(body).decode()


def frames(seconds: int = 32) -> list[tuple[str, int, str]]:
    """Source, time and text: a market whose book is resent each second by two connections, spot
    ticks ten times a second, and every 2.5 s a print through the touch.
    """
    found = [("gamma/0", START_NS, gamma_frame())]
    for number in range(seconds * 10):
        ts_ns = START_NS + number * STEP_NS
        ms = ts_ns // 1_000_000
        if number % 10 == 0:
            found.append(("polymarket.market/0", ts_ns, book_frame(ms)))
            found.append(("polymarket.market/1", ts_ns + 5, book_frame(ms)))
        found.append(("binance/0", ts_ns + 10, ticker_frame(number + 1)))
        if number % 25 == 24:
            found.append(("polymarket.market/0", ts_ns + 20, trade_frame(ms, number)))
    return found


def records(found: list[tuple[str, int, str]]) -> Iterator[CaptureRecord]:
    for number, (source, ts_ns, frame) in enumerate(found, 1):
        yield CaptureRecord(number, source, number, ts_ns, ts_ns - START_NS, frame)


def capture(path: Path, found: list[tuple[str, int, str]]) -> Path:
    header = CaptureHeader("2026-01-01T00:00:30Z", "invented", True, "invented for a test")
    write_capture(path, header, records(found))
    return path


def header(config: Config = CONFIG) -> JournalHeader:
    return JournalHeader(
        "run-a", "2026-01-01T00:00:30Z", code_version(), to_dict(config), config_digest(config)
    )


async def live_run(
    data_dir: Path, config: Config = CONFIG, *, close: bool = True, crash: str = ""
) -> Journal:
    """What the daemon does, without sockets: frames and ticks through the inbox into the session,
    recorded and journalled.
    """
    now = [START_NS]
    latency = config.latency
    journal = Journal.open(data_dir, header(config), latency, segment_mb=1)
    tap = Recorder(data_dir, "run-a", "2026-01-01T00:00:30Z", latency, segment_mb=1)
    clock = Clock(lambda: now[0], lambda: now[0])
    inbox = Inbox(clock, latency.inbox_capacity, recorder=tap)
    decoders = FrameDecoders(config.universe.coins)
    session = build_session(config)
    session.tape = journal
    inbox.put(run_started(config, START_NS, "run-a"))
    inbox.put(ev.FeedUp(START_NS, "binance/0"))
    ticked_ns = START_NS
    for source, ts_ns, frame in frames():
        while ticked_ns + 20_000_000 <= ts_ns:
            ticked_ns += 20_000_000
            now[0] = ticked_ns
            inbox.put_tick()
            drain(inbox, session)
        now[0] = ts_ns
        inbox.put_frame(source, frame, inbox.now_ns(), decoders.decode(source, frame, ts_ns))
        drain(inbox, session)
        if crash and session.paper is not None and not session.paper.idle:
            break  # with an order at the venue
    if crash:
        if crash == "broken":
            session.engine = BrokenEngine()  # type: ignore[assignment]
        assert session.abandon(now[0], "crashed")
    assert await tap.close()
    assert await journal.close() if close else journal.close_now()
    assert (tap.lost, journal.lost) == (0, 0)
    return journal


class BrokenEngine:
    """An engine that cannot be stepped any more."""

    def step(self, event: ev.Event) -> list[Effect]:
        raise AssertionError(event.TAG)


def drain(inbox: Inbox, session: Session) -> None:
    while inbox.depth:
        session.handle(inbox.receive_nowait())


def raw_path(data_dir: Path) -> Path:
    (path,) = segments_of(data_dir / "run-a", "raw")
    return path


def plain_journal(data_dir: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    """The journal's lines, changed, as an unpacked journal in a folder of its own."""
    (source,) = segments_of(data_dir / "run-a", "journal")
    lines = b"".join(FrameReader(source)).splitlines(keepends=True)
    folder = data_dir / "changed"
    folder.mkdir()
    path = folder / "journal-000001.jsonl"
    path.write_bytes(b"".join(change(lines)))
    return path


def steady(result: ReplayResult) -> dict[str, Any]:
    return attrs.asdict(attrs.evolve(result, elapsed_s=0.0, events_per_s=0, path=""))


def test_capture_replays_to_the_same_result_every_time(tmp_path: Path) -> None:
    path = capture(tmp_path / "c.jsonl.zst", frames())
    first = replay(path, config=CONFIG)
    assert steady(replay(path, config=CONFIG)) == steady(first)
    assert first.matches
    assert first.clean
    assert first.kind == "capture"
    assert first.generated
    assert first.notes == ["invented for a test"]
    assert first.frames == len(frames())
    assert first.messages == {
        "binance/0": {"quote": 320},
        "gamma/0": {"frame": 1},
        "polymarket.market/0": {"book": 32, "last_trade_price": 12},
        "polymarket.market/1": {"book": 32},
    }
    assert first.events_by_type["book_replaced"] == 32
    assert first.events_by_type["trade_printed"] == 12
    assert first.events_by_type["reference_ticked"] == 320
    assert first.events_by_type["run_started"] == 1
    assert first.events_by_type["clock_ticked"] == 1595
    assert first.quality["hash_not_checkable"] == 32
    assert first.orders > 0
    assert first.fills > 0
    assert first.account["initial_e6"] == 1_000_000_000
    assert first.books == {"synced": 1}


def test_data_digest_does_not_depend_on_times_and_the_effect_digest_does(tmp_path: Path) -> None:
    found = frames()
    later = [(source, ts_ns + 40_000_000, frame) for source, ts_ns, frame in found]
    first = replay(capture(tmp_path / "a.jsonl.zst", found))
    second = replay(capture(tmp_path / "b.jsonl.zst", later))
    assert first.data_digest == second.data_digest
    assert first.effect_digest != second.effect_digest


async def test_recording_and_journal_of_a_run_replay_to_what_it_did(tmp_path: Path) -> None:
    journal = await live_run(tmp_path)
    stepped = replay(tmp_path / "run-a")
    assert stepped.kind == "journal"
    assert stepped.matches
    assert stepped.clean
    assert stepped.divergence is None
    assert stepped.unverified == ""
    assert stepped.verified == stepped.events == journal.events
    assert stepped.effect_digest == stepped.expected_digest == journal.digest.hexdigest()
    assert stepped.orders > 0
    assert stepped.fills > 0
    decoded = replay(raw_path(tmp_path), config=CONFIG)
    assert decoded.kind == "capture"
    assert decoded.effect_digest == stepped.effect_digest
    assert decoded.data_digest == stepped.data_digest
    assert decoded.events_by_type == stepped.events_by_type
    assert decoded.account == stepped.account
    assert decoded.quality == stepped.quality


class Onlooker:
    """Notes the engine's state after each step."""

    def __init__(self, session: Stepper) -> None:
        self.engine = session.engine
        self.seen: list[tuple[str, int, int, int]] = []

    def observe(self, event: ev.Event, effects: Sequence[Effect]) -> None:
        engine = self.engine
        self.seen.append((event.TAG, len(effects), engine.events, engine.orders.open_count()))


async def test_onlookers_see_every_step_as_it_is_made_in_any_replay(tmp_path: Path) -> None:
    journal = await live_run(tmp_path)
    seen = []
    for path in (tmp_path / "run-a", raw_path(tmp_path)):
        looked: list[Onlooker] = []

        def attach(_config: Config, session: Stepper, to: list[Onlooker] = looked) -> Onlooker:
            to.append(Onlooker(session))
            return to[0]

        replay(path, config=CONFIG, attach=attach)
        seen.append(looked[0].seen)
    assert seen[0] == seen[1]
    assert [row[2] for row in seen[0]] == list(range(1, journal.events + 1))
    assert any(row[3] for row in seen[0])


async def test_run_folder_without_a_journal_is_replayed_by_its_recording(tmp_path: Path) -> None:
    journal = await live_run(tmp_path)
    for path in segments_of(tmp_path / "run-a", "journal"):
        path.unlink()
    result = replay(tmp_path / "run-a", config=CONFIG)
    assert result.kind == "capture"
    assert result.effect_digest == journal.digest.hexdigest()


async def test_journal_is_replayed_under_the_configuration_of_its_run(tmp_path: Path) -> None:
    config = attrs.evolve(CONFIG, execution=Execution(capital_usdc=77.0))
    await live_run(tmp_path, config)
    result = replay(tmp_path / "run-a")
    assert result.matches
    assert result.account["initial_e6"] == 77_000_000
    assert result.notes == []
    other = replay(tmp_path / "run-a", config=attrs.evolve(CONFIG, execution=Execution()))
    assert other.notes == ["not the configuration of the run: effects differ where it matters"]


async def test_first_divergence_is_named_with_both_answers(tmp_path: Path) -> None:
    await live_run(tmp_path)
    changed: list[bytes] = []

    def change(lines: list[bytes]) -> list[bytes]:
        number = next(n for n, line in enumerate(lines) if line.startswith(b'["!","place_order"'))
        changed.append(lines[number])
        lines[number] = lines[number].replace(b'"GTC"', b'"FOK"').replace(b'"GTD"', b'"FOK"')
        assert lines[number] != changed[0]
        return lines

    path = plain_journal(tmp_path, change)
    result = replay(path)
    assert not result.matches
    assert result.divergence is not None
    events_before = b"".join(FrameReader(path)).split(b'["!","place_order"')[0].splitlines()[1:]
    assert result.divergence.seq == sum(not line.startswith(b'["!"') for line in events_before)
    assert orjson.loads(changed[0])[1:] in result.divergence.got
    assert orjson.loads(changed[0])[1:] not in result.divergence.expected
    assert result.verified == result.divergence.seq - 1
    text = "\n".join(result.divergence.lines())
    assert text.startswith(f"first divergence at event {result.divergence.seq}: ")
    assert run_replay_command(path, as_json=True, until=None, verify=True, configs=None) == 1
    relaxed = replay(path, verify=False)
    assert relaxed.matches
    assert relaxed.unverified == "comparison was not asked for"
    assert relaxed.verified == 0


async def test_missing_effect_row_is_a_divergence(tmp_path: Path) -> None:
    await live_run(tmp_path)

    def change(lines: list[bytes]) -> list[bytes]:
        number = next(n for n, line in enumerate(lines) if line.startswith(b'["!"'))
        return lines[:number] + lines[number + 1 :]

    result = replay(plain_journal(tmp_path, change))
    assert result.divergence is not None
    assert len(result.divergence.got) == len(result.divergence.expected) + 1


async def test_wrong_total_digest_fails_even_when_every_row_fits(tmp_path: Path) -> None:
    await live_run(tmp_path)

    def change(lines: list[bytes]) -> list[bytes]:
        row = orjson.loads(lines[-1])
        return [*lines[:-1], orjson.dumps([*row[:3], "0" * 64]) + b"\n"]

    result = replay(plain_journal(tmp_path, change))
    assert result.divergence is None
    assert not result.matches
    assert dict(result.rows())["verified"] == f"NO: the journal ends with digest {'0' * 64}"


async def test_until_stops_and_shows_the_state_at_that_event(tmp_path: Path) -> None:
    await live_run(tmp_path)
    result = replay(tmp_path / "run-a", until=3)
    assert (result.events, result.verified, result.matches) == (3, 3, True)
    assert result.expected_digest == ""
    recording = replay(raw_path(tmp_path), until=3)
    assert (recording.events, recording.matches) == (3, True)
    assert recording.effect_digest == result.effect_digest


async def test_orders_abandoned_in_a_crash_are_gone_in_the_replay(tmp_path: Path) -> None:
    journal = await live_run(tmp_path, crash="elsewhere")
    result = replay(tmp_path / "run-a")
    assert result.matches
    assert result.clean
    assert result.verified == result.events == journal.events
    assert result.open_orders == 0
    assert result.account["mode"] == "halt"


async def test_events_a_broken_engine_did_not_take_are_not_compared(tmp_path: Path) -> None:
    journal = await live_run(tmp_path, crash="broken")
    result = replay(tmp_path / "run-a")
    assert result.matches
    assert result.clean
    assert result.open_orders == 0
    unanswered = journal.events - result.verified
    assert unanswered >= 2
    assert result.unverified == f"{unanswered} answers are not in the journal"


async def test_crashed_run_is_verified_up_to_its_last_event(tmp_path: Path) -> None:
    journal = await live_run(tmp_path, close=False)
    result = replay(tmp_path / "run-a")
    assert result.matches
    assert not result.clean
    assert result.events == journal.events
    assert result.verified == journal.events - 1
    assert result.unverified == "1 answers are not in the journal"
    assert dict(result.rows())["lost"] == "the run was not closed"


async def test_torn_journal_is_replayed_up_to_the_tear(tmp_path: Path) -> None:
    await live_run(tmp_path)
    (path,) = segments_of(tmp_path / "run-a", "journal")
    path.write_bytes(path.read_bytes()[:-1])
    result = replay(tmp_path / "run-a")
    assert result.matches
    assert not result.clean
    assert result.lost_tail.endswith("(the last frame is cut off)")


async def test_nothing_is_compared_behind_lost_records(tmp_path: Path) -> None:
    await live_run(tmp_path)

    def change(lines: list[bytes]) -> list[bytes]:
        numbers = [n for n, line in enumerate(lines) if line.startswith(b'["book_replaced"')]
        after = next(n for n in range(numbers[2] + 1, len(lines)) if lines[n][:4] != b'["!"')
        ts_ns = orjson.loads(lines[numbers[2]])[1]
        mark = orjson.dumps(ev.RecordsLost(ts_ns, 1, "queue_full").row()) + b"\n"
        return [*lines[: numbers[2]], mark, *lines[after:]]

    result = replay(plain_journal(tmp_path, change))
    assert result.records_lost == 1
    assert result.unverified == f"records were lost before event {result.verified + 1}"
    assert result.expected_digest == ""
    assert result.matches


async def test_single_later_segment_is_stepped_but_not_compared(tmp_path: Path) -> None:
    await live_run(tmp_path)
    path = plain_journal(
        tmp_path,
        lambda lines: [lines[0].replace(b'"part":1', b'"part":2'), lines[1], *lines[2:]],
    )
    result = replay(path)
    assert result.unverified == "part 2 of a run: the engine's state before it is unknown"
    assert result.matches


async def test_journal_of_another_version_says_so(tmp_path: Path) -> None:
    await live_run(tmp_path)
    version = f'"code_version":"{code_version()}"'.encode()
    path = plain_journal(
        tmp_path, lambda lines: [lines[0].replace(version, b'"code_version":"0.0.9"'), *lines[1:]]
    )
    assert replay(path).notes == [f"recorded by 0.0.9, replayed by {code_version()}"]


def test_malformed_and_unsupported_frames_are_counted_and_passed_over(tmp_path: Path) -> None:
    found = frames(2)
    found[4:4] = [
        ("binance/0", START_NS + 10, "{"),
        ("polymarket.market/0", START_NS + 10, '{"event_type":"book"}'),
        ("weather/0", START_NS + 10, "sunny"),
        ("polymarket.market/0", START_NS + 10, "PONG"),
        ("polymarket.market/0", START_NS + 10, '{"event_type":"novelty"}'),
    ]
    result = replay(capture(tmp_path / "c.jsonl", found))
    assert result.malformed == {"binance/0": 1, "polymarket.market/0": 1}
    assert len(result.malformed_reasons) == 2
    assert result.unsupported == {"weather/0": 1}
    assert result.unknown == {"polymarket.market": {"novelty": 1}}
    assert result.gaps == {"malformed": 2}
    assert result.frames == len(found)


def test_holes_and_torn_tails_of_a_recording_are_told(tmp_path: Path) -> None:
    rows = list(records(frames(3)))
    path = tmp_path / "c.jsonl"
    write_capture(path, CaptureHeader("2026-01-01T00:00:30Z", "r"), rows[:5] + rows[8:])
    with path.open("ab") as file:
        file.write(b'{"ingest_seq":')
    result = replay(path)
    assert result.missing_records == 3
    assert not result.clean
    assert "the last line is cut off" in result.lost_tail
    assert "3 records missing" in dict(result.rows())["lost"]


def test_times_that_run_backwards_are_held(tmp_path: Path) -> None:
    found = frames(2)
    found[3], found[4] = (found[3][0], START_NS + 50, found[3][2]), (*found[4][:1], 7, found[4][2])
    result = replay(capture(tmp_path / "c.jsonl", found))
    assert result.first_ts_ns == START_NS
    assert result.events_by_type["reference_ticked"] == 20


def ticks_of(rows: list[CaptureRecord], interval_ns: int = 20_000_000) -> list[int]:
    found = recorded_events(
        rows, FrameDecoders(), lambda ts_ns: run_started(CONFIG, ts_ns, "r"), interval_ns
    )
    return [event.ts_ns for event in found if isinstance(event, ev.ClockTicked)]


def pong(number: int, ts_ns: int) -> CaptureRecord:
    return CaptureRecord(number, "polymarket.market/0", number, ts_ns, ts_ns, "PONG")


def test_ticks_fill_recorded_time_evenly() -> None:
    assert ticks_of([pong(1, 100), pong(2, 160), pong(3, 161)], 20) == [120, 140, 160]


def test_long_pause_is_crossed_by_the_second() -> None:
    second = 1_000_000_000
    found = ticks_of([pong(1, 0), pong(2, 100 * second)], second // 50)
    assert found[0] == second // 50
    assert found[-1] == 100 * second
    assert len([ts_ns for ts_ns in found if ts_ns <= 90 * second]) <= 92
    assert 400 < len(found) < 700


def test_recording_with_its_own_ticks_gets_no_others() -> None:
    own = CaptureRecord(2, "event", 1, 500, 500, None, ("clock_ticked", 500))
    assert ticks_of([pong(1, 100), own, pong(3, 900)], 20) == [500]


def test_unreadable_event_record_is_counted_and_left_out() -> None:
    decoders = FrameDecoders()
    bad = CaptureRecord(1, "event", 1, 500, 500, None, ("nonsense", 500))
    found = recorded_events([bad], decoders, lambda ts_ns: run_started(CONFIG, ts_ns, "r"), 20)
    assert [event.TAG for event in found] == ["run_started"]
    assert decoders.malformed == {"event": 1}
    assert decoders.reasons == ["record 1: unknown event tag 'nonsense'"]


def test_codec_starts_over_when_its_feed_came_up() -> None:
    def trade(number: int) -> str:
        body = {"e": "trade", "s": "BTCUSDT", "t": number, "p": "100000.00", "T": 1}
        return orjson.dumps(body).decode()

    decoders = FrameDecoders()
    decoders.decode("binance/0", trade(1), 10)
    gap = decoders.decode("binance/0", trade(5), 11)
    assert [event.TAG for event in gap] == ["feed_gap", "reference_ticked"]
    decoders.saw(ev.FeedUp(12, "binance/0"))
    again = decoders.decode("binance/0", trade(50), 13)
    assert [event.TAG for event in again] == ["reference_ticked"]


def test_engine_that_breaks_names_the_event(tmp_path: Path) -> None:
    path = capture(tmp_path / "c.jsonl.zst", frames(1))

    def build(config: Config, *, paper: bool) -> Any:
        session = build_session(config, paper=paper)

        def broken(event: ev.Event) -> Any:
            raise AssertionError("broken")

        session.handle = broken  # type: ignore[method-assign]
        return session

    with pytest.raises(AssertionError, match="broken") as caught:
        replay(path, build=build)
    assert caught.value.__notes__[0].startswith(f"replaying event 1 of {path}: RunStarted(")


def test_progress_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polytrade.replay_run.PROGRESS_EVERY", 100)
    seen: list[int] = []
    result = replay(capture(tmp_path / "c.jsonl.zst", frames(5)), progress=seen.append)
    assert seen == list(range(100, result.events + 1, 100))


def test_command_prints_json_or_lines_and_fails_on_what_is_no_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = capture(tmp_path / "c.jsonl.zst", frames(2))
    assert run_replay_command(path, as_json=True, until=None, verify=True, configs=None) == 0
    body = orjson.loads(capsys.readouterr().out)
    assert (body["kind"], body["matches"]) == ("capture", True)
    assert run_replay_command(path, as_json=False, until=None, verify=True, configs=None) == 0
    out = capsys.readouterr().out
    assert f"effect digest: {body['effect_digest']}" in out
    assert "hashes: 0 matched, 0 mismatched, 2 not checkable" in out
    digest = body["effect_digest"]
    for wanted, code in ((digest, 0), (digest[:8].upper(), 0), ("0" * 64, 1)):
        asked = {"as_json": False, "until": None, "verify": True, "configs": None}
        assert run_replay_command(path, **asked, digest=wanted) == code
    assert f"verified: NO: the effect digest is not {'0' * 64}" in capsys.readouterr().out
    other = tmp_path / "other.txt"
    other.write_text("hello\n")
    missing = tmp_path / "missing"
    for wrong in (other, missing):
        assert run_replay_command(wrong, as_json=True, until=None, verify=True, configs=None) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert str(wrong) in captured.err.replace("\n", "")


def test_terminal_shows_a_table(tmp_path: Path) -> None:
    result = replay(capture(tmp_path / "c.jsonl.zst", frames(2)))
    console = Console(record=True, force_terminal=True, width=160, file=io.StringIO())
    print_result(result, console)
    text = console.export_text()
    assert "effect digest" in text
    assert "note: invented for a test" in text


def test_damaged_journal_is_an_error_not_a_replay(tmp_path: Path) -> None:
    path = tmp_path / "journal-000001.jsonl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfdjunk")
    with pytest.raises(JournalError):
        replay(path)
    with pytest.raises(CaptureError):
        replay(tmp_path_with(tmp_path / "empty"))


def tmp_path_with(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_real_capture_replays_twice_alike(captures: Path) -> None:
    path = captures / "ali-btc5m-raw" / "market-ws.head.jsonl"
    if not path.exists():
        pytest.skip("no ali-btc5m-raw in POLYTRADE_CAPTURES: real capture not replayed")
    counted: Counter[str] = Counter()
    for line in path.read_bytes().splitlines():
        payload = orjson.loads(line)["payload"]
        for part in payload if isinstance(payload, list) else [payload]:
            counted[part["event_type"]] += 1
    first = replay(path)
    assert first.messages["polymarket.market/0"] == counted
    assert counted.total() == 2961
    assert first.malformed == {}
    assert steady(replay(path)) == steady(first)
