"""The operator's commands from a chat: read from the snapshot, carried out by the daemon's task."""

import trio

from polytrade.core.units import SECOND_NS
from polytrade.runtime.command_requests import (
    Closed,
    Command,
    Commands,
    Flatten,
    FlattenReply,
    Left,
    Pause,
    PauseReply,
    Refusal,
    Reply,
    Resume,
)
from polytrade.runtime.operator import DaemonOperator
from polytrade.runtime.status import DaemonStatus, FeedRow, MarketRow, OrderRow, PnlRow

STATUS = DaemonStatus(
    ts_ns=5 * SECOND_NS,
    version="0.1.0",
    uptime_ns=61 * SECOND_NS,
    feeds=(FeedRow(name="binance", connected=False), FeedRow(name="okx", connected=True)),
    pnl=PnlRow(equity_e6=1_001_000_000, daily_pnl_e6=1_000_000),
    markets=(
        MarketRow(market="0x1", slug="flat"),
        MarketRow(market="0x2", slug="small", yes_e6=1_000_000, exposure_e6=400_000),
        MarketRow(
            market="0x3",
            slug="resting",
            exposure_e6=900_000,
            orders=(OrderRow(order_id="o1", token="yes", side="buy", price_e4=1, size_e6=1),),
        ),
    ),
)


async def commanded(
    answers: dict[type[Command], Reply | Refusal],
) -> tuple[list[Command], list[str]]:
    """What the daemon was asked, and the texts of pause, resume, resume clear, flatten."""
    commands = Commands()
    asked: list[Command] = []

    async def serve() -> None:
        async for request in commands.requests:
            asked.append(request.command)
            request.reply(answers[type(request.command)])

    operator = DaemonOperator(lambda: STATUS, commands)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        texts = [
            await operator.pause(),
            await operator.resume(),
            await operator.resume(clear_halt=True),
            await operator.flatten(),
        ]
        commands.close()
    return asked, texts


def test_summary_is_the_snapshot_in_plain_values() -> None:
    summary = DaemonOperator(lambda: STATUS, Commands()).summary()
    assert summary["health"] == "degraded"
    assert (summary["uptime_s"], summary["ts_ms"]) == (61, 5_000)
    assert (summary["equity_e6"], summary["daily_pnl_e6"]) == (1_001_000_000, 1_000_000)
    assert (summary["open_orders"], summary["exposure_e6"]) == (1, 1_300_000)
    assert summary["feeds_down"] == ["binance"]


def test_positions_are_what_is_held_or_rests_most_at_risk_first() -> None:
    rows = DaemonOperator(lambda: STATUS, Commands()).positions()
    assert [row["slug"] for row in rows] == ["resting", "small"]
    assert (rows[1]["yes_e6"], rows[1]["open_orders"]) == (1_000_000, 0)


async def test_commands_reach_the_daemon_and_its_answer_comes_back(autojump_clock) -> None:
    closed = Closed(
        market="m", slug="btc", token="yes", side="sell", size_e6=10_000_000, price_e4=4_700
    )
    left = Left(market="m", slug="eth", token="no", size_e6=1_500_000, why="no buyer")
    asked, texts = await commanded(
        {
            Pause: PauseReply(True),
            Resume: PauseReply(False),
            Flatten: FlattenReply(cancelled=("o1",), closed=(closed,), left=(left,)),
        }
    )
    assert asked == [Pause(), Resume(False), Resume(True), Flatten()]
    assert texts == [
        "paused",
        "trading",
        "trading",
        "1 order cancelled, 1 position closed, 1 left\n"
        "sell 10 yes at 0.47: btc\nleft 1.5 no: eth, no buyer",
    ]


async def test_refusal_is_told_with_its_reason(autojump_clock) -> None:
    no = Refusal("halted", "daily_loss")
    _, texts = await commanded({Pause: no, Resume: no, Flatten: no})
    assert texts == ["refused (halted): daily_loss"] * 4


async def test_flatten_of_many_positions_is_cut_short(autojump_clock) -> None:
    rows = tuple(
        Left(market=f"m{n}", slug=f"s{n}", token="no", size_e6=1, why="closed") for n in range(30)
    )
    _, texts = await commanded(
        {Pause: PauseReply(True), Resume: PauseReply(False), Flatten: FlattenReply(left=rows)}
    )
    assert texts[3].splitlines()[-1] == "and 10 more"
    assert len(texts[3].splitlines()) == 22
