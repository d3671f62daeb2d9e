"""One client's queue: bounded, and closed when the client does not read."""

import trio

from polytrade.sandbox import connection as module
from polytrade.sandbox.connection import SLOW_CONSUMER_S, Connection, Selected
from polytrade.sandbox.endpoints import Endpoint
from polytrade.sandbox.frames import SharedStream
from polytrade.sandbox.playback.options import PlaybackOptions
from polytrade.sandbox.playback.player import Player
from polytrade.sandbox.playback.timeline import scan
from polytrade.sandbox.playback.venue import Venue

CAPACITY = 8


class StuckStream:
    """A client that takes what is written first and never anything else."""

    def __init__(self):
        self.sent = []

    async def send_all(self, data):
        if self.sent:
            await trio.sleep_forever()
        self.sent.append(data)


class Everything:
    """Subscribed to every frame."""

    subscriptions = frozenset(("everything",))

    def hear(self, text):
        return []

    def select(self, played):
        return Selected(played.text, played.types())


async def test_client_that_does_not_read_is_closed_and_the_rest_is_played(
    autojump_clock, monkeypatch, capture, short_records
):
    monkeypatch.setattr(module, "QUEUE_MAX", CAPACITY)
    records = [r for r in short_records if r.source == "polymarket.market/0"]
    options = PlaybackOptions(files=(capture(records),), speed=1000.0, start="now")
    venue = Venue(options, scan(options.files), lambda: 0)
    venue.endpoints["market"] = endpoint = Endpoint("market")
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        stream = SharedStream(StuckStream())
        client = Connection(1, "market", Everything(), stream, nursery.cancel_scope)
        endpoint.connections[1] = client
        nursery.start_soon(client.run_writer)
        with trio.CancelScope(shield=True):
            await Player(venue).run()
    assert client.closed_because == "slow consumer"
    assert client.waiting <= CAPACITY
    assert venue.done
    assert venue.played["polymarket.market/0"] == len(records)
    assert SLOW_CONSUMER_S <= trio.current_time() - begun < SLOW_CONSUMER_S + 1


async def test_looped_verbatim_playback_begins_again(autojump_clock, capture, short_records):
    options = PlaybackOptions(files=(capture(short_records),), start="now", loop=True)
    venue = Venue(options, scan(options.files), lambda: 0)
    for name in ("market", "rtds", "binance"):
        venue.endpoints[name] = Endpoint(name)
    with trio.move_on_after(50):  # two rounds of 20 s and a half
        await Player(venue).run()
    total = venue.timeline.frames["polymarket.market/0"]
    assert 2 * total < venue.played["polymarket.market/0"] < 3 * total
    assert not venue.done
