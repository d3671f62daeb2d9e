"""The counting half of a replay: what every event adds to its result, and who looks on."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from polytrade.config import Config
from polytrade.core.effects import Effect
from polytrade.core.events import BookReplaced, Event, FeedGap, OrderFilled
from polytrade.journal import DataDigest, EffectDigest
from polytrade.replay_result import ReplayResult, Stepper, account_of, books_of
from polytrade.session import Session
from polytrade.witness import Watcher, Witness

PROGRESS_EVERY: Final = 10_000
"""Events between two reports of progress: about ten a second."""

Progressed = Callable[[int], None]
Attach = Callable[[Config, Stepper], Watcher]
"""Makes the watcher of a replay once its configuration is known and its session is built."""


class Run:
    """The counting half of a replay; the session is set before the first event.

    `blind` means that nothing is compared any more, `unanswered` counts events the run never saw
    the effects of.
    """

    session: Stepper

    def __init__(
        self,
        path: Path,
        until: int | None,
        progress: Progressed | None,
        attach: Attach | None,
        sites: Sequence[Path] = (),
    ) -> None:
        self.sites = sites
        self.result = ReplayResult(path=str(path), kind="")
        self.blind = False
        self.unanswered = 0
        self._until = until
        self._progress = progress
        self._attach = attach
        self._watcher: Watcher | None = None
        self._effects = EffectDigest()
        self._data = DataDigest()
        self._tags: Counter[str] = Counter()
        self._effect_tags: Counter[str] = Counter()
        self._gaps: Counter[str] = Counter()

    def begin(self, session: Stepper, config: Config) -> None:
        """The session that is driven, and who looks on: inside of it where it has a venue."""
        self.session = session
        if self._attach is None:
            return
        watcher = self._attach(config, session)
        if isinstance(session, Session) and session.paper is not None:
            session.tape = Witness(watcher, session.tape)
        else:
            self._watcher = watcher

    def enough(self) -> bool:
        """Whether `until` is reached."""
        return self._until is not None and self.result.events >= self._until

    def took(self, event: Event, effects: list[Effect]) -> None:
        """Count an event and what the engine answered."""
        result = self.result
        if self._watcher is not None:
            self._watcher.observe(event, effects)
        result.events += 1
        result.last_ts_ns = event.ts_ns
        if result.events == 1:
            result.first_ts_ns = event.ts_ns
        self._tags[event.TAG] += 1
        if not (isinstance(event, BookReplaced) and event.rest):
            self._data.add(event)  # a REST book answers a question of ours: asked again or not
        if isinstance(event, FeedGap):
            self._gaps[event.reason] += 1
        elif isinstance(event, OrderFilled):
            result.fills += 1
        if effects:
            self._effects.add(event.ts_ns, effects)
            self._effect_tags.update(effect.TAG for effect in effects)
        if self._progress is not None and result.events % PROGRESS_EVERY == 0:
            self._progress(result.events)

    def finish(self) -> ReplayResult:
        """The result, with the digests and the state of the engine."""
        result, engine = self.result, self.session.engine
        result.effects = self._effects.count
        result.effect_digest = self._effects.hexdigest()
        result.data_digest = self._data.hexdigest()
        result.events_by_type = dict(sorted(self._tags.items()))
        result.effects_by_type = dict(sorted(self._effect_tags.items()))
        result.orders = self._effect_tags["place_order"]
        result.open_orders = engine.orders.open_count()
        result.gaps = dict(sorted(self._gaps.items()))
        result.account = account_of(engine)
        result.quality = engine.quality()
        result.books = books_of(engine)
        try:
            engine.ledger.check(engine.orders)
        except AssertionError as error:
            result.broken = f"the ledger does not balance: {error}"
        return result
