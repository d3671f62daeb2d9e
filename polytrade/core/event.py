"""The base of all events."""

from typing import ClassVar


class Event:
    """Something that happened at `ts_ns`."""

    TAG: ClassVar[str] = ""
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns",)
    __slots__ = ("ts_ns",)

    ts_ns: int

    def row(self) -> list[object]:
        """The event as the journal writes it: its tag, then its fields in order."""
        return [self.TAG, *[getattr(self, name) for name in self.FIELDS]]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Event) and self.row() == other.row()

    def __hash__(self) -> int:
        return hash((self.TAG, self.ts_ns))

    def __repr__(self) -> str:
        body = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.FIELDS)
        return f"{type(self).__name__}({body})"
