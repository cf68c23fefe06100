"""ReferenceGrants: which references across namespaces are allowed (GEP-709)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..api import ObjectKey, ReferenceGrant
from ..api.kinds import BY_NAME

#: Grants by the namespace that they are in, which is the namespace that they open.
Grants = Mapping[str, tuple[ReferenceGrant, ...]]


def index_grants(grants: Iterable[ReferenceGrant]) -> dict[str, tuple[ReferenceGrant, ...]]:
    """Sort grants into their namespaces."""
    found: dict[str, list[ReferenceGrant]] = {}
    for grant in grants:
        found.setdefault(grant.namespace, []).append(grant)
    return {namespace: tuple(items) for namespace, items in found.items()}


def allows(grants: Iterable[ReferenceGrant], source: ObjectKey, group: str, kind: str, name: str) -> bool:
    """Whether one of the target namespace's grants lets `source`, of a kind that is read, refer to the target."""
    return any(
        any(
            item.group == BY_NAME[source.kind].group and item.kind == source.kind and item.namespace == source.namespace
            for item in grant.spec.from_
        )
        and any(item.group == group and item.kind == kind and item.name in {None, "", name} for item in grant.spec.to)
        for grant in grants
    )


def grant_remedy(source: ObjectKey, namespace: str, kind: str) -> str:
    """Say which ReferenceGrant is missing."""
    return (
        f"add a ReferenceGrant in namespace {namespace} from {source.kind} in namespace {source.namespace} to {kind}, "
        "or refer to an object of the same namespace"
    )
