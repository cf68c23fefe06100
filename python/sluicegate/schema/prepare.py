"""Schemas made ready: references followed, and what can be said of a schema before there is a value.

To the keywords of a schema two are added:
- `DEFAULTS`, where it or a schema below it has defaults: those of its fields by name, with the defaults below them.
- `RULES_BELOW`, where it or a schema below it has rules in CEL: the names of its fields that have some.

The rules themselves become `Rules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

RULES = "x-kubernetes-validations"
DEFAULTS = "sluicegate-defaults"
RULES_BELOW = "sluicegate-rules-below"

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """Rules about one value.

    Attributes:
        rules: as the CRD has them, without those that compare with `oldSelf`.
        names: every word in them, and so every field that they read.
        schema: of the value.
    """

    rules: tuple[dict[str, Any], ...]
    names: frozenset[str]
    schema: dict[str, Any]


def prepared(schema: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Make a schema ready.

    Args:
        schema: as `tools/schemas.py` writes it.
        definitions: what `$ref` names, ready; used as they are, so that equal parts are one object.
    """
    if "$ref" in schema:
        return definitions[schema["$ref"]]
    result = dict(schema)
    properties = result["properties"] = {
        name: prepared(item, definitions) for name, item in schema.get("properties", {}).items()
    }
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = prepared(schema[key], definitions)
    filled = [*properties.values(), result.get("items", {})]
    defaults = {
        name: with_defaults(item["default"], item)
        for name, item in properties.items()
        if item.get("default") is not None
    }
    if defaults or any(DEFAULTS in item for item in filled):
        result[DEFAULTS] = defaults
    additional = result.get("additionalProperties")
    below = [*filled, additional] if isinstance(additional, dict) else filled
    if RULES in schema:
        result[RULES] = _rules(schema[RULES], result)
    if RULES in result or any(RULES_BELOW in item for item in below):
        result[RULES_BELOW] = frozenset(name for name, item in properties.items() if RULES_BELOW in item)
    return result


def _rules(written: list[dict[str, Any]], schema: dict[str, Any]) -> Rules:
    rules = tuple(rule for rule in written if "oldSelf" not in rule["rule"])
    texts = [text for rule in rules for text in (rule["rule"], rule.get("messageExpression", ""))]
    return Rules(rules, frozenset(word for text in texts for word in _WORD.findall(text)), schema)


def with_defaults(value: Any, schema: dict[str, Any]) -> Any:  # noqa: ANN401 (any YAML)
    """Return the value with the schema's defaults, as the API server has it before it looks; nothing is changed."""
    defaults = schema.get(DEFAULTS)
    if defaults is None:
        return value
    if isinstance(value, dict):
        properties = schema["properties"]
        filled = {
            name: with_defaults(item, properties[name]) if DEFAULTS in properties.get(name, ()) else item
            for name, item in value.items()
        }
        for name, default in defaults.items():
            filled.setdefault(name, default)
        return filled
    if isinstance(value, list) and DEFAULTS in schema.get("items", ()):
        return [with_defaults(item, schema["items"]) for item in value]
    return value
