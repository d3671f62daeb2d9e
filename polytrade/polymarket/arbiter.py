"""First arrival wins: one stream out of several redundant connections.

Two connections of a shard bring the same messages, each with its own delays and losses. The
arbiter forwards the first copy of a message and drops the others, whatever the interleaving.
The n-th occurrence of a key on one path is the same message as the n-th on another, so a message
the venue truly repeats is forwarded as often as the most generous path repeated it.
"""

from typing import Final

import attrs

from polytrade.core.units import SECOND_NS

GENERATION_NS: Final = 15 * SECOND_NS
"""A key lives one to two generations: longer than a twin's delay (p99.9 2.1 s, data 5) and than a
reconnect, short enough to be small."""
GENERATION_KEYS_MAX: Final = 131_072
"""Keys of a generation: 5,000 messages/s (the accepted load) for 15 s, rounded up; beyond it the
generation ends early."""
PATHS_MAX: Final = 16
"""Connections one arbiter tells apart: 4 redundant ones (`feeds.market_connections`) and room for
a replay that merges shards."""
_PATH_BITS: Final = 4
_COUNT_BITS: Final = 16
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1
_BUCKETS: Final = 256


@attrs.frozen
class PathStanding:
    """How one connection does against its twins.

    `wins` arrived first and were forwarded, `losses` arrived after a twin, `only_here` are wins no
    twin has repeated (those still on their way included). `lead_ns_p50` and `lead_ns_p99` say how
    far this path was ahead when it won, to within 25 %, 0 without samples.
    """

    path: str
    wins: int
    losses: int
    only_here: int
    lead_ns_p50: int
    lead_ns_p99: int


class _Path:
    """One path's tallies; the lead is a histogram of four buckets an octave."""

    __slots__ = ("leads", "losses", "matched", "name", "wins")

    def __init__(self, name: str) -> None:
        self.name = name
        self.wins = 0
        self.losses = 0
        self.matched = 0
        self.leads = [0] * _BUCKETS


class _Seen:
    """What is known of a key seen twice: how often on each path, and who was first last.

    A key seen once is an int instead, first arrival and path: most keys of the hot path.
    """

    __slots__ = ("counts", "first_ns", "forwarded", "matched", "winner")

    def __init__(self, first_ns: int, winner: int) -> None:
        self.counts = 1 << winner * _COUNT_BITS
        self.first_ns = first_ns
        self.winner = winner
        self.forwarded = 1
        self.matched = 0


class Arbiter:
    """Decides for each message of each path whether it is the first copy.

    Deterministic in the sequence of calls. Memory is bounded by two generations of
    `GENERATION_KEYS_MAX` keys, and a third one being emptied.
    """

    __slots__ = ("_dying", "_indices", "_old", "_paths", "_swap_ns", "_young")

    def __init__(self) -> None:
        self._young: dict[str, _Seen | int] = {}
        self._old: dict[str, _Seen | int] = {}
        self._dying: dict[str, _Seen | int] = {}
        self._swap_ns = 0
        self._paths: list[_Path] = []
        self._indices: dict[str, int] = {}

    def path_index(self, name: str) -> int:
        """The small integer `first` knows this path by; ValueError beyond `PATHS_MAX` paths."""
        index = self._indices.get(name)
        if index is None:
            index = len(self._paths)
            if index >= PATHS_MAX:
                raise ValueError(f"expected at most {PATHS_MAX} paths, found another: {name!r}")
            self._indices[name] = index
            self._paths.append(_Path(name))
        return index

    def first(self, key: str, path: int, ts_ns: int, *, once: bool = False) -> bool:
        """Whether this message, known by `key`, is to be forwarded; what may happen but `once` is
        not forwarded again, even when one path repeats it.
        """
        if ts_ns >= self._swap_ns or len(self._young) >= GENERATION_KEYS_MAX:
            self._swap(ts_ns)
        mark = ts_ns << _PATH_BITS | path
        seen = self._young.setdefault(key, mark)
        if seen is mark:
            known = self._old.get(key)
            if known is None:
                self._paths[path].wins += 1
                if self._dying:  # emptied one by one: freeing a generation at once is a stall
                    self._dying.popitem()
                return True
            seen = known
        if isinstance(seen, int):
            seen = _Seen(seen >> _PATH_BITS, seen & PATHS_MAX - 1)
        self._young[key] = seen
        return self._again(seen, path, ts_ns, once)

    def _again(self, seen: _Seen, path: int, ts_ns: int, once: bool) -> bool:
        shift = path * _COUNT_BITS
        count = (seen.counts >> shift & _COUNT_MASK) + 1
        if count <= _COUNT_MASK:
            seen.counts += 1 << shift
        if count > seen.forwarded and not once:
            seen.forwarded = count
            seen.first_ns = ts_ns
            seen.winner = path
            self._paths[path].wins += 1
            return True
        self._paths[path].losses += 1
        if count > seen.matched:
            seen.matched = count
            winner = self._paths[seen.winner]
            winner.matched += 1
            winner.leads[_bucket(ts_ns - seen.first_ns)] += 1
        return False

    def _swap(self, ts_ns: int) -> None:
        self._dying = self._old
        self._old = self._young
        self._young = {}
        self._swap_ns = ts_ns + GENERATION_NS

    def league(self) -> list[PathStanding]:
        """The standings of every path seen, in the order they appeared."""
        return [
            PathStanding(
                path.name,
                path.wins,
                path.losses,
                path.wins - path.matched,
                _quantile(path.leads, 50),
                _quantile(path.leads, 99),
            )
            for path in self._paths
        ]


def _bucket(lead_ns: int) -> int:
    """Four buckets an octave: the bit length and the two bits below the highest."""
    if lead_ns < 4:
        return max(lead_ns, 0)
    bits = lead_ns.bit_length()
    return min(bits << 2 | (lead_ns >> (bits - 3) & 3), _BUCKETS - 1)


def _bucket_top(bucket: int) -> int:
    if bucket < 4:
        return bucket
    bits = bucket >> 2
    return ((4 | bucket & 3) + 1 << bits - 3) - 1


def _quantile(buckets: list[int], percent: int) -> int:
    """The upper end of the bucket that holds the quantile; 0 when all are empty."""
    rank = -(-sum(buckets) * percent // 100)
    below = 0
    for bucket, count in enumerate(buckets):
        below += count
        if count and below >= rank:
            return _bucket_top(bucket)
    return 0
