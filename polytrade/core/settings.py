"""The numbers the engine works with: the configuration in the core's own units."""

from typing import final

from polytrade.core.regimes import ToxicitySettings
from polytrade.core.units import MS_NS, SECOND_NS


@final
class PairSettings:
    """When complete sets are traded: the `[arb]` section. A way that is not allowed is False."""

    __slots__ = (
        "buy",
        "confirm_ns",
        "max_size_e6",
        "min_edge_bps",
        "pause_ns",
        "slippage_e4",
        "split",
        "split_first",
    )

    def __init__(
        self,
        buy: bool,
        split: bool,
        split_first: bool,
        min_edge_bps: float,
        max_size_e6: int,
        confirm_ns: int,
        slippage_e4: int,
        pause_ns: int,
    ) -> None:
        self.buy = buy
        self.split = split
        self.split_first = split_first
        self.min_edge_bps = min_edge_bps
        self.max_size_e6 = max_size_e6
        self.confirm_ns = confirm_ns
        self.slippage_e4 = slippage_e4
        self.pause_ns = pause_ns


@final
class EngineSettings:
    """Thresholds and times of the engine; built from the configuration by `session.py`.

    Weights are shares of the capital and sum to one. An order worth less than
    `min_notional_e6`, or with a whole edge below `min_edge_e6` (both USDC), is not wanted. Without
    `pairs`, complete sets are not traded.
    """

    __slots__ = (
        "arb_weight",
        "book_source",
        "book_stale_ns",
        "closing_ns",
        "hash_mode",
        "maker_weight",
        "merge_at_e6",
        "min_edge_e6",
        "min_notional_e6",
        "pairs",
        "reorder_ns",
        "requote_size_pct",
        "requote_ticks",
        "take_pause_ns",
        "take_ttl_ns",
        "taker_weight",
        "toxicity",
        "ttl_ns",
        "vol_fast_s",
        "vol_slow_s",
    )

    def __init__(
        self,
        book_source: str,
        book_stale_ns: int,
        closing_ns: int,
        hash_mode: str,
        merge_at_e6: int,
        reorder_ns: int,
        requote_size_pct: float,
        requote_ticks: int,
        ttl_ns: int,
        vol_fast_s: float,
        vol_slow_s: float,
        maker_weight: float = 0.2,
        taker_weight: float = 0.7,
        arb_weight: float = 0.1,
        min_notional_e6: int = 0,
        min_edge_e6: int = 0,
        take_pause_ns: int = SECOND_NS,
        take_ttl_ns: int = 150 * MS_NS,
        toxicity: ToxicitySettings | None = None,
        pairs: PairSettings | None = None,
    ) -> None:
        self.book_source = book_source
        self.book_stale_ns = book_stale_ns
        self.closing_ns = closing_ns
        self.hash_mode = hash_mode
        self.merge_at_e6 = merge_at_e6
        self.reorder_ns = reorder_ns
        self.requote_size_pct = requote_size_pct
        self.requote_ticks = requote_ticks
        self.ttl_ns = ttl_ns
        self.vol_fast_s = vol_fast_s
        self.vol_slow_s = vol_slow_s
        self.maker_weight = maker_weight
        self.taker_weight = taker_weight
        self.arb_weight = arb_weight
        self.min_notional_e6 = min_notional_e6
        self.min_edge_e6 = min_edge_e6
        self.take_pause_ns = take_pause_ns
        self.take_ttl_ns = take_ttl_ns
        self.toxicity = toxicity if toxicity is not None else ToxicitySettings()
        self.pairs = pairs
