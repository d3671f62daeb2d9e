"""Shots: had this order reached the venue 5, 10 or 25 ms later than it did?

Each order the venue took is shot three times, exactly so long after its acceptance. A resting order
survives when it could still be posted; it then stands at the back of its level as of that moment,
and the queue model of paper trading says whether it fills while the real one is on the book. A
marketable order survives when the opposite price is still within its limit, and fills with what the
book shows there.

A resting order that is withdrawn before the market came to its price says nothing of how late it
could have been: its shots count for survival, not for fillability, and are no outcomes.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

from polytrade.core.events import BookChanged, BookReplaced, TradePrinted
from polytrade.core.ids import BUY, NO, YES
from polytrade.core.orders import Orders, terminal
from polytrade.core.units import MS_NS, ONE_E4
from polytrade.shadow.causes import Outcome
from polytrade.shadow.costs import cost_e6, net_edge_bps
from polytrade.shadow.samples import SHOTS_MAX, Samples, Tally
from polytrade.shadow.shot import Intent, Resting, Shot, rests, within
from polytrade.shadow.tracks import NEVER_NS, Track, Wake

DELAYS_MS: Final = (5, 10, 25)
OUTCOME: Final = DELAYS_MS.index(10)
"""The shot that makes an outcome (metrics contract)."""
INTENTS_MAX: Final = 10_000
"""Orders followed at once: the largest `risk.max_open_orders`."""


Filled = Callable[[Shot, int, int, int, int], None]
"""Called with a shot at +10 ms that filled: YES price, shares, fee less rebate, and when."""


@final
class Shots:
    """All shots of a window.

    `judged` is called with each outcome as its shot at +10 ms arrives at a trusted book, `finished`
    with that shot once its order is over, and whether it is an outcome. `survived` and `filled` are
    tallied by delay over trusted books only; `edges` are the net edges, in bps, that orders still
    had at +10 ms; `invalid` counts shots at doubtful books.
    """

    __slots__ = (
        "_cancels_ahead",
        "_filled",
        "_finished",
        "_intents",
        "_judged",
        "_live",
        "_orders",
        "_resting",
        "_waiting",
        "_wake",
        "edges",
        "filled",
        "invalid",
        "next_ns",
        "pending",
        "survived",
        "taken",
    )

    def __init__(
        self,
        orders: Orders,
        cancels_ahead: str,
        filled: Filled,
        judged: Callable[[Outcome], None],
        finished: Callable[[Shot, bool], None],
        wake: Wake,
        shots_max: int = SHOTS_MAX,
    ) -> None:
        self._orders = orders
        self._cancels_ahead = cancels_ahead
        self._filled = filled
        self._judged = judged
        self._finished = finished
        self._wake = wake
        self._intents: dict[str, Intent] = {}
        self._live: dict[str, list[Shot]] = {}
        self._resting: dict[str, Resting] = {}
        self._waiting: list[deque[Shot]] = [deque() for _ in DELAYS_MS]
        self.next_ns = NEVER_NS
        self.pending = 0
        self.taken = 0
        self.invalid = 0
        self.edges = Samples()
        self.survived = Tally(2 * len(DELAYS_MS), shots_max)
        self.filled = Tally(2 * len(DELAYS_MS), shots_max)

    # -- the order's life -----------------------------------------------------------------------

    def placed(self, intent: Intent) -> None:
        """An order was sent."""
        if len(self._intents) >= INTENTS_MAX:
            del self._intents[next(iter(self._intents))]
        self._intents[intent.effect.order_id] = intent

    def accepted(self, order_id: str, ts_ns: int) -> bool:
        """The venue took an order: shoot; False when it was taken, or given up, before."""
        intent = self._intents.pop(order_id, None)
        if intent is None:
            return False
        intent.outcome.answer_ns = ts_ns - intent.placed_ns
        shots = [
            Shot(intent, delay, ts_ns + after_ms * MS_NS)
            for delay, after_ms in enumerate(DELAYS_MS)
        ]
        for shot in shots:
            shot.look()
            self._waiting[shot.delay].append(shot)
        if len(self._live) >= INTENTS_MAX:
            self._close(next(iter(self._live)))
        self._live[order_id] = shots
        self.pending += len(shots)
        self.taken += len(shots)
        self.next_ns = min(self.next_ns, shots[0].due_ns)
        self._wake.by(self.next_ns)
        return True

    def refused(self, order_id: str) -> bool:
        """The venue never took an order; False when that was known, or it was taken."""
        return self._intents.pop(order_id, None) is not None

    def changed(self, order_id: str) -> None:
        """Something of an order filled, or it left the book: its shots end when it has ended."""
        shots = self._live.get(order_id)
        if shots is not None and self._ended(order_id):
            self._unrest(shots)
            if shots[-1].arrived:
                self._close(order_id)

    def known(self, order_id: str) -> bool:
        """Whether an order of this window was taken and is not over."""
        return order_id in self._live

    # -- time and the market --------------------------------------------------------------------

    def look(self) -> None:
        """After an event: what has not arrived remembers how its market stands."""
        for waiting in self._waiting:
            for shot in waiting:
                shot.look()

    def due(self, ts_ns: int) -> None:
        """Let arrive what was to arrive before `ts_ns`; the market is as it last was."""
        self.next_ns = NEVER_NS
        for waiting in self._waiting:
            while waiting and waiting[0].due_ns < ts_ns:
                shot = waiting.popleft()
                self.pending -= 1
                self._arrive(shot)
            if waiting:
                self.next_ns = min(self.next_ns, waiting[0].due_ns)

    def on_change(self, track: Track, event: BookChanged) -> None:
        """One level of a market changed: the queue at its price moves."""
        resting = self._resting.get(event.market)
        if resting is None:
            return
        price_e4 = event.price_e4 if event.token == YES else ONE_E4 - event.price_e4
        if price_e4 in resting.prices:
            for shot in resting.shots:
                if shot.order.price_e4 == price_e4:
                    self._level(shot, track, event.ts_ns)
        self._pass(resting, track, event.ts_ns)

    def on_snapshot(self, track: Track, event: BookReplaced) -> None:
        """The whole book of a market changed."""
        resting = self._resting.get(event.market)
        if resting is not None:
            for shot in resting.shots:
                self._level(shot, track, event.ts_ns)
            self._pass(resting, track, event.ts_ns)

    def on_print(self, event: TradePrinted) -> None:
        """A public trade: it reaches what rests on the other side."""
        resting = self._resting.get(event.market)
        if resting is None:
            return
        taker_side, price_e4 = event.side, event.price_e4
        if event.token == NO:
            taker_side, price_e4 = 1 - taker_side, ONE_E4 - price_e4
        if not resting.reach.touched(price_e4, price_e4):
            return
        for shot in resting.shots:
            order = shot.order
            if order.side == taker_side:
                continue
            if order.beyond(price_e4):
                self._fill(shot, min(order.left_e6, event.size_e6), event.ts_ns)
            elif price_e4 == order.price_e4:
                self._fill(shot, order.on_print(event.size_e6, event.ts_ns), event.ts_ns)

    def _pass(self, resting: Resting, track: Track, ts_ns: int) -> None:
        """Fill what the book now shows better prices than."""
        if resting.through or resting.reach.touched(track.bid_e4, track.ask_e4):
            for shot in resting.shots:
                self._through(shot, track, ts_ns)
            resting.look_again()

    def _level(self, shot: Shot, track: Track, ts_ns: int) -> None:
        order = shot.order
        level_e6 = track.market.book.size_e6(order.side, order.price_e4)
        order.on_level(level_e6, ts_ns, self._cancels_ahead)

    def _through(self, shot: Shot, track: Track, ts_ns: int) -> None:
        """A whole book that shows better prices on the other side fills the order."""
        order = shot.order
        if order.side == BUY:
            beyond = track.ask_e4 < order.price_e4
        else:
            beyond = track.bid_e4 > order.price_e4
        if not beyond and not shot.through:
            return
        book = track.market.book
        if not track.market.trust.verified or book.crossed:
            return
        shown_e6 = sum(size for price, size in within(order, book) if order.beyond(price))
        shot.through = shown_e6 > 0
        self._fill(shot, order.on_through(shown_e6), ts_ns)

    # -- one shot -------------------------------------------------------------------------------

    def _arrive(self, shot: Shot) -> None:
        intent, order, track = shot.intent, shot.order, shot.intent.track
        effect = intent.effect
        shot.arrived = True
        shot.valid = track.valid
        known = effect.order_id in self._live
        ended = not known or self._ended(effect.order_id)
        if not shot.valid:
            self.invalid += 1
        else:
            crosses = order.crosses(track.bid_e4, track.ask_e4)
            shot.survived = crosses != effect.post_only or (not crosses and rests(effect))
            self.survived.add(2 * shot.delay + shot.survived)
            if shot.survived and crosses:
                self._take(shot)
            elif shot.survived and not ended:
                order.rest(shot.level_e6)
                self._rest(effect.market, shot)
        if shot.delay == OUTCOME:
            self._judge(shot)
        if known and ended and shot.delay == len(DELAYS_MS) - 1:
            self._close(effect.order_id)

    def _judge(self, shot: Shot) -> None:
        """What the outcome has to know of the moment the shot arrived."""
        intent, order = shot.intent, shot.order
        outcome = intent.outcome
        outcome.valid = shot.valid
        outcome.survived = shot.survived
        if shot.survived and shot.fair >= 0.0:
            spec, sign = intent.track.market.spec, 1 if order.side == BUY else -1
            maker, size_e6 = intent.effect.post_only, intent.effect.size_e6
            late_bps = net_edge_bps(spec, shot.fair, sign, order.price_e4, size_e6, maker)
            outcome.late_edge_bps = late_bps
            self.edges.add(late_bps)
        if shot.valid:
            self._judged(outcome)

    def _take(self, shot: Shot) -> None:
        """Walk the levels as they stood; FOK fills whole or not at all."""
        order, spec = shot.order, shot.intent.track.market.spec
        if shot.intent.effect.tif == "FOK" and sum(e6 for _, e6 in shot.levels) < order.left_e6:
            return
        for price_e4, shown_e6 in shot.levels:
            size_e6 = min(shown_e6, order.left_e6)
            if size_e6 > 0:
                cost = cost_e6(spec, price_e4, size_e6, False)
                self._book(shot, price_e4, size_e6, cost, shot.due_ns)

    def _fill(self, shot: Shot, size_e6: int, ts_ns: int) -> None:
        if size_e6 > 0:
            price_e4 = shot.order.price_e4
            cost = cost_e6(shot.intent.track.market.spec, price_e4, size_e6, True)
            self._book(shot, price_e4, size_e6, cost, ts_ns)

    def _book(self, shot: Shot, price_e4: int, size_e6: int, cost: int, ts_ns: int) -> None:
        shot.order.left_e6 -= size_e6
        shot.filled_e6 += size_e6
        if shot.delay == OUTCOME:
            self._filled(shot, price_e4, size_e6, cost, ts_ns)

    def _ended(self, order_id: str) -> bool:
        order = self._orders.find(order_id)
        return order is None or terminal(order.state)

    def _rest(self, market: str, shot: Shot) -> None:
        resting = self._resting.get(market)
        if resting is None:
            resting = self._resting[market] = Resting()
        resting.take(shot)

    def _unrest(self, shots: list[Shot]) -> None:
        market = shots[0].intent.effect.market
        resting = self._resting.get(market)
        if resting is not None:
            resting.drop(shots)
            if not resting.shots:
                del self._resting[market]

    def _close(self, order_id: str) -> None:
        """The order is over: the verdict on each of its shots."""
        shots = self._live.pop(order_id)
        self._unrest(shots)
        order = self._orders.find(order_id)
        reached = order is not None and order.filled_e6 > 0
        reached = reached or not rests(shots[0].intent.effect)
        reached = reached or any(shot.filled_e6 for shot in shots)
        for shot in shots:
            counts = shot.arrived and (reached or (shot.valid and not shot.survived))
            if counts and shot.valid:
                self.filled.add(2 * shot.delay + (shot.filled_e6 > 0))
            if shot.delay == OUTCOME:
                self._finished(shot, counts)
