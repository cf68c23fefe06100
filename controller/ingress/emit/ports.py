"""Ports of TCP and UDP: a listener for each, its route, and what the PROXY protocol asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sluicegate.words import listed

from ..features import ClientAddress, Features
from ..port_maps import PortEntry
from ..site import Site
from .listeners import Entry, Listeners
from .manifest import Manifest
from .output import GATEWAY_GROUP, Output, Target

_SPOKEN = "clientAddress"


def served_ports(entries: Iterable[PortEntry], output: Output) -> tuple[PortEntry, ...]:
    """Those that can be served as they were; the others are told, and have no listener."""

    def is_served(entry: PortEntry) -> bool:
        kinds = [*(["ClientPolicy"] if entry.proxies else ()), *(["BackendPolicy"] if entry.to_service else ())]
        return all(output.allows(kind, (entry.cause,)) for kind in kinds)

    return tuple(filter(is_served, entries))


def emit_ports(
    entries: Sequence[PortEntry], of_gateway: Features, site: Site, listeners: Listeners, output: Output
) -> None:
    """Make the routes and policies of ports; their listeners stand in `listeners`."""
    address = of_gateway.get(ClientAddress)
    inherited = address is not None and address.proxy_protocol
    for entry in entries:
        listener = listeners.port(entry)
        output.ledger.tell(entry.cause, "converted", f"a listener of protocol {entry.protocol} and its route")
        _route(entry, listener, output)
        if entry.protocol == "TCP" and (entry.proxies or inherited):
            value: dict[str, Any] = {"mode": "Disabled"}
            if entry.proxies:
                value = {"trustedProxies": list(entry.proxies), "proxyProtocol": "Required"}
            _policy(entry, listener, value, output)
        if entry.to_service:
            _to_service(entry, entries, site, output)


def _route(entry: PortEntry, listener: Entry, output: Output) -> None:
    namespace, service = entry.service
    kind = f"{entry.protocol}Route"
    name = output.names.give(kind, namespace, service, str(entry.port))
    spec = {
        "parentRefs": [listener.reference(namespace)],
        "rules": [{"backendRefs": [{"name": service, "port": entry.service_port}]}],
    }
    output.add(Manifest(kind, namespace, name, spec, causes={"spec.rules[0]": (entry.cause,)}))


def _policy(entry: PortEntry, listener: Entry, value: dict[str, Any], output: Output) -> None:
    """What the connections of a listener begin with."""
    kind, namespace, name = listener.parent
    target: Target = {"group": GATEWAY_GROUP, "kind": kind, "name": name, "sectionName": listener.name}
    own = output.names.give("ClientPolicy", namespace, name, listener.name)
    output.policy("ClientPolicy", namespace, own, [target], _SPOKEN, value, (entry.cause,))


def _to_service(entry: PortEntry, others: Iterable[PortEntry], site: Site, output: Output) -> None:
    """The policy is the Service's: whatever leads to it would begin so, and HTTP is broken by it."""
    namespace, service = entry.service
    backends = (location.backend for host in site for location in host.locations)
    same = (item for item in others if item.service == entry.service and not item.to_service)
    shared = [f"port {item.port}" for item in same]
    if any(item is not None and (item.namespace, item.service) == entry.service for item in backends):
        shared.append("an Ingress")
    if shared:
        message = (
            f"connections to {namespace}/{service} begin without a PROXY header: a BackendPolicy would have those of "
        )
        message += f"{listed(shared)} begin with one too"
        output.ledger.tell(entry.cause, "no-equivalent", message, "give the port a Service of its own")
        return
    name = output.names.give("BackendPolicy", namespace, service)
    target: Target = {"group": "", "kind": "Service", "name": service}
    content = {"proxyProtocol": "v1"}
    output.policy("BackendPolicy", namespace, name, [target], "connection", content, (entry.cause,))
