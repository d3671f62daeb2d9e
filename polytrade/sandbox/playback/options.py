"""What the local venue is asked to play, and how."""

from pathlib import Path
from typing import Final

import attrs

from polytrade.errors import ConfigError, Problem

SPEED_MIN: Final = 0.01
SPEED_MAX: Final = 1000.0
"""Faster than this the sockets, not the clock, set the pace."""
SETTLE_S: Final = 0.5
"""Quiet time after the last subscription before playback starts: a twin connection may follow."""
START_AFTER_S: Final = 10.0
"""Playback does not wait longer than this after the first subscription."""
STARTS: Final = ("subscribe", "now")


def _paths(files: "tuple[str | Path, ...]") -> tuple[Path, ...]:
    return tuple(Path(file) for file in files)


@attrs.frozen(kw_only=True)
class PlaybackOptions:
    """How captures are played back.

    `speed` is capture seconds a second. `start`: `subscribe` begins when every asset of the
    capture's market channel is subscribed (at the latest `start_after_s` after the first
    subscription), `now` at once, `auto` is `now` when times are shifted and `subscribe` when not.
    `shift` moves every time in the frames by a multiple of the window length, so that the
    capture's windows line up with now. `port_base` 0 takes free ports, otherwise the endpoints
    present take consecutive ports from there. Raises ConfigError for a value out of range.
    """

    files: tuple[Path, ...] = attrs.field(converter=_paths)
    speed: float = 1.0
    loop: bool = False
    shift: bool = False
    start: str = "subscribe"
    host: str = "127.0.0.1"
    port_base: int = 0
    settle_s: float = SETTLE_S
    start_after_s: float = START_AFTER_S

    def __attrs_post_init__(self) -> None:
        problems = []
        if not self.files:
            problems.append(Problem("expected at least one capture", "playback"))
        if not SPEED_MIN <= self.speed <= SPEED_MAX:
            problems.append(
                Problem(
                    f"expected {SPEED_MIN} to {SPEED_MAX:g}, found {self.speed}", "playback.speed"
                )
            )
        if self.start not in STARTS:
            problems.append(
                Problem(f"expected one of {', '.join(STARTS)}, found {self.start!r}", "start")
            )
        if not 0 <= self.port_base <= 65_500:
            problems.append(
                Problem(f"expected 0 to 65500, found {self.port_base}", "playback.port_base")
            )
        if problems:
            raise ConfigError(*problems)

    @property
    def waits(self) -> bool:
        """Whether playback waits for subscriptions before it begins."""
        return self.start == "subscribe" and not self.shift
