"""The user channel: who is told what of orders and trades, and who may listen."""

import json
import random
from collections import Counter
from contextlib import suppress
from decimal import Decimal

import attrs
import pytest
from polymarket.models.clob.user_events import parse_user_event

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.sandbox.dialects import Part, Played
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.events import (
    CANCELLATION,
    PLACEMENT,
    UPDATE,
    LevelChanged,
    OrderChanged,
    TradeChanged,
    Traded,
)
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.matching.orders import (
    CANCELED,
    COMPLEMENTARY,
    CONFIRMED,
    EXPIRED,
    FAILED,
    FAK,
    FOK,
    GTC,
    GTD,
    MATCHED,
    MINED,
    MINT,
    RETRYING,
    MakerFill,
    Order,
    Refused,
    Trade,
)
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.matching.settlement import ExchangeSettings
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue import user_channel
from polytrade.sandbox.venue.user_channel import UserChannel, UserDialect, shown_owner

START = 1_790_000_000 * SECOND_NS + 123 * MS_NS
MARKET = "0x" + "ab" * 32
OTHER = "0x" + "cd" * 32
UP = "1" * 77
DOWN = "2" * 77
RULES = MarketRules(condition=MARKET, tokens=(UP, DOWN), outcomes=("Up", "Down"))
ANN = "00000000-0000-0000-0000-00000000000a"
BEN = "00000000-0000-0000-0000-00000000000b"
CLEO = "00000000-0000-0000-0000-00000000000c"


def an_order(number=1, owner=ANN, token=YES, side=BUY, price_e4=5000, **more):
    return Order(
        **{
            "order_id": f"0x{number:064x}",
            "wallet": f"0x{number:040x}",
            "owner": owner,
            "condition": MARKET,
            "token": token,
            "side": side,
            "price_e4": price_e4,
            "size_e6": 100_000_000,
            "created_ns": START - 5 * SECOND_NS,
            **more,
        }
    )


def a_trade(taker, *fills, **more):
    fields = {
        "trade_id": "83b5c849-620e-4c23-b63b-2e779c04a6e7",
        "condition": MARKET,
        "size_e6": sum(fill.size_e6 for fill in fills),
        "cash_e6": sum(fill.cash_e6 for fill in fills),
        "fee_e6": 0,
        "match_ns": START,
        "update_ns": START + SECOND_NS,
        "transaction_hash": "0x" + "ef" * 32,
        **more,
    }
    return Trade(taker=taker, fills=list(fills), **fields)


def told(*events):
    """What is published: ((owner, condition), type, message)."""
    frames = []
    channel = UserChannel(lambda endpoint, played: frames.append((endpoint, played)))
    for event in events:
        channel.take(event)
    assert all(endpoint == "user" for endpoint, _ in frames)
    found = []
    for _, played in frames:
        [part] = played.parts
        message = json.loads(played.text)
        parse_user_event(message)
        found.append((part.keys, part.type, message))
    return found


# Orders


def test_a_placement_has_every_field_of_the_order():
    order = an_order(maker_address="0x" + "Ab" * 20, order_type=GTD, expires_s=1_790_000_300)
    [(keys, kind, message)] = told(OrderChanged(START, RULES, order, PLACEMENT))
    assert (keys, kind) == ((ANN, MARKET), "order")
    assert message == {
        "asset_id": UP,
        "associate_trades": None,
        "created_at": "1789999995",
        "event_type": "order",
        "expiration": "1790000300",
        "id": order.order_id,
        "maker_address": "0x" + "Ab" * 20,
        "market": MARKET,
        "order_owner": ANN,
        "order_type": "GTD",
        "original_size": "100",
        "outcome": "Up",
        "owner": ANN,
        "price": "0.5",
        "side": "BUY",
        "size_matched": "0",
        "status": "LIVE",
        "timestamp": "1790000000123",
        "type": "PLACEMENT",
    }


def test_an_update_has_what_was_matched_so_far_and_its_trades():
    order = an_order(token=NO, side=SELL, matched_e6=25_500_001, trade_ids=["t1", "t2"])
    [(_, _, message)] = told(OrderChanged(START, RULES, order, UPDATE))
    assert message["size_matched"] == "25.500001"
    assert message["associate_trades"] == ["t1", "t2"]
    assert (message["asset_id"], message["outcome"], message["side"]) == (DOWN, "Down", "SELL")
    assert (message["type"], message["status"]) == ("UPDATE", "LIVE")


