"""The structural part of a CRD's schema: types, bounds, patterns, list types, unknown fields.

Source: OpenAPI v3 as far as structural schemas may use it (apiextensions `JSONSchemaProps`), and its `x-kubernetes-`
extensions.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import ipaddress
import json
import re
from typing import Any

from sluicegate.controller.api import Code, Diagnostic, Severity
from sluicegate.words import shown

from .patterns import for_re

#: Characters of a value that is matched with a pattern, unless the schema allows more. For some patterns Python's `re`
#: takes time in the square of them, where Go's takes time in proportion: stops a value that would take hours.
MAX_MATCHED = 512

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
INTEGER_BOUNDS = {"int32": 2**31, "int64": 2**63}
PRESERVE = "x-kubernetes-preserve-unknown-fields"


def violation(field: str, code: Code, message: str, remedy: str = "") -> Diagnostic:
    """Tell why the API server would not take an object; of unknown fields it warns (`fieldValidation: Warn`)."""
    severity: Severity = "warning" if code == "unknown-field" else "error"
    return Diagnostic(severity=severity, field=field, code=code, message=message, remedy=remedy)


class Structure:
    """Collects what is wrong with the structure of one object.

    Attributes:
        violations: what is wrong.
        blocked: something is so wrong that rules could not be evaluated: a wrong type, a field that is missing, a value
            that is not supported or too much. Source: `hasBlockingErr` of apiextensions.
    """

    def __init__(self, *, quotes: bool = True) -> None:
        """Make a collector.

        Args:
            quotes: messages show values; False: they never do, as for Secrets, since messages go into logs.
        """
        self._quotes = quotes
        self.violations: list[Diagnostic] = []
        self.blocked = False

    def check(self, value: object, schema: dict[str, Any], path: str) -> None:
        """Look at a value and all below it."""
        if value is None:
            if not schema.get("nullable") and schema.get("type"):
                self._add(path, f"null is no {schema['type']}", "leave the field out, or give it a value", blocks=True)
            return
        if schema.get("x-kubernetes-int-or-string"):
            if not isinstance(value, str) and not _has_type(value, "integer"):
                self._add(path, f"{self._show(value)} is neither an integer nor a string", blocks=True)
                return
        elif not _has_type(value, schema.get("type")):
            remedy = type_remedy(value, schema["type"], quotes=self._quotes)
            self._add(path, f"{self._show(value)} is no {schema['type']}", remedy, blocks=True)
            return
        if "enum" in schema and value not in schema["enum"]:
            allowed = ", ".join(map(str, schema["enum"]))
            near = difflib.get_close_matches(str(value), map(str, schema["enum"]), 1)
            remedy = f"did you mean {near[0]}?" if near else ""
            self._add(path, f"{self._show(value)} is not supported: {allowed}", remedy, blocks=True)
        if isinstance(value, dict):
            self._object(value, schema, path)
        elif isinstance(value, list):
            self._array(value, schema, path)
        elif isinstance(value, str):
            self._string(value, schema, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            self._number(value, schema, path)
        self._combined(value, schema, path)

    def holds(self, value: object, schema: dict[str, Any]) -> bool:
        """Whether a value fits a schema."""
        probe = Structure(quotes=self._quotes)
        probe.check(value, {**schema, PRESERVE: True}, "")
        return not probe.violations

    def _show(self, value: object) -> str:
        return shown(value) if self._quotes else "the value"

    def _add(self, path: str, message: str, remedy: str = "", code: Code = "schema", *, blocks: bool = False) -> None:
        self.violations.append(violation(path, code, message, remedy))
        self.blocked = self.blocked or blocks

    def _combined(self, value: object, schema: dict[str, Any], path: str) -> None:
        for part in schema.get("allOf", ()):
            self.check(value, {**part, PRESERVE: True}, path)
        if "anyOf" in schema and not any(self.holds(value, part) for part in schema["anyOf"]):
            self._add(path, f"{self._show(value)} fits none of the forms that are allowed: {_forms(schema['anyOf'])}")
        if "oneOf" in schema:
            number = sum(self.holds(value, part) for part in schema["oneOf"])
            if number != 1:
                self._add(path, f"{self._show(value)} fits {number or 'none'} of the forms: {_forms(schema['oneOf'])}")
        if "not" in schema and self.holds(value, schema["not"]):
            self._add(path, f"{self._show(value)} has a form that is not allowed: {_forms([schema['not']])}")

    def _object(self, value: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        properties = schema.get("properties", {})
        additional = schema.get("additionalProperties")
        for name in schema.get("required", ()):
            if name not in value:
                self._add(_join(path, name), "required", blocks=True)
        dropped = 0
        for name, item in value.items():
            if name in properties:
                self.check(item, properties[name], _join(path, name))
            elif isinstance(additional, dict):
                self.check(item, additional, f'{path}["{name}"]')
            elif not additional and not schema.get(PRESERVE) and "type" in schema:
                near = difflib.get_close_matches(str(name), properties, 1)
                remedy = f"did you mean {near[0]}?" if near else "remove it, or look for the right name"
                self._add(_join(path, str(name)), "unknown field", remedy, "unknown-field")
                dropped += 1
        # The API server drops what it does not know before it counts.
        self._size(len(value) - dropped, schema, path, "Properties", "fields")

    def _array(self, value: list[Any], schema: dict[str, Any], path: str) -> None:
        items = schema.get("items", {})
        for index, item in enumerate(value):
            self.check(item, items, f"{path}[{index}]")
        self._size(len(value), schema, path, "Items", "items")
        kind = schema.get("x-kubernetes-list-type")
        if kind in {"set", "map"} and len(value) > 1:
            self._unique(value, schema.get("x-kubernetes-list-map-keys") if kind == "map" else None, items, path)

    def _unique(self, value: list[Any], keys: list[str] | None, items: dict[str, Any], path: str) -> None:
        properties = items.get("properties", {})
        seen: dict[str, int] = {}
        for index, item in enumerate(value):
            if keys is None:
                identity: object = item
            elif isinstance(item, dict):
                defaults = {key: properties.get(key, {}).get("default") for key in keys}
                identity = [item.get(key, defaults[key]) for key in keys]
            else:
                continue
            first = seen.setdefault(json.dumps(identity, sort_keys=True, default=str), index)
            if first != index:
                what = f"{', '.join(keys)} {self._show(identity)}" if keys else self._show(identity)
                self._add(f"{path}[{index}]", f"duplicate: {what} is already at [{first}]", "remove one of the two")

    def _string(self, value: str, schema: dict[str, Any], path: str) -> None:
        self._size(len(value), schema, path, "Length", "characters")
        pattern = schema.get("pattern")
        if pattern is not None:
            if len(value) > schema.get("maxLength", 0) and len(value) > MAX_MATCHED:
                self._add(path, f"{len(value):,} characters: too many to be matched with {pattern}")
            elif not _matches(pattern, value):
                self._add(path, f"{self._show(value)} does not match {pattern}")
        reason = _format_error(value, schema.get("format"))
        if reason is not None:
            self._add(path, f"{self._show(value)} is no {reason}")

    def _number(self, value: float, schema: dict[str, Any], path: str) -> None:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
            self._add(path, f"{self._show(value)} is less than {low}")
        if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
            self._add(path, f"{self._show(value)} is more than {high}")
        # A number beyond 64 bits is no integer to Go.
        integer = schema.get("type") == "integer" or schema.get("x-kubernetes-int-or-string")
        kind = schema.get("format", "int64" if integer else "")
        bound = INTEGER_BOUNDS.get(kind)
        if bound is not None and not -bound <= value < bound:
            self._add(path, f"{self._show(value)} does not fit {kind}", blocks=True)

    def _size(self, size: int, schema: dict[str, Any], path: str, keyword: str, unit: str) -> None:
        low, high = schema.get(f"min{keyword}"), schema.get(f"max{keyword}")
        if low is not None and size < low:
            self._add(path, f"{size} {unit}: at least {low} are needed")
        if high is not None and size > high:
            self._add(path, f"{size:,} {unit}: at most {high:,} are allowed", blocks=True)


def _has_type(value: object, kind: str | None) -> bool:
    if kind is None:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def type_remedy(value: object, kind: str, *, quotes: bool = True) -> str:
    """What to do about a value of the wrong type; empty where nobody can say. `quotes`: it may show the value."""
    if kind == "string" and isinstance(value, bool):
        # YAML 1.1 reads all of these as booleans, and which of them was written is not known here.
        written = '"true", "yes" or "on"' if value else '"false", "no" or "off"'
        return f"quote what is written: {written}" if quotes else "quote it"
    if kind == "string" and isinstance(value, (int, float)):
        return f'quote it: "{json.dumps(value)}"' if quotes else "quote it"
    if kind in {"integer", "number", "boolean"} and isinstance(value, str):
        return "write it without quotes" if value else ""
    if kind == "array":
        return "write a list: lines that begin with -"
    return ""


@functools.lru_cache(maxsize=1024)
def _matches(pattern: str, value: str) -> bool:
    """Patterns search anywhere, as Go's regexp does, for which `$` is the end of the text and nothing before it."""
    if pattern.endswith("$") and value.endswith("\n"):
        return False
    return re.search(for_re(pattern), value, re.ASCII) is not None


def _format_error(value: str, kind: str | None) -> str | None:
    try:
        if kind == "ipv4":
            ipaddress.IPv4Address(value)
        elif kind == "ipv6":
            ipaddress.IPv6Address(value)
        elif kind == "date-time":
            datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return {"ipv4": "IPv4 address", "ipv6": "IPv6 address"}.get(kind or "", "date and time (RFC 3339)")
    return None


def _forms(schemas: list[dict[str, Any]]) -> str:
    return "; ".join(
        " and ".join(
            [
                *(f"with {name}" for name in schema.get("required", ())),
                *(f"format {schema[key]}" for key in ("format",) if key in schema),
                *(f"matching {schema[key]}" for key in ("pattern",) if key in schema),
                *(f"{name} = {item['enum']}" for name, item in schema.get("properties", {}).items() if "enum" in item),
            ]
        )
        or "another form"
        for schema in schemas
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
