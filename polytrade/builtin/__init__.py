"""The strategies that ship with polytrade: registered by the same hooks as outside plugins."""

from functools import partial

from polytrade.builtin.allocators import KellyAllocator, ReferenceAllocator
from polytrade.builtin.basis_mr import BasisMeanReversion
from polytrade.builtin.blend import Blend
from polytrade.builtin.controls import MidMaker, RandomMaker
from polytrade.builtin.digital import Digital
from polytrade.builtin.skewed import SkewedMaker
from polytrade.builtin.taker import ProfileTaker
from polytrade.builtin.trading_hours import TradingHours
from polytrade.config import Allocator, Strategy, Taker, Universe
from polytrade.core.roles import NoTaker
from polytrade.hookspecs import (
    Factories,
    Factory,
    hookimpl,
)
from polytrade.import_layouts import LAYOUTS, Layout
from polytrade.reference import CODECS
from polytrade.reference.codec import FeedCodec

polytrade_api = 1


@hookimpl
def polytrade_fair_values() -> Factories:
    """`digital`, `basis_mr`, and `blend` of the two with the mid."""
    return {"digital": _digital, "basis_mr": _basis_mr, "blend": _blend}


@hookimpl
def polytrade_makers() -> Factories:
    """`skewed`, and the negative controls `control_mid` and `control_random`, which must lose."""
    return {"skewed": _skewed, "control_mid": _control_mid, "control_random": _control_random}


@hookimpl
def polytrade_takers() -> Factories:
    """`profile` and `none`."""
    return {"profile": _profile, "none": _no_taker}


@hookimpl
def polytrade_allocators() -> Factories:
    """`reference` and `kelly`."""
    return {"reference": _reference, "kelly": _kelly}


@hookimpl
def polytrade_feeds() -> Factories:
    """The reference exchanges; `[feeds.<name>]` switches them, not `plugins.feeds`."""
    return {name: partial(_codec, name) for name in CODECS}


@hookimpl
def polytrade_risk_rules() -> Factories:
    """`trading_hours`."""
    return {"trading_hours": TradingHours}


@hookimpl
def polytrade_importers() -> Factories:
    """The layouts of other recorders that we know."""
    return {layout.name: _layout(layout) for layout in LAYOUTS}


def _codec(name: str, settings: Universe) -> FeedCodec:
    return CODECS[name](settings.coins)


def _layout(layout: Layout) -> Factory:
    return lambda: layout


def _digital(settings: Strategy) -> Digital:
    return Digital(
        vol_blend=settings.vol_blend,
        vol_floor_bps=settings.vol_floor_bps,
        vol_cap_bps=settings.vol_cap_bps,
        student_dof=settings.student_dof,
        provisional_strike_pad=settings.provisional_strike_pad,
        implied_weight=settings.implied_vol_weight,
    )


def _basis_mr(settings: Strategy) -> BasisMeanReversion:
    return BasisMeanReversion(
        a_mean=settings.basis_a_mean,
        a_var=settings.basis_a_var,
        a_ret=settings.basis_a_ret,
        a_vol=settings.basis_a_vol,
        k_revert=settings.basis_k_revert,
        z_cap=settings.basis_z_cap,
        min_confidence=settings.basis_min_confidence,
        warmup_ticks=settings.basis_warmup_ticks,
    )


def _blend(settings: Strategy) -> Blend:
    return Blend(_digital(settings), _basis_mr(settings))


def _skewed(settings: Strategy) -> SkewedMaker:
    return SkewedMaker(
        base_quote_size=settings.base_quote_size,
        half_spread=settings.half_spread,
        inventory_skew=settings.inventory_skew,
        join=settings.join,
        jump_bps=settings.jump_bps,
        no_quote_before_end_s=settings.no_quote_before_end_s,
        no_quote_after_start_s=settings.no_quote_after_start_s,
        rewards_min_size=settings.rewards_min_size,
        rewards_max_spread=settings.rewards_max_spread,
        rewards_usdc=settings.rewards_usdc,
    )


def _control_mid(settings: Strategy) -> MidMaker:
    return MidMaker(
        base_quote_size=settings.base_quote_size,
        no_quote_before_end_s=settings.no_quote_before_end_s,
        no_quote_after_start_s=settings.no_quote_after_start_s,
    )


def _control_random(settings: Strategy) -> RandomMaker:
    return RandomMaker(
        base_quote_size=settings.base_quote_size,
        no_quote_before_end_s=settings.no_quote_before_end_s,
        no_quote_after_start_s=settings.no_quote_after_start_s,
        seed=settings.control_seed,
    )


def _profile(settings: Taker) -> ProfileTaker:
    return ProfileTaker(
        trigger_bps=settings.trigger_bps,
        max_slippage_bps=settings.max_slippage_bps,
        stale_tick_filter_ms=settings.stale_tick_filter_ms,
        market_tier_profile=settings.market_tier_profile,
        base_size=settings.base_size,
        max_notional=settings.max_notional,
        max_spread=settings.max_spread,
        max_edge=settings.max_edge,
    )


def _no_taker(settings: Taker) -> NoTaker:
    return NoTaker()


def _reference(settings: Allocator) -> ReferenceAllocator:
    return ReferenceAllocator(
        capital_fraction_kelly=settings.capital_fraction_kelly,
        variance_penalty_lambda=settings.variance_penalty_lambda,
    )


def _kelly(settings: Allocator) -> KellyAllocator:
    return KellyAllocator(
        capital_fraction_kelly=settings.capital_fraction_kelly,
        variance_penalty_lambda=settings.variance_penalty_lambda,
        correlation=settings.correlation,
    )
