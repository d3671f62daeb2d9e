"""REST of the local venue: the shapes a client of the real one relies on."""

import hashlib
import json


async def test_book_has_the_documented_shape_and_a_hash_that_verifies(venue, short_records):
    async with venue(short_records, start="now") as rig:
        await rig.wait_done()
        token = (await rig.assets())[0]
        book = (await rig.http.get(f"{rig.ready['clob_url']}/book?token_id={token}")).json()
        both = await rig.http.post(
            rig.ready["clob_url"] + "/books", json=[{"token_id": token}, {"token_id": "1"}]
        )
    assert list(book) == [
        "market",
        "asset_id",
        "timestamp",
        "hash",
        "bids",
        "asks",
        "min_order_size",
        "tick_size",
        "neg_risk",
        "last_trade_price",
    ]
    body = json.dumps({**book, "hash": ""}, separators=(",", ":"))
    assert hashlib.sha1(body.encode()).hexdigest() == book["hash"]
    bids = [float(level["price"]) for level in book["bids"]]
    asks = [float(level["price"]) for level in book["asks"]]
    assert bids == sorted(bids)
    assert asks == sorted(asks, reverse=True)
    assert both.json() == [book]


async def test_unknown_and_invalid_tokens_are_refused_as_the_venue_does(venue, short_records):
    async with venue(short_records) as rig:
        unknown = await rig.http.get(rig.ready["clob_url"] + "/book?token_id=123")
        invalid = await rig.http.get(rig.ready["clob_url"] + "/book?token_id=abc")
        version = await rig.http.get(rig.ready["clob_url"] + "/version")
    assert (unknown.status_code, invalid.status_code) == (404, 400)
    assert unknown.json() == {"error": "No orderbook exists for the requested token id"}
    assert version.json() == {"version": 2}


async def test_gamma_answers_by_slug_in_every_form(venue, short_records):
    async with venue(short_records) as rig:
        gamma, slug = rig.ready["gamma_url"], rig.ready["slugs"][0]
        event = (await rig.http.get(f"{gamma}/events/slug/{slug}")).json()
        listed = (await rig.http.get(f"{gamma}/events?slug={slug}")).json()
        market = (await rig.http.get(f"{gamma}/markets/slug/{slug}")).json()
        page = (await rig.http.get(f"{gamma}/markets/keyset?limit=2")).json()
        cursor = page["next_cursor"]
        rest = (await rig.http.get(f"{gamma}/markets/keyset?after_cursor={cursor}")).json()
        offset = await rig.http.get(f"{gamma}/events/keyset?offset=1")
        series = (await rig.http.get(f"{gamma}/series?slug=btc-up-or-down-5m")).json()
        missing = await rig.http.get(f"{gamma}/events/slug/no-such-window")
    assert listed == [event]
    assert event["markets"][0]["conditionId"] == market["conditionId"]
    assert market["events"][0]["slug"] == slug
    assert [found["slug"] for found in page["markets"] + rest["markets"]] == rig.ready["slugs"]
    assert "next_cursor" not in rest
    assert offset.status_code == 422
    assert len(series[0]["events"]) == len(rig.ready["slugs"])
    assert missing.status_code == 404


async def test_gamma_hides_closed_markets_unless_asked(venue, sample_records):
    async with venue(sample_records, start="now") as rig:
        await rig.wait_done()
        gamma, first = rig.ready["gamma_url"], rig.ready["slugs"][0]
        closed = (await rig.http.get(f"{gamma}/events?closed=true")).json()
        open_now = (await rig.http.get(f"{gamma}/events")).json()
        by_slug = (await rig.http.get(f"{gamma}/events/slug/{first}")).json()
    assert [event["slug"] for event in closed] == [first]
    assert first not in [event["slug"] for event in open_now]
    assert by_slug["closed"] is True
    assert sorted(json.loads(by_slug["markets"][0]["outcomePrices"])) == ["0", "1"]


async def test_gamma_shows_the_newest_object_of_the_playback_time(venue, sample_records):
    async with venue(sample_records, settle_s=30.0) as rig:
        url = f"{rig.ready['gamma_url']}/events/slug/{rig.ready['slugs'][0]}"
        before = (await rig.http.get(url)).json()
        await rig.begin()
        await rig.wait_done()
        after = (await rig.http.get(url)).json()
    assert before["closed"] is False
    assert after["closed"] is True
    assert after["id"] == before["id"]
