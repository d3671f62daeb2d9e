"""Made-up ids in the venue's forms, always the same for the same seed and slug (protocols 0.4)."""

import hashlib
from typing import Final

TOP_BIT: Final = 1 << 255
"""Set in made-up v1 token ids: 77 or 78 digits, as real ones have."""
CHAIN: Final = 137
BINARY_MODULE: Final = 1
NEG_RISK_MODULE: Final = 2
_BASE_BITS: Final = 128
_RESERVED: Final = ((1 << 64) - 1) << 40


def hex_of(seed: int, slug: str, kind: str) -> str:
    """64 hex digits."""
    return hashlib.sha256(f"{seed}|{slug}|{kind}".encode()).hexdigest()


def v1_ids(seed: int, slug: str) -> tuple[str, tuple[str, str]]:
    """The condition and token ids of a market of protocol v1.

    The bits that protocol v2 reserves are not all clear, so that the ids are never taken for v2's.
    """
    yes, no = (str(int(hex_of(seed, slug, kind), 16) | TOP_BIT | 1 << 40) for kind in ("yes", "no"))
    return "0x" + hex_of(seed, slug, "condition"), (yes, no)


def v2_ids(
    seed: int, event: str, index: int, markets: int, neg_risk: bool
) -> tuple[str, tuple[str, str]]:
    """The condition and position ids of an event's market `index` of protocol v2.

    From the top: module 8 bits, base hash 128, arity 16, reserved 64, resolution chain 16,
    condition index 16, outcome 8. The condition id is the position id with outcome 0.
    """
    module = NEG_RISK_MODULE if neg_risk else BINARY_MODULE
    base = int(hex_of(seed, event, "base"), 16) >> (256 - _BASE_BITS)
    condition = (
        module << 248
        | base << 120
        | (markets & 0xFFFF) << 104
        | CHAIN << 24
        | (index & 0xFFFF) << 8
    )
    assert condition & _RESERVED == 0, "reserved bits are used"
    return f"0x{condition:064x}", (str(condition), str(condition | 1))


def v2_event_id(condition: str) -> str:
    """The id on chain of the event a v2 condition belongs to: its index and outcome cleared."""
    return condition[:-6] + "000000"
