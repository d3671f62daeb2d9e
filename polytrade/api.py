"""Everything a plugin imports: `from polytrade.api import hookimpl, setting, View, Wish`.

What is here stays as long as `API` does; the rest of polytrade may change with every version.
"""

from polytrade.builtin.sides import ask_wish, bid_wish, caution_pad, market_silence, quote_size_e6
from polytrade.config_fields import setting
from polytrade.core import events, units
from polytrade.core.events import Event, FeedDown, FeedGap, FeedUp, MarketListed, ReferenceTicked
from polytrade.core.ids import ANCHOR, BUY, FAST, NO, RELAY, SELL, YES
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.risk import Context, MarketFacts, Request
from polytrade.core.roles import (
    ARB,
    CAUTION,
    DANGER,
    MAKER,
    REGIME_NAMES,
    SAFE,
    TAKER,
    Allocator,
    Estimate,
    FairValue,
    Inventory,
    Maker,
    Portfolio,
    Share,
    Taker,
    View,
    Wish,
    no_estimate,
)
from polytrade.core.rules import RiskRule
from polytrade.errors import ConfigError, Problem
from polytrade.hookspecs import API, hookimpl
from polytrade.import_layouts import Importer, RawFrame
from polytrade.notices import Notice, Notifier, NotifyError, Operator
from polytrade.reference.codec import FeedCodec, VenueCodec
from polytrade.secrets import read_secret
from polytrade.wire_roles import WireError

__all__ = [
    "ANCHOR",
    "API",
    "ARB",
    "BUY",
    "CAUTION",
    "DANGER",
    "FAST",
    "MAKER",
    "NO",
    "REGIME_NAMES",
    "RELAY",
    "SAFE",
    "SELL",
    "TAKER",
    "YES",
    "Allocator",
    "ConfigError",
    "Context",
    "Estimate",
    "Event",
    "FairValue",
    "FeedCodec",
    "FeedDown",
    "FeedGap",
    "FeedUp",
    "Importer",
    "Inventory",
    "Maker",
    "MarketFacts",
    "MarketListed",
    "MarketState",
    "Notice",
    "Notifier",
    "NotifyError",
    "Operator",
    "Portfolio",
    "Problem",
    "RawFrame",
    "ReferenceTicked",
    "Request",
    "RiskRule",
    "Share",
    "SymbolReference",
    "Taker",
    "VenueCodec",
    "View",
    "WireError",
    "Wish",
    "ask_wish",
    "bid_wish",
    "caution_pad",
    "events",
    "hookimpl",
    "market_silence",
    "no_estimate",
    "quote_size_e6",
    "read_secret",
    "setting",
    "units",
]
