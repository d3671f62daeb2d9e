"""Gamma's market and event objects: what a market is, when it runs, how it settles (protocols 1).

Gamma mixes numbers, numeric strings and JSON inside strings, and omits what is empty: reading is
tolerant about form and absence, strict about meaning. Never a price source (protocols 1.1).
"""

from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from polytrade.core.events import Event, MarketListed, MarketResolved
from polytrade.core.ids import NO, YES
from polytrade.polymarket.books import Instruments
from polytrade.polymarket.subjects import Subject, subject_of, window_slugs
from polytrade.wire_roles import WireError, count_unknown

SOURCE_RESOLVED: Final = "gamma"
SPLIT: Final = -1
"""The winner of a 50-50 resolution."""
TICK_UNSTATED_E4: Final = 100
MIN_SIZE_UNSTATED_E6: Final = 5_000_000
"""What nearly every market has (protocols 1.3); both are told again by the book."""
CRYPTO_FEE: Final = (70_000, 1, 200_000)
"""Rate, exponent and rebate of `crypto_fees_v2`: the dearest current schedule, taken for a market
that has fees on but does not say which."""
CRYPTO_TAKER_DELAY_MS: Final = 250
"""Taker delay of crypto markets (protocols 2.5: 250 or 50 ms, the sources disagree; Gamma does not
say). The longer one does not flatter us."""
MARKETS_MAX: Final = 20_000
"""Most markets of one answer: a page has 100 events, the largest event some 150 markets."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CONDITION_HEX: Final = 64
_READ_ERRORS: Final = (KeyError, TypeError, ValueError, OverflowError, InvalidOperation)
_DONE: Final = "resolved"

__all__ = [
    "GammaDecoder",
    "fees_of",
    "listed_of",
    "markets_in",
    "settlement_of",
    "tokens_of",
    "version_of",
    "window_of",
    "window_slugs",
    "winner_of",
]

Body = dict[str, Any]


class GammaDecoder:
    """Decodes answers of Gamma: one market, one event, a list of them or a keyset page.

    Known markets are added to `instruments` when given. Markets that cannot be traded by us (no
    token ids yet, not two outcomes) are counted in `unknown`. When an answer holds several
    markets, unreadable ones are counted there as `unreadable` and the others used.
    """

    __slots__ = ("_instruments", "unknown")

    def __init__(self, instruments: Instruments | None = None) -> None:
        self.unknown: Counter[str] = Counter()
        self._instruments = instruments

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """MarketListed of each market, and MarketResolved after it where the outcome is final."""
        try:
            found = list(markets_in(orjson.loads(frame)))
        except _READ_ERRORS as error:
            raise WireError(source, _reason("answer", error), frame) from None
        events: list[Event] = []
        failure: WireError | None = None
        for market, event in found:
            try:
                events += self._market(market, event, ts_ns)
            except _READ_ERRORS as error:
                failure = WireError(source, _reason(str(market.get("slug", "")), error), frame)
                count_unknown(self.unknown, "unreadable")
        if failure is not None and len(found) == 1:
            raise failure
        return events

    def _market(self, market: Body, event: Body, ts_ns: int) -> list[Event]:
        tokens = tokens_of(market)
        if tokens is None:
            count_unknown(self.unknown, "without two tokens")
            return []
        listed = listed_of(market, event, tokens, ts_ns)
        if self._instruments is not None:
            self._instruments.add(listed)
        winner = winner_of(market)
        if winner is None:
            return [listed]
        return [listed, MarketResolved(ts_ns, listed.market, winner, SOURCE_RESOLVED)]


def markets_in(body: Any) -> Iterator[tuple[Body, Body]]:
    """Every (market, its event or {}) of an answer; ValueError when it holds no such thing."""
    pending: deque[tuple[Any, Body]] = deque([(body, {})])
    seen = 0
    while pending:
        item, event = pending.popleft()
        if isinstance(item, list):
            pending.extendleft((each, event) for each in reversed(item))
        elif not isinstance(item, dict):
            raise TypeError(f"expected a market or event object, found {item!r:.80}")
        elif "conditionId" in item:
            seen += 1
            if seen > MARKETS_MAX:
                raise ValueError(f"expected at most {MARKETS_MAX} markets, found more")
            yield item, event or _first_event(item)
        elif "markets" in item:
            pending.appendleft((item["markets"] or [], item))
        elif "events" in item:
            pending.appendleft((item["events"] or [], {}))
        elif "id" not in item and "slug" not in item:
            raise ValueError(
                f"expected conditionId, markets or events, found {sorted(item)!r:.120}"
            )


def _first_event(market: Body) -> Body:
    events = market.get("events")
    if isinstance(events, list) and events and isinstance(events[0], dict):
        return events[0]
    return {}


def tokens_of(market: Body) -> tuple[str, str] | None:
    """The ids of outcomes 0 (YES, Up) and 1: `positionIds` for protocol v2, else `clobTokenIds`.

    None when there are not two yet. The list is chosen by `version` alone (protocols 1.2).
    """
    name = "positionIds" if version_of(market) == "v2" else "clobTokenIds"
    ids = _list(market, name)
    if len(ids) != 2 or not all(isinstance(each, str) for each in ids):
        return None
    if not all(each.isascii() and each.isdigit() for each in ids) or ids[0] == ids[1]:
        raise ValueError(f"{name}: expected two different decimal ids, found {ids!r:.120}")
    return ids[0], ids[1]


def version_of(market: Body) -> str:
    """`v1` or `v2`; v1 where it is not said; ValueError for another."""
    version = market.get("version") or "v1"
    if version not in ("v1", "v2"):
        raise ValueError(f"version: expected v1 or v2, found {version!r:.40}")
    return str(version)


def winner_of(market: Body) -> int | None:
    """YES, NO or SPLIT of a closed market whose outcome prices are final, else None."""
    if not _flag(market, "closed"):
        return None
    prices = [_scaled(price, 6, "outcomePrices") for price in _list(market, "outcomePrices")]
    if prices == [1_000_000, 0]:
        return YES
    if prices == [0, 1_000_000]:
        return NO
    done = market.get("umaResolutionStatus") == _DONE or market.get("resolutionStatus") == _DONE
    if prices == [500_000, 500_000] and (done or _flag(market, "automaticallyResolved")):
        return SPLIT
    return None


def listed_of(market: Body, event: Body, tokens: tuple[str, str], ts_ns: int) -> MarketListed:
    """The MarketListed of a market object; KeyError, TypeError or ValueError name a bad field."""
    slug = _text(market, "slug")
    question = market.get("question")
    subject = subject_of(slug, question if isinstance(question, str) else "")
    settle, lookback_s = settlement_of(market, subject)
    rate_e6, exponent, rebate_e6 = fees_of(market)
    start_ns, end_ns = window_of(market, event, subject)
    closed = _flag(market, "closed")
    strike_e8 = subject.strike_e8
    if strike_e8 < 0:
        strike_e8 = _strike_e8(market, event)
    delay_s = market.get("secondsDelay")
    delay_ms = CRYPTO_TAKER_DELAY_MS if subject.symbol else 0
    if delay_s:
        delay_ms = _scaled(delay_s, 3, "secondsDelay")
    return MarketListed(
        ts_ns,
        condition_of(market),
        slug,
        subject.symbol,
        subject.condition,
        tokens[0],
        tokens[1],
        _optional(market, "orderPriceMinTickSize", 4, TICK_UNSTATED_E4),
        _optional(market, "orderMinSize", 6, MIN_SIZE_UNSTATED_E6),
        _flag(market, "negRisk"),
        rate_e6,
        exponent,
        rebate_e6,
        start_ns,
        end_ns,
        settle,
        lookback_s,
        strike_e8,
        _flag(market, "enableOrderBook") and _flag(market, "acceptingOrders") and not closed,
        closed,
        delay_ms,
        version_of(market),
        subject.upper_e8,
    )


def condition_of(market: Body) -> str:
    """`0x` and 64 hex digits; protocol v2's 62 are padded on the right (protocols 0.4)."""
    text = _text(market, "conditionId")
    digits = text[2:]
    if not text.startswith("0x") or not digits or len(digits) > _CONDITION_HEX:
        raise ValueError(f"conditionId: expected 0x and 64 hex digits, found {text!r:.80}")
    return "0x" + digits.ljust(_CONDITION_HEX, "0")


