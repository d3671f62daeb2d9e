"""A small venue behind the CLOB's REST: real engine, keys, books and limits, in trio's time.

Requests are signed with the official client's code, so that what is tested is what it sends.
"""

import json
import random
from functools import partial
from types import SimpleNamespace

import trio
from py_clob_client_v2.clob_types import ApiCreds, RequestArgs
from py_clob_client_v2.headers.headers import create_level_1_headers, create_level_2_headers
from py_clob_client_v2.order_builder.builder import ROUNDING_CONFIG, OrderBuilder
from py_clob_client_v2.order_utils import ExchangeOrderBuilderV2, Side
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2, order_to_json_v2
from py_clob_client_v2.signer import Signer

from polytrade.core.ids import BUY, YES
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.polymarket.signing import DOMAINS, POLYGON
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.matching.orders import Order
from polytrade.sandbox.matching.rules import FeeSchedule, MarketRules, RewardRules
from polytrade.sandbox.matching.settlement import ExchangeSettings
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.auth import KeyStore
from polytrade.sandbox.venue.clob_app import clob_app
from polytrade.sandbox.venue.heartbeats import Heartbeats
from polytrade.sandbox.venue.limits import Limits
from polytrade.sandbox.venue.market_channel import MarketChannel, MarketChannelSettings
from polytrade.sandbox.venue.notifications import Notifications
from polytrade.sandbox.venue.troubles import Troubles
from polytrade.sandbox.venue.wallets import wallets_of
from polytrade.sandbox.world.listing import UPDOWN, Listing

START_S = 1_790_000_100
CASH_E6 = 1_000_000_000
YES_TOKEN = str((1 << 255) | (1 << 40) | 1)
NO_TOKEN = str((1 << 255) | (1 << 40) | 2)
CONDITION = "0x" + "ab" * 32
SLOW_TOKENS = (str((1 << 255) | (1 << 40) | 3), str((1 << 255) | (1 << 40) | 4))
SLOW_CONDITION = "0x" + "cd" * 32
HELD_MS = 50
KEYS = tuple(f"0x{number:064x}" for number in (0xA11CE, 0xB0B, 0xCA401))


class ClobVenue:
    """What the REST asks of a venue."""

    def __init__(self, taker_delay_ms=0, answers_delayed=False, tier=None):
        self.began = trio.current_time()
        self.schedule = Schedule(START_S * SECOND_NS)
        self.bank = Bank()
        self.market_channel = MarketChannel(
            self.schedule, lambda *_: None, MarketChannelSettings(), random.Random(1)
        )
        self.notifications = Notifications()
        self.exchange = Exchange(
            self.schedule, self.bank, random.Random(2), self._emit, ExchangeSettings()
        )
        self.keys = KeyStore(7, self._fund)
        self.limits = Limits(tier) if tier else Limits()
        self.troubles = Troubles(self.schedule)
        self.heartbeats = Heartbeats(
            self.schedule, lambda owner: self.exchange.cancel_where(owner=owner)
        )
        self.rules = MarketRules(
            condition=CONDITION,
            tokens=(YES_TOKEN, NO_TOKEN),
            outcomes=("Up", "Down"),
            fees=FeeSchedule(70_000),
            rewards=RewardRules(50_000_000, 450, 100_000_000),
            taker_delay_ns=taker_delay_ms * MS_NS,
            answers_delayed=answers_delayed,
        )
        self.slow = MarketRules(
            condition=SLOW_CONDITION,
            tokens=SLOW_TOKENS,
            outcomes=("Yes", "No"),
            neg_risk=True,
            tick_e4=10,
        )
        self.calendar = SimpleNamespace(by_condition={}, topics={})
        self.calendar.by_condition[CONDITION] = Listing(
            rules=self.rules,
            slug="btc-updown-5m-1790000100",
            event_slug="btc-updown-5m-1790000100",
            question="Bitcoin Up or Down?",
            category="crypto",
            kind=UPDOWN,
            listed_s=START_S - 86_400,
            start_s=START_S,
            end_s=START_S + 300,
        )
        for rules in (self.rules, self.slow):
            self.exchange.open_market(rules)
        self.bank.fund("0xmaker", 2 * CASH_E6)
        self.bank.split("0xmaker", self.rules, CASH_E6)
        self._made = 0

    def _emit(self, event):
        self.market_channel.take(event)
        self.notifications.take(event)

    def _fund(self, signer):
        for _, address in wallets_of(signer):
            self.bank.fund(address.lower(), CASH_E6)

    def clock_ns(self):
        return START_S * SECOND_NS + round((trio.current_time() - self.began) * SECOND_NS)

    def now_ns(self):
        return self.clock_ns() + self.troubles.skew_ms * MS_NS

    def now_s(self):
        return self.now_ns() // SECOND_NS

    def catch_up(self):
        return self.schedule.run_until(self.clock_ns())

    def quote(self, side=BUY, price_e4=5000, size_e6=100_000_000, token=YES):
        """Somebody else's resting order."""
        self._made += 1
        order = Order(
            order_id=f"maker{self._made}",
            wallet="0xmaker",
            condition=CONDITION,
            token=token,
            side=side,
            price_e4=price_e4,
            size_e6=size_e6,
        )
        return self.exchange.place(order)


