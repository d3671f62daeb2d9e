"""Frames to events, beside `orjson.loads` of the same frames."""

from collections.abc import Callable, Sequence
from typing import Final

import orjson

from benchmarks import traffic
from benchmarks.measure import Body, Pair, Row, Side, measure
from polytrade.reference.binance import BinanceCodec

GROUP: Final = "decode"
TWIN: Final = "polymarket.market/1"
GOAL: Final = 2.2
"""A `price_change` decoded by hand costs 2.0 to 2.2 times its JSON; cattrs would cost 4.2."""


def _loads(frames: Sequence[bytes]) -> Callable[[], Body]:
    def make() -> Body:
        def body() -> None:
            for frame in frames:
                orjson.loads(frame)

        return body

    return make


def _decode(frames: Sequence[bytes], twin: bool = False) -> Callable[[], Body]:
    def make() -> Body:
        wire, ts_ns, gap_ns = traffic.decoder(), traffic.BEGIN_NS, traffic.GAP_NS
        source = traffic.SOURCE
        if twin:
            for frame in frames:
                wire.decode(frame, ts_ns, TWIN)

        def body() -> None:
            at_ns = ts_ns
            for frame in frames:
                at_ns += gap_ns
                wire.decode(frame, at_ns, source)

        return body

    return make


def _binance(frames: Sequence[bytes]) -> Callable[[], Body]:
    def make() -> Body:
        codec = BinanceCodec(("btc",))

        def body() -> None:
            for frame in frames:
                codec.decode(frame, traffic.BEGIN_NS, "binance/0")

        return body

    return make


def _tickers(count: int) -> list[bytes]:
    walk = traffic.Walk(3, traffic.BEGIN_NS)
    found = []
    for at in range(count):
        price = walk.at(traffic.BEGIN_NS + at * traffic.STEP_NS)
        data = {
            "u": 400_900_000 + at,
            "s": "BTCUSDT",
            "b": f"{price - 0.005:.8f}",
            "B": "31.21000000",
            "a": f"{price + 0.005:.8f}",
            "A": "40.66000000",
        }
        found.append(traffic.pack({"stream": "btcusdt@bookTicker", "data": data}))
    return found


def run(repeats: int, *, quick: bool) -> list[Row]:
    """The rows of the group `decode`."""
    count = 2_000 if quick else 10_000
    books = [traffic.market_frames(0, traffic.BEGIN_NS + at * 1_000_000, 1)[0] for at in range(40)]
    depth = traffic.frames(traffic.DEPTH, count)
    kinds = {
        "price_change": (depth, _decode(depth), GOAL),
        "price_change, the twin's copy": (depth, _decode(depth, twin=True), None),
        "last_trade_price": (trades := traffic.frames(traffic.TRADE, count), _decode(trades), None),
        "both books, 99 levels each": (books, _decode(books), None),
        "Binance bookTicker": (tickers := _tickers(count), _binance(tickers), None),
    }
    pairs = [
        Pair(
            case=Side(name=name, make=decode, ops=len(frames)),
            baseline=Side(name="orjson.loads", make=_loads(frames), ops=len(frames)),
            goal=goal,
        )
        for name, (frames, decode, goal) in kinds.items()
    ]
    return measure(GROUP, pairs, repeats)
