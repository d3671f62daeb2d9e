"""What the limits look at: settings, modes, losses, budgets, the facts of a market, the request."""

from typing import Final, final

from polytrade.core.accounts import Account
from polytrade.core.ledger import Ledger
from polytrade.core.orders import Orders
from polytrade.core.units import ONE_E6, SECOND_NS, share_e6_down

RUN: Final = "run"
REDUCE: Final = "reduce"  # only orders that reduce exposure pass
HALT: Final = "halt"  # the kill switch

FLATTEN: Final = "flatten"
"""`Request.engine` of the operator's own closing orders: they may only reduce, and pass the limits
that keep us from opening more."""

DAY_NS: Final = 86_400 * SECOND_NS
TOKEN_E15: Final = ONE_E6 * SECOND_NS
"""One order's worth of budget: rates are millionths of an order a second, times are nanoseconds, so
that a bucket refills exactly, without a division."""
MARKET_PART: Final = 8
"""A market gets this part of the whole order budget (spec, models: risk 13)."""
MARKET_RATE_MIN_E6: Final = 500_000


@final
class RiskSettings:
    """`config.Risk` in the core's units. `drawdown_cap_e6` is a share of the initial cash in
    millionths; `orders_per_s_e6` is the budget of orders and cancels in millionths a second,
    `market_rate_e6` one market's part of it: an eighth, at least one order in two seconds.
    """

    __slots__ = (
        "cooldown_ns",
        "drawdown_cap_e6",
        "market_rate_e6",
        "max_asset_notional_e6",
        "max_clock_skew_ms",
        "max_daily_loss_e6",
        "max_loss_streak",
        "max_market_notional_e6",
        "max_open_orders",
        "max_order_notional_e6",
        "max_total_notional_e6",
        "no_quote_before_end_ns",
        "orders_per_s_e6",
        "price_collar_e4",
        "stale_reference_ns",
    )

    def __init__(
        self,
        max_market_notional_e6: int,
        max_asset_notional_e6: int,
        max_total_notional_e6: int,
        max_order_notional_e6: int,
        max_open_orders: int,
        drawdown_cap_e6: int,
        max_daily_loss_e6: int,
        max_loss_streak: int,
        cooldown_ns: int,
        stale_reference_ns: int,
        price_collar_e4: int,
        max_clock_skew_ms: int,
        orders_per_s_e6: int,
        no_quote_before_end_ns: int,
    ) -> None:
        self.max_market_notional_e6 = max_market_notional_e6
        self.max_asset_notional_e6 = max_asset_notional_e6
        self.max_total_notional_e6 = max_total_notional_e6
        self.max_order_notional_e6 = max_order_notional_e6
        self.max_open_orders = max_open_orders
        self.drawdown_cap_e6 = drawdown_cap_e6
        self.max_daily_loss_e6 = max_daily_loss_e6
        self.max_loss_streak = max_loss_streak
        self.cooldown_ns = cooldown_ns
        self.stale_reference_ns = stale_reference_ns
        self.price_collar_e4 = price_collar_e4
        self.max_clock_skew_ms = max_clock_skew_ms
        self.orders_per_s_e6 = orders_per_s_e6
        self.no_quote_before_end_ns = no_quote_before_end_ns
        part_e6 = share_e6_down(orders_per_s_e6, 1, MARKET_PART)
        self.market_rate_e6 = max(part_e6, MARKET_RATE_MIN_E6)


@final
class Bucket:
    """A token bucket that holds two seconds of its rate and starts full."""

    __slots__ = ("last_ns", "level_e15")

    def __init__(self, ts_ns: int, rate_e6: int) -> None:
        self.last_ns = ts_ns
        self.level_e15 = 2 * rate_e6 * SECOND_NS

    def refill(self, ts_ns: int, rate_e6: int) -> None:
        """Bring the level up to `ts_ns`; a lowered rate cuts what was saved."""
        level_e15 = self.level_e15
        if ts_ns > self.last_ns:
            level_e15 += (ts_ns - self.last_ns) * rate_e6
            self.last_ns = ts_ns
        most_e15 = 2 * rate_e6 * SECOND_NS
        self.level_e15 = level_e15 if level_e15 < most_e15 else most_e15

    def take(self, rate_e6: int) -> None:
        """Spend one token. A cancel may overdraw, by at most what the bucket holds: it is never
        held back, but the orders after it wait.
        """
        self.level_e15 = max(self.level_e15 - TOKEN_E15, -2 * rate_e6 * SECOND_NS)


