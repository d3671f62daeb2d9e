"""What came of every reload: in memory for operators, on disk for the record, kept for a rollback.

One line a reload in `datasets/reports/<utc-date>/<name>_reload.jsonl`; accepted ones are in the
journal besides.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, final

import attrs
import orjson
import structlog
import trio

from polytrade.catalogue import Catalogue
from polytrade.config import Config
from polytrade.core.events import Event, ReloadRejected
from polytrade.core.units import SECOND_NS
from polytrade.runtime.reload_requests import ReloadRefused, ReloadReply, ReloadRequest
from polytrade.runtime.reload_texts import TEXT_MAX, told_value

log = structlog.get_logger(__name__)

ROWS_MAX: Final = 256
"""Reloads remembered: a day of one every six minutes."""
KEPT_MAX: Final = 8
"""Generations that may be rolled back to: each holds the code of its plugins in memory."""
APPLIED: Final = "applied"
REFUSED: Final = "refused"


@attrs.frozen
class Kept:
    """A generation that was in force: its configuration and code, none of its objects."""

    generation: int
    config: Config
    catalogue: Catalogue


@attrs.frozen(kw_only=True)
class Outcome:
    """One reload as it ended.

    `changed` is of `reload_texts.changed_settings`: what to tell of a request that names no
    settings itself, such as SIGHUP and a rollback.
    """

    ts_ns: int
    request: ReloadRequest
    answer: ReloadReply | ReloadRefused
    generation: int
    took_ms: float
    plugins: dict[str, str] = attrs.field(factory=dict)
    pause_us: int = 0
    changed: dict[str, Any] = attrs.field(factory=dict)

    def row(self) -> dict[str, Any]:
        """The outcome as JSON has it: bounded, and without secrets."""
        row = {name: told_value(name, it, TEXT_MAX) for name, it in self._fields().items()}
        return {**row, "patch": row["patch"] or self.changed}

    def _fields(self) -> dict[str, Any]:
        answer = self.answer
        row: dict[str, Any] = {
            "time": utc(self.ts_ns),
            "generation": self.generation,
            "name": self.request.name,
            "who": self.request.who,
            "why": self.request.why,
            "patch": self.request.told(),
            "result": APPLIED if isinstance(answer, ReloadReply) else REFUSED,
            "took_ms": round(self.took_ms, 1),
        }
        if isinstance(answer, ReloadReply):
            return {**row, "plugins": self.plugins, "pause_us": self.pause_us}
        return {
            **row,
            "code": answer.code,
            "step": answer.step,
            "plugin": answer.plugin,
            "field": answer.field,
            "message": answer.message,
        }


@final
class History:
    """The outcomes so far, and the generations below the one in force, newest last."""

    def __init__(self, folder: Path, journal: Callable[[Event], None]) -> None:
        """`folder` is that of the reports; `journal` takes an event for each refusal: an accepted
        reload has its own.
        """
        self.rows: deque[dict[str, Any]] = deque(maxlen=ROWS_MAX)
        self.below: deque[Kept] = deque(maxlen=KEPT_MAX)
        self.accepted = 0
        self.refused = 0
        self._folder = folder
        self._journal = journal
        self._limiter = trio.CapacityLimiter(1)

    async def add(self, outcome: Outcome) -> None:
        """Remember an outcome and append its line; a disk that refuses is told of, no more."""
        row = outcome.row()
        self.rows.append(row)
        if row["result"] == APPLIED:
            self.accepted += 1
        else:
            self.refused += 1
            asked = orjson.dumps(row["patch"]).decode()
            words = [row[name] for name in ("code", "step", "message")]
            self._journal(ReloadRejected(outcome.ts_ns, row["name"], row["who"], asked, *words))
        day, name = row["time"][:10], f"{outcome.request.name}_reload.jsonl"
        path = self._folder / day / name
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        try:
            await trio.to_thread.run_sync(_append, path, line, limiter=self._limiter)
        except OSError as error:
            log.warning("reload not recorded", file=str(path), error=str(error))


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        stream.write(line)


def utc(ts_ns: int) -> str:
    """RFC 3339 with milliseconds."""
    moment = datetime.fromtimestamp(ts_ns // SECOND_NS, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ts_ns % SECOND_NS // 1_000_000:03d}Z"
