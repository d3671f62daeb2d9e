"""How the reference exchanges talk: Binance's streams, and the others' acknowledgements."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from polytrade.sandbox.connection import Selected
from polytrade.sandbox.dialects import ASSETS_MAX, Answer, Part, Played, loads


class BinanceDialect:
    """Binance spot streams (protocols 9.1): `/ws` raw, `/stream` combined; acks by id."""

    def __init__(self, path: str) -> None:
        split = urlsplit(path)
        self._combined = split.path.startswith("/stream")
        named = parse_qs(split.query).get("streams", [""])[0]
        if not self._combined:
            named = split.path.removeprefix("/ws").strip("/")
        self._streams: dict[str, None] = dict.fromkeys(filter(None, named.split("/")))

    @property
    def subscriptions(self) -> frozenset[str]:
        """The streams subscribed."""
        return frozenset(self._streams)

    def hear(self, text: str) -> list[Answer]:
        """`{"result":null,"id":n}` to SUBSCRIBE and UNSUBSCRIBE, whatever the names (9.2)."""
        order = loads(text)
        if not isinstance(order, dict):
            return [('{"error":{"code":2,"msg":"Invalid JSON"}}', "error")]
        names = [str(name) for name in order.get("params") or []]
        result: list[str] | None = None
        match order.get("method"):
            case "SUBSCRIBE":
                self._streams.update(dict.fromkeys(names))
            case "UNSUBSCRIBE":
                for name in names:
                    self._streams.pop(name, None)
            case "LIST_SUBSCRIPTIONS":
                result = list(self._streams)
            case _:
                return [('{"error":{"code":2,"msg":"Invalid request"}}', "error")]
        return [(orjson.dumps({"result": result, "id": order.get("id")}).decode(), "ack")]

    def select(self, played: Played) -> Selected | None:
        """Frames of subscribed streams, wrapped or unwrapped to the connection's form."""
        if not self._streams:
            return None
        if not played.parts:
            return Selected(played.text, played.types())
        part = played.parts[0]
        stream, form = part.keys
        if stream not in self._streams:
            return None
        text = played.text if isinstance(played.text, str) else played.text.decode()
        if self._combined and form == "raw":
            text = f'{{"stream":"{stream}","data":{text}}}'
        elif not self._combined and form == "combined":
            text = text[text.index('"data"') + 6 :].lstrip(" :")
            text = text[: text.rindex("}")]
        return Selected(text, {part.type: 1})


def binance_parts(text: str | bytes) -> tuple[Part, ...]:
    """The stream a frame belongs to, and whether it is `raw` or `combined`."""
    body = loads(text)
    if not isinstance(body, dict):
        return ()
    if isinstance(body.get("stream"), str) and isinstance(body.get("data"), dict):
        kind = body["stream"].partition("@")[2] or "other"
        return (Part(kind, (body["stream"], "combined")),)
    symbol = str(body.get("s", "")).lower()
    kind = str(body.get("e", "bookTicker" if "u" in body and "b" in body else ""))
    if not symbol or not kind:
        return ()
    return (Part(kind, (f"{symbol}@{kind}", "raw")),)


def is_ack(feed: str, text: str | bytes) -> bool:
    """Whether a captured frame answered the recorder, not the market: it is not played."""
    if feed == "polymarket.market":
        return text in ("PONG", b"PONG", "PING", b"PING")
    if len(text) > 1000:
        return False
    if text in ("pong", b"pong"):
        return True
    body = loads(text)
    if not isinstance(body, dict):
        return False
    match feed:
        case "binance":
            return "result" in body and "id" in body
        case "coinbase":
            return body.get("type") == "subscriptions"
        case "kraken":
            return "method" in body
        case "okx":
            return body.get("event") in ("subscribe", "unsubscribe")
        case "bybit":
            return body.get("op") in ("subscribe", "ping", "pong")
    return False


class ExchangeDialect:
    """The other exchanges: any subscription is acknowledged, then the frames come verbatim."""

    def __init__(self, feed: str) -> None:
        self._feed = feed
        self._named: dict[str, None] = {}

    @property
    def subscriptions(self) -> frozenset[str]:
        """The subscription requests, as written."""
        return frozenset(self._named)

    def hear(self, text: str) -> list[Answer]:
        """Pongs and acks in the exchange's own form (protocols 9.3 to 9.7)."""
        if text == "ping":
            return [("pong", "pong")]
        order = loads(text)
        if not isinstance(order, dict):
            return []
        verb = str(order.get("op") or order.get("method") or order.get("type") or "")
        if verb == "ping":
            return [(orjson.dumps(self._pong(order)).decode(), "pong")]
        if verb == "subscribe" and len(self._named) < ASSETS_MAX:
            self._named[text] = None
        elif verb == "unsubscribe":
            self._named.clear()
        return [(orjson.dumps(ack).decode(), "ack") for ack in self._acks(verb, order)]

    def _pong(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._feed == "bybit":
            pong = {"success": True, "ret_msg": "pong", "conn_id": "local", "op": "ping"}
            return {**pong, "req_id": order.get("req_id", "")}
        return {"method": "pong", "req_id": order.get("req_id")}

    def _acks(self, verb: str, order: dict[str, Any]) -> list[dict[str, Any]]:
        match self._feed:
            case "coinbase":
                channels = order.get("channels") or [order.get("channel")]
                products = order.get("product_ids", [])
                named = [{"name": name, "product_ids": products} for name in channels]
                return [{"type": "subscriptions", "channels": named}]
            case "kraken":
                params = order.get("params", {})
                return [
                    {
                        "method": verb,
                        "result": {"channel": params.get("channel"), "symbol": symbol},
                        "success": True,
                        "req_id": order.get("req_id"),
                    }
                    for symbol in params.get("symbol", [])
                ]
            case "okx":
                return [
                    {"event": verb, "arg": arg, "connId": "local"} for arg in order.get("args", [])
                ]
        return [
            {"success": True, "ret_msg": "", "conn_id": "local", "op": verb}
            | {"req_id": order.get("req_id", "")}
        ]

    def select(self, played: Played) -> Selected | None:
        """Every frame, once anything is subscribed."""
        return Selected(played.text, played.types()) if self._named else None


def exchange_parts(text: str | bytes) -> tuple[Part, ...]:
    """The type a frame of another exchange calls itself."""
    body = loads(text)
    if not isinstance(body, dict):
        return ()
    arg = body.get("arg")
    named = body.get("channel") or body.get("type") if "topic" not in body else body["topic"]
    if isinstance(arg, dict):
        named = arg.get("channel")
    return (Part(str(named or "other").partition(".")[0]),)
