"""What a replay takes in of a capture: the configured coins; REST books not in the data digest."""

from pathlib import Path

import attrs
import orjson

from polytrade.captures import CaptureHeader, CaptureRecord, write_capture
from polytrade.config import Config, Universe
from polytrade.replay import replay

MARKET = "0x" + "cd" * 32
T0_NS = 1_790_000_000_000_000_000
BOOK = {"market": MARKET, "asset_id": "111", "timestamp": "1790000000000", "hash": ""}
LEVELS = {
    "bids": [{"price": "0.40", "size": "10"}],
    "asks": [{"price": "0.60", "size": "10"}],
    "tick_size": "0.01",
}
LISTED = {
    "conditionId": MARKET,
    "slug": "will-it-rain",
    "outcomes": '["Yes","No"]',
    "clobTokenIds": '["111","222"]',
    "orderPriceMinTickSize": 0.01,
    "orderMinSize": 5,
    "active": True,
    "acceptingOrders": True,
}


def trade(symbol: str) -> dict[str, object]:
    data = {"e": "trade", "E": 1, "s": symbol, "t": 7, "p": "150.25", "q": "1", "T": 1, "m": False}
    return {"stream": f"{symbol.lower()}@trade", "data": data}


def capture(path: Path, *frames: tuple[str, dict[str, object]]) -> Path:
    records = [
        CaptureRecord(number, source, 1, T0_NS + number, number, orjson.dumps(frame).decode())
        for number, (source, frame) in enumerate(frames, 1)
    ]
    write_capture(path, CaptureHeader("", "x"), records)
    return path


def test_rest_books_are_stepped_but_not_in_the_data_digest(tmp_path: Path) -> None:
    listed = ("gamma/0", LISTED)
    pushed = ("polymarket.market/0", {"event_type": "book", **BOOK, **LEVELS})
    asked = ("clob.book/0", {**BOOK, **LEVELS, "last_trade_price": "0.500"})
    alone = replay(capture(tmp_path / "alone.jsonl", listed, pushed))
    beside = replay(capture(tmp_path / "beside.jsonl", listed, pushed, asked))
    assert alone.events_by_type["book_replaced"] == 1
    assert beside.events_by_type["book_replaced"] == 2
    assert beside.data_digest == alone.data_digest
    without = replay(capture(tmp_path / "without.jsonl", listed, asked))
    assert without.data_digest != alone.data_digest


def test_configured_coins_are_heard_and_without_a_configuration_all(tmp_path: Path) -> None:
    path = capture(
        tmp_path / "two.jsonl", ("binance/0", trade("BTCUSDT")), ("binance/0", trade("SOLUSDT"))
    )
    one = attrs.evolve(Config(), universe=Universe(coins=("btc",)))
    assert replay(path).events_by_type["reference_ticked"] == 2
    assert replay(path, config=one).events_by_type["reference_ticked"] == 1
