"""Services that Ingresses name, with the numbers of their ports: a route has no names for them."""

from __future__ import annotations

from typing import NamedTuple

from ..api.ingress import IngressServiceBackend
from .inventory import Inventory
from .losses import Cause, Ledger


class Backend(NamedTuple):
    """A port of a Service.

    Attributes:
        namespace: of the Service.
        service: its name.
        port: its number; 0: it could not be found, and requests are refused.
    """

    namespace: str
    service: str
    port: int


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
            return Backend(namespace, written.name, port)
        message = f"the Service {namespace}/{written.name} is not here, and its port {name} has no number without it"
        ledger.tell(cause, "invalid", message, "give the Service as well: requests are answered 500 as it is")
        return Backend(namespace, written.name, 0)
    if service.spec.type == "ExternalName":
        message = f"{namespace}/{written.name} leads to {service.spec.external_name}"
        remedy = "the gateway needs --external-names, or write an XBackend (docs/external-backends.md)"
        ledger.tell(cause, "converted-with-difference", message, remedy)
    ports = service.spec.ports
    found = next((item.port for item in ports if (name and item.name == name) or (port and item.port == port)), 0)
    if not found and name:
        # A name may be that of the container's port, as ingress-nginx takes it.
        found = next((item.port for item in ports if item.target_port == name), 0)
    if not found and service.spec.type == "ExternalName":
        found = port
    if not found:
        asked = name or port
        has = ", ".join(f"{item.name or 'without name'} {item.port}" for item in ports) or "none"
        message = f"the Service {namespace}/{written.name} has no port {asked} (it has {has})"
        ledger.tell(cause, "invalid", message, "correct the port: requests are answered 500 as it is")
    return Backend(namespace, written.name, found)
