"""Captures of any known layout as records of ours: numbered, in order, with their markets first.

Our own captures pass through unchanged. For a foreign file the records are numbered from 1, times
never decrease, and `gamma/0` records are put in front: from the market list its recorder kept, or
made up from the frames. See `import_layouts.LAYOUTS` for what is understood.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from polytrade.captures import (
    CaptureError,
    CaptureHeader,
    CaptureLosses,
    CaptureReader,
    CaptureRecord,
)
from polytrade.catalogue import BUILTIN, scan
from polytrade.config import Config
from polytrade.core.units import MS_NS
from polytrade.distributions import find_plugins
from polytrade.errors import ConfigError, PluginError
from polytrade.hookspecs import IMPORTER, KINDS
from polytrade.import_files import head_of
from polytrade.import_layouts import LAYOUTS, Layout, RawFrame, layout_of
from polytrade.import_markets import sidecar_markets, synthesise_markets
from polytrade.import_sources import GAMMA, MARKET, REST_BOOK
from polytrade.lineup import make
from polytrade.needed import mentioning

OWN: Final = "polytrade"
SIDECARS: Final = ("markets.json", "markets.jsonl", "report.json", "LICENSE", "NOTICE")
"""Files beside captures that are none."""
MEMBERS_MAX: Final = 10_000
"""Files of a folder imported together: a week of five-minute windows is 2,016."""

Frames = Callable[[], Iterator[RawFrame]]


class ImportedCapture:
    """A capture of whatever layout, iterable as often as wanted.

    `layout` is its name, `header` our own header or one made for it, `note` what is not as it was
    received. Raises CaptureError for damage a layout cannot pass over, OSError passes through.
    """

    def __init__(
        self, layout: str, header: CaptureHeader, records: Iterable[CaptureRecord]
    ) -> None:
        self.layout = layout
        self.header = header
        self._records = records

    @property
    def losses(self) -> CaptureLosses:
        """What a capture of ours lost, known once it has been read; foreign ones cannot tell."""
        records = self._records
        return records.losses if isinstance(records, CaptureReader) else CaptureLosses()

    @property
    def note(self) -> str:
        """What the header says about the capture."""
        return self.header.note

    def __iter__(self) -> Iterator[CaptureRecord]:
        return iter(self._records)


def read_capture(path: Path, layouts: Sequence[Layout] | None = None) -> ImportedCapture:
    """The capture in a file, or in all files of a folder merged by time.

    `layouts` are those tried, all that are installed when None. Raises CaptureError, with the
    layouts that are known, when it is none of them.
    """
    known = _Known(layouts)
    if path.is_dir():
        return _read_folder(path, known)
    layout = _sniff(path, known)
    if layout is None:
        reader = CaptureReader(path)
        return ImportedCapture(OWN, reader.header, reader)
    return _imported(layout.name, path.name, _opener(path, layout), _prelude(path, layout))


def known_layouts(config: Config | None = None) -> tuple[Layout, ...]:
    """Our layouts and those of installed plugins, in the order they are tried.

    Plugins that do not name the hook of importers are not imported. One that cannot be loaded, or
    not be made with these settings, offers none: the command `polytrade plugins check` says why.
    """
    config = Config() if config is None else config
    found = find_plugins(config.plugins.disabled)
    importing = mentioning(KINDS[IMPORTER].hook, found)
    others = tuple(name for name in found if name not in importing)
    disabled = (*config.plugins.disabled, *others)
    catalogue, offered = scan(attrs.evolve(config.plugins, disabled=disabled)), []
    with catalogue.in_force():
        for (kind, name), offer in catalogue.factories.items():
            if kind == IMPORTER and offer.plugin != BUILTIN:
                with suppress(ConfigError, PluginError):
                    importer = make(KINDS[kind], name, config, catalogue)
                    offered.append(layout_of(name, importer))
    known = [layout for layout in LAYOUTS if not layout.last]
    return (*known, *offered, *(layout for layout in LAYOUTS if layout.last))


class _Known:
    """The layouts that are tried: those given, else all, plugins asked when ours do not fit."""

    def __init__(self, layouts: Sequence[Layout] | None) -> None:
        self._layouts = layouts

    def fitting(self, head: bytes) -> Layout | None:
        """The first that fits the head of a file."""
        if self._layouts is None:
            # Ours come before those of plugins: none of these is imported while one of ours fits.
            ours = next((it for it in LAYOUTS if not it.last and it.fits(head)), None)
            if ours is not None:
                return ours
        return next((layout for layout in self.all() if layout.fits(head)), None)

    def all(self) -> Sequence[Layout]:
        """Every one of them."""
        if self._layouts is None:
            self._layouts = known_layouts()
        return self._layouts


def sniff(path: Path, layouts: Sequence[Layout] | None = None) -> Layout | None:
    """The layout of a file, None for our own; CaptureError when it is not recognised.

    `layouts` are those tried, all that are installed when None.
    """
    return _sniff(path, _Known(layouts))


def _sniff(path: Path, known: _Known) -> Layout | None:
    head = head_of(path)
    if head.startswith(b'{"polytrade_capture"'):
        return None
    layout = known.fitting(head)
    if layout is None:
        names = ", ".join(it.name for it in known.all())
        raise CaptureError(path, f"expected a capture ({OWN}, {names}), found {head[:60]!r}")
    return layout


def _read_folder(folder: Path, known: _Known) -> ImportedCapture:
    own: list[Path] = []
    members: list[tuple[Path, Layout]] = []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if len(files) > MEMBERS_MAX:
        raise CaptureError(folder, f"expected at most {MEMBERS_MAX} files, found {len(files)}")
    for path in files:
        if path.name in SIDECARS:
            continue
        try:
            layout = _sniff(path, known)
        except CaptureError:
            continue
        if layout is None:
            own.append(path)
        else:
            members.append((path, layout))
    if own:
        reader = CaptureReader(*own)
        return ImportedCapture(OWN, reader.header, reader)
    if not members:
        raise CaptureError(folder, "expected captures, found none")
    sources = [_opener(path, layout) for path, layout in members]
    slugs = {key: slug for path, layout in members for key, slug in layout.slugs(path).items()}
    names = sorted({layout.name for _, layout in members})

    prelude = _Prelude(sidecar_markets(members[0][0]), slugs, members[0][0])

    def frames() -> Iterator[RawFrame]:
        return _merged(sources)

    return _imported("+".join(names), folder.name, frames, prelude)


def _opener(path: Path, layout: Layout) -> Frames:
    def frames() -> Iterator[RawFrame]:
        count = 0
        try:
            for frame in layout.read(path):
                count += 1
                yield frame
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"frame {count + 1}: expected {layout.looks}, found {error!r:.120}"
            raise CaptureError(path, reason) from error

    return frames


def _merged(sources: list[Frames]) -> Iterator[RawFrame]:
    """All frames by time; a file is opened only when its first frame is due.

    Files without times keep their order, before those with times.
    """
    waiting: list[tuple[int, int]] = []
    for index, source in enumerate(sources):
        first = next(source(), None)
        if first is not None:
            waiting.append((first.ts_ns or 0, index))
    waiting.sort()
    waiting.reverse()
    active: list[tuple[int, int, RawFrame, Iterator[RawFrame]]] = []
    while waiting or active:
        while waiting and (not active or waiting[-1][0] <= active[0][0]):
            _, index = waiting.pop()
            frames = sources[index]()
            frame = next(frames)
            heapq.heappush(active, (frame.ts_ns or 0, index, frame, frames))
        due, index, frame, frames = active[0]
        yield frame
        after = next(frames, None)
        if after is None:
            heapq.heappop(active)
        else:
            heapq.heapreplace(active, (max(after.ts_ns or 0, due), index, after, frames))


@attrs.frozen
class _Prelude:
    """What is known of a capture's markets before its frames are read."""

    markets: list[dict[str, Any]]
    slugs: Mapping[str, str]
    beside: Path


