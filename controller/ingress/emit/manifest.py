"""What comes out: manifests as plain dictionaries, that know of each part where it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...api.names import MAX_SUBDOMAIN, VIRTUAL
from ..losses import Cause

#: `apiVersion` of the kinds that are made.
VERSIONS = {
    "Gateway": "gateway.networking.k8s.io/v1",
    "ListenerSet": "gateway.networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "GRPCRoute": "gateway.networking.k8s.io/v1",
    "TLSRoute": "gateway.networking.k8s.io/v1",
    "TCPRoute": "gateway.networking.k8s.io/v1",
    "UDPRoute": "gateway.networking.k8s.io/v1",
    "BackendTLSPolicy": "gateway.networking.k8s.io/v1",
    "ReferenceGrant": "gateway.networking.k8s.io/v1",
    "XBackend": "gateway.networking.x-k8s.io/v1alpha1",
    "AccessPolicy": "sluicegate.dev/v1alpha1",
    "ClientPolicy": "sluicegate.dev/v1alpha1",
    "RateLimitPolicy": "sluicegate.dev/v1alpha1",
    "BackendPolicy": "sluicegate.dev/v1alpha1",
    "HTTPFilter": "sluicegate.dev/v1alpha1",
    "ConfigMap": "v1",
}
#: Their order in what is written: what others refer to comes first.
ORDER = tuple(VERSIONS)
_PLACES = {kind: number for number, kind in enumerate(ORDER)}
#: Kinds that the Gateway API has not.
OWN_KINDS = frozenset(kind for kind, version in VERSIONS.items() if version.startswith("sluicegate.dev/"))

#: Hexadecimal digits of a name's digest, where it would be too long or another's.
_DIGEST = 8


@dataclass(slots=True)
class Manifest:
    """An object that is made.

    Attributes:
        kind: one of `VERSIONS`.
        namespace: of it.
        name: of it.
        content: `spec`, or `data` of a ConfigMap.
        annotations: of it.
        causes: by the path of a part (`spec.rules[0]`; empty: the whole), where it comes from.
    """

    kind: str
    namespace: str
    name: str
    content: dict[str, Any]
    annotations: dict[str, str] = field(default_factory=dict)
    causes: dict[str, tuple[Cause, ...]] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """The object as it is written."""
        metadata: dict[str, Any] = {"name": self.name, "namespace": self.namespace}
        if self.annotations:
            metadata["annotations"] = dict(sorted(self.annotations.items()))
        part = "data" if self.kind == "ConfigMap" else "spec"
        return {"apiVersion": VERSIONS[self.kind], "kind": self.kind, "metadata": metadata, part: self.content}

    def order(self) -> tuple[int, str, str]:
        """Sort by kind, then by name."""
        return (_PLACES[self.kind], self.namespace, self.name)


class Names:
    """Gives each object a name of its own that stays the same as long as what it is made of does."""

    def __init__(self, *, virtual: bool = False) -> None:
        """Begin without names; `virtual`: no object of a cluster may have them, nor those of another conversion."""
        self._taken: dict[tuple[str, str, str], str] = {}
        self._virtual = virtual

    def give(self, kind: str, namespace: str, *parts: str) -> str:
        """A name of these parts; another one for other parts, the same for the same."""
        source = "/".join(parts)
        if self._virtual:
            return f"{VIRTUAL}{':'.join(filter(None, parts))}"
        wanted = "-".join(filter(None, parts))
        if len(wanted) > MAX_SUBDOMAIN or self._taken.get((kind, namespace, wanted), source) != source:
            wanted = f"{wanted[: MAX_SUBDOMAIN - _DIGEST - 1].rstrip('.-')}-{digest(source)}"
        self._taken.setdefault((kind, namespace, wanted), source)
        return wanted


def digest(source: str) -> str:
    """A part of a name that tells things apart whose names are one."""
    import hashlib  # with OpenSSL, which whoever serves can do without

    return hashlib.sha256(source.encode()).hexdigest()[:_DIGEST]


def slug(host: str) -> str:
    """A host as a part of a name."""
    return host.replace("*.", "wildcard.") or "any"


def unique(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Causes, each once, in their order."""
    return tuple(dict.fromkeys(causes))
