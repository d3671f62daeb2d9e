"""Placing and cancelling orders over REST (protocols 2.4 to 2.8)."""

import re
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from quart import Response
from quart_trio import QuartTrio

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.matching.admission import DEAD
from polytrade.sandbox.matching.orders import DELAYED, Order, Placement, Refused
from polytrade.sandbox.venue.auth import ApiKey, AuthRefused, verify_order
from polytrade.sandbox.venue.clob_calls import (
    CANCEL,
    PLACE,
    READ,
    Call,
    Door,
    answer,
    lost,
    too_many,
    trouble,
)
from polytrade.sandbox.venue.clob_markets import padded
from polytrade.sandbox.venue.clob_records import not_placed, placed
from polytrade.sandbox.venue.limits import Verdict
from polytrade.sandbox.venue.signed_orders import WRONG_OWNER, token_id_of
from polytrade.sandbox.venue.wire_orders import check_post_only, order_of

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

ORDERS_MAX: Final = 15
"""Orders one `POST /orders` takes."""
CANCELS_MAX: Final = 3000
"""Order ids one `DELETE /orders` takes, as the newest official client has it."""
HELD_EXTRA_S: Final = 5
"""A held order whose delay is so long past is answered as delayed."""
STEP_S: Final = 0.001
"""Between looks at an order whose delay is over and whose venue is behind."""
BAD_PAYLOAD: Final = "Invalid order payload"
BAD_ORDER_ID: Final = "Invalid orderID"
NOT_FOUND: Final = "Order not found or already canceled"
_ORDER_ID: Final = re.compile(r"0x[0-9a-fA-F]{64}\Z")


class PostOnlyNow(Refused):
    """Refused because only post-only orders are taken for now."""


class Killed(Refused):
    """Refused by the matching engine for want of a match: the order has an id."""

    def __init__(self, text: str, order_id: str) -> None:
        super().__init__(text)
        self.order_id = order_id


@attrs.frozen
class _Kept:
    """An order the venue took: its answer so far, and until when it is held."""

    placement: Placement
    held_until_ns: int = 0


