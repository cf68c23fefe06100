"""Does an object in the API say what a manifest wants? Pure.

Server-side apply could be asked each time; a look at what the watch told costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..api import ObjectKey
from ..translate.infrastructure.plane import DIGEST_ANNOTATION, PLANE_LABEL, Manifest, controller_of

#: Of what is watched only this is kept: what a manifest can want.
_KEPT = ("spec", "data", "automountServiceAccountToken")


@dataclass(frozen=True, slots=True)
class Live:
    """An object that is there.

    Attributes:
        uid: its own.
        version: `resourceVersion`.
        owner: uid of its controlling owner.
        plane: `namespace/name` of the Deployment that it belongs to.
        controller: name of the controller that made it; empty: not one of ours.
        terminating: it is being deleted.
        document: what a manifest can want of it.
    """

    uid: str
    version: str
    owner: str
    plane: str
    controller: str
    terminating: bool
    document: Manifest


def live_of(document: Manifest) -> Live:
    """Take what is needed of an object as the API has it."""
    metadata = document.get("metadata") or {}
    labels, annotations = _texts(metadata.get("labels")), _texts(metadata.get("annotations"))
    owners = metadata.get("ownerReferences")
    owners = [item for item in owners if isinstance(item, dict)] if isinstance(owners, list) else []
    kept = {name: document[name] for name in _KEPT if name in document}
    kept["metadata"] = {"labels": labels, "annotations": annotations, "ownerReferences": owners}
    return Live(
        uid=str(metadata.get("uid", "")),
        version=str(metadata.get("resourceVersion", "")),
        owner=str(next((item.get("uid", "") for item in owners if item.get("controller")), "")),
        plane=f"{metadata.get('namespace', '')}/{labels.get(PLANE_LABEL, '')}",
        controller=controller_of(labels, annotations),
        terminating="deletionTimestamp" in metadata,
        document=kept,
    )


def _texts(value: object) -> dict[str, str]:
    """Labels or annotations; what is none of a watched object does not count."""
    return {name: item for name, item in value.items() if isinstance(item, str)} if isinstance(value, dict) else {}


def owner_of(manifest: Manifest) -> str:
    """The uid of the owner that a manifest names; empty: what is shared has none."""
    owners = manifest["metadata"].get("ownerReferences")
    return str(owners[0]["uid"]) if owners else ""


def digest_of(manifest: Manifest) -> str:
    """The digest that a manifest carries."""
    return str(manifest["metadata"]["annotations"][DIGEST_ANNOTATION])


def says(live: Live, manifest: Manifest) -> bool:
    """Whether an object has all that a manifest wants; the digest sees what is no longer wanted."""
    return covers(live.document, _compared(manifest))


def _compared(manifest: Manifest) -> Manifest:
    """What of a manifest an object in the API has too."""
    wanted = {name: value for name, value in manifest.items() if name not in {"apiVersion", "kind", "metadata"}}
    metadata = manifest["metadata"]
    parts = {name: metadata[name] for name in ("labels", "annotations", "ownerReferences") if name in metadata}
    return {**wanted, "metadata": parts}


def was_applied(live: Live, manifest: Manifest) -> bool:
    """Whether an object carries the digest of a manifest: it was as wanted, whatever it is now."""
    return bool(live.document["metadata"]["annotations"].get(DIGEST_ANNOTATION) == digest_of(manifest))


def difference(live: Live, manifest: Manifest) -> tuple[str, Any, Any] | None:
    """The first field in which an object differs from a manifest: its path, what it is, what it is to be."""
    return _difference(live.document, _compared(manifest), "")


def _difference(have: Any, want: Any, path: str) -> tuple[str, Any, Any] | None:  # noqa: ANN401 (any JSON values)
    if isinstance(want, dict) and isinstance(have, dict):
        found = (_difference(have.get(name), value, f"{path}.{name}".lstrip(".")) for name, value in want.items())
        return next((item for item in found if item is not None), None)
    if isinstance(want, list) and isinstance(have, list) and len(have) == len(want):
        found = (_difference(*pair, f"{path}[{n}]") for n, pair in enumerate(zip(have, want, strict=True)))
        return next((item for item in found if item is not None), None)
    return None if covers(have, want) else (path, have, want)


def covers(have: Any, want: Any) -> bool:  # noqa: ANN401 (any JSON values)
    """Whether a JSON value holds another: objects may have more fields, lists and the rest must agree."""
    if isinstance(want, dict):
        if not isinstance(have, dict):
            return not want and have is None
        return all(covers(have.get(name), value) for name, value in want.items())
    if isinstance(want, list):
        have = have or []
        return isinstance(have, list) and len(have) == len(want) and all(map(covers, have, want))
    return bool(have == want) and isinstance(have, bool) == isinstance(want, bool)


def with_replicas(manifest: Manifest, live: Live | None, objects: Iterable[Manifest]) -> Manifest:
    """A Deployment with the count of pods that it has, where the manifest leaves it to others.

    A field that is no longer applied is removed by server-side apply: the count would fall to 1. And an autoscaler
    leaves a Deployment of 0 pods as it is, so where there is one it has at least as many as that may come to.

    Args:
        manifest: any object.
        live: what is there.
        objects: all manifests of the data plane.
    """
    if manifest["kind"] != "Deployment" or live is None or "replicas" in manifest["spec"]:
        return manifest
    replicas = (live.document.get("spec") or {}).get("replicas")
    if replicas is None:
        return manifest
    least = [item["spec"]["minReplicas"] for item in objects if item["kind"] == "HorizontalPodAutoscaler"]
    return {**manifest, "spec": {**manifest["spec"], "replicas": max([replicas, *least])}}


def name_of(key: ObjectKey) -> str:
    """An object as messages name it."""
    return f"{key.kind} {key.namespace}/{key.name}"
