"""Measuring the models: sums, sentences and tables from numbers made by hand, and a small run."""

import importlib
import sys
from pathlib import Path

import orjson
import pytest

from polytrade.calibration import Scores
from polytrade.core.events import OrderFilled, ReferenceTicked
from polytrade.core.ids import ANCHOR, NO, YES
from polytrade.core.units import MS_NS, SECOND_NS

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("measure_models", "model_captures", "model_page", "model_runs")
T0_NS = 1_790_000_100 * SECOND_NS


@pytest.fixture(scope="module")
def scripts():
    """Imports a module of scripts/ by name; none of them stays imported."""
    before = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module
    sys.path[:] = before[0]
    for name in NAMES:
        if name not in before[1]:
            sys.modules.pop(name, None)


def lens_row(lens, engine, gross, fees=0.0, rebates=0.0, fills=1):
    return {
        "lens": lens,
        "engine": engine,
        "fills": fills,
        "gross_usdc": gross,
        "fees_usdc": fees,
        "rebates_usdc": rebates,
        "net_usdc": gross - fees + rebates,
    }


def seed_result(scripts, seed, nets, **runs):
    """A seed in which `control_mid` made `nets` gross under the three lenses."""
    model_runs = scripts("model_runs")
    lenses = ("pessimistic", "expected", "optimistic")
    rows = [
        lens_row(lens, engine, net, rebates=1.0)
        for lens, net in zip(lenses, nets, strict=True)
        for engine in ("maker", "all")
    ]
    found = {"control_mid": model_runs.RunResult(orders=3, fills=1, lenses=rows), **runs}
    return model_runs.SeedResult(seed=seed, events=10, runs=found, scores=Scores())


# -- numbers --------------------------------------------------------------------------------------


