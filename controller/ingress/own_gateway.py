"""The Gateway that is made for Ingresses where none is named: of a class of ours, open for the routes of all."""

from __future__ import annotations

from typing import Any

import msgspec

from ..api import Gateway, GatewayClass, ObjectKey, Origin, decode
from ..api.names import VIRTUAL
from ..store.snapshot import Table
from .options import Name

OWN_GATEWAY = f"{VIRTUAL}gateway"
#: Its class where no GatewayClass of ours is there (`translate.options`).
_IMPLICIT_CLASS = "sluicegate"
_EVERYWHERE = {"namespaces": {"from": "All"}}


def own_gateway(
    name: Name, gateway_classes: Table, controller_name: str, certificate: Name | None, origin: Origin
) -> Gateway:
    """Make it.

    Args:
        name: of it; the namespace is that of the certificate.
        gateway_classes: all that there are.
        controller_name: of those that are served.
        certificate: Secret with the certificate of hosts that have none; None: these are not served on port 443.
        origin: where it comes from, for what is told of it.
    """
    classes = (item for item in gateway_classes.values() if isinstance(item, GatewayClass))
    ours = sorted(item.name for item in classes if item.spec.controller_name == controller_name)
    listeners: list[dict[str, Any]] = [{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": _EVERYWHERE}]
    if certificate is not None:
        tls = {"certificateRefs": [{"name": certificate.name}]}
        listeners.append({"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls, "allowedRoutes": _EVERYWHERE})
    document = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        # Its own name is none that an object of a cluster can have.
        "metadata": {"name": "virtual", "namespace": name.namespace},
        "spec": {
            "gatewayClassName": ours[0] if ours else _IMPLICIT_CLASS,
            "allowedListeners": _EVERYWHERE,
            "listeners": listeners,
        },
    }
    item = decode(document, origin)
    if not isinstance(item, Gateway):
        raise TypeError("a Gateway was made")
    metadata = msgspec.structs.replace(item.metadata, name=name.name)
    return msgspec.structs.replace(item, metadata=metadata, key=ObjectKey("Gateway", *name))
