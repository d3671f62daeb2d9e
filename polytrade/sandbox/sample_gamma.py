"""Gamma event objects of the sample capture, in the venue's form with invented values."""

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import orjson

from polytrade.sandbox.playback.shift import window_label

WINDOW_S: Final = 300
COIN_NAMES: Final = {"btc": "Bitcoin", "eth": "Ethereum", "sol": "Solana", "xrp": "XRP"}
SERIES_IDS: Final = {"btc": "900001", "eth": "900002", "sol": "900003", "xrp": "900004"}
LISTED_AHEAD_S: Final = 86_400
"""Windows are listed about a day ahead (protocols 1.3)."""


def rfc3339(seconds: int) -> str:
    """A time as Gamma writes it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _hex(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


@attrs.define
class SampleWindow:
    """One window's listing and what is known of it so far; `event` is what Gamma answers.

    `strike` and `final` are prices in USD to 8 decimals, as text; empty while unknown. `winner` is
    0 for Up, 1 for Down, -1 while open.
    """

    coin: str
    start_s: int
    seed: int
    tick: float = 0.01
    strike: str = ""
    final: str = ""
    winner: int = -1
    closed_s: int = 0

    @property
    def slug(self) -> str:
        """The event's and the market's slug."""
        return f"{self.coin}-updown-5m-{self.start_s}"

    @property
    def end_s(self) -> int:
        """When the window ends."""
        return self.start_s + WINDOW_S

    def _name(self, kind: str) -> str:
        return _hex(str(self.seed), self.slug, kind)

    @property
    def condition(self) -> str:
        """The condition id."""
        return "0x" + self._name("condition")

    @property
    def tokens(self) -> tuple[str, str]:
        """Up and Down token ids."""
        up, down = (str(int(self._name(k), 16) | 1 << 255) for k in ("up", "down"))
        return up, down

    def event(self, now_s: int) -> dict[str, Any]:
        """The event object as Gamma answers it at `now_s`."""
        name = COIN_NAMES[self.coin]
        title = f"{name} Up or Down - {window_label(self.start_s, WINDOW_S)}"
        closed = self.winner >= 0
        listed = rfc3339(self.start_s - LISTED_AHEAD_S)
        source = f"https://data.chain.link/streams/{self.coin}-usd-twap-60s-streams"
        event: dict[str, Any] = {
            "id": str(int(self._name("event")[:6], 16) % 900_000 + 100_000),
            "ticker": self.slug,
            "slug": self.slug,
            "title": title,
            "description": self._rule(name),
            "resolutionSource": source,
            "startDate": listed,
            "creationDate": listed,
            "endDate": rfc3339(self.end_s),
            "active": True,
            "closed": closed,
            "archived": False,
            "restricted": True,
            "createdAt": listed,
            "updatedAt": rfc3339(now_s),
            "enableOrderBook": True,
            "negRisk": False,
            "markets": [self._market(title, source, listed, now_s)],
            "series": [self._series(name)],
            "tags": [
                {"id": "102127", "label": "Up or Down", "slug": "up-or-down"},
                {"id": "1312", "label": "Crypto Prices", "slug": "crypto-prices"},
            ],
            "enableNegRisk": False,
            "startTime": rfc3339(self.start_s),
            "seriesSlug": f"{self.coin}-up-or-down-5m",
        }
        meta = {"priceToBeat": self.strike, "finalPrice": self.final}
        known = {key: float(text) for key, text in meta.items() if text}
        if known:
            event["eventMetadata"] = known
        return event

    def _rule(self, name: str) -> str:
        return (
            f'Generated sample. Resolves to "Up" if the 60-second average of {name} at the end of '
            'the window is greater than or equal to that at its start, otherwise to "Down".'
        )

    def _series(self, name: str) -> dict[str, Any]:
        slug = f"{self.coin}-up-or-down-5m"
        return {
            "id": SERIES_IDS[self.coin],
            "ticker": slug,
            "slug": slug,
            "title": f"{name} Up or Down 5m",
            "seriesType": "single",
            "recurrence": "5m",
            "active": True,
            "closed": False,
        }

    def _market(self, title: str, source: str, listed: str, now_s: int) -> dict[str, Any]:
        closed = self.winner >= 0
        prices = [str(int(self.winner == i)) for i in (0, 1)] if closed else ["0.5", "0.5"]
        market: dict[str, Any] = {
            "id": str(int(self._name("market")[:7], 16) % 9_000_000 + 1_000_000),
            "question": title,
            "conditionId": self.condition,
            "slug": self.slug,
            "resolutionSource": source,
            "endDate": rfc3339(self.end_s),
            "startDate": listed,
            "description": self._rule(COIN_NAMES[self.coin]),
            "outcomes": '["Up", "Down"]',
            "outcomePrices": orjson.dumps(prices).decode(),
            "active": True,
            "closed": closed,
            "createdAt": listed,
            "updatedAt": rfc3339(now_s),
            "archived": False,
            "restricted": True,
            "questionID": "0x" + self._name("question"),
            "enableOrderBook": True,
            "orderPriceMinTickSize": self.tick,
            "orderMinSize": 5,
            "endDateIso": rfc3339(self.end_s)[:10],
            "startDateIso": listed[:10],
            "clobTokenIds": orjson.dumps(list(self.tokens)).decode(),
            "makerBaseFee": 1000,
            "takerBaseFee": 1000,
            "acceptingOrders": not closed,
            "acceptingOrdersTimestamp": listed,
            "negRisk": False,
            "approved": True,
            "ready": False,
            "funded": False,
            "rewardsMinSize": 50,
            "rewardsMaxSpread": 4.5,
            "eventStartTime": rfc3339(self.start_s),
            "feesEnabled": True,
            "makerRebatesFeeShareBps": 10000,
            "feeType": "crypto_fees_v2",
            "feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2},
            "cryptoMarketConfigId": f"{self.coin}-5m-twap-60",
            "cryptoMarketConfig": {
                "asset": self.coin,
                "duration": "5m",
                "twapEnabled": True,
                "twapLookbackSeconds": 60,
            },
            "umaResolutionStatuses": "[]",
            "version": "v1",
        }
        if closed:
            market["umaResolutionStatus"] = "resolved"
            market["automaticallyResolved"] = True
            market["closedTime"] = (
                f"{datetime.fromtimestamp(self.closed_s, UTC):%Y-%m-%d %H:%M:%S}+00"
            )
        return market

    def resolved_message(self, ts_ms: int) -> dict[str, Any]:
        """The market channel's `market_resolved`."""
        return {
            "id": self._market("", "", "", 0)["id"],
            "market": self.condition,
            "assets_ids": list(self.tokens),
            "winning_asset_id": self.tokens[self.winner],
            "winning_outcome": ("Up", "Down")[self.winner],
            "timestamp": str(ts_ms),
            "event_type": "market_resolved",
            "tags": ["Crypto", "Crypto Prices", "Recurring", "Up or Down", "5M"],
        }
