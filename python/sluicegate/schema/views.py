"""What the rules of a CRD see of a value, as types of msgspec: the fields that they name, with their defaults.

A value is cut down and filled in without Python: whoever reads ten thousand routes asks this eighty thousand times, and
most of what rules see was seen before.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from .prepare import DEFAULTS, Rules

# fmt: off
_RESERVED = frozenset({
    "true", "false", "null", "in", "as", "break", "const",
    "continue", "else", "for", "function", "if", "import", "let",
    "loop", "package", "namespace", "return", "var", "void", "while",
})
# fmt: on
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))

#: Types are values here, which no type checker expects.
_LIST: Any = list
_DICT: Any = dict
#: Names of fields in rules; of `rules`: verdicts on what rules see of a value, and compiled rules.
MAX_REMEMBERED = 1024


@functools.cache  # schemas of the catalog are there for as long as the process
def view_of(rules: Rules) -> type[msgspec.Struct]:
    """The type that has what rules see of a value, in its field `value`."""
    return msgspec.defstruct("View", [("value", _type(rules.schema, rules.names))], gc=False)


def _type(schema: dict[str, Any], names: frozenset[str]) -> Any:  # noqa: ANN401 (any type)
    """What is seen of a value with a schema; all of it where a type cannot say what."""
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
    if "items" in schema:
        return _LIST[_type(schema["items"], names)] | None
    if schema.get("type") != "object" or (properties and additional):
        return Any
    if isinstance(additional, dict):
        return _DICT[str, _type(additional, names)] | None
    return _struct(schema, names) | None


def _struct(schema: dict[str, Any], names: frozenset[str]) -> type[msgspec.Struct]:
    defaults = schema.get(DEFAULTS, {})
    named = [name for name in schema["properties"] if written(name, names)]
    fields: list[Any] = []
    for index, name in enumerate(named):
        kind = _type(schema["properties"][name], names)
        default: Any = msgspec.UNSET
        if name in defaults:
            holder = msgspec.defstruct("Default", [("value", kind)])
            default = msgspec.field(default_factory=functools.partial(_default, holder, defaults[name]))
        fields.append((f"f{index}", kind, default))
    renamed = {f"f{index}": name for index, name in enumerate(named)}
    return msgspec.defstruct("View", fields, rename=renamed, gc=False)


def _default(holder: type[Any], value: object) -> object:
    """A default as its type has it."""
    return msgspec.convert({"value": value}, holder).value


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def written(name: str, names: frozenset[str]) -> tuple[str, ...]:
    """How the words of rules have a field: as it is, and escaped; nothing where they do not name it."""
    # A word of CEL is a name after a point, escaped or not (`has(self.namespace)` of v1.7.0's Gateway).
    return tuple(form for form in dict.fromkeys((name, _escaped(name))) if form in names)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for found, replacement in _ESCAPES:
        name = name.replace(found, replacement)
    return name
