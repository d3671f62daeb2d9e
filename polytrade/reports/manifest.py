"""The truth manifest: what the figures of a report rest on, enough to make them again."""

import hashlib
from pathlib import Path
from typing import Any, Final

import attrs

from polytrade.captures import CaptureReader
from polytrade.config import Config
from polytrade.importers import read_capture
from polytrade.journal import STEM as JOURNAL_STEM
from polytrade.journal import read_journal
from polytrade.replay import RAW_STEM
from polytrade.replay_result import ReplayResult
from polytrade.segments import segments_of
from polytrade.session import code_version
from polytrade.strict import config_digest, to_dict

VERSION: Final = 1
HASH_BYTES: Final = 1 << 20
"""Read at once while hashing: whole files would not fit the memory of a small host."""


@attrs.frozen(kw_only=True)
class DataFile:
    """A file that figures were made from: its name and its first `bytes`, by their SHA-256.

    A journal that is still written grows behind them; what was hashed does not change.
    """

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, size: int | None = None) -> "DataFile":
        """The first `size` bytes of a file, or all it has now; OSError passes through."""
        digest = hashlib.sha256()
        left = path.stat().st_size if size is None else size
        taken = 0
        with path.open("rb") as file:
            while left and (block := file.read(min(left, HASH_BYTES))):
                digest.update(block)
                left -= len(block)
                taken += len(block)
        return cls(name=path.name, bytes=taken, sha256=digest.hexdigest())


@attrs.frozen(kw_only=True)
class Basis:
    """Where a run's events come from: code, configuration, plugins, files and what they lost."""

    kind: str
    run_id: str
    code_version: str
    python: str
    config: dict[str, Any]
    config_digest: str
    plugins: dict[str, str]
    generated: bool = False
    note: str = ""
    files: tuple[DataFile, ...] = ()
    records_lost: int = 0
    records_missing: int = 0
    records_damaged: int = 0

    @classmethod
    def of_journal(cls, folder: Path, records_lost: int = 0) -> "Basis":
        """Of a run with a journal, finished or not: all that its header and its files tell.

        Reads every byte of the journal: not for the event loop. Raises JournalError, OSError.
        """
        header = read_journal(folder).header
        return cls(
            kind="journal",
            run_id=header.run_id,
            code_version=header.code_version,
            python=header.python,
            config=header.config,
            config_digest=header.config_digest,
            plugins=dict(sorted(header.plugins.items())),
            files=tuple(DataFile.of(path) for path in data_files(folder)),
            records_lost=records_lost,
        )

    @classmethod
    def of_capture(
        cls, path: Path, config: Config, plugins: dict[str, str], result: ReplayResult
    ) -> "Basis":
        """Of a capture that was replayed on paper; raises CaptureError, OSError."""
        parts = data_files(path)
        capture = CaptureReader(*parts) if path.is_dir() else read_capture(path)
        return cls(
            kind="capture",
            run_id=result.run_id or path.name.partition(".")[0],
            code_version=code_version(),
            python="",
            config=to_dict(config),
            config_digest=config_digest(config),
            plugins=dict(sorted(plugins.items())),
            generated=result.generated,
            note=capture.header.note,
            files=tuple(DataFile.of(part) for part in parts),
            records_missing=result.missing_records,
            records_damaged=result.damaged_records,
        )

    def to_dict(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Basis":
        """What `to_dict` wrote; TypeError and KeyError for anything else."""
        files = tuple(DataFile(**file) for file in value["files"])
        return cls(**{**value, "files": files})


def data_files(path: Path) -> list[Path]:
    """The files of a run's journal, else of its recording, else the capture itself."""
    if not path.is_dir():
        return [path]
    return segments_of(path, JOURNAL_STEM) or segments_of(path, RAW_STEM)
