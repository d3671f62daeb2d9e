"""The `momentum` taker: follows the flow where the expected move pays fee, spread and slippage."""

from typing import Any, Final, final

import attrs

from polytrade.api import (
    BUY,
    CAUTION,
    DANGER,
    NO,
    SELL,
    TAKER,
    YES,
    View,
    Wish,
    setting,
    units,
)
from polytrade_momentum_taker.flow import Flows, queue_imbalance
from polytrade_momentum_taker.momentum import sensitivity, trend

STATE: Final = 1
"""Version of what `dump` gives."""
SIZE_STEP_E6: Final = 10_000
"""Order sizes carry at most two decimals."""
MARKETABLE_MIN_E6: Final = units.ONE_E6
"""An order that does not rest must be worth 1 USDC."""
LEVELS_MAX: Final = 8
ROUNDING: Final = 1e-6
FEE_PROBE_E6: Final = 1_000 * units.ONE_E6
"""Shares over which a fee per share is measured: its rounding is then far below a basis point."""
HORIZON_MAX_S: Final = 6.0
"""The reference keeps its prices about this long."""
PRESSURE_MAX: Final = 3.0
"""Flow beyond so many times the usual depth counts as this much."""
COOLDOWNS_MAX: Final = 256


@final
@attrs.define(kw_only=True, eq=False)
class MomentumTaker:
    """Takes what stands on the wrong side of where the price is going.

    The first four settings are those of `[taker]` unless given here.
    """

    trigger_bps: float = setting(7.0, "least edge after fees", unit="bps", ge=0)
    max_slippage_bps: float = setting(
        30.0, "how far beyond the touch may be paid", unit="bps", ge=0
    )
    stale_tick_filter_ms: int = setting(
        2000, "a reference older than this is not taken on", unit="ms", ge=50, le=5000
    )
    base_size: float = setting(10.0, "shares an order", unit="shares", ge=0.01, le=1_000_000)
    max_notional: float = setting(25.0, "most money in one order", unit="USDC", ge=1)
    fair_weight: float = setting(
        0.5, "weight of the fair value against the mid in what a share is worth now", ge=0, le=1
    )
    horizons_s: tuple[float, ...] = setting(
        (0.5, 2.0, 5.0),
        "times over which the reference's momentum is taken",
        unit="s",
        ge=0.1,
        le=HORIZON_MAX_S,
    )
    momentum_gain: float = setting(
        0.5,
        "further move expected, in seconds' standard deviations, per unit of score",
        ge=0,
        le=10,
    )
    dead_zone: float = setting(1.0, "score of a return that is still noise", ge=0, le=4)
    flow_gain: float = setting(
        0.05, "ticks expected per usual depth of order flow", unit="ticks", ge=0, le=10
    )
    imbalance_gain: float = setting(
        0.25, "half spreads expected when one side of the queue is empty", ge=0, le=1
    )
    flow_half_life_s: float = setting(3.0, "half life of the order flow", unit="s", ge=0.1, le=600)
    signal_min: float = setting(
        0.002, "least expected move that is acted on", unit="USDC", ge=0, le=1
    )
    shift_max: float = setting(0.03, "most expected move", unit="USDC", ge=0, le=1)
    cooldown_s: float = setting(
        5.0, "wait of a market after each of its orders", unit="s", ge=0, le=3600
    )
    confidence_min: float = setting(0.45, "least confidence of the fair value", ge=0, le=1)
    _flows: Flows = attrs.field(init=False)
    _taken_ns: dict[str, int] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._flows = Flows(self.flow_half_life_s)

    def self_check(self) -> None:
        """ValueError when no signal can ever reach its least size."""
        if self.signal_min > self.shift_max:
            raise ValueError(
                f"expected signal_min at most shift_max {self.shift_max}, found {self.signal_min}"
            )

    def takes(self, view: View) -> tuple[list[Wish], str]:
        """One order, in the direction of the expected move, or why not."""
        flow = self._flows.look(view.market, view.ts_ns)
        reason = self._silence(view)
        if reason:
            return [], reason
        move = self.expected_move(view, flow.pressure())
        if abs(move) < self.signal_min:
            return [], "no_take_signal"
        held, least_e6 = view.inventory, view.market.spec.min_size_e6
        if move > 0.0:
            token = NO if held.sellable_no_e6 >= least_e6 else YES
            found = self._walk(view, BUY, token, move)
        else:
            token = YES if held.sellable_yes_e6 >= least_e6 else NO
            found = self._walk(view, SELL, token, move)
        if isinstance(found, str):
            return [], found
        self._note(view.market.spec.market, view.ts_ns)
        return [found], ""

    def expected_move(self, view: View, pressure: float) -> float:
        """How far P(YES) is expected to go, in USDC, within `shift_max`."""
        book, market = view.market.book, view.market
        bids, asks = book.depth(BUY, LEVELS_MAX), book.depth(SELL, LEVELS_MAX)
        pressure = min(max(pressure, -PRESSURE_MAX), PRESSURE_MAX)
        move = self.flow_gain * pressure * book.tick_e4 / units.ONE_E4
        half = market.spread_e4 / (2 * units.ONE_E4)
        move += self.imbalance_gain * half * queue_imbalance(bids, asks)
        if view.reference is not None:
            score = trend(view.reference, self.horizons_s, self.dead_zone)
            move += self.momentum_gain * score * sensitivity(market, view.estimate.fair, view.ts_ns)
        return min(max(move, -self.shift_max), self.shift_max)

    def _silence(self, view: View) -> str:
        """Why nothing is taken, whatever the flow says; empty when something may be."""
        if not view.estimate.ok:
            return "no_take_fair_value"
        if view.regime == DANGER:
            return "no_take_danger"
        if view.regime == CAUTION:
            return "no_take_caution"
        if not view.active:
            return "no_take_inactive"
        if view.estimate.confidence < self.confidence_min:
            return "no_take_confidence"
        if not view.market.book.two_sided:
            return "no_take_one_sided"
        if view.market.book.crossed:
            return "no_take_crossed"
        reference = view.reference
        stale_ns = self.stale_tick_filter_ms * units.MS_NS
        if reference is not None and reference.age_ns(view.ts_ns) > stale_ns:
            return "no_take_stale"
        taken_ns = self._taken_ns.get(view.market.spec.market)
        if taken_ns is not None and view.ts_ns - taken_ns < self.cooldown_s * units.SECOND_NS:
            return "no_take_cooldown"
        return ""

    def _walk(self, view: View, side: int, token: int, move: float) -> Wish | str:
        """The levels that `side` of YES meets while each pays its costs, as an order of `token`."""
        spec, book = view.market.spec, view.market.book
        own_side = side if token == YES else 1 - side
        worth = self._worth(view, token, own_side, move)
        wanted_e6 = self._wanted_e6(view, own_side, token)
        money_e6 = round(self.max_notional * units.ONE_E6)
        first_e4 = limit_e4 = size_e6 = spent_e6 = 0
        earned = 0.0
        for yes_e4, shown_e6 in book.depth(1 - side, LEVELS_MAX):
            price_e4 = yes_e4 if token == YES else units.ONE_E4 - yes_e4
            first_e4 = first_e4 or price_e4
            reach = first_e4 * self.max_slippage_bps * 1e-4
            if abs(price_e4 - first_e4) > reach + ROUNDING or price_e4 % book.tick_e4:
                break
            fee = units.fee_e6(FEE_PROBE_E6, price_e4, spec.fee_rate_e6, spec.fee_exponent)
            price = price_e4 / units.ONE_E4
            net = (worth - price if own_side == BUY else price - worth) - fee / FEE_PROBE_E6
            if net <= 0.0 or net / price * 1e4 < self.trigger_bps:
                break
            left_e6 = units.size_e6_for_cash_down(money_e6 - spent_e6, price_e4)
            part_e6 = min(shown_e6, wanted_e6 - size_e6, left_e6)
            if part_e6 <= 0:
                break
            limit_e4 = price_e4
            size_e6 += part_e6
            spent_e6 += units.notional_e6_up(price_e4, part_e6)
            earned += net * part_e6
        if not size_e6:
            return "no_take_edge"
        whole_e6 = units.step_down(size_e6, SIZE_STEP_E6)
        if units.notional_e6_up(limit_e4, whole_e6) < MARKETABLE_MIN_E6:
            return "no_take_notional"
        return Wish(token, own_side, limit_e4, whole_e6, earned / spent_e6 * 1e4, TAKER)

    def _worth(self, view: View, token: int, side: int, move: float) -> float:
        """What a share of the token will be worth: now, plus the move, less the model's pad."""
        now = self.fair_weight * view.estimate.fair + (1.0 - self.fair_weight) * view.market.mid
        later = min(max(now + move, 0.0), 1.0)
        worth = later if token == YES else 1.0 - later
        return worth + view.estimate.pad if side == SELL else worth - view.estimate.pad

    def _wanted_e6(self, view: View, side: int, token: int) -> int:
        """The whole size; of a sale no more than may be sold."""
        base_e6 = round(self.base_size * 100) * SIZE_STEP_E6
        if side == BUY:
            return base_e6
        held = view.inventory
        free_e6 = held.sellable_yes_e6 if token == YES else held.sellable_no_e6
        return min(base_e6, units.step_down(free_e6, SIZE_STEP_E6))

    def _note(self, name: str, ts_ns: int) -> None:
        """The market was taken from: it waits."""
        self._taken_ns.pop(name, None)
        if len(self._taken_ns) >= COOLDOWNS_MAX:
            del self._taken_ns[next(iter(self._taken_ns))]
        self._taken_ns[name] = ts_ns

    def dump(self) -> dict[str, Any]:
        """Flows and waits, as plain data."""
        return {"state": STATE, "flows": self._flows.dump(), "taken_ns": dict(self._taken_ns)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there; ValueError for a state of another version."""
        if state.get("state") != STATE:
            raise ValueError(f"expected state {STATE}, found {state.get('state')!r}")
        self._flows.restore(state["flows"])
        self._taken_ns = {str(name): int(ts_ns) for name, ts_ns in state["taken_ns"].items()}
