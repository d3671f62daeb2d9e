"""The strategies that ship with polytrade: registered by the same hooks as outside plugins."""

from collections.abc import Mapping

from polytrade.builtin.basis_mr import BasisMeanReversion
from polytrade.builtin.digital import Digital
from polytrade.builtin.skewed import SkewedMaker
from polytrade.config import Strategy
from polytrade.hookspecs import FairValueFactory, MakerFactory, hookimpl


@hookimpl
def polytrade_fair_values() -> Mapping[str, FairValueFactory]:
    """`digital` and `basis_mr`."""
    return {"digital": _digital, "basis_mr": _basis_mr}


@hookimpl
def polytrade_makers() -> Mapping[str, MakerFactory]:
    """`skewed`."""
    return {"skewed": _skewed}


def _digital(settings: Strategy) -> Digital:
    return Digital(
        vol_blend=settings.vol_blend,
        vol_floor_bps=settings.vol_floor_bps,
        vol_cap_bps=settings.vol_cap_bps,
        student_dof=settings.student_dof,
        provisional_strike_pad=settings.provisional_strike_pad,
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


def _skewed(settings: Strategy) -> SkewedMaker:
    return SkewedMaker(
        base_quote_size=settings.base_quote_size,
        half_spread=settings.half_spread,
        min_edge_bps=settings.min_edge_bps,
        inventory_skew=settings.inventory_skew,
        max_spread=settings.max_spread,
        join=settings.join,
        jump_bps=settings.jump_bps,
        no_quote_before_end_s=settings.no_quote_before_end_s,
        no_quote_after_start_s=settings.no_quote_after_start_s,
    )
