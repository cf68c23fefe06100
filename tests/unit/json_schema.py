"""The part of JSON Schema (draft 2020-12) that our schemas use; a keyword that is not known is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
#: What says nothing about values, and what is looked at together with another keyword.
_SILENT = {"$schema", "$id", "$defs", "title", "description", "default", "discriminator", "contentEncoding"}
_KNOWN = _SILENT | {
    *("$ref", "anyOf", "not", "const", "enum", "type", "properties", "required", "additionalProperties", "pattern"),
    *("items", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength"),
}


def errors(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, path: str = "$") -> Iterator[str]:
    """What of a value does not fit.

    An object may have no fields but those that are described, although readers have to expect more: so a field that is
    written and not described is found.
    """
    root = schema if root is None else root
    unknown = schema.keys() - _KNOWN
    assert not unknown, f"the schema has keywords that are not known here: {unknown}"
    if "$ref" in schema:
        yield from errors(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, path)
    if "anyOf" in schema:
        found = [list(errors(value, part, root, path)) for part in schema["anyOf"]]
        if all(found):
            yield f"{path}: fits none of the forms: {min(found, key=len)}"
    if "not" in schema and not list(errors(value, schema["not"], root, path)):
        yield f"{path}: {value!r} is not allowed"
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        yield f"{path}: {value!r} is none of the values"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{path}: {value!r} is not of type {kinds}"
        return
    if isinstance(value, dict):
        yield from _object(value, schema, root, path)
    elif isinstance(value, list):
        yield from _array(value, schema, root, path)
    elif isinstance(value, str):
        yield from _size(len(value), schema, "Length", path)
        if "pattern" in schema and re.search(schema["pattern"], value) is None:
            yield f"{path}: {value!r} does not match {schema['pattern']}"
    elif _is(value, "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path}: {value} is out of bounds"


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[str]:
    properties, more = schema.get("properties"), schema.get("additionalProperties", False)
    yield from (f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value)
    for name, item in value.items():
        if properties is not None and name in properties:
            yield from errors(item, properties[name], root, f"{path}.{name}")
        elif isinstance(more, dict):
            yield from errors(item, more, root, f"{path}.{name}")
        elif properties is not None and not more:
            yield f"{path}: {name} is not described"


def _array(value: list[Any], schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[str]:
    yield from _size(len(value), schema, "Items", path)
    first = schema.get("prefixItems", [])
    for index, item in enumerate(value):
        rest = schema.get("items", {})
        part = first[index] if index < len(first) else rest
        if part is False:
            yield f"{path}[{index}]: there is to be no such item"
        else:
            yield from errors(item, part, root, f"{path}[{index}]")


def _size(size: int, schema: dict[str, Any], what: str, path: str) -> Iterator[str]:
    if not schema.get(f"min{what}", size) <= size <= schema.get(f"max{what}", size):
        yield f"{path}: {size} is out of bounds"
