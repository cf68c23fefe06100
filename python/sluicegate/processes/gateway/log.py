"""What a data plane tells: text on standard error, or JSON lines on standard output; repetitions once a minute."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict

import msgspec

from sluicegate.controller import caught

#: Seconds before the same thing is told again, and things that are remembered for that.
AGAIN, MAX_REMEMBERED = 60.0, 256


class Log:
    """Tells what happens."""

    def __init__(self, output: str) -> None:
        """Tell in `text` or `json`."""
        self._json = output == "json"
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def information(self, code: str, message: str, **values: object) -> None:
        """Tell what the data plane does."""
        self._write(code, message, values)

    def warning(self, code: str, message: str) -> None:
        """Tell what does not work; the same at most once a minute."""
        now, key = time.monotonic(), (code, message)
        if now - self._told.get(key, -AGAIN) < AGAIN:
            return
        self._told[key] = now
        self._told.move_to_end(key)
        while len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        if self._json:
            self._write("warning", message, {"code": code})
        else:
            self._write("warning", f"warning: {message}", {})

    def _write(self, event: str, message: str, values: dict[str, object]) -> None:
        """Write a line, if it can be: a full disk or a reader that is gone must not stop traffic."""
        try:
            if self._json:
                stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                line = msgspec.json.encode({"event": event, "time": stamp, **values, "message": message})
                sys.stdout.write(line.decode() + "\n")
                sys.stdout.flush()
            else:
                sys.stderr.write(message + "\n")
                sys.stderr.flush()
        except (OSError, ValueError) as error:
            caught.note("log", error)
