"""The venue's own REST: who may ask, what it tells, what can be ordered."""

import orjson
import pytest

from polytrade.sandbox.faults import FAULTS
from polytrade.sandbox.venue.admin import admin_app
from tests.sandbox.venue.small_venue import BTC, START_S, UP, WALLET, SmallVenue, frame

FUND = {"wallet": WALLET, "amount": "100"}


@pytest.fixture
def venue():
    return SmallVenue()


@pytest.fixture
def client(venue):
    return admin_app(venue).test_client()


async def body_of(answer):
    return orjson.loads(await answer.get_data())


async def status_of(client):
    return await body_of(await client.get("/admin/status"))


# Who may ask


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8080", "localhost:1", "[::1]:80", "[::1]"]
)
async def test_loopback_names_are_answered(client, host):
    answer = await client.get("/admin/status", headers={"Host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:81", "localhost.evil.example", "127.0.0.1.evil.example:9"],
)
async def test_other_names_are_refused(venue, client, host):
    for answer in (
        await client.get("/admin/status", headers={"Host": host}),
        await client.get("/", headers={"Host": host}),
        await client.post("/admin/fund", json=FUND, headers={"Host": host}),
    ):
        assert answer.status_code == 403
        assert await body_of(answer) == {"error": f"expected a loopback name, found {host!r}"}
    assert not venue.bank.knows(WALLET)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
@pytest.mark.parametrize("path", ["fault", "fund", "resolve", "scenario"])
async def test_bodies_a_web_page_could_send_are_refused(venue, client, path, kind):
    answer = await client.post(
        f"/admin/{path}", data=orjson.dumps(FUND), headers={"Content-Type": kind}
    )
    assert answer.status_code == 415
    assert not venue.bank.knows(WALLET)
    assert venue.troubles.applied == {}


async def test_answers_cannot_be_framed_or_kept(client):
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")


# What it tells


async def test_status_of_a_new_venue(venue, client):
    venue.advance(75)
    status = await status_of(client)
    assert status["seed"] == 7
    assert (status["now_s"], status["uptime_s"]) == (START_S + 75, 75)
    assert status["prices"] == {"btc": "95123.46", "eth": "3123.46"}
    assert [market["slug"] for market in status["markets"]] == [BTC, "will-it"]
    assert status["accounts"] == status["connections"] == status["faults"] == []
    assert status["traders"] == {"wallets": 0, "cash": "0", "expected_rate": 54.0}
    assert status["scenario"] is None
    assert len(status["messages_per_second"]) == 120


async def test_status_has_markets_accounts_and_orders(venue, client):
    venue.bank.fund(WALLET, 100_000_000)
    venue.bank.fund("trader:maker-1", 5_000_000)
    venue.bank.split(WALLET, venue.calendar.listings[BTC].rules, 20_000_000)
    venue.bid(4800, size=25)
    status = await status_of(client)
    market = status["markets"][0]
    assert (market["bid"], market["ask"], market["spread"]) == ("0.48", "", "")
    assert (market["last"], market["trades"], market["volume"]) == ("", 0, "0")
    assert (market["strike"], market["final"], market["winner"]) == ("95100.00", "", -1)
    assert market["tokens"] == ["1001", "1002"]
    account = status["accounts"][0]
    assert (account["wallet"], account["cash"], account["open_orders"]) == (WALLET, "80", 1)
    assert account["shares"] == [
        {"slug": BTC, "outcome": "Up", "size": "20"},
        {"slug": BTC, "outcome": "Down", "size": "20"},
    ]
    assert account["orders"] == [
        {
            "id": f"0x{1:064x}",
            "slug": BTC,
            "outcome": "Up",
            "side": "BUY",
            "price": "0.48",
            "size": "25",
            "matched": "0",
            "type": "GTC",
            "status": "LIVE",
        }
    ]
    assert status["traders"]["wallets"] == 1
    assert status["traders"]["cash"] == "5"


async def test_status_counts_messages_and_connections(venue, client):
    one = venue.connect("market")
    venue.publish("market", frame("1"))
    venue.endpoints["market"].connections.pop(one.number)
    one.close("disconnect")
    venue.endpoints["market"].closed.append(one)
    venue.connect("user")
    venue.advance(1)
    status = await status_of(client)
    assert status["messages"] == {"market": {"price_change": 1}}
    assert status["messages_per_second"][-1] == 1
    assert [
        (row["id"], row["endpoint"], row["open"], row["frames"], row["closed_because"])
        for row in status["connections"]
    ] == [(1, "market", False, 1, "disconnect"), (2, "user", True, 0, "")]


async def test_book_is_told_in_yes_terms_best_first(venue, client):
    venue.bank.fund(WALLET, 100_000_000)
    venue.bid(4700)
    venue.bid(4800, size=12)
    book = await body_of(await client.get("/admin/book", query_string={"slug": BTC}))
    assert book["bids"] == [["0.48", "12"], ["0.47", "10"]]
    assert book["asks"] == []
    assert book["tick"] == "0.01"
    answer = await client.get("/admin/book?slug=nothing")
    assert (answer.status_code, await body_of(answer)) == (404, {"error": "no market 'nothing'"})


# What can be ordered


