"""Services that Ingresses name, with the numbers of their ports: a route has no names for them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..api.ingress import IngressServiceBackend
from .inventory import Inventory
from .losses import Aspect, Cause, Ledger
from .options import Name

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
#: `service.namespace.svc`, with the domain of the cluster or not.
_SERVICE = re.compile(rf"({_LABEL})\.({_LABEL})\.svc(?:\.{_LABEL})*\.?")

#: What answers differ in where a port cannot be told.
_CLOSED: tuple[Aspect, ...] = ("closed", "backend")


class Backend(NamedTuple):
    """A port of a Service.

    Attributes:
        namespace: of the Service.
        service: its name.
        port: its number; 0: it could not be found, and requests are refused.
        outside: the host outside the cluster that the Service leads to; empty: none.
    """

    namespace: str
    service: str
    port: int
    outside: str = ""


def cluster_service(host: str) -> Name | None:
    """The Service that a host of the cluster's DNS is; None: it is none."""
    found = _SERVICE.fullmatch(host)
    return Name(found[2], found[1]) if found is not None else None


def backend_of(
    namespace: str, written: IngressServiceBackend, cause: Cause, inventory: Inventory, ledger: Ledger
) -> Backend:
    """The port of a Service that an Ingress names.

    Args:
        namespace: of the Ingress.
        written: as it names it.
        cause: where.
        inventory: has the Services.
        ledger: takes what is told.
    """
    service = inventory.services.get((namespace, written.name))
    port, name = written.port.number, written.port.name
    if service is None:
        if port:
            if inventory.has_services:
                message = f"the Service {namespace}/{written.name} is not here: requests are answered 500 without it"
                ledger.tell(cause, "converted-with-difference", message, "see that the cluster has it")
            return Backend(namespace, written.name, port)
        message = f"the Service {namespace}/{written.name} is not here, and its port {name} has no number without it"
        ledger.tell(
            cause, "invalid", message, "give the Service as well: requests are answered 500 as it is", touches=_CLOSED
        )
        return Backend(namespace, written.name, 0)
    ports = service.spec.ports
    found = next((item.port for item in ports if (name and item.name == name) or (port and item.port == port)), 0)
    if not found and name:
        # A name may be that of the container's port, as ingress-nginx takes it.
        found = next((item.port for item in ports if item.target_port == name), 0)
    if service.spec.type == "ExternalName" and (found or port):
        return _external(namespace, written.name, service.spec.external_name, found or port)
    if not found:
        asked = name or port
        has = ", ".join(f"{item.name or 'without name'} {item.port}" for item in ports) or "none"
        message = f"the Service {namespace}/{written.name} has no port {asked} (it has {has})"
        ledger.tell(cause, "invalid", message, "correct the port: requests are answered 500 as it is", touches=_CLOSED)
    return Backend(namespace, written.name, found)


def _external(namespace: str, name: str, host: str, port: int) -> Backend:
    """A Service that is another name for a host: the gateway takes the host itself, or the Service that it is."""
    inside = cluster_service(host)
    if inside is not None:
        return Backend(inside.namespace, inside.name, port)
    return Backend(namespace, name, port, host.rstrip(".").lower())