@pytest.mark.parametrize(
    ("status", "refusal", "shown"),
    [
        (CANCELED, "", "CANCELED"),
        (EXPIRED, "", "CANCELED_EXPIRED_ORDER"),
        (CANCELED, "order couldn't be filled", "CANCELED_order couldn't be filled"),
        (MATCHED, "", "MATCHED"),
    ],
)
def test_a_cancellation_says_why(status, refusal, shown):
    order = an_order(status=status, refusal=refusal)
    [(_, _, message)] = told(OrderChanged(START, RULES, order, CANCELLATION))
    assert (message["type"], message["status"]) == ("CANCELLATION", shown)


def test_orders_of_the_venue_s_own_traders_and_levels_are_told_to_nobody():
    quiet = an_order(owner="")
    level = LevelChanged(START, RULES, YES, BUY, 4800, 1_000_000, -1)
    assert told(OrderChanged(START, RULES, quiet, PLACEMENT), level) == []


# Trades


def minted():
    """Ann buys Up from Ben, who buys Down, and from the venue's own trader, who sells Up."""
    taker = an_order(1, ANN, YES, BUY, 5200, maker_address="0x" + "Aa" * 20)
    ben = an_order(2, BEN, NO, BUY, 4820)
    nobody = an_order(3, "", YES, SELL, 5180)
    return a_trade(
        taker,
        MakerFill(ben, 10_000_000, 4820, 5_180_000, MINT),
        MakerFill(nobody, 247_680_000, 5180, 128_298_240, COMPLEMENTARY),
    )


def test_a_trade_is_told_to_the_taker_and_to_each_maker():
    trade = minted()
    first, second = told(Traded(START, RULES, trade))
    assert [first[0], second[0]] == [(ANN, MARKET), (BEN, MARKET)]
    assert (first[1], first[2].pop("trader_side")) == ("trade", "TAKER")
    assert (second[1], second[2].pop("trader_side")) == ("trade", "MAKER")
    assert first[2] == second[2]
    makers = first[2].pop("maker_orders")
    assert first[2] == {
        "asset_id": UP,
        "bucket_index": 0,
        "event_type": "trade",
        "fee_rate_bps": "0",
        "id": "83b5c849-620e-4c23-b63b-2e779c04a6e7",
        "last_update": "1790000001",
        "maker_address": "0x" + "Aa" * 20,
        "market": MARKET,
        "match_time": "1790000000",
        "outcome": "Up",
        "owner": ANN,
        "price": "0.518",
        "side": "BUY",
        "size": "257.68",
        "status": "MATCHED",
        "taker_order_id": f"0x{1:064x}",
        "timestamp": "1790000000123",
        "trade_owner": ANN,
        "transaction_hash": "0x" + "ef" * 32,
        "type": "TRADE",
    }
    assert makers[0] == {
        "asset_id": DOWN,
        "fee_rate_bps": "0",
        "maker_address": f"0x{2:040x}",
        "matched_amount": "10",
        "order_id": f"0x{2:064x}",
        "outcome": "Down",
        "outcome_index": 1,
        "owner": BEN,
        "price": "0.482",
        "side": "BUY",
    }
    assert (makers[1]["price"], makers[1]["side"], makers[1]["outcome"]) == ("0.518", "SELL", "Up")


def test_one_event_an_owner_however_many_of_its_orders_were_filled():
    taker = an_order(1, ANN)
    fills = [
        MakerFill(an_order(number, owner, YES, SELL), 1_000_000, 5000, 500_000, COMPLEMENTARY)
        for number, owner in ((2, BEN), (3, CLEO), (4, BEN), (5, ANN))
    ]
    found = told(Traded(START, RULES, a_trade(taker, *fills)))
    assert [(keys[0], message["trader_side"]) for keys, _, message in found] == [
        (ANN, "TAKER"),
        (BEN, "MAKER"),
        (CLEO, "MAKER"),
    ]


