"""Tapes of the local venue with what hurts: prices that jump, ticks that change, strikes that never
come, markets that never resolve. Everything goes through everything without an exception.
"""

from collections import Counter

import attrs
import orjson
import pytest

from polytrade import strict
from polytrade.captures import CaptureHeader, write_capture
from polytrade.core.effects import PlaceOrder
from polytrade.core.ids import YES
from polytrade.core.units import SECOND_NS
from polytrade.replay import replay
from polytrade.reports.files import render, write_reports
from polytrade.reports.report import build_report
from polytrade.reports.verify import report_of, verify
from polytrade.sandbox.tape import START_S, Tape
from polytrade.sandbox.venue.options import VenueOptions

OPTIONS = VenueOptions(
    seed=3,
    coins=("btc", "eth"),
    windows=("5m",),
    windows_ahead=0,
    slow_markets=False,
    activity=0.02,
)
BEGIN_S = START_S + 200
"""The first window has 100 s left; the second is open for 80 s when the tape ends."""
SECONDS = 180
JUMPS = ((30, "btc", 400.0), (31, "btc", -900.0), (60, "eth", 700.0), (90, "btc", 2_000.0))
"""When, whose price and by how many basis points: a day's move within a second."""
ETH = "eth-updown-5m-"
BTC_FIRST = f"btc-updown-5m-{START_S}"


def doctored(record):
    """A record as somebody less lucky would have got it; None for one that was lost."""
    if record.source == "gamma/0":
        body = orjson.loads(record.frame)
        if body["slug"].startswith(ETH):
            (body.get("eventMetadata") or {}).pop("priceToBeat", None)
        lost = body["slug"] == BTC_FIRST and body["closed"]
        return None if lost else attrs.evolve(record, frame=orjson.dumps(body).decode())
    lost = "eth/usd" in record.frame or "market_resolved" in record.frame
    return None if lost else record


@pytest.fixture(scope="module")
def edge_tape(tmp_path_factory):
    tape = Tape(OPTIONS, BEGIN_S, ("market", "rtds", "binance"))
    simulation = tape.simulation
    for after_s, coin, bps in JUMPS:
        at_ns = (BEGIN_S + after_s) * SECOND_NS
        simulation.schedule.at(at_ns, lambda c=coin, b=bps: simulation.prices.jump(c, b))
    path = tmp_path_factory.mktemp("edge") / "edge.jsonl.zst"
    records = (doctored(record) for record in tape.records(SECONDS))
    header = CaptureHeader(created="2026-11-16T12:03:20Z", run_id="edge", generated=True, note="")
    write_capture(path, header, (record for record in records if record is not None))
    return path


@pytest.fixture(scope="module")
def replayed(edge_tape, request):
    root = request.config.rootpath
    told = ('universe.coins=["btc","eth"]', "strategy.fair_value=blend")
    config = strict.load(root / "configs" / "sandbox", told)
    return report_of(edge_tape, config)


def test_edge_tape_holds_what_it_is_made_for(replayed):
    watch, _, result = replayed
    assert result.events_by_type["tick_size_changed"] > 0
    markets = watch.engine.markets.values()
    strikeless = [market for market in markets if market.spec.slug.startswith(ETH)]
    assert strikeless
    assert all(market.strike_e8 <= 0 for market in strikeless if not market.strike_provisional)
    (unresolved,) = [market for market in markets if market.spec.slug == BTC_FIRST]
    assert unresolved.winner < YES
    assert result.malformed == {}


def test_edge_tape_replays_to_the_end_with_books_that_balance(replayed):
    watch, _, result = replayed
    assert not result.broken
    assert result.orders > 0
    assert watch.tally.events == result.events
    assert watch.engine.ts_ns > (BEGIN_S + SECONDS - 5) * SECOND_NS


def test_edge_tape_gives_the_same_effects_and_reports_again(replayed, edge_tape, request):
    _, _, first = replayed
    config = strict.load(
        request.config.rootpath / "configs" / "sandbox",
        ('universe.coins=["btc","eth"]', "strategy.fair_value=blend"),
    )
    _, _, second = report_of(edge_tape, config)
    assert second.effect_digest == first.effect_digest
    assert second.account == first.account


def test_reports_of_an_edge_tape_are_written_and_verified(replayed, edge_tape, tmp_path):
    watch, basis, _ = replayed
    report = build_report(watch, basis)
    files = render(report)
    paths = write_reports(report, tmp_path)
    assert sorted(path.name for path in paths) == sorted(files)
    (manifest,) = [path for path in paths if path.name == "truth_manifest.json"]
    verdict = verify(manifest, edge_tape)
    assert (verdict.problems, verdict.difference) == ([], None)


class Placed:
    """What is placed, by the beginning of the market's slug."""

    def __init__(self, engine):
        self.engine = engine
        self.by_coin = Counter()

    def observe(self, event, effects):
        for effect in effects:
            if isinstance(effect, PlaceOrder):
                self.by_coin[self.engine.markets[effect.market].spec.slug[:3]] += 1


def test_no_order_is_placed_on_a_market_without_a_strike(edge_tape, request):
    config = strict.load(request.config.rootpath / "configs" / "sandbox")
    placed = []

    def attach(config, session):
        placed.append(Placed(session.engine))
        return placed[0]

    replay(edge_tape, config=config, attach=attach)
    assert placed[0].by_coin["btc"] > 0
    assert placed[0].by_coin["eth"] == 0
