"""Whatever clients send, the venue answers in its own form, stays up and loses no money.

Request bodies, queries, headers and frames are arbitrary, or good ones with parts of them spoilt.
"""

import json
from contextlib import suppress
from urllib.parse import quote, unquote, urlsplit

import hypercorn.trio.run
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from py_clob_client_v2.headers.headers import create_level_1_headers

from polytrade.polymarket.signing import l2_signature
from polytrade.rest_server import RestClient
from polytrade.sandbox.dialects import Played
from polytrade.sandbox.faults import FaultOrder
from polytrade.sandbox.venue.limits import Limits
from polytrade.sandbox.venue.local import LocalVenue
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.venue.serve import REST_APPS, _endpoints, serve_venue
from tests.sandbox.venue.clob_rig import Client

NOW_NS = 1_790_000_100 * 10**9
OPTIONS = VenueOptions(coins=("btc",), windows=("5m",), activity=0.0, windows_ahead=0)
EXAMPLES = 30
DEEP = 2_000
"""Levels of nesting beyond what a recursive reader survives."""

NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63, -(2**63) - 1, 2**64, 2**256, 10**400)
TEXTS = (
    *("", " ", "0", "-1", "1e309", "1e-400", "NaN", "Infinity", "0x", "0x0", "null", "\u00b2"),
    *("\u0663", "\u0130", "\x00", "\ud800", "\U0001f4a3", "9" * 30, "9" * 5_000, "a" * 5_000),
    *("../..", "' or 1=1 --", "%00", "true", "MA==", "LTE=", "LTk5OQ==", "1970-01-01", "2**8"),
)
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from((0.5, -0.0, 1e308, float("nan"), float("inf"))),
    st.sampled_from(TEXTS),
    st.text(max_size=20),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(TEXTS), st.text(max_size=8)), inner, max_size=4),
    ),
    max_leaves=6,
)
BROKEN = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        (
            b"",
            b"{",
            b'{"a":1}{"a":1}',
            b"\xff\xfe{}",
            b'"\\ud800"',
            b"[" * DEEP + b"]" * DEEP,
            b'{"order":' * DEEP + b"1" + b"}" * DEEP,
            b"1" * 5_000,
        )
    ),
)


def paths_of(value, path=()):
    """The path of every part of a JSON value."""
    yield path
    parts = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        parts = enumerate(value)
    for key, part in parts:
        yield from paths_of(part, (*path, key))


@st.composite
def spoilt(draw, good):
    """A good value of which up to three parts are gone or something else."""
    value = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = ("top", *draw(st.sampled_from(list(paths_of(value)))))
        holder = {"top": value}
        for key in path:
            holder = holder[key]
        if path and draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = draw(VALUES)
            value = holder[last] if not path else value
    return value


def encoded(value):
    return json.dumps(value).encode()


class Yard:
    """A venue nobody else trades at, its applications, and somebody with a key and an order."""

    def __init__(self):
        self.venue = LocalVenue(OPTIONS, lambda: NOW_NS)
        self.venue.limits = Limits(windows=())
        self.apps = {name: create(self.venue) for name, create in REST_APPS.items()}
        for app in self.apps.values():
            app.config["PROPAGATE_EXCEPTIONS"] = True
        self.client = Client(self.venue, self.apps["clob"])
        listing = next(one for one in self.venue.calendar.active() if one.kind == "updown")
        self.slug, self.rules = listing.slug, listing.rules
        self.order = self.client.order(token=self.rules.tokens[0])
        self.paid_in_e6 = self.venue.bank.paid_in_e6()

    def conserved(self):
        """No money came or went, and a book still answers."""
        bank = self.venue.bank
        backing_e6 = sum(map(bank.collateral_e6, self.venue.calendar.by_condition))
        assert bank.paid_in_e6() == self.paid_in_e6 == bank.cash_total_e6() + backing_e6
        assert self.venue.market_channel.rest_book(self.rules.tokens[0]) is not None

    def signed(self, method, path, raw):
        """L2 headers of any bytes."""
        key, stamp = self.client.creds, str(self.venue.now_s())
        return {
            "POLY_ADDRESS": self.client.signer.address(),
            "POLY_SIGNATURE": l2_signature(key.api_secret, stamp, method, path, raw),
            "POLY_TIMESTAMP": stamp,
            "POLY_API_KEY": key.api_key,
            "POLY_PASSPHRASE": key.api_passphrase,
        }

    def ask(self, name, method, path, raw=b"", headers=None, query=None, kind="application/json"):
        """The answer of an application: never a failure, always JSON, never anybody's traceback."""

        self.venue.limits.set_tier(self.venue.limits.tier)

        async def go():
            told = {"Content-Type": kind, **(headers or {})}
            response = (
                await self.apps[name]
                .test_client()
                .open(path, method=method, data=raw, headers=told, query_string=query or {})
            )
            return response.status_code, await response.get_data()

        status, body = trio.run(go)
        assert status < 500, (status, body)
        assert b"Traceback" not in body
        self.conserved()
        return status, body