def fees_of(market: Body) -> tuple[int, int, int]:
    """Taker rate e6, exponent, rebate rate e6 (protocols 8.1); (0, 1, 0) without fees."""
    schedule = market.get("feeSchedule")
    if market.get("feesEnabled") is False or (not schedule and not market.get("feesEnabled")):
        return 0, 1, 0
    if not isinstance(schedule, dict):
        return CRYPTO_FEE
    exponent = _scaled(schedule.get("exponent", 1), 0, "feeSchedule.exponent")
    if not 0 <= exponent <= 4:
        raise ValueError(f"feeSchedule.exponent: expected 0 to 4, found {exponent}")
    return (
        _scaled(schedule["rate"], 6, "feeSchedule.rate"),
        exponent,
        _scaled(schedule.get("rebateRate") or 0, 6, "feeSchedule.rebateRate"),
    )


def settlement_of(market: Body, subject: Subject) -> tuple[str, int]:
    """(`spot`, 0), (`twap`, look-back in s) or (`none`, 0) for what has no reference price.

    Evidence in this order: `cryptoMarketConfig`, its id (`btc-15m-twap-60`), `resolutionSource`
    (`...-twap-60s-streams`). An explicit `twapEnabled` false is final.
    """
    if not subject.symbol:
        return "none", 0
    config = market.get("cryptoMarketConfig")
    if isinstance(config, dict) and "twapEnabled" in config:
        if not _flag(config, "twapEnabled"):
            return "spot", 0
        lookback_s = config.get("twapLookbackSeconds")
        if lookback_s:
            return "twap", _scaled(lookback_s, 0, "twapLookbackSeconds")
    for name in ("cryptoMarketConfigId", "resolutionSource"):
        _, mark, tail = str(market.get(name) or "").partition("-twap-")
        digits = tail.split("-")[0].removesuffix("s")
        if mark and digits.isascii() and digits.isdigit() and len(digits) <= 5:
            return "twap", int(digits)
    return "spot", 0


