"""Contract rows: how good the data is, and how fast it is handled."""

from typing import Final

from polytrade.contract.rows import (
    COUNTER,
    GAUGE,
    NOW,
    QUALITY,
    RUN,
    SUMMARY,
    WINDOW,
    Metric,
    latency,
    shadow,
)

VALIDITY: Final = (
    Metric("events_total", COUNTER, "events", "Events the engine stepped", ("kind",)),
    Metric("records_total", COUNTER, "records", "Book, trade and fast reference records"),
    Metric("invalid_records_total", COUNTER, "records", "Records no gate counts", ("reason",)),
    shadow("book_ticks_total", "records", "Book and trade records", kind=COUNTER, window=RUN),
    Metric("ref_source_ticks_total", COUNTER, "records", "Reference ticks, all kinds", ("source",)),
    shadow("ref_ticks_total", "records", "Reference ticks of all kinds", kind=COUNTER, window=RUN),
    Metric("feed_gaps_total", COUNTER, "gaps", "Losses feeds reported", ("reason",)),
    Metric("seq_gaps_total", COUNTER, "gaps", "Proven sequence, checksum or book disagreements"),
    Metric("ts_inversions_total", COUNTER, "records", "Records 50 ms behind their source's last"),
    Metric("records_lost_total", COUNTER, "records", "Records the journal could not keep"),
    shadow(
        "data_valid_ratio",
        "ratio",
        "Valid records / all records",
        formula="1 - (stale, after a gap, untrusted or inverted) / records",
    ),
    shadow(
        "seq_gap_rate",
        "ratio",
        "Proven gaps / all records",
        formula="sequence, checksum, trade-id, hash or stated-best disagreements / records",
    ),
    shadow(
        "ts_inversion_rate",
        "ratio",
        "Inversions / all records",
        formula="records over 50 ms behind the last of their source and symbol / records",
    ),
    shadow(
        "stale_tick_drop_ratio",
        "ratio",
        "Fast ticks the stale filter drops / considered",
        formula="fast ticks older than risk.stale_tick_filter_ms on receive / fast ticks",
    ),
    shadow(
        "book_freshness_ms",
        "ms",
        "Age of the newest book or trade record",
        formula="now - its local receive",
        window=NOW,
        wall_clock=True,
    ),
    shadow(
        "ref_freshness_ms",
        "ms",
        "Age of the newest fast reference tick",
        formula="now - its local receive",
        window=NOW,
        wall_clock=True,
    ),
    Metric("clock_skew_ms", GAUGE, "ms", "Our clock minus the venue's", window=NOW, json=QUALITY),
)

BOOKS: Final = (
    Metric("books", GAUGE, "books", "Books by trust in them", ("state",), window=NOW),
    Metric("book_state_changes_total", COUNTER, "changes", "Changes of trust", ("state",)),
    Metric("book_hashes_total", COUNTER, "hashes", "Book hash checks by result", ("result",)),
    Metric("snapshots_requested_total", COUNTER, "requests", "Fresh books asked", ("reason",)),
)

LATENCIES: Final = (
    latency(
        "source_latency_ms",
        "ms",
        "Source's event time to local receive",
        "local receive - the source's own time, clock offset in clock_skew_ms",
        wall_clock=False,
    ),
    latency(
        "local_backlog_ms",
        "ms",
        "Local receive to the engine's start on it",
        "engine's start - local receive, market data records",
    ),
    latency(
        "feed_in_ms",
        "ms",
        "Source's event time to the engine's start on it",
        "source_latency + local_backlog of each record",
    ),
    latency(
        "decision_queue_wait_ms",
        "ms",
        "Wait of a decoded record for the engine",
        "taken from the inbox - put into it, one record at a time",
    ),
    latency(
        "decision_compute_ms",
        "ms",
        "Engine's work on a market data record",
        "end - begin of Engine.step: book, fair value, strategy, risk",
    ),
    latency(
        "tick_to_decision_ms",
        "ms",
        "Local receive to decision ready",
        "local_backlog + decision_compute of each record",
    ),
    latency("ack_only_ms", "ms", "Order sent to the venue's answer", "answer's receive - sent"),
    latency(
        "tick_to_ack_ms",
        "ms",
        "Local receive to the venue's answer",
        "answer's receive - local receive of the event that caused the order",
        wall_clock=False,
    ),
    latency(
        "book_top_lag_ms",
        "ms",
        "Book receive after fast tick receive",
        "max(0, book - fast tick receive), each 200 ms a symbol, ticks under 1500 ms old",
        wall_clock=False,
    ),
    shadow(
        "book_top_lag_p99_ms_by_symbol",
        "ms",
        "p99 of book_top_lag_ms by coin",
        ("symbol",),
        formula="as book_top_lag_ms",
    ),
    latency("parse_us", "us", "Decoding of a frame", "end - begin of the decoder"),
    latency(
        "signal_us",
        "us",
        "One fair value",
        "end - begin of FairValue.estimate, each 16th call",
    ),
    latency(
        "quote_us",
        "us",
        "One answer of the maker",
        "end - begin of Maker.quotes, each 16th call",
    ),
    latency(
        "risk_us",
        "us",
        "The limits of one order",
        "every limit but the rate budgets, asked again after each 16th order",
    ),
    latency(
        "sign_us",
        "us",
        "Hashing and signing of one order",
        "an order signed with a key that owns nothing and thrown away, once a second at most",
    ),
    Metric(
        "loop_lag_ms", SUMMARY, "ms", "Lateness of the event loop", window=WINDOW, wall_clock=True
    ),
    shadow(
        "loop_lag_p99_ms",
        "ms",
        "p99 of loop_lag_ms",
        formula="wake-up - due, every 50 ms",
        wall_clock=True,
    ),
    Metric(
        "io_queue_ms",
        SUMMARY,
        "ms",
        "Wait of a journal record for the disk",
        window=NOW,
        wall_clock=True,
    ),
    shadow(
        "io_queue_p99_ms",
        "ms",
        "p99 of io_queue_ms",
        formula="written - queued, the oldest row of each of the last 1024 batches",
        window=NOW,
        wall_clock=True,
    ),
    shadow(
        "queue_depth_p99",
        "items",
        "p99 of the items in all queues of the shell",
        formula="inbox events + journal and recorder rows, every 50 ms",
        wall_clock=True,
    ),
    shadow(
        "event_backlog_p99",
        "events",
        "p99 of the events waiting behind one that is taken up",
        formula="inbox depth at each event",
        wall_clock=True,
    ),
    shadow(
        "strategy_uptime_pct",
        "ratio",
        "Share of the window in which the engine could trade",
        formula="time the strategy task ran and the engine was not halted / elapsed_sec",
        wall_clock=True,
    ),
)
