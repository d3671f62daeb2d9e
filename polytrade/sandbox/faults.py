"""What a local venue can be told to do wrong: one table, bounded, by name.

The table is what `POST /admin/fault` and scenarios accept, what is answered to what they do not,
and what the documentation is made of. The playback venue knows the kinds marked so.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

COUNT_MAX: Final = 10_000
"""Frames or requests one fault may touch: a minute of a busy market."""
SECONDS_MAX: Final = 3600.0
SKEW_MS_MAX: Final = 3_600_000
DRAIN_MS: Final = 100
LATE_MS: Final = 3_000
"""An answer or a frame this late is later than a bot should wait for."""
WAIT_MS_MAX: Final = 60_000
"""Longest an answer or a frame is held: the official clients give up after 10 s."""
DRAIN_MS_MAX: Final = 10_000
RESTART_S: Final = 30.0
POST_ONLY_S: Final = 10.0
"""Post-only after a restart; the venue's own is about two minutes (protocols 2.6)."""
RETRY_S: Final = 1.0
JUMP_BPS: Final = 20
JUMP_BPS_MAX: Final = 1000
TICKS: Final = ("0.1", "0.01", "0.005", "0.0025", "0.001", "0.0001")
GAMMA_MODES: Final = ("500", "404", "garbage")
LIVE_GAMMA_MODES: Final = (*GAMMA_MODES, "stale")
CALLS: Final = ("place", "cancel", "read", "all")


@attrs.frozen
class FaultKind:
    """One fault: what it does and the fields it takes besides `kind` (name -> what is expected).

    `needs` are fields without a default. `seconds` is how long it lasts when not told (None: until
    cleared), `ms` the wait when not told. `playback` tells that the playback venue has it too.
    """

    does: str
    fields: Mapping[str, str] = {}
    needs: tuple[str, ...] = ()
    seconds: float | None = None
    ms: int = 0
    playback: bool = False


_ENDPOINT: Final = {"endpoint": "socket endpoint, default market"}
_TARGET: Final = {
    **_ENDPOINT,
    "connection": "id of one connection, default every connection of the endpoint",
}
_COUNTED: Final = {**_TARGET, "n": f"frames, 1 to {COUNT_MAX}, default 1"}
_SECONDS: Final = f"seconds, 0 to {SECONDS_MAX:g}"
_LASTING: Final = {"seconds": f"{_SECONDS}, default until `clear`"}
_TYPE: Final = {"type": "type of message such as book, price_change, order, trade; default any"}
_FRAMES: Final = {"n": f"frames, 1 to {COUNT_MAX}, default 1"}
_REQUESTS: Final = {"n": f"requests, 1 to {COUNT_MAX}, default 1"}
_HELD: Final = {"ms": f"milliseconds, 0 to {WAIT_MS_MAX}, default {LATE_MS}"}

_SOCKET_FAULTS: Final[Mapping[str, FaultKind]] = {
    "freeze": FaultKind(
        "data stops, keepalives are still answered; without `connection` new connections too",
        {**_TARGET, **_LASTING},
        playback=True,
    ),
    "garbage": FaultKind(
        "the next frames are replaced by what is not JSON", _COUNTED, playback=True
    ),
    "truncate": FaultKind("the next frames are cut in half", _COUNTED, playback=True),
    "drop_price_change": FaultKind(
        "the next market-channel frames with a price_change are lost", _COUNTED, playback=True
    ),
    "duplicate": FaultKind("the next frames are sent twice", _COUNTED, playback=True),
    "reorder": FaultKind("the next pairs of frames change places", _COUNTED, playback=True),
    "drop": FaultKind(
        "the next frames are lost for every client of the endpoint",
        {**_ENDPOINT, **_TYPE, **_FRAMES},
    ),
    "delay": FaultKind(
        "the next frames come late for every client of the endpoint; others overtake them",
        {**_ENDPOINT, **_TYPE, **_FRAMES, **_HELD},
        ms=LATE_MS,
    ),
    "slow_drain": FaultKind(
        "each frame takes so long to be written; the client is closed as slow when too many wait",
        {
            **_TARGET,
            "ms": f"milliseconds a frame, 0 to {DRAIN_MS_MAX}, default {DRAIN_MS}",
            **_LASTING,
        },
        ms=DRAIN_MS,
        playback=True,
    ),
    "close_mid_frame": FaultKind(
        "the TCP connection is closed inside a frame", _TARGET, playback=True
    ),
    "disconnect": FaultKind("the TCP connections are closed", _TARGET, playback=True),
    "kill": FaultKind(
        "the endpoint closes its connections and stops listening",
        {
            "endpoint": "endpoint, default every one but admin",
            "seconds": f"{_SECONDS}, default 1",
        },
        seconds=1.0,
        playback=True,
    ),
}

