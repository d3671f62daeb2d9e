"""Every fault the venue can be told to have, seen from a client's side of a real socket."""

import json
import time

import httpx2
import pytest
import trio
import trio_websocket

from polytrade.sandbox.connection import GARBAGE
from polytrade.sandbox.faults import FAULTS, FaultRefused, parse_fault
from tests.sandbox.conftest import subscription, take


def _market_frames(records):
    return [record.frame for record in records if record.source == "polymarket.market/0"]


async def _subscribed(rig, ws):
    """Subscribe everything and wait until the venue knows it."""
    await ws.send_message(subscription(await rig.assets()))
    await ws.send_message("PING")
    assert await ws.get_message() == "PONG"


async def test_freeze_stops_data_but_not_pongs(venue, short_records):
    async with venue(short_records, settle_s=30.0) as rig, rig.socket("market") as ws:
        await _subscribed(rig, ws)
        answer = await rig.fault(kind="freeze")
        assert answer.json() == {"kind": "freeze", "connections": 1}
        await rig.begin()
        status = await rig.wait_done()
        await ws.send_message("PING")
        assert await ws.get_message() == "PONG"
    row = status["connections"][0]
    assert row["frames"] == 0
    assert row["lost"]["frozen"] == len(_market_frames(short_records))


async def test_freeze_of_an_endpoint_holds_for_new_connections_until_cleared(venue, short_records):
    async with venue(short_records, start="now") as rig:
        await rig.wait_done()
        await rig.fault(kind="freeze")
        async with rig.socket("market") as ws:
            await _subscribed(rig, ws)  # no initial dump came before the pong
        await rig.fault(kind="clear")
        async with rig.socket("market") as ws:
            await ws.send_message(subscription(await rig.assets()))
            assert (await ws.get_message()).startswith('[{"event_type":"book"')