async def test_fault_is_carried_out_and_shown(venue, client):
    venue.connect("market")
    answer = await client.post("/admin/fault", json={"kind": "freeze", "seconds": 60})
    assert await body_of(answer) == {"kind": "freeze", "connections": 1}
    await client.post("/admin/fault", json={"kind": "cancel_only"})
    status = await status_of(client)
    assert [fault["kind"] for fault in status["faults"]] == ["cancel_only", "freeze"]
    assert status["faults_ordered"] == {"freeze": 1, "cancel_only": 1}
    await client.post("/admin/fault", json={"kind": "clear"})
    assert (await status_of(client))["faults"] == []


@pytest.mark.parametrize(
    "order", [b"not json", b"[]", b'{"kind":"boom"}', b'{"kind":"kill","endpoint":"admin"}']
)
async def test_fault_outside_the_table_is_answered_with_the_table(venue, client, order):
    answer = await client.post(
        "/admin/fault", data=order, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert (await body_of(answer))["allowed"].keys() == FAULTS.keys()
    assert venue.troubles.applied == {}


@pytest.mark.parametrize(
    ("amount", "cash_e6"),
    [("100", 100_000_000), (100, 100_000_000), ("0.000001", 1), ("10000000", 10**13)],
)
async def test_faucet_gives_exactly_what_is_asked(venue, client, amount, cash_e6):
    answer = await client.post("/admin/fund", json={"wallet": "0x" + "AB" * 20, "amount": amount})
    assert await body_of(answer) == {"wallet": WALLET, "cash_e6": cash_e6}
    assert venue.bank.cash_e6(WALLET) == cash_e6


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([], "expected a JSON object with wallet and amount"),
        ({"wallet": WALLET}, "expected a JSON object with wallet and amount"),
        ({**FUND, "more": 1}, "expected a JSON object with wallet and amount"),
        (
            {"wallet": "0x12", "amount": "1"},
            "wallet: expected an address, 0x and 40 hex digits, found '0x12'",
        ),
        (
            {"wallet": WALLET, "amount": 0.1},
            "amount: expected pUSD from 0.000001 to 10000000, found 0.1; write decimals as text",
        ),
        *(
            (
                {"wallet": WALLET, "amount": amount},
                f"amount: expected pUSD from 0.000001 to 10000000, found {amount!r}",
            )
            for amount in ("0", "-1", "1e3", "0.0000001", "10000000.000001", "nan")
        ),
    ],
)
async def test_faucet_refuses_with_field_and_expectation(venue, client, body, error):
    answer = await client.post("/admin/fund", json=body)
    assert (answer.status_code, await body_of(answer)) == (400, {"error": error})
    assert venue.bank.wallets() == []


async def test_scenario_replaces_the_one_before(venue, client):
    async def order(text):
        return await client.post(
            "/admin/scenario", data=text, headers={"Content-Type": "application/toml"}
        )

    first = await order('[[fault]]\nat_s = 1\nevery_s = 1\nkind = "cancel_only"\n')
    assert await body_of(first) == {"steps": 1}
    await order('[[fault]]\nat_s = 2\nkind = "clock_skew"\nms = 5\n')
    venue.advance(3)
    status = await status_of(client)
    assert status["scenario"] == {"steps": 1, "left": 0, "done": {"clock_skew": 1}, "refused": []}
    assert venue.troubles.applied == {"clock_skew": 1}
    wrong = await order('[[fault]]\nat_s = 2\nkind = "boom"\n')
    assert wrong.status_code == 400
    assert (await body_of(wrong))["problems"] == ["unknown kind 'boom' @ fault[0]"]
    assert (await status_of(client))["scenario"]["steps"] == 1


async def test_event_is_decided_by_hand(venue, client):
    answer = await client.post("/admin/resolve", json={"slug": "will-it", "winner": 1})
    assert await body_of(answer) == {"slug": "will-it", "winner": 1}
    assert venue.calendar.listings["will-it"].winner == 1
    assert (await status_of(client))["markets"][-1]["winner"] == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            {"slug": BTC, "winner": 0},
            f"slug: expected an open market that is not about a price, found '{BTC}'",
        ),
        (
            {"slug": "will-it", "winner": 3},
            "winner: expected 0, 1, or 2 for fifty-fifty, found 3",
        ),
        (
            {"slug": "will-it", "winner": True},
            "winner: expected 0, 1, or 2 for fifty-fifty, found True",
        ),
        ({"slug": 5, "winner": 0}, "slug: expected text, found 5"),
        ({"slug": "will-it"}, "expected a JSON object with slug and winner"),
    ],
)
async def test_decision_that_cannot_be_is_refused(venue, client, body, error):
    answer = await client.post("/admin/resolve", json=body)
    assert (answer.status_code, await body_of(answer)) == (400, {"error": error})
    assert [listing.winner for listing in venue.calendar.listings.values()] == [-1, -1]


async def test_body_that_is_too_long_is_refused(client):
    answer = await client.post("/admin/fault", json={"kind": "x" * 70_000})
    assert answer.status_code == 413


async def test_admin_of_a_trading_venue_is_up_to_date(venue, client):
    """The status is made after the venue caught up with the wall."""
    venue.catch_up = lambda: venue.advance(1)
    assert (await status_of(client))["uptime_s"] == 1
    assert (await status_of(client))["uptime_s"] == 2
    assert UP in (await status_of(client))["markets"][0]["tokens"]
