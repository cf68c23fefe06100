"""Services: from a backendRef to a backend id, from a Service port to its protocol, from EndpointSlices to endpoints.

Resolution (status, `HttpRule`) and endpoints are apart on purpose: an EndpointSlice never reaches a route.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sluicegate import ir

from ..model import BackendReference, EndpointSlice, ObjectKey, ReferenceGrant, Service, ServicePort
from .grants import allows, grant_remedy
from .problems import Findings, Problem
from .status import Verdict
from .values import MAX_PORT, normal_address

#: `appProtocol` values, lower case, and what the gateway speaks to such a port (GEP-1911, KEP-3726).
APP_PROTOCOLS: dict[str, ir.BackendProtocol] = {
    "": ir.BackendProtocol.HTTP,
    "http": ir.BackendProtocol.HTTP,
    "https": ir.BackendProtocol.HTTP,
    "kubernetes.io/ws": ir.BackendProtocol.HTTP,
    "kubernetes.io/wss": ir.BackendProtocol.HTTP,
    "kubernetes.io/h2c": ir.BackendProtocol.H2C,
    "grpc": ir.BackendProtocol.H2C,
}

#: `appProtocol` values that say TLS; only a BackendTLSPolicy says which certificate to expect.
TLS_APP_PROTOCOLS = frozenset({"https", "kubernetes.io/wss"})


class Reads(Protocol):
    """What a route may look at; every look is noted."""

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""


def backend_id(namespace: str, service: str, port: int) -> str:
    """Id of a backend in the IR."""
    return f"{namespace}/{service}:{port}"


def service_port(service: Service, port: int) -> ServicePort | None:
    """Find the TCP port of a Service."""
    return next((item for item in service.spec.ports if item.port == port and item.protocol in {"", "TCP"}), None)


def resolve_backend(
    source: ObjectKey, reference: BackendReference, path: str, reads: Reads, findings: Findings
) -> tuple[str | None, Verdict | None]:
    """Resolve a backendRef of a route.

    Returns:
        The backend id, or None and the verdict on the reference (`HTTPBackendRef`: InvalidKind, RefNotPermitted,
        BackendNotFound, UnsupportedProtocol).
    """
    if reference.group not in {"", "core"} or reference.kind != "Service":
        message = f"backends of kind {reference.group or 'core'}/{reference.kind} are not supported"
        findings.error(f"{path}.kind", "invalid-kind", message, "refer to a Service")
        return None, Verdict(False, "InvalidKind", message)
    namespace = reference.namespace or source.namespace
    label = f"Service {namespace}/{reference.name}"
    if namespace != source.namespace and not allows(reads.grants(namespace), source, "", "Service", reference.name):
        message = f"{label} is in another namespace and no ReferenceGrant allows the reference"
        findings.error(f"{path}.namespace", "ref-not-permitted", message, grant_remedy(source, namespace, "Service"))
        return None, Verdict(False, "RefNotPermitted", message)
    service = reads.service(namespace, reference.name)
    if service is None:
        message = f"{label} does not exist"
        findings.error(f"{path}.name", "backend-not-found", message, "create the Service or correct the name")
        return None, Verdict(False, "BackendNotFound", message)
    return _resolve_port(service, reference, path, findings)


def _resolve_port(
    service: Service, reference: BackendReference, path: str, findings: Findings
) -> tuple[str | None, Verdict | None]:
    label = f"Service {service.namespace}/{service.name}"
    if service.spec.type == "ExternalName":
        # Any author of a Service could send the gateway to any host (CVE-2021-25740).
        message = f"{label} is of type ExternalName, which is not supported"
        findings.error(f"{path}.name", "invalid-kind", message, "use a Service with EndpointSlices")
        return None, Verdict(False, "InvalidKind", message)
    if reference.port is None:
        message = f"a port is required for {label}"
        findings.error(f"{path}.port", "backend-not-found", message, "give the port of the Service")
        return None, Verdict(False, "BackendNotFound", message)
    port = service_port(service, reference.port)
    if port is None:
        known = ", ".join(str(item.port) for item in service.spec.ports) or "none"
        message = f"{label} has no TCP port {reference.port}"
        findings.error(f"{path}.port", "backend-not-found", message, f"use one of its ports: {known}")
        return None, Verdict(False, "BackendNotFound", message)
    if port.app_protocol.lower() not in APP_PROTOCOLS:
        message = f"{label} port {port.port}: appProtocol {port.app_protocol} cannot take HTTP requests"
        findings.error(f"{path}.port", "unsupported-protocol", message, "use another port, or correct appProtocol")
        return None, Verdict(False, "UnsupportedProtocol", message)
    return backend_id(service.namespace, service.name, port.port), None


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """One port of one Service with its endpoints.

    Attributes:
        backend: the IR resource.
        endpoints: sorted by id.
        wants_tls: `appProtocol` says that the port speaks TLS.
        problems: findings about the Service.
    """

    backend: ir.Backend
    endpoints: tuple[ir.Endpoint, ...]
    wants_tls: bool
    problems: tuple[Problem, ...]


def build_backend(
    identifier: str, service: Service, port: ServicePort, slices: Iterable[EndpointSlice], old: BackendFacts | None
) -> BackendFacts:
    """Translate one port of a Service; resources that stay equal to the old ones keep their identity."""
    findings = Findings(service.key)
    endpoints = _endpoints(identifier, service, port, list(slices), findings)
    known = {item.id: item for item in old.endpoints} if old is not None else {}
    kept = tuple(known[item.id] if known.get(item.id) == item else item for item in endpoints)
    backend = ir.Backend(id=identifier, protocol=APP_PROTOCOLS[port.app_protocol.lower()])
    return BackendFacts(
        backend=old.backend if old is not None and old.backend == backend else backend,
        endpoints=kept,
        wants_tls=port.app_protocol.lower() in TLS_APP_PROTOCOLS,
        problems=findings.done(),
    )


def _endpoints(
    identifier: str, service: Service, port: ServicePort, slices: list[EndpointSlice], findings: Findings
) -> list[ir.Endpoint]:
    """Merge the slices of a Service, without duplicates; an endpoint that is ready anywhere is ready."""
    found: dict[str, ir.Endpoint] = {}
    named = False
    for item in slices:
        number = _port_number(item, port)
        if number is None:
            continue
        named = True
        if item.address_type not in {"IPv4", "IPv6"}:
            message = f"EndpointSlice {item.name}: addresses of type {item.address_type} are not supported"
            findings.warning("", "unsupported-addresses", message, "use IPv4 or IPv6 addresses")
            continue
        for endpoint in _of_slice(identifier, item, number, findings):
            if found.get(endpoint.id) is None or endpoint.state is ir.EndpointState.READY:
                found[endpoint.id] = endpoint
    if not found:
        _explain_no_endpoints(service, port, slices, named=named, findings=findings)
    return [found[key] for key in sorted(found)]


def _port_number(item: EndpointSlice, port: ServicePort) -> int | None:
    """Port of the endpoints for a Service port: slices name their ports as the Service does."""
    if not item.ports:  # a slice without ports means every port
        return port.target_port if isinstance(port.target_port, int) else port.port
    for candidate in item.ports:
        if candidate.name == port.name and candidate.protocol in {"", "TCP"}:
            if candidate.port is None:
                return port.target_port if isinstance(port.target_port, int) else port.port
            return candidate.port
    return None


def _of_slice(identifier: str, item: EndpointSlice, number: int, findings: Findings) -> Iterable[ir.Endpoint]:
    for endpoint in item.endpoints:
        conditions = endpoint.conditions
        if conditions.ready is not False:  # unset counts as ready
            state = ir.EndpointState.READY
        elif conditions.serving and conditions.terminating:
            state = ir.EndpointState.DRAINING
        else:
            continue
        # Consumers use the first address only (EndpointSlice API).
        address = normal_address(endpoint.addresses[0]) if endpoint.addresses else None
        if address is None or not 0 < number <= MAX_PORT:
            shown = endpoint.addresses[0] if endpoint.addresses else "no address"
            message = f"EndpointSlice {item.name}: {shown} port {number} is not an IP address and port"
            findings.warning("", "invalid-endpoint", message, "correct the EndpointSlice")
            continue
        host = f"[{address}]" if ":" in address else address
        yield ir.Endpoint(
            id=f"{identifier}@{host}:{number}", backend=identifier, address=address, port=number, state=state
        )


def _explain_no_endpoints(
    service: Service, port: ServicePort, slices: list[EndpointSlice], *, named: bool, findings: Findings
) -> None:
    label = f"port {port.port} of Service {service.namespace}/{service.name}"
    if not slices:
        message = f"{label} has no EndpointSlice: requests get 503"
        remedy = (
            f"add an EndpointSlice with the label kubernetes.io/service-name: {service.name}; "
            "outside a cluster nothing makes one from the selector"
        )
    elif not named:
        message = f"no EndpointSlice of {label} has a port named {port.name!r}: requests get 503"
        remedy = "name the ports of the EndpointSlice as those of the Service"
    else:
        message = f"no endpoint of {label} is ready: requests get 503"
        remedy = "look at the conditions of its EndpointSlices"
    findings.warning("spec.ports", "no-endpoints", message, remedy)
