"""Contract rows: money, toxicity, and the markets followed now."""

from typing import Final

from polytrade.contract.rows import (
    ENGINES,
    GAUGE,
    NOW,
    PNL,
    RUN,
    TABLE,
    TOXICITY,
    WINDOW,
    Metric,
)


def _money(name: str, text: str, field: str, window: str = NOW, unit: str = "usdc") -> Metric:
    return Metric(name, GAUGE, unit, text, window=window, json=f"{PNL}#{field}")


MONEY: Final = (
    _money("pnl_realized_usdc", "Realized profit", "realized", RUN),
    _money("pnl_unrealized_usdc", "Unrealized profit, conservative marks", "unrealized"),
    _money("fees_usdc", "Fees paid", "fees", RUN),
    _money("rebates_usdc", "Rebates received", "rebates", RUN),
    _money("equity_usdc", "Cash and positions, conservative marks", "equity"),
    _money("equity_mid_usdc", "Cash and positions at mid", "equity_mid"),
    _money("peak_equity_usdc", "Highest equity of the run", "peak_equity", RUN),
    _money(
        "max_drawdown_ratio",
        "Deepest fall from the peak / capital",
        "max_drawdown_pct",
        RUN,
        "ratio",
    ),
    _money("daily_pnl_usdc", "Profit since UTC midnight", "daily_pnl"),
    Metric("open_orders", GAUGE, "orders", "Resting orders"),
    Metric(
        "breakdown",
        TABLE,
        "usdc",
        "Net markouts of maker, taker and arb",
        formula="sum of net markouts at 10 s by engine",
        window=WINDOW,
        json=ENGINES,
    ),
    Metric(
        "engine_rows",
        TABLE,
        "rows",
        "Samples, total, p50, p10 and share above 0 by engine",
        window=WINDOW,
        json=f"{ENGINES}#rows",
    ),
    Metric(
        "engine_net_usdc",
        GAUGE,
        "usdc",
        "Net markouts of an engine",
        ("engine",),
        formula="as breakdown",
        window=WINDOW,
    ),
    Metric(
        "lens_net_usdc",
        GAUGE,
        "usdc",
        "Profit after fees and estimated rebates under a fill model",
        ("lens",),
        formula="realized + open at mid - fees + rebates, see lenses",
        window=RUN,
    ),
)

TOXIC: Final = (
    Metric("ts_ms", TABLE, "ms", "When the answer was made, Unix time", json=TOXICITY),
    Metric(
        "average_tox_score",
        GAUGE,
        "ratio",
        "Mean toxicity of the open markets",
        formula="mean of tox_score over all rows",
        json=TOXICITY,
    ),
    *(
        Metric(
            f"{regime}_count",
            GAUGE,
            "markets",
            f"Markets in regime {regime}",
            json=TOXICITY,
        )
        for regime in ("safe", "caution", "danger")
    ),
    Metric("toxicity_rows", TABLE, "rows", "The same by market", json=f"{TOXICITY}#rows"),
    Metric("market_tox_score", GAUGE, "ratio", "Toxicity", ("slug",)),
    Metric("market_score", GAUGE, "points", "Market score, 0 to 100", ("slug",)),
    Metric("market_active", GAUGE, "bool", "Quoted as far as its rank goes", ("slug",)),
)

MARKETS: Final = (
    Metric("market_bid", GAUGE, "usdc", "Best bid of YES", ("slug",)),
    Metric("market_ask", GAUGE, "usdc", "Best ask of YES", ("slug",)),
    Metric("market_fair", GAUGE, "probability", "Fair value of YES", ("slug",)),
    Metric(
        "market_confidence", GAUGE, "ratio", "Confidence in the fair value", ("slug",), window=NOW
    ),
    Metric("market_yes_shares", GAUGE, "shares", "YES held", ("slug",)),
    Metric("market_no_shares", GAUGE, "shares", "NO held", ("slug",)),
    Metric("market_exposure_usdc", GAUGE, "usdc", "Money at risk", ("slug",)),
    Metric(
        "market_pnl_usdc", GAUGE, "usdc", "Realized and unrealized profit", ("slug",), window=NOW
    ),
)
