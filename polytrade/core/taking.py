"""The taker's orders: fill and kill, one in flight a market, a pause after each.

The pause comes after an order that the limits refused, too: the next tick changes little.
"""

from typing import Final, final

from polytrade.core.capital import Capital
from polytrade.core.desk import SENT, Desk
from polytrade.core.effects import Effect
from polytrade.core.limits import Context, Request
from polytrade.core.orders import Order
from polytrade.core.roles import TAKER, Taker, View, Wish
from polytrade.core.settings import EngineSettings

NEVER_NS: Final = -(1 << 62)
IN_FLIGHT: Final = "no_take_in_flight"
PAUSE: Final = "no_take_pause"
REASONS_MAX: Final = 64
"""Reasons told apart, far more than there are."""


@final
class Taking:
    """Asks the taker and sends what it wishes.

    `reasons` counts the decisions in which nothing was taken by why: `no_take_*` or `risk:*`.
    """

    __slots__ = (
        "_asked_ns",
        "_capital",
        "_desk",
        "_settings",
        "_taker",
        "reasons",
    )

    def __init__(
        self, settings: EngineSettings, taker: Taker, desk: Desk, capital: Capital
    ) -> None:
        self._desk = desk
        self._capital = capital
        self._asked_ns: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self._taker = taker
        self.configure(settings)

    def configure(self, settings: EngineSettings) -> None:
        """Take by other settings; pauses and reasons stay."""
        self._settings = settings

    def pursue(
        self, view: View, context: Context, resting: list[Order], effects: list[Effect]
    ) -> None:
        """Send the first of the taker's wishes that passes, when its turn has come.

        `resting` are the market's open orders but for those of the maker just sent.
        """
        name = context.account.market
        if context.ts_ns - self._asked_ns.get(name, NEVER_NS) < self._settings.take_pause_ns:
            self.skipped(PAUSE)
            return
        for order in resting:
            if order.engine == TAKER:
                self.skipped(IN_FLIGHT)
                return
        wishes, reason = self._taker.takes(view)
        if wishes:
            self._capital.allocate(view, context.account, TAKER, wishes)
            for wish in wishes:
                reason = self._send(wish, view, context, effects)
                if reason == SENT:
                    return
        self.skipped(reason)

    def skipped(self, reason: str) -> None:
        """Nothing is taken in this decision, for this reason."""
        if reason in self.reasons or len(self.reasons) < REASONS_MAX:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        self._asked_ns.pop(market, None)

    def _send(self, wish: Wish, view: View, context: Context, effects: list[Effect]) -> str:
        """SENT, or why not."""
        sized = self._capital.sized(wish, view, context.account, False)
        if isinstance(sized, str):
            return f"no_take_{sized}"
        request = Request(
            context.account.market,
            sized.token,
            sized.side,
            sized.price_e4,
            sized.size_e6,
            "FAK",
            False,
            TAKER,
            sized.edge_bps,
            context.ts_ns + self._settings.take_ttl_ns,
        )
        refused_by = self._desk.send(request, context, effects)
        self._asked_ns[request.market] = context.ts_ns
        return f"risk:{refused_by}" if refused_by != SENT else SENT