def test_the_venue_s_own_traders_get_an_owner_made_up_of_their_wallet():
    trade = a_trade(
        an_order(9, ""), MakerFill(an_order(2, BEN), 1_000_000, 5000, 500_000, COMPLEMENTARY)
    )
    [(keys, _, message)] = told(Traded(START, RULES, trade))
    assert keys == (BEN, MARKET)
    assert message["owner"] == message["trade_owner"] == shown_owner(an_order(9, ""))
    assert len(message["owner"]) == 36
    assert shown_owner(an_order(9, "")) != shown_owner(an_order(8, ""))


@pytest.mark.parametrize("status", [MINED, CONFIRMED, RETRYING, FAILED])
def test_a_trade_s_life_on_chain_is_told(status):
    trade = minted()
    trade.status = status
    trade.update_ns = START + 3 * SECOND_NS
    messages = [message for _, _, message in told(TradeChanged(START + MS_NS, RULES, trade))]
    assert [message["status"] for message in messages] == [status, status]
    assert [message["last_update"] for message in messages] == ["1790000003"] * 2
    assert [message["timestamp"] for message in messages] == ["1790000000124"] * 2


def test_the_official_client_reads_what_is_told():
    order = an_order(matched_e6=25_000_000, trade_ids=["t1"], status="LIVE")
    placed, traded, _ = told(
        OrderChanged(START, RULES, order, UPDATE), Traded(START, RULES, minted())
    )
    payload = parse_user_event(placed[2]).payload
    assert (payload.size_matched, payload.original_size) == (Decimal(25), Decimal(100))
    assert (payload.order_event_type, payload.expires_at) == ("UPDATE", None)
    trade = parse_user_event(traded[2]).payload
    assert (trade.trader_side, trade.status, trade.price) == ("TAKER", "MATCHED", Decimal("0.518"))
    assert [maker.outcome_index for maker in trade.maker_orders] == [1, 0]


LIVES = (
    ["MATCHED", "MINED", "CONFIRMED"],
    ["MATCHED", "RETRYING", "MINED", "CONFIRMED"],
    ["MATCHED", "RETRYING", "FAILED"],
)


def heard_of_real_trading(orders):
    """The messages by owner that random orders through the real exchange bring; all of them are
    read by the official client's models."""
    rng, schedule, bank, heard = random.Random(5), Schedule(START), Bank(), {}

    def publish(_, played):
        message = json.loads(played.text)
        parse_user_event(message)
        [part] = played.parts
        assert part.keys[1] == message["market"] == MARKET
        heard.setdefault(part.keys[0], []).append(message)

    channel = UserChannel(publish)
    settings = ExchangeSettings(failed_rate=0.1, retry_rate=0.1)
    exchange = Exchange(schedule, bank, random.Random(6), channel.take, settings)
    exchange.open_market(RULES)
    owners = {"0x1": ANN, "0x2": BEN, "0x3": CLEO, "0x4": ""}
    for wallet in owners:
        bank.fund(wallet, 10**13)
        bank.split(wallet, RULES, 10**12)
    for number in range(orders):
        wallet, token, side = rng.choice(list(owners)), rng.choice((YES, NO)), rng.choice((0, 1))
        kind = rng.choice((GTC, GTC, GTC, FAK, FOK))
        order = Order(
            order_id=f"0x{number:064x}",
            wallet=wallet,
            owner=owners[wallet],
            condition=MARKET,
            token=token,
            side=side,
            price_e4=5_000 + rng.randrange(-4, 5) * 100,
            size_e6=rng.randrange(5_000_000, 90_000_000),
            cash_e6=rng.randrange(1_000_000, 40_000_000),
            order_type=kind,
        )
        with suppress(Refused):
            exchange.place(order)
        if number % 7 == 0:
            exchange.cancel(f"0x{rng.randrange(number + 1):064x}")
        schedule.run_until(schedule.now_ns + 50 * MS_NS)
    schedule.run_until(schedule.now_ns + 60 * SECOND_NS)
    return heard


