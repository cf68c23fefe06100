"""The rules of a CRD in CEL (`x-kubernetes-validations`).

A rule sees `self`: the value with its defaults, names that are words of CEL as they are and escaped (`__namespace__`).
Rules that compare with `oldSelf` are about updates and do not apply to a manifest. Rules are given only the fields that
they name, and their verdict on these is remembered: most of what rules read is the same in many objects. CEL itself is
in the native library, with the functions of Kubernetes that rules call (`native/py/src/rules`).
Source: "Validation rules" of the Kubernetes documentation on custom resources.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec

from sluicegate.engine.native import Rule, RuleScope

from .prepare import RULES, RULES_BELOW, Rules
from .views import MAX_REMEMBERED, view_of, written


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
    value = _seen(msgspec.json.decode(seen)["value"], rules.schema, rules.names)
    try:
        scope = RuleScope(msgspec.json.encode(value))
    except ValueError as error:
        return (("", f"its rules cannot be evaluated: {error}"),)
    return tuple(
        (rule.get("fieldPath", ""), message) for rule in rules.rules if (message := _message(rule, scope)) is not None
    )


def _message(rule: dict[str, Any], scope: RuleScope) -> str | None:
    """Why a rule does not hold; None where it does."""
    text = rule["rule"]
    try:
        if _compiled(text).holds(scope):
            return None
    except LookupError:
        pass  # of a field that is not there: the API server refuses that as well
    except ValueError as error:
        return f"the rule {text!r} cannot be evaluated: {error}"
    expression = rule.get("messageExpression")
    if expression:
        try:
            return _compiled(expression).text(scope)
        except (LookupError, ValueError):
            pass
    return str(rule.get("message") or f"does not hold: {text}").strip()


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _compiled(text: str) -> Rule:
    return Rule(text)
