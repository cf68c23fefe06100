"""Which losses say that two answers differ, and why. What nobody says is a fault: of the conversion, or of its report.

Rules:
- A loss is about the Ingress that has it: it counts where that Ingress has the path of the request, there or here. What
  is about which host or path takes a request, or whether anybody does, counts for all Ingresses of the host.
- A loss that names a host, or a path, is about that one alone; one that says itself what it touches there, about all
  Ingresses of that host.
- Each aspect of a difference has to be named. Where another host or path takes the request, that is the difference.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from sluicegate.controller.ingress import Loss
from sluicegate.controller.ingress.losses import Aspect
from sluicegate.controller.ingress.nginx.touches import is_of_host, touched
from sluicegate.controller.ingress.probes import Answer, Probe

from .converted import Place, Told
from .everywhere import EVERYWHERE

#: Aspects that are about all Ingresses of a host.
_OF_HOSTS: frozenset[Aspect] = frozenset({"ingress", "host", "path", "reach"})
_PATH = re.compile(r"spec\.rules\[\d+\]\.http\.paths\[\d+\]")


@dataclass(slots=True)
class _Touching:
    """Losses that touch an aspect, by what they are about: of 10,000 Ingresses hardly any is about a request.

    Attributes:
        by_object: of Ingresses.
        by_host: those that name a host.
        others: of other objects, such as settings.
    """

    by_object: dict[str, list[Loss]] = field(default_factory=dict)
    by_host: dict[str, list[Loss]] = field(default_factory=dict)
    others: list[Loss] = field(default_factory=list)

    def put(self, loss: Loss) -> None:
        """Take a loss."""
        if not loss.object.startswith("Ingress/"):
            self.others.append(loss)
            return
        self.by_object.setdefault(loss.object, []).append(loss)
        if loss.host:
            self.by_host.setdefault(loss.host, []).append(loss)

    def all(self) -> tuple[str, ...]:
        """All of them, for people."""
        found = [loss for items in self.by_object.values() for loss in items]
        return tuple(map(str, (*found, *self.others)))

    def about(self, objects: Iterable[str], hosts: Iterable[str]) -> Iterable[Loss]:
        """Those that may be about Ingresses or hosts, each once, in a stable order."""
        found = dict.fromkeys(loss for name in sorted(objects) for loss in self.by_object.get(name, ()))
        found |= dict.fromkeys(loss for name in sorted(hosts) for loss in self.by_host.get(name, ()))
        return (*found, *self.others)


@dataclass(slots=True)
class Losses:
    """Losses by what they touch.

    Attributes:
        by_aspect: those that touch an aspect.
        ingresses: by host, the Ingresses that name it.
    """

    by_aspect: Mapping[Aspect, _Touching]
    ingresses: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, losses: Iterable[Loss], ingresses: Mapping[str, frozenset[str]], refused: Container[str] = ()
    ) -> Losses:
        """Sort losses.

        Args:
            losses: all of them.
            ingresses: by host, the Ingresses that name it.
            refused: Ingresses that the source does not take.
        """
        found: dict[Aspect, _Touching] = {}
        for loss in losses:
            for aspect in touched(loss):
                if aspect != "ingress" or loss.touches or loss.object in refused:
                    found.setdefault(aspect, _Touching()).put(loss)
        return cls(found, ingresses)

    def naming(self, probe: Probe, theirs: Answer, ours: Told, different: Iterable[Aspect]) -> tuple[str, ...] | None:
        """What names a difference; None: something of it nobody names.

        Args:
            probe: the request.
            theirs: the source's answer.
            ours: that of the converted table.
            different: what they differ in.
        """
        if theirs.server and ours.answer.server and theirs.server != ours.answer.server:
            found = self._of("host", probe, theirs, ours)
            if found:
                return found
        if not ours.answer.refused and _moved(theirs, ours):
            found = self._of("path", probe, theirs, ours)
            if found:
                return found
        names: list[str] = []
        for aspect in different:
            found = self._of(aspect, probe, theirs, ours)
            if not found:
                return None
            names += found
        return tuple(dict.fromkeys(names))

    @property
    def has_refused(self) -> bool:
        """Whether the source leaves out a part of what was converted."""
        return "ingress" in self.by_aspect

    def of_refused(self, probe: Probe, theirs: Answer, ours: Told) -> tuple[str, ...]:
        """What says that the source does not take an Ingress: of the host or its paths; else any, as canaries share."""
        touching = self.by_aspect.get("ingress")
        return self._of("ingress", probe, theirs, ours) or (touching.all() if touching is not None else ())

    def _of(self, aspect: Aspect, probe: Probe, theirs: Answer, ours: Told) -> tuple[str, ...]:
        everywhere = [
            item.name for item in EVERYWHERE if aspect in item.aspects and item.holds(probe, theirs, ours.answer)
        ]
        host = probe.host.partition(":")[0].lower().removesuffix(".")
        hosts = {theirs.server, ours.answer.server, host, f"*.{host.partition('.')[2]}"} - {""}
        objects = {theirs.place[0], *(name for name, _ in ours.places)}
        around = objects | {name for host in hosts for name in self.ingresses.get(host, ())}
        places = {theirs.place, *ours.places}
        touching = self.by_aspect.get(aspect)
        losses = [
            str(loss)
            for loss in (touching.about(around, hosts) if touching is not None else ())
            if _is_about(loss, hosts, around if aspect in _OF_HOSTS or is_of_host(loss) else objects, places, aspect)
        ]
        return (*everywhere, *losses)


def _moved(theirs: Answer, ours: Told) -> bool:
    """Whether another path takes the request here than there."""
    return theirs.place not in ours.places if theirs.place != ("", "") else bool(ours.places)


def _is_about(loss: Loss, hosts: set[str], objects: set[str], places: set[Place], aspect: Aspect) -> bool:
    if loss.host and loss.host not in hosts:
        return False
    of_path = _PATH.fullmatch(loss.subject) is not None
    of_host = bool(loss.host and loss.touches) and (not of_path or aspect in _OF_HOSTS)
    if loss.object.startswith("Ingress/") and loss.object not in objects and not of_host:
        return False
    return not of_path or (loss.object, loss.subject) in places
