"""Follows the books of the market channel through a capture, hash by hash.

A hash that the book reproduces is a hash the venue can make again under a shifted time and a new
name; one that it does not reproduce was wrong on the wire, or a message was missing, and stays
wrong (protocols 5.4).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from polytrade.core.units import ONE_E4, parse_scaled
from polytrade.sandbox.wirebook import WireBook, finish_hash, hash_prefix, last_trade_text

CANDIDATES_MAX: Final = 8
"""Last trade prices remembered per market for the next book that does not say its own."""
MARKETS_MAX: Final = 10_000
"""Markets followed at once: a day of 5-minute windows of eight coins is 2,304."""

Rename = Callable[[str, str, str], tuple[str, str, str]]
"""(market, asset, timestamp) as captured -> as served."""


@attrs.define
class MarketFacts:
    """What the hash of both tokens of a market needs besides the levels.

    `ordered_tick` is a tick size a fault announced: it is served until the capture says its own.
    """

    min_size: str = "5"
    tick: str = "0.01"
    ordered_tick: str = ""
    neg_risk: bool = False
    last_trade: str = ""
    recent: list[str] = attrs.field(factory=list)
    books: dict[str, WireBook] = attrs.field(factory=dict)

    @property
    def served_tick(self) -> str:
        """The tick size that clients are told."""
        return self.ordered_tick or self.tick

    def say_tick(self, tick: str) -> None:
        """The capture tells a tick size."""
        self.tick = tick
        self.ordered_tick = ""

    def remember(self, price: object) -> None:
        """A price (and its complement) that may be the next last trade price."""
        if not isinstance(price, str):
            return
        try:
            price_e4 = parse_scaled(price, 4)
        except ValueError:
            return
        for text in (last_trade_text(price_e4), last_trade_text(ONE_E4 - price_e4)):
            if text in self.recent:
                self.recent.remove(text)
            self.recent.append(text)
        del self.recent[:-CANDIDATES_MAX]


class BookTracker:
    """The books of every market seen, in the terms of the capture.

    `apply` returns the hashes to put in place of the captured ones: empty when nothing is renamed.
    `counts` says how many hashes were reproduced (`verified`) and how many not (`unverified`).
    """

    def __init__(self, rename: Rename | None = None) -> None:
        self.markets: dict[str, MarketFacts] = {}
        self.assets: dict[str, WireBook] = {}
        self.counts: Counter[str] = Counter()
        self._rename = rename

    def learn(self, market: str, min_size: str, neg_risk: bool) -> None:
        """Take from Gamma what the socket never says."""
        facts = self._facts(market)
        facts.min_size = min_size
        facts.neg_risk = neg_risk

    def apply(self, message: Mapping[str, Any]) -> dict[str, str]:
        """Follow one message; what it cannot read is counted as `unreadable` and left alone."""
        try:
            match message.get("event_type"):
                case "book":
                    return self._book(message)
                case "price_change":
                    return self._price_change(message)
                case "tick_size_change":
                    self._facts(message["market"]).say_tick(message["new_tick_size"])
                case "last_trade_price":
                    self._facts(message["market"]).remember(message.get("price"))
        except (KeyError, TypeError, ValueError, AttributeError):
            self.counts["unreadable"] += 1
        return {}

    def _facts(self, market: str) -> MarketFacts:
        facts = self.markets.get(market)
        if facts is None:
            if len(self.markets) >= MARKETS_MAX:
                raise ValueError(f"expected at most {MARKETS_MAX} markets")
            facts = self.markets[market] = MarketFacts()
        return facts

    def _token(self, facts: MarketFacts, market: str, asset: str) -> WireBook:
        book = facts.books.get(asset)
        if book is None:
            book = facts.books[asset] = self.assets[asset] = WireBook(market, asset)
        return book

    def _book(self, message: Mapping[str, Any]) -> dict[str, str]:
        market = message["market"]
        facts = self._facts(market)
        book = self._token(facts, market, message["asset_id"])
        book.replace(message["bids"], message["asks"])
        facts.min_size = message.get("min_order_size", facts.min_size)
        facts.neg_risk = message.get("neg_risk", facts.neg_risk)
        if "tick_size" in message:
            facts.say_tick(message["tick_size"])
        said = message.get("last_trade_price")
        candidates = [facts.last_trade, *reversed(facts.recent), ""] if said is None else [said]
        renamed = self._check(facts, book, message, candidates)
        if renamed is None and said is None:
            # No hint fits: a trade at one of the hundred cent prices may not have been captured.
            cents = (last_trade_text(price_e4) for price_e4 in range(100, ONE_E4, 100))
            renamed = self._check(facts, book, message, cents)
        self._count(book)
        return renamed or {}

    def _price_change(self, message: Mapping[str, Any]) -> dict[str, str]:
        market = message["market"]
        facts = self._facts(market)
        renamed: dict[str, str] = {}
        open_entries: list[tuple[WireBook, Mapping[str, Any], list[str]]] = []
        for entry in message["price_changes"]:
            book = facts.books.get(entry["asset_id"])
            if book is None:
                continue  # no snapshot of it yet: nothing a hash could be checked against
            ladder = book.bids if entry["side"] == "BUY" else book.asks
            ladder.set(entry["price"], entry["size"])
            price_e4 = parse_scaled(entry["price"], 4)
            stamped: Mapping[str, Any] = {
                "timestamp": message["timestamp"],
                "hash": entry["hash"],
            }
            candidates = [
                facts.last_trade,
                last_trade_text(price_e4),
                last_trade_text(ONE_E4 - price_e4),
            ]
            found = self._check(facts, book, stamped, candidates)
            if found is None:
                open_entries.append((book, stamped, candidates))
            else:
                renamed |= found
        for book, stamped, candidates in open_entries:
            # The hash of an entry may cover the whole message's changes (protocols 5.4).
            renamed |= self._check(facts, book, stamped, candidates) or {}
        for asset in {entry["asset_id"]: None for entry in message["price_changes"]}:
            if asset in facts.books:
                self._count(facts.books[asset])
        return renamed

    def _count(self, book: WireBook) -> None:
        self.counts["verified" if book.verified else "unverified"] += 1

    def _check(
        self,
        facts: MarketFacts,
        book: WireBook,
        stamped: Mapping[str, Any],
        candidates: Iterable[str],
    ) -> dict[str, str] | None:
        """None when no candidate reproduces the hash; else what replaces it."""
        timestamp, wanted = stamped["timestamp"], stamped["hash"]
        book.timestamp = timestamp
        book.last_hash = wanted
        names = (book.market, book.asset, timestamp)
        prefix = self._prefix(facts, book, names, facts.tick)
        for last_trade in candidates:
            if finish_hash(prefix, last_trade) == wanted:
                break
        else:
            book.verified = False
            return None
        book.verified = True
        facts.last_trade = last_trade
        if self._rename is None and not facts.ordered_tick:
            return {}
        served = names if self._rename is None else self._rename(*names)
        prefix = self._prefix(facts, book, served, facts.served_tick)
        return {wanted: finish_hash(prefix, last_trade)}

    def _prefix(
        self, facts: MarketFacts, book: WireBook, names: tuple[str, str, str], tick: str
    ) -> str:
        return hash_prefix(
            *names,
            book.bids.json(),
            book.asks.json(),
            facts.min_size,
            tick,
            facts.neg_risk,
        )

    def snapshot(self, asset: str, rest: bool) -> str | None:
        """The book of a captured asset as JSON, as REST or the socket writes it, in served terms.

        A verified book gets a hash that verifies; any other keeps the last hash of the wire.
        """
        book = self.assets.get(asset)
        if book is None:
            return None
        facts = self.markets[book.market]
        names = (book.market, asset, book.timestamp)
        told = names if self._rename is None else self._rename(*names)
        market, served, timestamp = told
        digest = book.last_hash
        if book.verified:
            prefix = self._prefix(facts, book, told, facts.served_tick)
            digest = finish_hash(prefix, facts.last_trade)
        head = "" if rest else '"event_type":"book",'
        extra = (
            f'"min_order_size":"{facts.min_size}","tick_size":"{facts.served_tick}",'
            f'"neg_risk":{"true" if facts.neg_risk else "false"},'
            if rest
            else f'"tick_size":"{facts.served_tick}",'
        )
        return (
            f'{{{head}"market":"{market}","asset_id":"{served}","timestamp":"{timestamp}",'
            f'"hash":"{digest}","bids":{book.bids.json()},"asks":{book.asks.json()},'
            f'{extra}"last_trade_price":"{facts.last_trade}"}}'
        )
