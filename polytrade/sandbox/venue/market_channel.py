"""The market channel (protocols 5): what the matching engine does, told to everybody.

A price_change goes out with the change itself; the print of a trade comes late, and books follow
only some trades (protocols 5.2).
"""

import math
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs
import orjson

from polytrade.core.units import MS_NS, SECOND_NS, decimal_text, size_text
from polytrade.sandbox.dialects import Part, Played, market_parts
from polytrade.sandbox.matching.events import (
    LevelChanged,
    MarketOpened,
    MarketResolved,
    TickChanged,
    Traded,
    VenueEvent,
)
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.wire_market import SIDE_TEXTS, TOKENS, WireMarket

ENDPOINT: Final = "market"
SOURCE: Final = "polymarket.market/0"
MARKETS_MAX: Final = 4096
"""Markets kept: a day of seven coins in windows of five minutes and longer has 3,000."""
KEPT_AFTER_NS: Final = 600 * SECOND_NS
"""How long a resolved market's books can still be asked for."""
ARRAY_MAX: Final = 64
"""Messages of one instant in one frame: an order through as many levels; 40 KB."""
TRADE_WAIT_MS: Final = (5, 2_000)
"""Between a match and its print: the least and the most."""
TRADE_LAG_MS: Final = 8
"""A print goes out up to so long after its own timestamp (protocols 5.2: 4 ms)."""
BOOK_WAIT_MS: Final = (10, 50)
"""Between a match and the books that may follow it (data fact 4)."""

Publish = Callable[[str, Played], None]


@attrs.frozen
class MarketChannelSettings:
    """Shares are from 0 to 1.

    `trade_wait_ms` is the median wait for the print of a trade, `trade_wait_spread` the standard
    deviation of its logarithm. `books_after_trades` is the share of trades after which both books
    are sent, `array_share` the share of instants whose messages come as one array.
    """

    trade_wait_ms: float = 97.0
    trade_wait_spread: float = 0.3
    books_after_trades: float = 0.1
    array_share: float = 0.05


@attrs.define(eq=False)
class _Listed:
    """A market on the channel with the parts of its frames, made once."""

    wire: WireMarket
    changed: tuple[tuple[Part], tuple[Part]]
    booked: tuple[Part, Part]
    traded: tuple[Part, Part]
    quoted: tuple[Part, Part]
    ticked: tuple[Part, Part]


def _listed(wire: WireMarket) -> _Listed:
    yes, no = wire.rules.tokens

    def each(kind: str) -> tuple[Part, Part]:
        return Part(kind, (yes,)), Part(kind, (no,))

    return _Listed(
        wire,
        ((Part("price_change", (yes, no)),), (Part("price_change", (no, yes)),)),
        each("book"),
        each("last_trade_price"),
        each("best_bid_ask"),
        each("tick_size_change"),
    )