@pytest.fixture(scope="module")
def yard():
    return Yard()


def good_bodies(yard):
    """A good body of every path that takes one: (application, method, path, body)."""
    token, condition = yard.rules.tokens[0], yard.rules.condition
    asked = [{"token_id": token, "side": "BUY"}]
    order_id = "0x" + "12" * 32
    wallet = {"condition_id": condition, "amount": "1", "wallet": yard.client.wallet}
    batch = {"depositWallet": yard.client.wallet, "deadline": 2**33, "calls": []}
    batch["calls"] = [{"target": token, "data": "0x095ea7b3" + "00" * 64, "value": 0}]
    relayed = {"from": yard.client.wallet, "nonce": 0, "signature": "0x" + "11" * 65}
    rpc = {"jsonrpc": "2.0", "id": 1, "method": "eth_call"}
    read = {"to": "0x" + "11" * 20, "data": "0x70a08231" + "00" * 32}
    return [
        *(("clob", "POST", path, asked) for path in ("/books", "/prices", "/last-trades-prices")),
        ("clob", "POST", "/order", yard.order),
        ("clob", "POST", "/orders", [yard.order, yard.order]),
        ("clob", "DELETE", "/order", {"orderID": order_id}),
        ("clob", "DELETE", "/orders", [order_id]),
        ("clob", "DELETE", "/cancel-market-orders", {"market": condition, "asset_id": token}),
        ("clob", "POST", "/v1/heartbeats", {"heartbeat_id": ""}),
        ("clob", "POST", "/orders-scoring", [order_id]),
        ("clob", "DELETE", "/auth/readonly-api-key", {"key": yard.client.owner}),
        *(("data", "POST", f"/wallet/{kind}", wallet) for kind in ("merge", "redeem")),
        ("chain", "POST", "/", {**rpc, "params": [read, "latest"]}),
        ("chain", "POST", "/", [{**rpc, "method": "eth_getCode", "params": [read["to"]]}]),
        ("chain", "POST", "/", {**rpc, "method": "eth_sendRawTransaction", "params": ["0xf800"]}),
        ("chain", "POST", "/submit", {**relayed, "type": "WALLET", "depositWalletParams": batch}),
        ("admin", "POST", "/admin/fault", {"kind": "drop", "n": 1, "type": "book"}),
        ("admin", "POST", "/admin/resolve", {"slug": yard.slug, "winner": 0}),
    ]


@settings(max_examples=EXAMPLES * 6)
@given(data=st.data())
def test_bodies_of_any_shape_are_answered(yard, data):
    name, method, path, good = data.draw(st.sampled_from(good_bodies(yard)))
    raw = data.draw(st.one_of(BROKEN, VALUES.map(encoded), spoilt(good).map(encoded)))
    kind = "application/json"
    if name != "admin":
        kind = data.draw(st.sampled_from((kind, kind, "text/plain", "multipart/form-data", "x")))
    headers = yard.signed(method, path, raw) if name in ("clob", "data") else {}
    yard.ask(name, method, path, raw, headers, kind=kind)
    yard.venue.troubles.apply(FaultOrder("clear"), yard.venue)


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_orders_signed_well_with_any_terms_are_taken_or_refused(yard, data):
    amounts = st.one_of(st.integers(0, 10**8), st.sampled_from((1, 10**18, 2**64, 2**255)))
    terms = data.draw(
        st.fixed_dictionaries(
            {
                "maker_amount": amounts,
                "taker_amount": amounts,
                "side": st.sampled_from(("BUY", "SELL")),
                "order_type": st.sampled_from(("GTC", "GTD", "FOK", "FAK", "fak", "")),
                "expiration": st.sampled_from((0, 1, 1_790_000_500, 2**33, 2**70)),
                "token": st.sampled_from((*yard.rules.tokens, "1", str(2**256 - 1))),
            }
        )
    )
    body = yard.client.order(**terms)
    raw = json.dumps(body).encode()
    status, _ = yard.ask("clob", "POST", "/order", raw, yard.signed("POST", "/order", raw))
    assert status in (200, 400)
    for order in yard.venue.exchange.open_orders(yard.client.owner):
        assert yard.venue.exchange.cancel(order.order_id) == ""


