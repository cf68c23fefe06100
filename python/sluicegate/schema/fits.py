"""Whether a value has the structure that a schema asks for: quickly, and yes only where that is sure.

Nearly every object is right, and whoever reads ten thousand asks this of two hundred thousand values. A schema becomes
a type of msgspec once, which looks at values without Python. What a type cannot say it leaves to `Structure`, which
also says what is wrong. A `True` means that `Structure` finds nothing (`tests/admission/test_fits.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from .patterns import for_re
from .prepare import DEFAULTS, RULES, RULES_BELOW, with_defaults
from .structure import INTEGER_BOUNDS, MAX_MATCHED, PRESERVE, Structure

Fits = Callable[[object], bool]

#: Keywords that ask nothing of the structure of a value.
_ALWAYS = frozenset(
    {"type", "properties", "default", "description", "x-kubernetes-map-type", RULES, DEFAULTS, RULES_BELOW}
)
#: By type: the keywords that are known here. `prepared` gives every schema `properties`.
_KNOWN: dict[str, frozenset[str]] = {
    "string": _ALWAYS | {"enum", "minLength", "maxLength", "pattern"},
    "integer": _ALWAYS | {"minimum", "maximum", "format"},
    "boolean": _ALWAYS,
    "array": _ALWAYS | {"items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "object": _ALWAYS | {"required", "additionalProperties", "minProperties", "maxProperties", PRESERVE},
}
#: Types are values here, which no type checker expects.
_ANNOTATED: Any = Annotated
_LIST: Any = list
_DICT: Any = dict
#: Keywords of a text that a set of texts does not have.
_OF_TEXT = frozenset({"minLength", "maxLength", "pattern"})

#: What is made of schemas, by their identity: those of the catalog are there for as long as the process.
_made: dict[int, tuple[dict[str, Any], Any]] = {}
_functions: dict[int, tuple[dict[str, Any], Fits]] = {}


class _Asked:
    """A type that only a function knows: subclasses have the function."""

    fits: ClassVar[Fits]


def fits(schema: dict[str, Any]) -> Fits:
    """The function of a schema, as `prepared` makes it; defaults need not be filled in before."""
    made = _functions.get(id(schema))
    if made is None or made[0] is not schema:
        made = _functions[id(schema)] = (schema, _function(_type(schema)))
    return made[1]


def _function(kind: Any) -> Fits:  # noqa: ANN401 (any type)
    # As a field, since msgspec keeps what it knows of structs only.
    holder = msgspec.defstruct("Holder", [("value", kind)], gc=False)

    def decide(value: object) -> bool:
        try:
            msgspec.convert({"value": value}, holder, dec_hook=_ask)
        except msgspec.ValidationError:
            return False
        return True

    return decide


def _ask(kind: type[_Asked], value: object) -> _Asked:
    """Make what stands for a value of a type that only a function knows.

    Raises:
        ValueError: it is none.
    """
    if not kind.fits(value):
        raise ValueError
    return kind()


def _type(schema: dict[str, Any]) -> Any:  # noqa: ANN401 (any type)
    made = _made.get(id(schema))
    if made is None or made[0] is not schema:
        known = _KNOWN.get(schema.get("type", ""), frozenset())
        make = _MAKERS[schema["type"]] if known and schema.keys() <= known else _slow
        made = _made[id(schema)] = (schema, make(schema))
    return made[1]


def _slow(schema: dict[str, Any]) -> Any:  # noqa: ANN401
    def decide(value: object) -> bool:
        probe = Structure()
        probe.check(with_defaults(value, schema), schema, "")
        return not probe.violations

    return type("Slow", (_Asked,), {"fits": staticmethod(decide)})


def _string(schema: dict[str, Any]) -> Any:  # noqa: ANN401
    if "enum" in schema:
        return Literal[tuple(schema["enum"])] if schema.keys().isdisjoint(_OF_TEXT) else _slow(schema)
    low, high, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    if pattern is None:
        return Annotated[str, msgspec.Meta(min_length=low, max_length=high)]
    high = MAX_MATCHED if high is None else high  # `Structure` has the rule for what is longer
    return Annotated[str, msgspec.Meta(min_length=low, max_length=high, pattern=_searched(for_re(pattern)))]


def _searched(pattern: str) -> str:
    """A pattern for `re` that holds for nothing which `Structure` refuses: a `$` before the end of the last line."""
    return rf"(?a)(?<!\n)(?!(?s:.*)\n\Z)(?:{pattern})" if pattern.endswith("$") else f"(?a){pattern}"


def _integer(schema: dict[str, Any]) -> Any:  # noqa: ANN401
    bound = INTEGER_BOUNDS.get(schema.get("format", "int64"), 2**63)
    low, high = max(schema.get("minimum", -bound), -bound), min(schema.get("maximum", bound - 1), bound - 1)
    return Annotated[int, msgspec.Meta(ge=low, le=high)]


def _boolean(_: dict[str, Any]) -> Any:  # noqa: ANN401
    return bool


def _array(schema: dict[str, Any]) -> Any:  # noqa: ANN401
    items = _type(schema.get("items", {"properties": {}}))
    plain = _ANNOTATED[_LIST[items], msgspec.Meta(min_length=schema.get("minItems"), max_length=schema.get("maxItems"))]
    if schema.get("x-kubernetes-list-type") not in {"set", "map"}:
        return plain
    slowly, quickly = _slow(schema).fits, _function(plain)

    def decide(value: object) -> bool:
        # Of more than one each has to be compared with the others.
        return bool(slowly(value) if isinstance(value, list) and len(value) > 1 else quickly(value))

    return type("Compared", (_Asked,), {"fits": staticmethod(decide)})


def _object(schema: dict[str, Any]) -> Any:  # noqa: ANN401
    low, high = schema.get("minProperties"), schema.get("maxProperties")
    properties, filled = schema["properties"], schema.get(DEFAULTS, {})
    required = [name for name in schema.get("required", ()) if name not in filled]
    additional = schema.get("additionalProperties")
    counted = low is not None or high is not None
    takes_any = not isinstance(additional, dict) and bool(additional or schema.get(PRESERVE))
    if not properties and not required and (takes_any or isinstance(additional, dict)):
        below = _type(additional) if isinstance(additional, dict) else Any
        return _ANNOTATED[_DICT[str, below], msgspec.Meta(min_length=low, max_length=high)]
    if counted or isinstance(additional, dict) or not properties.keys() >= set(required):
        return _slow(schema)
    names = [*required, *(name for name in properties if name not in required)]
    fields: list[Any] = [
        (f"f{index}", _type(properties[name])) if name in required else (f"f{index}", _type(properties[name]), None)
        for index, name in enumerate(names)
    ]
    renamed = {f"f{index}": name for index, name in enumerate(names)}
    return msgspec.defstruct("Object", fields, rename=renamed, forbid_unknown_fields=not takes_any, gc=False)


_MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}
