"""What callers of the library give, looked at before it is used: what cannot be used is said in words of the API."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TypeVar, get_args

import msgspec

from sluicegate.words import placed, shown

_Q = TypeVar("_Q", bound=msgspec.Struct)

#: Of a socket.
MAX_PORT = 0xFFFF
#: The last of the numbers that stand for the random ones.
MAX_ENTROPY = 2**64 - 1


def whole_number(name: str, value: object, lowest: int, highest: int) -> int:
    """A number that is one.

    Raises:
        ValueError: it is none, or not between the bounds.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{name}: {shown(value)} is not a whole number from {lowest} to {highest}")
    return value


def text(name: str, value: object) -> str:
    """Text that can be sent.

    Raises:
        ValueError: it is none, or has bytes that are no UTF-8.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name}: {value!a} is not UTF-8 text") from None
        return value
    raise ValueError(f"{name}: {shown(value)} is not text")


def pairs(name: str, value: object) -> tuple[tuple[str, str], ...]:
    """Names and values of fields, in order.

    Raises:
        ValueError: they are none.
    """
    found = []
    for pair in list(value.items()) if isinstance(value, Mapping) else _several(value):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise ValueError(f"{name}: {shown(pair)} is not a name and a value: write them as {{'x-user': 'anna'}}")
        key = text(f"{name}: a name", pair[0])
        found.append((key, text(f"{name}: {key}", pair[1])))
    return tuple(found)


def _several(value: object) -> list[object]:
    """The items of a list; anything else stands for itself."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else [value]


def one_of(name: str, value: object, kind: object) -> None:
    """Look whether a value is one of a closed set.

    Raises:
        ValueError: it is not.
    """
    if value not in get_args(kind):
        raise ValueError(f"{name}: {shown(value)} is none of {', '.join(get_args(kind))}")


def question(value: _Q) -> _Q:
    """A `Request` or `Connection` as one can be asked: its attributes are of their types, and can be sent.

    Raises:
        ValueError: an attribute is not.
    """
    fields = msgspec.structs.asdict(value)
    try:
        msgspec.convert(fields | {"kind": value.__struct_config__.tag}, type(value))
    except msgspec.ValidationError as error:
        field, reason = placed(str(error))
        raise ValueError(f"{field}: {reason}") from None
    whole_number("port", fields["port"], 1, MAX_PORT)
    for name, item in fields.items():
        if isinstance(item, str):
            text(name, item)
    pairs("headers", fields.get("headers", ()))
    return value


def path_names(value: object) -> list[str]:
    """Paths as text.

    Raises:
        ValueError: something is no path, or there is none.
    """
    several = _several(value)
    if not several:
        raise ValueError("paths: none is given; name files or directories, or - for standard input")
    names = []
    for item in several:
        name = os.fspath(item) if isinstance(item, (str, os.PathLike)) else item
        if not isinstance(name, str) or not name:
            raise ValueError(f"paths: {shown(item)} is not a path")
        names.append(name)
    return names
