"""The codecs on real recordings; they are not part of the project (POLYTRADE_CAPTURES)."""

import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.reference import (
    BinanceCodec,
    BybitCodec,
    CoinbaseCodec,
    FeedCodec,
    KrakenCodec,
    OkxCodec,
)


@pytest.fixture
def captures() -> Path:
    folder = os.environ.get("POLYTRADE_CAPTURES")
    if not folder:
        pytest.skip("POLYTRADE_CAPTURES not set: real captures not checked")
    return Path(folder)


def cryptofeed(path: Path) -> Iterator[str]:
    """Frames of `<seconds>: <frame>` lines; lines with `<->` and `<-` are not the venue's."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            found = re.match(r"\d+\.\d+: (.*)\n", line)
            if found:
                yield found[1]


def hftbacktest(path: Path) -> Iterator[str]:
    """Frames of `<nanoseconds> <frame>` lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line.partition(" ")[2]


def jonah(folder: Path, source: str) -> Iterator[str]:
    """Payloads of one source in one run's JSON lines."""
    with (folder / "raw_messages.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["source"] == source:
                yield record["payload"]


def run(codec: FeedCodec, frames: Iterator[str]) -> Counter[str]:
    """Ticks by symbol and gaps by reason; a WireError fails the test."""
    found: Counter[str] = Counter()
    for number, frame in enumerate(frames):
        for event in codec.decode(frame, number, codec.name):
            if isinstance(event, ReferenceTicked):
                found[event.symbol] += 1
            elif isinstance(event, FeedGap):
                found[event.reason] += 1
    return found


def test_binance_spot_of_five_minutes_has_every_trade_and_no_gap(captures: Path) -> None:
    codec = BinanceCodec(["btc"])
    frames = hftbacktest(captures / "hftbacktest-binance" / "spot_btcusdt_20240809.gz")
    assert run(codec, frames) == {"BTC": 55_281}
    assert codec.counts == {"quote": 45_134, "trade": 10_147}
    assert codec.unknown == {"depthUpdate": 3_044}


def test_binance_combined_streams_of_small_coins(captures: Path) -> None:
    class Recorded(BinanceCodec):
        pairs: ClassVar = {"nkn": "NKNUSDT", "blz": "BLZETH", "lrc": "LRCBTC", "rune": "RUNEEUR"}

    codec = Recorded(["nkn", "blz", "lrc", "rune"])
    found = run(codec, cryptofeed(captures / "cryptofeed-ws" / "BINANCE.ws.1.0"))
    assert found == {"NKN": 74, "BLZ": 1, "LRC": 9}
    assert codec.unknown == {"depthUpdate": 177, "kline": 2, "aggTrade": 2}


def test_binance_trades_of_a_recorder_that_lost_some_show_the_gaps(captures: Path) -> None:
    codec = BinanceCodec(["btc", "eth", "sol"])
    folder = captures / "jonah-multisource" / "m9-rtds-natural-20260429T021025Z-fresh"
    found = run(codec, jonah(folder, "binance"))
    assert found == {"BTC": 131, "ETH": 128, "SOL": 41, "trade_id_gap": 58}


def test_coinbase_exchange_feed_of_small_products_has_no_gap(captures: Path) -> None:
    products = "SKL-USD SKL-BTC BAND-GBP NMR-EUR BAND-BTC YFI-BTC DASH-BTC NU-GBP CRV-EUR SKL-GBP"

    class Recorded(CoinbaseCodec):
        pairs = {product: product for product in products.lower().split()}  # noqa: RUF012

    codec = Recorded([])
    codec.symbols = {product: product for product in products.split()}
    found = run(codec, cryptofeed(captures / "cryptofeed-ws" / "COINBASE.ws.28.0"))
    assert codec.counts == {"ack": 3, "last_match": 10, "quote": 107, "trade": 97}
    assert codec.unknown == {"snapshot": 10, "l2update": 9_719}
    assert found["trade_id_gap"] == 0
    assert found["SKL-USD"] == 105


def test_coinbase_ticker_of_2026(captures: Path) -> None:
    codec = CoinbaseCodec(["btc", "eth", "sol"])
    folder = captures / "jonah-multisource" / "m9-rtds-natural-20260429T021025Z-fresh"
    found = run(codec, jonah(folder, "coinbase"))
    assert found == {"BTC": 104, "ETH": 105, "SOL": 61}
    assert codec.counts["ack"] == 30


def test_okx_trades_and_books_of_2022(captures: Path) -> None:
    codec = OkxCodec(["btc"])
    found = run(codec, cryptofeed(captures / "cryptofeed-ws" / "OKX.ws.1.0"))
    assert codec.counts == {"ack": 18, "trade": 69, "quote": 98, "foreign_pair": 197}
    assert codec.unknown == {"tickers": 28}
    assert found == {"BTC": 167}


def test_bybit_before_v5_is_unknown_and_harmless(captures: Path) -> None:
    codec = BybitCodec(["btc"])
    assert run(codec, cryptofeed(captures / "cryptofeed-ws" / "BYBIT.ws.26.0")) == {}
    assert codec.counts == {"ack": 4}
    assert codec.unknown == {"orderBookL2_25": 1_018, "trade": 76}


def test_kraken_futures_is_unknown_and_harmless(captures: Path) -> None:
    codec = KrakenCodec(["btc", "eth"])
    for name in ("kraken_ticker.jsonl", "kraken_trade.jsonl"):
        text = (captures / "ssmd-fixtures" / name).read_text(encoding="utf-8")
        assert run(codec, iter(text.splitlines())) == {}
    assert codec.unknown == {"untyped": 20}
