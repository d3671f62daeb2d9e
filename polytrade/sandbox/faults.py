"""What the local venue can be told to do wrong: one table, bounded, by name.

The table is what `POST /admin/fault` accepts, what it answers when it refuses, and what the
documentation is made of.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

COUNT_MAX: Final = 10_000
"""Frames one fault may touch: a minute of a busy market."""
SECONDS_MAX: Final = 3600.0
SKEW_MS_MAX: Final = 3_600_000
DRAIN_MS: Final = 100
DRAIN_MS_MAX: Final = 10_000
GAMMA_MODES: Final = ("500", "404", "garbage")


@attrs.frozen
class FaultKind:
    """One fault: what it does and the fields it takes besides `kind` (name -> what is expected)."""

    does: str
    fields: Mapping[str, str]


_TARGET: Final = {
    "endpoint": "socket endpoint, default market",
    "connection": "id of one connection, default every connection of the endpoint",
}
_COUNTED: Final = {**_TARGET, "n": f"frames, 1 to {COUNT_MAX}, default 1"}
_SECONDS: Final = f"seconds, 0 to {SECONDS_MAX:g}"

FAULTS: Final[Mapping[str, FaultKind]] = {
    "freeze": FaultKind(
        "data stops, keepalives are still answered; without `connection` new connections too",
        {**_TARGET, "seconds": f"{_SECONDS}, default until `clear`"},
    ),
    "garbage": FaultKind("the next frames are replaced by what is not JSON", _COUNTED),
    "truncate": FaultKind("the next frames are cut in half", _COUNTED),
    "drop_price_change": FaultKind(
        "the next market-channel frames with a price_change are lost", _COUNTED
    ),
    "duplicate": FaultKind("the next frames are sent twice", _COUNTED),
    "reorder": FaultKind("the next pairs of frames change places", _COUNTED),
    "tick_size": FaultKind(
        "a tick_size_change is sent for both tokens, twice, as the venue does; the books follow it "
        "until the capture tells a tick of its own",
        {"asset": "token id", "tick": "new tick, default 0.001"},
    ),
    "slow_drain": FaultKind(
        "each frame takes so long to be written; the client is closed as slow when too many wait",
        {
            **_TARGET,
            "ms": f"milliseconds a frame, 0 to {DRAIN_MS_MAX}, default {DRAIN_MS}",
            "seconds": f"{_SECONDS}, default until `clear`",
        },
    ),
    "close_mid_frame": FaultKind("the TCP connection is closed inside a frame", _TARGET),
    "disconnect": FaultKind("the TCP connections are closed", _TARGET),
    "kill": FaultKind(
        "the endpoint closes its connections and stops listening",
        {
            "endpoint": "endpoint, default every one but admin",
            "seconds": f"{_SECONDS}, default 1",
        },
    ),
    "gamma": FaultKind(
        "Gamma answers wrong",
        {"mode": " | ".join(GAMMA_MODES), "seconds": f"{_SECONDS}, default until `clear`"},
    ),
    "clock_skew": FaultKind(
        "/time is off", {"ms": f"milliseconds, -{SKEW_MS_MAX} to {SKEW_MS_MAX}"}
    ),
    "clear": FaultKind("every fault still in force ends", {}),
}


class FaultRefused(Exception):
    """A fault order that is not in the table; says what would be."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def answer(self) -> dict[str, object]:
        """The body of the 400."""
        return {
            "error": self.reason,
            "allowed": {
                kind: {"does": fault.does, "fields": dict(fault.fields)}
                for kind, fault in FAULTS.items()
            },
        }


@attrs.frozen
class FaultOrder:
    """A fault that passed the table. `seconds` None means until cleared."""

    kind: str
    endpoint: str | None = None
    connection: int | None = None
    n: int = 1
    seconds: float | None = None
    asset: str = ""
    tick: str = "0.001"
    mode: str = ""
    ms: int = 0


def parse_fault(body: object) -> FaultOrder:
    """A JSON body as an order; raises FaultRefused with field, value and expectation."""
    if not isinstance(body, dict):
        raise FaultRefused("expected a JSON object with a kind")
    kind = body.get("kind")
    fault = FAULTS.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or fault is None:
        raise FaultRefused(f"unknown kind {kind!r}")
    for name in body:
        if name != "kind" and name not in fault.fields:
            raise FaultRefused(f"{kind} takes no field {name!r}")
    seconds: float | None = None
    if body.get("seconds") is not None:
        seconds = _number(body, "seconds", 0, SECONDS_MAX)
    elif kind == "kill":
        seconds = 1.0
    mode = str(body.get("mode", ""))
    if kind == "gamma" and mode not in GAMMA_MODES:
        raise FaultRefused(f"mode: expected one of {', '.join(GAMMA_MODES)}, found {mode!r}")
    if kind == "tick_size" and not isinstance(body.get("asset"), str):
        raise FaultRefused(f"asset: expected a token id, found {body.get('asset')!r}")
    if kind == "clock_skew" and "ms" not in body:
        raise FaultRefused("ms: expected milliseconds, found nothing")
    connection = body.get("connection")
    return FaultOrder(
        kind=kind,
        endpoint=_text(body, "endpoint"),
        connection=None if connection is None else int(_number(body, "connection", 1, 2**31)),
        n=int(_number(body, "n", 1, COUNT_MAX)) if "n" in body else 1,
        seconds=seconds,
        asset=str(body.get("asset", "")),
        tick=_tick(body),
        mode=mode,
        ms=_ms(body, kind),
    )


def _number(body: Mapping[str, Any], name: str, low: float, high: float) -> float:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FaultRefused(f"{name}: expected a number from {low:g} to {high:g}, found {value!r}")
    return value


def _ms(body: Mapping[str, Any], kind: str) -> int:
    drains = kind == "slow_drain"
    if "ms" not in body:
        return DRAIN_MS if drains else 0
    low, high = (0, DRAIN_MS_MAX) if drains else (-SKEW_MS_MAX, SKEW_MS_MAX)
    return int(_number(body, "ms", low, high))


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise FaultRefused(f"{name}: expected text, found {value!r}")
    return value


def _tick(body: Mapping[str, Any]) -> str:
    value = body.get("tick", "0.001")
    if value not in ("0.1", "0.01", "0.005", "0.0025", "0.001", "0.0001"):
        raise FaultRefused(f"tick: expected a tick size such as 0.001, found {value!r}")
    return str(value)


@attrs.define
class ConnectionFaults:
    """What is still to go wrong on one connection."""

    garbage: int = 0
    truncate: int = 0
    drop_price_change: int = 0
    duplicate: int = 0
    reorder: int = 0
    frozen_until: float = 0.0
    """In trio's time; 0 is not frozen, infinity is until cleared."""
    drain_s: float = 0.0
    drain_until: float = 0.0
    """Until then each frame written is followed by a wait of `drain_s`."""

    def clear(self) -> None:
        """Nothing more goes wrong."""
        self.garbage = self.truncate = self.drop_price_change = 0
        self.duplicate = self.reorder = 0
        self.frozen_until = self.drain_until = 0.0
