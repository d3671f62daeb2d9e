"""Adverse selection: markouts of own fills by time to the market's end and by how they came about.

A table of fixed size: each cell keeps its newest samples, and its count goes on. Percentiles are
nearest rank, those of an empty cell do not exist: a cell without a sample has no row.
"""

from typing import Final, final

from polytrade.core.markouts import HORIZONS_S, Markout
from polytrade.core.samples import Samples
from polytrade.core.units import SECOND_NS

TO_CLOSE_S: Final = (10, 30, 60, 120, 300, 900, 3_600)
"""Upper bounds of the time left, exclusive; longer ones, and no end, are in a last bucket."""
TO_CLOSE_NAMES: Final = (
    "under_10s",
    "10s_30s",
    "30s_60s",
    "60s_120s",
    "120s_300s",
    "300s_900s",
    "900s_3600s",
    "over_3600s",
)
HOW_MAX: Final = 16
"""Ways of filling told apart; the models of fills name five."""
OTHER: Final = "other"
CELL_SAMPLES_MAX: Final = 256


def to_close_bucket(left_ns: int) -> int:
    """The bucket, an index of `TO_CLOSE_NAMES`, of the time left at the fill.

    `markouts.NO_END_NS` is in the last bucket, a fill told after the end in the first.
    """
    for at, bound_s in enumerate(TO_CLOSE_S):
        if left_ns < bound_s * SECOND_NS:
            return at
    return len(TO_CLOSE_S)


@final
class AdverseRow:
    """One cell: fills of one kind, so long before the end, one horizon later; basis points.

    `count` is of all samples, the percentiles and means are of the newest. `adverse_ratio` is the
    share of them below 0.
    """

    __slots__ = (
        "adverse_ratio",
        "count",
        "horizon_s",
        "how",
        "mean_bps",
        "mean_net_bps",
        "p25_bps",
        "p50_bps",
        "to_close",
    )

    def __init__(
        self,
        how: str,
        to_close: str,
        horizon_s: int,
        count: int,
        p50_bps: float,
        p25_bps: float,
        mean_bps: float,
        mean_net_bps: float,
        adverse_ratio: float,
    ) -> None:
        self.how = how
        self.to_close = to_close
        self.horizon_s = horizon_s
        self.count = count
        self.p50_bps = p50_bps
        self.p25_bps = p25_bps
        self.mean_bps = mean_bps
        self.mean_net_bps = mean_net_bps
        self.adverse_ratio = adverse_ratio


@final
class _Cell:
    __slots__ = ("count", "gross", "net")

    def __init__(self) -> None:
        self.gross = Samples(CELL_SAMPLES_MAX)
        self.net = Samples(CELL_SAMPLES_MAX)
        self.count = 0


@final
class AdverseSelection:
    """The table; fill it with every markout."""

    __slots__ = ("_cells", "_hows")

    def __init__(self) -> None:
        self._hows: list[str] = [OTHER]
        self._cells: dict[tuple[int, int, int], _Cell] = {}

    def markout(self, markout: Markout) -> None:
        """A markout of a fill became known."""
        how = markout.how
        if how not in self._hows and len(self._hows) < HOW_MAX:
            self._hows.append(how)
        at = self._hows.index(how) if how in self._hows else self._hows.index(OTHER)
        place = (at, to_close_bucket(markout.left_ns), markout.horizon)
        cell = self._cells.get(place)
        if cell is None:
            cell = _Cell()
            self._cells[place] = cell
        cell.count += 1
        cell.gross.add(markout.bps, markout.ts_ns)
        cell.net.add(markout.net_bps, markout.ts_ns)

    def reset(self) -> None:
        """A new measuring window begins: the table is empty."""
        self._hows = [OTHER]
        self._cells = {}

    def rows(self) -> list[AdverseRow]:
        """Every cell with a sample, by name of the way, then the shortest time left first."""
        rows: list[AdverseRow] = []
        for how in sorted(self._hows):
            for bucket in range(len(TO_CLOSE_NAMES)):
                for horizon in range(len(HORIZONS_S)):
                    cell = self._cells.get((self._hows.index(how), bucket, horizon))
                    if cell is not None:
                        rows.append(_row(how, bucket, horizon, cell))
        return rows


def _row(how: str, bucket: int, horizon: int, cell: _Cell) -> AdverseRow:
    gross = cell.gross
    mean, mean_net = gross.mean(), cell.net.mean()
    p50, p25 = gross.percentile(50), gross.percentile(25)
    assert mean is not None and mean_net is not None and p50 is not None and p25 is not None
    return AdverseRow(
        how,
        TO_CLOSE_NAMES[bucket],
        HORIZONS_S[horizon],
        cell.count,
        p50,
        p25,
        mean,
        mean_net,
        gross.below(0.0) / gross.count,
    )