def _prelude(path: Path, layout: Layout) -> _Prelude:
    return _Prelude(sidecar_markets(path), layout.slugs(path), path)


def _imported(layout: str, name: str, frames: Frames, prelude: _Prelude) -> ImportedCapture:
    """The first of two passes: learn the markets, since frames may come before what names them."""
    notes = [f"imported from {name} ({layout})"]
    markets = list(prelude.markets)
    known = {market["conditionId"] for market in markets}
    brought = False

    def watched() -> Iterator[RawFrame]:
        nonlocal brought
        for frame in frames():
            brought = brought or frame.source == GAMMA
            yield frame

    guessed = synthesise_markets(stamped(watched()), prelude.slugs)
    if not brought:
        unknown = [market for market in guessed if market["conditionId"] not in known]
        found = [_noted(prelude.beside, market) for market in unknown]
        markets += [noted or market for noted, market in zip(found, unknown, strict=True)]
        if None in found:
            notes.append(f"{found.count(None)} markets made up from the frames")

    header = CaptureHeader("", name, False, "; ".join(notes))
    return ImportedCapture(layout, header, _Foreign(markets, frames))


@attrs.frozen
class _Foreign:
    """The records of a foreign capture, made anew each time they are asked for."""

    markets: list[dict[str, Any]]
    frames: Frames

    def __iter__(self) -> Iterator[CaptureRecord]:
        return stamped(_with_markets(self.markets, self.frames()))


