"""The report of a migration as one page of HTML: it needs nothing from elsewhere, and runs no script but its search."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from sluicegate.controller.api import Diagnostic, Origin
from sluicegate.controller.ingress import Loss
from sluicegate.testing.migration import Difference, Verification

from .migration_report import SHOWN, TITLES, MigrationReport

_STYLE = """\
:root { color-scheme: light dark; --line: #8884; --weak: #777; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { border-top: 1px solid var(--line); padding: .4rem .6rem; }
td, th { text-align: left; vertical-align: top; } code { font-size: .9em; overflow-wrap: anywhere; }
.place { color: var(--weak); white-space: nowrap; } input { font: inherit; padding: .4rem; width: 100%; }
[hidden] { display: none; }
"""
_SCRIPT = """\
document.querySelector("input").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\\s+/);
  for (const row of document.querySelectorAll("tbody tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  for (const part of document.querySelectorAll("section")) {
    part.hidden = !part.querySelector("tbody tr:not([hidden])");
  }
});
"""


def page_of(report: MigrationReport) -> str:
    """The page."""
    return "".join(_parts(report))


def _parts(report: MigrationReport) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>Migration from {_text(report.provider)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
    yield f"<h1>Migration from {_text(report.provider)}</h1>\n"
    yield f"<p>{report.ingresses:,} Ingresses of {report.hosts:,} hosts became {len(report.objects):,} objects.</p>\n"
    yield '<p><label>Search <input type="search" placeholder="host, annotation, file"></label></p>\n'
    if report.problems:
        yield _table("Cannot be read", ("place", "object", "what is wrong"), map(_problem, report.problems))
    if report.verification is not None:
        yield from _verified(report.verification)
    for host in sorted({item.host for item in report.fates if item.is_loss}, key=lambda name: (not name, name)):
        rows = [item for item in report.fates if item.is_loss and item.host == host]
        title = f"What changes for {host}" if host else "What changes for all hosts of an object"
        yield _table(title, ("place", "written", "what becomes of it"), map(_row, rows))
    rest = [item for item in report.fates if not item.is_loss]
    if rest:
        yield _table("Nothing is lost", ("place", "written", "what becomes of it"), map(_row, rest))
    if report.everywhere:
        heads = ("name", "there", "here")
        yield _table(
            "What is different for every host",
            heads,
            (_cells(item.name, item.there, item.here) for item in report.everywhere),
        )
    yield f"<p>Sluicegate {_text(report.version)}</p>\n<script>\n{_SCRIPT}</script>\n</body>\n</html>\n"


def _table(title: str, heads: tuple[str, ...], rows: Iterable[str]) -> str:
    columns = "".join(f"<th>{head}</th>" for head in heads)
    body = "".join(rows)
    head = f"<section>\n<h2>{_text(title)}</h2>\n<table>\n<thead><tr>{columns}</tr></thead>\n"
    return f"{head}<tbody>\n{body}</tbody>\n</table>\n</section>\n"


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
            heads = ("differs in", "request", "there, here, told")
            yield _table(title, heads, map(_difference, items[:SHOWN]))


def _difference(item: Difference) -> str:
    told = "".join(f". Told: {name}" for name in item.named)
    return _cells(", ".join(item.differs), item.curl, f"There: {item.theirs}. Here: {item.ours}{told}")


def _problem(item: Diagnostic) -> str:
    message = f"{item.message}{f'; {item.remedy}' if item.remedy else ''}"
    return _cells(str(Origin(item.path, item.line)), f"{item.object} {item.field}".strip(), message)


def _row(item: Loss) -> str:
    written = f"{item.object} {item.subject}{f': {item.value}' if item.value else ''}"
    message = f"{TITLES[item.fate]}. {item.message}{f'; {item.remedy}' if item.remedy else ''}"
    return _cells(str(Origin(item.path, item.line)), written, message)


def _cells(place: str, written: str, message: str) -> str:
    return (
        f'<tr><td class="place">{_text(place)}</td><td><code>{_text(written)}</code></td>'
        f"<td>{_text(message)}</td></tr>\n"
    )


def _text(value: str) -> str:
    return html.escape(value, quote=True)
