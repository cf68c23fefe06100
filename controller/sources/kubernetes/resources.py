"""Where the kinds live in the API: the paths of what is watched and written, from the table of kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...api import ObjectKey
from ...api.ingress import INGRESS_KINDS
from ...api.kind import Kind
from ...api.kinds import TABLE


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API has it.

    Attributes:
        kind: the kind.
        version: `apiVersion` that is asked for first.
        plural: name in paths.
        namespaced: objects live in namespaces.
        required: the gateway cannot do without it; others may be missing from a cluster (older or fewer CRDs).
        selector: field selector of the watch.
        older: further versions that are read as well, the newest first: of one shape, as far as it is read.
        remedy: what to do where the cluster has none of them.
        labels: label selector of the watch.
        minor: only statuses tell of it: where it may not be watched, as with a ClusterRole of an older release, nothing
            waits for it.
        guards: it protects others, so that none of it is never taken for granted.
    """

    kind: str
    version: str
    plural: str
    namespaced: bool = True
    required: bool = True
    selector: str = ""
    older: tuple[str, ...] = ()
    remedy: str = "install the Gateway API's CRDs"
    labels: str = ""
    minor: bool = False
    guards: bool = False

    @property
    def versions(self) -> tuple[Resource, ...]:
        """The resource in each version that is read, in the order in which they are tried."""
        return (self, *(replace(self, version=version, older=()) for version in self.older))

    @property
    def prefix(self) -> str:
        """Path of the group and version."""
        return f"/api/{self.version}" if "/" not in self.version else f"/apis/{self.version}"

    @property
    def qualified_name(self) -> str:
        """`plural.group`, as kubectl takes it; also the name of its CRD."""
        group = self.version.rpartition("/")[0]
        return f"{self.plural}.{group}" if group else self.plural

    @property
    def collection(self) -> str:
        """Path of all objects, in all namespaces."""
        return f"{self.prefix}/{self.plural}"

    def collection_in(self, namespace: str) -> str:
        """Path of the objects of one namespace."""
        return f"{self.prefix}/namespaces/{namespace}/{self.plural}"

    def path(self, namespace: str, name: str) -> str:
        """Path of one object."""
        place = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{self.prefix}{place}/{self.plural}/{name}"


def _resource(kind: Kind) -> Resource:
    version, *older = kind.api_versions
    return Resource(
        kind.name,
        version,
        kind.plural,
        namespaced=kind.namespaced,
        required=kind.required,
        selector=kind.selector,
        older=tuple(older),
        remedy=kind.remedy,
        labels=kind.labels,
        minor=kind.minor,
        guards=kind.role == "policy",
    )


BY_KIND = {kind.name: _resource(kind) for kind in TABLE}
#: What Ingresses are made of: nothing of it is watched unless somebody wants Ingresses served.
INGRESS_RESOURCES = {kind.name: _resource(kind) for kind in INGRESS_KINDS.values()}
#: What is watched, by whoever serves; and by a controller that provisions.
WATCHED = tuple(BY_KIND[kind.name] for kind in TABLE if kind.reads and kind.node)
WATCHED_TO_PROVISION = tuple(BY_KIND[kind.name] for kind in TABLE if kind.reads)


def path_of(key: ObjectKey, version: str = "") -> str:
    """Path of an object of a kind of the table, in the `apiVersion` given or else the usual one."""
    resource = BY_KIND[key.kind]
    return (replace(resource, version=version) if version else resource).path(key.namespace, key.name)
