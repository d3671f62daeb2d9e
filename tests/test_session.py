"""A session on paper: from a quote to a profit, and whole systems in seeded worlds."""

import attrs
import pytest

from polytrade.config import Allocator, Arb, Config, Execution, Strategy, Toxicity
from polytrade.core.effects import CancelOrder, Effect, PlaceOrder
from polytrade.core.events import (
    ClockTicked,
    Event,
    FillConfirmed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    ReferenceTicked,
    event_from_row,
)
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.core.ledger import Ledger
from polytrade.core.limits import FLATTEN, RUN
from polytrade.core.orders import UNKNOWN
from polytrade.core.roles import MAKER, TAKER, FullShare
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.lineup import build_lineup
from polytrade.session import Session, build_session, engine_settings, run_started
from tests.core.factory import END_NS, MARKET, SHARE, START_NS, change, listed, snapshot, trade
from tests.core.world import CONFIG, World, drive, rows_of

PAPER = Config(
    strategy=Strategy(
        base_quote_size=10.0, half_spread=0.01, max_spread=0.08, min_edge_bps=0.0, vol_floor_bps=0.1
    ),
    execution=Execution(
        place_latency_ms=(10.0,) * 5, cancel_latency_ms=(5.0,) * 5, settle_delay_s=1.0
    ),
)


