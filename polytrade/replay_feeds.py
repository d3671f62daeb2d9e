"""The codecs of plugins for the frames of a recording, by the configuration that was in force.

A run tells of the connections of a reload once it has swapped: of what they brought until then, the
newest values follow the swap as events.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from polytrade.catalogue import Catalogue, scan
from polytrade.config import Config
from polytrade.core.events import Event, FeedUp, LineupSwapped
from polytrade.errors import ConfigError, PluginError
from polytrade.feed_events import check_of, codec_error, fault_text
from polytrade.hookspecs import FEED, KINDS
from polytrade.lineup import make
from polytrade.needed import only_needed
from polytrade.plugin_code import pass_on
from polytrade.reference import CODECS
from polytrade.reference.codec import FeedCodec
from polytrade.schema import values_of
from polytrade.swaps import config_after

NOTES_MAX: Final = 16
"""Feeds that cannot be made of which it is said why."""


@attrs.define(eq=False)
class _Wanted:
    """A feed of the configuration in force; `source` is the connection that has its codec."""

    codec: FeedCodec
    line: str
    settings: Mapping[str, Any]
    source: str = ""

    def same(self, other: "_Wanted | None") -> bool:
        """Whether the other is of the same code with the same settings."""
        return other is not None and (self.line, self.settings) == (other.line, other.settings)


class GuardedCodec:
    """A plugin's codec that raises nothing but WireError, and gives no events but a feed's."""

    def __init__(self, codec: FeedCodec, source: str) -> None:
        self.counts, self.unknown = codec.counts, codec.unknown
        self._codec = codec
        self._check = check_of(codec, source)

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """The events of a frame."""
        try:
            events = self._codec.decode(frame, ts_ns, source)
            self._check(events, ts_ns)
        except BaseException as error:
            pass_on(error)
            raise codec_error(error, source, frame) from error
        return events

    def reset(self) -> None:
        """A new connection; a codec that cannot begin fails at its frames."""
        try:
            self._codec.reset()
        except BaseException as error:
            pass_on(error)
            self._check = _failing(fault_text(error))


class RecordedFeeds:
    """Codecs by the source of a recording, over its reloads. `notes` says what cannot be decoded.

    Raises nothing that a plugin raises.
    """

    def __init__(self, config: Config) -> None:
        self.codecs: dict[str, GuardedCodec] = {}
        self.notes: list[str] = []
        self._config = config
        self._catalogue = Catalogue({}, {}, {}, {})
        self._wanted: dict[str, _Wanted] = {}
        self._configure()

    def swapped(self, event: LineupSwapped) -> None:
        """Another configuration is in force; ConfigError when it does not fit any more."""
        self._config = config_after(self._config, event)
        self._configure()

    def _configure(self) -> None:
        """Feeds of the same code and settings go on as they are."""
        config = self._config
        if not config.plugins.feeds:
            self._wanted = {}
            return
        self._catalogue = scan(only_needed(config, kinds=(FEED,)))
        wanted: dict[str, _Wanted] = {}
        for name in config.plugins.feeds:
            made = self._made(name)
            if made is not None:
                before = self._wanted.get(name)
                wanted[name] = before if before is not None and made.same(before) else made
        self._wanted = wanted

    def _made(self, name: str) -> _Wanted | None:
        """A feed of the configuration in force, noted when it cannot be made."""
        try:
            with self._catalogue.in_force():
                return _make(name, self._config, self._catalogue)
        except (ConfigError, PluginError) as error:
            self._note(f"frames of {name!r} are not decoded: {error}")
            return None

    def codec(self, source: str) -> GuardedCodec | None:
        """What decodes the frames of a source now, None when that is not known."""
        found = self.codecs.get(source)
        if found is not None:
            return found
        wanted = self._wanted.get(_name_of(source))
        if wanted is None or wanted.source:
            return None
        return self._bind(wanted, source)

    def up(self, event: FeedUp) -> None:
        """A connection came up: its codec starts over, or it is that of another feed now.

        Another connection of a feed takes the place of the one before, with a codec of its own.
        """
        source, name = event.source, _name_of(event.source)
        wanted = self._wanted.get(name)
        if wanted is not None and wanted.source == source:
            self.codecs[source].reset()
            return
        self.codecs.pop(source, None)
        if wanted is not None and wanted.source:
            wanted = self._made(name)
        if wanted is not None:
            self._wanted[name] = wanted
            self._bind(wanted, source)

    def _bind(self, wanted: _Wanted, source: str) -> GuardedCodec:
        wanted.source = source
        found = self.codecs[source] = GuardedCodec(wanted.codec, source)
        return found

    def _note(self, text: str) -> None:
        if len(self.notes) < NOTES_MAX and text not in self.notes:
            self.notes.append(text)


def _name_of(source: str) -> str:
    return source.partition("/")[0]


def _make(name: str, config: Config, catalogue: Catalogue) -> _Wanted:
    """A feed of a configuration; raises as `make`."""
    codec: FeedCodec = make(KINDS[FEED], name, config, catalogue)
    offer = catalogue.factories[FEED, name]
    info = catalogue.plugins[offer.plugin]
    if codec.name in CODECS:
        reason = f"its ticks would be those of {codec.name!r}, which is built in"
        raise PluginError(info.name, info.version, reason, "feeds")
    return _Wanted(codec, info.line, values_of(offer.factory, KINDS[FEED], name, config))


def _failing(reason: str) -> Any:
    def check(_events: object, _ts_ns: int) -> None:
        raise ValueError(reason)

    return check
