"""The Data API under `/v2`, and what wallets do without a chain under `/wallet`.

`POST /wallet/split|merge|redeem` are the sandbox's own: signed like a trading request (L2), they
take effect at once, for bots that have no relayer or node to ask.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.core.units import ONE_E6, SECOND_NS, decimal_text, parse_scaled
from polytrade.polymarket.signing import POLYGON
from polytrade.sandbox.matching.orders import Refused
from polytrade.sandbox.venue.auth import ApiKey, AuthRefused
from polytrade.sandbox.venue.chain import CONTRACTS
from polytrade.sandbox.venue.chain_calls import MAX_UINT, MERGE, REDEEM, SPLIT, Operation
from polytrade.sandbox.venue.chain_rest import json_answer, json_of, raw_body
from polytrade.sandbox.venue.data_rows import (
    Leg,
    Row,
    activity_row,
    legs,
    position_rows,
    price_e6,
    resolution_row,
    trade_row,
    wanted_status,
)
from polytrade.sandbox.venue.json_errors import answer_in_json
from polytrade.sandbox.venue.wallets import wallets_of
from polytrade.sandbox.world.gamma_fields import number
from polytrade.sandbox.world.listing import Listing

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

P = ParamSpec("P")

BODY_MAX: Final = 65_536
"""Bytes of a request: a wallet operation has two hundred."""
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1_000
CONDITION_CHARS: Final = 66
_DIGITS_MAX: Final = 12


class BadQuery(Exception):
    """400: a parameter has a value it cannot have."""


def data_app(venue: "LocalVenue") -> QuartTrio:
    """The Data API of a venue and its wallet operations."""
    app = QuartTrio("sandbox.data")
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    answer_in_json(app)

    def answered(handler: Callable[P, Response]) -> Callable[P, Awaitable[Response]]:
        @wraps(handler)
        async def view(*args: P.args, **kwargs: P.kwargs) -> Response:
            await trio.lowlevel.checkpoint()
            venue.catch_up()
            try:
                return handler(*args, **kwargs)
            except BadQuery as refused:
                return json_answer({"error": str(refused)}, 400)

        return view

    _add_trades(app, venue, answered)
    _add_positions(app, venue, answered)
    _add_markets(app, venue, answered)

    for kind in (SPLIT, MERGE, REDEEM):
        app.add_url_rule(f"/wallet/{kind}", kind, _wallet_view(venue, kind), methods=["POST"])
    return app


Answered = Callable[[Callable[..., Response]], Callable[..., Awaitable[Response]]]


def _add_trades(app: QuartTrio, venue: "LocalVenue", answered: Answered) -> None:
    def chosen(taker_only: bool) -> list[tuple[Listing, Leg]]:
        args = request.args
        user, side = args.get("user", "").lower(), args.get("side", "").upper()
        conditions = _conditions()
        start_s, end_s = _whole("start", 0), _whole("end", 10**_DIGITS_MAX)
        found: list[tuple[Listing, Leg]] = []
        for leg in legs(venue):
            listing = venue.calendar.by_condition.get(leg.trade.condition)
            second = leg.trade.match_ns // SECOND_NS
            if (
                listing is not None
                and (leg.is_taker or not taker_only)
                and (not user or leg.order.wallet == user)
                and (not conditions or leg.trade.condition in conditions)
                and (not side or side == ("BUY", "SELL")[leg.order.side])
                and start_s <= second <= end_s
            ):
                found.append((listing, leg))
        return found

    @app.get("/v2/trades")
    @answered
    def trades() -> Response:
        taker_only = request.args.get("taker_only", "true").lower() != "false"
        return _page([trade_row(*each) for each in chosen(taker_only)])

    @app.get("/v2/activity")
    @answered
    def activity() -> Response:
        _user()
        return _page([activity_row(*each) for each in chosen(False)])


def _add_positions(app: QuartTrio, venue: "LocalVenue", answered: Answered) -> None:
    @app.get("/v2/positions")
    @answered
    def positions() -> Response:
        args, conditions = request.args, _conditions()
        user, status = args.get("user", ""), args.get("status", "").upper()
        if not user and len(conditions) != 1:
            raise BadQuery("user or exactly one condition_id is required")
        users = [user] if user else venue.bank.wallets()
        rows = [
            row
            for each in users
            for row in position_rows(venue, each)
            if (not conditions or row["condition_id"] in conditions) and wanted_status(row, status)
        ]
        return _page(rows)

    @app.get("/v2/value")
    @answered
    def value() -> Response:
        user, conditions = _user(), _conditions()
        total_e6 = 0
        for token_id, size_e6 in venue.bank.holdings(user.lower()).items():
            listing = venue.calendar.by_token.get(token_id)
            if listing is None or (conditions and listing.rules.condition not in conditions):
                continue
            token = listing.rules.tokens.index(token_id)
            total_e6 += size_e6 * price_e6(venue, listing, token) // ONE_E6
        return json_answer({"data": {"proxy_wallet": user, "value": number(total_e6, 6)}})

    @app.get("/v2/approvals")
    @answered
    def approvals() -> Response:
        user = _user()
        rows = [_approval(venue, user.lower(), *pair) for pair in CONTRACTS]
        told = {"address": user, "chain_id": POLYGON, "contracts": rows}
        return json_answer({"data": told})


def _approval(venue: "LocalVenue", wallet: str, standard: str, token: str, spender: str) -> Row:
    allowed = venue.chain.allowance(token.lower(), wallet, spender.lower())
    row: Row = {
        "token": token,
        "spender": spender,
        "standard": standard,
        "approved": allowed > 0,
    }
    if standard == "ERC20":
        row["amount"] = "max" if allowed == MAX_UINT else str(allowed)
    return row


def _add_markets(app: QuartTrio, venue: "LocalVenue", answered: Answered) -> None:
    @app.get("/v2/resolutions")
    @answered
    def resolutions() -> Response:
        asked = [venue.calendar.by_condition.get(each) for each in _conditions()]
        return json_answer({"data": [resolution_row(each) for each in asked if each is not None]})

    @app.get("/v2/oi")
    @answered
    def open_interest() -> Response:
        rows = [
            {"condition_id": each, "value": number(venue.bank.collateral_e6(each), 6)}
            for each in _conditions() or list(venue.calendar.by_condition)
        ]
        return json_answer({"data": rows})


def _user() -> str:
    user = request.args.get("user", "")
    if not user:
        raise BadQuery("user is required")
    return user


def _conditions() -> dict[str, None]:
    """The conditions asked for, separated by commas, padded; `condition` is the older name."""
    args = request.args
    text = ",".join(args.getlist("condition_id") + args.getlist("condition"))
    found: dict[str, None] = {}
    for each in filter(None, text.split(",")):
        digits = each.lower().removeprefix("0x")
        found["0x" + digits.ljust(CONDITION_CHARS - 2, "0")] = None
    return found


def _whole(name: str, default: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS_MAX:
        raise BadQuery(f"{name}: expected a whole number, found {text!r:.40}")
    return int(text)


def _page(rows: list[Row]) -> Response:
    start = _whole("cursor", 0)
    end = start + max(1, min(_whole("limit", PAGE_DEFAULT), PAGE_MAX))
    more = end < len(rows)
    pagination = {"has_more": more, "next_cursor": str(end) if more else None}
    return json_answer({"data": rows[start:end], "pagination": pagination})


def _wallet_view(venue: "LocalVenue", kind: str) -> Callable[[], Awaitable[Response]]:
    async def view() -> Response:
        raw = await raw_body()
        venue.catch_up()
        try:
            key = venue.keys.authenticate(
                dict(request.headers), "POST", request.path, raw, venue.now_s()
            )
            return json_answer(_operate(venue, kind, key, json_of(raw)))
        except AuthRefused as refused:
            return json_answer(refused.body, refused.status)
        except Refused as refused:
            return json_answer({"error": refused.text}, refused.status)

    return view


def _operate(venue: "LocalVenue", kind: str, key: ApiKey, body: Any) -> Row:
    """Carry out a wallet operation of a key's signer; Refused when it cannot be."""
    if not isinstance(body, dict) or not isinstance(body.get("condition_id"), str):
        raise Refused("condition_id: expected a condition id")
    wallet = str(body.get("wallet", key.address)).lower()
    if wallet not in [address.lower() for _, address in wallets_of(key.address)]:
        raise Refused("wallet: expected a wallet of the API key's signer")
    amount_e6 = 0
    if kind != REDEEM:
        try:
            amount_e6 = parse_scaled(str(body.get("amount", "")), 6)
        except ValueError as error:
            raise Refused(f"amount: {error}") from None
    condition = body["condition_id"].lower().ljust(CONDITION_CHARS, "0")
    paid_e6 = venue.chain.carry_out(wallet, Operation(kind, "", condition, amount_e6))
    cash_e6 = venue.bank.cash_e6(wallet)
    return {"wallet": wallet, "amount": decimal_text(paid_e6, 6), "cash": decimal_text(cash_e6, 6)}
