"""From hosts with their features to manifests of the Gateway API, each part with where it comes from.

- `listeners`: the Gateway and its ListenerSets. `routes`: routes of each Ingress and host; `rules` and `rule_features`
  make their rules, `redirects`, `canaries` and `grpc` those that are special.
- `ports`: listeners and routes of TCP and UDP.
- `policies`, `external` and `clients`: policies of routes and of the Gateway. `services`: policies of Services.
- `output` collects, `manifest` is what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..features import Features
from ..port_maps import PortEntry
from ..site import Site
from .clients import Clients
from .listeners import Listeners
from .manifest import Manifest
from .output import GATEWAY_GROUP, Output
from .policies import emit_gateway_policies
from .ports import emit_ports, served_ports
from .routes import emit_host
from .services import emit_services

__all__ = ["Manifest", "Output", "emit"]


def emit(
    site: Site, of_gateway: Features, output: Output, ports: Sequence[PortEntry] = ()
) -> tuple[tuple[Manifest, ...], dict[str, Any] | None]:
    """Make the manifests of all hosts, and `tls.frontend` of their Gateway; None: it needs none.

    Args:
        site: the hosts.
        of_gateway: features of the whole Gateway.
        output: takes them.
        ports: that lead to Services without an Ingress.
    """
    ports = served_ports(ports, output)
    if not site.hosts and not ports:
        return (), None
    listeners = Listeners(site, output, ports)
    clients = Clients(site, listeners, output)
    for host in site:
        emit_host(host, site, listeners, clients, output)
        emit_services(host, output)
    emit_ports(ports, of_gateway, site, listeners, output)
    listeners.emit(clients.frontend)
    clients.emit_forwarding()
    clients.emit_ciphers(site)
    gateway = listeners.gateway
    target = {"group": GATEWAY_GROUP, "kind": "Gateway", "name": gateway.name}
    emit_gateway_policies(of_gateway, target, gateway.namespace, output)
    return tuple(output.done()), clients.frontend
