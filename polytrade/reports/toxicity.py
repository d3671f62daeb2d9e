"""The toxicity report: what is thought of each open market, in the names of the control API.

What was thought of a market that is over says nothing of those traded now, and is left out.
"""

from collections.abc import Mapping
from typing import Any, Final

from polytrade.core.engine import Engine
from polytrade.core.markouts import HORIZON_10S
from polytrade.core.regimes import CAUTION, DANGER, REGIME_NAMES, SAFE, ToxicitySettings
from polytrade.core.units import MS_NS, ONE_E6
from polytrade.gates import READY_OUTCOMES

DANGER_SHARE_MAX: Final = 0.25
"""More of the markets than this in danger fail the verdict: two of eight."""
COUNT: Final = "pnl_10s_sample_count"
MEDIAN: Final = "pnl_10s_p50_bps"
"""What the window's own fills say, over all markets: a market of five minutes alone has too few."""


def toxicity_json(engine: Engine, ts_ns: int) -> dict[str, Any]:
    """The JSON of `GET /report/toxicity/live`; null where nothing was measured."""
    rows = [row for row in engine.toxicity.rows(ts_ns) if row.open]
    counts = [sum(1 for row in rows if row.regime == regime) for regime in (SAFE, CAUTION, DANGER)]
    return {
        "ts_ms": ts_ns // MS_NS,
        "average_tox_score": sum(row.tox for row in rows) / len(rows) if rows else None,
        "safe_count": counts[0],
        "caution_count": counts[1],
        "danger_count": counts[2],
        "rows": [
            {
                "market_rank": row.rank,
                "market_id": row.market,
                "symbol": row.symbol,
                "tox_score": row.tox,
                "regime": REGIME_NAMES[row.regime],
                "reason": row.reason,
                "market_score": row.score,
                "markout_10s_bps": row.markout_10s_bps,
                "markouts": row.markouts,
                "no_quote_rate": row.no_quote_rate,
                "symbol_missing_rate": row.symbol_missing_rate,
                "pending_exposure": engine.ledger.exposure_e6(row.market) / ONE_E6,
                "active_for_quoting": row.active,
                "cooldown_sec": row.cooldown_sec,
                "imbalance": row.imbalance,
                "cancel_burst": row.cancel_burst,
                "trade_burst": row.trade_burst,
            }
            for row in rows
        ],
    }


def toxicity_faults(
    live: Mapping[str, Any], values: Mapping[str, float | None], settings: ToxicitySettings
) -> list[str]:
    """Why the markets as they stand are not to be traded; empty when they may be.

    `live` is the report, `values` the window's numbers, `settings` those judged by now. Nothing
    passes because nothing was measured: too few markouts fail by name, as a median without any.
    """
    reasons = []
    count, median = values.get(COUNT) or 0, values.get(MEDIAN)
    if count < READY_OUTCOMES:
        reasons.append(f"{COUNT} {count:g}, wanted >= {READY_OUTCOMES}")
    least_bps = settings.danger_bps[HORIZON_10S]
    if median is None:
        reasons.append(f"{MEDIAN} no sample, wanted > {least_bps:g}")
    elif median <= least_bps:
        reasons.append(f"{MEDIAN} {median:.6g}, wanted > {least_bps:g}")
    markets = len(live["rows"])
    if not markets:
        return [*reasons, "no market is open"]
    average, danger = live["average_tox_score"], live["danger_count"] / markets
    most = settings.caution_threshold
    if average > most:
        reasons.append(f"average_tox_score {average:.6g}, wanted <= {most:g}")
    if danger > DANGER_SHARE_MAX:
        reasons.append(f"danger_count / markets {danger:.6g}, wanted <= {DANGER_SHARE_MAX:g}")
    return reasons
