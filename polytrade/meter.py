"""The meter: a fold over `(event, effects, step_ns)` that gives the contract's numbers.

The same fold runs live, in replay and in simulation, so their numbers mean the same. It never
changes what it sees, reads no clock, and its memory is bounded.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, final

import orjson

from polytrade.core.effects import (
    Alarmed,
    BookStateChanged,
    CancelOrder,
    Effect,
    PlaceOrder,
    QuoteStateChanged,
    Refused,
    RequestSnapshot,
)
from polytrade.core.events import (
    BookChanged,
    BookReplaced,
    CancelRejected,
    ClockSkewMeasured,
    Event,
    FeedGap,
    FillFailed,
    LineupSwapped,
    MarketListed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    RecordsLost,
    ReferenceTicked,
    ShadowReset,
    TradePrinted,
)
from polytrade.core.ids import FAST
from polytrade.core.trust import SUSPECT, SYNCED
from polytrade.core.units import MS_NS, ONE_E6, SECOND_NS, notional_e6_down
from polytrade.metrics import COUNTER, METRICS, SUMMARY, LatencyRecorder, Readings, RecordTimes
from polytrade.validity import (
    LAG_EVERY_NS,
    LAG_WITHIN_NS,
    TOLERANCE_NS,
    Market,
    Symbol,
    Validity,
)

V = TypeVar("V")

LABELS_MAX: Final = 64
"""Values told apart for one label: limits, reasons and states together have about 40."""
MARKETS_MAX: Final = 4096
"""Markets remembered: a week of five-minute windows of two coins; the oldest goes first."""
ORDERS_MAX: Final = 10_000
"""Orders waiting for an answer: the largest `risk.max_open_orders`."""
SYMBOLS_MAX: Final = 64
"""Coins whose book lag is kept apart; the venue has seven with fast markets."""

PROVEN: Final = frozenset({"trade_id_gap", "sequence_gap", "sequence", "checksum", "dropped"})
"""Reasons of a FeedGap that prove a loss; a time jump or a lost connection does not."""

BOOK_RECORDS: Final = (BookChanged, BookReplaced, TradePrinted)


@final
class Meter:
    """Counts, ratios and latencies of a run. `stale_ns` is the stale filter's first limit."""

    def __init__(self, stale_ns: int = 2 * SECOND_NS) -> None:
        self.stale_ns = stale_ns
        self._earlier_records = 0
        self._latencies: dict[str, LatencyRecorder] = {
            row.name: LatencyRecorder() for row in METRICS.values() if row.kind == SUMMARY
        }
        self._window = Validity()
        self._times = RecordTimes(self._latencies)
        self._lag = self._latencies["book_top_lag_ms"]
        self._kinds: dict[type[Event], int] = {}
        self._counts: dict[str, dict[tuple[str, ...], int]] = {}
        self._book_ns = 0
        self._fast_ns = 0
        self.skew_ms: int | None = None
        self._symbols: dict[str, Symbol] = {}
        self._markets: dict[str, Market] = {}
        self._venue_ns: dict[tuple[str, str], int] = {}
        self._gapped: set[str] = set()
        self._sent: dict[str, tuple[int, int]] = {}
        self._folds: dict[type[Event], Callable[[Any, int, int], None]] = {
            BookChanged: self._on_book,
            TradePrinted: self._on_book,
            BookReplaced: self._on_snapshot,
            ReferenceTicked: self._on_reference,
            FeedGap: self._on_gap,
            MarketListed: self._on_listed,
            MarketResolved: self._on_resolved,
            OrderAccepted: self._on_accepted,
            OrderRejected: self._on_rejected,
            OrderLost: self._on_lost,
            OrderCancelled: self._on_cancelled,
            OrderFilled: self._on_filled,
            CancelRejected: self._on_cancel_rejected,
            FillFailed: self._on_fill_failed,
            RecordsLost: self._on_records_lost,
            ClockSkewMeasured: self._on_skew,
            ShadowReset: self._on_shadow_reset,
            LineupSwapped: self._on_swapped,
        }

    def observe(
        self, event: Event, effects: Sequence[Effect], step_ns: int, backlog_ns: int = 0
    ) -> None:
        """One event was stepped in `step_ns`, `backlog_ns` after it was received."""
        kind = type(event)
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if effects:
            for effect in effects:
                self._on_effect(event, effect, backlog_ns + step_ns)
        fold = self._folds.get(kind)
        if fold is not None:
            fold(event, step_ns, backlog_ns)

    @property
    def events(self) -> int:
        """Events seen."""
        return sum(self._kinds.values())

    @property
    def records(self) -> int:
        """Book, trade and fast reference records of the run."""
        return self._earlier_records + self._window.records

    @property
    def book_records(self) -> int:
        """Those of books and trades."""
        return sum(self._kinds.get(kind, 0) for kind in BOOK_RECORDS)

    @property
    def latencies(self) -> dict[str, LatencyRecorder]:
        """The recorders by the contract's name, with everything so far in them."""
        self._times.fold()
        return self._latencies

    def kinds(self) -> dict[str, int]:
        """How many events of each kind there were."""
        return dict(sorted((kind.TAG, count) for kind, count in self._kinds.items()))

    def gaps(self) -> dict[str, int]:
        """Losses that feeds reported, by reason."""
        found = self._counts.get("feed_gaps_total", {})
        return {labels[0]: count for labels, count in sorted(found.items())}

    def readings(self, ts_ns: int) -> Readings:
        """Every number of the contract this fold knows, at `ts_ns`."""
        out = Readings()
        for kind, count in self.kinds().items():
            out.put("events_total", count, kind)
        for name, counts in self._counts.items():
            for labels, count in counts.items():
                scale = ONE_E6 if METRICS[name].unit in {"usdc", "shares"} else 1
                out.put(name, count / scale if scale > 1 else count, *labels)
        for row in METRICS.values():
            if row.kind == COUNTER and not row.labels and row.name not in self._counts:
                out.put(row.name, 0)  # from the start, so that a rate of it is defined
        out.put("records_total", self.records)
        out.put("book_ticks_total", self.book_records)
        out.put("ref_ticks_total", self.count("ref_source_ticks_total"))
        window = self._window
        out.put("data_valid_ratio", _ratio(window.records - window.invalid, window.records))
        out.put("seq_gap_rate", _ratio(window.gaps, window.records))
        out.put("ts_inversion_rate", _ratio(window.inversions, window.records))
        out.put("stale_tick_drop_ratio", _ratio(window.stale, window.fast))
        out.put("book_freshness_ms", _age_ms(ts_ns, self._book_ns))
        out.put("ref_freshness_ms", _age_ms(ts_ns, self._fast_ns))
        out.put("clock_skew_ms", self.skew_ms)
        for name, recorder in self.latencies.items():
            unit_ns = MS_NS if METRICS[name].unit == "ms" else MS_NS // 1000
            out.put_summary(name, recorder.quantiles(unit_ns))
        for name, symbol in self._symbols.items():
            if symbol.lag is not None:
                p99_ms = symbol.lag.quantiles(MS_NS).p99
                out.put("book_top_lag_p99_ms_by_symbol", p99_ms, name)
        return out

    def count(self, name: str) -> int:
        """A counter summed over its labels (scaled by 1e6 where its unit is money or shares)."""
        return sum(self._counts.get(name, {}).values())

    def _add(self, name: str, *labels: str, by: int = 1) -> None:
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts.setdefault(name, {})
        if labels not in counts and len(counts) >= LABELS_MAX:
            labels = ("other",)
        counts[labels] = counts.get(labels, 0) + by

    def _on_effect(self, event: Event, effect: Effect, done_ns: int) -> None:
        if isinstance(effect, PlaceOrder):
            self._add("orders_placed_total", effect.engine)
            sent_ns = event.ts_ns + done_ns
            _keep(self._sent, effect.order_id, (event.ts_ns, sent_ns), ORDERS_MAX)
        elif isinstance(effect, CancelOrder):
            self._add("cancels_requested_total", effect.reason)
        elif isinstance(effect, Refused):
            self._add("refused_total", effect.limit)
        elif isinstance(effect, QuoteStateChanged):
            self._add("quote_state_changes_total", effect.state)
        elif isinstance(effect, BookStateChanged):
            self._add("book_state_changes_total", effect.state)
            if effect.state == SUSPECT and not isinstance(event, FeedGap):
                self._gap()  # the book itself proves it: hash or crossed
            market = self._markets.get(effect.market)
            if market is not None:
                market.trusted = effect.state == SYNCED
        elif isinstance(effect, RequestSnapshot):
            self._add("snapshots_requested_total", effect.reason)
        elif isinstance(effect, Alarmed):
            self._add("alarms_total", effect.name)

    def _on_book(self, event: BookChanged | TradePrinted, step_ns: int, backlog_ns: int) -> None:
        ts_ns = event.ts_ns
        venue_ns = event.venue_ts_ms * MS_NS
        self._book_ns = ts_ns
        market = self._markets.get(event.market)
        if market is None:
            self._record(ts_ns, venue_ns, venue_ns, True, step_ns, backlog_ns)
            return
        self._record(ts_ns, venue_ns, market.venue_ns, not market.trusted, step_ns, backlog_ns)
        market.venue_ns = max(market.venue_ns, venue_ns)
        symbol = market.symbol
        if ts_ns - symbol.sampled_ns >= LAG_EVERY_NS and ts_ns - symbol.fast_ns < LAG_WITHIN_NS:
            symbol.sampled_ns = ts_ns
            self._lag.record(ts_ns - symbol.fast_ns)
            if symbol.lag is not None:
                symbol.lag.record(ts_ns - symbol.fast_ns)

    def _on_snapshot(self, event: BookReplaced, step_ns: int, backlog_ns: int) -> None:
        # A snapshot's own time is that of the book's last change, maybe long ago: no latency.
        self._book_ns = event.ts_ns
        market = self._markets.get(event.market)
        gapped = market is None or not market.trusted
        self._record(event.ts_ns, 0, 0, gapped, step_ns, backlog_ns)

    def _on_reference(self, event: ReferenceTicked, step_ns: int, backlog_ns: int) -> None:
        self._add("ref_source_ticks_total", event.source)
        if event.kind != FAST:
            return  # anchors come again as history after a reconnect: they would look inverted
        ts_ns, venue_ns, source = event.ts_ns, event.venue_ts_ns, event.source
        self._fast_ns = ts_ns
        self._symbol(event.symbol).fast_ns = ts_ns
        window = self._window
        window.fast += 1
        window.stale += bool(venue_ns) and ts_ns - venue_ns > self.stale_ns
        key = (source, event.symbol)
        last_ns = self._venue_ns.get(key, 0)
        if venue_ns > last_ns:
            self._venue_ns[key] = venue_ns
        gapped = source in self._gapped
        if gapped:
            self._gapped.discard(source)
        self._record(ts_ns, venue_ns, last_ns, gapped, step_ns, backlog_ns)

    def _record(
        self,
        ts_ns: int,
        venue_ns: int,
        last_ns: int,
        gapped: bool,
        step_ns: int,
        backlog_ns: int,
    ) -> None:
        self._window.records += 1
        late_ns = ts_ns - venue_ns if venue_ns else RecordTimes.NO_TIME_NS
        self._times.record(late_ns, backlog_ns, step_ns)
        inverted = 0 < venue_ns < last_ns - TOLERANCE_NS
        if gapped or inverted or late_ns > self.stale_ns:
            self._invalid("gap" if gapped else "inversion" if inverted else "stale", inverted)

    def _invalid(self, reason: str, inverted: bool) -> None:
        self._window.invalid += 1
        self._add("invalid_records_total", reason)
        if inverted:
            self._window.inversions += 1
            self._add("ts_inversions_total")

    def _on_gap(self, event: FeedGap, step_ns: int, backlog_ns: int) -> None:
        self._add("feed_gaps_total", event.reason)
        if event.reason in PROVEN:
            self._gap()
        if len(self._gapped) < LABELS_MAX:
            self._gapped.add(event.source.partition("/")[0])

    def _on_listed(self, event: MarketListed, step_ns: int, backlog_ns: int) -> None:
        if event.market not in self._markets:
            _keep(self._markets, event.market, Market(self._symbol(event.symbol)), MARKETS_MAX)

    def _on_resolved(self, event: MarketResolved, step_ns: int, backlog_ns: int) -> None:
        self._markets.pop(event.market, None)

    def _on_accepted(self, event: OrderAccepted, step_ns: int, backlog_ns: int) -> None:
        self._add("orders_accepted_total")
        self._answered(event)

    def _on_rejected(self, event: OrderRejected, step_ns: int, backlog_ns: int) -> None:
        self._add("orders_rejected_total")
        self._answered(event)

    def _answered(self, event: OrderAccepted | OrderRejected) -> None:
        sent = self._sent.pop(event.order_id, None)
        if sent is not None:
            self._latencies["tick_to_ack_ms"].record(event.ts_ns - sent[0])
            self._latencies["ack_only_ms"].record(event.ts_ns - sent[1])

    def _on_lost(self, event: OrderLost, step_ns: int, backlog_ns: int) -> None:
        self._add("orders_lost_total")
        self._sent.pop(event.order_id, None)

    def _on_cancelled(self, event: OrderCancelled, step_ns: int, backlog_ns: int) -> None:
        self._add("orders_cancelled_total")
        self._sent.pop(event.order_id, None)

    def _on_filled(self, event: OrderFilled, step_ns: int, backlog_ns: int) -> None:
        self._add("fills_total", "maker" if event.maker else "taker")
        self._add("fill_volume_shares_total", by=event.size_e6)
        self._add("fill_notional_usdc_total", by=notional_e6_down(event.price_e4, event.size_e6))

    def _on_cancel_rejected(self, event: CancelRejected, step_ns: int, backlog_ns: int) -> None:
        self._add("cancels_rejected_total")

    def _on_fill_failed(self, event: FillFailed, step_ns: int, backlog_ns: int) -> None:
        self._add("fills_failed_total")

    def _on_records_lost(self, event: RecordsLost, step_ns: int, backlog_ns: int) -> None:
        self._add("records_lost_total", by=event.count)

    def _on_skew(self, event: ClockSkewMeasured, step_ns: int, backlog_ns: int) -> None:
        self.skew_ms = event.skew_ms

    def _on_swapped(self, event: LineupSwapped, step_ns: int, backlog_ns: int) -> None:
        risk = orjson.loads(event.config).get("risk")
        if risk is not None:
            self.stale_ns = risk["stale_tick_filter_ms"] * MS_NS

    def _on_shadow_reset(self, event: ShadowReset, step_ns: int, backlog_ns: int) -> None:
        self._earlier_records += self._window.records
        self._window = Validity()
        for recorder in self.latencies.values():
            recorder.reset()
        for symbol in self._symbols.values():
            if symbol.lag is not None:
                symbol.lag.reset()

    def _gap(self) -> None:
        self._add("seq_gaps_total")
        self._window.gaps += 1

    def _symbol(self, name: str) -> Symbol:
        symbol = self._symbols.get(name)
        if symbol is None:
            lag = LatencyRecorder() if len(self._symbols) < SYMBOLS_MAX else None
            symbol = self._symbols[name] = Symbol(lag)
        return symbol


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _age_ms(ts_ns: int, since_ns: int) -> float | None:
    return max(ts_ns - since_ns, 0) / MS_NS if since_ns else None


def _keep(table: dict[str, V], key: str, value: V, most: int) -> None:
    """Put a value in, dropping the oldest when the table is full."""
    if len(table) >= most and key not in table:
        del table[next(iter(table))]
    table[key] = value
