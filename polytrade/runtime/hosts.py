"""Which hosts answer: where one cannot be reached, the daemon says so host by host."""

import logging
from typing import Final
from urllib.parse import urlsplit

import attrs

from polytrade.core.judging import holdable
from polytrade.runtime.inbox import Clock

log = logging.getLogger(__name__)

ERROR_MAX: Final = 200
"""Characters of an error that are kept: a line of a terminal and of `/health`."""


@attrs.define
class HostRow:
    """One host: `reachable` is None until it was tried, `since_ns` when that last changed."""

    host: str
    reachable: bool | None = None
    last_error: str = ""
    since_ns: int = 0
    failures: int = 0


class HostTable:
    """The hosts the daemon talks to, in the order they were first named.

    A host that answers anything is reachable, whatever it answers. A change is logged once. A host
    belongs to whoever named it: `user` is who may be forgotten again, empty who stays.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[str, HostRow] = {}
        self._users: dict[str, set[str]] = {}
        self._failed_by: dict[str, str] = {}

    def rows(self) -> list[HostRow]:
        """A copy of every row."""
        return [attrs.evolve(row) for row in self._rows.values()]

    def now_ns(self) -> int:
        """The time of the table's clock."""
        return self._clock.now_ns()

    def name(self, url: str, user: str = "") -> str:
        """Make the row of a URL's host, untried; returns the host."""
        host = host_of(url)
        self._users.setdefault(host, set()).add(user)
        self._rows.setdefault(host, HostRow(host, since_ns=self._clock.now_ns()))
        return host

    def reached(self, host: str) -> None:
        """The host answered."""
        row = self._row(host)
        if row.reachable is not True:
            if row.reachable is False:
                log.info("host %s is reachable again", host)
            row.reachable = True
            row.since_ns = self._clock.now_ns()
            row.last_error = ""

    def failed(self, host: str, error: str, user: str = "") -> None:
        """The host could not be reached, for this reason."""
        row = self._row(host)
        row.failures += 1
        row.last_error = holdable(error[:ERROR_MAX])
        self._failed_by[host] = user
        if row.reachable is not False:
            log.warning("host %s cannot be reached: %s", host, row.last_error)
            row.reachable = False
            row.since_ns = self._clock.now_ns()

    def forget(self, user: str) -> None:
        """Drop the rows of who is gone for good; one that others use is untried where this user
        could not reach it.
        """
        for host, users in list(self._users.items()):
            if user not in users:
                continue
            users.remove(user)
            row = self._rows[host]
            if not users:
                del self._users[host], self._rows[host]
                self._failed_by.pop(host, None)
            elif row.reachable is False and self._failed_by.get(host) == user:
                row.reachable = None
                row.last_error = ""
                row.since_ns = self._clock.now_ns()

    def _row(self, host: str) -> HostRow:
        self._users.setdefault(host, {""})
        return self._rows.setdefault(host, HostRow(host, since_ns=self._clock.now_ns()))


def host_of(url: str) -> str:
    """The host of a URL, with its port when it is not the scheme's own."""
    return urlsplit(url).netloc.rpartition("@")[2] or url
