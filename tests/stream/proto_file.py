"""Reads `controller/stream/protocol.proto`: as much of the language as that file uses, so no compiler is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PATH = Path(__file__).parents[2] / "controller" / "stream" / "protocol.proto"

_MESSAGE = re.compile(r"message (\w+) \{([^}]*)\}")
_FIELD = re.compile(r"(repeated )?([\w.]+|map<string, string>) (\w+) = (\d+);")


class Field(NamedTuple):
    """A field of a message."""

    name: str
    type: str
    repeated: bool


def messages() -> dict[str, dict[int, Field]]:
    """Fields of each message by number, with those of `google.protobuf.Any` and of an entry of the map."""
    text = re.sub(r"//.*", "", PATH.read_text())
    found = {
        "google.protobuf.Any": {1: Field("type_url", "string", False), 2: Field("value", "bytes", False)},
        # A map is a repeated message of key and value on the wire.
        "map<string, string>": {1: Field("key", "string", False), 2: Field("value", "string", False)},
    }
    for name, body in _MESSAGE.findall(text):
        statements = [statement for statement in re.split(r"(?<=;)\s*", body.strip()) if statement]
        fields = {}
        for statement in statements:
            match = _FIELD.fullmatch(statement)
            assert match is not None, f"{name}: {statement}"
            repeated, kind, field, number = match.groups()
            fields[int(number)] = Field(field, kind, bool(repeated) or kind.startswith("map"))
        found[name] = fields
    return found


def method() -> str:
    """The path of the one call."""
    text = PATH.read_text()
    names = [re.findall(pattern, text)[0] for pattern in (r"package ([\w.]+);", r"service (\w+)", r"rpc (\w+)")]
    return "/{}.{}/{}".format(*names)
