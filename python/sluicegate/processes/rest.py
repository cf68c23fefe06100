"""When a round of the loop may begin: at once for what comes alone, together for what goes on coming.

A round costs much the same for one object as for a few, here and in each data plane, and a burst of objects has to
leave CPU to whoever makes them. So the pause after a round doubles from `LEAST` to `MOST` while the next one would have
begun within it, and is `LEAST` again once none did.
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
        """Seconds until the next round may begin; asked once for each, when there is something for it."""
        left = self._ended + self._pause - now
        self._pause = min(self._pause * 2, MOST) if left > 0 else LEAST
        return max(left, 0.0)

    def begin(self, now: float) -> None:
        """A round has ended."""
        self._ended = now
