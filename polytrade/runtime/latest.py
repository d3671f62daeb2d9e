"""The newest value of something: for observers, never for facts."""

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest value only: writers never wait, slow readers skip versions.

    `version` grows by one with every `set`, so a reader that remembers the version it saw loses no
    wake-up and always ends on the last value. Read `value` directly when there is nothing to wait
    for.
    """

    __slots__ = ("_changed", "value", "version")

    def __init__(self, value: T) -> None:
        self.value = value
        self.version = 0
        self._changed = trio.Event()

    def set(self, value: T) -> None:
        """Replace the value and wake every reader."""
        self.value = value
        self.version += 1
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def wait_newer(self, seen: int) -> tuple[int, T]:
        """Wait until the version is above `seen`; the version and value then.

        Cancelled while waiting, it has taken nothing: the next call sees the same value.
        """
        while self.version <= seen:
            await self._changed.wait()
        await trio.lowlevel.checkpoint()
        return self.version, self.value