PARAMETERS = (
    *("token_id", "side", "market", "asset_id", "interval", "startTs", "endTs", "fidelity"),
    *("next_cursor", "id", "before", "after", "maker_address", "asset_type", "signature_type"),
    *("ids", "order_id", "date", "page_size", "q", "limit", "offset", "after_cursor", "order"),
    *("ascending", "closed", "slug", "clob_token_ids", "condition_ids", "end_date_min", "tag_id"),
    *("volume_num_min", "user", "condition_id", "cursor", "status", "start", "end", "address"),
    *("type", "include_tag", "events_status", "page", "limit_per_type", "recurrence"),
)


def reads(yard):
    """(application, path) of everything that can be read; `*` stands for any part of a path."""
    for name, app in yard.apps.items():
        for rule in app.url_map.iter_rules():
            if "GET" in rule.methods and not rule.rule.startswith("/static"):
                yield name, "/".join("*" if "<" in part else part for part in rule.rule.split("/"))


@settings(max_examples=EXAMPLES * 6)
@given(data=st.data())
def test_reads_with_any_parameters_are_answered(yard, data):
    name, path = data.draw(st.sampled_from(list(reads(yard))))
    known = st.sampled_from(
        (yard.rules.tokens[0], yard.rules.condition, yard.slug, "COLLATERAL", "CONDITIONAL", "1h")
    )
    texts = st.one_of(known, st.sampled_from(TEXTS), st.text(max_size=20)).map(safe)
    query = data.draw(st.dictionaries(st.sampled_from(PARAMETERS), texts, max_size=5))
    part = quote(data.draw(texts), safe="") or "x"
    path = path.replace("*", part)
    yard.ask(name, "GET", path, headers=yard.signed("GET", unquote(path), b""), query=query)


def safe(text):
    """Without what no URL can hold."""
    return text.encode(errors="replace").decode()[:500]


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_headers_of_any_kind_prove_nothing(yard, data):
    path = data.draw(st.sampled_from(("/auth/derive-api-key", "/data/orders", "/auth/api-key")))
    method = "POST" if path == "/auth/api-key" else "GET"
    level_1 = create_level_1_headers(yard.client.signer, timestamp=yard.venue.now_s())
    headers = {**level_1, **yard.signed(method, path, b"")}
    latin = st.text(st.characters(max_codepoint=255, exclude_categories=("Cc",)), max_size=200)
    name = data.draw(st.sampled_from(("POLY_ADDRESS", "POLY_SIGNATURE", "POLY_TIMESTAMP")))
    odd = st.sampled_from(("0x", "\u00b2", "9" * 5_000))
    headers[name] = data.draw(st.one_of(latin, odd))
    status, _ = yard.ask("clob", method, path, headers=headers)
    assert status == 401


