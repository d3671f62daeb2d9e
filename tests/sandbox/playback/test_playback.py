"""Playback over real sockets: what was captured arrives, all of it, on every connection."""

import json
from collections import Counter

import trio.testing

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.playback.options import PlaybackOptions
from polytrade.sandbox.playback.timeline import round_length_s, scan
from polytrade.sandbox.playback.venue import Venue
from tests.sandbox.conftest import count_messages, subscription, take


def _frames(records, source):
    return [record.frame for record in records if record.source == source]


async def test_verbatim_playback_gives_every_frame_to_both_twins(venue, sample_records):
    wanted = _frames(sample_records, "polymarket.market/0")
    async with venue(sample_records) as rig:
        assets = await rig.assets()
        async with rig.socket("market") as one, rig.socket("market") as two:
            for ws in (one, two):
                await ws.send_message(subscription(assets))
            assert await take(one, len(wanted)) == wanted
            assert await take(two, len(wanted)) == wanted
            status = await rig.wait_done()
    rows = [row for row in status["connections"] if row["endpoint"] == "market"]
    assert [row["frames"] for row in rows] == [len(wanted)] * 2
    assert [Counter(row["messages"]) for row in rows] == [count_messages(wanted)] * 2
    assert Counter(status["messages"]["polymarket.market/0"]) == count_messages(wanted)
    assert status["hashes"].get("unverified", 0) == 0


async def test_every_socket_plays_its_own_source(venue, short_records):
    binance = _frames(short_records, "binance/0")
    rtds = _frames(short_records, "polymarket.rtds/0")
    async with venue(short_records) as rig:
        assets = await rig.assets()
        async with (
            rig.socket("market") as market,
            rig.socket("binance") as exchange,
            rig.socket("rtds") as prices,
        ):
            streams = ["btcusdt@trade", "btcusdt@bookTicker"]
            order = {"method": "SUBSCRIBE", "params": streams, "id": 7}
            await exchange.send_message(json.dumps(order))
            assert json.loads(await exchange.get_message()) == {"result": None, "id": 7}
            topics = dict.fromkeys(json.loads(frame)["topic"] for frame in rtds)
            subscriptions = [{"topic": topic, "type": "update"} for topic in topics]
            await prices.send_message(
                json.dumps({"action": "subscribe", "subscriptions": subscriptions})
            )
            await market.send_message(subscription(assets))
            assert await take(exchange, len(binance)) == binance
            assert await take(prices, len(rtds)) == rtds
            status = await rig.wait_done()
    assert status["frames"] == rig.ready["frames"]


async def test_only_frames_of_subscribed_assets_are_sent(venue, short_records):
    async with venue(short_records) as rig:
        assets = await rig.assets()
        first_market = assets[:2]
        async with rig.socket("market") as ws:
            await ws.send_message(subscription(first_market))
            await rig.begin()
            status = await rig.wait_done()
            row = status["connections"][0]
            frames = await take(ws, row["frames"])
    seen = set()
    for frame in frames:
        body = json.loads(frame)
        for message in body if isinstance(body, list) else [body]:
            changes = message.get("price_changes", [message])
            seen |= {entry["asset_id"] for entry in changes}
    assert seen == set(first_market)


async def test_ping_is_answered_and_unsubscribing_stops_the_data(venue, short_records):
    async with venue(short_records, speed=1.0, start="now") as rig, rig.socket("market") as ws:
        await ws.send_message("PING")
        assert await ws.get_message() == "PONG"
        assets = await rig.assets()
        await ws.send_message(subscription(assets))
        await ws.get_message()
        order = {"operation": "unsubscribe", "assets_ids": assets}
        await ws.send_message(json.dumps(order))
        await ws.send_message("PING")
        while await ws.get_message() != "PONG":
            pass
        status = await rig.status()
    assert status["connections"][0]["subscriptions"] == 0


async def test_late_subscriber_gets_an_initial_dump_that_verifies(venue, short_records, checker):
    async with venue(short_records, start="now") as rig:
        await rig.wait_done()
        assets = await rig.assets()
        async with rig.socket("market") as ws:
            await ws.send_message(subscription(assets))
            dump = await ws.get_message()
            checker.hear(dump)
            await ws.send_message(json.dumps({"operation": "subscribe", "assets_ids": assets}))
            await ws.send_message("PING")
            assert await ws.get_message() == "PONG"  # subscribed already: no second dump
    books = json.loads(dump)
    assert [book["asset_id"] for book in books] == assets
    assert books[0]["tick_size"] == "0.01"
    assert checker.bad == []


async def test_no_initial_dump_when_not_wanted(venue, short_records):
    async with venue(short_records, start="now") as rig:
        await rig.wait_done()
        async with rig.socket("market") as ws:
            await ws.send_message(subscription(await rig.assets(), initial_dump=False))
            await ws.send_message("PING")
            assert await ws.get_message() == "PONG"


