"""What a fill costs besides its price: the taker's fee, less the maker's rebate as an estimate."""

from polytrade.core.events import MarketListed
from polytrade.core.learning import rebate_e6
from polytrade.core.units import ONE_E4, fee_e6, notional_e6_up


def cost_e6(spec: MarketListed, price_e4: int, size_e6: int, maker: bool) -> int:
    """Fee less rebate of a fill, in 1e-6 USDC; negative for a maker where rebates are paid.

    The curve is the same for both tokens: `price_e4` may be either's.
    """
    if maker:
        return -rebate_e6(spec, price_e4, size_e6)
    return fee_e6(size_e6, price_e4, spec.fee_rate_e6, spec.fee_exponent)


def net_edge_bps(
    spec: MarketListed, fair: float, sign: int, yes_price_e4: int, size_e6: int, maker: bool
) -> float:
    """Fair value against the entry price of the side held, after fee and rebate, in bps of it.

    `sign` is 1 for the side that gains with YES, -1 for the other, whose price is 1 - p.
    """
    entry_e4 = yes_price_e4 if sign > 0 else ONE_E4 - yes_price_e4
    worth = fair if sign > 0 else 1.0 - fair
    gross_bps = (worth * ONE_E4 - entry_e4) / entry_e4 * 1e4
    cost = cost_e6(spec, yes_price_e4, size_e6, maker)
    return gross_bps - cost / notional_e6_up(entry_e4, size_e6) * 1e4
