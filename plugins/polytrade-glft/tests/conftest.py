"""Small worlds for the plugin's tests; the plugin is found here when it is not installed."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from polytrade.api import (  # noqa: E402 - see above
    Estimate,
    Inventory,
    MarketState,
    SymbolReference,
    View,
    events,
    units,
)
from polytrade.config import Config  # noqa: E402
from polytrade.lineup import build_lineup  # noqa: E402
from polytrade.replay import replay  # noqa: E402
from polytrade.replay_result import ReplayResult  # noqa: E402
from polytrade.session import Session, build_session  # noqa: E402

SECOND = units.SECOND_NS
START_NS, END_NS = 1_000 * SECOND, 1_300 * SECOND
FAST = 0
SAMPLE = Path("datasets") / "sample-updown-5m.jsonl.zst"
EVENTS = 12_000


class World:
    """Makers of markets, views and replays; sizes in shares, prices in cents."""

    start_ns = START_NS
    end_ns = END_NS
    now_ns = START_NS + 60 * SECOND

    def market(
        self,
        bids: dict[float, float] | None = None,
        asks: dict[float, float] | None = None,
        **terms: Any,
    ) -> MarketState:
        """An up/down market of five minutes on a grid of a cent, 46 to 54 with 100 shares each."""
        fields: dict[str, Any] = {
            "ts_ns": 0,
            "market": "0xfeed",
            "slug": "btc-updown-5m-1000",
            "symbol": "BTC",
            "condition": "updown",
            "yes": "111",
            "no": "222",
            "tick_e4": 100,
            "min_size_e6": 5_000_000,
            "neg_risk": False,
            "fee_rate_e6": 0,
            "fee_exponent": 1,
            "rebate_rate_e6": 0,
            "start_ns": START_NS,
            "end_ns": END_NS,
            "settle": "spot",
            "lookback_s": 0,
            "strike_e8": 6_000_000_000_000,
            "accepting": True,
            "closed": False,
            "taker_delay_ms": 0,
            "version": "v1",
            **terms,
        }
        state = MarketState(events.MarketListed(**fields), "enforce", 250_000_000)
        self.book(state, {46: 100} if bids is None else bids, {54: 100} if asks is None else asks)
        return state

    def book(
        self, state: MarketState, bids: dict[float, float], asks: dict[float, float], ms: int = 1
    ) -> None:
        """Replace the market's book; `ms` is the venue's time and must grow."""
        snapshot = events.BookReplaced(
            START_NS,
            state.spec.market,
            0,
            [(round(price * 100), round(size * 1e6)) for price, size in sorted(bids.items())],
            [(round(price * 100), round(size * 1e6)) for price, size in sorted(asks.items())][::-1],
            0,
            "?",
            ms,
            "",
            False,
        )
        state.book.replace(snapshot, True)

    def estimate(self, fair: float, confidence: float = 1.0, pad: float = 0.0) -> Estimate:
        """An estimate that speaks."""
        return Estimate(True, fair, confidence, 0.0, pad, "")

    def holding(self, yes: float = 0.0, no: float = 0.0, settled: bool = True) -> Inventory:
        """An inventory in shares, all of it or nothing of it sellable."""
        yes_e6, no_e6 = round(yes * 1e6), round(no * 1e6)
        return Inventory(yes_e6, no_e6, yes_e6 * settled, no_e6 * settled)

    def view(
        self,
        fair: float | Estimate = 0.5,
        market: MarketState | None = None,
        held: Inventory | None = None,
        reference: SymbolReference | None = None,
        ts_ns: int = START_NS + 60 * SECOND,
        **changes: Any,
    ) -> View:
        """A view of a market in Safe, warmed up, with a least edge of 4 bps."""
        estimate = fair if isinstance(fair, Estimate) else self.estimate(fair)
        market = market if market is not None else self.market()
        view = View(market, reference, estimate, held or self.holding(), ts_ns)
        view.min_edge_bps = 4.0
        view.max_spread_e4 = 1_000
        for name, value in changes.items():
            assert hasattr(view, name), name
            setattr(view, name, value)
        return view

    def reference(self, *prices: tuple[float, float]) -> SymbolReference:
        """BTC at (seconds after the start of the window, price), heard from one exchange."""
        reference = SymbolReference("BTC", 30.0, 600.0)
        for seconds, price in prices:
            ts_ns = START_NS + round(seconds * SECOND)
            tick = events.ReferenceTicked(ts_ns, "binance", "BTC", FAST, round(price * 1e8), ts_ns)
            reference.apply(tick)
        return reference

    def replay(self, role: str, make: Callable[[], Any], **strategy: Any) -> ReplayResult:
        """The beginning of the shipped sample with this object in a role, and nothing to stop it.

        Skipped where there is no checkout of polytrade around the plugin.
        """
        sample = PROJECT.parent.parent / SAMPLE
        if not sample.exists():
            pytest.skip(f"{SAMPLE} is not here: no checkout of polytrade")

        def build(config: Config, *, paper: bool) -> Session:
            lineup = attrs.evolve(build_lineup(config), **{role: make()})
            return build_session(config, lineup=lineup, paper=paper)

        config = Config()
        config = attrs.evolve(
            config,
            strategy=attrs.evolve(config.strategy, base_quote_size=5.0, **strategy),
            risk=attrs.evolve(config.risk, daily_drawdown_cap_pct=1.0),
        )
        return replay(sample, until=EVENTS, config=config, build=build)


@pytest.fixture
def world() -> World:
    """Makers of markets, views and replays."""
    return World()
