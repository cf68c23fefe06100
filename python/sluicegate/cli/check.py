"""`sluicegate check`: what the API server and the controller would say about manifests."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import msgspec

from sluicegate import __version__
from sluicegate.controller.api import Code, Diagnostic, Origin, readable
from sluicegate.controller.api.names import VIRTUAL
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.translate import Translation, to_document
from sluicegate.controller.translate.conditions import Reason
from sluicegate.processes.given_backends import given_backends
from sluicegate.processes.ingress_settings import wanted_of
from sluicegate.processes.settings import Settings
from sluicegate.testing.offline import Offline, load_offline
from sluicegate.words import count, one_line, suggestion

from .believed_proxies import of_settings
from .checked import REFERENCE_CODES, checked, closed_policies, refused_objects
from .cluster_error import ClusterError
from .cluster_options import KUBERNETES, misused, of_cluster
from .destination import Destination, destination_of
from .exit_status import ExitStatus
from .ingress_options import INGRESS_SETTINGS
from .manifests import BACKEND, COLOR, CONTROLLER_NAME, DESTINATION, KUBECONFIG, settings_of
from .options import CONFIG, PATHS, Command, Option
from .output import write_json, write_lines
from .roles import refuse
from .sarif import to_sarif
from .written_conditions import conditions_of, without_what_runs

#: What ends the command with status 1, by `--fail-on`.
_FAILURES: dict[str, frozenset[str]] = {"error": frozenset({"error"}), "warning": frozenset({"error", "warning"})}


class CheckedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object that the controller has a say in.

    Attributes:
        object: such as `HTTPRoute/default/shop`.
        path: of the file.
        line: where it begins.
        status: as the controller would write it.
    """

    object: str
    path: str
    line: int
    status: dict[str, Any]


class CheckReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/check/v1"):
    """What `--output json` writes.

    Attributes:
        version: of the program.
        destination: what the manifests were looked at for.
        because: why for that.
        documents: number of documents that were read.
        problems: in the order of files and lines.
        refused: objects that the API server would not take; their status is that of `serve`, where it has one.
        closed: what becomes of what refused policies hold for, by policy.
        objects: those that the controller would take, with their statuses.
        not_read: number of documents of each `apiVersion/kind` that the gateway has no use for.
        ignored: number of problems that are left out, by code (`--ignore`).
        counts: number of problems by severity.
        failed: whether the exit status is 1.
    """

    version: str
    destination: Destination
    because: str
    documents: int
    problems: tuple[Diagnostic, ...]
    refused: tuple[str, ...]
    closed: dict[str, str]
    objects: tuple[CheckedObject, ...]
    not_read: dict[str, int]
    ignored: dict[str, int]
    counts: dict[Literal["error", "warning", "info"], int]
    failed: bool


#: Why objects of a cluster are looked at as they are.
_OF_CLUSTER = "it has these objects"


def _run(given: argparse.Namespace) -> int:
    if not given.watch:
        return _check(given)
    if given.kubernetes or given.output != "text" or not given.paths or "-" in given.paths:
        return refuse("--watch is for files and directories, and for text")
    from .watch import watched

    return watched(given.paths, lambda: _check(given))


def _check(given: argparse.Namespace) -> int:
    wrong = misused(given) or ("--for is for manifests" if given.kubernetes and given.destination else "")
    if wrong:
        return refuse(wrong)
    codes = get_args(Code)
    for code in given.ignore or ():
        if code not in codes:
            return refuse(f"--ignore: there is no code {code}{suggestion(code, codes)}; docs/diagnostics.md has all")
    try:
        settings = settings_of(given)
    except (ValueError, OSError) as error:
        return refuse(str(error))
    because = "--for says so"

    def for_cluster(source: Source) -> bool:
        nonlocal because
        if given.destination is not None:
            return bool(given.destination == "cluster")
        if settings.backend:
            because = "--backend says where programs listen, which a cluster finds out itself"
            return False
        destination, because = destination_of(source.documents())
        return destination == "cluster"

    progress = _progress if given.output == "text" else None
    wanted = wanted_of(settings)
    try:
        if given.kubernetes:
            offline, because = of_cluster(settings), _OF_CLUSTER
        else:
            offline = load_offline(
                given.paths,
                settings.controller_name,
                progress=progress,
                cluster=for_cluster,
                ingress=wanted,
                backends=given_backends(settings.backend),
            )
    except ValueError as error:  # a name that is none
        return refuse(str(error))
    except ClusterError as error:
        return error.tell()
    if given.output == "text" and sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    report = _report(offline, given, settings, because)
    if given.output == "json":
        write_json(report)
    elif given.output == "sarif":
        sys.stdout.write(json.dumps(to_sarif(report.problems, __version__), indent=2) + "\n")
    else:
        write_lines(_lines(report, conditions=not given.no_conditions), settings.color)
    return ExitStatus.FAILED if report.failed else ExitStatus.OK


