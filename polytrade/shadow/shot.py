"""One order, so many milliseconds late, and those of one market that rest."""

from typing import final

from polytrade.core.book import Book
from polytrade.core.effects import PlaceOrder
from polytrade.core.fills import EVERY_LEVEL
from polytrade.core.queueing import PaperOrder
from polytrade.reach import Reach
from polytrade.shadow.causes import Outcome
from polytrade.shadow.tracks import Track


@final
class Intent:
    """An order as it was decided; `outcome` has what its causes are judged by."""

    __slots__ = ("effect", "engine", "outcome", "placed_ns", "track")

    def __init__(self, effect: PlaceOrder, track: Track, outcome: Outcome, placed_ns: int) -> None:
        self.effect = effect
        self.engine = effect.engine
        self.track = track
        self.outcome = outcome
        self.placed_ns = placed_ns


@final
class Shot:
    """One order, `DELAYS_MS[delay]` late. Until it has `arrived` it keeps how its prices stood
    last: `level_e6` at its own, `levels` of the other side within its limit, and the fair value.
    """

    __slots__ = (
        "arrived",
        "delay",
        "due_ns",
        "fair",
        "filled_e6",
        "intent",
        "level_e6",
        "levels",
        "order",
        "survived",
        "through",
        "valid",
    )

    def __init__(self, intent: Intent, delay: int, due_ns: int) -> None:
        self.intent = intent
        self.delay = delay
        self.due_ns = due_ns
        self.order = PaperOrder(intent.effect)
        self.level_e6 = 0
        self.levels: list[tuple[int, int]] = []
        self.fair = -1.0
        self.filled_e6 = 0
        self.arrived = False
        self.survived = False
        self.through = False
        self.valid = False

    def look(self) -> None:
        """Remember how its prices stand after this event."""
        market = self.intent.track.market
        book, order = market.book, self.order
        self.fair = market.fair
        self.level_e6 = book.size_e6(order.side, order.price_e4)
        if not self.intent.effect.post_only:
            self.levels = within(order, book)


@final
class Resting:
    """The shots that rest in one market; `prices` are theirs, `through` while one was passed."""

    __slots__ = ("prices", "reach", "shots", "through")

    def __init__(self) -> None:
        self.shots: list[Shot] = []
        self.prices: set[int] = set()
        self.reach = Reach()
        self.through = False

    def take(self, shot: Shot) -> None:
        """Another shot rests."""
        self.shots.append(shot)
        self.prices.add(shot.order.price_e4)
        self.reach.add(shot.order.side, shot.order.price_e4)

    def drop(self, gone: list[Shot]) -> None:
        """Shots rest no more."""
        kept = [shot for shot in self.shots if shot not in gone]
        self.shots = []
        self.prices.clear()
        self.reach.clear()
        for shot in kept:
            self.take(shot)
        self.look_again()

    def look_again(self) -> None:
        """Whether a shot's price is passed has changed."""
        self.through = any(shot.through for shot in self.shots)


def rests(effect: PlaceOrder) -> bool:
    """Whether what does not fill at once stays on the book."""
    return effect.tif in ("GTC", "GTD")


def within(order: PaperOrder, book: Book) -> list[tuple[int, int]]:
    """(price_e4, size_e6) of YES on the other side that an order may trade with, best first."""
    levels: list[tuple[int, int]] = []
    for price_e4, size_e6 in book.depth(1 - order.side, EVERY_LEVEL):
        if not order.reaches(price_e4):
            break
        levels.append((price_e4, size_e6))
    return levels
