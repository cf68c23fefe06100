"""Says whether a file that changed is whole, or somebody is still writing it.

Editors write in place, empty a file before they write it, or move it away first. What is on the disk meanwhile was
never meant, and may well be correct YAML. So a change counts at once only where nothing is lost and nobody has the file
open for writing or it ends as before; another one counts when the file has been quiet for a moment. The file's last
state goes on until then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

#: Seconds without a change after which a file that is new, or ends otherwise than before, is taken as it is.
QUIET = 0.03
#: The same where documents are gone or cannot be read: most likely somebody is writing it.
QUIET_LOSS = 0.15
#: Seconds after which a file that is not there any more counts as gone.
QUIET_GONE = 0.4
#: Seconds after which a file that never is quiet, or is never closed, is taken as it is.
MAX_RESTLESS = 5.0
#: Characters at the end of a file that are the same in a file that was edited further up.
SAME_END = 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What of a file matters here.

    Attributes:
        text: all of it.
        documents: how many it has.
        unreadable: how many parts cannot be read.
    """

    text: str
    documents: int
    unreadable: int


@dataclass(slots=True)
class _Restless:
    stamp: object
    seen: float
    since: float
    wait: float


class Settling:
    """Watches the files that may not be whole; not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time) -> None:
        """Begin.

        Args:
            clock: seconds, for spans.
            now: seconds since 1970, as file systems have them.
        """
        self._clock = clock
        self._now = now
        self._restless: dict[str, _Restless] = {}

    @property
    def restless(self) -> frozenset[str]:
        """Paths to look at again."""
        return frozenset(self._restless)

    @property
    def due(self) -> float | None:
        """Seconds until one of them may be quiet; None where there is none."""
        waits = [item.seen + item.wait - self._clock() for item in self._restless.values()]
        return max(min(waits), 0.0) if waits else None

    def is_whole(
        self, path: str, stamp: object, changed: float, before: Look | None, after: Look, *, written: bool | None
    ) -> bool:
        """Whether a file counts as it is now.

        Args:
            path: the file.
            stamp: how it looks.
            changed: when it was written last, seconds since 1970.
            before: its last state; None where it is new.
            after: its state now.
            written: some program has it open for writing; None where nobody knows.
        """
        loss = before is not None and (after.documents < before.documents or after.unreadable > before.unreadable)
        alike = before is not None and _ends_alike(before.text, after.text)
        if not loss and (alike or written is False):
            self.forget(path)
            return True
        if written:
            return self._is_quiet(path, object(), QUIET, None)
        return self._is_quiet(path, stamp, QUIET_LOSS if loss else QUIET, changed)

    def is_gone(self, path: str) -> bool:
        """Whether a file that is not there counts as gone."""
        return self._is_quiet(path, None, QUIET_GONE, None)

    def forget(self, path: str) -> None:
        """It is as it was, or counts."""
        self._restless.pop(path, None)

    def keep(self, paths: frozenset[str]) -> None:
        """Forget all but these."""
        self._restless = {path: item for path, item in self._restless.items() if path in paths}

    def _is_quiet(self, path: str, stamp: object, wait: float, changed: float | None) -> bool:
        clock = self._clock()
        known = self._restless.get(path)
        if changed is not None and self._now() - changed > wait:
            self.forget(path)
            return True
        if known is not None and (
            (known.stamp == stamp and clock - known.seen >= wait) or clock - known.since >= MAX_RESTLESS
        ):
            self.forget(path)
            return True
        if known is None:
            self._restless[path] = _Restless(stamp, clock, clock, wait)
        elif known.stamp != stamp:
            self._restless[path] = _Restless(stamp, clock, known.since, wait)
        return False


def _ends_alike(one: str, other: str) -> bool:
    return bool(other) and one[-SAME_END:] == other[-SAME_END:]
