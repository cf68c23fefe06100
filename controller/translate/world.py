"""What one translation has before it: the snapshot, what changed, and the parents and policies of this moment."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from ..api import ConfigMap, HTTPFilter, ObjectKey, ReferenceGrant, Secret, Service, XBackend
from ..store.snapshot import Changes, Snapshot
from .gateways import namespace_labels
from .memo import Memo
from .options import Options
from .policies.effective import Place, Target
from .policies.stage import affected
from .status import Verdict
from .topology import ParentView, Read, Topology


@dataclass(frozen=True, slots=True)
class Step:
    """One translation: what is there, what changed, and what of it routes and topology may have looked at."""

    options: Options
    snapshot: Snapshot
    changes: Changes
    dirty: set[Read]


class World:
    """What routes look at: the snapshot, and the parents of this moment."""

    def __init__(self, snapshot: Snapshot, memo: Memo, topology: Topology, options: Options) -> None:
        self._services = snapshot.table("Service")
        self._snapshot = snapshot
        self._grants = memo.grants
        self._parents = topology.parents
        self._implicit = options.implicit_namespaces
        self._external_names = options.external_names
        self._policies = memo.policies
        self._budgets = memo.budgets

    def parent(self, key: Read) -> ParentView | None:
        """Look up a parent of this controller."""
        return self._parents.get(key)

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""
        found = self._services.get((namespace, name))
        return found if isinstance(found, Service) else None

    def external_backend(self, namespace: str, name: str) -> XBackend | None:
        """Look up an XBackend."""
        found = self._snapshot.table("XBackend").get((namespace, name))
        return found if isinstance(found, XBackend) else None

    def external_names(self) -> bool:
        """Whether Services of type ExternalName lead anywhere."""
        return self._external_names

    def http_filter(self, namespace: str, name: str) -> HTTPFilter | None:
        """Look up an HTTPFilter."""
        found = self._snapshot.table("HTTPFilter").get((namespace, name))
        return found if isinstance(found, HTTPFilter) else None

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        """Look up a ConfigMap."""
        found = self._snapshot.table("ConfigMap").get((namespace, name))
        return found if isinstance(found, ConfigMap) else None

    def secret(self, namespace: str, name: str) -> Secret | None:
        """Look up a Secret."""
        found = self._snapshot.table("Secret").get((namespace, name))
        return found if isinstance(found, Secret) else None

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""
        return self._grants.get(namespace, ())

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """Look up the labels of a namespace."""
        return namespace_labels(self._snapshot, name, implicit=self._implicit)

    def policies(self, place: Place, on: str) -> tuple[str, ...]:
        """Look up the policies that hold at a place, by id; `on`: what names them in the IR."""
        return self._policies.attached.names(place, on=on)

    def policy_fault(self, place: Place) -> Verdict | None:
        """What routes are told of a policy at a place that cannot be honoured; None: all can."""
        return self._policies.fault(self._policies.attached.names(place))

    def affected(self, target: Target, sections: Set[str]) -> tuple[tuple[str, Verdict], ...]:
        """Look up what an object is told about its policies and those of these sections."""
        return affected(self._policies.attached, target, sections)

    def no_room(self, route: ObjectKey) -> str:
        """Say why a route finds no room in what its namespace may have; empty: it does."""
        return self._budgets.refusal(route)