class Tape:
    """Everything a session said, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rows: list[list[object]] = []

    def append(self, event: Event) -> None:
        self.events.append(event)

    def effects(self, effects: list[Effect]) -> None:
        self.rows += [[self.events[-1].ts_ns, *effect.row()] for effect in effects]


class Desk:
    """A session over one market at the money, warmed up, its clock in ms after the start."""

    def __init__(self, config: Config = PAPER) -> None:
        lineup = attrs.evolve(build_lineup(config), allocator=FullShare())
        self.session = build_session(config, lineup=lineup)
        self.engine = self.session.engine
        self.seen: list[Event] = []
        self.effects: list[Effect] = []
        self.at_ms = -30_000
        self.put(run_started(config, START_NS - 30 * SECOND_NS, "test"))
        self.put(listed(self.now_ns, settle="spot", lookback_s=0))
        self.put(snapshot({48: 100, 47: 100}, {52: 100, 53: 100}, self.now_ns))
        self.until(3_000)

    @property
    def now_ns(self) -> int:
        return START_NS + self.at_ms * MS_NS

    def put(self, event: Event) -> None:
        for stepped, effects in self.session.handle(event):
            self.seen.append(stepped)
            self.effects += effects
            self.engine.ledger.check(self.engine.orders)

    def until(self, ms: int) -> None:
        """Ticks every 20 ms, a constant reference every 500."""
        while self.at_ms < ms:
            self.at_ms += 20
            if self.at_ms % 500 == 0:
                price_e8 = 6_000_000_000_000 + (self.at_ms // 500 % 2) * 1_000_000
                self.put(ReferenceTicked(self.now_ns, "BTC", "x", FAST, price_e8, self.now_ns))
            if self.at_ms % 1000 == 0:  # the book speaks, and says the same
                self.put(change(BUY, 47, 100, self.now_ns, self.now_ns // MS_NS))
            self.put(ClockTicked(self.now_ns))

    def heard(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.seen if isinstance(event, kind)]

    def placed(self) -> list[tuple[int, int, int, int]]:
        return [
            (e.token, e.side, e.price_e4, e.size_e6 // SHARE)
            for e in self.effects
            if isinstance(e, PlaceOrder)
        ]


def test_quotes_are_placed_on_both_sides_once_the_market_is_open() -> None:
    desk = Desk()
    assert desk.placed() == [(YES, BUY, 4_800, 10), (NO, BUY, 4_800, 10)]
    assert [event.order_id for event in desk.heard(OrderAccepted)] == ["o1", "o2"]
    assert desk.engine.markets[MARKET].quote_state == "quoting"


def test_a_print_fills_the_quote_and_its_confirmation_makes_it_sellable() -> None:
    desk = Desk()
    desk.put(trade(SELL, 47, 30, desk.now_ns))
    desk.until(3_020)
    (fill,) = desk.heard(OrderFilled)
    assert isinstance(fill, OrderFilled)
    assert (fill.price_e4, fill.size_e6, fill.fee_e6, fill.maker) == (4_800, 10 * SHARE, 0, True)
    ledger = desk.engine.ledger
    assert ledger.cash_e6 == 1_000_000_000 - 4_800_000
    assert ledger.sellable_e6(MARKET, YES) == 0
    desk.until(4_100)
    assert desk.heard(FillConfirmed) == [FillConfirmed(fill.ts_ns + SECOND_NS, fill.fill_id)]
    assert ledger.sellable_e6(MARKET, YES) == 0  # offered again at once
    assert (YES, SELL, 5_200, 10) in desk.placed()


def test_profit_moves_with_the_sale_and_the_resolution_settles_the_rest() -> None:
    desk = Desk()
    desk.put(trade(SELL, 47, 30, desk.now_ns))
    desk.until(4_200)
    desk.put(trade(BUY, 53, 4, desk.now_ns))
    desk.until(4_300)
    assert desk.engine.ledger.realized_e6 == 4 * 40_000
    desk.put(MarketResolved(desk.now_ns, MARKET, YES, "test"))
    desk.until(4_400)
    assert desk.engine.ledger.realized_e6 == 160_000 + 6 * 520_000
    assert desk.engine.ledger.cash_e6 == 1_000_000_000 + 3_280_000
    assert desk.engine.orders.open_count() == 0


def test_pairs_bought_on_both_sides_are_merged() -> None:
    desk = Desk()
    desk.put(trade(SELL, 47, 30, desk.now_ns))
    desk.put(trade(BUY, 53, 30, desk.now_ns))
    desk.until(6_000)
    ledger = desk.engine.ledger
    assert ledger.realized_e6 == 10 * 40_000
    account = ledger.account(MARKET)
    assert account is not None
    assert account.now.merged_e6 == 10 * SHARE
    assert account.now.flat()


def test_silent_reference_takes_the_quotes_off() -> None:
    desk = Desk()
    for ms in range(3_020, 6_000, 20):
        desk.put(ClockTicked(START_NS + ms * MS_NS))
    assert desk.engine.orders.open_count() == 0
    assert [e.reason for e in desk.heard(OrderCancelled)] == ["cancelled", "cancelled"]
    assert desk.engine.markets[MARKET].quote_state == "risk:stale_reference"


def test_abandon_tells_the_tape_that_nothing_rests() -> None:
    desk = Desk()
    tape = Tape()
    desk.session.tape = tape
    events = desk.session.abandon(desk.now_ns, "crash")
    assert [event.row()[:1] + event.row()[2:] for event in events] == [
        ["mode_set", "halt", "crash"],
        ["order_cancelled", "o1", "crash"],
        ["order_cancelled", "o2", "crash"],
    ]
    assert tape.events == events
    replay = Session(desk.engine, None, desk.session.lineup)
    for event in events:
        replay.handle(event)
    assert desk.engine.orders.open_count() == 0


def test_session_without_paper_only_steps() -> None:
    desk = Desk()
    replay = build_session(PAPER, paper=False)
    for event in desk.seen:
        assert replay.handle(event)[0][0] is event
    assert replay.abandon(desk.now_ns, "crash") == []
    assert replay.engine.ledger.cash_e6 == desk.engine.ledger.cash_e6


# -- whole systems ------------------------------------------------------------------------------

SECONDS = 32
LATENCY_MS = 250 + 250 + 250
"""The most a rest can outlive its reason: an order under way, its cancel, a fill told before it."""


class Watch:
    """The invariants of a run, checked after every step."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.bad_since: dict[str, int] = {}

    def check(self, event: Event, effects: list[Effect]) -> None:
        engine = self.session.engine
        if effects or event.TAG.startswith(("order", "fill", "pairs", "cancel", "market")):
            self.limits()
            engine.ledger.check(engine.orders)
        for name, market in engine.markets.items():
            orders = [o for o in engine.orders.of_market(name) if o.engine != FLATTEN]
            made = [o for o in orders if o.engine == MAKER]
            sides = [o.side if o.token == YES else 1 - o.side for o in made]
            assert len(sides) == len(set(sides)), orders
            assert len([o for o in orders if o.engine == TAKER]) <= 1, orders
            trusted = market.trust.valid and engine.risk.mode == RUN and not engine.risk.paused
            if trusted and market.phase == "open":
                self.bad_since.pop(name, None)
                continue
            since = self.bad_since.setdefault(name, event.ts_ns)
            if engine.risk.mode == "reduce":
                self.bad_since[name] = event.ts_ns
            late = event.ts_ns - since > (LATENCY_MS + 120) * MS_NS
            assert not (late and orders), (market.trust.reason, market.phase, orders)
        if isinstance(event, ClockTicked):
            assert all(o.state != UNKNOWN for o in engine.orders.all_open())

    def limits(self) -> None:
        engine, risk = self.session.engine, CONFIG.risk
        ledger: Ledger = engine.ledger
        tolerance = 100  # each part of a fill is rounded on its own
        for name in engine.markets:
            assert ledger.exposure_e6(name) <= risk.max_market_notional * SHARE + tolerance
        for symbol in ("BTC", "ETH"):
            used = ledger.symbol_exposure_e6(symbol)
            assert used <= risk.max_asset_notional * SHARE + tolerance
        assert ledger.available_e6() >= -tolerance
        assert not ledger.faults, ledger.faults
        resting = [o for o in engine.orders.all_open() if o.tif == "GTC"]
        assert len(resting) <= risk.max_open_orders


