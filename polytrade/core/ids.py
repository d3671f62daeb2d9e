"""Names of things and the small integers that stand for sides, tokens and kinds.

Plain `Final` integers instead of enums: they cross the hot path millions of times, compile to
machine integers under mypyc and are what the journal stores.
"""

from typing import Final, NewType

MarketId = NewType("MarketId", str)
"""A market's condition id as the venue writes it (`0x` + 64 hex)."""
TokenId = NewType("TokenId", str)
"""An outcome token's id: an unsigned 256-bit integer as a decimal string, never a number."""
OrderId = NewType("OrderId", str)
"""Our own order id, derived from a counter (never random), so that a replay names it alike."""
FillId = NewType("FillId", str)

YES: Final = 0
NO: Final = 1
TOKEN_NAMES: Final = ("yes", "no")

BUY: Final = 0
SELL: Final = 1
SIDE_NAMES: Final = ("buy", "sell")

# Kinds of a reference tick.
FAST: Final = 0  # an exchange's own socket: drives decisions
ANCHOR: Final = 1  # the Chainlink spot stream, as relayed by Polymarket
TWAP30: Final = 2  # the Chainlink 30 s average
TWAP60: Final = 3  # the Chainlink 60 s average
RELAY: Final = 4  # an exchange price relayed by Polymarket: later than FAST, a fall-back only
