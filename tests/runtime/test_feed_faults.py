"""What feeds of plugins get wrong: nothing of it harms the engine or the other feeds."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from polytrade.core.events import (
    FeedGap,
    OrderFilled,
)
from polytrade.runtime import budget
from polytrade.testing.sockets import START_NS
from polytrade.wire_roles import WireError
from tests.runtime.feed_stage import Stage, gap, tick, volatility, wanted


@pytest.fixture
async def stage(autojump_clock: MockClock, nursery: trio.Nursery) -> Stage:
    return Stage(nursery)


# -- what a plugin gets wrong --------------------------------------------------------------------


async def test_codec_that_raises_loses_its_connection_and_is_tried_again(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    peer = await stage.accept()
    await peer.send("raise")
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "feed_down alpha/0: codec: KeyError: 'seq'"]
    (status,) = stage.statuses.rows()
    assert (status.malformed, status.quarantine[0].sample) == (1, b"raise")
    peer = await stage.accept()
    await peer.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "reference_ticked alpha 4800000000"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (None, "expected a list of events, found a NoneType"),
        ((), "expected a list of events, found a tuple"),
        ([7], "int: a feed gives"),
        ([OrderFilled(START_NS, "1", "f", 1, 1, 0, True, "x")], "OrderFilled: a feed gives"),
        ([tick(ts_ns=START_NS - 1)], f"expected ts_ns {START_NS}, found {START_NS - 1}"),
        ([tick(source="binance")], "expected 'alpha' as its source, found 'binance'"),
        ([tick(price_e8=1.5)], "expected whole numbers from 0"),
        ([tick(price_e8=-1)], "expected whole numbers from 0"),
        ([tick(venue_ts_ns=2**63)], "expected whole numbers from 0"),
        ([tick(symbol=None)], "expected a text of at most 64 characters as symbol, found None"),
        ([tick(kind=9)], "expected a kind of tick, found 9"),
        ([FeedGap(START_NS, "polymarket.market/0", "", "x")], "expected 'alpha/0' as its source"),
        ([tick(symbol="B" * 65)], "expected a text of at most 64 characters as symbol, found 'BBB"),
        ([tick(symbol="\ud800")], "64 characters as symbol, found '\\ud800'"),
        ([volatility(0.5, symbol="\ud800")], "VolatilityQuoted: expected a text of at most 64"),
        ([gap(reason="x" * 201)], "expected a text of at most 200 characters as reason, found 'x"),
        ([gap(reason="\udcff")], "200 characters as reason"),
        ([gap(market="0" * 67)], "expected a text of at most 66 characters as market"),
        ([tick(kind=True)], "expected a kind of tick, found True"),
        ([tick(symbol=f"S{n}") for n in range(257)], "expected at most 256 symbols of a feed"),
        ([volatility(float("nan"))], "expected a finite sigma, found nan"),
        ([volatility(1)], "expected a finite sigma, found 1"),
        ([volatility(0.5, expiry_ns=1.0)], "expected whole numbers from 0"),
        ([volatility(0.5), tick(source="x")], "ReferenceTicked: expected 'alpha'"),
    ],
)
async def test_events_that_would_harm_the_engine_never_reach_it(
    stage: Stage, autojump_clock: MockClock, given: Any, fault: str
) -> None:
    it = wanted()
    it.codec.gives = given  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("given")
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    up, down = stage.events()
    assert up == "feed_up alpha/0"
    assert down.startswith("feed_down alpha/0: codec: ValueError: ") and fault in down


async def test_events_of_a_good_feed_pass(stage: Stage, autojump_clock: MockClock) -> None:
    it = wanted()
    it.codec.gives = [  # type: ignore[attr-defined]
        tick(symbol="S" * 64),
        volatility(0.5, symbol="\U0001f4a9"),
        gap("0x" + "f" * 64, "r" * 200),
    ]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("given")
    await wait_all_tasks_blocked()
    assert stage.events()[1:] == [
        "reference_ticked alpha 5",
        "volatility_quoted alpha",
        f"feed_gap alpha/0: {'r' * 200}",
    ]


async def test_symbols_are_counted_over_the_connections_of_a_feed(
    stage: Stage, autojump_clock: MockClock
) -> None:
    it = wanted()
    codec: Any = it.codec
    await stage.run({"alpha": it})
    peer = await stage.accept()
    codec.gives = [tick(symbol=f"S{n}") for n in range(256)]
    for _ in range(2):
        await peer.send("given")
    await wait_all_tasks_blocked()
    assert len(stage.events()) == 1 + 2 * 256
    codec.gives = [tick(symbol="another")]
    await peer.send("given")
    peer = await stage.accept()
    assert stage.events()[0] == (
        "feed_down alpha/0: codec: ValueError: expected at most 256 symbols of a feed"
    )
    await peer.send("4800")
    await peer.wait_closed()


async def test_engine_has_events_of_its_own(stage: Stage, autojump_clock: MockClock) -> None:
    it = wanted()
    codec: Any = it.codec
    codec.gives = [tick()]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("given")
    await wait_all_tasks_blocked()
    codec.gives[0].price_e8 = 7
    codec.gives.clear()
    assert stage.events() == ["feed_up alpha/0", "reference_ticked alpha 5"]


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(3), "codec: SystemExit: 3"),
        (ValueError("\udcff is no file"), "is no file"),
        (ValueError("x" * 10_000), "codec: ValueError: " + "x" * 181),
        (ExceptionGroup("two", [ValueError("x")]), "codec: ExceptionGroup: two (1 sub-exception)"),
        (Unsayable(), "codec: Unsayable"),
    ],
)
async def test_whatever_a_codec_raises_ends_its_connection_alone(
    stage: Stage, autojump_clock: MockClock, error: BaseException, told: str
) -> None:
    it = wanted()
    it.codec.raises = error  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("raise")
    await stage.accept()
    _, down, up = stage.events()
    assert down.startswith("feed_down alpha/0: codec: ") and told in down
    assert (len(down.encode()) <= 19 + 200, up) == (True, "feed_up alpha/0")
    (status,) = stage.statuses.rows()
    assert len(status.last_error.encode()) <= 200


async def test_texts_of_a_wire_error_are_plain_and_bounded(
    stage: Stage, autojump_clock: MockClock
) -> None:
    class Odd(WireError):
        def __str__(self) -> str:
            raise SystemExit

    it = wanted()
    it.codec.raises = Odd("x", "\ud800" * 1_000)  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("raise")
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "feed_gap alpha/0: malformed"]
    (status,) = stage.statuses.rows()
    assert status.last_error == ("alpha/0: " + "?" * 400)[:200]
    assert status.quarantine[0].reason == "?" * 400


@pytest.mark.parametrize("method", ["hello", "reset", "answers"])
async def test_codec_that_leaves_is_tried_again_and_the_others_run_on(
    stage: Stage, autojump_clock: MockClock, method: str
) -> None:
    def leave() -> None:
        raise SystemExit(3)

    it = wanted()
    if method == "answers":  # asked after the welcome
        it.codec.answers = leave  # type: ignore[attr-defined]
    await stage.run({"alpha": it, "beta": wanted("beta")})
    peers = await stage.accept_all(2)
    setattr(it.codec, method, leave)
    if method != "answers":
        await peers["alpha"].send("raise")
    await peers["alpha"].wait_closed()
    await trio.sleep(2.5)
    row = stage.tasks.row("alpha/0")
    assert row.state != "failed" and "alpha/0: codec: SystemExit: 3" in row.last_error
    await peers["beta"].send("4800")
    await wait_all_tasks_blocked()
    assert stage.events()[-1] == "reference_ticked beta 4800000000"


@pytest.mark.parametrize("method", ["hello", "ping"])
async def test_codec_that_leaves_before_it_runs_refuses_the_reload(
    stage: Stage, autojump_clock: MockClock, method: str
) -> None:
    def leave() -> None:
        raise SystemExit(3)

    await stage.run()
    it = wanted()
    setattr(it.codec, method, leave)
    error = await stage.refused({"alpha": it}, 0)
    assert (error.step, error.reason) == ("feeds", "'alpha': SystemExit: 3")


# -- the time budget -------------------------------------------------------------------------


@pytest.fixture
def overrun(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What a slow codec does: 3 ms pass, all of them its own."""
    now_ns = [0]

    def pass_3_ms() -> None:
        now_ns[0] += 3_000_000

    monkeypatch.setattr(budget, "perf_counter_ns", lambda: now_ns[0])
    monkeypatch.setattr(budget, "_owed_ns", lambda took_ns, *_: took_ns)
    return pass_3_ms


