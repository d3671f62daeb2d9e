"""A venue in a process of its own, its quiet markets, and traders with the official client."""

import json
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import fields, replace

import attrs
import httpx2
from eth_account import Account
from polymarket import PRODUCTION, AsyncSecureClient
from polymarket._internal.environment import create_environment, get_environment_config
from polymarket.auth import RelayerApiKey
from py_clob_client_v2 import ClobClient, OrderArgs, OrderType, Side
from py_clob_client_v2.clob_types import (
    AssetType,
    BalanceAllowanceParams,
    MarketOrderArgs,
    RequestArgs,
)
from py_clob_client_v2.headers.headers import create_level_2_headers
from py_clob_client_v2.order_utils.model.order_data_v2 import order_to_json_v2

from polytrade.sandbox.venue.wallets import wallets_of

COMMAND = (
    *(sys.executable, "-m", "polytrade", "sandbox", "--exit-with-parent", "--seed", "7"),
    # No flow: makers keep their books, nobody takes. The windows far ahead have a 0.49 bid and a
    # 0.51 ask all along, so that two traders of a test meet each other at 0.50.
    *("--coins", "btc", "--windows", "5m,1d", "--windows-ahead", "4", "--activity", "0"),
)
NOWHERE = "//127.0.0.1:9"
"""Where addresses point that the venue does not stand for: nothing leaves the machine."""
FAUCET_E6 = 10_000_000_000
BUY, SELL = Side.BUY, Side.SELL
GTC, GTD, FOK, FAK = OrderType.GTC, OrderType.GTD, OrderType.FOK, OrderType.FAK


@attrs.frozen
class Market:
    """A market of the venue. `protocol` v2 is signed for Exchange V3."""

    slug: str
    condition: str
    tokens: tuple
    outcomes: tuple
    protocol: str
    neg_risk: bool


