"""What `diff` tells: the struct for programs, and lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sluicegate.controller.api import Diagnostic
from sluicegate.testing.difference import MAX_PROBES, Comparison, Difference
from sluicegate.words import count

from .destination import Destination

#: Differences and problems that people are shown; `--output json` has more.
SHOWN = 50
#: Characters of a value that people are shown.
SHOWN_VALUE = 300


class SetReport(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two sets.

    Attributes:
        path: that was given.
        documents: number of documents that were read.
        problems: as `check` tells them, in the order of files and lines.
        unreadable: whether something of it cannot be read, so that it is not part of the comparison.
    """

    path: str
    documents: int
    problems: tuple[Diagnostic, ...]
    unreadable: bool


class DiffReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/diff/v1"):
    """What `--output json` writes.

    Attributes:
        version: of the program.
        destination: what both sets were looked at for.
        endpoints: whether a backend without endpoints has none; else it is taken to have one.
        old: the first set.
        new: the second one.
        comparison: what it came to.
        failed: whether the exit status is 1; else it is 3 where a request is answered otherwise.
    """

    version: str
    destination: Destination
    endpoints: bool
    old: SetReport
    new: SetReport
    comparison: Comparison
    failed: bool


def problems_of(report: DiffReport) -> Iterator[tuple[str, list[Diagnostic]]]:
    """Problems with a title: those of the new set alone, those of the old one alone, those of both."""
    old, new = ({_what(item): item for item in each.problems} for each in (report.old, report.new))
    yield "Problems of NEW alone", [item for key, item in new.items() if key not in old]
    yield "Problems of OLD alone", [item for key, item in old.items() if key not in new]
    yield "Problems of both", [item for key, item in new.items() if key in old]


def _what(item: Diagnostic) -> tuple[str, ...]:
    """A problem without its place."""
    return item.object or item.path, item.field, item.severity, item.code, item.message


def summary_of(report: DiffReport) -> Iterator[str]:
    """What the comparison came to, in sentences."""
    found = report.comparison
    same = (
        f"both say the same of {count(found.unchanged, 'host')}, for which nothing was asked" if found.unchanged else ""
    )
    if not found.asked:
        yield f"No request is answered otherwise{f': {same}' if same else ''}"
        return
    sampled = f" of {found.made:,}, drawn (at most {MAX_PROBES:,}; --seed)" if found.asked < found.made else ""
    requests = f"{count(found.asked, 'request')}{sampled} of {count(found.hosts, 'host')} asked of both sets"
    yield f"{requests}: {found.different:,} answered otherwise{f'; {same}' if same else ''}"
    if found.aspects:
        yield f"Differences in {', '.join(f'{aspect} ({number:,})' for aspect, number in found.aspects.items())}"


def title_of(item: Difference) -> str:
    """Listener and host of a difference, and how many requests it is."""
    return f"{item.listener or 'no listener'}  {item.host}  ({count(item.requests, 'request')})"


def details_of(item: Difference) -> Iterator[str]:
    """What a difference consists of."""
    if item.old_rule == item.new_rule:
        yield f"rule      {item.new_rule or 'none'}"
    else:
        yield f"rule      {item.old_rule or 'none'} -> {item.new_rule or 'none'}"
    for change in item.changes:
        yield f"{change.aspect:<10}{_cut(change.old)} -> {_cut(change.new)}"
    yield f"such as   {item.example}{f'  ({item.about})' if item.about else ''}"
    yield from (f"          {header}" for header in item.headers)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE]}..."


def lines_of(report: DiffReport) -> Iterator[str]:
    """The report for people."""
    what, other = ("a cluster", "standalone") if report.destination == "cluster" else ("sluicegate serve", "cluster")
    yield f"Compared for {what} (--for {other}: the other way)"
    found = report.comparison
    for item in found.differences[:SHOWN]:
        yield ""
        yield title_of(item)
        yield from (f"  {line}" for line in details_of(item))
    if found.groups > SHOWN:
        yield ""
        yield f"and {found.groups - SHOWN:,} more such lists: --output json has {len(found.differences):,}"
    for title, items in problems_of(report):
        yield from _problems(title, items)
    yield ""
    yield from summary_of(report)
    for each in (report.old, report.new):
        if each.unreadable:
            yield f"Something of {each.path} cannot be read, and is not part of the comparison"


def _problems(title: str, items: list[Diagnostic]) -> Iterator[str]:
    told = [item for item in items if item.severity != "info"]
    if not told:
        return
    yield ""
    yield f"{title}:"
    yield from told_lines(told)


def told_lines(items: Iterable[Diagnostic]) -> Iterator[str]:
    """Problems, those that there is room for."""
    found = list(items)
    yield from (f"  {item}" for item in found[:SHOWN])
    if len(found) > SHOWN:
        yield f"  and {len(found) - SHOWN:,} more: sluicegate check has all"
