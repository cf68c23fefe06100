"""What all pods of all data planes say, as the one report that statuses are written from.

A listener is reported where at least one pod serves this very version of it. What any pod cannot bind, or refuses, is
an error of the listener: `Programmed` follows what is, not what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from sluicegate.ir import Refusal

from ..translate import ApplyReport, ListenerReport, Translation
from ..translate.report import REFUSED, BindError
from .projection import PlaneKey
from .protocol import ListenerOutcome, PlaneReport


class PodReport(NamedTuple):
    """What one pod says.

    Attributes:
        pod: its name.
        report: of its listeners.
        refusals: why it refused the newest configuration; empty where it took it.
    """

    pod: str
    report: PlaneReport
    refusals: tuple[Refusal, ...] = ()


class Said(NamedTuple):
    """What is known of all data planes at one moment; immutable, so that any thread may look at it.

    Attributes:
        listeners: version of each listener, by plane and id.
        pods: reports by plane.
        settled: all data planes that are there had the time to report.
    """

    listeners: Mapping[PlaneKey, Mapping[str, str]]
    pods: Mapping[PlaneKey, tuple[PodReport, ...]]
    settled: bool = False


Finish = Callable[[Translation, ApplyReport], Translation]


class Reports:
    """Adds to a translation what the data planes made of it (`Reports` of the loop)."""

    def __init__(self, said: Callable[[], Said], finish: Finish = Translation.with_report) -> None:
        """Read reports from a place.

        Args:
            said: what is known now; called on any thread.
            finish: puts a report into a translation.
        """
        self._said = said
        self._finish = finish

    def reported(self, translation: Translation) -> Translation:
        """The translation with what the data planes last said."""
        return self._finish(translation, merged(self._said()))


def merged(said: Said) -> ApplyReport:
    """Make one report of those of all pods."""
    found: dict[str, ListenerReport] = {}
    for key, listeners in said.listeners.items():
        pods = said.pods.get(key, ())
        refused = _refused(pods)
        for identifier, outcomes in _current(listeners, pods).items():
            if outcomes or refused is not None:
                found[identifier] = _merge(identifier, outcomes, refused)
    return ApplyReport(0, tuple(found[identifier] for identifier in sorted(found)), said.settled)


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


def _refused(pods: Iterable[PodReport]) -> BindError | None:
    for pod in pods:
        if pod.refusals:
            first = pod.refusals[0]
            what = f"{first.kind} {first.id}".strip()
            message = f"pod {pod.pod} refuses the new configuration and serves the old one: {what}: {first.reason}"
            return BindError(REFUSED, message, "run the same release of controller and data plane, or report this")
    return None
