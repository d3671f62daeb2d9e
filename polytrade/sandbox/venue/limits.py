"""How often a client may ask: token buckets of a signer, sliding windows of an address.

Numbers are those of protocols 2.7. Time is the caller's, in nanoseconds that never decrease.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import attrs

from polytrade.core.units import SECOND_NS

SIGNERS_MAX: Final = 4096
"""Signers remembered; the one unseen for longest is forgotten, which gives it a full bucket."""
ADDRESSES_MAX: Final = 1024
"""Client addresses remembered, each with one counter a rule."""
TOO_MANY: Final = "Too Many Requests"
MINUTES_10_S: Final = 600


@attrs.frozen
class Tier:
    """What signers of a trading volume may do: tokens a second and burst, orders and cancels."""

    name: str
    orders_per_s: int
    orders_burst: int
    cancels_per_s: int
    cancels_burst: int


TIERS: Final[Mapping[str, Tier]] = {
    tier.name: tier
    for tier in (
        Tier("Standard", 40, 60, 80, 120),
        Tier("Copper", 60, 90, 120, 180),
        Tier("Bronze", 80, 120, 160, 240),
        Tier("Silver", 200, 300, 400, 600),
        Tier("Gold", 400, 600, 800, 1200),
        Tier("Platinum", 450, 675, 900, 1350),
        Tier("Diamond", 525, 787, 1050, 1575),
        Tier("Elite", 600, 900, 1200, 1800),
    )
}
STANDARD: Final = TIERS["Standard"]


@attrs.frozen
class Window:
    """At most `most` requests in any `seconds`, of one method or all, to a path or those below.

    A path that ends in `/` means everything below it; the empty path means every request.
    """

    method: str
    path: str
    most: int
    seconds: int = 10

    def covers(self, method: str, path: str) -> bool:
        """Whether the rule counts a request."""
        if self.method not in ("", method):
            return False
        if self.path == "" or self.path.endswith("/"):
            return path.startswith(self.path)
        return path == self.path


WINDOWS: Final = (
    Window("", "", 9000),
    *(Window("", path, 1500) for path in ("/book", "/price", "/midpoint")),
    *(Window("", path, 500) for path in ("/books", "/prices", "/midpoints")),
    Window("", "/prices-history", 1000),
    Window("", "/tick-size", 200),
    Window("GET", "/balance-allowance", 200),
    Window("GET", "/balance-allowance/update", 50),
    *(Window("GET", path, 500) for path in ("/data/orders", "/data/trades")),
    Window("", "/notifications", 125),
    Window("", "/auth/", 100),
    *(Window(method, "/order", 5000) for method in ("POST", "DELETE")),
    *(Window(method, "/order", 120_000, MINUTES_10_S) for method in ("POST", "DELETE")),
    *(Window(method, "/orders", 2000) for method in ("POST", "DELETE")),
    Window("POST", "/orders", 21_000, MINUTES_10_S),
    Window("DELETE", "/orders", 15_000, MINUTES_10_S),
    Window("DELETE", "/cancel-all", 250),
    Window("DELETE", "/cancel-all", 6000, MINUTES_10_S),
    Window("DELETE", "/cancel-market-orders", 1500),
    Window("DELETE", "/cancel-market-orders", 21_000, MINUTES_10_S),
)


@attrs.frozen
class Verdict:
    """Whether a request may go on; otherwise when it may be tried again. `headers` go out."""

    admitted: bool
    retry_after_s: int = 0
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def body(self) -> dict[str, object]:
        """What a 429 says."""
        return {"error": TOO_MANY, "retry_after_seconds": self.retry_after_s}


@attrs.define
class Bucket:
    """Tokens that come back at `per_s` a second up to `burst`; kept in 1e-9 of a token."""

    per_s: int
    burst: int
    seen_ns: int
    tokens_e9: int = 0

    def __attrs_post_init__(self) -> None:
        self.tokens_e9 = self.burst * SECOND_NS

    def refill(self, now_ns: int) -> None:
        """Add what came back since the last time."""
        elapsed_ns = max(0, now_ns - self.seen_ns)
        self.seen_ns = max(self.seen_ns, now_ns)
        full_e9 = self.burst * SECOND_NS
        self.tokens_e9 = min(full_e9, self.tokens_e9 + elapsed_ns * self.per_s)

    def wait_s(self, tokens: int) -> int:
        """Whole seconds until there are so many tokens, rounded up; 0 when there are now."""
        missing_e9 = tokens * SECOND_NS - self.tokens_e9
        return max(0, -(-missing_e9 // (self.per_s * SECOND_NS)))


@attrs.define
class _Signer:
    tier: Tier
    orders: Bucket
    cancels: Bucket


@attrs.define
class _Count:
    """Requests in the window under way and in the one before."""

    index: int = 0
    now: int = 0
    before: int = 0


class Limits:
    """What every client of a venue has used up.

    `tier` is that of a signer nobody gave another; `windows` may be empty for no address limits.
    """

    def __init__(self, tier: Tier = STANDARD, windows: tuple[Window, ...] = WINDOWS) -> None:
        self.tier = tier
        self.windows = windows
        self._signers: OrderedDict[str, _Signer] = OrderedDict()
        self._tiers: dict[str, Tier] = {}
        self._addresses: OrderedDict[str, list[_Count]] = OrderedDict()

    def set_tier(self, tier: Tier, signer: str = "") -> None:
        """From now on a signer, or every one without its own, has this tier and full buckets."""
        if not signer:
            self.tier = tier
            self._signers.clear()
        elif len(self._tiers) < SIGNERS_MAX or signer.lower() in self._tiers:
            self._tiers[signer.lower()] = tier
            self._signers.pop(signer.lower(), None)

    def tier_of(self, signer: str) -> Tier:
        """The tier in force for a signer."""
        return self._tiers.get(signer.lower(), self.tier)

    def orders(self, signer: str, entries: int, now_ns: int) -> Verdict:
        """Charge for so many new orders, or refuse all of them."""
        known = self._signer(signer, now_ns)
        return _charge(known.tier, known.orders, entries, now_ns)

    def cancels(self, signer: str, entries: int, now_ns: int) -> Verdict:
        """Charge for so many cancels, or refuse all of them."""
        known = self._signer(signer, now_ns)
        return _charge(known.tier, known.cancels, entries, now_ns)

    def cancelled(self, signer: str, entries: int, now_ns: int) -> Verdict:
        """Charge for what a cancel of everything found; the balance may become negative."""
        known = self._signer(signer, now_ns)
        known.cancels.tokens_e9 -= entries * SECOND_NS
        return Verdict(True, 0, _headers(known.tier, known.cancels, 1, now_ns))

    def address(self, client: str, method: str, path: str, now_ns: int) -> Verdict:
        """Count a request of a client address; refused when a window it falls under is full."""
        counts = self._addresses.get(client)
        if counts is None or len(counts) != len(self.windows):
            counts = self._addresses[client] = [_Count() for _ in self.windows]
            if len(self._addresses) > ADDRESSES_MAX:
                self._addresses.popitem(last=False)
        self._addresses.move_to_end(client)
        covering = [
            (window, count)
            for window, count in zip(self.windows, counts, strict=True)
            if window.covers(method, path)
        ]
        waits = [_slide(window, count, now_ns) for window, count in covering]
        if any(waits):
            wait_s = max(waits)
            return Verdict(False, wait_s, {"Retry-After": str(wait_s)})
        for _window, count in covering:
            count.now += 1
        return Verdict(True)

    def _signer(self, signer: str, now_ns: int) -> _Signer:
        name = signer.lower()
        known = self._signers.get(name)
        if known is None:
            tier = self.tier_of(name)
            known = self._signers[name] = _Signer(
                tier,
                Bucket(tier.orders_per_s, tier.orders_burst, now_ns),
                Bucket(tier.cancels_per_s, tier.cancels_burst, now_ns),
            )
            if len(self._signers) > SIGNERS_MAX:
                self._signers.popitem(last=False)
        self._signers.move_to_end(name)
        known.orders.refill(now_ns)
        known.cancels.refill(now_ns)
        return known


def _charge(tier: Tier, bucket: Bucket, entries: int, now_ns: int) -> Verdict:
    wait_s = bucket.wait_s(entries)
    if wait_s or entries > bucket.burst:
        headers = _headers(tier, bucket, min(entries, bucket.burst), now_ns)
        wait_s = max(1, wait_s)
        return Verdict(False, wait_s, {**headers, "Retry-After": str(wait_s)})
    bucket.tokens_e9 -= entries * SECOND_NS
    return Verdict(True, 0, _headers(tier, bucket, 1, now_ns))


def _headers(tier: Tier, bucket: Bucket, wanted: int, now_ns: int) -> dict[str, str]:
    return {
        "Poly-RateLimit-Remaining": str(bucket.tokens_e9 // SECOND_NS),
        "Poly-RateLimit-Reset": str(now_ns // SECOND_NS + bucket.wait_s(wanted)),
        "Poly-RateLimit-Tier": tier.name,
    }


def _slide(window: Window, count: _Count, now_ns: int) -> int:
    """Bring a count up to now; seconds to wait when its window is full, otherwise 0."""
    length_ns = window.seconds * SECOND_NS
    index, into_ns = divmod(now_ns, length_ns)
    if index != count.index:
        count.before = count.now if index == count.index + 1 else 0
        count.now = 0
        count.index = index
    # What is left of the window before, as if its requests had come evenly.
    carried = count.before * (length_ns - into_ns) // length_ns
    if count.now + carried < window.most:
        return 0
    return max(1, -(-(length_ns - into_ns) // SECOND_NS))