class _Trading:
    """What an API key may do to the books."""

    def __init__(self, venue: "LocalVenue") -> None:
        self._venue = venue

    # Placing.

    async def place(self, call: Call) -> Response:
        verdict = self._charge_orders(call.key, 1)
        if not verdict.admitted:
            return too_many(verdict)
        body = call.json(BAD_PAYLOAD)
        try:
            kept = self._take(call.key, body)
            await self._wait_held([kept])
            final = self._final(kept)
        except PostOnlyNow:
            return trouble(self._venue.troubles.post_only_refusal())
        except Refused as refused:
            return answer(_refusal(refused), refused.status, verdict.headers)
        return await self._tell(answer(placed(final), 200, verdict.headers))

    async def place_many(self, call: Call) -> Response:
        bodies = call.json(BAD_PAYLOAD)
        if not isinstance(bodies, list) or not bodies:
            raise Refused(BAD_PAYLOAD)
        if len(bodies) > ORDERS_MAX:
            raise Refused(f"Too many orders in payload: {len(bodies)}, max allowed: {ORDERS_MAX}")
        verdict = self._charge_orders(call.key, len(bodies))
        if not verdict.admitted:
            return too_many(verdict)
        entries: list[_Kept | Refused] = []
        for body in bodies:
            try:
                entries.append(self._take(call.key, body))
            except Refused as refused:
                entries.append(refused)
        kept = [entry for entry in entries if isinstance(entry, _Kept)]
        await self._wait_held(kept)
        response = answer([self._entry(entry) for entry in entries], 200, verdict.headers)
        return await self._tell(response) if kept else response

    def _take(self, key: ApiKey, body: object) -> _Kept:
        """Check an order and give it to the matching engine. Raises Refused."""
        venue = self._venue
        check_post_only(body)
        token_id = token_id_of(body)
        if not isinstance(body, dict) or body.get("owner") != key.owner:
            raise Refused(WRONG_OWNER)
        found = venue.exchange.tokens.get(token_id)
        if found is None:
            raise Refused(f"the orderbook {token_id} does not exist")
        rules = found[0].rules
        try:
            sent = verify_order(body, rules, key, venue.keys.settings)
        except AuthRefused as refused:
            raise Refused(str(refused), refused.status) from None
        if venue.troubles.post_only and not sent.post_only:
            raise PostOnlyNow("post-only mode: only post-only orders and cancels are allowed")
        order = order_of(sent, rules, venue.schedule.now_ns)
        try:
            placement = venue.exchange.place(order)
        except Refused as refused:
            raise _killed(refused, order) from None
        waits = placement.status == "delayed" and not rules.answers_delayed
        if waits and not sent.defer_exec:
            return _Kept(placement, venue.schedule.now_ns + rules.taker_delay_ns)
        return _Kept(placement)

    async def _wait_held(self, entries: list[_Kept]) -> None:
        """Return when none of the orders is held any more."""
        venue = self._venue
        until_ns = max((kept.held_until_ns for kept in entries), default=0)
        if not until_ns:
            return
        length_s = (until_ns - venue.schedule.now_ns) / SECOND_NS
        with trio.move_on_after(length_s + HELD_EXTRA_S):
            await trio.sleep(length_s)
            venue.catch_up()
            while any(kept.held_until_ns and _held(kept.placement.order) for kept in entries):
                await trio.sleep(STEP_S)
                venue.catch_up()

    def _final(self, kept: _Kept) -> Placement:
        if not kept.held_until_ns:
            return kept.placement
        order = kept.placement.order
        try:
            return self._venue.exchange.placement(order)
        except Refused as refused:
            raise _killed(refused, order) from None

    def _entry(self, entry: _Kept | Refused) -> dict[str, Any]:
        """One order's place in the answer to a batch."""
        if isinstance(entry, Refused):
            return not_placed(entry.text)
        try:
            return placed(self._final(entry))
        except Refused as refused:
            return not_placed(refused.text)

    async def _tell(self, response: Response) -> Response:
        """The answer of orders that were taken, late or never when that is the trouble."""
        troubles = self._venue.troubles
        never, late_s = troubles.take_lost_answer(), troubles.take_late_answer_s()
        if late_s:
            await trio.sleep(late_s)
        return lost(response, await response.get_data(as_text=False)) if never else response

    def _charge_orders(self, key: ApiKey, entries: int) -> Verdict:
        return self._venue.limits.orders(key.address, entries, self._venue.schedule.now_ns)

    # Cancelling.

    async def cancel(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        body = call.json(BAD_PAYLOAD)
        if not isinstance(body, dict):
            raise Refused(BAD_PAYLOAD)
        return self._cancel(call.key, [body.get("orderID")])

    async def cancel_many(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        body = call.json(BAD_PAYLOAD)
        if not isinstance(body, list):
            raise Refused(BAD_PAYLOAD)
        if len(body) > CANCELS_MAX:
            raise Refused(f"Too many orders in payload, max allowed: {CANCELS_MAX}")
        return self._cancel(call.key, body)

    def _cancel(self, key: ApiKey, order_ids: list[Any]) -> Response:
        if not all(isinstance(name, str) and _ORDER_ID.match(name) for name in order_ids):
            raise Refused(BAD_ORDER_ID)
        verdict = self._charge_cancels(key, len(order_ids))
        if not verdict.admitted:
            return too_many(verdict)
        exchange = self._venue.exchange
        canceled: list[str] = []
        not_canceled: dict[str, str] = {}
        for name in dict.fromkeys(map(str.lower, order_ids)):
            order = exchange.orders.get(name)
            mine = order is not None and order.owner == key.owner
            reason = exchange.cancel(name) if mine else NOT_FOUND
            if reason:
                not_canceled[name] = reason
            else:
                canceled.append(name)
        return _cancelled(canceled, not_canceled, verdict)

    async def cancel_all(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return self._cancel_where(call.key, "", -1)

    async def cancel_market(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        body = call.json(BAD_PAYLOAD)
        if not isinstance(body, dict):
            raise Refused(BAD_PAYLOAD)
        condition, asset = body.get("market") or "", body.get("asset_id") or ""
        if not (isinstance(condition, str) and isinstance(asset, str) and (condition or asset)):
            raise Refused(BAD_PAYLOAD)
        token = -1
        if asset:
            market, token = self._venue.exchange.tokens.get(asset, (None, -1))
            if market is None or (condition and padded(condition) != market.rules.condition):
                raise Refused(BAD_PAYLOAD)
            condition = market.rules.condition
        return self._cancel_where(call.key, padded(condition), token)

    def _cancel_where(self, key: ApiKey, condition: str, token: int) -> Response:
        verdict = self._charge_cancels(key, 1)
        if not verdict.admitted:
            return too_many(verdict)
        venue = self._venue
        canceled = venue.exchange.cancel_where(owner=key.owner, condition=condition, token=token)
        verdict = venue.limits.cancelled(key.address, len(canceled), venue.schedule.now_ns)
        return _cancelled(canceled, {}, verdict)

    def _charge_cancels(self, key: ApiKey, entries: int) -> Verdict:
        return self._venue.limits.cancels(key.address, entries, self._venue.schedule.now_ns)

    # The dead man's switch.

    async def beat(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        body = call.json(BAD_PAYLOAD)
        name = body.get("heartbeat_id", "") if isinstance(body, dict) else None
        if name is not None and not isinstance(name, str):
            raise Refused(BAD_PAYLOAD)
        counts, expected = self._venue.heartbeats.beat(call.key.owner, name or "")
        if not counts:
            return answer({"error_msg": "Invalid Heartbeat ID", "heartbeat_id": expected}, 400)
        return answer({"heartbeat_id": expected})

    async def beat_legacy(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        self._venue.heartbeats.beat_legacy(call.key.owner)
        return answer({"status": "ok"})


def _killed(refused: Refused, order: Order) -> Refused:
    """The refusal with the order's id when the engine had the order and killed it."""
    return Killed(refused.text, order.order_id) if refused.text in DEAD.values() else refused


def _refusal(refused: Refused) -> dict[str, str]:
    told = {"error": refused.text}
    if isinstance(refused, Killed):
        told["orderID"] = refused.order_id
    return told


def _held(order: Order) -> bool:
    return order.status == DELAYED


def _cancelled(canceled: list[str], not_canceled: dict[str, str], verdict: Verdict) -> Response:
    body = {"canceled": canceled, "not_canceled": not_canceled}
    return answer(body, 200, verdict.headers)


def add(app: QuartTrio, door: Door, venue: "LocalVenue") -> None:
    """Give the application its trading routes."""
    trading = _Trading(venue)
    for method, path, kind, handler in (
        ("POST", "/order", PLACE, trading.place),
        ("POST", "/orders", PLACE, trading.place_many),
        ("DELETE", "/order", CANCEL, trading.cancel),
        ("DELETE", "/orders", CANCEL, trading.cancel_many),
        ("DELETE", "/cancel-all", CANCEL, trading.cancel_all),
        ("DELETE", "/cancel-market-orders", CANCEL, trading.cancel_market),
        ("POST", "/v1/heartbeats", READ, trading.beat),
        ("POST", "/heartbeats", READ, trading.beat_legacy),
    ):
        view = door.signed(handler, kind)
        app.add_url_rule(path, f"{method} {path}", view, methods=[method])
