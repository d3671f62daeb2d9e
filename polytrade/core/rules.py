"""What a risk rule is to the engine: a veto after the built-in limits."""

from typing import Protocol

from polytrade.core.risk import Context, Request

__all__ = ["RiskRule"]


class RiskRule(Protocol):
    """May refuse an order that passed every limit; it can neither allow nor change one."""

    def check(self, request: Request, context: Context) -> str:
        """Empty when the order may pass, else why it may not (limit `rule:<name>`).

        One that raises halts the engine.
        """