def window_of(market: Body, event: Body, subject: Subject) -> tuple[int, int]:
    """(start, end) in ns: the stated times, else the slug's own arithmetic; 0 where unknown.

    `startDate` is when a market was listed: it counts as the start only where there is no window.
    """
    start_ns = _time_ns(market, "eventStartTime") or _time_ns(event, "startTime")
    end_ns = _time_ns(market, "endDate") or _time_ns(event, "endDate")
    if subject.start_ns:
        return start_ns or subject.start_ns, end_ns or subject.start_ns + subject.length_ns
    return start_ns or _time_ns(market, "startDate"), end_ns


def _strike_e8(market: Body, event: Body) -> int:
    """The published price to beat, -1 while there is none (it can come late)."""
    for holder in (event, market):
        metadata = holder.get("eventMetadata")
        if isinstance(metadata, str) and metadata:
            metadata = _json(metadata, "eventMetadata")
        if isinstance(metadata, dict) and metadata.get("priceToBeat") not in (None, "", 0):
            return _scaled(metadata["priceToBeat"], 8, "eventMetadata.priceToBeat")
    return -1


def _text(body: Body, name: str) -> str:
    value = body[name]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name}: expected text, found {value!r:.80}")
    return value


def _flag(body: Body, name: str) -> bool:
    value = body.get(name)
    if value is None:
        return False
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected true or false, found {value!r:.80}")
    return value


def _list(body: Body, name: str) -> list[Any]:
    """A list, or the list inside a JSON string; empty when absent or null."""
    value = body.get(name)
    if isinstance(value, str):
        value = _json(value, name) if value else []
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"{name}: expected a list, found {value!r:.80}")
    return value


def _json(text: str, name: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError(f"{name}: expected JSON in a string, found {text!r:.80}") from None


def _optional(body: Body, name: str, digits: int, unstated: int) -> int:
    value = body.get(name)
    return unstated if not value else _scaled(value, digits, name)


def _scaled(value: object, digits: int, name: str) -> int:
    """A non-negative number or numeric string scaled by `10 ** digits`, finer decimals cut off."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"{name}: expected a number, found {value!r:.80}")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise ValueError(f"{name}: expected a number, found {value!r:.80}") from None
    if not number.is_finite() or number < 0 or number.adjusted() > 9:
        raise ValueError(f"{name}: expected a number from 0 to 1e10, found {value!r:.80}")
    return int(number.scaleb(digits))


def _time_ns(body: Body, name: str) -> int:
    """RFC 3339, or Gamma's `2026-07-24 00:00:16+00`; 0 when absent."""
    value = body.get(name)
    if not value:
        return 0
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a time, found {value!r:.80}")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{name}: expected a time, found {value!r:.80}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _reason(where: str, error: Exception) -> str:
    text = f"expected field {error.args[0]!r:.80}" if isinstance(error, KeyError) else str(error)
    return f"{text:.300} @ {where:.100}"
