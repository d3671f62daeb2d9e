"""The sections of the configuration that decide: strategy, taker, allocator, toxicity, arb, risk.

Reload fields keep the names, ranges and defaults of the control API.
"""

import attrs

from polytrade.config_fields import setting
from polytrade.profiles import PROFILES


@attrs.frozen(kw_only=True)
class Strategy:
    """What is quoted and at which price.

    Reload fields keep the names of the control API.
    """

    fair_value: str = setting(
        "digital", "fair-value model: `digital`, `basis_mr`, or `blend` of both with the mid"
    )
    maker: str = setting(
        "skewed",
        "maker: `skewed`; `control_mid` and `control_random` are negative controls, which quote "
        "without an opinion and must lose",
    )
    taker: str = setting("none", "taker: `none` or `profile`")
    allocator: str = setting("reference", "how sizes are scaled: `reference` or `kelly`")
    base_quote_size: float = setting(
        2.0,
        "shares a quote; less than a market's least order is not sent",
        unit="shares",
        ge=0.01,
    )
    half_spread: float = setting(
        0.01, "distance of a quote from fair value", unit="USDC", ge=0.0001, le=0.5
    )
    min_edge_bps: float = setting(4.0, "least edge of a quote at its own price", unit="bps", ge=0)
    ttl_ms: int = setting(
        400, "age from which a quote shyer or smaller than wanted is replaced", unit="ms", ge=50
    )
    inventory_skew: float = setting(
        0.15, "shift of both quotes per 100 net YES shares, in USDC, capped at 0.05", ge=0, le=1
    )
    max_spread: float = setting(
        0.03, "widest market spread that is quoted", unit="USDC", ge=0.0001, le=1
    )
    requote_ticks: int = setting(
        1, "a resting quote within so many ticks of the wanted price is kept", ge=0, le=100
    )
    requote_size_pct: float = setting(
        0.25, "a resting quote within this share of the wanted size is kept", ge=0, le=1
    )
    join: bool = setting(True, "a quote better than the touch joins it instead of improving it")
    jump_bps: float = setting(
        4.0, "reference move within 250 ms that pulls the threatened side", unit="bps", ge=0
    )
    no_quote_before_end_s: float = setting(20.0, "no quotes this close to the end", unit="s", ge=0)
    no_quote_after_start_s: float = setting(
        2.0, "no quotes this soon after the start", unit="s", ge=0
    )
    merge_at_shares: float = setting(
        5.0, "complete sets are merged from this size", unit="shares", ge=0.01
    )
    vol_fast_s: float = setting(30.0, "half life of the fast volatility", unit="s", ge=1)
    vol_slow_s: float = setting(600.0, "half life of the slow volatility", unit="s", ge=1)
    vol_blend: float = setting(0.5, "weight of the fast volatility", ge=0, le=1)
    vol_floor_bps: float = setting(0.15, "least volatility per sqrt second", unit="bps", ge=0)
    vol_cap_bps: float = setting(20.0, "most volatility per sqrt second", unit="bps", ge=0.01)
    student_dof: float = setting(
        0.0, "degrees of freedom of the return distribution; 0 is Gaussian", ge=0, le=1000
    )
    implied_vol_weight: float = setting(
        0.0,
        "digital: how much the volatility that options (where a feed quotes them) or the asset's "
        "other markets imply counts against the realised one",
        ge=0,
        le=1,
    )
    provisional_strike_pad: float = setting(
        0.01, "extra half spread while the strike is our own observation", unit="USDC", ge=0, le=0.5
    )
    basis_a_mean: float = setting(0.08, "basis_mr: weight of the mean", ge=0, le=1)
    basis_a_var: float = setting(0.10, "basis_mr: weight of the variance", ge=0, le=1)
    basis_a_ret: float = setting(0.15, "basis_mr: weight of the return", ge=0, le=1)
    basis_a_vol: float = setting(0.12, "basis_mr: weight of the squared return", ge=0, le=1)
    basis_k_revert: float = setting(
        0.85, "basis_mr: share of the deviation expected to revert", ge=0, le=5
    )
    basis_z_cap: float = setting(3.0, "basis_mr: cap of the z score", ge=0.5, le=8)
    basis_min_confidence: float = setting(0.05, "basis_mr: least confidence", ge=0, le=1)
    basis_warmup_ticks: int = setting(24, "basis_mr: ticks before the model speaks", ge=0)
    min_eval_notional_usdc: float = setting(
        0.05, "an order worth less is neither sent nor evaluated", unit="USDC", ge=0
    )
    min_expected_edge_usdc: float = setting(
        0.0002, "an order whose whole edge is worth less is not sent", unit="USDC", ge=0
    )
    rewards_max_spread: float = setting(
        0.0,
        "distance from the mid within which rewards are paid; 0 is none",
        unit="USDC",
        ge=0,
        le=1,
    )
    rewards_min_size: float = setting(
        0.0, "least order that counts for rewards", unit="shares", ge=0
    )
    rewards_usdc: float = setting(
        0.0, "what a share at the mid is reckoned to earn until it is filled", unit="USDC", ge=0
    )
    control_seed: int = setting(1, "seed of the maker that quotes at random", ge=0)


