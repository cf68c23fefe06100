"""Whether a value has the structure that a schema asks for: yes or no, quickly.

Nearly every object is right, and whoever reads ten thousand asks this of two hundred thousand values. A schema becomes
a function once; what the function does not know it leaves to `Structure`, which also says what is wrong. A `True` of it
means that `Structure` finds nothing (`tests/unit/test_fits.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .prepare import DEFAULTS, RULES, RULES_BELOW
from .structure import INTEGER_BOUNDS, MAX_MATCHED, PRESERVE, Structure

Fits = Callable[[object], bool]

#: Keywords that ask nothing of the structure of a value.
_ALWAYS = frozenset({"type", "default", "description", "x-kubernetes-map-type", RULES, DEFAULTS, RULES_BELOW})
#: By type: the keywords that are known here. `prepared` gives every schema `properties`.
_KNOWN: dict[str, frozenset[str]] = {
    "string": _ALWAYS | {"properties", "enum", "minLength", "maxLength", "pattern"},
    "integer": _ALWAYS | {"properties", "minimum", "maximum", "format"},
    "boolean": _ALWAYS | {"properties"},
    "array": _ALWAYS
    | {"properties", "items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "object": _ALWAYS | {"properties", "required", "additionalProperties", "minProperties", "maxProperties", PRESERVE},
}
_NO_LIMIT = 2**63

#: Functions by the identity of their schema: schemas of the catalog are there for as long as the process.
_made: dict[int, tuple[dict[str, Any], Fits]] = {}


def fits(schema: dict[str, Any]) -> Fits:
    """The function of a schema, as `prepared` makes it."""
    made = _made.get(id(schema))
    if made is None or made[0] is not schema:
        known = _KNOWN.get(schema.get("type", ""), frozenset())
        make = _MAKERS[schema["type"]] if known and schema.keys() <= known else _slowly
        made = _made[id(schema)] = (schema, make(schema))
    return made[1]


def _slowly(schema: dict[str, Any]) -> Fits:
    def decide(value: object) -> bool:
        probe = Structure()
        probe.check(value, schema, "")
        return not probe.violations

    return decide


def _string(schema: dict[str, Any]) -> Fits:
    low, high = schema.get("minLength", 0), schema.get("maxLength", _NO_LIMIT)
    allowed = frozenset(schema["enum"]) if "enum" in schema else None
    pattern = schema.get("pattern")
    search = re.compile(pattern, re.ASCII).search if pattern is not None else None
    slowly = _slowly(schema)

    def decide(value: object) -> bool:
        if type(value) is not str or not low <= len(value) <= high or (allowed is not None and value not in allowed):
            return False
        if search is None:
            return True
        # `Structure` has the rules for what is long, and for a `$` before the end of a line.
        return slowly(value) if len(value) > MAX_MATCHED or "\n" in value else search(value) is not None

    return decide


def _integer(schema: dict[str, Any]) -> Fits:
    bound = INTEGER_BOUNDS.get(schema.get("format", "int64"), _NO_LIMIT)
    low, high = max(schema.get("minimum", -bound), -bound), min(schema.get("maximum", bound - 1), bound - 1)

    def decide(value: object) -> bool:
        if type(value) is float:
            return value.is_integer() and low <= value <= high
        return type(value) is int and low <= value <= high

    return decide


def _boolean(_: dict[str, Any]) -> Fits:
    return lambda value: type(value) is bool


def _array(schema: dict[str, Any]) -> Fits:
    low, high = schema.get("minItems", 0), schema.get("maxItems", _NO_LIMIT)
    items = schema.get("items", {})
    compared = schema.get("x-kubernetes-list-type") in {"set", "map"}
    slowly = _slowly(schema)

    def decide(value: object) -> bool:
        if type(value) is not list or not low <= len(value) <= high:
            return False
        if compared and len(value) > 1:
            return slowly(value)
        item_fits = fits(items)
        return all(map(item_fits, value))

    return decide


def _object(schema: dict[str, Any]) -> Fits:
    low, high = schema.get("minProperties", 0), schema.get("maxProperties", _NO_LIMIT)
    properties, required = schema["properties"], schema.get("required", ())
    additional = schema.get("additionalProperties")
    takes_any = not isinstance(additional, dict) and bool(additional or schema.get(PRESERVE))

    def decide(value: object) -> bool:
        if type(value) is not dict or not low <= len(value) <= high:
            return False
        for name in required:
            if name not in value:
                return False
        for name, item in value.items():
            below = properties.get(name, additional)
            if isinstance(below, dict):
                if not fits(below)(item):
                    return False
            elif not takes_any:
                return False
        return True

    return decide


_MAKERS: dict[str, Callable[[dict[str, Any]], Fits]] = {
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}
