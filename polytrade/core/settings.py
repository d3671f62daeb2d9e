"""The numbers the engine works with: the configuration in the core's own units."""

from typing import final


@final
class EngineSettings:
    """Thresholds and times of the engine; built from the configuration by `session.py`."""

    __slots__ = (
        "book_source",
        "book_stale_ns",
        "closing_ns",
        "hash_mode",
        "merge_at_e6",
        "reorder_ns",
        "requote_size_pct",
        "requote_ticks",
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
