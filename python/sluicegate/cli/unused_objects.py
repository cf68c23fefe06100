"""Objects that only do something where another one refers to them, and that none does.

Of policies and XBackends the translator knows that (`unused-policy`), since it looks for what leads to them. Of these
it never asks: the one that refers to them looks them up. So references are read as they are written, also of objects
that the API server would refuse: once they are corrected, they refer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sluicegate.controller.api import DEFAULT_NAMESPACE, OWN_GROUP, Diagnostic, ObjectKey, placed_at
from sluicegate.controller.api.names import VIRTUAL
from sluicegate.controller.sources.files import Document
from sluicegate.controller.store.snapshot import Snapshot

#: What refers to each kind.
_REFERRED_BY: Mapping[str, str] = {
    "HTTPFilter": "extensionRef of a filter in a route or a listener",
    "RequestHeaderFilter": "extensionRef of a filter in a listener",
    "GatewayParameters": "parametersRef of a GatewayClass or a Gateway",
}


def unused_objects(snapshot: Snapshot, documents: Iterable[Document]) -> Iterator[Diagnostic]:
    """Tell of objects that nothing refers to.

    Args:
        snapshot: what there is.
        documents: the same as it is written.
    """
    there = {
        ObjectKey(kind, *pair)
        for kind in _REFERRED_BY
        for pair in snapshot.table(kind)
        if not pair[1].startswith(VIRTUAL)  # made for an Ingress, by what refers to it
    }
    if not there:
        return
    there.difference_update(key for document in documents for key in _referred(document.data))
    for key in there:
        told = Diagnostic(
            severity="info",
            object=str(key),
            code="unused-object",
            message="nothing refers to it, so it has no effect",
            remedy=f"name it in {_REFERRED_BY[key.kind]}, or take it out",
        )
        origin = snapshot.origin(key)
        yield placed_at(told, origin) if origin is not None else told


def _referred(data: dict[str, Any]) -> Iterator[ObjectKey]:
    """All that an object refers to, of these kinds."""
    metadata = data.get("metadata")
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    for item in _mappings(data.get("spec")):
        kind, name = item.get("kind"), item.get("name")
        if item.get("group") == OWN_GROUP and isinstance(kind, str) and kind in _REFERRED_BY and isinstance(name, str):
            spaces = (space for space in (item.get("namespace"), namespace) if isinstance(space, str) and space)
            yield ObjectKey(kind, next(spaces, DEFAULT_NAMESPACE), name)


def _mappings(value: object) -> Iterator[dict[str, Any]]:
    """All mappings within a value, itself among them."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