@final
class RiskState:
    """Modes and memory of the limits; moved by events only, through the engine.

    `loss_streak` counts losing closes in a row. Reaching the limit starts a cooldown at that close:
    the first order it stops is named `loss_streak`, those after it `cooldown`.
    """

    __slots__ = (
        "_bucket",
        "_buckets",
        "clock_skew_ms",
        "cooldown_until_ns",
        "day",
        "day_base_e6",
        "equity_e6",
        "loss_streak",
        "max_drawdown_e6",
        "mode",
        "paused",
        "peak_e6",
        "settings",
        "started",
    )

    def __init__(self, settings: RiskSettings) -> None:
        self.settings = settings
        self.mode = RUN
        self.paused = False
        self.clock_skew_ms = 0
        self.cooldown_until_ns = 0
        self.loss_streak = 0
        self.started = False
        self.equity_e6 = 0
        self.peak_e6 = 0
        self.max_drawdown_e6 = 0
        self.day = 0
        self.day_base_e6 = 0
        self._bucket: Bucket | None = None
        self._buckets: dict[str, Bucket] = {}

    def configure(self, settings: RiskSettings) -> None:
        """Limit by other settings from the next order on.

        Modes, losses, budgets and a running cooldown stay; a lower budget cuts what was saved.
        """
        self.settings = settings

    def on_close(self, pnl_e6: int, ts_ns: int) -> None:
        """A position was closed in part or whole with this profit after fees."""
        limit = self.settings.max_loss_streak
        if self.loss_streak >= limit and ts_ns >= self.cooldown_until_ns:
            self.loss_streak = 0
        if pnl_e6 > 0:
            self.loss_streak = 0
        elif pnl_e6 < 0:
            self.loss_streak += 1
            if self.loss_streak >= limit:
                self.cooldown_until_ns = ts_ns + self.settings.cooldown_ns

    def on_equity(self, equity_e6: int, ts_ns: int) -> None:
        """Equity was marked: keeps its peak, and its last value before UTC midnight."""
        day = ts_ns // DAY_NS
        if not self.started:
            self.started = True
            self.peak_e6 = equity_e6
            self.day = day
            self.day_base_e6 = equity_e6
        elif day != self.day:
            self.day = day
            self.day_base_e6 = self.equity_e6
        self.equity_e6 = equity_e6
        self.peak_e6 = max(self.peak_e6, equity_e6)
        self.max_drawdown_e6 = max(self.max_drawdown_e6, self.drawdown_e6())

    def clear_stops(self) -> None:
        """The operator goes on: drawdown, daily loss, streak and cooldown start again from here."""
        self.peak_e6 = self.equity_e6
        self.day_base_e6 = self.equity_e6
        self.loss_streak = 0
        self.cooldown_until_ns = 0

    def drawdown_e6(self) -> int:
        """How far equity is below its peak."""
        return self.peak_e6 - self.equity_e6

    def daily_pnl_e6(self) -> int:
        """Change of equity since UTC midnight, or since the run's start that day."""
        return self.equity_e6 - self.day_base_e6

    def global_ready(self, ts_ns: int, orders: int = 1) -> bool:
        """Whether the budget of all markets has a token for each of so many orders now."""
        return self._global(ts_ns).level_e15 >= TOKEN_E15 * orders

    def market_ready(self, market: str, ts_ns: int, orders: int = 1) -> bool:
        """Whether the market's own budget has a token for each of so many orders now."""
        return self._market(market, ts_ns).level_e15 >= TOKEN_E15 * orders

    def take(self, market: str, ts_ns: int) -> None:
        """Spend a token of both budgets: `check` does for an order, the engine for a cancel."""
        self._global(ts_ns).take(self.settings.orders_per_s_e6)
        self._market(market, ts_ns).take(self.settings.market_rate_e6)

    def forget(self, market: str) -> None:
        """The market is over: drop its budget."""
        self._buckets.pop(market, None)

    def _global(self, ts_ns: int) -> Bucket:
        rate_e6 = self.settings.orders_per_s_e6
        if self._bucket is None:
            self._bucket = Bucket(ts_ns, rate_e6)
        self._bucket.refill(ts_ns, rate_e6)
        return self._bucket

    def _market(self, market: str, ts_ns: int) -> Bucket:
        rate_e6 = self.settings.market_rate_e6
        bucket = self._buckets.get(market)
        if bucket is None:
            bucket = Bucket(ts_ns, rate_e6)
            self._buckets[market] = bucket
        bucket.refill(ts_ns, rate_e6)
        return bucket


