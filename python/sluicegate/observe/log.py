"""What a process tells: the standard library's `logging`, as lines for people or JSON objects for programs.

A record has a code that stays (`stream_broken`), a sentence for people, and fields. What
libraries warn of looks the same (`Log.take_over`).

Rules:
- Lines are written on a thread of their own, from a queue with a limit: a terminal that stands still, a pipe that
  nobody reads or a full disk stops nothing. What finds no room is counted, and told when there is room again.
- The same warning or error is told once in `AGAIN` seconds, then with how often it came meanwhile (`once.py`). Of what
  comes and goes (`about`) the last word is told in any case, if not at once.
- People get messages on standard error, and the summary that they wait for on standard output; programs get everything
  on standard output, one object a line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from typing import TextIO

import msgspec

from sluicegate.colors import painted, wants_color
from sluicegate.controller import caught
from sluicegate.words import one_line

from .once import OncePerMinute, code_of

#: Lines that wait to be written.
MAX_QUEUED = 4_096
#: Seconds after which it is looked whether something that was kept back is due.
LOOK_AGAIN = 1.0
#: Seconds that the end of a process waits for lines to be written.
CLOSE_LIMIT = 0.5
#: The least that is told, by name.
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Log:
    """Tells what happens."""

    def __init__(
        self,
        output: str,
        level: str = "info",
        out: TextIO | None = None,
        err: TextIO | None = None,
        color: str = "never",
    ) -> None:
        """Tell what is told here; `take_over` has the rest told too.

        Args:
            output: `text` or `json`.
            level: the least that is told: `debug`, `info`, `warning` or `error`.
            out: standard output.
            err: standard error.
            color: whether text has colours: `auto` (on terminals), `always` or `never`.
        """
        self.is_json = output == "json"
        out, err = out if out is not None else sys.stdout, err if err is not None else sys.stderr
        self._handler = _Handler(out, err, "never" if self.is_json else color)
        self._handler.setFormatter(_JsonFormatter() if self.is_json else _TextFormatter())
        self._logger = logging.Logger("sluicegate", LEVELS[level])
        self._logger.addHandler(self._handler)

    def take_over(self) -> None:
        """Be the log of the whole process: what libraries warn of is told here too."""
        logging.getLogger().handlers = [self._handler]

    def debug(self, code: str, message: str, **fields: object) -> None:
        """Tell what only helps to find a fault."""
        self._tell(logging.DEBUG, code, message, fields)

    def information(self, code: str, message: str, **fields: object) -> None:
        """Tell what the process does."""
        self._tell(logging.INFO, code, message, fields)

    def warning(self, code: str, message: str, **fields: object) -> None:
        """Tell what does not work as it should."""
        self._tell(logging.WARNING, code, message, fields)

    def state(self, about: str, code: str, message: str) -> None:
        """Tell how something is now that comes and goes, as a warning: the last of these is what the log ends with.

        Args:
            about: what it is; empty: nothing that comes and goes.
            code: stays, for programs.
            message: for people.
        """
        self._tell(logging.WARNING, code, message, {}, about=about)

    def error(self, code: str, message: str, **fields: object) -> None:
        """Tell what ends the process, or is served no more."""
        self._tell(logging.ERROR, code, message, fields)

    def summary(self, code: str, text: str, **fields: object) -> None:
        """Tell what somebody waits for: people get the text, on standard output; programs get the fields alone."""
        self._tell(logging.INFO, code, "" if self.is_json else text, fields, is_news=True, is_summary=True)

    def news(self, level: str, code: str, text: str, **fields: object) -> None:
        """Tell what is new each time that it is: people get the text as it is; programs get the fields alone."""
        self._tell(LEVELS[level], code, "" if self.is_json else text, fields, is_news=True)

    def close(self) -> None:
        """Have written what was told or kept back, as far as that takes no longer than `CLOSE_LIMIT`."""
        self._handler.end()
        self._handler.flush()

    def _tell(self, level: int, code: str, message: str, fields: dict[str, object], **marks: object) -> None:
        self._logger.log(level, "%s", message, extra={"code": code, "fields": fields, **marks})


class _Handler(logging.Handler):
    """Writes lines on a thread of its own."""

    def __init__(self, out: TextIO, err: TextIO, color: str) -> None:
        super().__init__()
        self._once = OncePerMinute(self._wake)
        self.addFilter(self._once)
        self._out = out
        self._err = err
        self._paints = {id(stream): wants_color(color, stream, os.environ) for stream in (out, err)}
        self._lost = 0
        #: None: there is something to wait for besides lines.
        self._lines: queue.Queue[tuple[TextIO, str] | None] = queue.Queue(MAX_QUEUED)
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line on the queue."""
        is_output = isinstance(self.formatter, _JsonFormatter) or getattr(record, "is_summary", False)
        stream = self._out if is_output else self._err
        try:
            text = self.format(record)
            self._lines.put_nowait((stream, painted(text) if self._paints[id(stream)] else text))
        except queue.Full:
            self._lost += 1
        except Exception as error:  # such as a field that JSON does not have
            caught.note("log", error)

    def end(self) -> None:
        """Put what was kept back on the queue, since nothing comes behind it any more."""
        self._once.tell_waiting(self.emit, all_of_them=True)

    def flush(self) -> None:
        """Wait until the queue is empty, at most `CLOSE_LIMIT`."""
        lines = self._lines
        with lines.all_tasks_done:
            lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, CLOSE_LIMIT)

    def _wake(self) -> None:
        with contextlib.suppress(queue.Full):  # then it is awake
            self._lines.put_nowait(None)

    def _write_all(self) -> None:
        while True:
            try:
                taken = self._lines.get(timeout=LOOK_AGAIN if self._once.waits else None)
            except queue.Empty:
                self._once.tell_waiting(self.emit)
                continue
            self._once.tell_waiting(self.emit)
            if taken is not None:
                stream, line = taken
                _write(stream, line)
                self._tell_lost(stream)
            self._lines.task_done()

    def _tell_lost(self, stream: TextIO) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            text = f"{lost:,} lines of the log were lost: they came faster than they could be written"
            record = logging.LogRecord("sluicegate", logging.WARNING, "", 0, text, None, None)
            record.code = "log_lost"
            _write(stream, self.format(record))