def test_mean_and_error_are_those_of_a_sample_of_seeds(scripts):
    of = scripts("model_runs").mean_and_error
    assert of([]) == (None, None)
    assert of([3.0]) == (3.0, None)
    mean, error = of([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert error == pytest.approx((1.0 / 3.0) ** 0.5)


def test_ratio_weighs_seeds_by_what_was_at_work_in_them(scripts):
    of = scripts("model_runs").ratio_and_error
    assert of([1.0, 2.0], [0.0, 0.0]) == (None, None)
    ratio, error = of([1.0, 3.0], [10.0, 30.0])
    assert ratio == pytest.approx(0.1)
    assert error == pytest.approx(0.0)
    ratio, error = of([1.0, 0.0], [10.0, 10.0])
    assert ratio == pytest.approx(0.05)
    assert error == pytest.approx((2 * (0.5**2 + 0.5**2)) ** 0.5 / 20)


def test_net_profit_of_a_run_is_told_with_and_without_rebates(scripts):
    run = seed_result(scripts, 1, (-2.0, -1.0, 4.0)).runs["control_mid"]
    assert run.net_usdc("expected") == 0.0
    assert run.net_usdc("expected", rebates=False) == -1.0
    assert run.net_usdc("expected", "taker") == 0.0


@pytest.mark.parametrize(("text", "seeds"), [("1-3", [1, 2, 3]), ("7", [7]), ("1,4-5", [1, 4, 5])])
def test_seeds_are_ranges_and_lists(scripts, text, seeds):
    assert scripts("measure_models").seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,1", "1-"])
def test_other_seeds_are_refused(scripts, text):
    if text == "1-":
        assert scripts("measure_models").seeds_of(text) == [1]
        return
    with pytest.raises(SystemExit, match="seeds: expected"):
        scripts("measure_models").seeds_of(text)


def test_a_control_trades_alone_and_no_run_is_stopped_early(scripts):
    model_runs = scripts("model_runs")
    plan = model_runs.Plan()
    control = model_runs.config_of(plan, "control_random")
    model = model_runs.config_of(plan, "blend")
    assert (control.strategy.maker, control.strategy.taker) == ("control_random", "none")
    assert not control.arb.enabled
    assert (model.strategy.fair_value, model.strategy.maker) == ("blend", "skewed")
    assert model.strategy.taker != "none"
    for config in (control, model):
        assert config.risk.daily_drawdown_cap_pct == 1.0
        assert config.risk.max_daily_loss >= 1e6


# -- markouts -------------------------------------------------------------------------------------


class Stub:
    """An engine that holds one order of one market whose mid the test sets."""

    def __init__(self, order, market):
        self.orders = self
        self.markets = {"m": market}
        self._order = order

    def find(self, order_id):
        return self._order


class Order:
    market = "m"
    token = NO
    side = 0
    engine = "maker"


def test_markouts_are_weighed_by_what_the_fill_was_worth(scripts, monkeypatch):
    model_runs = scripts("model_runs")
    mids = iter((300_000, 350_000, 450_000))
    monkeypatch.setattr(model_runs, "mid_e6_of", lambda market: next(mids))
    markouts = model_runs.FillMarkouts(Stub(Order(), None))
    # NO bought at 0.60: 10 shares for 6 USDC, a fee of 0.03.
    markouts.after(OrderFilled(T0_NS, "o", "f", 6_000, 10_000_000, 30_000, False, "book"))
    for after_s in (1, 5, 10):
        markouts.before(ReferenceTicked(T0_NS + after_s * SECOND_NS + 1, "BTC", "x", ANCHOR, 1, 0))
    one, five, ten = markouts.found["maker"]
    assert (one.fills, one.worth) == (1, pytest.approx(6.0))
    assert one.gain == pytest.approx(1.0)  # YES at 0.30 is NO at 0.70
    assert one.net == pytest.approx(0.97)
    assert five.gain == pytest.approx(0.5)
    assert ten.gain == pytest.approx(-0.5)


# -- text -----------------------------------------------------------------------------------------


def scores_of(model, brier, mid_brier, markets=50):
    """A model whose markets all say the same but for a little noise between them."""
    scores = Scores()
    scores.open(model)
    scores.open("mid")
    scores.resolved = markets
    for number in range(markets):
        wobble = 0.01 if number % 2 else -0.01
        losses = (10, 10 * (brier + wobble), 5.0, 10 * mid_brier, 4.0)
        scores.overall[model].take(losses)
        scores.horizons[model][2].take(losses)
    return scores


def test_the_page_says_where_a_model_is_worse_than_the_mid(scripts):
    page = scripts("model_page")
    (line,) = page.statements(scores_of("digital", 0.25, 0.20))
    assert line.startswith("- `digital` against the mid, Brier score: worse: over all times (+0.05")
    assert "1-3 min (+0.0500 ± 0.00" in line
    (line,) = page.statements(scores_of("digital", 0.15, 0.20))
    assert "better: over all times (-0.05" in line
    (line,) = page.statements(scores_of("digital", 0.2001, 0.20))
    assert "no different: over all times" in line


def test_the_page_says_whether_a_control_loses(scripts):
    page = scripts("model_page")
    seeds = [seed_result(scripts, n, (-5.0 - n, -4.0, 3.0 - n)) for n in (1, 2, 3)]
    for n, seed in enumerate(seeds, 1):
        sums = scripts("model_runs").Sums(fills=9, worth=100.0, gain=-float(n), net=-float(n))
        seed.runs["control_mid"].markouts = {"maker": [sums, sums, sums]}
    lines = page.control_statements(seeds)
    assert len(lines) == 4
    assert lines[0].startswith("- `control_mid`, pessimistic lens: net -6.00 ± 0.58 (loses; 3 of 3")
    assert "net -3.00 ± 0.00 (loses" in lines[1]
    assert "net +2.00 ± 0.58 (earns; 0 of 3 seeds lose)" in lines[2]
    assert "10 s after its fills: -2.00 ± 0.58 USDC a seed, -200 ± 58 bps" in lines[3]
    assert "(loses; 3 of 3 seeds lose)" in lines[3]
    (line,) = page.control_statements(seeds[:1])[1:2]
    assert "too few seeds" in line


def test_a_run_that_halted_or_does_not_balance_is_named(scripts):
    run = scripts("model_runs").RunResult(halted="lost user channel")
    seed = seed_result(scripts, 4, (0.0, 0.0, 0.0), digital=run)
    assert scripts("model_page").faults([seed]) == ["seed 4, `digital`: halted, lost user channel"]
    assert "halted, lost user channel" in scripts("model_page").section([seed], [], "now")


def test_tables_go_between_the_markers_and_nowhere_else(scripts, tmp_path):
    page = scripts("model_page")
    file = tmp_path / "results.md"
    file.write_text(f"# before\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n")
    page.write_page(file, "new")
    assert file.read_text() == f"# before\n\n{page.BEGIN}\n\nnew\n{page.END}\n\nafter\n"
    file.write_text("no markers")
    with pytest.raises(ValueError, match="expected"):
        page.write_page(file, "new")
    assert page.BEGIN in (ROOT / "docs" / "results.md").read_text()


# -- captures -------------------------------------------------------------------------------------


def ticks(price, seconds):
    return [
        ReferenceTicked(T0_NS + at * SECOND_NS, "BTC", "chainlink", ANCHOR, price(at), 0)
        for at in range(seconds)
    ]


def test_windows_of_settlement_ticks_are_scored_against_a_coin_flip(scripts):
    captures = scripts("model_captures")
    spec = captures.market_listed("m", "btc-updown-5m-1", T0_NS, T0_NS + 300 * SECOND_NS, "spot", 0)
    spec.strike_e8 = 60_000 * 10**8
    model = captures.fair_value(captures.Config(), "digital")

    def price(at):
        return (60_000 + 10 * at + (at % 2)) * 10**8

    made = ticks(price, 320)
    for tick in made:
        tick.venue_ts_ns = tick.ts_ns - 500 * MS_NS
    scores = captures.score_windows([captures.Window(spec, YES)], iter(made), model)
    row = scores.overall["digital"].row()
    assert (scores.resolved, row["markets"]) == (1, 1)
    assert 250 <= row["samples"] <= 300
    assert row["mid_brier"] == pytest.approx(0.25)
    assert row["brier"] < 0.01
    wrong = captures.score_windows([captures.Window(spec, NO)], iter(ticks(price, 320)), model)
    assert wrong.overall["digital"].row()["brier"] > 0.9


def test_a_window_that_is_still_open_is_not_scored(scripts):
    captures = scripts("model_captures")
    spec = captures.market_listed("m", "btc-updown-5m-1", T0_NS, T0_NS + 300 * SECOND_NS, "spot", 0)
    model = captures.fair_value(captures.Config(), "digital")
    made = iter(ticks(lambda at: 60_000 * 10**8, 100))
    scores = captures.score_windows([captures.Window(spec, YES)], made, model)
    assert (scores.resolved, scores.unresolved) == (0, 1)


def test_a_folder_without_captures_gives_nothing(scripts, tmp_path):
    assert list(scripts("model_captures").captured(tmp_path)) == []


# -- a small run ----------------------------------------------------------------------------------


def test_a_measurement_trades_scores_and_is_the_same_again(scripts, tmp_path):
    """One seed, seven minutes, the least activity: the first windows resolve within it."""
    measure, out = scripts("measure_models"), tmp_path / "m.json"
    asked = ["--seeds", "5", "--minutes", "6", "--activity", "0.01", "--coins", "btc"]
    asked += ["--runs", "digital,control_mid", "--tapes", str(tmp_path), "--out", str(out)]
    assert measure.main(asked) == 0
    first = orjson.loads(out.read_bytes())
    (seed,) = first["seeds"]
    assert set(seed["runs"]) == {"digital", "control_mid"}
    assert seed["scores"]["markets_resolved"] >= 1
    assert {"digital", "mid"} <= set(seed["scores"]["overall"])
    assert all(run["broken"] == "" for run in seed["runs"].values())
    made = (tmp_path / "tape-5.jsonl.zst").stat().st_mtime_ns
    assert measure.main(asked) == 0
    assert (tmp_path / "tape-5.jsonl.zst").stat().st_mtime_ns == made
    again = orjson.loads(out.read_bytes())
    assert again["seeds"] == first["seeds"]


def test_an_interrupted_measurement_keeps_what_is_done(scripts, tmp_path, monkeypatch, capsys):
    measure = scripts("measure_models")

    def results(plan, folder, seeds, workers):
        yield seed_result(scripts, 1, (-1.0, -1.0, -1.0))
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "_results", results)
    out = tmp_path / "m.json"
    before = measure.PAGE.read_text()
    assert measure.main(["--seeds", "1-3", "--out", str(out), "--write-docs"]) == 130
    assert [seed["seed"] for seed in orjson.loads(out.read_bytes())["seeds"]] == [1]
    assert "interrupted: 1 of 3 seeds are kept" in capsys.readouterr().err
    assert measure.PAGE.read_text() == before


def test_a_quick_measurement_does_not_write_the_page(scripts):
    with pytest.raises(SystemExit, match="without --quick"):
        scripts("measure_models").main(["--quick", "--write-docs"])