@attrs.frozen(kw_only=True)
class Taker:
    """When the taker takes.

    Fields up to `market_tier_profile` are reload fields.
    """

    trigger_bps: float = setting(7.0, "least edge after fees", unit="bps", ge=0)
    max_slippage_bps: float = setting(
        30.0, "base of the slippage budget beyond the touch", unit="bps", ge=0
    )
    stale_tick_filter_ms: int = setting(
        2000, "a reference older than this is not taken on", unit="ms", ge=50, le=5000
    )
    market_tier_profile: str = setting(
        "balanced_sol_guard",
        "how bold: `aggressive` takes in Caution too, `sol_guard` wants more edge of SOL",
        choices=tuple(PROFILES),
    )
    base_size: float = setting(10.0, "shares an order", unit="shares", ge=0.01, le=1_000_000)
    pause_ms: int = setting(
        1000, "wait of a market after each of its orders", unit="ms", ge=0, le=600_000
    )
    max_notional: float = setting(25.0, "most money in one order", unit="USDC", ge=1, le=1_000_000)
    max_spread: float = setting(
        0.04, "widest market spread in which is taken", unit="USDC", ge=0.0001, le=1
    )
    max_edge: float = setting(
        0.08,
        "an edge of more than this a share is held for an error of the model and left",
        unit="USDC",
        ge=0,
        le=1,
    )
    ttl_ms: int = setting(
        150, "an order not sent within this time is not sent any more", unit="ms", ge=1, le=150
    )


@attrs.frozen(kw_only=True)
class Allocator:
    """How the capital is shared.

    Fields up to `arb_weight` are reload fields; the weights are scaled to sum to one.
    """

    capital_fraction_kelly: float = setting(0.35, "part of the Kelly size", ge=0.01, le=1)
    variance_penalty_lambda: float = setting(
        0.25, "weight of the markouts' spread against a size", ge=0, le=5
    )
    active_top_n_markets: int = setting(
        8,
        "most markets traded at once (the smaller of this and the one of [toxicity])",
        ge=1,
        le=128,
    )
    taker_weight: float = setting(0.7, "the taker's share of the capital", ge=0)
    maker_weight: float = setting(0.2, "the maker's share of the capital", ge=0)
    arb_weight: float = setting(0.1, "the share of the capital for complete sets", ge=0)
    correlation: float = setting(
        0.8, "kelly: how much the markets of one asset are one bet", ge=0, le=1
    )


