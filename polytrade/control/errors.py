"""Refusals of the control plane, one JSON shape for all of them."""

from typing import final

import attrs
import orjson


@attrs.frozen(kw_only=True)
class Fault:
    """Why a request got no answer; `field` and `allowed` name what to change, where that helps.

    `step` and `plugin` say how far a reload came, and are left out elsewhere.
    """

    status: int
    code: str
    message: str
    field: str = ""
    allowed: str = ""
    step: str = ""
    plugin: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> bytes:
        """The JSON of the contract."""
        error = {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "allowed": self.allowed,
        }
        if self.step:
            error |= {"step": self.step, "plugin": self.plugin}
        return orjson.dumps({"error": error})


@final
class FaultError(Exception):
    """Ends the handling of a request with a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code, fault.message)
        self.fault = fault
