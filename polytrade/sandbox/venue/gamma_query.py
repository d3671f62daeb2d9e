"""What a query to Gamma means: filters, order and pages over its objects (protocols 1.1).

Parameters that are not known are ignored in silence, as Gamma does.
"""

import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import orjson

PAGE_DEFAULT: Final = 20
KEYSET_MAX: Final = 100
"""Larger keyset pages are clamped to this."""
LIMIT_MAX: Final = 500
"""Objects of one answer of the legacy listings; the venue does not say."""
OFFSET_MAX: Final = 2000
CONDITION_CHARS: Final = 66
_DIGITS_MAX: Final = 9
_FIELD: Final = re.compile(r"[a-z][a-zA-Z0-9]*", re.ASCII)
ORDERS: Final = frozenset(
    (
        "id",
        "slug",
        "question",
        "title",
        "conditionId",
        "startDate",
        "endDate",
        "createdAt",
        "updatedAt",
        "closedTime",
        "volume",
        "volumeNum",
        "volume24hr",
        "volume1wk",
        "volume1mo",
        "volume1yr",
        "liquidity",
        "liquidityNum",
        "liquidityClob",
        "competitive",
        "spread",
        "bestBid",
        "bestAsk",
        "lastTradePrice",
        "startTime",
        "eventStartTime",
    )
)
"""Fields that may be sorted by: those of markets and of events."""

Obj = dict[str, Any]
Test = Callable[[Obj], bool]


class Arguments(Protocol):
    """A query's parameters, each given any number of times."""

    def get(self, key: str) -> str | None:
        """The first one."""

    def getlist(self, key: str) -> list[str]:
        """All of them."""


class QueryRefused(Exception):
    """422: a parameter Gamma knows has a value it does not take."""


def filtered(found: list[Obj], args: Arguments, kind: str) -> list[Obj]:
    """The `events` or `markets` a query asks for, in listing order. Raises QueryRefused."""
    closed = flag(args, "closed") or False
    tests: list[Test] = [lambda obj: bool(obj.get("closed")) is closed]
    tests += _named(args)
    tests += _ranges(args, kind)
    tests += _tagged(args)
    tests += _of_events(args) if kind == "events" else _of_markets(args)
    return [obj for obj in found if all(test(obj) for test in tests)]


def flag(args: Arguments, name: str) -> bool | None:
    """A true or false parameter; None when it is not given."""
    text = args.get(name)
    if text is None or text == "":
        return None
    if text.lower() not in ("true", "false"):
        raise QueryRefused(f"{name}: expected true or false, found {text!r:.40}")
    return text.lower() == "true"


def whole(args: Arguments, name: str, default: int) -> int:
    """A whole number that is not negative."""
    text = args.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS_MAX:
        raise QueryRefused(f"{name}: expected a whole number, found {text!r:.40}")
    return int(text)


def offset_page(found: list[Obj], args: Arguments) -> list[Obj]:
    """The page of a legacy listing: `limit` objects from `offset`, at most 2,000."""
    offset = whole(args, "offset", 0)
    if offset > OFFSET_MAX:
        raise QueryRefused(f"offset: expected at most {OFFSET_MAX}, found {offset}")
    limit = min(whole(args, "limit", PAGE_DEFAULT), LIMIT_MAX)
    return ordered(found, args)[offset : offset + limit]


def keyset_page(found: list[Obj], args: Arguments, kind: str) -> Obj:
    """A keyset page. The cursor names the last object, so that markets may come and go."""
    if args.get("offset") is not None:
        raise QueryRefused("offset is not supported, use after_cursor")
    limit = max(1, min(whole(args, "limit", PAGE_DEFAULT), KEYSET_MAX))
    fields, ascending = _order(args)
    rows = ordered(found, args)
    if cursor := args.get("after_cursor"):
        after = _read_cursor(cursor, fields)
        try:
            rows = [obj for obj in rows if _beyond(_rank(obj, fields), after, ascending)]
        except TypeError:
            raise QueryRefused("after_cursor: expected a cursor of this order") from None
    page: Obj = {"$schema": f"/schemas/{kind}-keyset.json", kind: rows[:limit]}
    if len(rows) > limit:
        page["next_cursor"] = _write_cursor(_rank(rows[limit - 1], fields))
    return page


def ordered(found: Iterable[Obj], args: Arguments) -> list[Obj]:
    """Objects in the order asked for, by id without one. Text fields sort as text."""
    fields, ascending = _order(args)
    return sorted(found, key=lambda obj: _rank(obj, fields), reverse=not ascending)


def _order(args: Arguments) -> tuple[list[str], bool]:
    names = [name.strip() for name in (args.get("order") or "").split(",") if name.strip()]
    for name in names:
        if not _FIELD.fullmatch(name) or name not in ORDERS:
            raise QueryRefused(f"order fields are not valid: {name!r:.40}")
    ascending = flag(args, "ascending")
    return names, True if ascending is None else ascending


def _rank(obj: Obj, fields: list[str]) -> list[Any]:
    ranks: list[Any] = []
    for name in fields:
        value = _id(obj) if name == "id" else obj.get(name)
        ranks.append([0, 0] if value is None else [1, value])
    return [*ranks, _id(obj)]


def _id(obj: Obj) -> int:
    return int(obj["id"])


def _beyond(rank: list[Any], after: list[Any], ascending: bool) -> bool:
    return rank > after if ascending else rank < after


def _write_cursor(rank: list[Any]) -> str:
    return urlsafe_b64encode(orjson.dumps(rank)).decode()


