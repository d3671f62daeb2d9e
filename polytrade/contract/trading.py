"""Contract rows: the funnel, shots, markouts, gates."""

from typing import Final

from polytrade.contract.rows import COUNTER, GAUGE, NOW, RUN, TABLE, WINDOW, Metric, shadow

ORDERS: Final = (
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
    shadow(
        "funnel",
        "count",
        "Stages from seen to filled",
        ("stage",),
        formula="decisions seen, candidate, quoted; wishes attempted; orders eligible, executed, "
        "filled",
    ),
    shadow(
        "executed_over_eligible",
        "ratio",
        "Accepted orders / orders that passed the limits",
        formula="executed / eligible",
    ),
    shadow(
        "quote_block_ratio",
        "ratio",
        "Orders the venue refused / orders sent",
        formula="quote_blocked / (quote_attempted + quote_blocked)",
    ),
    shadow(
        "policy_block_ratio",
        "ratio",
        "Decisions a hard limit stopped / those and the ones that quoted",
        formula="policy_blocked / (quoted + policy_blocked), risk:* and risk_capped_zero only",
    ),
    shadow("blocked_reason_counts", "count", "What stopped decisions and orders", ("reason",)),
)


def _by_delay(name: str, text: str, formula: str) -> list[Metric]:
    """A ratio at each delay of the shots, and of how many."""
    rows = []
    for delay in (5, 10, 25):
        field = f"{name}_{delay}ms"
        rows.append(shadow(field, "ratio", f"{text} at +{delay} ms", formula=formula))
        rows.append(shadow(f"{field}_n", "count", f"Shots behind {field}"))
    return rows


SHOTS: Final = (
    shadow("window_id", "id", "Number of the measuring window", window=NOW),
    shadow("started_at_ms", "ms", "When the window began, Unix time"),
    shadow("elapsed_sec", "s", "How long the window has lasted"),
    shadow("window_shots", "count", "Shots taken in the window, three an executed order"),
    shadow("window_outcomes", "count", "Outcomes concluded in the window"),
    shadow("shots_invalid", "count", "Shots whose book was not to be trusted"),
    shadow("outcomes_valid", "count", "Outcomes that count"),
    *_by_delay(
        "survival", "Price still crossable", "survived / shots that arrived at a trusted book"
    ),
    *_by_delay(
        "fillability",
        "Crossable and filled by the queue model",
        "filled / shots the market came to, or that took",
    ),
    *_by_delay(
        "survival_probe",
        "Threatened price still there, without an order",
        "standing / probes taken when the reference leads the book by 5 ms",
    ),
    shadow(
        "survival_probe_10ms_by_symbol",
        "ratio",
        "survival_probe_10ms by coin",
        ("symbol",),
        formula="as survival_probe_10ms",
    ),
    *(
        shadow(
            f"pnl_{seconds}s_p50_bps",
            "bps",
            f"Median markout {seconds} s after the fill, on the entry price",
            formula=f"p50 of (mid of the side held at +{seconds} s - entry) / entry",
        )
        for seconds in (1, 5, 10)
    ),
    shadow("pnl_10s_p50_bps_raw", "bps", "pnl_10s_p50_bps of all samples"),
    shadow(
        "pnl_10s_p50_bps_robust",
        "bps",
        "pnl_10s_p50_bps without outliers",
        formula="within 1.5 IQR of the quartiles, from 5 samples on",
    ),
    shadow("pnl_10s_sample_count", "count", "Samples behind pnl_10s_p50_bps_raw"),
    shadow("pnl_10s_outlier_ratio", "ratio", "Share of them that the filter drops"),
    shadow(
        "net_markout_10s_usdc_p50",
        "usdc",
        "Median money of a fill after 10 s",
        formula="p50 of (markout - fee + rebate) x entry notional",
    ),
    shadow(
        "roi_notional_10s_bps_p50",
        "bps",
        "Median return of a fill after 10 s",
        formula="p50 of net_markout_10s_usdc / entry notional",
    ),
    shadow(
        "net_edge_p50_bps",
        "bps",
        "Median edge of a shot by fair value, net of fees",
        formula="p50 of (fair - price) / price - fee + rebate at +10 ms",
    ),
    shadow("net_edge_p10_bps", "bps", "Lower decile of the same", formula="p10 of the same"),
    shadow(
        "ev_net_usdc_p50",
        "usdc",
        "Median worth of an executed order",
        formula="p50 of net markout at 10 s of the shot at +10 ms, valid outcomes",
    ),
    shadow("ev_net_usdc_p10", "usdc", "Lower decile of the same", formula="p10 of the same"),
    shadow("ev_positive_ratio", "ratio", "Share of the same above 0"),
    shadow("causes", "count", "Outcomes by their one cause", ("cause",)),
    shadow("market_scorecard", "rows", "The same by market", kind=TABLE),
    shadow("pnl_by_engine", "rows", "Net markouts by engine", kind=TABLE),
    shadow("adverse_selection", "rows", "Markouts by time to close and how filled", kind=TABLE),
    shadow("lenses", "rows", "Profit under three fill models", kind=TABLE, window=RUN),
    shadow("calibration", "rows", "Brier and log loss beside the mid", kind=TABLE, window=RUN),
    shadow(
        "coherence",
        "rows",
        "Whether an asset's windows and thresholds agree",
        formula="volatility and level that their mids share; gaps of thresholds and ranges",
        kind=TABLE,
        window=RUN,
    ),
    shadow(
        "gate_ready",
        "bool",
        "The window has outcomes enough",
        formula="window_outcomes >= 30",
    ),
    shadow("gate_passed", "bool", "Ready, and every gate holds"),
    shadow("gate_fail_reasons", "text", "Each gate that fails, with value and limit", kind=TABLE),
    Metric(
        "gate_holds", GAUGE, "bool", "The gate on this metric holds", ("metric",), window=WINDOW
    ),
)
