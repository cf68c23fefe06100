"""How often the status of one object is written: routes that come in a row are counted together.

A Gateway counts its routes, so a thousand new routes would be a thousand writes. The first change is written at once.
While changes go on coming the pause between two writes doubles from `LEAST` to `MOST`; after a rest it is `LEAST`
again. Once no change came for `QUIET` seconds nobody waits for the rest of a long pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

#: Seconds between two writes of one object: while it changes seldom, and while it goes on changing.
LEAST, MOST = 0.25, 1.0
#: Seconds without a change after which what waits is written, `LEAST` after the write before.
QUIET = 0.1

_K = TypeVar("_K")


@dataclass(slots=True)
class _Written:
    """When an object was last written, the pause after it, and when it may be written again."""

    at: float
    pause: float
    due: float


class Pace(Generic[_K]):
    """Knows when each object was written; times are those of one clock, in seconds."""

    def __init__(self) -> None:
        """Make one that has seen no write."""
        self._written: dict[_K, _Written] = {}

    def ask(self, key: _K, now: float) -> float | None:
        """Ask to write an object: None, and the write is noted, or the time at which to ask again."""
        last = self._written.get(key)
        if last is not None and now < last.due:
            last.due = min(last.at + last.pause, max(last.at + LEAST, now + QUIET))
            return last.due
        # What had to wait comes as soon as it may; what comes later comes after a rest.
        goes_on = last is not None and now < last.at + last.pause + LEAST
        pause = min(last.pause * 2, MOST) if last is not None and goes_on else LEAST
        self._written[key] = _Written(now, pause, now + pause)
        return None

    def forget(self, key: _K) -> None:
        """An object is gone."""
        self._written.pop(key, None)