class MarketChannel:
    """Takes what happens in the exchange and publishes it as market-channel frames.

    Messages of a market go out in the engine's order, each with the hash of the books it leaves.
    While `quiet` nothing is published and the books go on, at a quarter of the cost: a client that
    stayed is out of step until it subscribes anew, as in an engine restart (protocols 5.5).
    """

    def __init__(
        self,
        schedule: Schedule,
        publish: Publish,
        settings: MarketChannelSettings,
        rng: random.Random,
    ) -> None:
        self.settings = settings
        self.quiet = False
        self._schedule = schedule
        self._publish = publish
        self._rng = rng
        self._markets: dict[str, _Listed] = {}
        self._assets: dict[str, tuple[WireMarket, int]] = {}
        self._instant_ns = -1
        self._bundling = False
        self._bundle: list[tuple[str, Part]] = []

    # -- what is asked for -----------------------------------------------------------------------

    def book_dump(self, asset: str) -> str | None:
        """The `book` message for a new subscriber; None for an asset that is not known."""
        self._flush()
        found = self._assets.get(asset)
        return None if found is None else found[0].book(found[1], initial=True)

    def rest_book(self, asset: str) -> str | None:
        """The answer to `GET /book`; None for an asset that is not known."""
        found = self._assets.get(asset)
        return None if found is None else found[0].rest_book(found[1])

    # -- what happens ----------------------------------------------------------------------------

    def take(self, event: VenueEvent) -> None:
        """Follow the exchange; events of a market that is not known are ignored."""
        if isinstance(event, LevelChanged):
            self._on_level(event)
        elif isinstance(event, Traded):
            self._on_trade(event)
        elif isinstance(event, TickChanged):
            self._on_tick(event)
        elif isinstance(event, MarketOpened):
            self._on_opened(event)
        elif isinstance(event, MarketResolved):
            forget = partial(self.forget, event.rules.condition)
            self._schedule.after(KEPT_AFTER_NS, forget)

    def announce(self, kind: str, message: Mapping[str, Any]) -> None:
        """Publish a `new_market` or `market_resolved`; its timestamp is now unless it has one."""
        now = str(self._schedule.now_ns // MS_NS)
        body = {"timestamp": now, **message, "event_type": kind}
        self._send(orjson.dumps(body).decode(), market_parts([body], str))

    def forget(self, condition: str) -> None:
        """Drop a market's books; nothing when it is not known."""
        listed = self._markets.pop(condition, None)
        if listed is not None:
            for asset in listed.wire.rules.tokens:
                del self._assets[asset]

    def _on_opened(self, event: MarketOpened) -> None:
        rules = event.rules
        self.forget(rules.condition)
        if len(self._markets) >= MARKETS_MAX:
            self.forget(next(iter(self._markets)))
        wire = WireMarket(rules, event.ts_ns // MS_NS)
        self._markets[rules.condition] = _listed(wire)
        for token in TOKENS:
            self._assets[rules.tokens[token]] = (wire, token)

    def _on_level(self, event: LevelChanged) -> None:
        listed = self._markets.get(event.rules.condition)
        if listed is None:
            return
        wire, token, side, price_e4 = listed.wire, event.token, event.side, event.price_e4
        ts_ms = event.ts_ns // MS_NS
        before = wire.best_e4(token)
        wire.change(token, side, price_e4, event.size_e6, event.last_e4, ts_ms)
        if self.quiet:
            return
        text = wire.price_change(token, side, price_e4, event.size_e6)
        self._send(text, listed.changed[token])
        if wire.best_e4(token) != before:
            for each in (token, 1 - token):
                self._send(wire.best_bid_ask(each, ts_ms), (listed.quoted[each],))

    def _on_trade(self, event: Traded) -> None:
        rng, settings = self._rng, self.settings
        drawn = settings.trade_wait_ms * math.exp(settings.trade_wait_spread * rng.gauss(0.0, 1.0))
        wait_ms = min(max(int(drawn), TRADE_WAIT_MS[0]), TRADE_WAIT_MS[1])
        stamp_ms = event.ts_ns // MS_NS + wait_ms
        lag_ms = rng.randrange(TRADE_LAG_MS + 1)
        self._schedule.at(
            event.ts_ns + (wait_ms + lag_ms) * MS_NS, partial(self._print, event, stamp_ms)
        )
        if rng.random() < settings.books_after_trades:
            wait_ms = rng.randrange(BOOK_WAIT_MS[0], BOOK_WAIT_MS[1] + 1)
            resend = partial(self._resend, event.rules.condition)
            self._schedule.at(event.ts_ns + wait_ms * MS_NS, resend)

    def _print(self, event: Traded, stamp_ms: int) -> None:
        listed = self._markets.get(event.rules.condition)
        if listed is None:
            return
        trade = event.trade
        token = trade.taker.token
        text = (
            f'{{"market":"{event.rules.condition}","asset_id":"{event.rules.tokens[token]}",'
            f'"price":"{decimal_text(trade.price_e6, 6)}","size":"{size_text(trade.size_e6)}",'
            f'"fee_rate_bps":"0","side":"{SIDE_TEXTS[trade.taker.side]}",'
            f'"timestamp":"{stamp_ms}","event_type":"last_trade_price",'
            f'"transaction_hash":"{trade.transaction_hash}"}}'
        )
        self._send(text, (listed.traded[token],))

    def _resend(self, condition: str) -> None:
        listed = self._markets.get(condition)
        if listed is not None:
            for token in TOKENS:
                self._send(listed.wire.book(token, initial=False), (listed.booked[token],))

    def _on_tick(self, event: TickChanged) -> None:
        listed = self._markets.get(event.rules.condition)
        if listed is None:
            return
        ts_ms = event.ts_ns // MS_NS
        listed.wire.change_tick(ts_ms)
        # Both copies are alike: the venue delivers it twice (protocols 5.2, data fact 7).
        for token in TOKENS * 2:
            text = listed.wire.tick_size_change(token, event.old_tick_e4, ts_ms)
            self._send(text, (listed.ticked[token],))

    # -- frames ----------------------------------------------------------------------------------

    def _send(self, text: str, parts: tuple[Part, ...]) -> None:
        """Publish one message, now or with the others of this instant."""
        if self.quiet:
            return
        now_ns = self._schedule.now_ns
        if now_ns != self._instant_ns:
            self._flush()
            self._instant_ns = now_ns
            self._bundling = self._rng.random() < self.settings.array_share
        if not self._bundling:
            self._publish(ENDPOINT, Played(SOURCE, text, parts))
            return
        if not self._bundle:
            self._schedule.at(now_ns, self._flush)
        self._bundle.append((text, parts[0]))
        if len(self._bundle) >= ARRAY_MAX:
            self._flush()

    def _flush(self) -> None:
        """Send what waits to be one frame."""
        bundle, self._bundle = self._bundle, []
        if not bundle or self.quiet:
            return
        texts = [text for text, _ in bundle]
        text = texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"
        self._publish(ENDPOINT, Played(SOURCE, text, tuple(part for _, part in bundle)))
