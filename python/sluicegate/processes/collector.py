"""The garbage collector of a process that serves: what was loaded at start is not walked through again and again."""

from __future__ import annotations

import gc

#: Allocations before the youngest generation is collected, and its collections before the next older one, and so on.
#: With Python's own (700, 10, 10) a changed route in a thousand waited up to 40 ms for a collection of everything, and
#: a sixth of the time that 10,000 routes take to load went into collections that found nothing.
THRESHOLDS = (50_000, 20, 100)


def set_back() -> None:
    """Collect seldom: objects, once read, stay, and are no cycles."""
    gc.set_threshold(*THRESHOLDS)


def settle() -> None:
    """Collect once, then leave alone what is there: modules, settings, the first configuration."""
    gc.collect()
    gc.freeze()
    set_back()
