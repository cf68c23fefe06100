"""Fields of a policy that this version does not know.

An API server drops what its own CRD does not know. So what comes from one and is not known here is of a newer release:
a part, or a condition of a rule, that would not hold.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator, Mapping

import msgspec

from .meta import OWN_GROUP, Object


def unknown_field(document: Mapping[str, object], struct: type[Object]) -> str:
    """The first field of the spec of one of our policies that is not known; empty: all are.

    Args:
        document: as the API server has it.
        struct: of its kind.
    """
    if str(document.get("apiVersion")).partition("/")[0] != OWN_GROUP:
        return ""
    return next(_unknown(document.get("spec"), _fields(struct)["spec"], "spec"), "")


def _unknown(value: object, structs: tuple[type[msgspec.Struct], ...], path: str) -> Iterator[str]:
    """Fields that none of some structs has; without structs a value is free."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _unknown(item, structs, f"{path}[{index}]")
    elif isinstance(value, dict) and structs:
        known = {name: parts for struct in structs for name, parts in _fields(struct).items()}
        for name, item in value.items():
            if name not in known:
                yield f"{path}.{name}"
            else:
                yield from _unknown(item, known[name], f"{path}.{name}")


@functools.cache
def _fields(struct: type[msgspec.Struct]) -> Mapping[str, tuple[type[msgspec.Struct], ...]]:
    """Fields of a struct, as they are written, with the structs that each holds."""
    return {field.encode_name: tuple(_structs(field.type)) for field in msgspec.structs.fields(struct)}


def _structs(kind: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    if typing.get_origin(kind) is not dict:  # its keys are free
        for part in typing.get_args(kind):
            yield from _structs(part)
