"""What the feed of a plugin may tell the engine; live and replay refuse the rest alike."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from polytrade.core.events import Event, FeedGap, ReferenceTicked, VolatilityQuoted
from polytrade.core.ids import ANCHOR, FAST, RELAY, TWAP30, TWAP60
from polytrade.core.judging import holdable
from polytrade.plugin_code import last_line, pass_on
from polytrade.reference.codec import FeedCodec
from polytrade.wire_roles import WireError

WHOLE_MAX: Final = 2**63
"""Bound of a whole number in a journal."""
SYMBOL_MAX: Final = 64
"""Characters of a symbol: no venue's longest instrument has 40."""
MARKET_MAX: Final = 66
"""Characters of a market: a condition id is `0x` and 64 digits."""
REASON_MAX: Final = 200
"""Characters of why something was lost."""
FAULT_MAX: Final = 400
"""Characters of what a codec raised: a line and its place."""
SYMBOLS_MAX: Final = 256
"""Symbols of a feed: the engine keeps what it knows of each as long as it runs."""
KINDS_OF_TICKS: Final = frozenset({FAST, ANCHOR, TWAP30, TWAP60, RELAY})


def check_of(codec: FeedCodec, source: str) -> Callable[[Sequence[Event], int], None]:
    """What raises ValueError for events that a plugin's feed may not give, or gives wrongly.

    The engine trusts its events: a time of the past, a price that is no whole number, or a text
    that no journal can hold, would stop the daemon.
    """
    name = codec.name
    symbols: set[str] = set()

    def check(events: Sequence[Event], ts_ns: int) -> None:
        if type(events) is not list:
            raise ValueError(f"expected a list of events, found a {type(events).__name__}")
        for event in events:
            wrong = _wrong(event, ts_ns, name, source)
            if wrong:
                raise ValueError(f"{type(event).__name__}: {wrong}")
            if isinstance(event, ReferenceTicked | VolatilityQuoted):
                if len(symbols) == SYMBOLS_MAX and event.symbol not in symbols:
                    raise ValueError(f"expected at most {SYMBOLS_MAX} symbols of a feed")
                symbols.add(event.symbol)

    return check


def fault_text(error: BaseException) -> str:
    """An error that may be a plugin's as a line that everything can hold. Raises nothing."""
    try:
        text = last_line(error)
    except BaseException as fault:  # of its own attributes
        pass_on(fault)
        text = type(error).__name__
    return text[:FAULT_MAX]


def codec_error(error: BaseException, source: str, frame: str | bytes) -> WireError:
    """What a codec raised at a frame, of our own class and as a report can hold it."""
    reason = getattr(error, "reason", None) if isinstance(error, WireError) else None
    if type(reason) is str:
        return WireError(source, holdable(reason[:FAULT_MAX]), frame)
    return WireError(source, f"codec: {fault_text(error)}", frame)


def _wrong(event: Event, ts_ns: int, name: str, source: str) -> str:
    """What is wrong with an event, empty for nothing."""
    whole: tuple[object, ...]
    texts: tuple[tuple[str, object, int], ...]
    if type(event) is FeedGap:
        home, whole = source, (event.ts_ns,)
        texts = (("market", event.market, MARKET_MAX), ("reason", event.reason, REASON_MAX))
    elif type(event) is ReferenceTicked:
        home, texts = name, (("symbol", event.symbol, SYMBOL_MAX),)
        whole = (event.ts_ns, event.price_e8, event.venue_ts_ns)
        if type(event.kind) is not int or event.kind not in KINDS_OF_TICKS:
            return f"expected a kind of tick, found {event.kind!r:.40}"
    elif type(event) is VolatilityQuoted:
        home, texts = name, (("symbol", event.symbol, SYMBOL_MAX),)
        whole = (event.ts_ns, event.expiry_ns, event.venue_ts_ms)
        if type(event.sigma) is not float or not math.isfinite(event.sigma):
            return f"expected a finite sigma, found {event.sigma!r:.40}"
    else:
        return "a feed gives ReferenceTicked, VolatilityQuoted and FeedGap"
    if event.source != home:
        return f"expected {home!r} as its source, found {event.source!r:.40}"
    if not all(isinstance(n, int) and type(n) is int and 0 <= n < WHOLE_MAX for n in whole):
        return f"expected whole numbers from 0, found {whole!r:.80}"
    for field, text, most in texts:
        if type(text) is not str or len(text) > most or holdable(text) != text:
            return f"expected a text of at most {most} characters as {field}, found {text!r:.80}"
    if event.ts_ns != ts_ns:
        return f"expected ts_ns {ts_ns}, found {event.ts_ns}"
    return ""