@attrs.frozen(kw_only=True)
class Toxicity:
    """When a market costs too much to trade.

    All are reload fields.
    """

    safe_threshold: float = setting(0.35, "score from which a market is in Caution", ge=0, le=1)
    caution_threshold: float = setting(0.65, "score from which it is in Danger", ge=0, le=1)
    cooldown_min_sec: float = setting(30.0, "shortest stay in Danger", unit="s", ge=1)
    cooldown_max_sec: float = setting(120.0, "longest stay in Danger", unit="s", ge=1)
    min_market_score: float = setting(70.0, "least score of a market that is traded", ge=0, le=100)
    active_top_n_markets: int = setting(8, "most markets traded at once; 0 is no limit", ge=0)
    markout_1s_caution_bps: float = setting(-4.0, "median after 1 s: Caution", unit="bps")
    markout_5s_caution_bps: float = setting(-6.0, "median after 5 s: Caution", unit="bps")
    markout_10s_caution_bps: float = setting(-8.0, "median after 10 s: Caution", unit="bps")
    markout_1s_danger_bps: float = setting(-10.0, "median after 1 s: Danger", unit="bps")
    markout_5s_danger_bps: float = setting(-14.0, "median after 5 s: Danger", unit="bps")
    markout_10s_danger_bps: float = setting(-18.0, "median after 10 s: Danger", unit="bps")


@attrs.frozen(kw_only=True)
class Arb:
    """Complete sets: YES and NO bought for less than 1 together, or sold for more."""

    enabled: bool = setting(True, "trade complete sets")
    ways: tuple[str, ...] = setting(
        ("buy", "split"),
        "`buy` both and merge, `split` and sell both; the first of two equal ones is taken",
        choices=("buy", "split"),
    )
    min_edge_bps: float = setting(20.0, "least gain after fees on a set", unit="bps", ge=0)
    max_size: float = setting(20.0, "most sets at once", unit="shares", ge=0.01, le=1_000_000)
    confirm_ms: int = setting(
        50, "how long the books must have said so", unit="ms", ge=0, le=60_000
    )
    unwind_slippage: float = setting(
        0.02, "furthest from the mid a leg left alone is closed", unit="USDC", ge=0.0001, le=1
    )
    pause_s: float = setting(5.0, "wait of a market after a set", unit="s", ge=0, le=3600)


@attrs.frozen(kw_only=True)
class Risk:
    """What no order may pass."""

    max_market_notional: float = setting(
        50.0, "most money at risk in one market", unit="USDC", ge=0
    )
    max_asset_notional: float = setting(100.0, "most money at risk on one coin", unit="USDC", ge=0)
    max_total_notional: float = setting(400.0, "most money at risk", unit="USDC", ge=0)
    max_order_notional: float = setting(25.0, "most money in one order", unit="USDC", ge=0)
    max_open_orders: int = setting(20, "most resting orders", ge=1)
    daily_drawdown_cap_pct: float = setting(
        0.015,
        "drawdown of equity from its peak, as a share of capital, that stops trading",
        ge=0.001,
        le=1,
    )
    max_daily_loss: float = setting(
        50.0, "loss since UTC midnight that stops trading", unit="USDC", ge=0
    )
    max_loss_streak: int = setting(5, "losing closes in a row that start a cooldown", ge=1)
    cooldown_sec: float = setting(60.0, "length of a cooldown", unit="s", ge=1)
    stale_tick_filter_ms: int = setting(
        2000, "a reference older than this blocks quoting", unit="ms", ge=50, le=5000
    )
    book_stale_ms: int = setting(
        3000, "an open market's book silent for this long is stale", unit="ms", ge=50, le=600_000
    )
    reorder_window_ms: int = setting(
        250,
        "time within which a book must verify again after its hash did not fit",
        unit="ms",
        ge=0,
        le=60_000,
    )
    hash_mode: str = setting(
        "enforce",
        "book hash check: `enforce` stops quoting, `warn` only counts, `off`",
        choices=("enforce", "warn", "off"),
    )
    price_collar: float = setting(
        0.15,
        "furthest an order may be from the mid and from fair value",
        unit="USDC",
        ge=0.0001,
        le=1,
    )
    max_clock_skew_ms: int = setting(
        2000, "clock skew against the venue that blocks quoting", unit="ms", ge=1
    )
    orders_per_s: float = setting(
        20.0,
        "order and cancel budget of all markets (burst is twice this; a market gets an eighth)",
        ge=0.5,
        le=1000,
    )
    max_loop_lag_ms: float = setting(
        250.0, "own latency beyond which orders are pulled", unit="ms", ge=1
    )
