"""How long each fault took to safety, for the summary after the tests and `docs/faults.md`."""

MEASURED: list[tuple[str, float | None, float | None]] = []
"""Fault; seconds until the quotes of then were gone; seconds until every book was synced again.

Both are from the moment the fault was ordered; None where there is nothing to wait for."""


def measured(fault: str, pulled_s: float | None, again_s: float | None) -> None:
    """Keep a result."""
    MEASURED.append((fault, pulled_s, again_s))


def lines() -> list[str]:
    """The table as text."""
    return [f"{fault:44} {_text(pulled)} {_text(again)}" for fault, pulled, again in MEASURED]


def _text(seconds: float | None) -> str:
    return f"{'-' if seconds is None else f'{seconds:.2f} s':>9}"
