"""How long each fault took to safety, for the summary after the tests and `docs/faults.md`."""

MEASURED: list[tuple[str, float | None, float]] = []
"""Fault, seconds until nothing of ours rested (None: it was not needed), seconds until every book
was synced again, both from the moment the fault was ordered."""


def measured(fault: str, pulled_s: float | None, again_s: float) -> None:
    """Keep a result."""
    MEASURED.append((fault, pulled_s, again_s))


def lines() -> list[str]:
    """The table as text."""
    return [
        f"{fault:44} {'-' if pulled is None else f'{pulled:.2f} s':>9} {again:8.2f} s"
        for fault, pulled, again in MEASURED
    ]
