"""Policies that nobody honours here: of other controllers, and of kinds that this gateway does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sluicegate.controller.api import DEFAULT_NAMESPACE, ROUTE_KINDS, Diagnostic, Origin, placed_at
from sluicegate.controller.api.kinds import BY_NAME
from sluicegate.controller.sources.files import Document

#: What policies are attached to that concern a gateway; others target Deployments and the like.
_TARGETS = frozenset({"Gateway", "GatewayClass", "ListenerSet", "Service", *ROUTE_KINDS})


def foreign_policies(documents: Iterable[Document]) -> Iterator[Diagnostic]:
    """Tell of objects that have targets (GEP-713, `targetRef` and `targetRefs`) and are of no kind that is read."""
    for document in documents:
        data = document.data
        kind, version, spec = data.get("kind"), data.get("apiVersion"), data.get("spec")
        if not isinstance(kind, str) or not isinstance(spec, dict) or _is_read(kind, str(version)):
            continue
        metadata = data.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
        for field, target in _targets(spec):
            name = f"{target['kind']} {target.get('namespace') or namespace}/{target.get('name') or '*'}"
            told = Diagnostic(
                severity="warning",
                object=f"{kind}/{namespace}/{metadata.get('name')}",
                field=field,
                code="foreign-policy",
                message=f"{version}/{kind} is not honoured: what it says of {name} has no effect",
                remedy="remove it, or serve that with the controller that the policy is of",
            )
            yield placed_at(told, Origin(document.origin.path, document.line_of(field)))


def _is_read(kind: str, version: str) -> bool:
    row = BY_NAME.get(kind)
    return row is not None and row.struct is not None and row.group == version.rpartition("/")[0]


def _targets(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    several = spec.get("targetRefs")
    several = several if isinstance(several, list) else []
    written = [(f"spec.targetRefs[{index}]", item) for index, item in enumerate(several)]
    for field, target in [("spec.targetRef", spec.get("targetRef")), *written]:
        if isinstance(target, dict) and target.get("kind") in _TARGETS:
            yield field, target