def _report(offline: Offline, given: argparse.Namespace, settings: Settings, because: str) -> CheckReport:
    ignore: Sequence[str] = given.ignore or ()
    of_file = of_settings(
        settings.engine.trusted_proxies or (), given.config or os.environ.get(str(CONFIG.variable), "")
    )
    everything = [*of_file, *checked(offline, settings.engine.path_normalization or "strict", given.paths)]
    found = tuple(item for item in everything if item.code not in ignore)
    counts = Counter[str](item.severity for item in found)
    return CheckReport(
        version=__version__,
        destination="cluster" if offline.for_cluster else "standalone",
        because=because,
        documents=len(offline.source.documents()),
        problems=found,
        refused=tuple(sorted(refused_objects(everything))),
        closed={name: item.message.partition("; ")[2] for name, item in closed_policies(offline).items()},
        objects=tuple(_objects(offline.translation)),
        not_read=offline.refresh.ignored,
        ignored=dict(Counter(item.code for item in everything if item.code in ignore)),
        counts={"error": counts["error"], "warning": counts["warning"], "info": counts["info"]},
        failed=any(counts[kind] for kind in _FAILURES[given.fail_on]),
    )


def _objects(translation: Translation) -> Iterator[CheckedObject]:
    for key, status in sorted(translation.statuses.items()):
        if key.name.startswith(VIRTUAL):
            continue  # what is wrong with it is told of its Ingress
        origin = translation.snapshot.origin(key)
        yield CheckedObject(
            object=str(key),
            path=origin.path if origin is not None else "",
            line=origin.line if origin is not None else 0,
            status=without_what_runs(to_document(status)),
        )


def _progress(path: str, number: int, known: int) -> None:
    if sys.stderr.isatty() and number % 50 == 0:
        sys.stderr.write(f"\r\x1b[Kreading {number:,} of {known:,}: {one_line(path)}")
        sys.stderr.flush()


def _lines(report: CheckReport, *, conditions: bool) -> Iterator[str]:
    """The report for people."""
    what = "a cluster" if report.destination == "cluster" else "sluicegate serve"
    other = "standalone" if report.destination == "cluster" else "cluster"
    way = f" (--for {other}: the other way)" if report.because != _OF_CLUSTER else ""
    yield f"Checked for {what}: {report.because}{way}"
    if conditions:
        for entry in report.objects:
            yield f"{readable(entry.object)}  {Origin(entry.path, entry.line)}"
            for label, condition in conditions_of(entry.status):
                where = f"{label}: " if label else ""
                usual = condition["reason"] in {condition["type"], Reason.NO_CONFLICTS.value}
                message = "" if usual else f": {condition['message']}"
                yield f"  {where}{condition['type']}={condition['status']} ({condition['reason']}){message}"
    for name in sorted({*report.closed, *(report.refused if conditions else ())}):
        if name:
            outcome = report.closed.get(name, "")
            yield f"{name}  is refused{f': {outcome}' if outcome else ''}"
    references = [item for item in report.problems if item.code in REFERENCE_CODES]
    for title, items in (
        ("Problems", [item for item in report.problems if item.code not in REFERENCE_CODES]),
        ("Problems of reference (what is named is not in these files)", references),
    ):
        if items:
            yield ""
            yield f"{title}:"
            yield from (f"  {item}" for item in items)
    yield ""
    for kind, number in sorted(report.not_read.items()):
        yield f"Not read: {number:,} of {kind}, a kind that the gateway has no use for"
    ignored = ", ".join(f"{number:,} of {code}" for code, number in sorted(report.ignored.items()))
    summary = [count(report.counts[kind], kind) for kind in ("error", "warning") if report.counts[kind]]
    summary = summary or ["no problem"]
    summary += [f"ignored: {ignored}"] if ignored else []
    yield f"{count(report.documents, 'document')}: {', '.join(summary)}"


COMMAND = Command(
    name="check",
    description="Say what the API server and the controller would say about manifests.",
    run=_run,
    paths=PATHS,
    paths_optional=True,
    options=(
        KUBERNETES,
        KUBECONFIG,
        DESTINATION,
        Option(("--fail-on",), "The least that makes the exit status 1.", "error", choices=("error", "warning")),
        Option(("--ignore",), "Leave out problems of this code (docs/diagnostics.md).", "none", "CODE", repeats=True),
        CONTROLLER_NAME,
        BACKEND,
        *INGRESS_SETTINGS,
        CONFIG,
        COLOR,
        Option(("--output", "-o"), "How to write it.", "text", choices=("text", "json", "sarif")),
        Option(("--no-conditions",), "Leave out the conditions that the controller would write.", "they are shown"),
        Option(("--watch", "-w"), "Check again whenever a file changes.", "once"),
    ),
    examples=(
        ("sluicegate check manifests", "exit status 1 where something does not work"),
        ("sluicegate check manifests --for cluster --fail-on warning --ignore unused-policy", "for CI"),
        ("helm template . | sluicegate check - -o sarif", "for code hosts"),
        ("sluicegate check manifests --watch --no-conditions", "while you write; Ctrl-C ends it"),
        ("sluicegate check --kubernetes", "what a cluster has"),
    ),
    notes="path_normalization and trusted_proxies of the settings file count.",
)
