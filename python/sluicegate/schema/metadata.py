"""What the API server asks of `metadata`, which all kinds have: types, names, labels, owners.

The types are those of `ObjectMeta` of k8s.io/apimachinery, which are in no CRD; the rules are `ValidateObjectMeta` of
its `api/validation`. What the API server overwrites (uid, times, versions) only has to be of the right type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sluicegate.controller.api.kinds import BY_NAME
from sluicegate.controller.api.names import Naming, is_label, is_label_value, is_name, is_qualified

#: Field, message and remedy; see `Diagnostic`.
Said = tuple[str, str, str]

_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_TIME = {"type": "string", "format": "date-time"}
_INTEGER = {"type": "integer", "format": "int64"}
_OWNER: dict[str, Any] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("apiVersion", "kind", "name", "uid"), _TEXT),
        "controller": {"type": "boolean"},
        "blockOwnerDeletion": {"type": "boolean"},
    },
}
_MANAGED: dict[str, Any] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("manager", "operation", "apiVersion", "fieldsType", "subresource"), _TEXT),
        "time": _TIME,
        "fieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
#: Structural, as the schemas of kinds are.
METADATA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), _TEXT),
        **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), _INTEGER),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), _TIME),
        **dict.fromkeys(("labels", "annotations"), _TEXTS),
        "finalizers": {"type": "array", "items": _TEXT},
        "ownerReferences": {"type": "array", "items": _OWNER},
        "managedFields": {"type": "array", "items": _MANAGED},
    },
}

_FIELDS: dict[str, Any] = METADATA["properties"]
#: Of all annotations of an object together, in bytes.
MAX_ANNOTATIONS = 256 * 1024
STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})

_NAMINGS: dict[Naming, str] = {
    "subdomain": "DNS subdomain (RFC 1123)",
    "signer": "DNS subdomain (RFC 1123)",
    "label": "DNS label (RFC 1123)",
    "service": "DNS label that begins with a letter (RFC 1035)",
}
_QUALIFIED = "letters, digits, -, _ and ., at most 63, with a domain and / before them or not"
_VALUE = "letters, digits, -, _ and ., at most 63; other texts fit into annotations"


def is_plain(metadata: dict[str, Any]) -> bool:
    """Whether its structure is right at a glance: texts, and maps of texts, as most objects have them."""
    return all(_is_plain(_FIELDS.get(name), value) for name, value in metadata.items())


def _is_plain(schema: dict[str, Any] | None, value: object) -> bool:
    if isinstance(value, dict):
        return schema is _TEXTS and all(isinstance(text, str) for text in value.values())
    return schema is _TEXT and isinstance(value, str)


def metadata_rules(metadata: dict[str, Any], kind: str, *, custom: bool) -> Iterator[Said]:
    """Say what rules of `metadata` do not hold.

    Args:
        metadata: with a structure that is right.
        kind: of the object.
        custom: it is a custom resource.
    """
    name, prefix = metadata.get("name", ""), metadata.get("generateName", "")
    if name or not prefix:
        yield from _name("metadata.name", name, kind)
    if prefix:
        yield from _name("metadata.generateName", f"{prefix[:-1]}a" if prefix.endswith("-") else prefix, kind)
    namespace = metadata.get("namespace", "")
    if namespace and not is_label(namespace):
        yield "metadata.namespace", f"{namespace!r} is no DNS label (RFC 1123)", "use lower-case letters, digits and -"
    if not custom and metadata.get("generation", 0) < 0:
        yield "metadata.generation", "less than 0", ""
    yield from label_rules("metadata.labels", metadata.get("labels", {}))
    annotations = metadata.get("annotations", {})
    for key in annotations:
        if not is_qualified(key.lower()):
            yield f'metadata.annotations["{key}"]', f"{key!r} is no qualified name", _QUALIFIED
    if sum(len(key.encode()) + len(text.encode()) for key, text in annotations.items()) > MAX_ANNOTATIONS:
        yield "metadata.annotations", f"more than {MAX_ANNOTATIONS:,} bytes in all", "move large texts elsewhere"
    yield from finalizer_rules("metadata.finalizers", metadata.get("finalizers", []), custom=custom)
    yield from _owners(metadata.get("ownerReferences", []))


def label_rules(field: str, labels: dict[str, str]) -> Iterator[Said]:
    """Say which labels are none."""
    for key, value in labels.items():
        if not is_qualified(key):
            yield f'{field}["{key}"]', f"{key!r} is no qualified name", _QUALIFIED
        if not is_label_value(value):
            yield f'{field}["{key}"]', f"{value!r} is no value of a label", _VALUE


def finalizer_rules(field: str, finalizers: list[str], *, custom: bool) -> Iterator[Said]:
    """Say which finalizers are none; those of Kubernetes' own kinds have a domain, but for its own."""
    for index, name in enumerate(finalizers):
        if not is_qualified(name):
            yield f"{field}[{index}]", f"{name!r} is no qualified name", _QUALIFIED
        elif not custom and "/" not in name and name not in STANDARD_FINALIZERS:
            yield f"{field}[{index}]", f"{name!r} has no domain", f"write example.com/{name}"


def _name(field: str, name: str, kind: str) -> Iterator[Said]:
    naming = BY_NAME[kind].naming if kind in BY_NAME else "subdomain"
    if not name:
        yield field, "required", ""
    elif not is_name(name, naming):
        remedy = "use lower-case letters, digits, - and ., beginning and ending with a letter or digit"
        yield field, f"{name!r} is no {_NAMINGS[naming]}", remedy


def _owners(owners: list[dict[str, Any]]) -> Iterator[Said]:
    for index, owner in enumerate(owners):
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                yield f"metadata.ownerReferences[{index}].{name}", "required", ""
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        yield "metadata.ownerReferences", "only one owner may be the controller", ""
