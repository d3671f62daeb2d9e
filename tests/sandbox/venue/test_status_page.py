"""The status page: whole in itself, true to the status, alive in a browser if there is one."""

import re
import shutil
from functools import partial

import orjson
import pytest
import trio

from polytrade.sandbox.faults import parse_fault
from polytrade.sandbox.servers import RestServer
from polytrade.sandbox.venue.admin import admin_app
from polytrade.sandbox.venue.status_page import book_of, page, status, usd
from tests.sandbox.venue.small_venue import BTC, WALLET, SmallVenue, frame

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
GIVE_UP_S = 60.0
"""A browser that takes longer to start than this is not going to."""


def script():
    return re.search(r"<script>(.*)</script>", page(), re.DOTALL)[1]


def read_fields(name, text):
    """The fields the script reads of an object it calls so."""
    return set(re.findall(rf"\b{name}\.([a-z_]+)", text))


def test_page_needs_nothing_from_elsewhere():
    assert re.findall(r"https?://|//[a-z]|\bsrc=|\bhref=|@import|url\(", page()) == []
    assert set(re.findall(r'fetch\("([^"?]+)', script())) == {
        *("/admin/status", "/admin/book", "/admin/fault")
    }


def test_page_writes_no_markup_from_data():
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", page()) == []


def test_every_element_the_script_looks_for_is_there():
    ids = set(re.findall(r'\bid="([a-z-]+)"', page()))
    assert set(re.findall(r'\$\("([a-z-]+)"\)', script())) <= ids


async def test_script_reads_only_what_the_status_has():
    await trio.lowlevel.checkpoint()
    venue = SmallVenue()
    venue.bank.fund(WALLET, 100_000_000)
    venue.bid(4800)
    venue.bank.split(WALLET, venue.calendar.listings[BTC].rules, 5_000_000)
    venue.connect("market")
    told = status(venue, 0)
    text = script()
    assert read_fields("status", text) <= told.keys()
    assert read_fields("market", text) <= told["markets"][0].keys()
    assert read_fields("account", text) <= told["accounts"][0].keys()
    assert read_fields("own", text) <= told["accounts"][0]["shares"][0].keys()
    assert read_fields("order", text) <= told["accounts"][0]["orders"][0].keys()
    assert read_fields("one", text) <= told["connections"][0].keys()
    assert read_fields("book", text) <= book_of(venue, BTC).keys()
    assert orjson.loads(orjson.dumps(told)) == told


async def test_every_button_is_a_fault_the_venue_carries_out():
    await trio.lowlevel.checkpoint()
    block = re.search(r"const BUTTONS = (\[.*?\n\]);", script(), re.DOTALL)[1]
    text = re.sub(r"([{ ])([a-z_]+):", r'\1"\2":', block).replace(",\n]", "]")
    buttons = orjson.loads(text)
    assert len(buttons) == 13
    venue = SmallVenue()
    for _, fault in buttons:
        venue.troubles.apply(parse_fault(fault, playback=False), venue)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (-1, 18, ""),
        (95_123 * 10**18, 18, "95123.00"),
        (231_000_000, 8, "2.31000"),
        (10 * 10**8, 8, "10.00"),
        (0, 8, "0.00000"),
    ],
)
def test_prices_are_shown_for_people(value, digits, text):
    assert usd(value, digits) == text


@pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed")
async def test_browser_shows_a_living_venue(tmp_path):
    """A real browser loads the page over a real socket and fills it by its own requests."""
    venue = SmallVenue()
    venue.bank.fund(WALLET, 1_000_000_000)
    venue.bid(4800, size=25)
    venue.connect("user")
    venue.publish("market", frame("1"))
    venue.advance(1)
    venue.troubles.apply(parse_fault({"kind": "cancel_only"}, playback=False), venue)
    endpoint = venue.endpoints["admin"]
    serve = RestServer(venue.endpoints, endpoint, partial(admin_app, venue)).serve
    with trio.fail_after(GIVE_UP_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, 0)
            ran = await trio.run_process(
                [
                    *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu"),
                    f"--user-data-dir={tmp_path}",
                    *("--virtual-time-budget=2500", "--dump-dom"),
                    f"http://127.0.0.1:{endpoint.port}/?slug={BTC}",
                ],
                capture_stdout=True,
                capture_stderr=True,
            )
            nursery.cancel_scope.cancel()
    dom = ran.stdout.decode()
    assert f'class="left name">{BTC}<' in dom
    assert '<b id="market-count">2 open</b>' in dom
    assert '<b id="connection-count">1 open</b>' in dom
    assert 'class="tag warn">cancel_only<' in dom
    assert "BUY 25 @ 0.48" in dom
    assert f'<b id="book-name">{BTC} · Up</b>' in dom
    assert "<title>polytrade local venue</title>" in dom