def test_what_an_owner_hears_of_real_trading_adds_up():
    """The fills of its trades are what its orders say was matched; every trade lives to its end."""
    heard = heard_of_real_trading(1_500)
    assert sorted(heard) == [ANN, BEN, CLEO]
    kinds = Counter()
    for owner, messages in heard.items():
        orders, fills, lives = {}, Counter(), {}
        for message in messages:
            if message["event_type"] == "order":
                assert message["owner"] == owner
                kinds[message["type"]] += 1
                orders[message["id"]] = Decimal(message["size_matched"])
                continue
            lives.setdefault(message["id"], []).append(message["status"])
            if message["status"] != "MATCHED":
                continue
            kinds[message["trader_side"]] += 1
            if message["owner"] == owner:
                fills[message["taker_order_id"]] += Decimal(message["size"])
            for maker in message["maker_orders"]:
                if maker["owner"] == owner:
                    fills[maker["order_id"]] += Decimal(maker["matched_amount"])
        assert fills == {name: size for name, size in orders.items() if size}
        kinds.update(life[-1] for life in lives.values())
        assert all(life in LIVES for life in lives.values())
    assert min(kinds.values()) > 20
    assert set(kinds) == {
        *("PLACEMENT", "UPDATE", "CANCELLATION", "TAKER", "MAKER", "CONFIRMED", "FAILED"),
    }


# The dialect


@attrs.frozen
class Key:
    owner: str


class OneKey:
    """Knows Ann's key alone."""

    def by_credentials(self, api_key, secret, passphrase):
        return Key(ANN) if (api_key, secret, passphrase) == (ANN, "s3cret", "pass") else None


AUTH = {"apiKey": ANN, "secret": "s3cret", "passphrase": "pass"}


def signed_in(**more):
    dialect = UserDialect(OneKey())
    assert dialect.hear(json.dumps({"type": "user", "auth": AUTH, **more})) == []
    return dialect


def frame(owner=ANN, market=MARKET):
    return Played("polymarket.user/0", "{}", (Part("order", (owner, market)),))


def gets(dialect, *markets):
    return [dialect.select(frame(market=market)) is not None for market in markets]


def test_without_markets_a_key_hears_all_of_its_own():
    dialect = signed_in()
    assert dialect.authenticated
    assert dialect.subscriptions == {"*"}
    assert gets(dialect, MARKET, OTHER) == [True, True]
    assert dialect.select(frame(owner=BEN)) is None
    assert dialect.select(frame()).types == {"order": 1}


def test_markets_are_a_filter_that_can_be_changed():
    dialect = signed_in(markets=[MARKET.upper().replace("X", "x")])
    assert gets(dialect, MARKET, OTHER) == [True, False]
    assert dialect.hear(json.dumps({"operation": "subscribe", "markets": [OTHER]})) == []
    assert gets(dialect, MARKET, OTHER) == [True, True]
    assert dialect.subscriptions == {MARKET, OTHER}
    assert dialect.hear(json.dumps({"operation": "unsubscribe", "markets": [MARKET]})) == []
    assert gets(dialect, MARKET, OTHER) == [False, True]
    dialect.hear(json.dumps({"operation": "unsubscribe", "markets": [OTHER]}))
    assert gets(dialect, MARKET, OTHER) == [True, True]


def test_ping_is_answered_before_and_after_authentication():
    assert UserDialect(OneKey()).hear("PING") == [("PONG", "pong")]
    assert signed_in().hear("PING") == [("PONG", "pong")]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"type": "user", "auth": {**AUTH, "secret": "wrong"}}),
        json.dumps({"type": "user", "auth": {"apiKey": ANN}}),
        json.dumps({"type": "user", "auth": None}),
        json.dumps({"type": "user"}),
        json.dumps({"operation": "subscribe", "markets": [MARKET]}),
        "hello",
        "[]",
    ],
)
def test_who_does_not_authenticate_is_closed_and_hears_nothing(text):
    dialect = UserDialect(OneKey())
    [(_, kind)] = dialect.hear(text)
    assert kind == "close"
    assert not dialect.authenticated
    assert dialect.subscriptions == frozenset()
    assert dialect.select(frame()) is None
    assert dialect.select(frame(owner="")) is None


@pytest.mark.parametrize("text", ["hello", "[]", '{"operation":"leave"}', '{"markets":"0x1"}'])
def test_nonsense_of_a_known_client_is_refused_without_closing(text):
    dialect = signed_in()
    assert dialect.hear(text) == [("INVALID OPERATION", "error")]
    assert gets(dialect, MARKET) == [True]


def test_markets_named_are_bounded(monkeypatch):
    monkeypatch.setattr(user_channel, "MARKETS_MAX", 2)
    dialect = signed_in(markets=["0x1", "0x2", "0x3"])
    assert dialect.subscriptions == {"0x1", "0x2"}
