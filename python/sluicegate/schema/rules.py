"""The rules of a CRD in CEL (`x-kubernetes-validations`).

A rule sees `self`: the value with its defaults, names that are words of CEL escaped (`__namespace__`). Rules that
compare with `oldSelf` are about updates and do not apply to a manifest.
Source: "Validation rules" of the Kubernetes documentation on custom resources.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterator
from typing import Any

import cel
from cel import stdlib

from .structure import resolve

# fmt: off
_RESERVED = frozenset({
    "true", "false", "null", "in", "as", "break", "const",
    "continue", "else", "for", "function", "if", "import", "let",
    "loop", "package", "namespace", "return", "var", "void", "while",
})
# fmt: on
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
MAX_SUBDOMAIN = 253


def check_rules(
    value: Any,  # noqa: ANN401 (any YAML value)
    schema: dict[str, Any],
    definitions: dict[str, Any],
) -> Iterator[tuple[str, str]]:
    """Say which rules do not hold.

    Args:
        value: the object, its structure already found to be right.
        schema: of the object.
        definitions: what `$ref` names.

    Yields:
        Path of the value that the rule is about, and the rule's message.
    """
    found: list[tuple[str, str]] = []
    _view(value, schema, definitions, "", found)
    yield from sorted(found)


def _view(
    value: Any,  # noqa: ANN401
    schema: dict[str, Any],
    definitions: dict[str, Any],
    path: str,
    found: list[tuple[str, str]],
) -> Any:  # noqa: ANN401
    """Return the value as CEL sees it; rules are evaluated from the innermost value outwards."""
    schema = resolve(schema, definitions)
    view: Any
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        additional = schema.get("additionalProperties")
        view = {}
        for name, item in value.items():
            if name in properties:
                inner = f"{path}.{name}" if path else name
                view[_escaped(name)] = _view(item, properties[name], definitions, inner, found)
            elif isinstance(additional, dict):
                view[name] = _view(item, additional, definitions, f'{path}["{name}"]', found)
    elif isinstance(value, list):
        items = schema.get("items", {})
        view = [_view(item, items, definitions, f"{path}[{index}]", found) for index, item in enumerate(value)]
    else:
        view = value
    rules = schema.get("x-kubernetes-validations")
    if rules:
        scope = _Scope(view)
        for rule in rules:
            message = _broken(rule, scope)
            if message is not None:
                found.append((_rule_path(path, rule), message))
    return view


def _rule_path(path: str, rule: dict[str, Any]) -> str:
    field: str = rule.get("fieldPath", "")
    return (path + field).lstrip(".")


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


def _broken(rule: dict[str, Any], scope: _Scope) -> str | None:
    text = rule["rule"]
    if "oldSelf" in text:
        return None
    try:
        if scope.evaluate(text):
            return None
    except (RuntimeError, TypeError, ValueError) as error:
        return f"the rule {text!r} cannot be evaluated: {error}"
    expression = rule.get("messageExpression")
    if expression:
        try:
            return f"{scope.evaluate(expression)}"
        except (RuntimeError, TypeError, ValueError):
            pass
    return str(rule.get("message") or f"does not hold: {text}").strip()


@functools.lru_cache(maxsize=1024)
def _compiled(text: str) -> tuple[cel.Program, bool]:
    """The program, and whether it calls functions that are not CEL's own."""
    program = cel.compile(text)
    return program, not _FUNCTIONS.keys().isdisjoint(program.functions())


def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for found, replacement in _ESCAPES:
        name = name.replace(found, replacement)
    return name


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
