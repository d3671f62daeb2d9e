"""The CLOB's public REST: books and the venue's clock (protocols 2.1, 2.2)."""

from typing import Final

import attrs
import httpx2

from polytrade.core.events import Event
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.polymarket.rest import Rest, RestError
from polytrade.polymarket.wire import RestBookDecoder
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Clock
from polytrade.wire_roles import WireError

BOOK_SOURCE: Final = "clob.book/0"


class ClobError(RestError):
    """What the CLOB's REST did not answer, or not usefully."""


@attrs.frozen
class BookAnswer:
    """A `/book` body as received at `ts_ns`, and the BookReplaced it gives (`rest` true)."""

    frame: str
    ts_ns: int
    events: list[Event]


@attrs.frozen
class TimeAnswer:
    """The venue's Unix seconds, and our clock minus the venue's in ms.

    The venue tells whole seconds: the skew is exact to half a second and half the round trip.
    """

    venue_s: int
    skew_ms: int
    round_trip_ms: int


class Clob:
    """Public calls only; every method raises ClobError."""

    def __init__(
        self,
        url: str,
        *,
        client: httpx2.AsyncClient,
        hosts: HostTable,
        clock: Clock,
        decoder: RestBookDecoder,
    ) -> None:
        self._rest = Rest(url, client=client, hosts=hosts, clock=clock, error=ClobError)
        self._clock = clock
        self._decoder = decoder

    @property
    def host(self) -> str:
        """The host asked."""
        return self._rest.host

    async def get_book(self, token: str) -> BookAnswer:
        """The book of one token; a caller queues the answer before its next await."""
        frame = await self._rest.get("/book", token_id=token)
        ts_ns = self._clock.now_ns()
        try:
            events = self._decoder.decode(frame, ts_ns, BOOK_SOURCE)
        except WireError as error:
            raise self._rest.garbage(error.reason) from error
        if not events:
            raise self._rest.garbage(f"expected the book of {token:.20}, found another")
        return BookAnswer(frame, ts_ns, events)

    async def get_time(self) -> TimeAnswer:
        """The venue's clock against ours."""
        began_ns = self._clock.now_ns()
        text = await self._rest.get("/time")
        ended_ns = self._clock.now_ns()
        try:
            venue_s = int(text)
        except ValueError:
            raise self._rest.garbage(f"expected Unix seconds, found {text:.40}") from None
        # The second told began on average half a second ago.
        venue_ns = venue_s * SECOND_NS + SECOND_NS // 2
        skew_ms = ((began_ns + ended_ns) // 2 - venue_ns) // MS_NS
        return TimeAnswer(venue_s, skew_ms, (ended_ns - began_ns) // MS_NS)