@attrs.frozen
class Venue:
    """The venue's addresses and some of its markets."""

    ready: dict
    http: httpx2.Client

    def url(self, name):
        return self.ready[f"{name}_url"]

    def clob(self, path, **params):
        """A public answer of the CLOB."""
        answer = self.http.get(self.url("clob") + path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def market(self, slug):
        """The market of a slug."""
        (told,) = [row for row in self.clob("/markets")["data"] if row["market_slug"] == slug]
        token_ids = tuple(token["token_id"] for token in told["tokens"])
        return Market(
            slug=slug,
            condition=told["condition_id"],
            tokens=token_ids,
            outcomes=tuple(token["outcome"] for token in told["tokens"]),
            protocol=self.clob(f"/clob-markets/{told['condition_id']}").get("v", "v1"),
            neg_risk=told["neg_risk"],
        )

    def _last(self, part):
        return self.market([slug for slug in self.ready["slugs"] if part in slug][-1])

    @property
    def window(self):
        """A 5-minute window that begins in a quarter of an hour: domain 2, fees, a taker delay."""
        return self._last("-updown-5m-")

    @property
    def day(self):
        """The day after the next: domain 3, fees, a taker delay."""
        return self._last("bitcoin-up-or-down-on-")

    @property
    def candidate(self):
        """One choice of an election: the domain of neg-risk markets."""
        return self._last("-win-harbour-council-election")

    @property
    def treaty(self):
        """An event without fees and without a taker delay: domain 2."""
        return self._last("strait-treaty-signed")

    @property
    def game(self):
        """A sports event: marketable orders are held for seconds."""
        return self._last("nsl-northport-eastlake")

    def admin(self, path, **body):
        """An order to the venue itself."""
        answer = self.http.post(self.url("admin") + path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def environment(venue):
    """The official client's environment with every address replaced, as docs/sandbox.md shows."""
    real = get_environment_config(PRODUCTION)
    nowhere = {
        field.name: getattr(real, field.name).partition("//")[0].replace("s:", ":") + NOWHERE
        for field in fields(real)
        if field.name.endswith("_url")
    }
    config = replace(
        real,
        **nowhere
        | {
            "clob_url": venue.url("clob"),
            "gamma_url": venue.url("gamma"),
            "data_url": venue.url("data"),
            "relayer_url": venue.url("chain"),
            "rpc_url": venue.url("chain"),
            "clob_market_ws_url": venue.url("market"),
            "clob_user_ws_url": venue.url("user"),
            "rtds_ws_url": venue.url("rtds"),
            "realtime_ws_url": venue.url("polybolt"),
            # A relayed transaction is done at once: no need to ask every two seconds.
            "relayer_poll_frequency_ms": 20,
        },
    )
    return create_environment(name="local", config=config)


@asynccontextmanager
async def secure_client(venue, key, kind=2, **settings):
    """An unmodified `AsyncSecureClient` for a wallet of the key; it takes its orders out."""
    signer = Account.from_key(key).address
    settings.setdefault("api_key", RelayerApiKey(key="relayer", address=signer))
    if kind != 3:
        settings["wallet"] = next(own for known, own in wallets_of(signer) if known == kind)
    client = await AsyncSecureClient.create(
        private_key=key, environment=environment(venue), **settings
    )
    async with client:
        yield client
        await client.cancel_all()


@contextmanager
def open_venue(root):
    """A venue until the end of the block; its program must end cleanly."""
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        with httpx2.Client() as http:
            yield Venue(json.loads(process.stdout.readline()), http)
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Trader:
    """An account at the venue behind an unmodified `ClobClient`."""

    def __init__(self, venue, key, signature_type=0):
        self.venue = venue
        self.key = key
        self.client = ClobClient(venue.url("clob"), 137, key=key)
        self.address = self.client.get_address()
        self.wallet = next(own for kind, own in wallets_of(self.address) if kind == signature_type)
        if signature_type:
            self.client = ClobClient(
                *(venue.url("clob"), 137), key, signature_type=signature_type, funder=self.wallet
            )
        self.client.set_api_creds(self.client.create_or_derive_api_key())
        self.owner = self.client.creds.api_key

    def leave(self):
        """Take everything out of the books, unless a test has ended the key."""
        assert self.request("DELETE", "/cancel-all").status_code in (200, 401)

    # Orders.

    def args(self, market, side, price, size, token=0, **fields):
        """A limit order's arguments, by position in markets of protocol v2."""
        name = "position_id" if market.protocol == "v2" else "token_id"
        fields[name] = market.tokens[token]
        return OrderArgs(price=price, size=size, side=side, **fields)

    def signed(self, market, side, price, size, token=0, **fields):
        """A signed limit order."""
        return self.client.create_order(self.args(market, side, price, size, token, **fields))

    def limit(self, market, side, price, size, token=0, **manner):
        """Place a limit order; `manner` is order_type, post_only, expiration."""
        fields = {name: manner.pop(name) for name in ("expiration",) if name in manner}
        arguments = self.args(market, side, price, size, token, **fields)
        return self.client.create_and_post_order(arguments, **manner)

    def take(self, market, side, amount, price=0, token=0, order_type=FOK):
        """Place a market order; `amount` is pUSD of a buy, shares of a sale."""
        fields = {"price": price, "order_type": order_type}
        arguments = self.market_args(market, side, amount, token, **fields)
        return self.client.create_and_post_market_order(arguments, order_type=order_type)

    def market_args(self, market, side, amount, token=0, **fields):
        """A market order's arguments, by position in markets of protocol v2."""
        name = "position_id" if market.protocol == "v2" else "token_id"
        fields[name] = market.tokens[token]
        return MarketOrderArgs(amount=amount, side=side, **fields)

    # What is told of the account.

    def cash_e6(self):
        """pUSD free to spend."""
        params = BalanceAllowanceParams(asset_type=AssetType.COLLATERAL)
        return int(self.client.get_balance_allowance(params)["balance"])

    def shares_e6(self, market, token=0):
        """Settled shares."""
        kind = "CONDITIONAL-V2" if market.protocol == "v2" else AssetType.CONDITIONAL
        params = BalanceAllowanceParams(asset_type=kind, token_id=market.tokens[token])
        return int(self.client.get_balance_allowance(params)["balance"])

    # Requests as they go over the wire.

    def payload(self, order, order_type=GTC, post_only=False):
        """What the client would post for a signed order."""
        return order_to_json_v2(order, self.owner, order_type, post_only, False)

    def split(self, market, amount):
        """Shares of both outcomes for pUSD, at once: the sandbox's own short cut."""
        body = {"condition_id": market.condition, "wallet": self.wallet, "amount": amount}
        answer = self.request("POST", "/wallet/split", body, host="data")
        assert answer.status_code == 200, answer.text

    def request(self, method, path, body=None, tamper=None, timestamp=None, host="clob"):
        """A signed request with headers as `tamper` leaves them; its answer as it came."""
        text = None if body is None else json.dumps(body, separators=(",", ":"))
        headers = create_level_2_headers(
            self.client.signer,
            self.client.creds,
            RequestArgs(method, path, serialized_body=text),
            timestamp,
        )
        headers["Content-Type"] = "application/json"
        if tamper is not None:
            tamper(headers)
        return self.venue.http.request(
            method, self.venue.url(host) + path, content=text, headers=headers
        )


def told(answer):
    """(status, body) of an answer."""
    return answer.status_code, answer.json()
