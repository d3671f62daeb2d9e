"""The strategies that ship with polytrade: registered by the same hooks as outside plugins."""

from collections.abc import Sequence
from functools import partial

from polytrade.builtin.allocators import KellyAllocator, ReferenceAllocator
from polytrade.builtin.basis_mr import BasisMeanReversion
from polytrade.builtin.blend import Blend
from polytrade.builtin.controls import MidMaker, RandomMaker
from polytrade.builtin.digital import Digital
from polytrade.builtin.skewed import SkewedMaker
from polytrade.builtin.taker import Nothing, ProfileTaker
from polytrade.builtin.trading_hours import TradingHours
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
    return {"digital": Digital, "basis_mr": BasisMeanReversion, "blend": Blend}


@hookimpl
def polytrade_makers() -> Factories:
    """`skewed`, and the negative controls `control_mid` and `control_random`, which must lose."""
    return {"skewed": SkewedMaker, "control_mid": MidMaker, "control_random": RandomMaker}


@hookimpl
def polytrade_takers() -> Factories:
    """`profile` and `none`."""
    return {"profile": ProfileTaker, "none": Nothing}


@hookimpl
def polytrade_allocators() -> Factories:
    """`reference` and `kelly`."""
    return {"reference": ReferenceAllocator, "kelly": KellyAllocator}


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


def _codec(name: str, coins: Sequence[str]) -> FeedCodec:
    return CODECS[name](coins)


def _layout(layout: Layout) -> Factory:
    return lambda: layout