_TRADING_FAULTS: Final[Mapping[str, FaultKind]] = {
    "restart": FaultKind(
        "the matching engine restarts: 425 on every trading path, market and user feed quiet, then "
        "only post-only orders and cancels for a while",
        {
            "seconds": f"{_SECONDS}, default {RESTART_S:g}",
            "post_only_seconds": f"{_SECONDS}, default {POST_ONLY_S:g}",
        },
        seconds=RESTART_S,
    ),
    "cancel_only": FaultKind("new orders are answered with 503, cancels work", _LASTING),
    "post_only": FaultKind(
        "orders that are not post-only are answered with 503 post_only_mode, cancels work", _LASTING
    ),
    "trading_disabled": FaultKind("orders and cancels are answered with 503", _LASTING),
    "rate_limit": FaultKind(
        "the next requests are answered with 429 and Retry-After",
        {
            "calls": " | ".join(CALLS) + ", default place",
            **_REQUESTS,
            "retry_s": f"{_SECONDS}, default {RETRY_S:g}",
        },
    ),
    "forbidden": FaultKind("the CLOB is answered for by a proxy: 403 and a page of HTML", _LASTING),
    "unauthorized": FaultKind("API keys are not known: 401", _LASTING),
    "lost_answer": FaultKind(
        "the next orders are taken, and the connection ends without a whole answer", _REQUESTS
    ),
    "late_answer": FaultKind(
        "the next orders are taken at once and answered late",
        {**_REQUESTS, **_HELD},
        ms=LATE_MS,
    ),
    "failed_trades": FaultKind(
        "so many of the trades matched from now on fail, or are retried, on chain",
        {
            "rate": "share that fails, 0 to 1, default 1",
            "retry_rate": "share that is retried first, 0 to 1, default 0",
            **_LASTING,
        },
    ),
    "heartbeat_expiry": FaultKind(
        "every heartbeat under way counts as missed: the orders behind it are cancelled"
    ),
}

_WORLD_FAULTS: Final[Mapping[str, FaultKind]] = {
    "tick_size": FaultKind(
        "the market of the token gets another tick, told for both tokens, twice, as the venue "
        "does; live, resting orders off the new grid are cancelled; played back, the books follow "
        "it until the capture tells a tick of its own",
        {
            "asset": "token id; live also the beginning of a running market's slug",
            "tick": f"{' | '.join(TICKS)}, default 0.001",
        },
        needs=("asset",),
        playback=True,
    ),
    "gamma": FaultKind(
        "Gamma answers wrong; stale is as it was when the fault began",
        {"mode": f"{' | '.join(LIVE_GAMMA_MODES)} (played back, not stale)", **_LASTING},
        needs=("mode",),
        playback=True,
    ),
    "missing_strike": FaultKind("Gamma tells no priceToBeat", _LASTING),
    "missing_report": FaultKind(
        "no relay brings the settlement report of the second the next window begins",
        {"coin": "coin such as btc, default every coin"},
    ),
    "price_jump": FaultKind(
        "the price everybody trades around jumps",
        {
            "coin": "coin such as btc, default every coin",
            "bps": f"basis points, -{JUMP_BPS_MAX} to {JUMP_BPS_MAX}, default {JUMP_BPS}",
        },
    ),
    "price_stall": FaultKind(
        "no prices come, the connection and its keepalives are fine",
        {
            "endpoint": "rtds, polybolt or an exchange; default every one of them",
            **_LASTING,
        },
    ),
    "clock_skew": FaultKind(
        "/time is off; so are the stamps of a live venue's REST",
        {"ms": f"milliseconds, -{SKEW_MS_MAX} to {SKEW_MS_MAX}"},
        needs=("ms",),
        playback=True,
    ),
    "clear": FaultKind("every fault still in force ends", playback=True),
}

