"""The REST clients on a mock transport: every answer there is, and every way to have none."""

import httpx2
import pytest
import trio

from polytrade.core.events import BookReplaced
from polytrade.polymarket.books import Instruments, RestBookDecoder
from polytrade.polymarket.clob import Clob, ClobError
from polytrade.polymarket.rest import BODY_BYTES_MAX, new_client
from polytrade.runtime.hosts import HostTable
from polytrade.testing.sockets import START_NS, trio_clock

URL = "https://clob.example"
BOOK = (
    '{"market":"0xm","asset_id":"11","timestamp":"1700000000123","hash":"ab",'
    '"bids":[{"price":"0.48","size":"30"}],"asks":[{"price":"0.52","size":"5.5"}],'
    '"min_order_size":"5","tick_size":"0.01","neg_risk":false,"last_trade_price":"0.500"}'
)


class Venue:
    """Answers every request with what the test set, and keeps the requests."""

    def __init__(self) -> None:
        self.answer = httpx2.Response(200, text="{}")
        self.error: Exception | None = None
        self.delay_s = 0.0
        self.requests: list[httpx2.Request] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        await trio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return self.answer


class Desk:
    """A Clob against a Venue."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        clock = trio_clock()
        self.hosts = HostTable(clock)
        instruments = Instruments()
        instruments.tokens = {"11": ("0xm", 0), "22": ("0xm", 1)}
        self.clob = Clob(
            URL,
            client=client,
            hosts=self.hosts,
            clock=clock,
            decoder=RestBookDecoder(instruments),
        )


@pytest.fixture
def venue():
    return Venue()


@pytest.fixture
async def desk(venue):
    async with new_client(httpx2.MockTransport(venue)) as client:
        yield Desk(client)


async def test_book_is_a_rest_snapshot_with_its_frame(desk, venue, autojump_clock):
    venue.answer = httpx2.Response(200, text=BOOK)
    answer = await desk.clob.get_book("11")
    assert answer.frame == BOOK
    assert answer.events == [
        BookReplaced(
            START_NS,
            "0xm",
            0,
            [(4800, 30_000_000)],
            [(5200, 5_500_000)],
            100,
            "0.500",
            1_700_000_000_123,
            "ab",
            True,
        )
    ]
    [request] = venue.requests
    assert str(request.url) == "https://clob.example/book?token_id=11"
    assert request.headers["User-Agent"].startswith("polytrade/")
    assert desk.hosts.rows()[0].reachable is True


async def test_time_gives_the_skew_to_half_a_second(desk, venue, autojump_clock):
    venue.delay_s = 0.2
    venue.answer = httpx2.Response(200, text=str(START_NS // 10**9 - 3))
    answer = await desk.clob.get_time()
    assert (answer.venue_s, answer.skew_ms, answer.round_trip_ms) == (1_699_999_997, 2600, 200)


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "wait_s"),
    [
        (404, {}, "", "not_found", 0.0),
        (425, {"Retry-After": "4"}, "", "restarting", 4.0),
        (429, {"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}, "", "rate_limited", 30.0),
        (503, {}, '{"error":"post-only","retry_after_seconds":79}', "unavailable", 79.0),
        (500, {}, "oops", "unavailable", 0.0),
        (403, {}, "blocked", "refused", 0.0),
        (302, {"Location": "/else"}, "", "refused", 0.0),
    ],
)
async def test_refusals_are_typed(desk, venue, autojump_clock, status, headers, body, kind, wait_s):
    venue.answer = httpx2.Response(status, headers=headers, text=body)
    with pytest.raises(ClobError) as caught:
        await desk.clob.get_time()
    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert caught.value.retry_after_s == wait_s
    assert str(caught.value).startswith(f"clob.example: {kind}: HTTP {status}")
    assert desk.hosts.rows()[0].reachable is True  # it answered


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("get_time", b"soon"),
        ("get_time", b"\xff\xfe"),
        ("get_book", b"<html>"),
        ("get_book", b"[]"),
        ("get_book", BOOK.replace('"0.48"', '"NaN"').encode()),
        ("get_book", BOOK.replace('"11"', '"33"').encode()),
    ],
)
async def test_answers_that_cannot_be_read_are_garbage(desk, venue, autojump_clock, call, body):
    venue.answer = httpx2.Response(200, content=body)
    with pytest.raises(ClobError) as caught:
        await getattr(desk.clob, call)(*(["11"] if call == "get_book" else []))
    assert caught.value.kind == "garbage"


async def test_unreachable_host_is_told_in_the_host_table(desk, venue, autojump_clock):
    venue.error = httpx2.ConnectError("no route")
    with pytest.raises(ClobError) as caught:
        await desk.clob.get_time()
    assert (caught.value.kind, caught.value.status) == ("unreachable", 0)
    [row] = desk.hosts.rows()
    assert (row.host, row.reachable) == ("clob.example", False)
    assert row.last_error == "ConnectError: no route"


async def test_a_host_that_does_not_answer_is_too_slow(desk, venue, autojump_clock):
    venue.delay_s = 3600
    began_s = trio.current_time()
    with pytest.raises(ClobError) as caught:
        await desk.clob.get_time()
    assert caught.value.kind == "too_slow"
    assert trio.current_time() - began_s == pytest.approx(10)
    assert desk.hosts.rows()[0].reachable is False


async def test_a_body_beyond_the_bound_is_not_kept(desk, venue, autojump_clock):
    venue.answer = httpx2.Response(200, content=b" " * (BODY_BYTES_MAX + 1))
    with pytest.raises(ClobError) as caught:
        await desk.clob.get_time()
    assert caught.value.kind == "too_large"
