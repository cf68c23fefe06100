"""What the pods of data planes said last, and which listeners that is about."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .plane import PlaneKey
from .reports import PodReport, Said

#: Reports that are kept of pods of one plane.
MAX_PODS = 1_024


class Heard:
    """Keeps reports of pods; lives on one thread.

    Attributes:
        said: what was published last; immutable, so that any thread may look at it.
        too_large: planes whose configuration no pod takes, with what is told of that.
    """

    def __init__(self) -> None:
        """Begin without a report."""
        self._pods: dict[PlaneKey, dict[str, tuple[float, PodReport]]] = {}
        self._listeners: dict[PlaneKey, Mapping[str, str]] = {}
        self.too_large: dict[PlaneKey, str] = {}
        self.said = Said(MappingProxyType({}), MappingProxyType({}))

    def place(self, plane: PlaneKey, listeners: Mapping[str, str]) -> None:
        """A plane has these listeners from now on: their versions, by id."""
        self._listeners[plane] = MappingProxyType(listeners)

    def knows(self, plane: PlaneKey) -> bool:
        """Whether the listeners of a plane are known."""
        return plane in self._listeners

    def leave(self, plane: PlaneKey) -> None:
        """A plane is no more."""
        self._pods.pop(plane, None)
        self._listeners.pop(plane, None)

    def take(self, plane: PlaneKey, uid: str, report: PodReport) -> None:
        """A pod says something new; of too many pods the one that said nothing for the longest time is forgotten."""
        pods = self._pods.setdefault(plane, {})
        if uid not in pods and len(pods) >= MAX_PODS:
            del pods[min(pods, key=lambda item: pods[item][0])]
        pods[uid] = (time.monotonic(), report)

    def forget(self, plane: PlaneKey, uid: str) -> bool:
        """A pod is away for good; returns whether anything was known of it."""
        return self._pods.get(plane, {}).pop(uid, None) is not None

    def clear(self) -> None:
        """Forget all pods."""
        self._pods.clear()

    def count(self, plane: PlaneKey) -> int:
        """Number of pods of a plane that said something and are not forgotten."""
        return len(self._pods.get(plane, ()))

    def is_whole(self, planes: Iterable[PlaneKey]) -> bool:
        """Whether a pod of each of these planes has said something."""
        return all(self._pods.get(plane) for plane in planes)

    def publish(self, *, settled: bool) -> None:
        """Make what is known now what was `said`; of planes that said nothing new it is the very same one."""
        pods: dict[PlaneKey, tuple[PodReport, ...]] = {}
        for key, found in self._pods.items():
            reports, known = tuple(report for _, report in found.values()), self.said.pods.get(key, ())
            same = len(reports) == len(known) and all(map(operator.is_, reports, known))
            if reports:
                pods[key] = known if same else reports
        self.said = Said(
            listeners=MappingProxyType(dict(self._listeners)),
            pods=MappingProxyType(pods),
            settled=settled,
            too_large=MappingProxyType(dict(self.too_large)),
        )
