"""What a decoder is: frames of one feed in, events out, without sockets, clocks or tasks.

The same object serves the live feed, the replay of a raw recording and the importers.
"""

from collections import Counter
from typing import Final, Protocol

from polytrade.core.events import Event, FeedGap

SAMPLE_MAX: Final = 512
"""Bytes of an offending frame that are kept: enough to see its shape and its type."""
UNKNOWN_MAX: Final = 64
"""Names of unknown messages told apart: venues have about ten types; the rest is noise."""
UNKNOWN_NAME_MAX: Final = 64
"""Characters kept of such a name: the longest known topic has 25."""


class WireError(Exception):
    """A frame of the venue that does not say what its protocol promises.

    `source` names the feed, `reason` the field, its value and what was expected, `sample` holds at
    most the first `SAMPLE_MAX` bytes of the frame.
    """

    def __init__(self, source: str, reason: str, sample: str | bytes = b"") -> None:
        raw = sample if isinstance(sample, bytes) else sample[:SAMPLE_MAX].encode(errors="replace")
        super().__init__(source, reason)
        self.source = source
        self.reason = reason
        self.sample = raw[:SAMPLE_MAX]

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"

    def __repr__(self) -> str:
        return f"WireError({self.source!r}, {self.reason!r}, {self.sample!r})"


class Decoder(Protocol):
    """Turns frames of one feed into events."""

    unknown: Counter[str]
    """Messages that were understood to be of no use here, by what they called themselves."""

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """The events of one frame, stamped `ts_ns`; empty for keepalives and acknowledgements.

        Unknown messages are counted in `unknown` and give nothing. Raises WireError when the
        frame is malformed or misses a field; the decoder stays usable.
        """


def decode_or_gap(
    decoder: Decoder, source: str, frame: str | bytes, ts_ns: int
) -> tuple[list[Event], WireError | None]:
    """Decode a frame; one that cannot be read becomes a FeedGap of the whole source.

    The caller counts the error and quarantines its sample. Never raises WireError.
    """
    try:
        return decoder.decode(frame, ts_ns, source), None
    except WireError as error:
        return [FeedGap(ts_ns, source, "", "malformed")], error


def count_unknown(unknown: Counter[str], name: object) -> None:
    """Count a message of no use by its own name; names beyond `UNKNOWN_MAX` count as `other`."""
    text = name[:UNKNOWN_NAME_MAX] if isinstance(name, str) else type(name).__name__
    unknown[text if text in unknown or len(unknown) < UNKNOWN_MAX else "other"] += 1
