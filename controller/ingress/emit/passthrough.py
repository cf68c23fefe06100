"""Hosts whose TLS is passed through to a backend."""

from __future__ import annotations

from ..features import Passthrough
from ..hosts import Host
from .carried import of_routes
from .listeners import HTTPS, Listeners
from .manifest import Manifest, slug, unique
from .output import Output
from .rules import backend_reference


def emit_passthrough(host: Host, feature: Passthrough, listeners: Listeners, output: Output) -> None:
    """A TLSRoute to the backend of `/`; other paths mean nothing."""
    root = host.find("/", "Prefix") or host.find("/", "Exact")
    for location in host.locations:
        if location is not root:
            message = "TLS passes through, so paths mean nothing: it was not served"
            output.ledger.tell(location.cause, "dropped-harmless", message, host=host.name)
    if root is None or root.backend is None or not root.backend.port:
        message = "TLS passes through to the backend of /, and there is none"
        output.ledger.tell(feature.cause, "invalid", message, "give the host the path /", host=host.name)
        return
    backend = root.backend
    own = root.ingress.namespace
    entries = [item for name in host.names if (item := listeners.get(name, HTTPS)) is not None]
    spec = {
        "parentRefs": [entry.reference(own) for entry in entries],
        "hostnames": [name for name in host.names if name],
        "rules": [{"backendRefs": [backend_reference(root, backend, (root.cause,), output)]}],
    }
    name = output.names.give("TLSRoute", own, root.ingress.name, slug(host.name))
    causes = {"spec.rules[0]": unique((root.cause, feature.cause))}
    output.add(Manifest("TLSRoute", own, name, spec, of_routes(root.ingress), causes))
