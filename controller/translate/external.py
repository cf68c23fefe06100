"""Hosts outside the cluster: XBackends, and Services of type ExternalName where these are allowed.

What a name comes to is found out where traffic goes, again and again; what it may not come to, and that each
resolution is looked at, is the engine's (`native/core/src/upstream/external`). Here only names are looked at.
"""

from __future__ import annotations

from typing import NamedTuple

from sluicegate import ir

from ..api import Service, XBackend
from .values import hostname_error

#: Names that clusters answer for: Services of any namespace would be reached without a grant (CVE-2021-25740).
CLUSTER_NAMES = (".cluster.local", ".svc")


class ExternalProtocol(NamedTuple):
    """What `XBackend.spec.protocol` means.

    Attributes:
        protocol: what the gateway speaks.
        app_protocol: the same as Services say it, by which a route is known to fit; None: connections only.
    """

    protocol: ir.BackendProtocol
    app_protocol: str | None


EXTERNAL_PROTOCOLS: dict[str, ExternalProtocol] = {
    "": ExternalProtocol(ir.BackendProtocol.HTTP, ""),
    "HTTP": ExternalProtocol(ir.BackendProtocol.HTTP, "http"),
    "HTTP11": ExternalProtocol(ir.BackendProtocol.HTTP1, "kubernetes.io/ws"),
    "WSS": ExternalProtocol(ir.BackendProtocol.HTTP1, "kubernetes.io/wss"),
    "HTTP2": ExternalProtocol(ir.BackendProtocol.H2C, "kubernetes.io/h2c"),
    "H2C": ExternalProtocol(ir.BackendProtocol.H2C, "kubernetes.io/h2c"),
    "GRPC": ExternalProtocol(ir.BackendProtocol.H2C, "grpc"),
    "TCP": ExternalProtocol(ir.BackendProtocol.HTTP, None),
}


def external_name_error(hostname: str) -> str | None:
    """Why a name is none of a host outside the cluster, or None; lower case."""
    name = hostname.removesuffix(".")
    error = hostname_error(name, wildcard=False)
    if error is not None:
        return error
    return "is a name of the cluster" if f".{name}".endswith(CLUSTER_NAMES) else None


def host_of(backend: XBackend) -> ir.ExternalHost | None:
    """Where an XBackend leads; None where it cannot be used."""
    spec = backend.spec
    if spec.type != "ExternalHostname" or spec.external_hostname is None or spec.port.number is None:
        return None
    hostname = spec.external_hostname.hostname.lower()
    return ir.ExternalHost(hostname=hostname, port=spec.port.number) if external_name_error(hostname) is None else None


def host_of_service(service: Service, port: int) -> ir.ExternalHost:
    """Where a port of a Service of type ExternalName leads."""
    return ir.ExternalHost(hostname=service.spec.external_name.lower().removesuffix("."), port=port)
