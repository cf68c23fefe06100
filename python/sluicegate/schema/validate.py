"""An object against its schema: structure first, then the rules in CEL, as the API server goes about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sluicegate.controller.api import Diagnostic
from sluicegate.words import with_article

from .catalog import Entry, catalog
from .core_rules import core_rules
from .fits import fits
from .metadata import METADATA, is_plain, metadata_rules
from .misspelt import unknown, untyped
from .nulls import without_nulls
from .prepare import with_defaults
from .rules import check_rules
from .structure import Structure, violation


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
    # The status of a custom resource is dropped before anybody looks at it.
    left_out = {"metadata", "status"} if entry.custom else {"metadata"}
    body = {key: value for key, value in document.items() if key not in left_out}
    # The metadata is looked at above; the schema's `required` may name it.
    whole = {**body, "metadata": {}}
    if not fits(schema)(whole):
        structure.check(with_defaults(whole, schema), schema, "")
    found += structure.violations
    # Fields that are not known stand in no rule's way: the API server has dropped them before it asks.
    if not structure.blocked:
        found += [violation(field, "rule", message) for field, message in check_rules(body, schema)]
        if not entry.custom and isinstance(document.get("metadata"), dict):
            whole = {**with_defaults(body, schema), "metadata": document["metadata"]}
            found += [violation(field, "rule", message, remedy) for field, message, remedy in core_rules(whole)]
    return found


def _metadata(document: dict[str, Any], entry: Entry) -> Iterator[Diagnostic]:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        yield violation("metadata", "schema", "required: metadata with a name")
        return
    if not entry.namespaced and metadata.get("namespace"):
        # Templates write it; the API server drops it (`EnsureObjectNamespaceMatchesRequestNamespace` of apiserver).
        yield violation(
            "metadata.namespace", "unknown-field", f"{with_article(entry.kind)} has no namespace", "remove it"
        )
        metadata = {key: value for key, value in metadata.items() if key != "namespace"}
    structure = Structure()
    if not is_plain(metadata):
        structure.check(metadata, METADATA, "metadata")
        yield from structure.violations
    if not structure.blocked:
        for field, message, remedy in metadata_rules(metadata, entry.kind, custom=entry.custom):
            yield violation(field, "schema", message, remedy)
