"""The task that carries out what the engine wants and cannot do itself.

Paper orders are answered inside the session, between two events, so that fills depend on the
events alone (`docs/decisions.md`); what is left for this task are requests to the venue. Signed
orders will leave from here.
"""

from collections.abc import Callable

import structlog
import trio

from polytrade.core.effects import Effect, RequestSnapshot

log = structlog.get_logger(__name__)


async def run_execution(
    actions: trio.MemoryReceiveChannel[Effect], resnapshot: Callable[[str], None]
) -> None:
    """Serve effects until the engine's side of the channel is closed."""
    async for effect in actions:
        if isinstance(effect, RequestSnapshot):
            log.debug("fresh book wanted", market=effect.market, reason=effect.reason)
            resnapshot(effect.market)