def good_frames(yard):
    """A good frame of each socket endpoint."""
    token, condition = yard.rules.tokens[0], yard.rules.condition
    key = yard.client.creds
    auth = {"apiKey": key.api_key, "secret": key.api_secret, "passphrase": key.api_passphrase}
    topics = [{"topic": "crypto_prices", "type": "update", "filters": '{"symbol":"btcusdt"}'}]
    chosen = {"symbol": "btcusd", "window_seconds": 60}
    channels = [{"channel": "price.crypto.twap", "filter": chosen}]
    return {
        "market": [{"type": "market", "assets_ids": [token], "operation": "subscribe"}],
        "user": [{"type": "user", "auth": auth, "markets": [condition], "operation": "subscribe"}],
        "rtds": [{"action": "subscribe", "subscriptions": topics}],
        "polybolt": [
            {"op": "auth", "rid": "1", "auth": auth},
            {"op": "subscribe", "rid": "2", "subscriptions": channels},
        ],
        "binance": [{"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}],
        "coinbase": [{"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "level2"}],
        "kraken": [
            {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}},
            {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/USD"]}},
        ],
        "okx": [{"op": "subscribe", "args": [{"channel": "books5", "instId": "BTC-USDT"}]}],
        "bybit": [{"op": "subscribe", "args": ["orderbook.50.BTCUSDT"], "req_id": "1"}],
    }


def dialects(yard):
    """What makes one connection's side of every socket endpoint, by name."""
    found = _endpoints(yard.venue)
    return {name: create for name, create in found.items() if create is not None}


def test_every_socket_has_good_frames(yard):
    assert sorted(good_frames(yard)) == sorted(dialects(yard))


@settings(max_examples=EXAMPLES * 8)
@given(data=st.data())
def test_frames_of_any_shape_are_answered(yard, data):
    """Frames first good, then arbitrary, to one connection of any endpoint."""
    name = data.draw(st.sampled_from(sorted(good_frames(yard))))
    path = data.draw(st.sampled_from(("/ws", "/stream?streams=btcusdt@trade/x", "/", "/ws/%ff")))
    dialect = dialects(yard)[name](path)
    good = good_frames(yard)[name]
    spoilt_ones = st.sampled_from(good).flatmap(spoilt).map(json.dumps)
    broken = BROKEN.map(lambda raw: raw.decode(errors="replace"))
    frames = st.one_of(spoilt_ones, spoilt_ones, broken, VALUES.map(json.dumps))
    for frame in (*map(json.dumps, good), *data.draw(st.lists(frames, max_size=4))):
        for text, kind in dialect.hear(frame):
            assert isinstance(text, str | bytes)
            assert isinstance(kind, str)
    assert all(isinstance(one, str) for one in dialect.subscriptions)
    dialect.select(Played("x", "{}", ()))


RAW = (
    b"\x00" * 64,
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \xff\r\nContent-Length: -1\r\n\r\n",
    b"POST /order HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n{",
    b"POST /order HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%00%ff\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 40,
)
UPGRADE = (
    b"GET /ws\xff HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
FRAMES = (
    b"",
    b"\x81\x05hello",  # Not masked.
    b"\x81\x83\x00\x00\x00\x00\xff\xfe\xfd",  # Not UTF-8.
    b"\x82\x84\x00\x00\x00\x00\xff\xfe\xfd\xfc",  # Binary.
    b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",  # 2**63 bytes.
    b"\xf1\x80\x00\x00\x00\x00",  # Reserved bits.
    b"\x80\x80\x00\x00\x00\x00",  # A continuation of nothing.
    b"\x88\x81\x00\x00\x00\x00\x01",  # A close code of one byte.
    b"\x89\xfe\x00\x80\x00\x00\x00\x00" + b"x" * 128,  # A ping too long.
)


async def test_bytes_that_are_no_protocol_end_their_own_connection_only():
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(serve_venue, OPTIONS)
        urls = {name: urlsplit(url) for name, url in ready.items() if name.endswith("_url")}

        assert hypercorn.trio.run.TCPServer is RestClient

        async def send(url, raw):
            stream = await trio.open_tcp_stream(url.hostname, url.port)
            async with stream:
                with trio.move_on_after(0.2):
                    await stream.send_all(raw)
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass

        with trio.fail_after(20):
            async with trio.open_nursery() as senders:
                for url in urls.values():
                    senders.start_soon(send_each, send, url)
            for url in urls.values():
                await (await trio.open_tcp_stream(url.hostname, url.port)).aclose()
        nursery.cancel_scope.cancel()


async def send_each(send, url):
    raws = (*RAW, *(UPGRADE + frame for frame in FRAMES), *(RAW[1] + frame for frame in FRAMES))
    for raw in raws:
        with suppress(trio.BrokenResourceError, OSError):
            await send(url, raw)
