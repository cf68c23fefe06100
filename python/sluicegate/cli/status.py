"""`sluicegate status`: what of Gateways and routes is accepted and programmed, and why not."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from sluicegate.controller.api import Origin, readable
from sluicegate.controller.sources.files.source import Source
from sluicegate.processes.given_backends import given_backends
from sluicegate.processes.ingress_settings import wanted_of
from sluicegate.processes.settings import Settings
from sluicegate.testing.offline import Offline, load_offline
from sluicegate.words import count

from .cluster_error import ClusterError
from .cluster_options import KUBERNETES, misused, of_cluster
from .destination import destination_of
from .exit_status import ExitStatus
from .ingress_options import INGRESS_SETTINGS
from .manifests import BACKEND, COLOR, CONTROLLER_NAME, KUBECONFIG, settings_of
from .options import CONFIG, PATHS, Command
from .output import OUTPUT, write_json, write_lines
from .roles import refuse
from .status_report import ObjectStatus, StatusReport, bad_conditions, report_of

_HEAD = ("OBJECT", "FOR", "ACCEPTED", "REFERENCES", "PROGRAMMED", "")
#: Conditions of the columns between the second and the last.
_COLUMNS = ("Accepted", "ResolvedRefs", "Programmed")
_WORDS = {"True": "yes", "False": "no", "Unknown": "not yet"}


def _run(given: argparse.Namespace) -> int:
    wrong = misused(given)
    if wrong:
        return refuse(wrong)
    try:
        settings = settings_of(given)
        offline = of_cluster(settings) if given.kubernetes else _of_files(given.paths, settings)
    except (ValueError, OSError) as error:
        return refuse(str(error))
    except ClusterError as error:
        return error.tell()
    report = report_of(offline, settings.controller_name, given.paths)
    if given.output == "json":
        write_json(report)
    else:
        write_lines(_lines(report), settings.color)
    return ExitStatus.FAILED if report.failed else ExitStatus.OK


def _of_files(paths: list[str], settings: Settings) -> Offline:
    """What manifests come to.

    Raises:
        ValueError: a name that is none.
    """

    def for_cluster(source: Source) -> bool:
        return not settings.backend and destination_of(source.documents())[0] == "cluster"

    return load_offline(
        paths,
        settings.controller_name,
        cluster=for_cluster,
        ingress=wanted_of(settings),
        backends=given_backends(settings.backend),
    )


def _lines(report: StatusReport) -> Iterator[str]:
    """The report for people."""
    if report.objects:
        yield from _table([_HEAD, *(row for item in report.objects for row in _rows(item))])
    bad = [item for item in report.objects if not item.good or item.problems]
    if bad or report.unread:
        yield ""
        yield "Why not:"
        for item in bad:
            yield from _why(item)
        yield from (f"  {item}" for item in report.unread)
    yield ""
    wrong = sum(not item.good for item in report.objects)
    ending = f"{wrong:,} not as {'it' if wrong == 1 else 'they'} should be" if wrong else "all as they should be"
    yield f"{count(len(report.objects), 'object')}: {ending}" if report.objects else "no Gateway and no route is there"


def _rows(item: ObjectStatus) -> Iterator[tuple[str, ...]]:
    """Lines of the table: the object itself, and each listener or parent."""
    name = readable(item.object)
    places = list(dict.fromkeys(condition.of for condition in item.conditions)) or [""]
    for place in places:
        found = {condition.type: condition.status for condition in item.conditions if condition.of == place}
        cells = (_WORDS.get(found[kind], found[kind]) if kind in found else "-" for kind in _COLUMNS)
        more = ", ".join(item.addresses) if not place else ""
        listener = place.removeprefix("listener ")
        if listener != place and listener in item.routes:
            more = count(item.routes[listener], "route")
        yield (name, place, *cells, more)
        name = ""


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _why(item: ObjectStatus) -> Iterator[str]:
    place = Origin(item.path, item.line)
    where = f"  {place}" if item.line else ""
    yield f"  {readable(item.object)}{where}"
    if item.note:
        yield f"    {item.note}"
    for condition in bad_conditions(item):
        about = f"{condition.of}: " if condition.of else ""
        yield f"    {about}{condition.type}={condition.status} ({condition.reason}): {condition.message}"
    yield from _problems(item)


def _problems(item: ObjectStatus) -> Iterable[str]:
    for problem in item.problems:
        field = f"{problem.field}: " if problem.field else ""
        remedy = f"; {problem.remedy}" if problem.remedy else ""
        line = f"{Origin(problem.path, problem.line)}: " if problem.line else ""
        yield f"    {line}{problem.severity}: {field}{problem.message}{remedy}"


COMMAND = Command(
    name="status",
    description="Say what of Gateways and routes is accepted and programmed, and why not, with field and remedy.",
    run=_run,
    paths=PATHS,
    paths_optional=True,
    options=(KUBERNETES, KUBECONFIG, CONTROLLER_NAME, BACKEND, *INGRESS_SETTINGS, CONFIG, COLOR, OUTPUT),
    examples=(
        ("sluicegate status --kubernetes", "as the controller wrote it; exit status 1 where something is not well"),
        ("sluicegate status manifests", "as it would write it"),
    ),
    notes="With --kubernetes the conditions are those of the cluster; what is wrong, by field and with remedies, is\n"
    "said by this program of the same objects.",
)
