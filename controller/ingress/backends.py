"""Services that Ingresses name, with the numbers of their ports: a route has no names for them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..api import Service
from ..api.core import ServicePort
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
    namespace: str,
    written: IngressServiceBackend,
    cause: Cause,
    inventory: Inventory,
    ledger: Ledger,
    *,
    by_target: bool,
) -> Backend:
    """The port of a Service that an Ingress names.

    Args:
        namespace: of the Ingress.
        written: as it names it.
        cause: where.
        inventory: has the Services.
        ledger: takes what is told.
        by_target: a port is also named by its `targetPort` (`Traits.takes_target_ports`).
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
    found = _port(service, written, by_target=by_target)
    if service.spec.type == "ExternalName" and (found is not None or port):
        return _external(namespace, written.name, service.spec.external_name, _outside(found, port))
    if found is None:
        asked = name or port
        ports = (f"{item.name or 'without name'} {item.port}" for item in service.spec.ports)
        has = ", ".join(ports) or "none"
        message = f"the Service {namespace}/{written.name} has no port {asked} (it has {has})"
        ledger.tell(cause, "invalid", message, "correct the port: requests are answered 500 as it is", touches=_CLOSED)
    return Backend(namespace, written.name, found.port if found is not None else 0)


def _port(service: Service, written: IngressServiceBackend, *, by_target: bool) -> ServicePort | None:
    """The port that an Ingress means; None: the Service has none like it."""
    port, name = written.port.number, written.port.name
    if by_target and service.spec.type != "ExternalName":
        # The first that has it as its number, its name or that of the container's port (`serviceEndpoints`).
        wanted = name or str(port)
        return next((item for item in service.spec.ports if wanted in _names(item)), None)
    return next(
        (item for item in service.spec.ports if (name and item.name == name) or (port and item.port == port)), None
    )


def _names(port: ServicePort) -> tuple[str, ...]:
    return (str(port.port), port.name, "" if port.target_port is None else str(port.target_port))


def _outside(found: ServicePort | None, port: int) -> int:
    """The port of a host outside: nobody but the Service says that it is another one (`externalNamePorts`)."""
    if found is None:
        return port
    return found.target_port if isinstance(found.target_port, int) and found.target_port else found.port


def _external(namespace: str, name: str, host: str, port: int) -> Backend:
    """A Service that is another name for a host: the gateway takes the host itself, or the Service that it is."""
    inside = cluster_service(host)
    if inside is not None:
        return Backend(inside.namespace, inside.name, port)
    return Backend(namespace, name, port, host.rstrip(".").lower())
