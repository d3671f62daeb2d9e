"""What is wrong with the live venue now: its REST, its matching, its prices, its frames.

Everything here counts in the venue's own time, so a scenario does the same however fast it runs.
What is wrong with single connections is kept by the connections (`sandbox/endpoints.py`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from polytrade.core.units import SECOND_NS, parse_scaled
from polytrade.sandbox.dialects import Part, Played
from polytrade.sandbox.endpoints import Endpoints
from polytrade.sandbox.faults import FaultOrder, FaultRefused
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.schedule import Planned, Schedule
from polytrade.sandbox.venue.frame_faults import EXCHANGES, QUIET, Counted, FrameFaults, shown
from polytrade.sandbox.world.prices import Prices

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

FOREVER_NS: Final = 2**63 - 1
RELAYS: Final = ("rtds", "polybolt")
BOUNDARY_S: Final = 300
"""Every window begins on one of these seconds."""
JSON_TYPE: Final = {"Content-Type": "application/json"}
PROXY_PAGE: Final = (
    "<!DOCTYPE html><html><head><title>Access denied</title></head>"
    "<body><h1>Sorry, you have been blocked</h1><p>Ray ID: 0000000000000000</p></body></html>"
)


@attrs.frozen
class Answer:
    """What a request gets instead of its answer; a `body` that is text is sent as it is."""

    status: int
    body: object
    headers: Mapping[str, str] = attrs.field(factory=lambda: dict(JSON_TYPE))


@attrs.frozen
class _Mode:
    """A fault that lasts; `order` is what began it."""

    order: FaultOrder
    until_ns: int


class Troubles:
    """The faults in force at one venue; each question is answered as of the schedule's now.

    `frames` is what is wrong with frames on their way; `applied` counts the orders carried out.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.skew_ms = 0
        self.frames = FrameFaults(schedule)
        self.applied: Counter[str] = Counter()
        self._schedule = schedule
        self._modes: dict[str, _Mode] = {}
        self._counted: dict[str, Counted] = {}
        self._restart_end: Planned | None = None
        self._settled: tuple[float, float] | None = None

    # What REST asks

    def refusal(self, kind: str) -> Answer | None:
        """What a request of this kind gets instead of its answer; None when it is to be answered.

        `place` and `cancel` are orders and cancels, `auth` making, deriving and listing keys,
        `read` everything else. Counts the request against a `rate_limit`, so it is asked once.
        """
        if self._mode("forbidden"):
            return Answer(403, PROXY_PAGE, {"Content-Type": "text/html; charset=UTF-8"})
        burst = self._count_down(f"rate_limit {kind}") or self._count_down("rate_limit all")
        if burst is not None:
            wait_s = math.ceil(burst.retry_s)
            body = {"error": "Too Many Requests", "retry_after_seconds": wait_s}
            return Answer(429, body, {**JSON_TYPE, "Retry-After": str(wait_s)})
        if self.keys_revoked and kind in ("place", "cancel", "auth"):
            return Answer(401, {"error": "Unauthorized/Invalid api key"})
        if kind in ("place", "cancel"):
            return self._trading_refusal(kind)
        return None

    def _trading_refusal(self, kind: str) -> Answer | None:
        restart = self._mode("restart")
        if restart is not None:
            left_s = self._left_s(restart)
            headers = {**JSON_TYPE, "Retry-After": str(left_s)}
            return Answer(425, {"error": "the matching engine is restarting"}, headers)
        if self._mode("trading_disabled"):
            return Answer(503, {"error": "trading is disabled"})
        if kind == "place" and self._mode("cancel_only"):
            text = "the exchange is in cancel-only mode: new orders are not taken"
            return Answer(503, {"error": text})
        return None

    @property
    def post_only(self) -> bool:
        """Whether only post-only orders and cancels are taken; others get `post_only_refusal`."""
        return self._mode("post_only") is not None and not self.restarting

    def post_only_refusal(self) -> Answer:
        """The answer to an order that is not post-only (protocols 2.6)."""
        mode = self._mode("post_only")
        text = "post-only mode: only post-only orders and cancels are allowed"
        body: dict[str, object] = {"error": text, "code": "post_only_mode"}
        if mode is not None and mode.until_ns != FOREVER_NS:
            body["retry_after_seconds"] = self._left_s(mode)
        return Answer(503, body)

    @property
    def restarting(self) -> bool:
        """Whether the matching engine is away: nobody trades."""
        return self._mode("restart") is not None

    def _trades(self) -> bool:
        """Whether orders may match: resting ones are safe while REST takes no others."""
        modes = ("restart", "post_only", "cancel_only", "trading_disabled")
        return not any(self._mode(name) for name in modes)

    @property
    def keys_revoked(self) -> bool:
        """Whether no API key is known: every authenticated request is answered with 401."""
        return self._mode("unauthorized") is not None

    def take_lost_answer(self) -> bool:
        """Whether this order's answer is to be lost; counts it."""
        return self._count_down("lost_answer") is not None

    def take_late_answer_s(self) -> float:
        """How long this order's answer is held, in seconds; 0 for not at all; counts it."""
        order = self._count_down("late_answer")
        return 0.0 if order is None else order.ms / 1000

    def gamma_mode(self) -> str:
        """`500`, `404`, `garbage`, `stale`; empty when Gamma is well."""
        mode = self._mode("gamma")
        return "" if mode is None else mode.order.mode

    def missing_strike(self) -> bool:
        """Whether Gamma leaves `priceToBeat` out."""
        return self._mode("missing_strike") is not None

    # What is ordered

    def apply(self, order: FaultOrder, venue: "LocalVenue") -> int:
        """Carry out an order; how many connections, orders or markets it touched at once.

        Raises FaultRefused when what it names is not there; nothing is changed then.
        """
        venue.exchange.may_take = self._trades
        touched = self._apply(order, venue)
        self.applied[order.kind] += 1
        return touched

    def _apply(self, order: FaultOrder, venue: "LocalVenue") -> int:
        match order.kind:
            case "clear":
                return self._clear(venue)
            case "clock_skew":
                self.skew_ms = order.ms
                return 0
            case "restart":
                return self._restart(order, venue)
            case "cancel_only" | "post_only" | "trading_disabled" | "forbidden" | "unauthorized":
                return self._begin(order.kind, order)
            case "gamma" | "missing_strike":
                return self._begin(order.kind, order)
            case "rate_limit" | "lost_answer" | "late_answer":
                name = f"{order.kind} {order.calls}" if order.kind == "rate_limit" else order.kind
                self._counted[name] = Counted(order, order.n)
                return 0
            case "drop" | "delay":
                return self.frames.order(order, venue.endpoints)
            case "failed_trades":
                return self._fail_trades(order, venue.exchange)
            case "heartbeat_expiry":
                return venue.heartbeats.expire_all()
            case "tick_size":
                return self._change_tick(order, venue)
            case "missing_report" | "price_jump":
                return self._upset_prices(order, venue.prices)
            case "price_stall":
                return self._stall(order, venue)
        return venue.endpoints.apply(order)

    def _begin(self, name: str, order: FaultOrder) -> int:
        self._modes[name] = _Mode(order, self._until_ns(order.seconds))
        return 0

    def _restart(self, order: FaultOrder, venue: "LocalVenue") -> int:
        self._begin("restart", order)
        self.frames.quiet = True
        _freeze_books(venue.endpoints, math.inf)
        if self._restart_end is not None:
            self._restart_end.cancel()
        end = partial(self._end_restart, venue, order.post_only_seconds)
        self._restart_end = self._schedule.at(self._modes["restart"].until_ns, end)
        return _connected(venue.endpoints, QUIET)

    def _end_restart(self, venue: "LocalVenue", post_only_s: float) -> None:
        self._restart_end = None
        self._modes.pop("restart", None)
        ordered = self._mode("post_only")
        if ordered is None or ordered.until_ns < self._until_ns(post_only_s):
            self._begin("post_only", FaultOrder("post_only", seconds=post_only_s))
        self.frames.end_quiet()
        _freeze_books(venue.endpoints, 0.0)
        # What changed while nothing was told would be a gap nobody could see.
        for token in venue.exchange.tokens:
            text = venue.market_channel.book_dump(token)
            if text is not None:
                parts = (Part("book", (token,)),)
                venue.publish("market", Played("polymarket.market/0", text, parts))

    def _fail_trades(self, order: FaultOrder, exchange: Exchange) -> int:
        if self._settled is None:
            settings = exchange.settings
            self._settled = (settings.failed_rate, settings.retry_rate)
        exchange.settings = attrs.evolve(
            exchange.settings, failed_rate=order.rate, retry_rate=order.retry_rate
        )
        self._begin("failed_trades", order)
        until_ns = self._modes["failed_trades"].until_ns
        if until_ns != FOREVER_NS:
            self._schedule.at(until_ns, partial(self._settle, exchange))
        return 0

    def _settle(self, exchange: Exchange) -> None:
        if self._settled is not None and self._mode("failed_trades") is None:
            failed_rate, retry_rate = self._settled
            self._settled = None
            exchange.settings = attrs.evolve(
                exchange.settings, failed_rate=failed_rate, retry_rate=retry_rate
            )

    def _upset_prices(self, order: FaultOrder, prices: Prices) -> int:
        coins = list(prices.coins)
        if order.coin:
            if order.coin not in coins:
                known = ", ".join(coins)
                raise FaultRefused(f"coin: expected one of {known}, found {order.coin!r}")
            coins = [order.coin]
        now_s = self._schedule.now_ns // SECOND_NS
        for coin in coins:
            if order.kind == "price_jump":
                prices.jump(coin, order.bps)
            else:
                prices.lose_report(coin, now_s - now_s % BOUNDARY_S + BOUNDARY_S)
        return len(coins)

    def _change_tick(self, order: FaultOrder, venue: "LocalVenue") -> int:
        tokens = venue.exchange.tokens
        if order.asset in tokens:
            market = tokens[order.asset][0]
        else:
            now_s = self._schedule.now_ns // SECOND_NS
            running = [one for one in venue.calendar.active() if one.start_s <= now_s < one.end_s]
            named = [one for one in running if order.asset and one.slug.startswith(order.asset)]
            if not named:
                raise FaultRefused(
                    f"asset: expected a token, or a slug of a running market, found {order.asset!r}"
                )
            market = venue.exchange.markets[named[0].rules.condition]
        if not market.accepting:
            raise FaultRefused(f"asset: expected a market that takes orders, found {order.asset!r}")
        venue.exchange.change_tick(market.rules.condition, parse_scaled(order.tick, 4))
        return 1

    def _stall(self, order: FaultOrder, venue: "LocalVenue") -> int:
        known = [name for name in (*RELAYS, *EXCHANGES) if name in venue.endpoints]
        if order.endpoint is not None and order.endpoint not in known:
            raise FaultRefused(
                f"endpoint: expected one of {', '.join(known)}, found {order.endpoint!r}"
            )
        names = known if order.endpoint is None else [order.endpoint]
        for name in names:
            self._begin(f"price_stall {name}", attrs.evolve(order, endpoint=name))
            if name in RELAYS:
                venue.relays.stall(name, self._until_ns(order.seconds))
            else:
                self.frames.stalled_until[name] = self._until_ns(order.seconds)
        return _connected(venue.endpoints, names)

    def _clear(self, venue: "LocalVenue") -> int:
        for name in RELAYS:
            if f"price_stall {name}" in self._modes:
                venue.relays.stall(name, self._schedule.now_ns)
        restarting = self.restarting
        self._modes.clear()
        self._counted.clear()
        self.frames.clear()
        self.skew_ms = 0
        self._settle(venue.exchange)
        if restarting and self._restart_end is not None:
            self._restart_end.cancel()
            self._end_restart(venue, 0.0)
        return venue.endpoints.clear_faults()

    # What is in force

    def in_force(self) -> list[dict[str, object]]:
        """Each fault in force: kind, what it is about, seconds left (None until cleared), count."""
        found: list[dict[str, object]] = []
        for name in list(self._modes):
            mode = self._mode(name)
            if mode is not None:
                left = None if mode.until_ns == FOREVER_NS else self._left_s(mode)
                found.append(shown(mode.order, left, None))
        for counted in (*self._counted.values(), *self.frames.rules):
            found.append(shown(counted.order, None, counted.left))
        if self.skew_ms:
            found.append(shown(FaultOrder("clock_skew", ms=self.skew_ms), None, None))
        return found

    def _mode(self, name: str) -> _Mode | None:
        mode = self._modes.get(name)
        if mode is not None and mode.until_ns <= self._schedule.now_ns:
            del self._modes[name]
            return None
        return mode

    def _count_down(self, name: str) -> FaultOrder | None:
        counted = self._counted.get(name)
        if counted is None:
            return None
        counted.left -= 1
        if not counted.left:
            del self._counted[name]
        return counted.order

    def _until_ns(self, seconds: float | None) -> int:
        if seconds is None:
            return FOREVER_NS
        return self._schedule.now_ns + int(seconds * SECOND_NS)

    def _left_s(self, mode: _Mode) -> int:
        return -(-(mode.until_ns - self._schedule.now_ns) // SECOND_NS)


def _freeze_books(endpoints: Endpoints, until: float) -> None:
    """Hold back the book a new subscriber of the market channel is shown, until then."""
    endpoint = endpoints["market"]
    endpoint.frozen_until = until
    for connection in endpoint.connections.values():
        connection.faults.frozen_until = until


def _connected(endpoints: Endpoints, names: Iterable[str]) -> int:
    return sum(len(endpoints[name].connections) for name in names if name in endpoints)