@pytest.mark.parametrize("seed", range(50))
def test_whole_system_keeps_its_invariants_and_replays_alike(seed: int) -> None:
    session = build_session(CONFIG)
    tape = Tape()
    session.tape = tape  # type: ignore[assignment]
    watch = Watch(session)
    for event, effects in drive(World(seed, seconds=SECONDS), session, SECONDS):
        watch.check(event, effects)
    engine = session.engine
    assert {market.phase for market in engine.markets.values()} <= {"redeemed", "open", "closing"}
    again = build_session(CONFIG, paper=False).engine
    rows = []
    for event in tape.events:
        for effect in again.step(event_from_row(event.row())):
            rows.append([event.ts_ns, *effect.row()])
    assert rows == tape.rows
    assert again.ledger.cash_e6 == engine.ledger.cash_e6
    assert again.quality() == engine.quality()


def test_worlds_trade_on_both_sides_and_meet_every_state() -> None:
    """What the seeds exercise: without it the invariants would say little."""
    tags: set[str] = set()
    states: set[str] = set()
    fills = 0
    for seed in (*range(10), 24, 25):  # the last two merge pairs
        session = build_session(CONFIG)
        for event, effects in drive(World(seed, seconds=SECONDS), session, SECONDS):
            tags.add(event.TAG)
            for effect in effects:
                tags.add(effect.TAG)
                states.add(str(effect.row()[-1]).partition(":")[0])
        fills += session.engine.fills
    assert fills > 50
    assert {"order_filled", "order_rejected", "cancel_rejected", "pairs_merged"} <= tags
    assert {"feed_down", "tick_size_changed", "flatten_requested", "merge_pairs"} <= tags
    assert {"quoting", "no_quote_flattening", "risk"} <= states


def test_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    assert rows_of(3, 20) == rows_of(3, 20)
    assert rows_of(3, 20) != rows_of(4, 20)


def test_a_calm_world_verifies_every_message() -> None:
    session = build_session(CONFIG)
    world = World(7, seconds=20, losses=False)
    for _ in drive(world, session, 20):
        pass
    quality = session.engine.quality()
    assert quality["turned_suspect"] == 0
    assert quality["turned_unverified"] - quality["turned_verified"] in (0, 1)
    assert quality["hash_matched"] > 600


def test_cancels_of_a_market_come_before_its_orders() -> None:
    session = build_session(CONFIG)
    cancels = 0
    for _event, effects in drive(World(1, seconds=SECONDS), session, SECONDS):
        placed: set[str] = set()
        for effect in effects:
            if isinstance(effect, PlaceOrder):
                placed.add(effect.market)
            elif isinstance(effect, CancelOrder):
                cancels += 1
                assert effect.market not in placed, effects
                assert session.engine.orders.find(effect.order_id) is not None
    assert cancels > 10


def test_end_of_the_window_leaves_nothing_resting() -> None:
    desk = Desk()
    desk.until((END_NS - START_NS) // MS_NS - 19_000)
    assert desk.engine.orders.open_count() == 0
    assert desk.engine.markets[MARKET].phase == "closing"


def test_engine_gets_the_sections_in_its_own_units() -> None:
    config = Config(
        allocator=Allocator(taker_weight=1.0, maker_weight=2.0, arb_weight=1.0),
        toxicity=Toxicity(active_top_n_markets=0, min_market_score=60.0),
        strategy=Strategy(min_edge_bps=3.0, max_spread=0.05),
        arb=Arb(ways=("split",), max_size=7.5, unwind_slippage=0.03),
    )
    settings = engine_settings(config)
    assert (settings.taker_weight, settings.maker_weight, settings.arb_weight) == (0.25, 0.5, 0.25)
    assert (settings.min_notional_e6, settings.min_edge_e6) == (50_000, 200)
    assert (settings.take_pause_ns, settings.take_ttl_ns) == (SECOND_NS, 150 * MS_NS)
    toxicity, pairs = settings.toxicity, settings.pairs
    assert (toxicity.min_edge_bps, toxicity.max_spread_e4) == (3.0, 500)
    assert (toxicity.active_top_n_markets, toxicity.min_market_score) == (8, 60.0)
    assert pairs is not None
    assert (pairs.buy, pairs.split, pairs.split_first) == (False, True, True)
    assert (pairs.max_size_e6, pairs.slippage_e4, pairs.confirm_ns) == (7_500_000, 300, 50 * MS_NS)
    assert engine_settings(attrs.evolve(config, arb=Arb(enabled=False))).pairs is None


@pytest.mark.parametrize(
    ("toxicity", "allocator", "top"), [(8, 3, 3), (3, 8, 3), (0, 5, 5)], ids=str
)
def test_smaller_bound_of_markets_counts(toxicity: int, allocator: int, top: int) -> None:
    config = Config(
        toxicity=Toxicity(active_top_n_markets=toxicity),
        allocator=Allocator(active_top_n_markets=allocator),
    )
    assert engine_settings(config).toxicity.active_top_n_markets == top
