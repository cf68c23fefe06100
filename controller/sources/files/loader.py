"""YAML as Kubernetes reads it, with limits.

Rules:
- Scalars are what the API server takes them for (`go-yaml` version 2, then JSON): `y` and `n` are booleans, `80.0` and
  `1e3` are integers, `08` is 8; there are no timestamps and no base-60 numbers.
- A key that appears twice in one mapping is an error: one of the two values would be lost without a word.
- Keys are text: numbers and booleans become the text that they are written as in JSON, as `sigs.k8s.io/yaml` has it;
  others are an error, and so is a type that JSON does not have (`!!set`, `!!omap`, `!!pairs`).
- Aliases are followed only as far as `MAX_NODES`: a few hundred bytes can otherwise stand for billions of values.
- A document is parsed once, also a list of objects: each item comes with its own line and text.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import re
import sys
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import yaml

from .places import Item, items_of, lines_of

#: Values that aliases may add to what is written in a document. Stops alias bombs.
MAX_NODES = 1_000_000
#: Levels of nesting. Stops exhaustion of the stack.
MAX_DEPTH = 64

#: Characters of an integer. Python writes no integer of more than 4,300 digits, not even into a message, and takes
#: long to read one; written with base 16 it would still be read.
MAX_INTEGER = 1_000

#: Characters of a value that an error shows.
SHOWN_CHARACTERS = 80
#: Texts whose tag is remembered, and the characters of one: most are keys, which are few and short.
MAX_REMEMBERED, MAX_REMEMBERED_LENGTH = 4_096, 64

_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Keys that every object begins with.
_OF_OBJECTS = frozenset({"apiVersion", "kind", "metadata"})
_KEPT_TAGS = ("bool", "null", "merge")
_TEXT, _MAPPING, _SEQUENCE = (f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq"))
_INTEGER = "tag:yaml.org,2002:int"
_BOOLEAN, _NUMBER = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"
_SCALARS = frozenset({_INTEGER, _BOOLEAN, _NUMBER, "tag:yaml.org,2002:null"})
_INT = re.compile(r"^[-+]?(?:0[bB][0-1_]+|0[oO]?[0-7_]+|0[xX][0-9a-fA-F_]+|0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|[-+]?0[0-9_]+"
    r"|[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
#: From here on a number is written with an exponent, and is no integer (`encoding/json`).
_EXPONENT = 1e21


class YamlError(ValueError):
    """A document that cannot be read. `line` is 1-based within the text, 0 where unknown."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class _Loader(_Base):  # type: ignore[misc, valid-type]
    """The safe loader with the rules above."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping; refuse a key that is there already."""
        keys: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                what = "a list" if isinstance(key, yaml.SequenceNode) else "a mapping"
                raise YamlError(f"a key has to be text, not {what}", key.start_mark.line + 1)
            name = key.value
            if isinstance(name, str):
                if name in keys and name != "<<":
                    # Such as two objects without a line between them that parts them.
                    hint = (
                        ": a line with --- may be missing above"
                        if name in _OF_OBJECTS and key.start_mark.column == 0
                        else ""
                    )
                    raise YamlError(f"the key {name!r} is there twice{hint}", key.start_mark.line + 1)
                keys.add(name)
        built: dict[Hashable, Any] = super().construct_mapping(node, deep)
        if all(type(key) is str for key in built):
            return built
        return {_key(key, node.start_mark.line + 1): value for key, value in built.items()}

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """The tag of a node that is written without one."""
        if kind is yaml.ScalarNode and implicit[0] and len(value) <= MAX_REMEMBERED_LENGTH:
            return _plain_tag(value)
        return str(super().resolve(kind, value, implicit))

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 (any YAML value)
        """Build a value; what does not fit its tag (`!!bool maybe`) is an error with a line, whatever Python says."""
        try:
            return super().construct_object(node, deep)
        except YamlError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            shown = repr(node.value)[:SHOWN_CHARACTERS] if isinstance(node, yaml.ScalarNode) else "the value"
            raise YamlError(f"{shown} is no {node.tag.rpartition(':')[2]}", node.start_mark.line + 1) from None


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] in _KEPT_TAGS]
    for first, found in _Base.yaml_implicit_resolvers.items()
}


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _plain_tag(value: str) -> str:
    """What a scalar is that has no quotes and no tag: the same few texts come again and again."""
    found = _Loader.yaml_implicit_resolvers.get(value[:1], ())
    return next((tag for tag, pattern in found if pattern.match(value)), _TEXT)


def _key(key: Hashable, line: int) -> str:
    """A key as JSON has it."""
    if isinstance(key, str):
        return key
    if isinstance(key, (bool, int, float)):
        return str(key).lower()
    raise YamlError(f"a key has to be text, not {repr(key)[:SHOWN_CHARACTERS]}", line)


def _refuse(_loader: _Loader, node: yaml.Node) -> None:
    raise YamlError(f"JSON has no !!{node.tag.rpartition(':')[2]}: write a mapping or a list", node.start_mark.line + 1)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    if len(node.value) > MAX_INTEGER:
        raise YamlError(f"an integer of {len(node.value):,} digits: quote it, or correct it", node.start_mark.line + 1)
    text = node.value.lower().replace("0o", "0", 1)
    return int(loader.construct_yaml_int(yaml.ScalarNode(node.tag, text, node.start_mark, node.end_mark)))


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float | str:
    """A number as JSON has it: an integer where it has no fraction; too large a one is text.

    Raises:
        YamlError: infinity, or no number.
    """
    found = json_number(loader.construct_yaml_float(node))
    if math.isfinite(found):
        return found
    if node.value[-1:].isdigit():
        return str(node.value)
    raise YamlError(f"JSON has no {node.value}: write a number", node.start_mark.line + 1)


