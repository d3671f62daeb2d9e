"""The order book, beside the least that could be done instead: a plain list of sizes."""

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks import traffic
from benchmarks.measure import Body, Pair, Row, Side, measure
from polytrade.core.book import Book
from polytrade.core.events import BookChanged, BookReplaced
from polytrade.core.ids import BUY, NO
from polytrade.core.units import ONE_E4

GROUP: Final = "book"
SNAPSHOTS: Final = 40
STEP_E4: Final = 100
LEVELS: Final = ONE_E4 // STEP_E4 + 1


def _changes(count: int) -> tuple[list[BookReplaced], list[BookChanged]]:
    wire = traffic.decoder()
    snapshots, changes = [], []
    for at, frame in enumerate(traffic.market_frames(count, traffic.BEGIN_NS, traffic.GAP_NS)):
        ts_ns = traffic.BEGIN_NS + at * traffic.GAP_NS
        for event in wire.decode(frame, ts_ns, traffic.SOURCE):
            if isinstance(event, BookReplaced):
                snapshots.append(event)
            elif isinstance(event, BookChanged):
                changes.append(event)
    return snapshots, changes


def _book(snapshots: Sequence[BookReplaced]) -> Book:
    market = traffic.MARKET
    book = Book(market, traffic.YES_TOKEN, traffic.NO_TOKEN, STEP_E4, 5_000_000, False)
    for event in snapshots:
        book.replace(event, True)
    return book


def _change(
    snapshots: Sequence[BookReplaced], changes: Sequence[BookChanged], check: bool
) -> Callable[[], Body]:
    def make() -> Body:
        book = _book(snapshots)

        def body() -> None:
            for event in changes:
                book.change(event, check)

        return body

    return make


def _list_change(changes: Sequence[BookChanged]) -> Callable[[], Body]:
    """The size by level and the best level of each side, nothing else: the inlined limit."""

    def make() -> Body:
        bids, asks = [0] * LEVELS, [0] * LEVELS

        def body() -> None:
            best_bid, best_ask = 0, LEVELS - 1
            for event in changes:
                at, size = event.price_e4 // STEP_E4, event.size_e6
                if event.side == BUY:
                    bids[at] = size
                    if size and at > best_bid:
                        best_bid = at
                    elif not size and at == best_bid:
                        while best_bid and not bids[best_bid]:
                            best_bid -= 1
                else:
                    asks[at] = size
                    if size and at < best_ask:
                        best_ask = at
                    elif not size and at == best_ask:
                        while best_ask < LEVELS - 1 and not asks[best_ask]:
                            best_ask += 1

        return body

    return make


def _replace(snapshots: Sequence[BookReplaced], check: bool) -> Callable[[], Body]:
    def make() -> Body:
        book = _book(snapshots[:2])

        def body() -> None:
            for event in snapshots:
                book.replace(event, False, check)

        return body

    return make


def _list_replace(snapshots: Sequence[BookReplaced]) -> Callable[[], Body]:
    def make() -> Body:
        def body() -> None:
            for event in snapshots:
                for levels in (event.bids, event.asks):
                    sizes = [0] * LEVELS
                    for price_e4, size_e6 in levels:
                        at = price_e4 // STEP_E4
                        sizes[LEVELS - 1 - at if event.token == NO else at] = size_e6

        return body

    return make


def run(repeats: int, *, quick: bool) -> list[Row]:
    """The rows of the group `book`."""
    snapshots, changes = _changes(2_000 if quick else 10_000)
    whole: list[BookReplaced] = []
    for at in range(SNAPSHOTS):
        frame = traffic.market_frames(0, traffic.BEGIN_NS + at * 1_000_000, 1, seed=at)[0]
        for event in traffic.decoder().decode(frame, traffic.BEGIN_NS, traffic.SOURCE):
            assert isinstance(event, BookReplaced), event
            whole.append(event)

    def pair(case: str, make: Callable[[], Body], plain: Callable[[], Body], ops: int) -> Pair:
        return Pair(
            case=Side(name=case, make=make, ops=ops),
            baseline=Side(name="a plain list", make=plain, ops=ops),
        )

    plain, plain_whole = _list_change(changes), _list_replace(whole)
    pairs = [
        pair("a change, hash off", _change(snapshots, changes, False), plain, len(changes)),
        pair("a change, hash on", _change(snapshots, changes, True), plain, len(changes)),
        pair("a snapshot, hash off", _replace(whole, False), plain_whole, len(whole)),
        pair("a snapshot, hash on", _replace(whole, True), plain_whole, len(whole)),
    ]
    return measure(GROUP, pairs, repeats)
