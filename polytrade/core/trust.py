"""How far a book is to be believed: COLD, SYNCED, SUSPECT or STALE, each with its reason.

A first hash that does not fit makes a synced book *unverified* (messages arrive out of order at
live speed); a fitting hash clears it; none within the reorder window makes the book SUSPECT. The
same goes for what can be seen without a hash: a crossed book, or best prices other than stated. A
suspect or stale book is not quoted on until a fresh snapshot, or a fitting hash, restores it. What
comes late, by the venue's own stamps, keeps no book alive and does not end a silence.
"""

from typing import Final, final

from polytrade.core.book import MATCHED, MISMATCHED

COLD: Final = "cold"
SYNCED: Final = "synced"
SUSPECT: Final = "suspect"
STALE: Final = "stale"

ENFORCE: Final = "enforce"
WARN: Final = "warn"
OFF: Final = "off"

SILENT: Final = "silent"
"""The reason of a stale book whose feed was not lost: the next message that fits restores it."""


@final
class BookTrust:
    """The trust state of one book and the counts of its checks.

    `matched`, `mismatched`, `not_checkable` count messages; `turned_*` count changes: into doubt,
    out of it (by a hash, a snapshot, or best prices as stated), and to SUSPECT.
    `quiet` is kept from when the book turned stale for its silence until it is believed again.
    `unverified_ns` is when a synced book came into doubt, 0 while it is in none; `resyncs` counts
    the snapshots asked for since it was last believed.
    """

    __slots__ = (
        "_by_hash",
        "checking",
        "last_ns",
        "matched",
        "mismatched",
        "mode",
        "not_checkable",
        "quiet",
        "reason",
        "reorder_ns",
        "resyncs",
        "state",
        "turned_suspect",
        "turned_unverified",
        "turned_verified",
        "unverified_ns",
    )

    def __init__(self, mode: str, reorder_ns: int) -> None:
        self.mode = mode
        self.reorder_ns = reorder_ns
        self.state = COLD
        self.reason = "no snapshot yet"
        self.checking = mode != OFF
        self.last_ns = 0
        self.unverified_ns = 0
        self.matched = 0
        self.mismatched = 0
        self.not_checkable = 0
        self.turned_unverified = 0
        self.turned_verified = 0
        self.turned_suspect = 0
        self.resyncs = 0
        self.quiet = False
        self._by_hash = False

    @property
    def valid(self) -> bool:
        """Whether decisions may rest on the book."""
        return self.state == SYNCED

    @property
    def verified(self) -> bool:
        """Whether the book is believed and nothing speaks against it."""
        return self.state == SYNCED and not self.unverified_ns

    def on_snapshot(
        self, verdict: int, crossed: bool, ts_ns: int, *, rest: bool = False, late: bool = False
    ) -> None:
        """A full book arrived with this verdict on its own hash.

        One from REST does not end STALE: it does not prove that the socket lives, and without that
        it is out of date at once. Nor does one of an earlier moment (`late`) after a silence: it
        shows the book as it stood. The socket's next message or book restores it.
        """
        first = self.state == COLD and not self.matched
        self._count(verdict)
        if self.state == STALE and (rest or (late and self.quiet)):
            return
        self.last_ns = ts_ns
        if verdict == MISMATCHED and first:
            # The venue hashes something we do not know for this market: never guess, never check.
            self.checking = False
        if crossed:
            self._fail("crossed snapshot")
        elif verdict == MISMATCHED and self.checking and self.mode == ENFORCE:
            self._fail("snapshot hash does not fit")
        else:
            self._count_verified()
            self._believe()

    def on_change(self, verdict: int, doubtful: bool, ts_ns: int, late: bool = False) -> None:
        """One level changed, with this verdict on the newest hash; `late` as in `on_snapshot`.

        `doubtful` is what can be seen without a hash: a crossed book, or best prices that are not
        those the newest message states.
        """
        self._count(verdict)
        if late and self.state == STALE:
            return
        if not late:
            self.last_ns = ts_ns
        self._weigh(verdict, doubtful, ts_ns)

    def on_merged(self, verdict: int, doubtful: bool, ts_ns: int) -> None:
        """A snapshot older than the newest change was taken in: what the newest hash says now."""
        self._weigh(verdict, doubtful, ts_ns)

    def on_loss(self, state: str, reason: str) -> None:
        """Something of the feed was lost (SUSPECT) or stopped (STALE); a stale book stays so."""
        if self.state == COLD:
            return
        if state == SUSPECT and self.state != STALE:
            self._fail(reason)
        else:
            self.state = STALE
            # A feed that was cut for its silence is lost: its next message restores nothing.
            self.reason = "disconnected" if reason == SILENT else reason
            self.unverified_ns = 0

    def on_time(self, ts_ns: int, stale_ns: int) -> None:
        """Time passed: an unverified book runs out of its window, a silent one turns stale.

        `stale_ns` is 0 for a market that may be silent.
        """
        if self.state != SYNCED:
            return
        if self.unverified_ns and ts_ns - self.unverified_ns > self.reorder_ns:
            if self.mode == ENFORCE:
                self._fail(
                    "no hash fitted within the reorder window"
                    if self._by_hash
                    else "crossed, or best prices other than stated"
                )
            else:
                self.unverified_ns = 0
        elif stale_ns and ts_ns - self.last_ns > stale_ns:
            self.state = STALE
            self.reason = SILENT
            self.quiet = True
            self.unverified_ns = 0

    def _weigh(self, verdict: int, doubtful: bool, ts_ns: int) -> None:
        if self.state == COLD:
            return
        if verdict == MISMATCHED or doubtful:
            if self.state == SYNCED and not self.unverified_ns:
                self.unverified_ns = ts_ns
                self.turned_unverified += 1
                self._by_hash = False
            self._by_hash = self._by_hash or verdict == MISMATCHED
        elif verdict == MATCHED:
            self._count_verified()
            self._believe()
        elif self.unverified_ns and not self._by_hash:
            self.unverified_ns = 0
            self.turned_verified += 1
        fits = not doubtful and (verdict != MISMATCHED or self.mode != ENFORCE)
        if fits and self.state == STALE and self.reason == SILENT:
            self._believe()

    def _count_verified(self) -> None:
        if self.unverified_ns or self.state in (SUSPECT, STALE):
            self.turned_verified += 1

    def _believe(self) -> None:
        self.state = SYNCED
        self.reason = ""
        self.quiet = False
        self.unverified_ns = 0
        self.resyncs = 0

    def _fail(self, reason: str) -> None:
        if self.state != SUSPECT:
            self.turned_suspect += 1
        self.state = SUSPECT
        self.reason = reason
        self.unverified_ns = 0

    def _count(self, verdict: int) -> None:
        if verdict == MATCHED:
            self.matched += 1
        elif verdict == MISMATCHED:
            self.mismatched += 1
        else:
            self.not_checkable += 1