@final
class MarketFacts:
    """A market as the limits see it. Prices are those of YES, 0 and ONE_E4 for an empty side;
    `fair_e4` and `fair_e6` are -1 without a fair value, `reference_age_ns` -1 without a reference,
    `end_ns` 0 without an end. `book_reason` says why a book is not valid and begins with `stale`
    when its feed fell silent.
    """

    __slots__ = (
        "accepting",
        "ask_e4",
        "bid_e4",
        "book_reason",
        "book_valid",
        "end_ns",
        "fair_e4",
        "fair_e6",
        "min_size_e6",
        "phase",
        "reference_age_ns",
        "start_ns",
        "symbol",
        "tick_e4",
    )

    def __init__(
        self,
        book_valid: bool,
        book_reason: str,
        bid_e4: int,
        ask_e4: int,
        fair_e4: int,
        reference_age_ns: int,
        phase: str,
        accepting: bool,
        start_ns: int,
        end_ns: int,
        tick_e4: int,
        min_size_e6: int,
        symbol: str,
        fair_e6: int = -1,
    ) -> None:
        self.book_valid = book_valid
        self.book_reason = book_reason
        self.bid_e4 = bid_e4
        self.ask_e4 = ask_e4
        self.fair_e4 = fair_e4
        self.fair_e6 = fair_e6
        self.reference_age_ns = reference_age_ns
        self.phase = phase
        self.accepting = accepting
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.tick_e4 = tick_e4
        self.min_size_e6 = min_size_e6
        self.symbol = symbol


@final
class Request:
    """An order somebody wants: `engine` names who (`maker`, `taker`, `arb`, `flatten`).

    `edge_bps` is what they think it gains, `expires_ns` as in `PlaceOrder`.
    """

    __slots__ = (
        "edge_bps",
        "engine",
        "expires_ns",
        "market",
        "post_only",
        "price_e4",
        "side",
        "size_e6",
        "tif",
        "token",
    )

    def __init__(
        self,
        market: str,
        token: int,
        side: int,
        price_e4: int,
        size_e6: int,
        tif: str,
        post_only: bool,
        engine: str,
        edge_bps: float = 0.0,
        expires_ns: int = 0,
    ) -> None:
        self.market = market
        self.token = token
        self.side = side
        self.price_e4 = price_e4
        self.size_e6 = size_e6
        self.tif = tif
        self.post_only = post_only
        self.engine = engine
        self.edge_bps = edge_bps
        self.expires_ns = expires_ns

    def flattens(self) -> bool:
        """Whether the operator wants it, to close positions."""
        return self.engine == FLATTEN

    def rests(self) -> bool:
        """Whether what is not filled at once stays on the book."""
        return self.tif in ("GTC", "GTD")


@final
class Context:
    """Everything a limit may look at in one decision, at `ts_ns`. The market must have an account.

    `calm` is set when `limit_rules.calm` was seen to hold: a decision does not change that.
    """

    __slots__ = ("account", "calm", "facts", "ledger", "orders", "risk", "ts_ns")

    def __init__(
        self,
        ts_ns: int,
        risk: RiskState,
        ledger: Ledger,
        orders: Orders,
        account: Account,
        facts: MarketFacts,
    ) -> None:
        self.ts_ns = ts_ns
        self.risk = risk
        self.ledger = ledger
        self.orders = orders
        self.account = account
        self.facts = facts
        self.calm = False
