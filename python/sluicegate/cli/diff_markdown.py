"""What `diff` tells as a comment of a pull request: Markdown in which no text of an object is anything but text.

Differences are HTML that is folded, so that what a browser shows is short. A comment has room for 65,536 characters.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from sluicegate.controller.api import Diagnostic
from sluicegate.words import count, one_line

from .diff_report import DiffReport, details_of, problems_of, summary_of, title_of, told_lines

#: Characters of the whole, and of its problems; hosts of code take 65,536.
MAX_MARKDOWN, MAX_PROBLEMS = 60_000, 15_000


def markdown_of(report: DiffReport) -> str:
    """The report as Markdown, at most `MAX_MARKDOWN` characters."""
    found = report.comparison
    title = f"{count(found.different, 'request')} answered otherwise" if found.different else "No request changes"
    parts = [f"### {title}\n\n", *(f"{_text(line)}.\n\n" for line in summary_of(report))]
    unread = [item.path for item in (report.old, report.new) if item.unreadable]
    parts += [f"Something of <code>{_text(path)}</code> cannot be read and was not compared.\n\n" for path in unread]
    problems = "".join(_problems(report))
    room = MAX_MARKDOWN - sum(map(len, parts)) - len(problems) - 200
    left = found.groups
    for item in found.differences:
        part = _folded(title_of(item), details_of(item))
        if len(part) > room:
            break
        room -= len(part)
        left -= 1
        parts.append(part)
    if left:
        parts.append(f"And {count(left, 'such list')} more: `sluicegate diff --output json` has them.\n\n")
    return "".join(parts) + problems


def _problems(report: DiffReport) -> Iterator[str]:
    room = MAX_PROBLEMS
    for title, items in problems_of(report):
        told = [item for item in items if item.severity != "info"]
        if not told:
            continue
        part = _folded(f"{title} ({len(told):,})", _fitting(told, room))
        room = max(0, room - len(part))
        yield part


def _fitting(items: list[Diagnostic], room: int) -> Iterator[str]:
    """Lines of problems that there is room for."""
    for number, line in enumerate(told_lines(items)):
        room -= len(_text(line)) + 1
        if room < 0:
            yield f"and {len(items) - number:,} more: sluicegate check has all"
            return
        yield line.strip()


def _folded(title: str, lines: Iterable[str]) -> str:
    """HTML without an empty line, which would end it: nothing in it is read as Markdown."""
    text = "\n".join(_text(line) for line in lines)
    return f"<details>\n<summary><code>{_text(title)}</code></summary>\n<pre>\n{text}\n</pre>\n</details>\n\n"


def _text(value: str) -> str:
    return html.escape(one_line(value), quote=True)
