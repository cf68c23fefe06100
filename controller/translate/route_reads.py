"""What a route may look at, and the notes of what it looked at."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import Protocol

from ..api import ConfigMap, HTTPFilter, ObjectKey, ReferenceGrant, Secret, Service, XBackend
from .policies.attach import attached_read
from .policies.effective import Place, Target
from .status import Verdict
from .topology import ParentView, Read


class World(Protocol):
    """What routes look at."""

    def parent(self, key: Read) -> ParentView | None:
        """Look up a parent of this controller."""

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""

    def external_backend(self, namespace: str, name: str) -> XBackend | None:
        """Look up an XBackend."""

    def external_names(self) -> bool:
        """Whether Services of type ExternalName lead anywhere."""

    def http_filter(self, namespace: str, name: str) -> HTTPFilter | None:
        """Look up an HTTPFilter."""

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        """Look up a ConfigMap."""

    def secret(self, namespace: str, name: str) -> Secret | None:
        """Look up a Secret."""

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """Look up the labels of a namespace."""

    def policies(self, place: Place, on: str) -> tuple[str, ...]:
        """Look up the policies that hold at a place, by id; `on`: what names them in the IR."""

    def policy_fault(self, place: Place) -> Verdict | None:
        """What routes are told of a policy at a place that cannot be honoured; None: all can."""

    def affected(self, target: Target, sections: Set[str]) -> tuple[tuple[str, Verdict], ...]:
        """Look up what an object is told about the policies that are attached to it and to these sections of it."""

    def no_room(self, route: ObjectKey) -> str:
        """Say why a route finds no room in what its namespace may have; empty: it does."""


@dataclass(slots=True)
class RouteReads:
    """Looks into the world and notes each look."""

    world: World
    noted: set[Read] = field(default_factory=set)

    def parent(self, kind: str, namespace: str, name: str) -> ParentView | None:
        """Look up a parent of this controller."""
        self.noted.add((kind, namespace, name))
        return self.world.parent((kind, namespace, name))

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""
        self.noted.add(("Service", namespace, name))
        return self.world.service(namespace, name)

    def external_backend(self, namespace: str, name: str) -> XBackend | None:
        """Look up an XBackend."""
        self.noted.add(("XBackend", namespace, name))
        return self.world.external_backend(namespace, name)

    def external_names(self) -> bool:
        """Whether Services of type ExternalName lead anywhere."""
        return self.world.external_names()

    def http_filter(self, namespace: str, name: str) -> HTTPFilter | None:
        """Look up an HTTPFilter."""
        self.noted.add(("HTTPFilter", namespace, name))
        return self.world.http_filter(namespace, name)

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        """Look up a ConfigMap."""
        self.noted.add(("ConfigMap", namespace, name))
        return self.world.config_map(namespace, name)

    def secret(self, namespace: str, name: str) -> Secret | None:
        """Look up a Secret."""
        self.noted.add(("Secret", namespace, name))
        return self.world.secret(namespace, name)

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""
        self.noted.add(("ReferenceGrant", namespace, ""))
        return self.world.grants(namespace)

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """Look up the labels of a namespace."""
        self.noted.add(("Namespace", "", name))
        return self.world.namespace_labels(name)

    def policies(self, place: Place, on: str) -> tuple[str, ...]:
        """Look up the policies that hold at a place, by id; `on`: what names them in the IR."""
        self.noted.update(attached_read(level) for level in place)
        return self.world.policies(place, on)

    def policy_fault(self, place: Place) -> Verdict | None:
        """What routes are told of a policy at a place that cannot be honoured; None: all can."""
        self.noted.update(attached_read(level) for level in place)
        return self.world.policy_fault(place)

    def affected(self, target: Target, sections: Set[str]) -> tuple[tuple[str, Verdict], ...]:
        """Look up what an object is told about the policies that are attached to it and to these sections of it."""
        self.noted.add(attached_read(target))
        return self.world.affected(target, sections)
