"""`sluicegate check`: what the API server and the controller would say about manifests."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from sluicegate import __version__
from sluicegate.controller.api import Diagnostic
from sluicegate.controller.sources.files import Document
from sluicegate.controller.sources.files.source import placed
from sluicegate.controller.translate import Translation, to_document
from sluicegate.schema import violations
from sluicegate.testing.offline import load_offline

from .exit_status import ExitStatus
from .manifests import CONTROLLER_NAME, settings_of
from .options import CONFIG, PATHS, Command, Option
from .output import count
from .roles import refuse
from .sarif import to_sarif

#: What the API server would refuse.
SCHEMA_CODES = frozenset({"schema", "rule", "unknown-field", "unknown-kind", "unknown-version"})
#: Codes of problems about what is not there: what may well be in the cluster and not in these files.
REFERENCE_CODES = frozenset(
    {
        "backend-not-found",
        "foreign-class",
        "foreign-parent",
        "invalid-ca-certificate-ref",
        "invalid-certificate-ref",
        "no-endpoints",
        "no-parent",
        "ref-not-permitted",
        "target-not-found",
        "unused-policy",
    }
)


def _run(given: argparse.Namespace) -> int:
    try:
        settings = settings_of(given)
    except (ValueError, OSError) as error:
        return refuse(str(error))
    progress = _progress if given.output == "text" else None
    # What the schemas say is told below, with fields and remedies apart.
    offline = load_offline(given.paths, settings.controller_name, validate=None, progress=progress)
    if given.output == "text" and sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    documents = offline.source.documents()
    found = sorted({*schema_diagnostics(documents), *offline.diagnostics()}, key=Diagnostic.order)
    found = without_echoes(found)
    if given.output == "json":
        document = {
            "version": __version__,
            "problems": msgspec.to_builtins(found),
            "objects": list(_objects(offline.translation)),
            "counts": dict(Counter(item.severity for item in found)),
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    elif given.output == "sarif":
        sys.stdout.write(json.dumps(to_sarif(found, __version__), indent=2) + "\n")
    else:
        _write_text(found, offline.translation, len(documents), conditions=not given.no_conditions)
    return ExitStatus.FAILED if any(item.severity != "info" for item in found) else ExitStatus.OK


def schema_diagnostics(documents: Iterable[Document]) -> Iterator[Diagnostic]:
    """What the API server would refuse, with file and line; unknown fields too, as `kubectl apply` asks it to."""
    for document in documents:
        for item in placed(document, violations(document.data)):
            yield msgspec.structs.replace(item, severity="error")


def without_echoes(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Without what the gateway says about a field of which the schema has said it already."""
    told: dict[tuple[str, str], list[str]] = {}
    for item in found:
        if item.code in SCHEMA_CODES:
            told.setdefault((item.path, item.object), []).append(item.field)
    return [
        item
        for item in found
        if item.code in SCHEMA_CODES
        or (item.path, item.object) not in told
        or not (item.code == "invalid" or any(_related(item.field, field) for field in told[item.path, item.object]))
    ]


def _related(one: str, other: str) -> bool:
    """Whether one path is the other's beginning."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _progress(path: str, number: int, known: int) -> None:
    if sys.stderr.isatty() and number % 50 == 0:
        sys.stderr.write(f"\r\x1b[Kreading {number:,} of {known:,}: {path}")
        sys.stderr.flush()


def _objects(translation: Translation) -> Iterator[dict[str, Any]]:
    for key, status in sorted(translation.statuses.items()):
        origin = translation.snapshot.origin(key)
        yield {
            "object": str(key),
            "path": origin.path if origin is not None else "",
            "line": origin.line if origin is not None else 0,
            "status": to_document(status),
        }


def _write_text(found: list[Diagnostic], translation: Translation, documents: int, *, conditions: bool) -> None:
    write = sys.stdout.write
    if conditions:
        for entry in _objects(translation):
            write(f"{entry['object']}  {entry['path']}:{entry['line']}\n")
            for label, condition in _conditions(entry["status"]):
                where = f"{label}: " if label else ""
                good = condition["status"] == ("False" if condition["type"] == "Conflicted" else "True")
                message = "" if good else f": {condition['message']}"
                write(f"  {where}{condition['type']}={condition['status']} ({condition['reason']}){message}\n")
    references = [item for item in found if item.code in REFERENCE_CODES]
    others = [item for item in found if item.code not in REFERENCE_CODES]
    if others:
        write("\nProblems:\n" if conditions else "Problems:\n")
        for item in others:
            write(f"  {item}\n")
    if references:
        write("\nProblems of reference (what is named is not in these files):\n")
        for item in references:
            write(f"  {item}\n")
    counts = Counter(item.severity for item in found)
    summary = ", ".join(count(counts[kind], kind) for kind in ("error", "warning") if counts[kind]) or "no problem"
    write(f"\n{count(documents, 'document')}: {summary}\n")


def _conditions(status: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for condition in status.get("conditions", ()):
        yield "", condition
    for listener in status.get("listeners", ()):
        for condition in listener["conditions"]:
            yield f"listener {listener['name']}", condition
    for entry in status.get("parents", ()):
        for condition in entry["conditions"]:
            yield _reference(entry["parentRef"]), condition
    for entry in status.get("ancestors", ()):
        for condition in entry["conditions"]:
            yield _reference(entry["ancestorRef"]), condition


def _reference(reference: dict[str, Any]) -> str:
    section = f"/{reference['sectionName']}" if reference.get("sectionName") else ""
    return f"{reference['kind']} {reference['name']}{section}"


COMMAND = Command(
    name="check",
    description="Say what the API server and the controller would say about manifests.",
    run=_run,
    paths=PATHS,
    options=(
        CONTROLLER_NAME,
        CONFIG,
        Option(("--output", "-o"), "How to write it.", "text", choices=("text", "json", "sarif")),
        Option(("--no-conditions",), "Leave out the conditions that the controller would write.", "they are shown"),
    ),
    examples=(("sluicegate check manifests", "exit status 1 where there are problems"),),
)
