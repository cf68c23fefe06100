"""When a round of the loop may begin: at once for what comes alone, together for what goes on coming.

A round costs much the same for one object as for a few, here and in each data plane, and a burst of objects has to
leave CPU to whoever makes them. So the pause after a round doubles from `LEAST` to `MOST` while rounds find more than
one object that changed, and is `LEAST` again once one did not. The time between rounds tells nothing: whoever makes a
route as soon as the last one serves comes within each pause, however long it is, and would wait for the whole of it.
"""

from __future__ import annotations

#: Seconds from the end of a round to the next one: where objects come one by one, and while they go on coming.
LEAST, MOST = 0.005, 0.02


class Rest:
    """The pause between two rounds; times are those of one clock, in seconds."""

    def __init__(self) -> None:
        """Begin rested."""
        self._ended = float("-inf")
        self._pause = LEAST

    def left(self, now: float) -> float:
        """Seconds until the next round may begin."""
        return max(self._ended + self._pause - now, 0.0)

    def begin(self, now: float, changes: int) -> None:
        """A round has ended, in which so many objects had changed."""
        self._ended = now
        self._pause = min(self._pause * 2, MOST) if changes > 1 else LEAST
