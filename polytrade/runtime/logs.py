"""Logging: one line a record on stderr, key=value for people, JSON for machines, never a secret.

Both structlog and the standard `logging` (ours and the libraries') pass through one chain: task
name, time, rate limit, redaction, rendering. The time is the run's own clock, so that log lines
and journal rows can be laid side by side.

Redaction covers keys that name a secret and every registered value wherever it appears, tracebacks
included; tracebacks are rendered without local variables.
"""

import json
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TextIO, final
from urllib.parse import quote

import orjson
import structlog

from polytrade.core.units import SECOND_NS
from polytrade.runtime.supervise import task_name

EventDict = MutableMapping[str, Any]

HIDDEN: Final = "***"
SECRET_KEYS: Final = (
    "secret",
    "password",
    "passphrase",
    "api_key",
    "apikey",
    "private_key",
    "authorization",
    "cookie",
    "mnemonic",
    "credential",
    "signature",
    "bearer",
    "auth_token",
    "access_token",
    "control_token",
)
"""A key that contains one of these is hidden whatever its value. Plain `token` is an outcome."""

REPEATS_MAX: Final = 20
"""Lines of one event within the window: enough to see a pattern, too few to fill a disk."""
WINDOW_NS: Final = 10 * SECOND_NS
EVENTS_MAX: Final = 1024
"""Events told apart by the limiter: the code names about a hundred; the oldest goes first."""
DEPTH_MAX: Final = 6
"""Nesting of a logged value that is shown; deeper parts become their text."""
RECENT_MAX: Final = 200
"""Last lines kept for observers: several terminal pages."""
FOREIGN: Final = ("hypercorn", "quart", "httpx2", "httpcore2", "anyio", "trio", "asyncio")
"""Libraries that are heard from warnings upwards only."""


@final
class Redactor:
    """Replaces registered values and the values of secret keys by `***`, in copies."""

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()

    def register(self, value: str) -> None:
        """Hide `value`, and its URL-quoted form, from now on; an empty value is ignored."""
        forms = {value, quote(value, safe="")} - {""}
        self._values = tuple(sorted({*self._values, *forms}, key=len, reverse=True))

    def text(self, text: str) -> str:
        """`text` with every registered value hidden."""
        for value in self._values:
            if value in text:
                text = text.replace(value, HIDDEN)
        return text

    def value(self, key: str, value: object, depth: int = 0) -> object:
        """What may be shown of `value` under `key`."""
        lowered = key.lower()
        if any(part in lowered for part in SECRET_KEYS) and value not in (None, "", False, True):
            return HIDDEN
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, int):
            shown = self.text(str(value))
            return value if shown == str(value) else shown
        if isinstance(value, str):
            return self.text(value)
        if depth < DEPTH_MAX:
            if isinstance(value, Mapping):
                return {
                    self.text(str(name)): self.value(str(name), inner, depth + 1)
                    for name, inner in value.items()
                }
            if isinstance(value, (list, tuple, set, frozenset)):
                return [self.value(key, inner, depth + 1) for inner in value]
        return self.text(repr(value))

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        """The structlog processor."""
        return {self.text(name): self.value(name, value) for name, value in event.items()}


@final
class LogLimiter:
    """Lets an event through `REPEATS_MAX` times a window, then counts it.

    The first line of an event after its window says how many were left out (`suppressed`);
    `expired` gives the counts of those that never came again.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._windows: dict[str, list[int]] = {}  # event: [window's start, lines, left out]

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        """The structlog processor; `limit_key` tells events apart where the text varies."""
        key = str(event.pop("limit_key", event.get("event")))
        now_ns = self._now_ns()
        window = self._windows.get(key)
        if window is None or now_ns - window[0] >= WINDOW_NS:
            if window is not None and window[2]:
                event["suppressed"] = window[2]
            if window is None and len(self._windows) >= EVENTS_MAX:
                del self._windows[next(iter(self._windows))]
            self._windows[key] = window = [now_ns, 0, 0]
        if window[1] >= REPEATS_MAX:
            window[2] += 1
            raise structlog.DropEvent
        window[1] += 1
        return event

    def expired(self, *, every: bool = False) -> list[tuple[str, int]]:
        """(event, lines left out) of windows that are over, or of `every` window; told once."""
        now_ns = self._now_ns()
        told: list[tuple[str, int]] = []
        for key, window in list(self._windows.items()):
            if every or now_ns - window[0] >= WINDOW_NS:
                del self._windows[key]
                if window[2]:
                    told.append((key, window[2]))
        return told


@final
class LogStream:
    """Where rendered lines go: stderr, or the terminal view while it draws.

    A broken stderr loses lines and is counted, nothing else. `recent` keeps the last lines.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.recent: deque[str] = deque(maxlen=RECENT_MAX)
        self.lost = 0
        self._sink: Callable[[str], None] | None = None

    def write(self, line: str) -> None:
        """One line, without its line end."""
        self.recent.append(line)
        if self._sink is not None:
            self._sink(line)
            return
        try:
            self.stream.write(line + "\n")
            self.stream.flush()
        except (OSError, ValueError):
            self.lost += 1

    @contextmanager
    def redirected(self, sink: Callable[[str], None]) -> Iterator[None]:
        """Lines go to `sink` instead while the block runs."""
        previous, self._sink = self._sink, sink
        try:
            yield
        finally:
            self._sink = previous


