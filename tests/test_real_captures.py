"""Real captures, replayed and played live: exact counts. They are no part of the project."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from polytrade.replay import replay

ROOT = Path(__file__).resolve().parent.parent
MARKET = "polymarket.market/0"
MARKET_DATA = (
    "book_replaced",
    "book_changed",
    "trade_printed",
    "best_quoted",
    "tick_size_changed",
    "market_resolved",
    "reference_ticked",
    "feed_gap",
)
JONAH = "jonah-multisource/m9-rtds-"


class Expected(NamedTuple):
    """What a capture holds: messages by type; (matched, mismatched, not checkable); events."""

    messages: dict[str, int]
    hashes: tuple[int, int, int]
    events: dict[str, int]


CAPTURES = {
    "cronos-btc5m-book": Expected({"book": 29_931}, (29_931, 0, 0), {"book_replaced": 29_931}),
    # Out of order at 500 messages a second: see docs/data-quality.md for what mismatched.
    "ali-btc5m-raw/market-ws.head.jsonl": Expected(
        {"best_bid_ask": 60, "book": 64, "last_trade_price": 29, "price_change": 2808},
        (2103, 766, 3),
        {"best_quoted": 60, "book_changed": 2808, "book_replaced": 64, "trade_printed": 29},
    ),
    f"{JONAH}chainlink-smoke-20260428b/raw_messages.jsonl": Expected(
        {"book": 6, "new_market": 4},
        (12, 0, 0),
        {"book_replaced": 12, "reference_ticked": 195},
    ),
    f"{JONAH}current-window-startuplog-20260429T035356Z/raw_messages.jsonl": Expected(
        {"book": 6, "price_change": 2},
        (20, 0, 0),
        {"book_changed": 2, "book_replaced": 18, "reference_ticked": 188},
    ),
    f"{JONAH}natural-20260429T021025Z-fresh/raw_messages.jsonl": Expected(
        {"book": 180, "new_market": 17, "price_change": 40},
        (580, 0, 0),
        {"book_changed": 40, "book_replaced": 540, "feed_gap": 58, "reference_ticked": 6614},
    ),
    "tinli-fixtures/ws_frames_fed.json": Expected(
        {"book": 2, "last_trade_price": 1, "price_change": 24},
        (26, 0, 0),
        {"book_changed": 24, "book_replaced": 2, "trade_printed": 1},
    ),
    # Written by hand: its hashes are placeholders, and its best prices contradict its levels.
    "polycopy-fixtures/clob_ws_market_sample.jsonl": Expected(
        {
            "best_bid_ask": 1,
            "book": 1,
            "last_trade_price": 1,
            "market_resolved": 1,
            "new_market": 1,
            "price_change": 3,
            "tick_size_change": 1,
        },
        (0, 1, 3),
        {
            "best_quoted": 1,
            "book_changed": 3,
            "book_replaced": 1,
            "market_resolved": 1,
            "tick_size_changed": 1,
            "trade_printed": 1,
        },
    ),
    "ssmd-fixtures/polymarket_book.jsonl": Expected(
        {"book": 10}, (10, 0, 0), {"book_replaced": 10}
    ),
    "ssmd-fixtures/polymarket_trade.jsonl": Expected(
        {"last_trade_price": 10}, (0, 0, 0), {"trade_printed": 10}
    ),
    "pulsearb-frames/poly_ws_price_change.jsonl": Expected(
        {"price_change": 2}, (0, 0, 2), {"book_changed": 2}
    ),
    "pulsearb-frames/poly_ws_tick_size_change.jsonl": Expected(
        {"tick_size_change": 7}, (0, 0, 0), {"tick_size_changed": 7}
    ),
    "pulsearb-frames/poly_ws_market_resolved.jsonl": Expected(
        {"market_resolved": 3}, (0, 0, 0), {"market_resolved": 3}
    ),
    "pulsearb-frames/poly_ws_pong.jsonl": Expected({}, (0, 0, 0), {}),
    # Up to eight levels a message, and no snapshot: nothing a hash could be checked against.
    "legacy-formats/aaimek_price_change_messages_202501302221.csv": Expected(
        {"price_change": 3829}, (0, 0, 6129), {"book_changed": 6129}
    ),
}


def capture(captures: Path, name: str) -> Path:
    path = captures / name
    if not path.exists():
        pytest.skip(f"no {name} in POLYTRADE_CAPTURES: real capture not checked")
    return path


@pytest.mark.parametrize("name", CAPTURES)
def test_replay_gives_exactly_what_the_capture_holds(name: str, captures: Path) -> None:
    expected = CAPTURES[name]
    result = replay(capture(captures, name))
    messages = {kind: n for kind, n in result.messages[MARKET].items() if kind != "frame"}
    hashes = [result.quality[f"hash_{name}"] for name in ("matched", "mismatched", "not_checkable")]
    events = {tag: n for tag, n in result.events_by_type.items() if tag in MARKET_DATA}
    assert messages == expected.messages
    assert tuple(hashes) == expected.hashes
    assert events == expected.events
    assert result.malformed == {}
    assert result.broken == ""
    assert result.foreign == 0
    assert result.quality["unknown_market"] == 0


@pytest.mark.parametrize(("name", "speed"), [("ali", 1), ("jonah-startup", 6)])
def test_live_run_is_complete_and_replays_to_its_own_digests(
    name: str, speed: int, captures: Path, tmp_path: Path
) -> None:
    found = tmp_path / "found.json"
    command = [sys.executable, str(ROOT / "scripts" / "check_captures.py")]
    command += ["--captures", str(captures), "--only", name, "--speed", str(speed)]
    done = subprocess.run(
        [*command, "--json-out", str(found)], capture_output=True, text=True, check=False
    )
    if f"{name}: not there" in done.stdout:
        pytest.skip(f"no {name} in POLYTRADE_CAPTURES: real capture not played")
    assert found.exists(), done.stderr
    (row,) = orjson.loads(found.read_bytes())
    assert row["wrong"] == []
    assert done.returncode == 0
    digests = row["digests"]
    assert digests["live run"] == digests["journal"] == digests["recording"]
    assert digests["capture data_digest"] == digests["journal data_digest"]