def _boolean(_loader: _Loader, node: yaml.ScalarNode) -> bool:
    text = node.value.lower()
    return text == "y" or (text != "n" and bool(_Loader.bool_values[text]))


for _name in ("set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _refuse)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_scalar)
_Loader.add_constructor("tag:yaml.org,2002:merge", _Loader.construct_scalar)
_Loader.add_constructor(_INTEGER, _integer)
_Loader.add_constructor(_NUMBER, _number)
_Loader.add_constructor(_BOOLEAN, _boolean)
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^[yYnN]$"), list("yYnN"))
_Loader.add_implicit_resolver(_INTEGER, _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(_NUMBER, _FLOAT, list("-+0123456789."))


def json_number(text: str | float) -> int | float:
    """A number with a point or an exponent as the API server gets it: written as JSON, 80.0 is 80."""
    found = float(text)
    return int(found) if abs(found) < _EXPONENT and found.is_integer() else found


class Loaded(NamedTuple):
    """A document: what it says, and where the items of its `items` are."""

    value: object
    items: tuple[Item, ...] = ()


def load(text: str) -> Loaded:
    """Read one document.

    Raises:
        YamlError: no YAML, a key twice, too deep, or too many values.
    """
    try:
        with _uncollected():
            loader = _Loader(text)
            try:
                node = loader.get_single_node()
                return Loaded(_value(loader, node, text), items_of(node, text)) if node is not None else Loaded(None)
            finally:
                loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part) or "no YAML"
        raise YamlError(reason, mark.line + 1 if mark is not None else 0) from None
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0] if str(error) else "no YAML"
        raise YamlError(reason) from None
    except RecursionError:
        raise YamlError(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(str(error)) from None


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Hold Python's garbage collector: it would look through a tree that grows again and again, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _value(loader: _Loader, node: yaml.Node, text: str) -> object:
    if "&" not in text:  # no anchor, so no alias
        try:
            return _plain(node, loader, 0)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            pass  # not plain, or wrong: the long way takes it, or says what is wrong
    _check_size(node)
    return loader.construct_document(node)


def _plain(node: yaml.Node, loader: _Loader, depth: int) -> Any:  # noqa: ANN401 (any YAML value)
    """What a node says that has no aliases, merges or unusual tags: the short way for what people mostly write.

    Raises:
        ValueError: there is more to it.
    """
    if isinstance(node, yaml.ScalarNode):
        if node.tag == _TEXT:
            return node.value
        if node.tag in _SCALARS:
            return loader.yaml_constructors[node.tag](loader, node)
    elif depth <= MAX_DEPTH and node.tag == _MAPPING and isinstance(node, yaml.MappingNode):
        mapping = {}
        for key, value in node.value:
            if key.tag != _TEXT or not isinstance(key, yaml.ScalarNode) or key.value in mapping:
                break
            # Manifests have the same few keys again and again: one of each is enough.
            mapping[sys.intern(key.value)] = _plain(value, loader, depth + 1)
        else:
            return mapping
    elif depth <= MAX_DEPTH and node.tag == _SEQUENCE and isinstance(node, yaml.SequenceNode):
        return [_plain(item, loader, depth + 1) for item in node.value]
    raise ValueError


def _check_size(root: yaml.Node) -> None:
    """Count what the document stands for, each alias as often as it is used, and compare with what is written."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    written = 0

    def size(node: yaml.Node, depth: int) -> int:
        nonlocal written
        if isinstance(node, yaml.ScalarNode):
            written += 1
            return 1
        identity = id(node)
        if identity in sizes:
            return sizes[identity]
        line = node.start_mark.line + 1
        if identity in open_nodes:
            raise YamlError("an alias leads back to itself", line)
        if depth > MAX_DEPTH:
            raise YamlError(f"nested deeper than {MAX_DEPTH} levels", line)
        open_nodes.add(identity)
        written += 1
        total = 1
        for item in node.value:
            if isinstance(item, tuple):
                total += size(item[0], depth + 1) + size(item[1], depth + 1)
            else:
                total += size(item, depth + 1)
        open_nodes.discard(identity)
        if total - written > MAX_NODES:
            raise YamlError(f"its aliases stand for more than {MAX_NODES:,} values", line)
        sizes[identity] = total
        return total

    size(root, 0)


def field_lines(text: str, fields: Iterable[str]) -> list[int]:
    """Lines of fields in a document, which is parsed once for all of them.

    Args:
        text: the document.
        fields: paths such as `spec.rules[0].backendRefs[1].name`.

    Returns:
        Of each field its 1-based line, or that of the innermost part of its path that exists; 0 where nothing is known.
    """
    return lines_of(_composed(text), fields)


def _composed(text: str) -> yaml.Node | None:
    with _uncollected():
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        except yaml.YAMLError:
            return None
        else:
            return node
        finally:
            loader.dispose()