async def test_garbage_truncate_duplicate_and_reorder_touch_the_next_frames(venue, short_records):
    wanted = _market_frames(short_records)
    async with venue(short_records, settle_s=30.0) as rig, rig.socket("market") as ws:
        await _subscribed(rig, ws)
        for kind in ("garbage", "truncate", "reorder", "duplicate"):
            assert (await rig.fault(kind=kind)).status_code == 200
        await rig.begin()
        frames = await take(ws, len(wanted) + 1)
    assert frames[0] == GARBAGE
    assert frames[1] == wanted[1][: len(wanted[1]) // 2]
    # The third frame is held back until the fourth, which is sent twice, has gone.
    assert frames[2:5] == [wanted[3], wanted[3], wanted[2]]
    assert frames[5:] == wanted[4:]


async def test_drop_price_change_loses_exactly_so_many(venue, short_records):
    wanted = _market_frames(short_records)
    kept, left = [], 3
    for frame in wanted:
        if left and '"price_change"' in frame:
            left -= 1
        else:
            kept.append(frame)
    async with venue(short_records, settle_s=30.0) as rig, rig.socket("market") as ws:
        await _subscribed(rig, ws)
        await rig.fault(kind="drop_price_change", n=3)
        await rig.begin()
        assert await take(ws, len(kept)) == kept
        status = await rig.wait_done()
    assert status["connections"][0]["lost"]["dropped"] == 3


async def test_fault_of_one_connection_spares_its_twin(venue, short_records):
    wanted = _market_frames(short_records)
    async with (
        venue(short_records, settle_s=30.0) as rig,
        rig.socket("market") as one,
        rig.socket("market") as two,
    ):
        await _subscribed(rig, one)
        await _subscribed(rig, two)
        ids = [row["id"] for row in (await rig.status())["connections"]]
        answer = await rig.fault(kind="disconnect", connection=ids[0])
        assert answer.json()["connections"] == 1
        await rig.begin()
        with pytest.raises(trio_websocket.ConnectionClosed):
            await one.get_message()
        assert await take(two, len(wanted)) == wanted


async def test_tick_size_is_announced_twice_for_both_tokens(venue, short_records):
    async with venue(short_records, start="now") as rig:
        await rig.wait_done()
        assets = await rig.assets()
        async with rig.socket("market") as ws:
            await ws.send_message(subscription(assets))
            await ws.get_message()
            answer = await rig.fault(kind="tick_size", asset=assets[0])
            messages = [json.loads(frame) for frame in await take(ws, 4)]
    assert answer.json()["connections"] == 1
    assert [message["asset_id"] for message in messages] == assets[:2] * 2
    assert {message["event_type"] for message in messages} == {"tick_size_change"}
    assert {message["new_tick_size"] for message in messages} == {"0.001"}


async def test_close_mid_frame_ends_the_connection_inside_a_frame(venue, short_records):
    async with venue(short_records) as rig:
        async with rig.socket("market") as ws:
            await ws.send_message("PING")
            await ws.get_message()
            await rig.fault(kind="close_mid_frame")
            with pytest.raises(trio_websocket.ConnectionClosed):
                await ws.get_message()
        row = (await rig.status())["connections"][0]
    assert row["closed_because"] == "close_mid_frame"


async def test_killed_endpoint_refuses_and_comes_back_on_the_same_port(venue, short_records):
    async with venue(short_records) as rig:
        async with rig.socket("market") as ws:
            await ws.send_message("PING")
            await ws.get_message()
            await rig.fault(kind="kill", endpoint="market", seconds=0.3)
            with pytest.raises(trio_websocket.ConnectionClosed):
                await ws.get_message()
        with pytest.raises(OSError, match="all attempts to connect"):
            async with rig.socket("market"):
                pass
        assert await _connect_patiently(rig) == "PONG"


async def _connect_patiently(rig):
    while True:
        try:
            async with rig.socket("market") as ws:
                await ws.send_message("PING")
                return await ws.get_message()
        except OSError:
            await trio.lowlevel.checkpoint()


async def test_killed_rest_endpoint_comes_back(venue, short_records):
    async with venue(short_records) as rig:
        url = rig.ready["clob_url"] + "/ok"
        assert (await rig.http.get(url)).json() == "OK"
        await rig.fault(kind="kill", endpoint="clob", seconds=0.2)
        refused = 0
        while True:
            try:
                assert (await rig.http.get(url)).json() == "OK"
                if refused:
                    break
            except httpx2.TransportError:
                refused += 1
                await trio.lowlevel.checkpoint()
    assert refused > 0


async def test_gamma_faults_answer_wrong_until_cleared(venue, short_records):
    async with venue(short_records) as rig:
        url = f"{rig.ready['gamma_url']}/events/slug/{rig.ready['slugs'][0]}"
        assert (await rig.http.get(url)).status_code == 200
        for mode, status in (("500", 500), ("404", 404)):
            await rig.fault(kind="gamma", mode=mode)
            assert (await rig.http.get(url)).status_code == status
        await rig.fault(kind="gamma", mode="garbage", seconds=60)
        answer = await rig.http.get(url)
        with pytest.raises(ValueError):
            json.loads(answer.content)
        await rig.fault(kind="clear")
        assert (await rig.http.get(url)).json()["slug"] == rig.ready["slugs"][0]


async def test_clock_skew_moves_time(venue, short_records):
    async with venue(short_records) as rig:
        url = rig.ready["clob_url"] + "/time"
        right = (await rig.http.get(url)).json()
        await rig.fault(kind="clock_skew", ms=-90_000)
        skewed = (await rig.http.get(url)).json()
    assert abs(right - time.time()) < 60
    assert skewed < right - 60


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"kind": "explode"}, "unknown kind 'explode'"),
        ({}, "unknown kind None"),
        ([1], "expected a JSON object with a kind"),
        ({"kind": "freeze", "frames": 3}, "freeze takes no field 'frames'"),
        ({"kind": "garbage", "n": 0}, "n: expected a number from 1 to 10000, found 0"),
        ({"kind": "garbage", "n": True}, "n: expected a number from 1 to 10000, found True"),
        ({"kind": "gamma", "mode": "503"}, "mode: expected one of 500, 404, garbage, found '503'"),
        ({"kind": "clock_skew"}, "ms: expected milliseconds, found nothing"),
        ({"kind": "tick_size"}, "asset: expected a token id, found None"),
        ({"kind": "kill", "endpoint": 5}, "endpoint: expected text, found 5"),
    ],
)
def test_orders_outside_the_table_are_refused(order, reason):
    with pytest.raises(FaultRefused) as refused:
        parse_fault(order)
    assert refused.value.reason == reason
    assert refused.value.answer()["allowed"].keys() == FAULTS.keys()


async def test_refused_fault_answers_400_with_what_is_allowed(venue, short_records):
    async with venue(short_records) as rig:
        answers = [
            await rig.fault(kind="explode"),
            await rig.fault(kind="kill", endpoint="admin"),
            await rig.fault(kind="disconnect", connection=99),
            await rig.fault(kind="tick_size", asset="123"),
        ]
        status = await rig.status()
    assert [answer.status_code for answer in answers] == [400] * 4
    assert set(answers[0].json()["allowed"]) == set(FAULTS)
    assert status["faults"] == {}
