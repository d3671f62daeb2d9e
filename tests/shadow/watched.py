"""The core's rig with a shadow behind it, that sees every step."""

from typing import Any

from polytrade.core.effects import Effect, PlaceOrder
from polytrade.core.events import ClockTicked, Event, ReferenceTicked
from polytrade.core.ids import BUY, FAST, YES
from polytrade.core.units import MS_NS
from polytrade.shadow import Shadow, ShadowReport, ShadowSettings
from tests.core.factory import SHARE, change, trade
from tests.core.rig import Rig


class Watched(Rig):
    """A rig whose shadow observes; its book speaks as often as it must to stay believed."""

    def __init__(self, shots_max: int = 200_000, **market: Any) -> None:
        self.shadow: Shadow | None = None
        super().__init__(**market)
        self.shadow = Shadow(ShadowSettings(shots_max=shots_max), self.engine)

    def step(self, event: Event, ms: int | None = None) -> list[Effect]:
        effects = super().step(event, ms)
        if self.shadow is not None:
            self.shadow.observe(event, effects)
        return effects

    def level(self, side: int, cents: int, shares: int, ms: int | None = None) -> None:
        """One level of YES holds so many shares from now on."""
        self.ms = self.ms if ms is None else ms
        self.step(change(side, cents, shares, 0, self.ns // MS_NS))

    def print(self, side: int, cents: int, shares: int, ms: int) -> None:
        self.step(trade(side, cents, shares, 0), ms)

    def move(self, price: float, ms: int) -> None:
        """The reference moves."""
        self.step(ReferenceTicked(0, "BTC", "binance/0", FAST, round(price * 1e8), 0), ms)

    def until(self, ms: int) -> None:
        """Time passes; the bottom of the book speaks every half second."""
        while self.ms + 500 < ms:
            self.level(BUY, 1, 1_000 + self.ms, self.ms + 500)
            self.tick(self.ms)
        self.tick(ms)

    def send(
        self,
        cents: int,
        shares: int = 10,
        side: int = BUY,
        token: int = YES,
        tif: str = "FAK",
        name: str = "t1",
        engine: str = "taker",
    ) -> PlaceOrder:
        """A marketable order goes out, as if an engine had wanted it at this step."""
        effect = PlaceOrder(
            name, self.market.spec.market, token, side, cents * 100, shares * SHARE, tif, False, 0,
            engine,
        )  # fmt: skip
        self.engine.ledger.hold(self.engine.orders.open(effect, self.ns))
        assert self.shadow is not None
        self.shadow.observe(ClockTicked(self.ns), [effect])
        return effect

    @property
    def report(self) -> ShadowReport:
        assert self.shadow is not None
        return self.shadow.report(self.ns)

    def values(self, *names: str) -> list[float | None]:
        return [self.report.values[name] for name in names]

    def survival(self) -> list[float | None]:
        return self.values("survival_5ms", "survival_10ms", "survival_25ms")

    def fillability(self) -> list[float | None]:
        return self.values("fillability_5ms", "fillability_10ms", "fillability_25ms")

    def causes(self) -> dict[str, int]:
        """Those that occurred."""
        return {name: count for name, count in self.report.causes.items() if count}
