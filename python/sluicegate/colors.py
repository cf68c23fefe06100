"""Colours for people, on terminals only: what is wrong stands out, what lost stays back.

Lines are painted at the very end, when they are written: whatever makes them knows nothing of colours, and no text of
an object can begin one (`words.one_line`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TextIO

#: `--color`: what it may be.
CHOICES = ("auto", "always", "never")

_END = "\x1b[0m"
_RED, _YELLOW, _GREEN, _CYAN, _BOLD, _DIM = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[36m", "\x1b[1m", "\x1b[2m"

#: What of a line is painted, and how; the first rule that finds something holds.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # The severity of a diagnostic, behind file and line where it has them.
    (re.compile(r"^\s*(?:[^\s:]+(?::\d+)?: )?(error): "), _RED),
    (re.compile(r"^\s*(?:[^\s:]+(?::\d+)?: )?(warning): "), _YELLOW),
    # The summary of `serve`.
    (re.compile(r"^(Sluicegate \S+ is ready)"), _BOLD),
    (re.compile(r"^(Sluicegate \S+ does not start)"), _RED),
    (re.compile(r"^  \S+  (not bound: .*)"), _RED),
    (re.compile(r"^Try: (.*)"), _CYAN),
    (re.compile(r"^(live after|solved:)"), _GREEN),
    # `explain`: who lost, and what is wrong.
    (re.compile(r"^(  (?:not by|not:|holds too).*)"), _DIM),
    (re.compile(r"^(  (?:problem|not served:)).*"), _RED),
    (re.compile(r"^  (answer    [45]\d\d .*|closed .*|dropped .*)"), _RED),
    # `check`: a condition that is not as it should be.
    (re.compile(r"^  (?:[^=]*: )?(\w+=False \(\w+\))"), _YELLOW),
)


def wants_color(choice: str, stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether what goes to a stream has colours.

    Args:
        choice: one of `CHOICES`; `auto`: on a terminal, unless `NO_COLOR` is set to something (no-color.org) or the
            terminal is `dumb`.
        stream: where lines go.
        environment: `os.environ`.
    """
    if choice != "auto":
        return choice == "always"
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    return is_terminal(stream)


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at what goes to a stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def painted(text: str) -> str:
    """Lines with colours."""
    return "\n".join(map(_painted_line, text.split("\n")))


def _painted_line(line: str) -> str:
    for pattern, color in _RULES:
        found = pattern.match(line)
        if found is not None:
            start, end = found.span(1)
            return f"{line[:start]}{color}{line[start:end]}{_END}{line[end:]}"
    return line
