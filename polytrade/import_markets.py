"""Gamma market objects for foreign captures, which seldom brought any.

What a recorder noted beside its capture is turned into Gamma's own form, so that `gamma.py` reads
it like the real thing. Where nothing was noted, markets are made up from the assets in the frames:
flagged in `note`, good for books and flow, not for which outcome is which.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from polytrade.captures import CaptureRecord
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.subjects import window_of_slug

GUESSED_NOTE: Final = "made up from the frames: names, dates, fees and the order of outcomes"
SIDECAR_NOTE: Final = "from the market list beside the capture"
OPEN_AFTER_S: Final = 3600
"""A made-up market ends this long after its last frame, so that it is open during all of them."""
MARKETS_MAX: Final = 100_000
"""Markets made up of one capture: a day of all crypto windows is about 10,000."""
_FIRST: Final = ("up", "yes")
_SECOND: Final = ("down", "no")

Obj = dict[str, Any]


def gamma_market(
    condition: str,
    slug: str,
    tokens: tuple[str, str],
    window_s: tuple[int, int],
    note: str,
    **more: Any,
) -> Obj:
    """A market object as Gamma writes it, open for orders; `more` overrides single fields."""
    names = ["Yes", "No"] if "-updown-" not in slug else ["Up", "Down"]
    return {
        "id": "",
        "conditionId": condition,
        "slug": slug,
        "question": slug,
        "outcomes": orjson.dumps(names).decode(),
        "outcomePrices": '["0.5","0.5"]',
        "clobTokenIds": orjson.dumps(list(tokens)).decode(),
        "eventStartTime": _time(window_s[0]),
        "endDate": _time(window_s[1]),
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "negRisk": False,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "note": note,
        **more,
    }


def _time(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sidecar_markets(capture: Path) -> list[Obj]:
    """Markets noted in `markets.json` or `markets.jsonl` beside the capture; none when absent.

    Entries that lack a condition, a slug or two tokens are left out.
    """
    found: list[Obj] = []
    noted = capture.with_name("markets.json")
    if noted.is_file():
        body = _loads(noted.read_bytes())
        entries = body.values() if isinstance(body, dict) else body or []
        found += [market for entry in entries if (market := _short_form(entry)) is not None]
    noted = capture.with_name("markets.jsonl")
    if noted.is_file():
        entries = [_loads(line) for line in noted.read_bytes().splitlines() if line.strip()]
        found += [market for entry in entries if (market := _long_form(entry)) is not None]
    return found


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _short_form(entry: Any) -> Obj | None:
    """`{slug, conditionId, startTs, endTs, tickSize, minOrderSize, upTokenId, downTokenId}`."""
    try:
        return gamma_market(
            entry["conditionId"],
            entry["slug"],
            (entry["upTokenId"], entry["downTokenId"]),
            (int(entry["startTs"]), int(entry["endTs"])),
            SIDECAR_NOTE,
            orderPriceMinTickSize=entry.get("tickSize"),
            orderMinSize=entry.get("minOrderSize"),
            feesEnabled=True,
        )
    except (KeyError, TypeError, ValueError):
        return None


def _long_form(entry: Any) -> Obj | None:
    """`{condition_id, slug, outcomes: [{token_id, outcome}], start_ts, end_ts, ...}`, ms."""
    try:
        fees = entry.get("fee_parameters") or {}
        first, second = (outcome["token_id"] for outcome in entry["outcomes"])
        return gamma_market(
            entry["condition_id"],
            entry["slug"],
            (first, second),
            (int(entry["start_ts"]) // 1000, int(entry["end_ts"]) // 1000),
            SIDECAR_NOTE,
            id=str(entry.get("market_id", "")),
            question=entry.get("title", ""),
            resolutionSource=entry.get("resolution_source", ""),
            orderPriceMinTickSize=entry.get("tick_size"),
            orderMinSize=entry.get("min_order_size"),
            feesEnabled=fees.get("fees_enabled") is True,
            feeSchedule=fees.get("raw_fee_config"),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


@attrs.define
class _Seen:
    """What the frames told of one market."""

    assets: dict[str, None] = attrs.field(factory=dict)
    first: str = ""
    tick: str = ""
    min_size: str = ""
    neg_risk: bool = False
    from_ns: int = 0
    to_ns: int = 0


def synthesise_markets(
    records: Iterable[CaptureRecord], slugs: Mapping[str, str] | None = None
) -> list[Obj]:
    """Gamma-like markets of every market in the frames, in the order they appeared.

    The two assets of a market pair; for one that never showed its complement an id is made up.
    The first asset seen counts as outcome 0 unless a `market_resolved` says otherwise. `slugs`
    gives names of markets where they are known. Frames that are not JSON are passed over.
    """
    seen: dict[str, _Seen] = {}
    for record in records:
        source = record.source.partition("/")[0]
        if record.frame is None or source not in ("polymarket.market", "clob.book"):
            continue
        try:
            body = orjson.loads(record.frame)
        except orjson.JSONDecodeError:
            continue
        for message in body if isinstance(body, list) else [body]:
            if isinstance(message, dict) and message.get("event_type") != "new_market":
                _notice(seen, message, record.recv_ts_ns)
    return [_guess(market, what, (slugs or {}).get(market, "")) for market, what in seen.items()]


def _notice(seen: dict[str, _Seen], message: Obj, ts_ns: int) -> None:
    market = message.get("market")
    if not isinstance(market, str) or (market not in seen and len(seen) >= MARKETS_MAX):
        return
    what = seen.setdefault(market, _Seen(from_ns=ts_ns))
    what.to_ns = ts_ns
    changes = message.get("price_changes")
    for entry in [message, *(changes if isinstance(changes, list) else [])]:
        asset = entry.get("asset_id") if isinstance(entry, dict) else None
        if isinstance(asset, str):
            what.assets[asset] = None
    pair = message.get("assets_ids")
    if isinstance(pair, list):
        what.assets.update({asset: None for asset in pair if isinstance(asset, str)})
    outcome, winner = message.get("winning_outcome"), message.get("winning_asset_id")
    if isinstance(outcome, str) and isinstance(winner, str):
        others = [asset for asset in what.assets if asset != winner]
        if outcome.lower() in _FIRST:
            what.first = winner
        elif outcome.lower() in _SECOND and len(others) == 1:
            what.first = others[0]
    tick = message.get("tick_size") or message.get("old_tick_size")
    if isinstance(tick, str) and not what.tick:
        what.tick = tick
    if isinstance(message.get("min_order_size"), str):
        what.min_size = message["min_order_size"]
    what.neg_risk = what.neg_risk or message.get("neg_risk") is True


def _guess(market: str, what: _Seen, slug: str) -> Obj:
    assets = list(what.assets)[:2]
    if what.first in assets:
        assets.sort(key=lambda asset: asset != what.first)
    while len(assets) < 2:
        seed = f"{market}/{len(assets)}".encode()
        assets.append(str(int.from_bytes(hashlib.sha256(seed).digest())))
    window = window_of_slug(slug)
    return gamma_market(
        market,
        slug or f"unknown-{market[2:12]}",
        (assets[0], assets[1]),
        window or (what.from_ns // SECOND_NS, what.to_ns // SECOND_NS + OPEN_AFTER_S),
        GUESSED_NOTE,
        orderPriceMinTickSize=what.tick or 0.01,
        orderMinSize=what.min_size or 5,
        negRisk=what.neg_risk,
        feesEnabled=window is not None,
    )
