"""Which warnings and errors are told: the same one once a minute, and of what comes and goes always the last word."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

#: Seconds before the same thing is told again, and things that are remembered for that.
AGAIN, MAX_REMEMBERED = 60.0, 256

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class _Key(NamedTuple):
    """What makes two records the same."""

    code: str
    message: str


class OncePerMinute(logging.Filter):
    """Lets the same warning or error through once in `AGAIN` seconds, with how often it came meanwhile.

    A record that is `about` something says how that is now. If it is kept back, and something else about the same was
    told since, the log would end with what is no longer so: it waits until its time is over, and is told then unless a
    later one about the same was. So each is told as often as before at most, and the last one is the last word.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Begin with nothing told; `wake` is called when something begins to wait."""
        super().__init__()
        self._wake = wake
        #: The same thread may come again within: what a record is made of may log as it becomes text, and so may what
        #: the collector of garbage ends meanwhile, such as a task whose exception nobody took.
        self._lock = threading.RLock()
        #: When each was told, and how often it was not since.
        self._told: OrderedDict[_Key, tuple[float, int]] = OrderedDict()
        #: By what they are about: what was told last, and what waits.
        self._last_word: OrderedDict[str, _Key] = OrderedDict()
        self._waiting: dict[str, logging.LogRecord] = {}
        #: Nothing that waits is due before: it is looked at with each line that is written.
        self._due = math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is told now."""
        if record.levelno < logging.WARNING or getattr(record, "is_news", False):
            return True
        try:
            record.getMessage()
        except Exception:  # a fault of whoever logs, or of a value: it is counted where it is written
            return True
        with self._lock:
            waited = self.waits
            is_told = self._is_told(record)
            begins = self.waits and not waited
        if begins:
            self._wake()
        return is_told

    @property
    def waits(self) -> bool:
        """Whether something is to be told later."""
        return bool(self._waiting)

    def tell_waiting(self, tell: Callable[[logging.LogRecord], None], *, all_of_them: bool = False) -> None:
        """Tell what has waited for long enough, or all of it; nothing else is decided on meanwhile."""
        if not self._waiting or (time.monotonic() < self._due and not all_of_them):
            return
        with self._lock:
            now, self._due = time.monotonic(), math.inf
            for record in list(self._waiting.values()):
                key = _key(record)
                told, kept_back = self._told.get(key, (-AGAIN, 1))
                if all_of_them or now - told >= AGAIN:
                    self._note(record, key, now, kept_back - 1)  # it is one of those that were kept back
                    tell(record)
                else:
                    self._due = min(self._due, told + AGAIN)

    def _is_told(self, record: logging.LogRecord) -> bool:
        key, about = _key(record), str(getattr(record, "about", ""))
        now, (told, kept_back) = time.monotonic(), self._told.get(key, (-AGAIN, 0))
        if now - told >= AGAIN:
            self._note(record, key, now, kept_back)
            return True
        if about and self._last_word.get(about) == key:
            self._waiting.pop(about, None)  # the log ends with it already
        elif about and (about in self._waiting or len(self._waiting) < MAX_REMEMBERED):
            self._waiting[about] = record
            self._due = min(self._due, told + AGAIN)
        elif about:  # too many wait: better once too often than not at all
            self._note(record, key, now, kept_back)
            return True
        self._told[key] = (told, kept_back + 1)
        return False

    def _note(self, record: logging.LogRecord, key: _Key, now: float, kept_back: int) -> None:
        """A record is told now."""
        record.kept_back = kept_back
        _put(self._told, key, (now, 0))
        about = str(getattr(record, "about", ""))
        if about:
            self._waiting.pop(about, None)
            _put(self._last_word, about, key)


def code_of(record: logging.LogRecord) -> str:
    """Its code; of what a library tells, the library."""
    return str(getattr(record, "code", None) or record.name)


def _key(record: logging.LogRecord) -> _Key:
    return _Key(code_of(record), record.getMessage())


def _put(table: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    """Put something in as the newest; the oldest goes where there is too much."""
    table[key] = value
    table.move_to_end(key)
    while len(table) > MAX_REMEMBERED:
        table.popitem(last=False)
