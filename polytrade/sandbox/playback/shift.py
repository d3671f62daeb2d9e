"""Moves captured frames in time, and gives what they name new names.

Everything works on the text of a frame, so that what is not a time or a name stays as captured,
byte for byte (Kraken's checksum, for one, covers the digits as written). Names follow the shifted
window: a window that two rounds of a loop share (listed ahead in one, open in the next) is one
market, and a window of another time is another market.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

WINDOW_S: Final[Mapping[str, int]] = {"5m": 300, "15m": 900, "4h": 14_400}
PERIOD_S: Final = 300
"""Times move by multiples of this at least: the shortest window."""
IDS_MAX: Final = 100_000
"""Names remembered a round; beyond it they are derived anew (transaction hashes mostly)."""

SLUG: Final = re.compile(r"\b([a-z0-9]+-updown-(5m|15m|4h)-)(\d{10})\b")
_NAME: Final = re.compile(r'(?<=")(?:0x[0-9a-f]{62,64}|\d{60,80}|[0-9a-f]{40})(?=\\?")')
_EPOCH: Final = re.compile(
    r'("(?:timestamp|E|T|ts|cts|event_time)"\s*:\s*"?)(\d{10}|\d{13}|\d{16})(?=["\s,}\]])'
)
_RFC3339: Final = re.compile(
    r"\b(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)((?:\.\d+)?(?:Z|\+00:00|\+00)(?=\\?\"))"
)
_GAMMA_ID: Final = re.compile(r'("id"\s*:\s*")(\d+)(?=")')
_TITLE: Final = re.compile(
    r"[A-Z][a-z]+ \d{1,2}, \d{1,2}(?::\d\d)?[AP]M\s?-\s?\d{1,2}(?::\d\d)?[AP]M ET"
)
_BINANCE_ID: Final = re.compile(r'("[tu]":)(\d+)')
_EASTERN: Final = "America/New_York"


def slug_start_s(slug: str) -> int | None:
    """The window start a slug carries, or None."""
    found = SLUG.search(slug)
    return int(found[3]) if found else None


def window_label(start_s: int, length_s: int) -> str:
    """A window as the venue's titles have it: `June 24, 3:50AM-3:55AM ET`."""
    zone = ZoneInfo(_EASTERN)
    start = datetime.fromtimestamp(start_s, zone)
    end = datetime.fromtimestamp(start_s + length_s, zone)
    first, last = (f"{(t.hour - 1) % 12 + 1}:{t:%M}{t:%p}" for t in (start, end))
    return f"{start:%B} {start.day}, {first}-{last} ET"


