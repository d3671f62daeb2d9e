"""What the plots are drawn from: thinned, in step with the events, drawn by valid figures."""

from pathlib import Path

import attrs
import pytest
from plotly.graph_objects import Figure  # type: ignore[import-untyped]

from polytrade.core.effects import Effect
from polytrade.core.events import Event
from polytrade.core.ids import BUY, SELL
from polytrade.core.units import SECOND_NS
from polytrade.reports.curves import EQUITY_COLUMNS, Curves, Thinned
from polytrade.reports.figures import figures
from polytrade.reports.report import Report
from polytrade.shadow import Shadow, ShadowSettings
from tests.core.factory import SHARE, change
from tests.core.rig import Rig, ask, bid


class Watched(Rig):
    """A rig whose events the curves and the shadow, which tells them of markouts, see."""

    curves: Curves | None = None
    shadow: Shadow | None = None

    def step(self, event: Event, ms: int | None = None) -> list[Effect]:
        effects = super().step(event, ms)
        if self.curves is not None and self.shadow is not None:
            self.shadow.observe(event, effects)
            self.curves.observe(event, effects)
        return effects


def quoting() -> tuple[Watched, Curves]:
    rig = Watched()
    rig.open()
    rig.curves = Curves(rig.engine)
    rig.shadow = Shadow(ShadowSettings(), rig.engine, rig.curves.markout)
    rig.want(bid(48), ask(52))
    rig.accept("o1", "o2")
    return rig, rig.curves


def test_full_curve_keeps_every_other_point_at_twice_the_distance() -> None:
    curve = Thinned(8, SECOND_NS)
    for second in range(100):
        if curve.wants(second * SECOND_NS):
            curve.add(second * SECOND_NS, (float(second),))
    kept = [int(row[1] or 0) for row in curve.rows]
    assert kept == [0, 16, 32, 48, 64, 80, 96]


def test_equity_is_sampled_once_a_second_of_the_events_own_time() -> None:
    rig, curves = quoting()
    rig.fill("o1", 10)
    for ms in range(100, 3_000, 100):
        rig.tick(ms)
    rows = curves.to_dict()["equity"]["rows"]
    assert len(rows) == 3
    last = dict(zip(EQUITY_COLUMNS, rows[-1], strict=True))
    assert last["equity_mid_usdc"] == 1_000.2  # ten bought at 48, worth 50 at the mid
    assert last["equity_usdc"] == 1_000.0
    assert last["gross_usdc"] == 0.2
    assert last["drawdown_usdc"] == 0.0
    assert last["net_shares"] == 10.0
    assert last["exposure_usdc"] > 0.0


def test_fill_is_noted_in_terms_of_yes_beside_fair_value_and_mid() -> None:
    rig, curves = quoting()
    rig.fill("o2", 4)  # NO bought at 48: YES sold at 52
    (fill,) = curves.to_dict()["fills"]
    assert (fill["side"], fill["token"], fill["yes_price_e4"]) == ("sell", "no", 5_200)
    assert (fill["fair"], fill["mid"], fill["size_e6"]) == (0.5, 0.5, 4 * SHARE)
    assert curves.fills == 1


def test_prices_are_kept_of_markets_in_which_something_filled() -> None:
    rig, curves = quoting()
    rig.tick(1_000)
    assert curves.to_dict()["tracks"] == []
    rig.fill("o1", 1)
    (track,) = curves.to_dict()["tracks"]
    assert (track["slug"], track["fills"]) == ("btc-updown-5m-1000", 1)
    assert track["rows"][-1][1:] == [0.48, 0.52, 0.5]


def test_markouts_are_of_the_mid_in_force_at_each_instant_with_the_edge_of_the_fill() -> None:
    rig, curves = quoting()
    rig.fill("o1", 10)
    rig.step(change(BUY, 48, 0, 0, 2), 900)  # 47/52: the mid at +1 s is 49.5
    rig.step(change(SELL, 52, 0, 0, 3), 1_500)  # 47/53: the mid at +5 s is 50
    rig.tick(5_001)
    found = curves.to_dict()["markouts"]
    rebate_bps = found[1][1] - (50 - 48) / 48 * 1e4
    assert rebate_bps > 0
    assert [row[0] for row in found] == [1, 5]
    assert found[0][1] - rebate_bps == pytest.approx((49.5 - 48) / 48 * 1e4)
    assert found[0][2] == pytest.approx((50 - 48) / 48 * 1e4)


def test_figures_are_what_plotly_takes(run: tuple[Path, Report]) -> None:
    found = figures(run[1])
    assert set(found) >= {"equity", "drawdown", "inventory", "lenses", "fills", "latency"}
    for name, figure in found.items():
        Figure(figure)  # raises for a field Plotly does not know
        assert figure["data"], name


def test_figures_of_nothing_are_left_out(run: tuple[Path, Report]) -> None:
    report = run[1]
    curves = {
        **report.curves,
        "equity": {**report.curves["equity"], "rows": []},
        **{name: [] for name in ("fills", "tracks", "markouts")},
        "latency": {},
    }
    calibration = {**report.calibration, "by_time_to_end": {}, "reliability": {}}
    bare = attrs.evolve(
        report, curves=curves, calibration=calibration, wall={**report.wall, "curves": {}}
    )
    assert set(figures(bare)) == {"lenses"}
