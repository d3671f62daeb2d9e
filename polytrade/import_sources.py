"""Which of our sources a foreign frame belongs to, told from what it says."""

from typing import Any, Final

import orjson

MARKET: Final = "polymarket.market/0"
RTDS: Final = "polymarket.rtds/0"
POLYBOLT: Final = "polymarket.polybolt/0"
GAMMA: Final = "gamma/0"
REST_BOOK: Final = "clob.book/0"
BINANCE: Final = "binance/0"
BINANCE_USDM: Final = "binance.usdm/0"
"""Perpetual futures: another instrument than spot, so not a reference by default."""
COINBASE: Final = "coinbase/0"
KRAKEN: Final = "kraken/0"
OKX: Final = "okx/0"
BYBIT: Final = "bybit/0"

SPOT_HOSTS: Final = {
    ("ws", "stream.binance.com:9443"): BINANCE,
    ("ws", "stream.binance.com"): BINANCE,
    ("ws", "fstream.binance.com"): BINANCE_USDM,
    ("rest", "api.binance.com"): "binance.rest/0",
    ("ws", "ws-feed.pro.coinbase.com"): COINBASE,
    ("ws", "ws-feed.exchange.coinbase.com"): COINBASE,
    ("ws", "ws.kraken.com"): "kraken.v1/0",
    ("ws", "stream.bybit.com"): "bybit.v2/0",
    ("ws", "ws.okx.com:8443"): OKX,
    ("ws", "www.deribit.com"): "deribit/0",
}
"""(`ws` or `rest`, host) of recorded connections to sources. `kraken.v1` and `bybit.v2` are
protocols those exchanges spoke before; nothing of ours decodes them."""


def source_of(frame: str | bytes) -> str | None:
    """The source that sends such frames; None when it is no JSON or nothing known."""
    try:
        body = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return None
    if isinstance(body, list):
        body = body[0] if body else {}
    return _source(body) if isinstance(body, dict) else None


def _source(body: dict[str, Any]) -> str | None:
    keys = body.keys()
    if "event_type" in keys:
        return MARKET
    if "bids" in keys and "asks" in keys and "asset_id" in keys:
        return REST_BOOK
    if "conditionId" in keys and ("outcomes" in keys or "clobTokenIds" in keys):
        return GAMMA
    if "slug" in keys and "markets" in keys:
        return GAMMA
    if ("topic" in keys and "payload" in keys) or "statusCode" in keys:
        return RTDS
    if "channel" in keys and "payload" in keys:
        return POLYBOLT
    return _exchange(body)


def _exchange(body: dict[str, Any]) -> str | None:
    keys = body.keys()
    if "stream" in keys and "data" in keys:
        return BINANCE_USDM if _perpetual(body["data"]) else BINANCE
    if "e" in keys and "s" in keys:
        return BINANCE_USDM if _perpetual(body) else BINANCE
    if body.get("feed") in ("ticker", "trade") and "product_id" in keys:
        return "kraken.futures/0"
    if "type" in keys and ("product_id" in keys or "channels" in keys):
        return COINBASE
    if "arg" in keys and ("data" in keys or "event" in keys):
        return OKX
    if "topic" in keys and "data" in keys:
        return BYBIT
    if "method" in keys or body.get("channel") in ("ticker", "trade", "book", "heartbeat"):
        return KRAKEN
    return None


def _perpetual(data: Any) -> bool:
    """Futures depth has `pu`, futures trades `X`; neither exists on spot."""
    return isinstance(data, dict) and ("pu" in data or "X" in data)


def binance_source(head: bytes) -> str | None:
    """The one Binance source of a file by its first bytes, since a single `bookTicker` does not
    tell spot from futures; None when the file is of something else."""
    first = source_of(head.partition(b"\n")[0].partition(b" ")[2])
    if first not in (BINANCE, BINANCE_USDM):
        return None
    return BINANCE_USDM if b'"pu":' in head or b'"X":"' in head else BINANCE
