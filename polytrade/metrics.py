"""The metrics contract as one table, and the recorders its numbers come from.

`METRICS` is the only list of numbers: the JSON answers, the Prometheus names and the generated page
take them from here, and `Readings` refuses a name or a label the table does not have.
A percentile of an empty sample is None (null in JSON, absent in Prometheus), never 0.
"""

from typing import Final, final

import attrs
import numpy as np

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
SUMMARY: Final = "summary"

PREFIX: Final = "polytrade_"


@attrs.frozen
class Metric:
    """One row of the contract; `unit` is `ms`, `us`, `usdc`, `shares`, `ratio`, `s` or a count."""

    name: str
    kind: str
    unit: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def prometheus(self) -> str:
        """The name on the Prometheus page."""
        return PREFIX + self.name


def _table(*rows: Metric) -> dict[str, Metric]:
    table = {row.name: row for row in rows}
    if len(table) != len(rows):
        raise AssertionError("a metric is named twice")
    return table


METRICS: Final[dict[str, Metric]] = _table(
    # Data validity.
    Metric("events_total", COUNTER, "events", "Events the engine stepped", ("kind",)),
    Metric("records_total", COUNTER, "records", "Book, trade and fast reference records"),
    Metric("invalid_records_total", COUNTER, "records", "Records no gate counts", ("reason",)),
    Metric("book_ticks_total", COUNTER, "records", "Book and trade records"),
    Metric("ref_ticks_total", COUNTER, "records", "Reference ticks of all kinds", ("source",)),
    Metric("feed_gaps_total", COUNTER, "gaps", "Losses feeds reported", ("reason",)),
    Metric("seq_gaps_total", COUNTER, "gaps", "Proven sequence, checksum or book disagreements"),
    Metric("ts_inversions_total", COUNTER, "records", "Records 50 ms behind their source's last"),
    Metric("records_lost_total", COUNTER, "records", "Records the journal could not keep"),
    Metric("data_valid_ratio", GAUGE, "ratio", "Valid records / all records"),
    Metric("seq_gap_rate", GAUGE, "ratio", "Proven gaps / all records"),
    Metric("ts_inversion_rate", GAUGE, "ratio", "Inversions / all records"),
    Metric("stale_tick_drop_ratio", GAUGE, "ratio", "Ticks the stale filter dropped / considered"),
    Metric("book_freshness_ms", GAUGE, "ms", "Age of the newest book or trade record"),
    Metric("ref_freshness_ms", GAUGE, "ms", "Age of the newest fast reference tick"),
    Metric("clock_skew_ms", GAUGE, "ms", "Our clock minus the venue's"),
    # Books.
    Metric("books", GAUGE, "books", "Books by trust in them", ("state",)),
    Metric("book_state_changes_total", COUNTER, "changes", "Changes of trust", ("state",)),
    Metric("book_hashes_total", COUNTER, "hashes", "Book hash checks by result", ("result",)),
    Metric("snapshots_requested_total", COUNTER, "requests", "Fresh books asked", ("reason",)),
    # Latency, each with quantiles 0.5, 0.9 and 0.99 over the measuring window.
    Metric("source_latency_ms", SUMMARY, "ms", "Source's event time to local receive"),
    Metric("local_backlog_ms", SUMMARY, "ms", "Local receive to the engine's start on it"),
    Metric("feed_in_ms", SUMMARY, "ms", "Source's event time to the engine's start on it"),
    Metric("decision_compute_ms", SUMMARY, "ms", "Engine's work on a market data record"),
    Metric("tick_to_decision_ms", SUMMARY, "ms", "Local receive to decision ready"),
    Metric("ack_only_ms", SUMMARY, "ms", "Order sent to the venue's answer"),
    Metric("tick_to_ack_ms", SUMMARY, "ms", "Local receive to the venue's answer"),
    Metric("book_top_lag_ms", SUMMARY, "ms", "Book receive after fast tick receive"),
    Metric("parse_us", SUMMARY, "us", "Decoding of a frame"),
    Metric("loop_lag_ms", SUMMARY, "ms", "Lateness of the event loop"),
    Metric("io_queue_ms", SUMMARY, "ms", "Wait of a journal record for the disk"),
    # Funnel.
    Metric("orders_placed_total", COUNTER, "orders", "Orders sent", ("engine",)),
    Metric("orders_accepted_total", COUNTER, "orders", "Orders the venue took"),
    Metric("orders_rejected_total", COUNTER, "orders", "Orders the venue refused"),
    Metric("orders_cancelled_total", COUNTER, "orders", "Orders taken off the book"),
    Metric("orders_lost_total", COUNTER, "orders", "Orders without an answer in time"),
    Metric("cancels_requested_total", COUNTER, "cancels", "Cancels sent", ("reason",)),
    Metric("cancels_rejected_total", COUNTER, "cancels", "Cancels the venue refused"),
    Metric("fills_total", COUNTER, "fills", "Fills by role", ("role",)),
    Metric("fills_failed_total", COUNTER, "fills", "Fills that never settled"),
    Metric("fill_volume_shares_total", COUNTER, "shares", "Shares filled"),
    Metric("fill_notional_usdc_total", COUNTER, "usdc", "Money filled"),
    Metric("refused_total", COUNTER, "wishes", "Wishes the limits stopped", ("limit",)),
    Metric("quote_state_changes_total", COUNTER, "changes", "Why quoting changed", ("state",)),
    Metric("alarms_total", COUNTER, "alarms", "Alarms raised", ("name",)),
    Metric("executed_over_eligible", GAUGE, "ratio", "Accepted orders / orders sent"),
    Metric("quote_block_ratio", GAUGE, "ratio", "Venue refusals / (orders sent + refusals)"),
    Metric("policy_block_ratio", GAUGE, "ratio", "Limit refusals / (orders sent + refusals)"),
    # Money.
    Metric("pnl_realized_usdc", GAUGE, "usdc", "Realized profit"),
    Metric("pnl_unrealized_usdc", GAUGE, "usdc", "Unrealized profit, conservative marks"),
    Metric("fees_usdc", GAUGE, "usdc", "Fees paid"),
    Metric("rebates_usdc", GAUGE, "usdc", "Rebates received"),
    Metric("equity_usdc", GAUGE, "usdc", "Cash and positions, conservative marks"),
    Metric("equity_mid_usdc", GAUGE, "usdc", "Cash and positions at mid"),
    Metric("peak_equity_usdc", GAUGE, "usdc", "Highest equity of the run"),
    Metric("max_drawdown_ratio", GAUGE, "ratio", "Deepest fall from the peak / capital"),
    Metric("daily_pnl_usdc", GAUGE, "usdc", "Profit since UTC midnight"),
    Metric("open_orders", GAUGE, "orders", "Resting orders"),
    # Markets followed now, by slug.
    Metric("market_bid", GAUGE, "usdc", "Best bid of YES", ("slug",)),
    Metric("market_ask", GAUGE, "usdc", "Best ask of YES", ("slug",)),
    Metric("market_fair", GAUGE, "probability", "Fair value of YES", ("slug",)),
    Metric("market_confidence", GAUGE, "ratio", "Confidence in the fair value", ("slug",)),
    Metric("market_yes_shares", GAUGE, "shares", "YES held", ("slug",)),
    Metric("market_no_shares", GAUGE, "shares", "NO held", ("slug",)),
    Metric("market_exposure_usdc", GAUGE, "usdc", "Money at risk", ("slug",)),
    Metric("market_pnl_usdc", GAUGE, "usdc", "Realized and unrealized profit", ("slug",)),
    # The daemon.
    Metric("build_info", GAUGE, "1", "Version and mode; always 1", ("version", "mode")),
    Metric("uptime_seconds", GAUGE, "s", "Time since the start"),
    Metric("ready", GAUGE, "bool", "First book and first reference seen"),
    Metric("paused", GAUGE, "bool", "Quoting paused by the operator"),
    Metric("engine_mode", GAUGE, "bool", "1 for the engine's present mode", ("mode",)),
    Metric("task_running", GAUGE, "bool", "Supervised task runs", ("task",)),
    Metric("task_restarts_total", COUNTER, "restarts", "Restarts of a task", ("task",)),
    Metric("feed_connected", GAUGE, "bool", "Feed connected and subscribed", ("feed",)),
    Metric("feed_stale", GAUGE, "bool", "Feed silent beyond its limit", ("feed",)),
    Metric("feed_last_message_age_ms", GAUGE, "ms", "Age of the last message", ("feed",)),
    Metric("feed_rate", GAUGE, "messages/s", "Messages a second", ("feed",)),
    Metric("feed_messages_total", COUNTER, "messages", "Messages received", ("feed",)),
    Metric("feed_malformed_total", COUNTER, "messages", "Messages not understood", ("feed",)),
    Metric("feed_reconnects_total", COUNTER, "connections", "Connections lost", ("feed",)),
    Metric("host_reachable", GAUGE, "bool", "Last attempt on the host succeeded", ("host",)),
    Metric("queue_depth", GAUGE, "items", "Items waiting", ("queue",)),
    Metric("queue_depth_peak", GAUGE, "items", "Most items that ever waited", ("queue",)),
    Metric("queue_dropped_total", COUNTER, "items", "Items dropped, queue full", ("queue",)),
)
"""Every number the project publishes, by name."""


