"""What goes over the config stream: the delta xDS exchange, with the IR's resources as JSON.

The service and the messages are those of xDS, only the fields that are used (`protocol.proto`). Rules of ours:

- One type URL for each section of the IR, `type.sluicegate.dev/v<IR version>/<section>`; a resource is its JSON.
- A transaction is any number of responses with resources, ended by one of type `generation`; the data plane applies
  all of it at once, or nothing. It acknowledges every response; the answer to `generation` says what became of it.
- A version is a digest of the content, so a data plane may resume at another controller.
- What a data plane has to say of its listeners, and of providers of keys that are away, comes as a request of type
  `report`, JSON in `error_detail.details`.
- While somebody looks at the controller's page, pods are asked what they counted (type `figures`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import msgspec

from sluicegate import ir
from sluicegate.ir import BindError, Refusal

from .. import caught
from .messages import AnyMessage, Request, Status, Version

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
#: What a pod counted: asked for, and told (`figures`).
FIGURES = "figures"

#: Bytes of resources in one response; a resource that is larger goes alone.
CHUNK = 1024 * 1024
#: Bytes of a message that a data plane takes: a chunk and one object as large as the API server has them.
MAX_RESPONSE = 16 * 1024 * 1024
#: Bytes of a message that the controller takes: the versions of some 100,000 resources.
MAX_REQUEST = 16 * 1024 * 1024
#: Bytes of one transaction that a data plane takes, names and versions too. A new pod gets all that it serves in one.
MAX_TRANSACTION = 256 * 1024 * 1024
#: Bytes of it that each item costs beside its texts: its objects and its place in a table.
ITEM_BYTES = 256
#: Bytes of the header fields of a call; a token has some 1,500.
MAX_METADATA = 16 * 1024
#: Listeners and identity providers in one report, refusals in one answer, and characters of a text in them.
MAX_LISTENERS = 4_096
MAX_AWAY = 1_024
MAX_REFUSALS = 64
MAX_TEXT = 1_024

#: Canonical codes of gRPC (`google.rpc.Code`).
INVALID_ARGUMENT = 3


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


class KeysOutcome(msgspec.Struct, frozen=True):
    """An identity provider whose keys a data plane cannot fetch.

    Attributes:
        source: who is asked, and for what, as in the metrics.
        verify: keys that were fetched before still verify tokens.
    """

    source: str
    verify: bool = False


class PlaneReport(msgspec.Struct, frozen=True):
    """What one pod has to say of its configuration; an older one says nothing of providers."""

    listeners: tuple[ListenerOutcome, ...] = ()
    away: tuple[KeysOutcome, ...] = ()


def type_url(section: str) -> str:
    """Type URL of a section of the IR, of `generation`, `report` or `figures`."""
    return TYPE_PREFIX + section


def section_of(url: str) -> str | None:
    """The section that a type URL means; None for one of another version or of somebody else."""
    return url[len(TYPE_PREFIX) :] if url.startswith(TYPE_PREFIX) else None


def cost_of(name: str, version: str, data: bytes) -> int:
    """Bytes that a resource costs a data plane while a transaction comes in."""
    return ITEM_BYTES + len(data) + sys.getsizeof(name) + sys.getsizeof(version)


def subscription(section: str, versions: Iterable[tuple[str, str]]) -> Request:
    """The first request for a section: everything, with what is there already.

    Args:
        section: of the IR, or `generation`.
        versions: names and versions of the resources that are there.
    """
    known = [Version(name, version) for name, version in versions]
    return Request(type_url=type_url(section), resource_names_subscribe=["*"], initial_resource_versions=known)


def acknowledgement(section: str, nonce: str) -> Request:
    """ACK of a response."""
    return Request(type_url=type_url(section), response_nonce=nonce)


def refusal(nonce: str, reasons: Iterable[Refusal]) -> Request:
    """NACK of a generation."""
    told = [
        msgspec.structs.replace(item, id=item.id[:MAX_TEXT], reason=item.reason[:MAX_TEXT])
        for item, _ in zip(reasons, range(MAX_REFUSALS), strict=False)
    ]
    message = "; ".join(f"{item.kind} {item.id}: {item.reason}" for item in told)[:MAX_TEXT]
    detail = AnyMessage(type_url(REPORT), msgspec.json.encode(told))
    error = Status(INVALID_ARGUMENT, message, [detail])
    return Request(type_url=type_url(GENERATION), response_nonce=nonce, error_detail=error)


def report_request(report: PlaneReport) -> Request:
    """Say what became of the listeners, and what is away."""
    detail = AnyMessage(type_url(REPORT), msgspec.json.encode(report))
    return Request(type_url=type_url(REPORT), error_detail=Status(details=[detail]))


_REPORT = msgspec.json.Decoder(PlaneReport)
_REFUSALS = msgspec.json.Decoder(tuple[Refusal, ...])


def read_report(request: Request) -> PlaneReport:
    """The report in a request of type `report`; cut to its limits.

    Raises:
        DecodeError, UnicodeDecodeError, RecursionError (`caught.UNREADABLE`): it is none.
    """
    report = _REPORT.decode(_detail(request))
    listeners = tuple(_shortened(item) for item in report.listeners[:MAX_LISTENERS])
    away = tuple(KeysOutcome(item.source[:MAX_TEXT], item.verify) for item in report.away[:MAX_AWAY])
    return PlaneReport(listeners, away)


def read_refusals(request: Request) -> tuple[Refusal, ...]:
    """The reasons in a NACK; cut to their limits. A NACK without reasons gives one with its message."""
    try:
        found = _REFUSALS.decode(_detail(request))
    except caught.UNREADABLE:
        found = (Refusal("transaction", "", request.error_detail.message if request.error_detail else ""),)
    return tuple(
        Refusal(item.kind[:MAX_TEXT], item.id[:MAX_TEXT], item.reason[:MAX_TEXT]) for item in found[:MAX_REFUSALS]
    )


def _detail(request: Request) -> bytes:
    details = request.error_detail.details if request.error_detail is not None else ()
    return details[0].value if details else b""


def _shortened(item: ListenerOutcome) -> ListenerOutcome:
    error = item.error
    if error is not None:
        error = BindError(error.code[:MAX_TEXT], error.message[:MAX_TEXT], error.hint[:MAX_TEXT])
    return ListenerOutcome(item.id[:MAX_TEXT], item.version[:MAX_TEXT], item.bound[:MAX_REFUSALS], error)
