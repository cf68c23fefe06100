"""Exceptions that no input should cause, caught where they would cost more than the object or step that they are about.

Every such guard calls `note`, so that nothing is swallowed: the text says what to report, and `/metrics` has the count.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath
from typing import Literal, get_args

import msgspec

#: What was under way: a label of metrics (`docs/metrics.md`).
Stage = Literal["read", "store", "translate", "status", "watch", "write", "stream", "log", "step"]
STAGES: tuple[Stage, ...] = get_args(Stage)

#: What bytes raise that are no JSON of the shape that is asked for, whatever is odd about them: no fault of ours.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

#: Characters of an exception's own message that are told: it may quote a whole object.
MAX_MESSAGE = 200

_lock = threading.Lock()
_counts: Counter[Stage] = Counter()


def note(stage: Stage, error: BaseException) -> str:
    """Count an exception and say what it is.

    Args:
        stage: what was under way.
        error: the exception, with its traceback.

    Returns:
        A sentence for people, such as `a fault of the gateway (KeyError: 'x' at loader.py:52): please report it`.
    """
    with _lock:
        _counts[stage] += 1
    return f"a fault of the gateway ({describe(error)}): please report it"


def counts() -> Mapping[Stage, int]:
    """Exceptions so far, by stage."""
    with _lock:
        return dict(_counts)


def total() -> int:
    """Exceptions so far."""
    return sum(counts().values())


def describe(error: BaseException) -> str:
    """An exception, and the line that raised it; of a group the first one."""
    if isinstance(error, BaseExceptionGroup):
        return describe(error.exceptions[0])
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {PurePath(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place is not None else ""
    try:
        message = str(error)[:MAX_MESSAGE]
    except Exception:  # it is only its text
        message = ""
    message = message.encode(errors="backslashreplace").decode()
    return f"{type(error).__name__}{': ' if message else ''}{message}{where}"