def contract_page() -> str:
    """The contract as Markdown, for the generated documentation page."""
    lines = ["| metric | kind | unit | labels | meaning |", "|---|---|---|---|---|"]
    for row in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in row.labels)
        lines.append(f"| `{row.prometheus}` | {row.kind} | {row.unit} | {labels} | {row.help} |")
    return "\n".join(lines) + "\n"


@attrs.frozen(kw_only=True)
class Quantiles:
    """A latency's distribution in its metric's own unit; None where nothing was measured."""

    count: int = 0
    sum: float = 0.0
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


@final
class LatencyRecorder:
    """Keeps a distribution of durations in constant memory, quantiles within 1.1 %.

    `record` appends to a list; every `FOLD` values numpy folds the list into logarithmic buckets,
    32 an octave (limits: about 70 ns a record). Negative durations count as 0.
    """

    FOLD: Final = 1024  # one fold then takes about 0.1 ms: small beside a tick's budget
    PER_OCTAVE: Final = 32  # bucket width 2.2 %, so its middle is within 1.1 % of every member
    BUCKETS: Final = 64 * 32  # every duration an int64 can hold

    __slots__ = ("_counts", "_max_ns", "_min_ns", "_pending", "_sum_ns")

    def __init__(self) -> None:
        self._pending: list[int] = []
        self._counts = np.zeros(self.BUCKETS, dtype=np.int64)
        self._sum_ns = 0
        self._min_ns = 0
        self._max_ns = 0

    def record(self, ns: int) -> None:
        """One more duration, in nanoseconds."""
        pending = self._pending
        pending.append(ns)
        if len(pending) >= 4096:
            self._fold()

    def reset(self) -> None:
        """Forget everything: a new measuring window begins."""
        self._pending.clear()
        self._counts[:] = 0
        self._sum_ns = self._min_ns = self._max_ns = 0

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        self._fold()
        return int(self._counts.sum())

    def quantile_ns(self, q: float) -> int | None:
        """The nearest-rank quantile (`ceil(q * n)`-th smallest), None when nothing was recorded."""
        return self._ranked((q,))[0]

    def quantiles(self, unit_ns: int) -> Quantiles:
        """p50, p90, p99 and the exact sum and maximum, in units of `unit_ns` nanoseconds."""
        count = self.count
        if not count:
            return Quantiles()
        p50, p90, p99 = (
            None if ns is None else ns / unit_ns for ns in self._ranked((0.5, 0.9, 0.99))
        )
        return Quantiles(
            count=count,
            sum=self._sum_ns / unit_ns,
            p50=p50,
            p90=p90,
            p99=p99,
            max=self._max_ns / unit_ns,
        )

    def _ranked(self, wanted: tuple[float, ...]) -> list[int | None]:
        self._fold()
        running = np.cumsum(self._counts)
        count = int(running[-1])
        if not count:
            return [None for _ in wanted]
        ranks = np.maximum(np.ceil(np.asarray(wanted) * count), 1)
        buckets = np.searchsorted(running, ranks)
        middles = np.exp2((buckets + 0.5) / self.PER_OCTAVE)
        return [min(max(round(float(ns)), self._min_ns), self._max_ns) for ns in middles]

    def _fold(self) -> None:
        if not self._pending:
            return
        values = np.maximum(np.array(self._pending, dtype=np.int64), 0)
        self._pending.clear()
        low = int(values.min())
        self._min_ns = min(self._min_ns, low) if self._counts.any() else low
        self._max_ns = max(self._max_ns, int(values.max()))
        self._sum_ns += int(values.sum())
        buckets = (np.log2(np.maximum(values, 1)) * self.PER_OCTAVE).astype(np.int64)
        self._counts += np.bincount(buckets, minlength=self.BUCKETS)


@final
class Readings:
    """Values of contract metrics at one moment: by name, then by label values."""

    __slots__ = ("summaries", "values")

    def __init__(self) -> None:
        self.values: dict[str, dict[tuple[str, ...], float]] = {}
        self.summaries: dict[str, Quantiles] = {}

    def put(self, name: str, value: float | None, *labels: str) -> None:
        """Note a counter's or gauge's value; None stays absent. A name or a number of labels the
        contract does not know is an assertion: a mistake of ours, not of anyone's data.
        """
        metric = METRICS.get(name)
        if metric is None or metric.kind == SUMMARY or len(labels) != len(metric.labels):
            raise AssertionError(f"{name}{labels} is not in the metrics contract")
        if value is not None:
            self.values.setdefault(name, {})[labels] = value

    def put_summary(self, name: str, quantiles: Quantiles) -> None:
        """Note a latency's distribution."""
        metric = METRICS.get(name)
        if metric is None or metric.kind != SUMMARY:
            raise AssertionError(f"{name} is not a summary of the metrics contract")
        self.summaries[name] = quantiles

    def value(self, name: str, *labels: str) -> float | None:
        """A value noted before, None where there is none."""
        return self.values.get(name, {}).get(labels)
