"""Codecs of plugins for recordings: which one is whose, and what a bad one can do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from polytrade.config import Config
from polytrade.core.events import FeedDown, FeedGap, FeedUp, LineupSwapped, VolatilityQuoted
from polytrade.decoding import FrameDecoders
from polytrade.replay_feeds import RecordedFeeds
from polytrade.strict import structure, to_dict
from tests.daemon.sigma_venue import SIGMA
from tests.plugin_projects import SiteFolder, plugin_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        folder.install("sigma", SIGMA)
        yield folder


def config(*feeds: str, **settings: Any) -> Config:
    """Feeds that are on, and the settings of `sigma`."""
    own = {"sigma": settings} if settings else {}
    return structure({"plugins": {"feeds": list(feeds), "settings": own}})


def swapped(config: Config) -> LineupSwapped:
    """The event that puts the section `[plugins]` of a configuration in force."""
    section = {"plugins": to_dict(config)["plugins"]}
    return LineupSwapped(5, 2, orjson.dumps(section).decode(), "{}", "a test")


class Stage:
    """The decoders of a replay."""

    def __init__(self, config: Config) -> None:
        self.feeds = RecordedFeeds(config)
        self.decoders = FrameDecoders((), self.feeds)

    def told(self, source: str, frame: str = "50", ts_ns: int = 9) -> list[Any]:
        """The volatilities of a frame, `gap` for one that could not be read."""
        events = self.decoders.decode(source, frame, ts_ns)
        return [e.sigma if isinstance(e, VolatilityQuoted) else e.reason for e in events]

    def saw(self, *events: Any) -> None:
        for event in events:
            self.decoders.saw(event)


@pytest.mark.usefixtures("site")
def test_connection_of_a_reload_is_decoded_by_the_settings_of_its_swap() -> None:
    stage = Stage(config("sigma"))
    stage.saw(FeedUp(1, "sigma/0"), swapped(config("sigma", factor=2.0)))
    assert stage.told("sigma/0") == [0.5]  # still on its way when the swap came
    stage.saw(FeedUp(2, "sigma/1"))
    assert stage.told("sigma/1") == [1.0]
    assert stage.told("sigma/0") == [0.5]
    assert stage.decoders.messages()["sigma/1"] == {"quote": 1}
    assert (stage.decoders.unsupported, stage.feeds.notes) == ({}, [])


@pytest.mark.usefixtures("site")
def test_feed_that_a_reload_leaves_alone_goes_on() -> None:
    stage = Stage(config("sigma"))
    assert stage.told("sigma/0") == [0.5]  # recorded from later on: nobody said that it came up
    codec = stage.feeds.codecs["sigma/0"]
    stage.saw(FeedDown(1, "sigma/0", "silent"), FeedUp(2, "sigma/0"), swapped(config("sigma")))
    assert stage.told("sigma/0") == [0.5]
    assert stage.feeds.codecs == {"sigma/0": codec}
    assert stage.told("sigma/1") == []  # of no feed that ever came up
    assert stage.decoders.unsupported == {"sigma/1": 1}


@pytest.mark.usefixtures("site")
def test_feed_that_is_made_anew_has_a_codec_of_its_own() -> None:
    stage = Stage(config("sigma"))
    stage.saw(FeedUp(1, "sigma/0"))
    assert stage.told("sigma/0") == [0.5]
    stage.saw(FeedDown(1, "sigma/0", "out"), swapped(config("sigma")), FeedUp(2, "sigma/1"))
    assert stage.told("sigma/1") == [0.5]
    assert stage.decoders.messages() == {"sigma/0": {"quote": 1}, "sigma/1": {"quote": 1}}


@pytest.mark.usefixtures("site")
def test_source_whose_name_comes_again_has_the_codec_of_its_own_time() -> None:
    stage = Stage(config("sigma"))
    stage.saw(FeedUp(1, "sigma/0"))
    assert stage.told("sigma/0") == [0.5]
    stage.saw(swapped(config()), FeedDown(2, "sigma/0", "stopped"), FeedUp(2, "sigma/0"))
    assert stage.told("sigma/0") == []  # nobody's
    stage.saw(swapped(config("sigma", factor=3.0)), FeedUp(3, "sigma/0"))
    assert stage.told("sigma/0") == [1.5]
    stage.saw(FeedUp(3, "sigma/0"))  # a connection of the same feed that was lost
    assert stage.told("sigma/0") == [1.5]


def test_codec_that_breaks_or_gives_what_is_no_tick_is_counted(site: SiteFolder) -> None:
    raises = SIGMA.replace("        if type(message) is not int:\n", "        if False:\n")
    site.install("sigma", raises)
    stage = Stage(config("sigma"))
    assert stage.told("sigma/0", '{"a": 1}') == ["malformed"]
    (reason,) = stage.decoders.reasons
    assert "codec: TypeError: unsupported operand" in reason
    assert "polytrade_sigma.py, line" in reason
    site.install("sigma", SIGMA.replace('self.name, "BTC"', "'binance', \"BTC\""))
    stage = Stage(config("sigma"))
    (gap,) = stage.decoders.decode("sigma/0", "50", 9)
    assert isinstance(gap, FeedGap) and gap.reason == "malformed"
    assert "expected 'sigma' as its source, found 'binance'" in stage.decoders.reasons[0]
    assert stage.decoders.malformed == {"sigma/0": 1}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("raise SystemExit(3)", "sigma/0: codec: SystemExit: 3"),
        (r"raise ValueError('\ud800 is no number')", "is no number"),
        (r"raise ValueError('x' * 100_000)", "x" * 300),
        (r"symbol = '\ud800'", "expected a text of at most 64 characters as symbol"),
        ("symbol = 'B' * 65", "expected a text of at most 64 characters as symbol"),
        ("symbol = str(self.counts['quote'] + 100)", ""),
    ],
)
def test_whatever_a_codec_raises_or_names_is_told_in_plain_bounded_words(
    site: SiteFolder, line: str, told: str
) -> None:
    source = SIGMA.replace(
        "        sigma = ", f"        symbol = 'BTC'\n        {line}\n        sigma = "
    )
    site.install("sigma", source.replace('self.name, "BTC"', "self.name, symbol"))
    stage = Stage(config("sigma"))
    assert stage.told("sigma/0") == (["malformed"] if told else [0.5])
    for reason in stage.decoders.reasons:
        assert told in reason
        assert len(reason.encode()) <= 420
    if not told:
        for _ in range(255):
            assert stage.told("sigma/0") == [0.5]
        assert stage.told("sigma/0") == ["malformed"]
        assert stage.decoders.reasons == [
            "sigma/0: codec: ValueError: expected at most 256 symbols of a feed"
        ]


def test_feed_that_cannot_be_made_is_noted_once(site: SiteFolder) -> None:
    site.install("sigma", "def (")
    stage = Stage(config("sigma"))
    stage.saw(swapped(config("sigma")), swapped(config("sigma", factor=2.0)))
    assert stage.told("sigma/0") == []
    assert stage.decoders.unsupported == {"sigma/0": 1}
    (note,) = stage.feeds.notes
    assert note.startswith("frames of 'sigma' are not decoded: ")
    assert "SyntaxError" in note