async def test_feed_that_takes_too_long_again_and_again_rests_until_it_is_made_anew(
    stage: Stage, autojump_clock: MockClock, overrun: Callable[[], None]
) -> None:
    slow = wanted()
    slow.codec.slow = overrun  # type: ignore[attr-defined]
    await stage.run({"alpha": slow, "beta": wanted("beta")})
    peers = await stage.accept_all(2)
    stage.events()
    # With the welcome: one makes it suspect, three are counted, and that one is not told.
    for _ in range(3):
        await peers["alpha"].send("4800")
        await wait_all_tasks_blocked()
    *told, down = stage.events()
    assert told == ["reference_ticked alpha 4800000000"] * 2
    assert down.startswith(
        "feed_down alpha/0: codec: OutOfService: 3 calls within 60 s took longer"
    )
    ((name, why),) = stage.quarantined
    assert name == "alpha" and why.startswith("3 calls within 60 s took longer than 2000 us, ")
    assert stage.feeds.faults() == {"alpha": why}
    await trio.sleep(600)
    row = stage.tasks.row("alpha/0")
    assert (row.state, row.last_error) == ("parked", f"OutOfService: {why}")
    assert (stage.net.opened, stage.budget.quarantined, len(stage.quarantined)) == (2, 1, 1)

    change, _ = await stage.stage({"alpha": slow, "beta": wanted("beta")}, 0)
    change.commit()  # of something else: it rests on
    assert stage.feeds.faults() == {"alpha": why}
    slow.codec.slow = lambda: None  # type: ignore[attr-defined]
    (peer,) = await stage.swap({"alpha": slow, "beta": wanted("beta")}, 1, anew=True)
    assert (stage.feeds.faults(), stage.rows()[0]) == ({}, ["alpha/1", "beta/0"])
    await peer.send("4900")
    await wait_all_tasks_blocked()
    assert stage.events()[-2:] == ["feed_up alpha/1", "reference_ticked alpha 4900000000"]


async def test_new_feed_that_takes_too_long_refuses_the_reload(
    stage: Stage, autojump_clock: MockClock, overrun: Callable[[], None]
) -> None:
    await stage.run()
    slow = wanted()
    slow.codec.slow = overrun  # type: ignore[attr-defined]
    stage.net.down["wss://beta.example/ws"] = "no route"
    two = {"alpha": slow, "beta": wanted("beta")}
    error = await stage.refused(two, 1, "4800", "4800", "4800")
    assert "'alpha' is not up within 5 s: OutOfService: 3 calls within" in error.reason
    assert (stage.quarantined, stage.events()) == ([], [])
