"""What goes over the config stream: the delta xDS exchange, with the IR's resources as JSON.

The service and the messages are those of xDS (`envoy/service/discovery/v3/discovery.proto`, `ads.proto`), only the
fields that are used; field numbers are theirs, so tools that read xDS can read this. Rules of ours:

- One type URL for each section of the IR, `type.sluicegate.dev/v<IR version>/<section>`; a resource is its JSON.
- A transaction is any number of responses with resources, ended by one of type `generation`; the data plane applies
  all of it at once, or nothing. It acknowledges every response; the answer to `generation` says what became of it.
- A version is a digest of the content, so a data plane may resume at another controller.
- What a data plane has to say of its listeners comes as a request of type `report`, JSON in `error_detail.details`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from sluicegate import ir
from sluicegate.ir import Refusal

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"
#: Audience of the tokens that data planes show.
AUDIENCE = "sluicegate.dev/config"

TYPE_PREFIX = f"type.sluicegate.dev/v{ir.VERSION}/"
#: Sections of the IR that are secrets.
SECRETS: tuple[str, ...] = ir.Secrets.__struct_fields__
#: Sections of the IR, in an order in which nothing is named before it is there; secrets are their own sections.
SECTIONS: tuple[str, ...] = (*ir.Resources.__struct_fields__, *SECRETS)
GENERATION = "generation"
REPORT = "report"

#: Bytes of resources in one response; a resource that is larger goes alone.
CHUNK = 1024 * 1024
#: Bytes of a message that a data plane takes: a chunk and one object as large as the API server has them.
MAX_RESPONSE = 16 * 1024 * 1024
#: Bytes of a message that the controller takes: the versions of some 100,000 resources.
MAX_REQUEST = 16 * 1024 * 1024
#: Bytes of the header fields of a call; a token has some 1,500.
MAX_METADATA = 16 * 1024
#: Listeners in one report, refusals in one answer, and characters of a text in them.
MAX_LISTENERS = 4_096
MAX_REFUSALS = 64
MAX_TEXT = 1_024

#: A protobuf message; its class is made when this module is loaded, so there is no type to name.
Message: TypeAlias = Any

#: Canonical codes of gRPC (`google.rpc.Code`).
INVALID_ARGUMENT = 3


class BindError(msgspec.Struct, frozen=True):
    """Why a listener could not be bound."""

    code: str
    message: str
    hint: str = ""


class ListenerOutcome(msgspec.Struct, frozen=True):
    """What a data plane made of one listener.

    Attributes:
        id: of the listener.
        version: of the resource that this is about.
        bound: sockets, `address:port`.
        error: why not, if any socket could not be bound.
    """

    id: str
    version: str
    bound: tuple[str, ...] = ()
    error: BindError | None = None


class PlaneReport(msgspec.Struct, frozen=True):
    """What one pod has to say of its configuration."""

    listeners: tuple[ListenerOutcome, ...] = ()


def type_url(section: str) -> str:
    """Type URL of a section of the IR, of `generation` or of `report`."""
    return TYPE_PREFIX + section


def section_of(url: str) -> str | None:
    """The section that a type URL means; None for one of another version or of somebody else."""
    return url[len(TYPE_PREFIX) :] if url.startswith(TYPE_PREFIX) else None


_FIELD = descriptor_pb2.FieldDescriptorProto
_STRING, _BYTES, _INT32, _MESSAGE = _FIELD.TYPE_STRING, _FIELD.TYPE_BYTES, _FIELD.TYPE_INT32, _FIELD.TYPE_MESSAGE
_PACKAGE = "sluicegate.stream"

#: Messages by name: fields by name with number, type, the message that it is, and whether it is repeated.
_MESSAGES: dict[str, dict[str, tuple[int, Any, str, bool]]] = {
    "Any": {"type_url": (1, _STRING, "", False), "value": (2, _BYTES, "", False)},
    "Status": {
        "code": (1, _INT32, "", False),
        "message": (2, _STRING, "", False),
        "details": (3, _MESSAGE, "Any", True),
    },
    # A map is a repeated message of key and value on the wire.
    "Version": {"key": (1, _STRING, "", False), "value": (2, _STRING, "", False)},
    "DeltaDiscoveryRequest": {
        "type_url": (2, _STRING, "", False),
        "resource_names_subscribe": (3, _STRING, "", True),
        "initial_resource_versions": (5, _MESSAGE, "Version", True),
        "response_nonce": (6, _STRING, "", False),
        "error_detail": (7, _MESSAGE, "Status", False),
    },
    "Resource": {
        "version": (1, _STRING, "", False),
        "resource": (2, _MESSAGE, "Any", False),
        "name": (3, _STRING, "", False),
    },
    "DeltaDiscoveryResponse": {
        "system_version_info": (1, _STRING, "", False),
        "resources": (2, _MESSAGE, "Resource", True),
        "type_url": (4, _STRING, "", False),
        "nonce": (5, _STRING, "", False),
        "removed_resources": (6, _STRING, "", True),
    },
}


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="sluicegate/stream.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, target, repeated) in fields.items():
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            entry = message.field.add(name=field, number=number, type=kind, label=label)
            if target:
                entry.type_name = f".{_PACKAGE}.{target}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _message_classes()
Request: Message = _CLASSES["DeltaDiscoveryRequest"]
Response: Message = _CLASSES["DeltaDiscoveryResponse"]


def subscription(section: str, versions: Iterable[tuple[str, str]]) -> Message:
    """The first request for a section: everything, with what is there already.

    Args:
        section: of the IR, or `generation`.
        versions: names and versions of the resources that are there.
    """
    request = Request(type_url=type_url(section), resource_names_subscribe=["*"])
    for name, version in versions:
        request.initial_resource_versions.add(key=name, value=version)
    return request


def acknowledgement(section: str, nonce: str) -> Message:
    """ACK of a response."""
    return Request(type_url=type_url(section), response_nonce=nonce)


def refusal(nonce: str, reasons: Iterable[Refusal]) -> Message:
    """NACK of a generation."""
    told = [
        msgspec.structs.replace(item, id=item.id[:MAX_TEXT], reason=item.reason[:MAX_TEXT])
        for item, _ in zip(reasons, range(MAX_REFUSALS), strict=False)
    ]
    request = Request(type_url=type_url(GENERATION), response_nonce=nonce)
    request.error_detail.code = INVALID_ARGUMENT
    request.error_detail.message = "; ".join(f"{item.kind} {item.id}: {item.reason}" for item in told)[:MAX_TEXT]
    request.error_detail.details.add(type_url=type_url(REPORT), value=msgspec.json.encode(told))
    return request


def report_request(report: PlaneReport) -> Message:
    """Say what became of the listeners."""
    request = Request(type_url=type_url(REPORT))
    request.error_detail.details.add(type_url=type_url(REPORT), value=msgspec.json.encode(report))
    return request


_REPORT = msgspec.json.Decoder(PlaneReport)
_REFUSALS = msgspec.json.Decoder(tuple[Refusal, ...])


def read_report(request: Message) -> PlaneReport:
    """The report in a request of type `report`; cut to its limits.

    Raises:
        msgspec.DecodeError: it is none.
    """
    report = _REPORT.decode(_detail(request))
    listeners = tuple(_shortened(item) for item in report.listeners[:MAX_LISTENERS])
    return PlaneReport(listeners)


def read_refusals(request: Message) -> tuple[Refusal, ...]:
    """The reasons in a NACK; cut to their limits. A NACK without reasons gives one with its message."""
    try:
        found = _REFUSALS.decode(_detail(request))
    except msgspec.DecodeError:
        found = (Refusal("transaction", "", request.error_detail.message),)
    return tuple(
        Refusal(item.kind[:MAX_TEXT], item.id[:MAX_TEXT], item.reason[:MAX_TEXT]) for item in found[:MAX_REFUSALS]
    )


def _detail(request: Message) -> bytes:
    details = request.error_detail.details
    return bytes(details[0].value) if details else b""


def _shortened(item: ListenerOutcome) -> ListenerOutcome:
    error = item.error
    if error is not None:
        error = BindError(error.code[:MAX_TEXT], error.message[:MAX_TEXT], error.hint[:MAX_TEXT])
    return ListenerOutcome(item.id[:MAX_TEXT], item.version[:MAX_TEXT], item.bound[:MAX_REFUSALS], error)
