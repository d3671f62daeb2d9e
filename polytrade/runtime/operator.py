"""What a notifier that takes commands may do: read the daemon's snapshot, send its commands.

The daemon's own task carries a command out, as it does for the control plane: whoever asked and
vanished changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from polytrade.core.units import MS_NS, SECOND_NS, price_text, size_text
from polytrade.notices import many
from polytrade.runtime.command_requests import Commands, FlattenReply, PauseReply, Refusal
from polytrade.runtime.status import DaemonStatus, MarketRow

LINES_MAX: Final = 20
"""Positions told in one answer: a screen of a phone."""


@final
class DaemonOperator:
    """`notices.Operator` over the daemon's own snapshot and command channel."""

    def __init__(self, read: Callable[[], DaemonStatus], commands: Commands) -> None:
        self._read = read
        self._commands = commands

    def summary(self) -> Mapping[str, object]:
        """Health, mode, money and counts as of now."""
        status = self._read()
        pnl = status.pnl
        fills = status.readings.values.get("fills_total", {})
        return {
            "ts_ms": status.ts_ns // MS_NS,
            "run_id": status.run_id,
            "version": status.version,
            "health": status.health,
            "mode": status.mode,
            "engine_mode": status.engine_mode,
            "engine_why": status.engine_why,
            "paused": status.paused,
            "uptime_s": status.uptime_ns // SECOND_NS,
            "realized_e6": pnl.realized_e6,
            "unrealized_e6": pnl.unrealized_e6,
            "fees_e6": pnl.fees_e6,
            "rebates_e6": pnl.rebates_e6,
            "equity_e6": pnl.equity_e6,
            "daily_pnl_e6": pnl.daily_pnl_e6,
            "fills": round(sum(fills.values())),
            "open_orders": sum(len(market.orders) for market in status.markets),
            "markets": len(status.markets),
            "exposure_e6": sum(market.exposure_e6 for market in status.markets),
            "feeds_down": [feed.name for feed in status.feeds if not feed.connected or feed.stale],
        }

    def positions(self) -> Sequence[Mapping[str, object]]:
        """The markets in which something is held or rests, the most at risk first."""
        held = [
            market
            for market in self._read().markets
            if market.yes_e6 or market.no_e6 or market.orders
        ]
        held.sort(key=lambda market: (-market.exposure_e6, market.slug))
        return [_position(market) for market in held]

    async def pause(self) -> str:
        """Place no new orders and cancel those that rest."""
        return _paused(await self._commands.pause())

    async def resume(self, clear_halt: bool = False) -> str:
        """Trade again; a halt is left only with `clear_halt`."""
        return _paused(await self._commands.resume(clear_halt))

    async def flatten(self) -> str:
        """Cancel every order and close every position inside the slippage limit."""
        reply = await self._commands.flatten()
        return _refused(reply) if isinstance(reply, Refusal) else _flattened(reply)


def _position(market: MarketRow) -> Mapping[str, object]:
    return {
        "market": market.market,
        "slug": market.slug,
        "yes_e6": market.yes_e6,
        "no_e6": market.no_e6,
        "mark_yes_e4": market.mark_yes_e4,
        "pnl_e6": market.pnl_e6,
        "exposure_e6": market.exposure_e6,
        "open_orders": len(market.orders),
    }


def _paused(reply: PauseReply | Refusal) -> str:
    if isinstance(reply, Refusal):
        return _refused(reply)
    return "paused" if reply.paused else "trading"


def _refused(reply: Refusal) -> str:
    return f"refused ({reply.code}): {reply.message}"


def _flattened(reply: FlattenReply) -> str:
    lines = [
        f"{many(len(reply.cancelled), 'order')} cancelled, "
        f"{many(len(reply.closed), 'position')} closed, "
        f"{len(reply.left)} left"
    ]
    lines += [
        f"{row.side} {size_text(row.size_e6)} {row.token} at {price_text(row.price_e4)}: {row.slug}"
        for row in reply.closed
    ]
    lines += [
        f"left {size_text(row.size_e6)} {row.token}: {row.slug}, {row.why}" for row in reply.left
    ]
    more = len(lines) - 1 - LINES_MAX
    return "\n".join([*lines[: LINES_MAX + 1], *([f"and {more} more"] if more > 0 else [])])
