"""The toxicity report: what is thought of each market, in the names of the control API."""

from typing import Any

from polytrade.core.engine import Engine
from polytrade.core.regimes import CAUTION, DANGER, REGIME_NAMES, SAFE
from polytrade.core.units import MS_NS, ONE_E6


def toxicity_json(engine: Engine, ts_ns: int) -> dict[str, Any]:
    """The JSON of `GET /report/toxicity/live`; null where nothing was measured."""
    rows = engine.toxicity.rows(ts_ns)
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
