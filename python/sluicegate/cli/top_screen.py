"""How `top` looks: lines of a table, and the terminal that they stand on."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import sys
import termios
import tty
from collections.abc import Iterator

from sluicegate.controller.api import readable
from sluicegate.words import count, one_line

from .top_figures import RouteFigures, TopReport

_CLEAR, _HOME, _END_OF_LINE, _BELOW = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_BOLD, _RED, _DIM, _REVERSE, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[7m", "\x1b[0m"
#: Bytes that are read of what is typed, and one key of it: a sequence of a terminal, or a character.
_TYPED, _KEY = 256, re.compile(r"\x1b\[[\d;]*[A-Za-z~]|.", re.DOTALL)
#: Columns of the figures; the route has the rest of the line, but not less than this, nor more.
_FIGURES = 61
_LEAST, _MOST = 24, 72
#: Codes of the gateway's own answers that have place in the head.
_CODES = 4
_TITLES = ("REQ/S", "ERR/S", "4XX/S", "P50", "P99", "OPEN", "TOTAL")
HELP = "q quit   r rate  e errors  5 p50  9 p99  t total  n name   / filter   arrows scroll"


def lines_of(report: TopReport, order: str, wanted: str, width: int) -> list[str]:
    """The table, each line as wide as there is place; the first two are about the whole gateway."""
    answered = sorted(report.answered.items(), key=lambda item: (-item[1], item[0]))
    own = ", ".join(f"{code} {_rate(rate)}/s" for code, rate in answered[:_CODES])
    head = [
        f"{report.address}  generation {report.generation:,}  {count(report.connections, 'connection')}",
        f"{_rate(report.rate)} requests/s over {report.seconds:.1f} s" + (f"  answered itself: {own}" if own else ""),
    ]
    if report.unusable:
        head[0] += f"  {count(report.unusable, 'object')} cannot be used: sluicegate check says why"
    if wanted:
        head[1] += f"  filter: {wanted}"
    room = min(max(width - _FIGURES, _LEAST), _MOST)
    titles = "".join(f"{title:>{size}}" for title, size in zip(_TITLES, (9, 9, 9, 8, 8, 7, 11), strict=True))
    rows = [f"{f'ROUTE, by {order}':<{room}}{titles}", *(_row(item, room) for item in report.routes)]
    if not report.routes:
        rows.append("no route has had a request yet" if not wanted else "no route has this in its name")
    return [one_line(line)[:width] for line in (*head, *rows)]


def _row(item: RouteFigures, room: int) -> str:
    name = f"{readable(item.route)} on {item.listener.rpartition('/')[2]}"
    name = name if len(name) < room else f"{name[: room - 2]}…"
    open_now = f"{item.active:,}" if item.active is not None else "-"
    return (
        f"{name:<{room}}{_rate(item.rate):>9}{_rate(item.errors):>9}{_rate(item.client_errors):>9}"
        f"{_time(item.p50):>8}{_time(item.p99):>8}{open_now:>7}{item.total:>11,}"
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.1f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return (
        f"{seconds:.2f}s" if seconds >= 1 else f"{seconds * 1000:.1f}ms" if seconds < 0.1 else f"{seconds * 1000:.0f}ms"
    )


class Screen:
    """A terminal that is drawn on again and again, and gives keys."""

    def __init__(self, *, colored: bool) -> None:
        """Draw on standard output.

        Args:
            colored: with colours, and other signs than letters.
        """
        self._colored = colored

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Take the terminal, and give it back as it was, whatever happens."""
        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
        try:
            tty.setcbreak(number)
            self._write(f"{_ENTER}{_CLEAR}")
            yield
        finally:
            self._write(_LEAVE)
            termios.tcsetattr(number, termios.TCSADRAIN, before)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return shutil.get_terminal_size()

    def draw(self, lines: list[str], faulty: list[bool], last: str) -> None:
        """Show lines, as many as there is place for.

        Args:
            lines: as they are; the third one is a title.
            faulty: for each line behind that, whether it has errors.
            last: of the screen.
        """
        height = self.size[1]
        text = _HOME
        for number, line in enumerate(lines[: height - 1]):
            look = _BOLD if number < 2 else _REVERSE if number == 2 else ""
            look = _RED if number > 2 and faulty[number - 3 : number - 2] == [True] else look
            text += f"{look}{line}{_PLAIN}" if look and self._colored else line
            text += f"{_END_OF_LINE}\r\n"
        below = f"{_DIM}{last}{_PLAIN}" if self._colored else last
        self._write(f"{text}{_BELOW}\x1b[{height};1H{below}{_END_OF_LINE}")

    def keys(self, seconds: float) -> list[str]:
        """Keys that are typed within some seconds, up to the first ones; one that is empty: the terminal is gone."""
        if not select.select([sys.stdin.fileno()], [], [], max(seconds, 0))[0]:
            return []
        typed = os.read(sys.stdin.fileno(), _TYPED).decode(errors="replace")
        return _KEY.findall(typed) or [""]

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
