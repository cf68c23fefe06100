"""The messages of the config stream and their bytes: the few fields of xDS that are used, in protobuf's encoding.

Written by hand, since a data plane would pay for the protobuf runtime with a tenth of its memory, and there are six
messages. `protocol.proto` has them in protobuf's own language; a test holds the two together. Fields that are not known
are passed over. Source: the encoding guide of protobuf.dev.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

#: Wire types: variable-length integer, 8 bytes, length and bytes, 4 bytes. The others are groups, which nobody writes.
VARINT, EIGHT, LENGTH, FOUR = 0, 1, 2, 5
#: Bytes of a variable-length integer of 64 bits.
MAX_VARINT = 10

T = TypeVar("T", bound="Message")


class MessageError(ValueError):
    """Bytes that are no message; the text says why."""


class Message(msgspec.Struct):
    """Base of all messages: fields with defaults, `FIELDS` says what they are on the wire."""

    def to_bytes(self) -> bytes:
        """Encode it."""
        out = bytearray()
        for number, (name, kind, repeated) in FIELDS[type(self)].items():
            value = getattr(self, name)
            for item in value if repeated else (value,):
                if repeated or (item is not None and item not in (0, "", b"")):
                    _write(out, number, kind, item)
        return bytes(out)

    @classmethod
    def from_bytes(cls: type[T], data: bytes) -> T:
        """Decode it.

        Raises:
            MessageError: it is no such message.
        """
        message = cls()
        fields = FIELDS[cls]
        for number, wire, value in _fields(memoryview(data)):
            field = fields.get(number)
            if field is None:
                continue
            name, kind, repeated = field
            item = _read(kind, wire, value)
            if repeated:
                getattr(message, name).append(item)
            else:
                setattr(message, name, item)
        return message


class AnyMessage(Message):
    """`google.protobuf.Any`."""

    type_url: str = ""
    value: bytes = b""


class Status(Message):
    """`google.rpc.Status`."""

    code: int = 0
    message: str = ""
    details: list[AnyMessage] = []


class Version(Message):
    """An entry of `initial_resource_versions`: a map is a repeated message of key and value on the wire."""

    key: str = ""
    value: str = ""


class Request(Message):
    """`DeltaDiscoveryRequest`."""

    type_url: str = ""
    resource_names_subscribe: list[str] = []
    initial_resource_versions: list[Version] = []
    response_nonce: str = ""
    error_detail: Status | None = None


class Resource(Message):
    """`Resource`."""

    version: str = ""
    resource: AnyMessage | None = None
    name: str = ""


class Response(Message):
    """`DeltaDiscoveryResponse`."""

    system_version_info: str = ""
    resources: list[Resource] = []
    type_url: str = ""
    nonce: str = ""
    removed_resources: list[str] = []


#: Fields by message and number: name, type (of a message its class), and whether it is repeated; in ascending order.
FIELDS: dict[type[Message], dict[int, tuple[str, Any, bool]]] = {
    AnyMessage: {1: ("type_url", str, False), 2: ("value", bytes, False)},
    Status: {1: ("code", int, False), 2: ("message", str, False), 3: ("details", AnyMessage, True)},
    Version: {1: ("key", str, False), 2: ("value", str, False)},
    Request: {
        2: ("type_url", str, False),
        3: ("resource_names_subscribe", str, True),
        5: ("initial_resource_versions", Version, True),
        6: ("response_nonce", str, False),
        7: ("error_detail", Status, False),
    },
    Resource: {1: ("version", str, False), 2: ("resource", AnyMessage, False), 3: ("name", str, False)},
    Response: {
        1: ("system_version_info", str, False),
        2: ("resources", Resource, True),
        4: ("type_url", str, False),
        5: ("nonce", str, False),
        6: ("removed_resources", str, True),
    },
}


def _write(out: bytearray, number: int, kind: Any, value: Any) -> None:  # noqa: ANN401 (of the field's type)
    if kind is int:
        _write_varint(out, number << 3 | VARINT)
        _write_varint(out, value & (1 << 64) - 1)  # a negative one counts as 64 bits
        return
    data = value if kind is bytes else value.encode() if kind is str else value.to_bytes()
    _write_varint(out, number << 3 | LENGTH)
    _write_varint(out, len(data))
    out += data


def _write_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of each field: an integer, or the bytes."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise MessageError("a field has the number 0")
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == LENGTH:
            size, at = _varint(data, at)
        elif wire in {EIGHT, FOUR}:
            size = 8 if wire == EIGHT else 4
        else:
            raise MessageError(f"a field is of the unknown wire type {wire}")
        if size > end - at:
            raise MessageError("it is cut off")
        yield number, wire, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An integer and the place behind it."""
    value = 0
    for place in range(MAX_VARINT):
        if at + place >= len(data):
            raise MessageError("it is cut off")
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & (1 << 64) - 1, at + place + 1
    raise MessageError("an integer is longer than 64 bits")


def _read(kind: Any, wire: int, value: Any) -> Any:  # noqa: ANN401 (of the field's type)
    if wire != (VARINT if kind is int else LENGTH):
        raise MessageError("a field is of another type")
    if kind is int:
        value &= (1 << 32) - 1
        return value - (1 << 32) if value >= 1 << 31 else value
    if kind is bytes:
        return bytes(value)
    if kind is str:
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            raise MessageError("a text is not UTF-8") from None
    return kind.from_bytes(value)