def _read_cursor(text: str, fields: list[str]) -> list[Any]:
    try:
        rank = orjson.loads(urlsafe_b64decode(text))
    except (Base64Error, ValueError):
        raise QueryRefused("after_cursor: expected a cursor of this listing") from None
    if not _fits(rank, fields):
        raise QueryRefused("after_cursor: expected a cursor of this order")
    ranks: list[Any] = rank
    return ranks


def _fits(rank: object, fields: list[str]) -> bool:
    """Whether a cursor can be compared with objects ranked by `fields`."""
    if not isinstance(rank, list) or len(rank) != len(fields) + 1:
        return False
    pairs = all(isinstance(each, list) and len(each) == 2 for each in rank[:-1])
    return pairs and isinstance(rank[-1], int)


def _named(args: Arguments) -> list[Test]:
    """Parameters that may be repeated and must be equal to a field."""
    tests: list[Test] = []
    equal: Mapping[str, str] = {
        "id": "id",
        "slug": "slug",
        "version": "version",
        "ticker": "ticker",
    }
    for name, field in equal.items():
        if wanted := args.getlist(name):
            tests.append(_is_one_of(field, wanted))
    return tests


def _is_one_of(field: str, wanted: list[str]) -> Test:
    return lambda obj: obj.get(field) in wanted


def _holds_one_of(field: str, wanted: list[str]) -> Test:
    def test(obj: Obj) -> bool:
        ids = obj.get(field) or []
        if isinstance(ids, str):
            ids = orjson.loads(ids)
        return any(each in wanted for each in ids)

    return test


def _of_markets(args: Arguments) -> list[Test]:
    tests: list[Test] = []
    if wanted := args.getlist("condition_ids"):
        padded = [text.lower().ljust(CONDITION_CHARS, "0") for text in wanted]
        tests.append(_is_one_of("conditionId", padded))
    for name, field in (("clob_token_ids", "clobTokenIds"), ("position_ids", "positionIds")):
        if wanted := args.getlist(name):
            tests.append(_holds_one_of(field, wanted))
    equal = {
        "question_ids": "questionID",
        "uma_resolution_status": "umaResolutionStatus",
        "resolution_status": "resolutionStatus",
        "sports_market_types": "sportsMarketType",
    }
    for name, field in equal.items():
        if wanted := args.getlist(name):
            tests.append(_is_one_of(field, wanted))
    rfq = flag(args, "rfq_enabled")
    if rfq is not None:
        tests.append(lambda obj: bool(obj.get("rfqEnabled")) is rfq)
    return tests


def _of_events(args: Arguments) -> list[Test]:
    tests: list[Test] = []
    for name, field in (("series_id", "id"), ("series_slug", "slug")):
        if wanted := args.getlist(name):
            tests.append(_inside("series", field, wanted))
    if recurrence := args.get("recurrence"):
        tests.append(_inside("series", "recurrence", [recurrence]))
    if words := args.get("title_search"):
        low = words.lower()
        tests.append(lambda obj: low in str(obj.get("title", "")).lower())
    for name in ("featured", "live", "cyom"):
        asked = flag(args, name)
        if asked is not None:
            tests.append(_is_flag(name, asked))
    return tests


def _is_flag(field: str, asked: bool) -> Test:
    return lambda obj: bool(obj.get(field)) is asked


def _inside(field: str, key: str, wanted: list[str]) -> Test:
    return lambda obj: any(str(each.get(key)) in wanted for each in obj.get(field) or [])


def _tagged(args: Arguments) -> list[Test]:
    tests: list[Test] = []
    if wanted := args.getlist("tag_id"):
        if args.get("tag_match") == "all":
            tests += [_inside("tags", "id", [each]) for each in wanted]
        else:
            tests.append(_inside("tags", "id", wanted))
    if slugs := args.getlist("tag_slug"):
        tests.append(_inside("tags", "slug", slugs))
    if unwanted := args.getlist("exclude_tag_id"):
        inside = _inside("tags", "id", unwanted)
        tests.append(lambda obj: not inside(obj))
    return tests


def _ranges(args: Arguments, kind: str) -> list[Test]:
    start = "startTime" if kind == "events" else "eventStartTime"
    dates = {"end_date": "endDate", "start_date": "startDate", "start_time": start}
    numbers = {"volume_num": "volumeNum", "liquidity_num": "liquidityNum"}
    if kind == "events":
        numbers = {"volume": "volume", "liquidity": "liquidity"}
    tests: list[Test] = []
    for name, field in dates.items():
        tests += _between(args, name, field, _moment)
    for name, field in numbers.items():
        tests += _between(args, name, field, _number)
    return tests


def _between(
    args: Arguments, name: str, field: str, read: Callable[[str, str], float]
) -> list[Test]:
    tests: list[Test] = []
    if low := args.get(f"{name}_min"):
        least = read(low, name)
        tests.append(lambda obj: field in obj and read(str(obj[field]), field) >= least)
    if high := args.get(f"{name}_max"):
        most = read(high, name)
        tests.append(lambda obj: field in obj and read(str(obj[field]), field) <= most)
    return tests


def _moment(text: str, name: str) -> float:
    # A plus sign of a query that was not escaped arrives as a blank.
    plain = text[:-6] + "+" + text[-5:] if text[-6:-5] == " " else text
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        raise QueryRefused(f"{name}: expected a time, found {text!r:.40}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise QueryRefused(f"{name}: expected a number, found {text!r:.40}")
    return number
