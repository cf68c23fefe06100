"""An object against its schema: structure first, then the rules in CEL, as the API server goes about it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from sluicegate.controller.api import Diagnostic

from .catalog import Entry, catalog
from .core_rules import core_rules
from .kinds import unknown, untyped
from .nulls import without_nulls
from .prepare import with_defaults
from .rules import check_rules
from .structure import Structure, type_remedy, violation

#: A DNS subdomain (RFC 1123), which names of objects are.
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
MAX_NAME_LENGTH = 253
#: `metadata` as far as people write it; the rest is the API server's own.
_METADATA = {
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "generation",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
}


def violations(document: dict[str, Any]) -> list[Diagnostic]:
    """Look at an object.

    Args:
        document: as parsed from YAML.

    Returns:
        What is wrong, by field, without object and place; empty where nothing is, and for kinds of others. Codes are
        `schema`, `rule`, `unknown-field`, `unknown-kind` and `unknown-version`.
    """
    kind, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return list(untyped(document))
    entry = catalog().get((version, kind))
    if entry is None:
        return list(unknown(version, kind))
    document = without_nulls(document)
    found = list(_metadata(document, entry))
    structure = Structure(quotes=kind != "Secret")
    schema = entry.schema
    body = {key: value for key, value in document.items() if key not in {"metadata", "status"}}
    body = with_defaults(body, schema)
    # The metadata is looked at above; the schema's `required` may name it.
    structure.check({**body, "metadata": {}}, schema, "")
    found += structure.violations
    # Fields that are not known stand in no rule's way: the API server has dropped them before it asks.
    if not structure.blocked:
        found += [violation(field, "rule", message) for field, message in check_rules(body, schema)]
        if not entry.custom:
            found += [violation(field, "rule", message, remedy) for field, message, remedy in core_rules(kind, body)]
    return found


def _is_name(name: str, kind: str) -> bool:
    # A bundle of a signer has the signer's name before its own: `example.com:signer:name`.
    parts = name.split(":") if kind == "ClusterTrustBundle" else [name]
    return all(_NAME.fullmatch(part) is not None for part in parts)


def _metadata(document: dict[str, Any], entry: Entry) -> Iterator[Diagnostic]:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        yield violation("metadata", "schema", "required: metadata with a name")
        return
    name = metadata.get("name")
    if name is None and metadata.get("generateName") is None:
        yield violation("metadata.name", "schema", "required")
    elif name is not None and (
        not isinstance(name, str) or len(name) > MAX_NAME_LENGTH or not _is_name(name, entry.kind)
    ):
        remedy = "use lower-case letters, digits, - and ., beginning and ending with a letter or digit"
        yield violation("metadata.name", "schema", f"{name!r} is no DNS subdomain (RFC 1123)", remedy)
    if not entry.namespaced and metadata.get("namespace"):
        # Templates write it; the API server drops it (`EnsureObjectNamespaceMatchesRequestNamespace` of apiserver).
        yield violation("metadata.namespace", "unknown-field", f"a {entry.kind} has no namespace", "remove it")
    for key, value in metadata.items():
        if key not in _METADATA:
            near = difflib.get_close_matches(str(key), _METADATA, 1)
            remedy = f"did you mean {near[0]}?" if near else "remove it"
            yield violation(f"metadata.{key}", "unknown-field", "unknown field", remedy)
        elif key in {"labels", "annotations"} and value is not None:
            if not isinstance(value, dict):
                yield violation(f"metadata.{key}", "schema", "must be an object")
                continue
            for inner, text in value.items():
                if not isinstance(text, str):
                    remedy = type_remedy(text, "string")
                    yield violation(f'metadata.{key}["{inner}"]', "schema", f"{text!r} is no string", remedy)
