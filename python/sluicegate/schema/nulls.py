"""Nulls as the API server takes them: templates leave many behind (`nodePort: null`, an empty `annotations:`).

- Custom resources: a null of a field that is not nullable is dropped, and the field's default applies. A null in a list
  stays, and is of the wrong type. Source: `PruneNonNullableNullsWithoutDefaults` of apiextensions.
- Kubernetes' own kinds, and all metadata: a null is decoded as Go decodes JSON. A field is unset, a value of a map and
  an item of a list is empty: `""`, 0, false, `{}` or `[]`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .catalog import catalog
from .metadata import METADATA

_EMPTY: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False}
_ENCODER = msgspec.json.Encoder()


def without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    """An object without the nulls that the API server drops; one that has none is returned as it is.

    Args:
        document: as parsed from YAML; of a kind that has no schema here only the metadata is looked at.
    """
    kind, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str) or not _has_null(document):
        return document
    entry = catalog().get((version, kind))
    body = {key: value for key, value in document.items() if key != "metadata"}
    if entry is not None:
        body = _without(body, entry.schema, custom=entry.custom)
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        given = {key: value for key, value in metadata.items() if value is not None}
        body["metadata"] = _without(given, METADATA, custom=False)
    return {key: body[key] for key in document if key in body}


def _has_null(document: dict[str, Any]) -> bool:
    """Whether there is one at all; without recursion, since what no schema knows may be nested deep."""
    try:
        if b"null" not in _ENCODER.encode(document):
            return False
    except (OverflowError, RecursionError, TypeError, ValueError):
        pass  # it has what JSON has not, or too much
    left: list[object] = [document]
    while left:
        value = left.pop()
        if value is None:
            return True
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return False


def _without(value: Any, schema: dict[str, Any], *, custom: bool) -> Any:  # noqa: ANN401 (any YAML)
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        kept = {}
        for name, item in value.items():
            below = properties.get(name, additional)
            if not isinstance(below, dict):
                kept[name] = item
            elif item is not None or below.get("nullable"):
                kept[name] = _without(item, below, custom=custom)
            elif not custom and name not in properties:
                kept[name] = _empty(below)
        return kept
    if isinstance(value, list) and "items" in schema:
        below = schema["items"]
        return [
            _empty(below) if item is None and not custom else _without(item, below, custom=custom) for item in value
        ]
    return value


def _empty(schema: dict[str, Any]) -> Any:  # noqa: ANN401
    """What Go has where JSON has a null."""
    kind = str(schema.get("type"))
    return {} if kind == "object" else [] if kind == "array" else _EMPTY.get(kind)
