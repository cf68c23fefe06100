"""What all pods of all data planes say, as the one report that statuses are written from.

A listener is reported where at least one pod serves this very version of it. What any pod cannot bind, or refuses, is
an error of the listener: `Programmed` follows what is, not what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sluicegate.ir import BindError, ListenerReport, Refusal

from ..translate import ApplyReport, Translation
from ..translate.apply_report import REFUSED, HeldResource, KeysAway
from .plane import PlaneKey
from .protocol import ListenerOutcome, PlaneReport

#: Resources that are held, and providers that are away, told at most: each is in the status of an object.
MAX_HELD = 1_024
MAX_AWAY = 1_024


class PodReport(NamedTuple):
    """What one pod says.

    Attributes:
        pod: its name.
        report: of its listeners.
        refusals: why it refused the newest configuration; empty where it took it.
        held: what of it the pod refused, and keeps at what it had.
    """

    pod: str
    report: PlaneReport
    refusals: tuple[Refusal, ...] = ()
    held: tuple[Refusal, ...] = ()


class Said(NamedTuple):
    """What is known of all data planes at one moment; immutable, so that any thread may look at it.

    Attributes:
        listeners: version of each listener, by plane and id.
        pods: reports by plane.
        settled: all data planes that are there had the time to report.
        too_large: planes whose configuration no pod takes, and what it is made of.
    """

    listeners: Mapping[PlaneKey, Mapping[str, str]]
    pods: Mapping[PlaneKey, tuple[PodReport, ...]]
    settled: bool = False
    too_large: Mapping[PlaneKey, str] = MappingProxyType({})


#: Puts a report into a translation, given what came of it last time.
Finish = Callable[[Translation, ApplyReport, Translation | None], Translation]


class Reports:
    """Adds to a translation what the data planes made of it (`Reports` of the loop)."""

    def __init__(self, said: Callable[[], Said], finish: Finish | None = None) -> None:
        """Read reports from a place.

        Args:
            said: what is known now; called on any thread.
            finish: puts a report into a translation.
        """
        self._said = said
        self._finish = finish or (lambda translation, report, before: translation.with_report(report, before=before))
        self._merged: tuple[Said, ApplyReport] | None = None
        self._planes: dict[PlaneKey, _PlaneReports] = {}
        self._last: Translation | None = None

    def reported(self, translation: Translation) -> Translation:
        """The translation with what the data planes last said; one call at a time."""
        said = self._said()
        if self._merged is None or self._merged[0] is not said:
            self._planes = _renewed(self._planes, said)
            self._merged = (said, _together(self._planes.values(), settled=said.settled))
        self._last = self._finish(translation, self._merged[1], self._last)
        return self._last


class _PlaneReports(NamedTuple):
    """The reports on the listeners of one data plane, and what they are made of."""

    listeners: Mapping[str, str]
    too_large: str
    pods: tuple[PodReport, ...]
    reports: tuple[ListenerReport, ...]
    held: tuple[HeldResource, ...]
    away: tuple[KeysAway, ...]


def merged(said: Said) -> ApplyReport:
    """Make one report of those of all pods."""
    return _together(_renewed({}, said).values(), settled=said.settled)


def _together(planes: Collection[_PlaneReports], *, settled: bool) -> ApplyReport:
    found = [report for plane in planes for report in plane.reports]
    held = sorted({item for plane in planes for item in plane.held}, key=lambda item: (item.kind, item.id, item.reason))
    away = sorted((item for plane in planes for item in plane.away), key=lambda item: (item.plane, item.source))
    listeners = tuple(sorted(found, key=lambda report: report.id))
    return ApplyReport(0, listeners, settled, tuple(held[:MAX_HELD]), tuple(away[:MAX_AWAY]))


def _renewed(before: Mapping[PlaneKey, _PlaneReports], said: Said) -> dict[PlaneKey, _PlaneReports]:
    """The reports of all data planes; those of which nothing new was said stay."""
    result: dict[PlaneKey, _PlaneReports] = {}
    for key, listeners in said.listeners.items():
        pods, known = said.pods.get(key, ()), before.get(key)
        too_large = said.too_large.get(key, "")
        if known is None or known.listeners is not listeners or known.pods is not pods or known.too_large != too_large:
            refused = _too_large(too_large) if too_large else _refused(pods)
            held = _held(pods)
            of_listeners = {item.id: _held_listener(item) for item in held if item.kind == "listener"}
            reports = tuple(
                _merge(identifier, outcomes, refused or of_listeners.get(identifier))
                for identifier, outcomes in _current(listeners, pods).items()
                if outcomes or refused is not None or identifier in of_listeners
            )
            known = _PlaneReports(listeners, too_large, pods, reports, held, _away(key, pods))
        result[key] = known
    return result


_Outcomes = list[tuple[str, ListenerOutcome]]


def _current(listeners: Mapping[str, str], pods: Iterable[PodReport]) -> dict[str, _Outcomes]:
    """What was said of the listeners as they are now, with the pod that said it."""
    current: dict[str, _Outcomes] = {identifier: [] for identifier in listeners}
    for pod in pods:
        for outcome in pod.report.listeners:
            if listeners.get(outcome.id) == outcome.version:
                current[outcome.id].append((pod.pod, outcome))
    return current


def _merge(identifier: str, outcomes: _Outcomes, refused: BindError | None) -> ListenerReport:
    bound = dict.fromkeys(socket for _, outcome in outcomes for socket in outcome.bound)
    error = refused
    for pod, outcome in outcomes:
        if error is None and outcome.error is not None:
            message = f"{outcome.error.message} (pod {pod})"
            error = BindError(outcome.error.code, message, outcome.error.hint)
    # With an error that lets others serve, what is bound still says which addresses work.
    return ListenerReport(identifier, tuple(bound) if error is None or error is refused else (), error)


def _held(pods: Iterable[PodReport]) -> tuple[HeldResource, ...]:
    found = (HeldResource(item.kind, item.id, f"{item.reason} (pod {pod.pod})") for pod in pods for item in pod.held)
    first: dict[tuple[str, str], HeldResource] = {}
    for item in found:
        first.setdefault((item.kind, item.id), item)
    return tuple(first.values())


def _away(plane: PlaneKey, pods: Iterable[PodReport]) -> tuple[KeysAway, ...]:
    """Providers that are away for any pod; of several pods one is told, before all one that lets nobody in."""
    found = (KeysAway(item.source, item.verify, "/".join(plane), pod.pod) for pod in pods for item in pod.report.away)
    first: dict[str, KeysAway] = {}
    for item in sorted(found, key=lambda item: (item.verify, item.pod)):
        first.setdefault(item.source, item)
    return tuple(first.values())


def _held_listener(item: HeldResource) -> BindError:
    message = f"a data plane refuses the listener and keeps what it had: {item.reason}"
    return BindError(REFUSED, message, "write it another way, or report this")


def _too_large(text: str) -> BindError:
    message = f"the configuration has {text}; data planes keep the old one"
    remedy = "attach fewer routes to fewer listeners, or give some of them a Gateway with a data plane of its own"
    return BindError(REFUSED, message, remedy)


def _refused(pods: Iterable[PodReport]) -> BindError | None:
    for pod in pods:
        if pod.refusals:
            first = pod.refusals[0]
            what = f"{first.kind} {first.id}".strip()
            message = f"pod {pod.pod} refuses the new configuration and serves the old one: {what}: {first.reason}"
            return BindError(REFUSED, message, "run the same release of controller and data plane, or report this")
    return None