def _hex(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _decimal_id(*parts: str) -> str:
    """A made-up token id of 77 or 78 digits, never a structured (protocol v2) one."""
    return str(int(_hex(*parts), 16) | 1 << 255)


def _grown(text: str, by: int) -> str:
    """A Binance frame with its running ids `by` larger."""
    return _BINANCE_ID.sub(lambda found: found[1] + str(int(found[2]) + by), text)


class Names:
    """Which captured id belongs to which window: filled from the capture's Gamma objects."""

    def __init__(self) -> None:
        self.slugs: dict[str, str] = {}
        self.tokens: dict[str, tuple[str, int]] = {}
        self.gamma_ids: dict[str, str] = {}
        self._owners: dict[str, str] = {}

    def add(self, condition: str, slug: str, tokens: list[str], gamma_ids: list[str]) -> None:
        """A market, by what it is called; the first condition seen owns the slug."""
        if self._owners.setdefault(slug, condition) != condition:
            slug = condition
        self.slugs[condition] = slug
        for index, token in enumerate(tokens):
            self.tokens[token] = (slug, index)
        for index, gamma_id in enumerate(gamma_ids):
            self.gamma_ids[gamma_id] = f"{slug}|{index}"


class Shift:
    """One round's move in time: `delta_s` seconds, and names that follow from it.

    `delta_s` 0 means nothing is touched at all. `round_index` counts the rounds of a loop; exchange
    sequence numbers grow by `spans` (per symbol) a round.
    """

    def __init__(
        self,
        delta_s: int,
        names: Names,
        round_index: int = 0,
        spans: Mapping[str, int] | None = None,
    ) -> None:
        self.delta_s = delta_s
        self.round_index = round_index
        self._names = names
        self._spans = spans or {}
        self._cache: dict[str, str] = {}

    @property
    def moves(self) -> bool:
        """Whether frames are changed at all."""
        return self.delta_s != 0 or self.round_index != 0

    def slug(self, text: str) -> str:
        """`text` with every window slug in it moved."""
        return SLUG.sub(lambda found: f"{found[1]}{int(found[3]) + self.delta_s}", text)

    def name(self, text: str) -> str:
        """The served form of a condition id, token id, Gamma id or other hash."""
        if not self.moves:
            return text
        known = self._cache.get(text)
        if known is None:
            known = self._derive(text)
            if len(self._cache) < IDS_MAX:
                self._cache[text] = known
        return known

    def _salt(self, slug: str) -> str:
        moved = self.slug(slug)
        return moved if moved != slug else f"{slug}|{self.delta_s}|{self.round_index}"

    def _derive(self, text: str) -> str:
        if text in self._names.slugs:
            return "0x" + _hex("condition", self._salt(self._names.slugs[text]))
        if text in self._names.tokens:
            slug, index = self._names.tokens[text]
            return _decimal_id("token", self._salt(slug), str(index))
        salt = f"{text}|{self.delta_s}|{self.round_index}"
        if text.startswith("0x"):
            return "0x" + _hex("hash", salt)[: len(text) - 2]
        return _decimal_id("token", salt)

    def gamma_id(self, text: str) -> str:
        """The served form of a numeric Gamma id; ids of series and tags stay."""
        owner = self._names.gamma_ids.get(text)
        if owner is None or not self.moves:
            return text
        slug, _, index = owner.rpartition("|")
        return str(int(_hex("gamma", self._salt(slug), index)[:12], 16) % 9_000_000 + 1_000_000)

    def stamp(self, digits: str) -> str:
        """An epoch time of 10 (s), 13 (ms) or 16 (us) digits, moved."""
        return str(int(digits) + self.delta_s * 10 ** (len(digits) - 10))

    def rename(self, market: str, asset: str, timestamp: str) -> tuple[str, str, str]:
        """What a book's hash is made of, as served."""
        return self.name(market), self.name(asset), self.stamp(timestamp)

    def times(self, text: str) -> str:
        """Every epoch and RFC 3339 time in a frame, moved."""
        text = _EPOCH.sub(lambda found: found[1] + self.stamp(found[2]), text)
        return _RFC3339.sub(self._calendar, text)

    def _calendar(self, found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(f"{found[1]}T{found[3]}").replace(tzinfo=UTC)
        moved = moment + timedelta(seconds=self.delta_s)
        return f"{moved:%Y-%m-%d}{found[2]}{moved:%H:%M:%S}{found[4]}"

    def market_frame(self, text: str, hashes: Mapping[str, str]) -> str:
        """A market-channel frame: times, names and the hashes that `hashes` replaces."""
        if not self.moves and not hashes:
            return text

        def named(found: re.Match[str]) -> str:
            word = found[0]
            return hashes.get(word, word) if len(word) == 40 else self.name(word)

        text = _NAME.sub(named, self.times(text))
        if '"id"' in text:
            text = _GAMMA_ID.sub(lambda found: found[1] + self.gamma_id(found[2]), text)
        return self.slug(text) if "-updown-" in text else text

    def exchange_frame(self, text: str) -> str:
        """A frame of an exchange or of the price sockets: times, and Binance's running ids."""
        if not self.moves:
            return text
        text = self.times(text)
        if self.round_index:
            for symbol, span in self._spans.items():
                if f'"s":"{symbol}"' in text:
                    return _grown(text, span * self.round_index)
        return text

    def gamma_object(self, obj: dict[str, Any]) -> dict[str, Any]:
        """A Gamma event or market: times, slugs, titles, names; a new object."""
        if not self.moves:
            return obj
        body = orjson.dumps(obj).decode()
        moved = orjson.loads(self.slug(_NAME.sub(self._gamma_name, self.times(body))))
        self._dress(moved)
        served: dict[str, Any] = moved
        return served

    def _gamma_name(self, found: re.Match[str]) -> str:
        return found[0] if len(found[0]) == 40 else self.name(found[0])

    def _dress(self, obj: object) -> None:
        """Ids, dates without a time and titles of an already moved object, in place."""
        if isinstance(obj, list):
            for item in obj:
                self._dress(item)
            return
        if not isinstance(obj, dict):
            return
        for key, value in obj.items():
            if key == "id" and isinstance(value, str):
                obj[key] = self.gamma_id(value)
            elif key.endswith("DateIso") and isinstance(obj.get(key[:-3]), str):
                obj[key] = obj[key[:-3]][:10]
            elif isinstance(value, list | dict):
                self._dress(value)
        found = SLUG.search(str(obj.get("slug", "")))
        if found is None:
            return
        label = window_label(int(found[3]), WINDOW_S[found[2]])
        for key in ("title", "question"):
            if isinstance(obj.get(key), str):
                obj[key] = _TITLE.sub(label, obj[key])