class _TextFormatter(logging.Formatter):
    """For people: the sentence."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, without the end of its line."""
        if record.levelno < logging.WARNING or getattr(record, "is_news", False):
            # What is served has a line for each listener; no line of it writes on the terminal otherwise.
            return "\n".join(map(one_line, _message(record).split("\n")))
        return f"{_level(record)}: {one_line(_message(record))}"


class _JsonFormatter(logging.Formatter):
    """For programs: an object with the code as `event`; of warnings and errors the level is the event."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, without the end of its line."""
        code, message = code_of(record), _message(record)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        found: dict[str, object] = {"event": code, "time": stamp}
        if record.levelno >= logging.WARNING and not getattr(record, "is_news", False):
            found |= {"event": _level(record), "code": code}
        found |= getattr(record, "fields", {})
        if message:
            found["message"] = message
        return msgspec.json.encode(found).decode()


def _level(record: logging.LogRecord) -> str:
    return "warning" if record.levelno < logging.ERROR else "error"


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.exc_info is not None and record.exc_info[1] is not None:
        message = f"{message}: {caught.describe(record.exc_info[1])}"
    kept_back = getattr(record, "kept_back", 0)
    return f"{message} ({kept_back:,} times more since it was told)" if kept_back else message


def _write(stream: TextIO, text: str) -> None:
    """Write a line, if it can be: an encoding without a character, a full disk, a reader that is gone stop nothing."""
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except (OSError, ValueError) as error:
        caught.note("log", error)


__all__ = ["LEVELS", "Log"]
