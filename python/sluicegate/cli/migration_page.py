"""The report of a migration as one page of HTML: it needs nothing from elsewhere, and runs no script but its search.

For each host what changes for its clients. What is of an Ingress stands with each of its hosts, unless they are many.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sluicegate.controller.api import Diagnostic, Origin
from sluicegate.controller.ingress import FATES, PROVIDERS, Fate, Loss
from sluicegate.testing.migration import Difference, Verification
from sluicegate.words import count

from .migration_page_parts import SCRIPT, STYLE
from .migration_report import NOT_VERIFIED, SHOWN, TITLES, MigrationReport

#: Hosts of an Ingress with which its losses stand; of one with more they have a part of their own.
MAX_HOSTS = 32
_NAME = re.compile("`([^`]+)`")
#: Parts of a page that are open from the beginning.
MAX_OPEN = 12


class _Part(NamedTuple):
    """A part of the page.

    Attributes:
        title: of it.
        rows: losses.
        name: what it is about, shown as it is written; empty: the title says it.
    """

    title: str
    rows: Sequence[Loss]
    name: str = ""


def page_of(report: MigrationReport, hosts: Mapping[str, Sequence[str]]) -> str:
    """The page.

    Args:
        report: what it shows.
        hosts: of each Ingress, by its name in the report.
    """
    return "".join(_lines(report, list(_parts(report.fates, hosts))))


def _lines(report: MigrationReport, parts: Sequence[_Part]) -> Iterator[str]:
    title = f"Migration from {_text(PROVIDERS[report.provider].title)}"
    policy = f"default-src 'none'; style-src {_digest(STYLE)}; script-src {_digest(SCRIPT)}"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_text(policy)}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
    ingresses = count(report.ingresses, "Ingress").replace("Ingresss", "Ingresses")
    yield f"<p>{ingresses} of {count(report.hosts, 'host')} became {count(len(report.objects), 'object')}.</p>\n"
    yield from _controls(report)
    yield "</header>\n<main>\n"
    unproved = [item for item in report.problems if item.code == NOT_VERIFIED]
    unread = [item for item in report.problems if item.code != NOT_VERIFIED]
    for title, problems in (("Cannot be read", unread), ("Not verified", unproved)):
        if problems:
            yield f"<section>\n<h2>{title}</h2>\n{_table(map(_problem, problems))}</section>\n"
    if report.verification is not None:
        yield from _verified(report.verification)
    for part in parts:
        yield _section(part, is_open=len(parts) <= MAX_OPEN)
    kept = [item for item in report.fates if not item.is_loss]
    if kept:
        yield _section(_Part("Nothing is lost", kept), is_open=False)
    if report.everywhere:
        rows = (_cells("", f"<p>{_prose(item.here)}</p>", item.there, item.name) for item in report.everywhere)
        table = _table(rows, ("Here", "There", "Name"))
        yield f"<details>\n<summary><h2>What is different for every host</h2></summary>\n{table}</details>\n"
    yield f"</main>\n<footer><p>Sluicegate {_text(report.version)}</p></footer>\n"
    yield f"<script>{SCRIPT}</script>\n</body>\n</html>\n"


def _controls(report: MigrationReport) -> Iterator[str]:
    """What is searched for, and which fates are shown."""
    yield '<p class="search"><label for="search">Search</label> '
    yield '<input id="search" type="search" placeholder="host, annotation, file" aria-describedby="found" '
    yield 'aria-keyshortcuts="/" autocomplete="off"></p>\n<fieldset>\n<legend>Show</legend>\n'
    for fate in FATES:
        if report.counts[fate]:
            number = f'<span class="count">{report.counts[fate]:,}</span>'
            box = f'<input type="checkbox" value="{fate}" checked>'
            yield f"<label>{box} {TITLES[fate]} {number}</label>\n"
    yield '</fieldset>\n<p id="found" role="status" aria-live="polite"></p>\n'


def _parts(fates: Iterable[Loss], hosts: Mapping[str, Sequence[str]]) -> Iterator[_Part]:
    """What is of everything, then hosts by name, then Ingresses of very many hosts."""
    of_all: list[Loss] = []
    by_host: dict[str, list[Loss]] = {}
    by_object: dict[str, list[Loss]] = {}
    for item in fates:
        known = [item.host] if item.host else hosts.get(item.object, ())
        if not item.is_loss:
            continue
        if not known:
            of_all.append(item)
        elif len(known) > MAX_HOSTS:
            by_object.setdefault(item.object, []).append(item)
        else:
            for host in known:
                by_host.setdefault(host, []).append(item)
    if of_all:
        yield _Part("What changes for all hosts", of_all)
    for host in sorted(by_host):
        yield _Part("What changes for", by_host[host], host or "all other hosts")
    for name in sorted(by_object):
        yield _Part(f"What changes for the {len(hosts[name]):,} hosts of", by_object[name], name)


def _section(part: _Part, *, is_open: bool) -> str:
    """A part that can be opened, with how much there is of each fate."""
    counts = Counter(item.fate for item in part.rows)
    shown = " ".join(_badge(fate, f"{counts[fate]:,}") for fate in FATES if counts[fate])
    name = f" <bdi>{_text(part.name)}</bdi>" if part.name else ""
    head = f"<details{' open' if is_open else ''}>\n<summary><h2>{_text(part.title)}{name}</h2> {shown}</summary>\n"
    return f"{head}{_table(map(_row, part.rows))}</details>\n"


def _table(rows: Iterable[str], heads: Iterable[str] = ("What becomes of it", "Written", "Place")) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n</table>\n"


def _verified(found: Verification) -> Iterator[str]:
    yield (
        f"<p>{found.asked:,} requests asked of a model of ingress-nginx and of the manifests (seed {found.seed}): "
        f"{found.equal:,} answered alike, {found.named:,} otherwise and told, "
        f"{found.unnamed:,} otherwise and not told.</p>\n"
    )
    for title, items in (
        ("Answered otherwise, and nothing says so", [item for item in found.differences if not item.named]),
        ("Answered otherwise, and told", [item for item in found.differences if item.named]),
    ):
        if items:
            table = _table(map(_difference, items[:SHOWN]), ("There, here, told", "Request", "Differs in"))
            yield f"<details>\n<summary><h2>{title}</h2></summary>\n{table}</details>\n"


def _difference(item: Difference) -> str:
    told = "".join(f"<p>Told: {_text(name)}</p>" for name in item.named)
    answers = f"<p>There: {_text(str(item.theirs))}</p><p>Here: {_text(str(item.ours))}</p>{told}"
    return _cells("", answers, item.curl, ", ".join(item.differs))


def _problem(item: Diagnostic) -> str:
    message = f"<p>{_prose(item.message)}</p>{_remedy(item.remedy)}"
    return _cells("", message, f"{item.object} {item.field}".strip(), str(Origin(item.path, item.line)))


def _row(item: Loss) -> str:
    written = f"{item.object} {item.subject}{f': {item.value}' if item.value else ''}"
    message = f"{_badge(item.fate, TITLES[item.fate])}<p>{_prose(item.message)}</p>{_remedy(item.remedy)}"
    return _cells(item.fate, message, written, str(Origin(item.path, item.line)))


def _badge(fate: Fate, words: str) -> str:
    return f'<span class="badge {fate}" title="{TITLES[fate]}">{words}</span>'


def _remedy(remedy: str) -> str:
    return f'<p class="remedy">{_prose(remedy)}</p>' if remedy else ""


def _cells(fate: str, message: str, written: str, place: str) -> str:
    """A row; `message` is HTML, all else is text."""
    return (
        f'<tr data-fate="{fate}"><td>{message}</td><td><code>{_text(written)}</code></td>'
        f'<td class="place">{_text(place)}</td></tr>\n'
    )


def _text(value: str) -> str:
    return html.escape(value, quote=True)


def _prose(value: str) -> str:
    """A text in which names stand between grave accents."""
    return _NAME.sub(r"<code>\1</code>", _text(value))


def _digest(text: str) -> str:
    """A source of a content security policy that is this text alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