async def test_rtds_filter_gives_a_snapshot_first_and_no_pong(venue, short_records):
    async with venue(short_records, start="now") as rig:
        await rig.wait_done()
        async with rig.socket("rtds") as ws:
            await ws.send_message("PING")
            item = {
                "topic": "crypto_prices_chainlink",
                "type": "update",
                "filters": '{"symbol":"btc/usd"}',
            }
            await ws.send_message(json.dumps({"action": "subscribe", "subscriptions": [item]}))
            snapshot = json.loads(await ws.get_message())
            item = {"topic": "no_such_topic", "type": "update"}
            await ws.send_message(json.dumps({"action": "subscribe", "subscriptions": [item]}))
            refusal = json.loads(await ws.get_message())
    assert snapshot["topic"] == "crypto_prices"  # as the venue mislabels it
    assert snapshot["type"] == "subscribe"
    assert snapshot["payload"]["symbol"] == "btc/usd"
    stamps = [point["timestamp"] for point in snapshot["payload"]["data"]]
    captured = [json.loads(frame) for frame in _frames(short_records, "polymarket.rtds/0")]
    told = [body for body in captured if body["topic"] == "crypto_prices_chainlink"]
    assert stamps == [body["payload"]["timestamp"] for body in told]
    assert len(stamps) == 21  # one a second, of the twenty seconds and the one they begin in
    assert refusal["statusCode"] == 400


async def test_binance_raw_path_unwraps_combined_frames(venue, short_records):
    trades = [
        json.loads(frame)["data"]
        for frame in _frames(short_records, "binance/0")
        if '"btcusdt@trade"' in frame
    ]
    async with venue(short_records) as rig:
        url = rig.ready["binance_url"].replace("/stream", "/ws/btcusdt@trade")
        rig.ready["binance_url"] = url
        async with rig.socket("binance") as ws:
            await rig.begin()
            assert [json.loads(frame) for frame in await take(ws, len(trades))] == trades


async def test_shifted_playback_lines_up_with_now_and_its_hashes_verify(
    venue, sample_records, checker
):
    # Looped, because how much of the first round is left depends on the time of day.
    async with venue(sample_records, shift=True, loop=True, speed=300.0) as rig:
        assets = await rig.assets()
        async with rig.socket("market") as ws:
            await ws.send_message(subscription(assets))
            while checker.good < 800 and not checker.bad:
                checker.hear(await ws.get_message())
            status = await rig.status()
    captured = {
        token
        for record in sample_records
        if record.source == "gamma/0"
        for token in json.loads(json.loads(record.frame)["markets"][0]["clobTokenIds"])
    }
    assert checker.bad == []
    assert captured.isdisjoint(assets)
    assert rig.ready["shift_s"] % 300 == 0
    assert status["hashes"].get("unverified", 0) == 0


async def test_looped_rounds_go_on_with_the_next_windows(venue, sample_records):
    async with venue(sample_records, shift=True, loop=True) as rig:
        first = rig.ready["slugs"]
        status = await rig.status()
        while status["round"] < 2:
            status = await rig.status()
    starts = [int(slug.rpartition("-")[2]) for slug in first]
    later = [int(slug.rpartition("-")[2]) for slug in status["slugs"]]
    moved = status["shift_s"] - rig.ready["shift_s"]
    assert moved % 300 == 0
    assert later == [start + moved for start in starts]


def test_window_cut_by_the_seam_of_a_loop_begins_anew_with_the_next_round(capture, sample_records):
    timeline = scan((capture(sample_records),))
    options = PlaybackOptions(files=timeline.files, shift=True, loop=True)
    played = Venue(options, timeline, lambda: timeline.first_ns)
    length_s = round_length_s(timeline)
    first_s = timeline.first_ns // SECOND_NS // 300 * 300
    first, cut = (f"btc-updown-5m-{start_s}" for start_s in (first_s, first_s + 2 * length_s))
    told = []
    for round_index in (0, 1):
        played.enter_round((round_index + 1) * length_s, round_index)
        for feed, record in timeline.records():
            played.take(feed, record, publish=False)
            if round_index and record.recv_ts_ns > timeline.first_ns + SECOND_NS:
                break
        event = played.listings.events[cut]
        asset = json.loads(event["markets"][0]["clobTokenIds"])[0]
        told.append((event["eventMetadata"]["priceToBeat"], asset, played.book_dump(asset)))
    (ended, token, before), (began, same, after) = told
    assert same == token == json.loads(after)["asset_id"]  # to its clients it is one market
    assert began == timeline.first_objects[first]["eventMetadata"]["priceToBeat"] != ended
    assert after != before


async def test_playback_waits_no_longer_than_it_may(venue, short_records):
    async with venue(short_records, start_after_s=0.2) as rig:
        async with rig.socket("market") as ws:
            await ws.send_message(subscription((await rig.assets())[:1]))
            await rig.wait_done()
        assert (await rig.status())["begun"]


async def test_nothing_is_played_before_a_subscription(venue, short_records):
    options = {"start_after_s": 0.05, "settle_s": 0.0}
    async with venue(short_records, **options) as rig, rig.socket("market") as ws:
        await ws.send_message("PING")
        await ws.get_message()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not (await rig.status())["begun"]
