"""What `migrate` tells: the struct for programs, and lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from sluicegate.controller.api import Code, Diagnostic, Origin
from sluicegate.controller.ingress import FATES, LOSSES, NGINX, Conversion, Fate, Loss
from sluicegate.testing.migration import EVERYWHERE, Difference, Verification
from sluicegate.words import count, listed

#: `create`: it is not there; `change`: it is, and would be another; `none`: it is there as it would be.
Action = Literal["create", "change", "none"]

#: What each fate is called in the report.
TITLES: dict[Fate, str] = {
    "no-equivalent": "Lost: there is nothing like it",
    "invalid": "Wrong as it stands",
    "unknown-annotation": "Never did anything",
    "converted-with-difference": "Converted, with a difference",
    "dropped-harmless": "Dropped, and nothing is lost",
    "converted": "Converted",
}


#: `--verify` was asked for, and there is no model to ask.
NOT_VERIFIED: Code = "not-verified"
#: Differences that are shown to people; `--output json` has more.
SHOWN = 50
#: Characters of a value that people are shown; `--output json` has all of it.
SHOWN_VALUE = 100


class AppliedObject(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one object of `--apply`.

    Attributes:
        object: such as `HTTPRoute/shop/web`.
        action: what has to be done.
        diff: what is there and what will be, as a unified diff of YAML; empty where nothing changes.
        written: whether it was done.
        error: why it cannot be, or could not be done; empty: it was, or nobody wanted it.
    """

    object: str
    action: Action
    diff: str = ""
    written: bool = False
    error: str = ""


class DifferentEverywhere(msgspec.Struct, frozen=True, kw_only=True):
    """What is different for every host, whatever its Ingresses say: it is no loss.

    Attributes:
        name: of it, by which `verification.differences[].named` names it.
        there: what the source does.
        here: what the gateway does.
    """

    name: str
    there: str
    here: str


class MigrationReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/migration/v1"):
    """What `--output json` writes.

    Attributes:
        version: of the program.
        provider: whose Ingresses they are.
        documents: number of documents that were read.
        ingresses: number of Ingresses that were converted.
        hosts: number of their hosts.
        problems: files and objects that cannot be read, in the order of files and lines.
        fates: what became of each annotation and field that there is something to say of.
        counts: number of fates of each kind.
        everywhere: what is different for every host.
        verification: what `--verify` found; null without it, and where there is no model to ask: a problem says so.
        objects: the manifests, in the order in which they are to be applied.
        applied: what became of them in the cluster (`--apply`), in the order in which they are written.
        failed: whether the exit status is 1.
        lossy: whether there is a loss: the exit status is 3 then, or 1.
    """

    version: str
    provider: str
    documents: int
    ingresses: int
    hosts: int
    problems: tuple[Diagnostic, ...]
    fates: tuple[Loss, ...]
    counts: dict[Fate, int]
    everywhere: tuple[DifferentEverywhere, ...]
    verification: Verification | None
    objects: tuple[dict[str, Any], ...]
    applied: tuple[AppliedObject, ...]
    failed: bool
    lossy: bool


def report_of(
    conversion: Conversion,
    problems: Sequence[Diagnostic],
    *,
    version: str,
    provider: str,
    documents: int,
    verification: Verification | None = None,
) -> MigrationReport:
    """Make the report of a conversion.

    Args:
        conversion: it.
        problems: what could not be read.
        version: of the program.
        provider: of the conversion.
        documents: number of documents that were read.
        verification: what the comparison came to; None: nobody asked for it.
    """
    counts = Counter(item.fate for item in conversion.fates)
    return MigrationReport(
        version=version,
        provider=provider,
        documents=documents,
        ingresses=conversion.ingresses,
        hosts=conversion.hosts,
        problems=tuple(problems),
        fates=conversion.fates,
        counts={fate: counts[fate] for fate in FATES},
        everywhere=tuple(
            DifferentEverywhere(name=item.name, there=item.there, here=item.here)
            for item in (EVERYWHERE if provider == NGINX.name else ())
        ),
        verification=verification,
        objects=tuple(item.document for item in conversion.objects),
        applied=(),
        failed=any(item.severity == "error" for item in problems)
        or (verification is not None and verification.unnamed > 0),
        lossy=bool(conversion.losses),
    )


def with_applied(report: MigrationReport, applied: tuple[AppliedObject, ...]) -> MigrationReport:
    """The same with what became of the manifests in a cluster."""
    failed = report.failed or any(item.error for item in applied)
    return msgspec.structs.replace(report, applied=applied, failed=failed)


def lines_of(report: MigrationReport) -> Iterator[str]:
    """The report for people."""
    for problem in report.problems:
        yield str(problem)
    for fate, title in TITLES.items():
        found = [item for item in report.fates if item.fate == fate]
        if not found or fate not in LOSSES:
            continue
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for item in found for line in _lines(item))
    if report.verification is not None:
        yield from _verified(report.verification)
    if report.everywhere:
        yield ""
        yield from _everywhere(report.everywhere)
    yield ""
    harmless = count(report.counts["dropped-harmless"], "annotation")
    losses = sum(number for fate, number in report.counts.items() if fate in LOSSES)
    yield (
        f"{count(report.ingresses, 'Ingress').replace('Ingresss', 'Ingresses')} of {count(report.hosts, 'host')}: "
        f"{count(len(report.objects), 'object')}; {count(report.counts['converted'], 'annotation')} converted, "
        f"{harmless} dropped without harm, {count(losses, 'loss').replace('losss', 'losses')}"
    )


def _lines(item: Loss) -> Iterator[str]:
    place = f"{Origin(item.path, item.line)}: " if item.path else ""
    # A snippet may have a hundred lines, and is in the file that is named.
    value = item.value if len(item.value) <= SHOWN_VALUE else f"{item.value[:SHOWN_VALUE]}..."
    about = " ".join(part for part in (item.object, item.subject + (f": {value}" if value else "")) if part)
    host = f" ({item.host})" if item.host and item.host != item.value else ""
    yield f"{place}{about}{host}"
    yield f"    {item.message}{f'; {item.remedy}' if item.remedy else ''}"


def _everywhere(found: Sequence[DifferentEverywhere]) -> Iterator[str]:
    """What is different for every host is told once, and where to read of it."""
    yield f"Different for every host, whatever its Ingresses say ({len(found)}; no loss of any of them):"
    yield f"  {', '.join(item.name for item in found)}"
    yield '    what each is: --output html or json, or "What is different for every host" in docs/migration.md'


def _verified(found: Verification) -> Iterator[str]:
    """What the comparison came to: the figures, then differences, those that nobody names first."""
    for title, items in (
        ("Answered otherwise, and nothing above says so", [item for item in found.differences if not item.named]),
        ("Answered otherwise, as is said above", [item for item in found.differences if item.named]),
    ):
        if items:
            yield ""
            yield f"{title}:"
            yield from (f"  {line}" for item in items[:SHOWN] for line in _difference(item))
        if len(items) > SHOWN:
            yield f"  and {len(items) - SHOWN:,} more: --output json has them"
    yield ""
    yield (
        f"{count(found.asked, 'request')} asked of a model of ingress-nginx and of the manifests (seed {found.seed}): "
        f"{found.equal:,} answered alike, {found.named:,} otherwise and told, {found.unnamed:,} otherwise and not told"
    )


def _difference(item: Difference) -> Iterator[str]:
    yield item.curl
    yield f"    {item.edge}, from {item.client}; differs in {listed(item.differs)}"
    yield f"    there: {item.theirs}"
    yield f"    here: {item.ours}"
    for name in item.named:
        yield f"    told: {name}"