class Client:
    """A signer with a key, talking to the application."""

    def __init__(self, venue, app, private_key=KEYS[0]):
        self.venue = venue
        self.http = app.test_client()
        self.signer = Signer(private_key, POLYGON)
        self.wallet = self.signer.address()
        told = create_level_1_headers(self.signer, timestamp=venue.now_s())
        made = venue.keys.create(told, venue.now_s())
        self.creds = ApiCreds(made["apiKey"], made["secret"], made["passphrase"])
        self.salt = 0

    @property
    def owner(self):
        return self.creds.api_key

    def headers(self, method, path, raw=None):
        args = RequestArgs(method=method, request_path=path, body=raw, serialized_body=raw)
        stamp = self.venue.now_s()
        return create_level_2_headers(self.signer, self.creds, args, timestamp=stamp)

    async def call(self, method, path, body=None, **params):
        """(status, decoded body, headers) of a signed request."""
        raw = None if body is None else json.dumps(body, separators=(",", ":"))
        response = await self.http.open(
            path,
            method=method,
            headers=self.headers(method, path, raw),
            data=raw,
            query_string=params,
        )
        return response.status_code, await response.get_json(), response.headers

    async def get(self, path, **params):
        """(status, decoded body) of an unsigned request."""
        response = await self.http.get(path, query_string=params)
        return response.status_code, await response.get_json()

    async def post(self, path, body):
        """(status, decoded body) of an unsigned POST."""
        response = await self.http.post(path, json=body)
        return response.status_code, await response.get_json()

    def order(self, side="BUY", price=0.5, size=10.0, order_type="GTC", **more):
        """The body of one order as the official client makes it; a market order's size is its
        amount: dollars of a BUY.
        """
        tick, token = more.pop("tick", "0.01"), more.pop("token", YES_TOKEN)
        neg_risk = token in SLOW_TOKENS
        builder = OrderBuilder(self.signer)
        made = (
            builder.get_market_order_amounts
            if order_type in ("FAK", "FOK")
            else builder.get_order_amounts
        )
        _, maker, taker = made(side, size, price, ROUNDING_CONFIG[tick])
        data = OrderDataV2(
            maker=self.wallet,
            tokenId=token,
            makerAmount=str(more.pop("maker_amount", maker)),
            takerAmount=str(more.pop("taker_amount", taker)),
            side=Side.BUY if side == "BUY" else Side.SELL,
            signer=self.wallet,
            timestamp=str(self.venue.now_ns() // MS_NS),
            metadata="0x" + "00" * 32,
            builder="0x" + "00" * 32,
            expiration=str(more.pop("expiration", 0)),
        )
        domain = DOMAINS[POLYGON]["neg_risk_v2" if neg_risk else "exchange_v2"]
        signing = ExchangeOrderBuilderV2(domain.contract, POLYGON, self.signer, domain_version="2")
        self.salt += 1
        signing.generate_salt = partial(str, self.salt)
        signed = signing.build_signed_order(data)
        return order_to_json_v2(signed, self.owner, order_type, **more)

    async def place(self, *args, **more):
        """(status, body) of placing one order."""
        status, body, _ = await self.call("POST", "/order", self.order(*args, **more))
        return status, body


def clob_rig(**options):
    """A venue and a client of it."""
    venue = ClobVenue(**options)
    app = clob_app(venue)
    return venue, Client(venue, app), app
