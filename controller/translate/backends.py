"""From a backendRef to the id of a backend, and what such an id says (`backend_facts`: what the backend comes to).

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
    EXPERIMENTAL_GROUP,
    BackendReference,
    Diagnostics,
    ObjectKey,
    ReferenceGrant,
    Service,
    ServicePort,
    XBackend,
)
from .conditions import Reason
from .external import EXTERNAL_PROTOCOLS, external_name_error
from .grants import allows, grant_remedy
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

#: `appProtocol` values of WebSocket servers, which take no gRPC requests.
WEBSOCKET_APP_PROTOCOLS = frozenset({"kubernetes.io/ws", "kubernetes.io/wss"})

#: Ends the ids of backends that are XBackends.
_EXTERNAL = "/external"


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
    """What a backend id says; `service`: the Service, or, where it is `external`, the XBackend, which has no `port`."""

    namespace: str
    service: str
    port: int
    transport: Transport
    external: bool = False


class BackendReads(Protocol):
    """What is looked at for a backendRef; every look is noted."""

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""

    def external_backend(self, namespace: str, name: str) -> XBackend | None:
        """Look up an XBackend."""

    def external_names(self) -> bool:
        """Whether Services of type ExternalName lead anywhere."""

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""


def backend_id(namespace: str, service: str, port: int, transport: Transport = Transport.TCP) -> str:
    """Id of a backend in the IR."""
    return f"{namespace}/{service}:{port}{'/udp' if transport is Transport.UDP else ''}"


def external_id(namespace: str, name: str) -> str:
    """Id of the backend that an XBackend is."""
    return f"{namespace}/{name}{_EXTERNAL}"


def backend_name(identifier: str) -> BackendName:
    """What the id of a backend says."""
    if identifier.endswith(_EXTERNAL):
        namespace, _, name = identifier.removesuffix(_EXTERNAL).partition("/")
        return BackendName(namespace, name, 0, Transport.TCP, external=True)
    whole = identifier.removesuffix("/udp")
    namespace, _, rest = whole.partition("/")
    service, _, port = rest.rpartition(":")
    return BackendName(namespace, service, int(port), Transport.TCP if whole == identifier else Transport.UDP)


def service_port(service: Service, port: int, transport: Transport = Transport.TCP) -> ServicePort | None:
    """Find a port of a Service; one of type ExternalName that names none has every port."""
    if service.spec.type == "ExternalName" and not service.spec.ports and transport is Transport.TCP:
        return ServicePort(port=port)
    return next((item for item in service.spec.ports if item.port == port and transport_of(item) is transport), None)


def transport_of(port: ServicePort) -> Transport | None:
    """How a port of a Service is reached; None: in no way that is known."""
    return {"": Transport.TCP, "TCP": Transport.TCP, "UDP": Transport.UDP}.get(port.protocol)


def resolve_backend(
    source: ObjectKey, reference: BackendReference, use: Use, path: str, reads: BackendReads, diagnostics: Diagnostics
) -> tuple[str | None, Verdict | None]:
    """Resolve a backendRef of a route, or of a policy that asks a backend.

    Returns:
        The backend id, or None and the verdict on the reference (`HTTPBackendRef`: InvalidKind, RefNotPermitted,
        BackendNotFound, UnsupportedProtocol).
    """
    kind = reference.kind
    group = "" if reference.group == "core" else reference.group
    if (group, kind) not in {("", "Service"), (EXPERIMENTAL_GROUP, "XBackend")}:
        message = f"backends of kind {reference.group or 'core'}/{kind} are not supported"
        diagnostics.error(f"{path}.kind", "invalid-kind", message, "refer to a Service, or to an XBackend")
        return None, Verdict(False, Reason.INVALID_KIND, message)
    namespace = reference.namespace or source.namespace
    label = f"{kind} {namespace}/{reference.name}"
    if namespace != source.namespace and not allows(reads.grants(namespace), source, group, kind, reference.name):
        message = f"{label} is in another namespace and no ReferenceGrant allows the reference"
        diagnostics.error(f"{path}.namespace", "ref-not-permitted", message, grant_remedy(source, namespace, kind))
        return None, Verdict(False, Reason.REF_NOT_PERMITTED, message)
    found: Service | XBackend | None
    if kind == "Service":
        found = reads.service(namespace, reference.name)
    else:
        found = reads.external_backend(namespace, reference.name)
    if found is None:
        message = f"{label} does not exist"
        diagnostics.error(f"{path}.name", "backend-not-found", message, f"create the {kind} or correct the name")
        return None, Verdict(False, Reason.BACKEND_NOT_FOUND, message)
    if isinstance(found, XBackend):
        return _resolve_external(found, reference, use, path, diagnostics)
    return _resolve_port(found, reference, use, path, reads, diagnostics)


def _resolve_external(
    backend: XBackend, reference: BackendReference, use: Use, path: str, diagnostics: Diagnostics
) -> tuple[str | None, Verdict | None]:
    label, port = f"XBackend {backend.namespace}/{backend.name}", backend.spec.port.number
    if use.transport is not Transport.TCP:
        message = f"{label} takes no {use.sends}"
        diagnostics.error(f"{path}.kind", "invalid-kind", message, "refer to a Service")
        return None, Verdict(False, Reason.INVALID_KIND, message)
    if reference.port is not None and reference.port != port:
        message = f"{label} is port {port}, not {reference.port}"
        diagnostics.error(f"{path}.port", "backend-not-found", message, "leave the port out")
        return None, Verdict(False, Reason.BACKEND_NOT_FOUND, message)
    spoken = EXTERNAL_PROTOCOLS.get(backend.spec.protocol)
    if use.app_protocols is not None and spoken is not None and spoken.app_protocol not in use.app_protocols:
        message = f"{label}: protocol {backend.spec.protocol} cannot take {use.sends}"
        diagnostics.error(f"{path}.name", "unsupported-protocol", message, "use another backend, or correct protocol")
        return None, Verdict(False, Reason.UNSUPPORTED_PROTOCOL, message)
    return external_id(backend.namespace, backend.name), None


def _resolve_port(
    service: Service,
    reference: BackendReference,
    use: Use,
    path: str,
    reads: BackendReads,
    diagnostics: Diagnostics,
) -> tuple[str | None, Verdict | None]:
    label = f"Service {service.namespace}/{service.name}"
    if service.spec.type == "ExternalName":
        refused = _external_name_fault(service, label, use, allowed=reads.external_names())
        if refused is not None:
            message, remedy = refused
            diagnostics.error(f"{path}.name", "invalid-kind", message, remedy)
            return None, Verdict(False, Reason.INVALID_KIND, message)
    if reference.port is None:
        message = f"a port is required for {label}"
        diagnostics.error(f"{path}.port", "backend-not-found", message, "give the port of the Service")
        return None, Verdict(False, Reason.BACKEND_NOT_FOUND, message)
    port = service_port(service, reference.port, use.transport)
    if port is None:
        ports = [str(item.port) for item in service.spec.ports if transport_of(item) is use.transport]
        known = listed(ports) or "none"
        message = f"{label} has no {use.transport.value} port {reference.port}"
        diagnostics.error(f"{path}.port", "backend-not-found", message, f"use one of its ports: {known}")
        return None, Verdict(False, Reason.BACKEND_NOT_FOUND, message)
    if use.app_protocols is not None and port.app_protocol.lower() not in use.app_protocols:
        message = f"{label} port {port.port}: appProtocol {port.app_protocol} cannot take {use.sends}"
        diagnostics.error(f"{path}.port", "unsupported-protocol", message, "use another port, or correct appProtocol")
        return None, Verdict(False, Reason.UNSUPPORTED_PROTOCOL, message)
    return backend_id(service.namespace, service.name, port.port, use.transport), None


def _external_name_fault(service: Service, label: str, use: Use, *, allowed: bool) -> tuple[str, str] | None:
    """Why a Service of type ExternalName leads nowhere, and what to do; None: it leads to its host."""
    if not allowed:
        # Any author of a Service could send the gateway to any host (CVE-2021-25740).
        return (
            f"{label} is of type ExternalName, which is not allowed here",
            "use an XBackend, or allow such Services by the setting external_names",
        )
    if use.transport is not Transport.TCP:
        return f"{label} is of type ExternalName, which takes no {use.sends}", "use a Service with EndpointSlices"
    error = external_name_error(service.spec.external_name.lower())
    if error is not None:
        return f"{label}: externalName {service.spec.external_name!r} {error}", "give the name of a host"
    return None