FAULTS: Final[Mapping[str, FaultKind]] = {**_SOCKET_FAULTS, **_TRADING_FAULTS, **_WORLD_FAULTS}


def fault_table() -> Iterator[str]:
    """The table as the documentation has it, in Markdown, a line a row."""
    yield "| kind | what it does | fields | played back |"
    yield "|---|---|---|---|"
    for kind, fault in FAULTS.items():
        fields = "; ".join(
            f"`{name}`: {takes}".replace("|", "\\|") for name, takes in fault.fields.items()
        )
        yield f"| `{kind}` | {fault.does} | {fields} | {'yes' if fault.playback else ''} |"


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
                kind: {
                    "does": fault.does,
                    "fields": dict(fault.fields),
                    "playback": fault.playback,
                }
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
    type: str = ""
    calls: str = "place"
    retry_s: float = RETRY_S
    rate: float = 1.0
    retry_rate: float = 0.0
    coin: str = ""
    bps: float = JUMP_BPS
    post_only_seconds: float = POST_ONLY_S


def parse_fault(body: object, *, playback: bool = True) -> FaultOrder:
    """An order as JSON or TOML has it, checked against the table of this sort of venue.

    Raises FaultRefused with field, value and expectation.
    """
    if not isinstance(body, dict):
        raise FaultRefused("expected a JSON object with a kind")
    kind = body.get("kind")
    fault = FAULTS.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or fault is None:
        raise FaultRefused(f"unknown kind {kind!r}")
    if playback and not fault.playback:
        raise FaultRefused(f"{kind}: a capture played back cannot do this, only the live venue can")
    for name in body:
        if name != "kind" and name not in fault.fields:
            raise FaultRefused(f"{kind} takes no field {name!r}")
    for name in fault.needs:
        if body.get(name) is None:
            raise FaultRefused(f"{name}: expected {_MISSING[name]}")
    read: dict[str, Any] = {"seconds": fault.seconds, "ms": fault.ms}
    for name, value in body.items():
        if name != "kind" and value is not None:
            read[name] = _field(kind, name, value, playback)
    return FaultOrder(kind, **read)


_MISSING: Final = {
    "asset": "a token id, found None",
    "mode": "what Gamma is to answer, found nothing",
    "ms": "milliseconds, found nothing",
}
_NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "connection": (1, 2**31),
    "n": (1, COUNT_MAX),
    "seconds": (0, SECONDS_MAX),
    "post_only_seconds": (0, SECONDS_MAX),
    "retry_s": (0, SECONDS_MAX),
    "bps": (-JUMP_BPS_MAX, JUMP_BPS_MAX),
    "rate": (0, 1),
    "retry_rate": (0, 1),
    "ms": (0, WAIT_MS_MAX),
}
_WHOLE: Final = ("connection", "n", "ms")
_CHOICES: Final = {"calls": CALLS, "mode": LIVE_GAMMA_MODES, "tick": TICKS}


def _field(kind: str, name: str, value: object, playback: bool) -> object:
    """A field's value; raises FaultRefused."""
    if name in _NUMBERS:
        low, high = _NUMBERS[name]
        if name == "ms" and kind == "clock_skew":
            low, high = -SKEW_MS_MAX, SKEW_MS_MAX
        elif name == "ms" and kind == "slow_drain":
            high = DRAIN_MS_MAX
        number = _number(name, value, low, high)
        if name not in _WHOLE:
            return float(number)
        if number != int(number):
            raise FaultRefused(f"{name}: expected a whole number, found {value!r}")
        return int(number)
    if name in _CHOICES:
        allowed = GAMMA_MODES if name == "mode" and playback else _CHOICES[name]
        if value not in allowed:
            raise FaultRefused(f"{name}: expected one of {', '.join(allowed)}, found {value!r}")
    elif not isinstance(value, str):
        expected = "a token id" if name == "asset" else "text"
        raise FaultRefused(f"{name}: expected {expected}, found {value!r}")
    return value


def _number(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FaultRefused(f"{name}: expected a number from {low:g} to {high:g}, found {value!r}")
    return value


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
