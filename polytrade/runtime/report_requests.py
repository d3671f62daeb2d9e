"""What the control plane may ask of reports; `reporting.Reporter` answers."""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from polytrade.runtime.command_requests import Refusal


class Reports(Protocol):
    """Answers are JSON-ready; a Refusal when there are no reports."""

    async def shadow_live(self) -> "dict[str, Any] | Refusal":
        """The live report; it is also written to `shadow_live_latest.json`."""

    async def shadow_final(self) -> "dict[str, Any] | Refusal":
        """The live report and the gates; every report file is written."""

    async def pnl_by_engine(self) -> "dict[str, Any] | Refusal":
        """What each engine's fills were worth."""

    async def toxicity_live(self) -> "dict[str, Any] | Refusal":
        """What is thought of each market; it is also written to `toxicity_live_latest.json`."""

    async def toxicity_final(self) -> "dict[str, Any] | Refusal":
        """The same with a verdict."""