def _noted(beside: Path, market: dict[str, Any]) -> dict[str, Any] | None:
    """The market's own Gamma answer when it lies beside the capture as `gamma_<id>.json`."""
    path = beside.with_name(f"gamma_{market['conditionId']}.json")
    try:
        body = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return body if isinstance(body, dict) and "conditionId" in body else None


def _with_markets(markets: list[dict[str, Any]], frames: Iterator[RawFrame]) -> Iterator[RawFrame]:
    first = next(frames, None)
    if first is None:
        return
    ts_ns = first.ts_ns if first.ts_ns is not None else venue_ns(first.frame)
    for market in markets:
        yield RawFrame(GAMMA, orjson.dumps(market).decode(), ts_ns, first.mono_ns)
    yield first
    yield from frames


def stamped(frames: Iterable[RawFrame]) -> Iterator[CaptureRecord]:
    """Records numbered from 1, by source too, with times that never decrease.

    Without a time of its own a frame has the venue's time, or that of the frame before it; within
    whole seconds the venue's time decides, as far as it lies in that second.
    """
    counts: Counter[str] = Counter()
    last_ns = last_mono_ns = 0
    for number, raw in enumerate(frames, 1):
        ts_ns = raw.ts_ns
        if ts_ns is None:
            ts_ns = venue_ns(raw.frame) if raw.source in (MARKET, REST_BOOK) else None
        elif raw.slack_ns:
            inside_ns = venue_ns(raw.frame) or ts_ns
            ts_ns = min(max(ts_ns, inside_ns), ts_ns + raw.slack_ns - 1)
        last_ns = max(ts_ns or 0, last_ns)
        last_mono_ns = max(last_ns if raw.mono_ns is None else raw.mono_ns, last_mono_ns)
        counts[raw.source] += 1
        yield CaptureRecord(
            number, raw.source, counts[raw.source], last_ns, last_mono_ns, raw.frame
        )


def venue_ns(frame: str | bytes) -> int | None:
    """The venue's own time of a frame, in ns; None when it tells none in ms."""
    try:
        body = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return None
    if isinstance(body, list):
        body = body[-1] if body else None
    stamp = body.get("timestamp") if isinstance(body, dict) else None
    if isinstance(stamp, str) and stamp.isascii() and stamp.isdigit():
        stamp = int(stamp) if len(stamp) <= 16 else None
    if not isinstance(stamp, int) or not 10**12 <= stamp < 10**13:
        return None
    return stamp * MS_NS


def layout_table() -> str:
    """The layouts as a Markdown table, for the documentation."""
    rows = ["| layout | looks like | receive times | becomes |", "|---|---|---|---|"]
    rows += [f"| {it.name} | {it.looks} | {it.times} | {it.sources} |" for it in LAYOUTS]
    return "\n".join(rows) + "\n"
