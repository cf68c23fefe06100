"""EndpointSlices to the endpoints of one port of a Service; what is odd of a slice is told of the slice.

A slice that has something odd costs its own endpoints only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sluicegate import ir
from sluicegate.words import listed

from ..api import Diagnostic, Diagnostics, EndpointSlice, Service, ServicePort
from .nearness import NearnessRule, nearness_rule
from .values import MAX_PORT, normal_address

#: A remedy that begins with this goes on with an option, ready to copy.
SAY_WHERE = "say where its program listens: "


@dataclass(frozen=True, slots=True)
class BackendSource:
    """What a backend is made of.

    Attributes:
        service, port: the port of a Service.
        slices: the EndpointSlices of the Service.
        policies: ids of those that hold for it.
        without_endpoint: what becomes of traffic while no endpoint is there, for people.
        given: addresses and ports of its endpoints that somebody gave; empty: the slices say them.
        may_be_given: somebody could give them.
    """

    service: Service
    port: ServicePort
    slices: tuple[EndpointSlice, ...]
    policies: tuple[str, ...]
    without_endpoint: str
    given: tuple[tuple[str, int], ...] = ()
    may_be_given: bool = False


def endpoints_of(
    identifier: str, source: BackendSource, diagnostics: Diagnostics, of_slices: list[Diagnostic]
) -> list[ir.Endpoint]:
    """Merge the slices of a Service, without duplicates; an endpoint that is ready anywhere is ready."""
    if source.given:
        return sorted((_given(identifier, *place) for place in source.given), key=lambda item: item.id)
    found: dict[str, ir.Endpoint] = {}
    named = False
    ports = [(item, _port_of(item, source.port)) for item in source.slices]
    near = nearness_rule(
        source.service.spec.traffic_distribution,
        (
            endpoint
            for item, port in ports
            for endpoint in item.endpoints
            if port is not None and endpoint.conditions.ready is not False
        ),
    )
    for item, port in ports:
        if port is None:
            continue
        named = True
        told = Diagnostics(item.key)
        for endpoint in _of_slice(identifier, item, port, near, told):
            if found.get(endpoint.id) is None or endpoint.state is ir.EndpointState.READY:
                found[endpoint.id] = endpoint
        of_slices += told.done()
    if not found:
        if not named:
            of_slices += _other_protocols(source)
        odd = list(dict.fromkeys(item.object for item in of_slices))
        _explain_no_endpoints(source, odd, named=named, diagnostics=diagnostics)
    return [found[key] for key in sorted(found)]


def _given(identifier: str, address: str, port: int) -> ir.Endpoint:
    name = f"{identifier}@{_host(address)}:{port}"
    return ir.Endpoint(id=name, backend=identifier, address=address, port=port)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


class _SlicePort(NamedTuple):
    """Port of the endpoints of a slice; `field`: what says it, of the slice or of its Service."""

    number: int
    field: str


def _port_of(item: EndpointSlice, port: ServicePort) -> _SlicePort | None:
    """Port of the endpoints for a Service port: slices name their ports as the Service does."""
    by_service = _SlicePort(port.target_port if isinstance(port.target_port, int) else port.port, "ports")
    if not item.ports:  # a slice without ports means every port
        return by_service
    for index, candidate in enumerate(item.ports):
        if candidate.name == port.name and (candidate.protocol or "TCP") == (port.protocol or "TCP"):
            return by_service if candidate.port is None else _SlicePort(candidate.port, f"ports[{index}].port")
    return None


def _other_protocols(source: BackendSource) -> Iterable[Diagnostic]:
    """Tell which slices have the port by its name, with another protocol."""
    wanted = source.port.protocol or "TCP"
    for item in source.slices:
        told = Diagnostics(item.key)
        for index, candidate in enumerate(item.ports):
            if candidate.name == source.port.name:
                message = f"{candidate.protocol} is not the protocol of the Service's port, {wanted}: it gets nothing"
                told.warning(
                    f"ports[{index}].protocol", "invalid-endpoint", message, f"write {wanted}, or another name"
                )
        yield from told.done()


def _of_slice(
    identifier: str, item: EndpointSlice, port: _SlicePort, near: NearnessRule, diagnostics: Diagnostics
) -> list[ir.Endpoint]:
    """Endpoints of one slice that can be used; what cannot is told once, however many there are."""
    if item.address_type not in {"IPv4", "IPv6"}:
        message = f"addresses of type {item.address_type} are not supported: its endpoints get nothing"
        diagnostics.warning("addressType", "unsupported-addresses", message, "use IPv4 or IPv6 addresses")
        return []
    if not 0 < port.number <= MAX_PORT:
        message = f"port {port.number} is outside 1 to {MAX_PORT}: its endpoints get nothing"
        diagnostics.warning(port.field, "invalid-endpoint", message, "correct it, or the targetPort of the Service")
        return []
    found: list[ir.Endpoint] = []
    unusable: dict[str, str] = {}
    for index, endpoint in enumerate(item.endpoints):
        conditions = endpoint.conditions
        if conditions.ready is not False:  # unset counts as ready
            state = ir.EndpointState.READY
        elif conditions.serving and conditions.terminating:
            state = ir.EndpointState.DRAINING
        else:
            continue
        # Consumers use the first address only (EndpointSlice API).
        address = normal_address(endpoint.addresses[0]) if endpoint.addresses else None
        if address is None:
            written = endpoint.addresses[0] if endpoint.addresses else "an endpoint without one"
            unusable.setdefault(f"endpoints[{index}].addresses{'[0]' if endpoint.addresses else ''}", written)
            continue
        name = f"{identifier}@{_host(address)}:{port.number}"
        whose = near(endpoint)
        found.append(
            ir.Endpoint(
                id=name,
                backend=identifier,
                address=address,
                port=port.number,
                state=state,
                zones=whose.zones,
                nodes=whose.nodes,
            )
        )
    if unusable:
        message = f"no IP address, so they get nothing: {listed(unusable.values())}"
        diagnostics.warning(next(iter(unusable)), "invalid-endpoint", message, "correct the addresses")
    return found


def _backend_option(service: Service, port: ServicePort) -> str:
    """The option that says where the program of a Service listens, ready to copy; its port is the likely one."""
    number = port.target_port if isinstance(port.target_port, int) else port.port
    which = f":{port.port}" if len(service.spec.ports) > 1 else ""
    return f"--backend {service.namespace}/{service.name}{which}=127.0.0.1:{number}"


def _explain_no_endpoints(source: BackendSource, odd: Sequence[str], *, named: bool, diagnostics: Diagnostics) -> None:
    """Tell that there is no endpoint; `odd`: the EndpointSlices that were told of something themselves."""
    service, port, outcome = source.service, source.port, source.without_endpoint
    label = f"port {port.port} of Service {service.namespace}/{service.name}"
    if not source.slices:
        message = f"{label} has no EndpointSlice: {outcome}"
        remedy = f"add an EndpointSlice with the label kubernetes.io/service-name: {service.name}; "
        remedy += "outside a cluster nothing makes one from the selector"
        if source.may_be_given:
            remedy = f"{SAY_WHERE}{_backend_option(service, port)}"
    elif odd:
        message = f"no endpoint of {label} can be used: {outcome}"
        remedy = f"correct {listed(odd)}"
    elif not named:
        message = f"no EndpointSlice of {label} has a port named {port.name!r}: {outcome}"
        remedy = "name the ports of the EndpointSlice as those of the Service"
    else:
        message = f"no endpoint of {label} is ready: {outcome}"
        remedy = "look at the conditions of its EndpointSlices"
    diagnostics.warning("spec.ports", "no-endpoints", message, remedy)
