"""The rules of a CRD in CEL (`x-kubernetes-validations`).

A rule sees `self`: the value with its defaults, names that are words of CEL as they are and escaped (`__namespace__`).
Rules that compare with `oldSelf` are about updates and do not apply to a manifest. Rules are given only the fields that
they name, and their verdict on these is remembered: most of what rules read is the same in many objects.
Source: "Validation rules" of the Kubernetes documentation on custom resources.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from .cel_library import cel, stdlib
from .prepare import RULES, RULES_BELOW, Rules
from .views import MAX_REMEMBERED, view_of, written

_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
MAX_SUBDOMAIN = 253


def check_rules(
    value: Any,  # noqa: ANN401 (any YAML value)
    schema: dict[str, Any],
) -> Iterator[tuple[str, str]]:
    """Say which rules do not hold.

    Args:
        value: the object, its structure already found to be right; defaults need not be filled in.
        schema: of the object; see `prepare`.

    Yields:
        Path of the value that the rule is about, and the rule's message.
    """
    found: list[tuple[str, str]] = []
    _check(value, schema, "", found)
    yield from sorted(found)


def _check(value: Any, schema: dict[str, Any], path: str, found: list[tuple[str, str]]) -> None:  # noqa: ANN401
    """Evaluate the rules of a value and of all below it."""
    if RULES_BELOW not in schema:
        return
    if isinstance(value, dict):
        properties, additional = schema["properties"], schema.get("additionalProperties")
        with_rules = schema[RULES_BELOW]
        for name, item in value.items():
            if name in with_rules:
                _check(item, properties[name], f"{path}.{name}" if path else name, found)
            elif isinstance(additional, dict) and name not in properties:
                _check(item, additional, f'{path}["{name}"]', found)
    elif isinstance(value, list) and RULES_BELOW in schema.get("items", ()):
        for index, item in enumerate(value):
            _check(item, schema["items"], f"{path}[{index}]", found)
    rules = schema.get(RULES)
    if rules is not None:
        seen = msgspec.json.encode(msgspec.convert({"value": value}, view_of(rules)))
        for field, message in _broken(rules, seen):
            found.append(((path + field).lstrip("."), message))


def _seen(value: Any, schema: dict[str, Any], names: frozenset[str]) -> Any:  # noqa: ANN401
    """What rules see of a value: of its fields only those that they name."""
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        seen = {}
        for name, item in value.items():
            if name in properties:
                for name_in_rules in written(name, names):
                    seen[name_in_rules] = _seen(item, properties[name], names)
            elif isinstance(additional, dict):
                seen[str(name)] = _seen(item, additional, names)
        return seen
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_seen(item, items, names) for item in value]
    return value


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _broken(rules: Rules, seen: bytes) -> tuple[tuple[str, str], ...]:
    """The rules that do not hold for what they see of a value (`views`): `fieldPath` and message."""
    scope = _Scope(_seen(msgspec.json.decode(seen)["value"], rules.schema, rules.names))
    return tuple(
        (rule.get("fieldPath", ""), message) for rule in rules.rules if (message := _message(rule, scope)) is not None
    )


class _Scope:
    """What rules about one value see; made once for all of them."""

    def __init__(self, view: Any) -> None:  # noqa: ANN401
        self._plain = cel.Context()
        self._plain.add_variable("self", view)
        self._view = view
        self._extended: cel.Context | None = None

    def evaluate(self, text: str) -> Any:  # noqa: ANN401
        program, extended = _compiled(text)
        return program.execute(self._with_functions() if extended else self._plain)

    def _with_functions(self) -> cel.Context:
        if self._extended is None:
            self._extended = cel.Context()
            self._extended.add_variable("self", self._view)
            self._extended.add_variable("format", {})
            for name, function in _FUNCTIONS.items():
                self._extended.add_function(name, function)
        return self._extended


def _message(rule: dict[str, Any], scope: _Scope) -> str | None:
    """Why a rule does not hold; None where it does."""
    text = rule["rule"]
    try:
        if scope.evaluate(text):
            return None
    except LookupError:
        pass  # of a field that is not there: the API server refuses that as well
    except (RuntimeError, TypeError, ValueError) as error:
        return f"the rule {text!r} cannot be evaluated: {error}"
    expression = rule.get("messageExpression")
    if expression:
        try:
            return f"{scope.evaluate(expression)}"
        except (RuntimeError, TypeError, ValueError, LookupError):
            pass
    return str(rule.get("message") or f"does not hold: {text}").strip()


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _compiled(text: str) -> tuple[cel.Program, bool]:
    """The program, and whether it calls functions that are not CEL's own."""
    program = cel.compile(text)
    return program, not _FUNCTIONS.keys().isdisjoint(program.functions())


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _validate(kind: str, value: str) -> list[str]:
    """`format.<kind>().validate(value)`: what is wrong; `hasValue` says whether there is anything."""
    if kind == "dns1123Subdomain":
        fits = len(value) <= MAX_SUBDOMAIN and _SUBDOMAIN.fullmatch(value) is not None
    else:
        prefix, slash, name = value.rpartition("/")
        fits = _QUALIFIED.fullmatch(name) is not None and (not slash or _SUBDOMAIN.fullmatch(prefix) is not None)
    return [] if fits else [f"no {kind}"]


_FUNCTIONS: dict[str, Any] = {
    "split": stdlib.split,
    "substring": stdlib.substring,
    "isIP": _is_ip,
    "dns1123Subdomain": lambda _format: "dns1123Subdomain",
    "qualifiedName": lambda _format: "qualifiedName",
    "validate": _validate,
    "hasValue": bool,
}