@final
class _LineLogger:
    """The end of structlog's chain: the rendered line goes to the stream."""

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        self._stream.write(message)

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


@final
class _Bridge(logging.Handler):
    """Standard logging records become structlog events; the template is the limiter's key."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(FOREIGN) and record.levelno < logging.WARNING:
            return
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        fields: dict[str, Any] = {"logger": record.name, "limit_key": str(record.msg)}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = record.exc_info
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(level, text, **fields)


@final
class Logs:
    """The logging of this process, as `configure_logging` set it up."""

    def __init__(self, stream: LogStream, limiter: LogLimiter) -> None:
        self.stream = stream
        self.limiter = limiter

    def report_suppressed(self, *, every: bool = False) -> None:
        """Say what the rate limit left out; call it now and then, and with `every` at the end."""
        for event, count in self.limiter.expired(every=every):
            structlog.get_logger().warning("log.suppressed", of=event, suppressed=count)


REDACTOR: Final = Redactor()
"""The process's redactor: secrets are registered where they are read."""


CHATTY: Final = ("httpx2", "httpcore2", "trio-websocket", "hypercorn", "hpack")
"""Libraries that log every request or message: heard from WARNING upwards only."""


def register_secret(value: str) -> None:
    """Never let `value` appear in a log line from now on."""
    REDACTOR.register(value)


def configure_logging(
    level: str,
    now_ns: Callable[[], int],
    *,
    stream: TextIO | None = None,
    console: bool | None = None,
) -> Logs:
    """Send all logging of the process to `stream` (stderr) from `level` upwards.

    `console` picks key=value lines over JSON; None asks whether the stream is a terminal.
    `now_ns` stamps the lines. May be called again: the last call holds.
    """
    target = sys.stderr if stream is None else stream
    for_people = target.isatty() if console is None else console
    lines = LogStream(target)
    limiter = LogLimiter(now_ns)
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def stamp(logger: object, method: str, event: EventDict) -> EventDict:
        event["timestamp"] = _rfc3339(now_ns())
        task = task_name.get()
        if task:
            event.setdefault("task", task)
        return event

    structlog.configure(
        processors=[
            limiter,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.ExceptionRenderer(),
            REDACTOR,
            *([_printable, _console_renderer(target.isatty())] if for_people else [_render_json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *args: _LineLogger(lines),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(threshold)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(threshold, logging.WARNING))
    return Logs(lines, limiter)


def _console_renderer(colors: bool) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=colors,
        pad_event_to=28,
        exception_formatter=structlog.dev.plain_traceback,
    )


def _render_json(logger: object, method: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event, default=repr).decode()
    except TypeError:  # an int beyond 64 bits or half a surrogate pair: ASCII carries both
        return json.dumps(event, default=repr)


def _printable(logger: object, method: str, event: EventDict) -> EventDict:
    """Text of a venue must not steer the terminal: control characters become escapes."""
    return {
        name: value.encode("unicode_escape").decode()
        if isinstance(value, str) and name != "exception" and not value.isprintable()
        else value
        for name, value in event.items()
    }


def _rfc3339(ts_ns: int) -> str:
    moment = datetime.fromtimestamp(ts_ns // SECOND_NS, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ts_ns % SECOND_NS // 1_000_000:03d}Z"
