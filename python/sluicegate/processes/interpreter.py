"""The interpreter of a process that serves: its garbage collector, its memory, and how threads take turns."""

from __future__ import annotations

import ctypes
import gc
import sys

#: Allocations before the youngest generation is collected, and its collections before the next older one, and so on.
#: With Python's own (700, 10, 10) a changed route in a thousand waited up to 40 ms for a collection of everything, and
#: a sixth of the time that 10,000 routes take to load went into collections that found nothing.
THRESHOLDS = (50_000, 20, 100)

#: Seconds after which a thread that computes gives way to one that waits. A change goes to a thread and back several
#: times; with Python's own 5 ms each of these waits for whatever the other thread is at.
SWITCH_INTERVAL = 0.0005


#: The C library; `mallopt` and `malloc_trim` are glibc's, musl has one arena and gives back by itself.
_LIBRARY = ctypes.CDLL(None)
#: The number of `mallopt`'s setting of how many arenas there are (malloc.h of glibc).
M_ARENA_MAX = -8


def set_back() -> None:
    """Collect seldom: objects, once read, stay, and are no cycles; what was loaded is not walked through each time."""
    gc.set_threshold(*THRESHOLDS)


def share_memory() -> None:
    """Let all threads of Python take memory from one arena; has to come before there are threads.

    Each arena keeps what it has free. They take turns anyway, and the engine has an allocator of its own.
    """
    mallopt = getattr(_LIBRARY, "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def settle() -> None:
    """Collect once, then leave alone what is there: modules, settings, the first configuration."""
    gc.collect()
    gc.freeze()
    trim = getattr(_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(0)
    set_back()
    sys.setswitchinterval(SWITCH_INTERVAL)
