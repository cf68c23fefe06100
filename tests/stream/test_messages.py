"""The encoding of messages is protobuf's: what its own runtime reads and writes, with every odd input."""

from __future__ import annotations

import contextlib
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.controller.stream import messages
from sluicegate.controller.stream.messages import FIELDS, AnyMessage, MessageError, Request, Resource, Response, Status

_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {str: _FIELD.TYPE_STRING, bytes: _FIELD.TYPE_BYTES, int: _FIELD.TYPE_INT32}


def _classes() -> dict[type, Any]:
    """Classes of the protobuf runtime for our messages."""
    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="test", syntax="proto3")
    for kind, fields in FIELDS.items():
        message = file.message_type.add(name=kind.__name__)
        for number, (name, item, repeated) in fields.items():
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            entry = message.field.add(name=name, number=number, label=label)
            entry.type = _TYPES.get(item, _FIELD.TYPE_MESSAGE)
            if item in FIELDS:
                entry.type_name = f".test.{item.__name__}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        kind: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{kind.__name__}")) for kind in FIELDS
    }


RUNTIME = _classes()
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
anys = st.builds(AnyMessage, texts, st.binary(max_size=200))
statuses = st.builds(Status, st.integers(-(2**31), 2**31 - 1), texts, st.lists(anys, max_size=3))
versions = st.lists(st.builds(messages.Version, texts, texts), max_size=3)
requests = st.builds(Request, texts, st.lists(texts, max_size=3), versions, texts, st.none() | statuses)
resources = st.lists(st.builds(Resource, texts, st.none() | anys, texts), max_size=3)
responses = st.builds(Response, texts, resources, texts, texts, st.lists(texts, max_size=3))


@settings(deadline=None)
@given(st.one_of(requests, responses))
def test_written_as_protobuf_writes(message: Any) -> None:
    data = message.to_bytes()
    read = RUNTIME[type(message)].FromString(data)
    assert read.SerializeToString(deterministic=True) == data
    assert type(message).from_bytes(data) == message


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.binary(max_size=60), requests.map(lambda item: item.to_bytes())), st.data())
def test_read_as_protobuf_reads(data: bytes, more: st.DataObject) -> None:
    data = data[: more.draw(st.integers(0, len(data)))] + more.draw(st.binary(max_size=4))
    try:
        expected = RUNTIME[Request].FromString(data)
    except DecodeError:
        with contextlib.suppress(MessageError):
            Request.from_bytes(data)  # groups and the like are passed over or refused, and nothing else is raised
        return
    with contextlib.suppress(MessageError):
        # Its runtime passes over known fields of another type, and groups; nobody writes them.
        found = Request.from_bytes(data)
        assert found.type_url == expected.type_url
        assert found.resource_names_subscribe == list(expected.resource_names_subscribe)
        assert found.response_nonce == expected.response_nonce


def test_a_message_field_that_comes_twice_is_the_last_one() -> None:
    first, second = Status(1, "first", []), Status(2, "second", [])
    data = Request(error_detail=first).to_bytes() + Request(error_detail=second).to_bytes()
    assert Request.from_bytes(data).error_detail == second
