"""Services: from a backendRef to a backend id, from a Service port to its protocol (`endpoints`: where it listens).

A port of a Service is a backend; a UDP port another one than the TCP port of the same number.

Resolution (status, `HttpRule`) and endpoints are apart on purpose: an EndpointSlice never reaches a route.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluicegate import ir
from sluicegate.words import listed

from ..api import (
    BackendReference,
    Diagnostic,
    Diagnostics,
    HTTPFilter,
    ObjectKey,
    ReferenceGrant,
    Service,
    ServicePort,
)
from .conditions import Reason
from .endpoints import BackendSource, endpoints_of
from .grants import allows, grant_remedy
from .policies.effective import Place
from .status import Verdict

#: `appProtocol` values, lower case, and what the gateway speaks to such a port (GEP-1911, KEP-3726).
APP_PROTOCOLS: dict[str, ir.BackendProtocol] = {
    "": ir.BackendProtocol.HTTP,
    "http": ir.BackendProtocol.HTTP,
    "https": ir.BackendProtocol.HTTP,
    "kubernetes.io/ws": ir.BackendProtocol.HTTP1,
    "kubernetes.io/wss": ir.BackendProtocol.HTTP1,
    "kubernetes.io/h2c": ir.BackendProtocol.H2C,
    "grpc": ir.BackendProtocol.H2C,
}

#: `appProtocol` values that say TLS; only a BackendTLSPolicy says which certificate to expect.
TLS_APP_PROTOCOLS = frozenset({"https", "kubernetes.io/wss"})


#: `appProtocol` values of WebSocket servers, which take no gRPC requests.
WEBSOCKET_APP_PROTOCOLS = frozenset({"kubernetes.io/ws", "kubernetes.io/wss"})


class Transport(enum.Enum):
    """`Service.spec.ports[].protocol`."""

    TCP = "TCP"
    UDP = "UDP"


@dataclass(frozen=True, slots=True)
class Use:
    """What routes of a kind do with a backend.

    Attributes:
        transport: how its endpoints are reached.
        sends: what is sent to it, for people.
        app_protocols: what it may speak, lower case; None: anything, it is not looked at.
        without_endpoint: what becomes of traffic while no endpoint is there, for people.
    """

    transport: Transport
    sends: str
    app_protocols: frozenset[str] | None
    without_endpoint: str


class BackendName(NamedTuple):
    """What a backend id says."""

    namespace: str
    service: str
    port: int
    transport: Transport


class BackendReads(Protocol):
    """What is looked at for a backendRef; every look is noted."""

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""


class Reads(BackendReads, Protocol):
    """What a route may look at; every look is noted."""

    def http_filter(self, namespace: str, name: str) -> HTTPFilter | None:
        """Look up an HTTPFilter."""

    def policies(self, place: Place, on: str) -> tuple[str, ...]:
        """Look up the policies that hold at a place; `on`: what names them in the IR."""

    def policy_fault(self, place: Place) -> str:
        """Say why a policy that holds at a place cannot be honoured; empty: all can."""


def backend_id(namespace: str, service: str, port: int, transport: Transport = Transport.TCP) -> str:
    """Id of a backend in the IR."""
    return f"{namespace}/{service}:{port}{'/udp' if transport is Transport.UDP else ''}"


def backend_name(identifier: str) -> BackendName:
    """What the id of a backend says."""
    whole = identifier.removesuffix("/udp")
    namespace, _, rest = whole.partition("/")
    service, _, port = rest.rpartition(":")
    return BackendName(namespace, service, int(port), Transport.TCP if whole == identifier else Transport.UDP)


def service_port(service: Service, port: int, transport: Transport = Transport.TCP) -> ServicePort | None:
    """Find a port of a Service."""
    return next((item for item in service.spec.ports if item.port == port and _transport(item) is transport), None)


def _transport(port: ServicePort) -> Transport | None:
    return {"": Transport.TCP, "TCP": Transport.TCP, "UDP": Transport.UDP}.get(port.protocol)


def resolve_backend(
    source: ObjectKey, reference: BackendReference, use: Use, path: str, reads: BackendReads, diagnostics: Diagnostics
) -> tuple[str | None, Verdict | None]:
    """Resolve a backendRef of a route, or of a policy that asks a backend.

    Returns:
        The backend id, or None and the verdict on the reference (`HTTPBackendRef`: InvalidKind, RefNotPermitted,
        BackendNotFound, UnsupportedProtocol).
    """
    if reference.group not in {"", "core"} or reference.kind != "Service":
        message = f"backends of kind {reference.group or 'core'}/{reference.kind} are not supported"
        diagnostics.error(f"{path}.kind", "invalid-kind", message, "refer to a Service")
        return None, Verdict(False, Reason.INVALID_KIND, message)
    namespace = reference.namespace or source.namespace
    label = f"Service {namespace}/{reference.name}"
    if namespace != source.namespace and not allows(reads.grants(namespace), source, "", "Service", reference.name):
        message = f"{label} is in another namespace and no ReferenceGrant allows the reference"
        diagnostics.error(f"{path}.namespace", "ref-not-permitted", message, grant_remedy(source, namespace, "Service"))
        return None, Verdict(False, Reason.REF_NOT_PERMITTED, message)
    service = reads.service(namespace, reference.name)
    if service is None:
        message = f"{label} does not exist"
        diagnostics.error(f"{path}.name", "backend-not-found", message, "create the Service or correct the name")
        return None, Verdict(False, Reason.BACKEND_NOT_FOUND, message)
    return _resolve_port(service, reference, use, path, diagnostics)


def _resolve_port(
    service: Service, reference: BackendReference, use: Use, path: str, diagnostics: Diagnostics
) -> tuple[str | None, Verdict | None]:
    label = f"Service {service.namespace}/{service.name}"
    if service.spec.type == "ExternalName":
        # Any author of a Service could send the gateway to any host (CVE-2021-25740).
        message = f"{label} is of type ExternalName, which is not supported"
        diagnostics.error(f"{path}.name", "invalid-kind", message, "use a Service with EndpointSlices")
        return None, Verdict(False, Reason.INVALID_KIND, message)
    if reference.port is None:
        message = f"a port is required for {label}"
        diagnostics.error(f"{path}.port", "backend-not-found", message, "give the port of the Service")
        return None, Verdict(False, Reason.BACKEND_NOT_FOUND, message)
    port = service_port(service, reference.port, use.transport)
    if port is None:
        ports = [str(item.port) for item in service.spec.ports if _transport(item) is use.transport]
        known = listed(ports) or "none"
        message = f"{label} has no {use.transport.value} port {reference.port}"
        diagnostics.error(f"{path}.port", "backend-not-found", message, f"use one of its ports: {known}")
        return None, Verdict(False, Reason.BACKEND_NOT_FOUND, message)
    if use.app_protocols is not None and port.app_protocol.lower() not in use.app_protocols:
        message = f"{label} port {port.port}: appProtocol {port.app_protocol} cannot take {use.sends}"
        diagnostics.error(f"{path}.port", "unsupported-protocol", message, "use another port, or correct appProtocol")
        return None, Verdict(False, Reason.UNSUPPORTED_PROTOCOL, message)
    return backend_id(service.namespace, service.name, port.port, use.transport), None


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """One port of one Service with its endpoints.

    Attributes:
        backend: the IR resource.
        endpoints: sorted by id.
        wants_tls: `appProtocol` says that the port speaks TLS.
        diagnostics: what is told about the Service.
    """

    backend: ir.Backend
    endpoints: tuple[ir.Endpoint, ...]
    wants_tls: bool
    diagnostics: tuple[Diagnostic, ...]


def build_backend(identifier: str, source: BackendSource, old: BackendFacts | None) -> BackendFacts:
    """Translate one port of a Service; resources that stay equal to the old ones keep their identity."""
    diagnostics = Diagnostics(source.service.key)
    of_slices: list[Diagnostic] = []
    endpoints = endpoints_of(identifier, source, diagnostics, of_slices)
    app_protocol = source.port.app_protocol.lower()
    known = {item.id: item for item in old.endpoints} if old is not None else {}
    kept = tuple(known[item.id] if known.get(item.id) == item else item for item in endpoints)
    # What a rule of a GRPCRoute sends is HTTP/2 in any case (`ir.HttpRule.grpc`).
    protocol = APP_PROTOCOLS.get(app_protocol, ir.BackendProtocol.HTTP)
    backend = ir.Backend(id=identifier, protocol=protocol, policies=source.policies)
    return BackendFacts(
        backend=old.backend if old is not None and old.backend == backend else backend,
        endpoints=kept,
        wants_tls=app_protocol in TLS_APP_PROTOCOLS,
        diagnostics=(*of_slices, *diagnostics.done()),
    )
