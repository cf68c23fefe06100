"""One JSON Schema for all manifests, as editors with the YAML language server read it.

It is made of the schemas that `check` validates by: an editor underlines what `check` would refuse, but for CEL rules.
Fields that are not known are refused too: most of them are misspelt.
"""

from __future__ import annotations

from typing import Any

from sluicegate.schema.catalog import catalog

DIALECT = "http://json-schema.org/draft-07/schema#"
#: What a document begins with whose editor is to know the schema.
MODELINE = "# yaml-language-server: $schema={path}\n"

Schema = dict[str, Any]
_METADATA: Schema = {"type": "object"}


def editor_schema() -> Schema:
    """The schema: which kind a document is says what has to be in it; other kinds may have anything."""
    kinds = sorted((entry for entry in catalog().values() if entry.served), key=lambda item: (item.kind, item.version))
    branches = [
        {
            "if": {
                "properties": {"apiVersion": {"const": entry.version}, "kind": {"const": entry.kind}},
                "required": ["apiVersion", "kind"],
            },
            "then": _root(entry.schema),
        }
        for entry in kinds
    ]
    return {
        "$schema": DIALECT,
        "title": "Manifests that Sluicegate reads",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "allOf": branches,
    }


def _root(schema: Schema) -> Schema:
    found = _standard(schema)
    properties = {**found.get("properties", {}), "metadata": _METADATA, "status": {}}
    properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    return {**found, "properties": properties}


def _standard(part: Any) -> Any:  # noqa: ANN401 (any part of a schema)
    """A part without what Kubernetes adds to JSON Schema; closed where it says all of its fields."""
    if isinstance(part, list):
        return [_standard(item) for item in part]
    if not isinstance(part, dict):
        return part
    found: Schema = {}
    for key, value in part.items():
        if key == "properties":
            if value:
                found[key] = {name: _standard(item) for name, item in value.items()}
        elif key in _KEPT:
            found[key] = _standard(value)
    if part.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
    if part.get("nullable") and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    is_whole = part.get("type") == "object" and part.get("properties") and "additionalProperties" not in part
    if is_whole and not part.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = False
    return found


#: What JSON Schema has too; patterns are left to `check`: they are RE2's, and editors have another syntax.
_KEPT = frozenset(
    {
        *("additionalProperties", "allOf", "anyOf", "default", "description", "enum", "items", "maxItems", "maxLength"),
        *("maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "not", "oneOf", "required"),
        *("type", "uniqueItems"),
    }
)
