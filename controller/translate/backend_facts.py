"""A port of a Service, or an XBackend, to the backend of the IR with its endpoints."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate import ir

from ..api import Diagnostic, Diagnostics, XBackend
from .backends import APP_PROTOCOLS, Transport, transport_of
from .endpoints import BackendSource, endpoints_of
from .external import EXTERNAL_PROTOCOLS, host_of, host_of_service

#: `appProtocol` values that say TLS; only a BackendTLSPolicy says which certificate to expect.
TLS_APP_PROTOCOLS = frozenset({"https", "kubernetes.io/wss"})


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """One port of one Service with its endpoints.

    Attributes:
        backend: the IR resource.
        endpoints: sorted by id.
        wants_tls: `appProtocol` says that the port speaks TLS.
        diagnostics: what is told about the Service.
    """

    backend: ir.Backend
    endpoints: tuple[ir.Endpoint, ...]
    wants_tls: bool
    diagnostics: tuple[Diagnostic, ...]


def build_backend(identifier: str, source: BackendSource, old: BackendFacts | None) -> BackendFacts:
    """Translate one port of a Service; resources that stay equal to the old ones keep their identity."""
    diagnostics = Diagnostics(source.service.key)
    of_slices: list[Diagnostic] = []
    external = None
    endpoints: list[ir.Endpoint] = []
    if source.service.spec.type == "ExternalName" and not source.given:
        external = host_of_service(source.service, source.port.port)
    else:
        endpoints = endpoints_of(identifier, source, diagnostics, of_slices)
    app_protocol = source.port.app_protocol.lower()
    known = {item.id: item for item in old.endpoints} if old is not None else {}
    kept = tuple(known[item.id] if known.get(item.id) == item else item for item in endpoints)
    # What a rule of a GRPCRoute sends is HTTP/2 in any case (`ir.HttpRule.grpc`).
    protocol = APP_PROTOCOLS.get(app_protocol, ir.BackendProtocol.HTTP)
    datagrams = transport_of(source.port) is Transport.UDP
    backend = ir.Backend(
        id=identifier, protocol=protocol, policies=source.policies, datagrams=datagrams, external=external
    )
    return BackendFacts(
        backend=old.backend if old is not None and old.backend == backend else backend,
        endpoints=kept,
        wants_tls=app_protocol in TLS_APP_PROTOCOLS,
        diagnostics=(*of_slices, *diagnostics.done()),
    )


def build_external(
    identifier: str, source: XBackend, policies: tuple[str, ...], old: BackendFacts | None
) -> BackendFacts:
    """Translate an XBackend. One that cannot be used is there all the same: its policy says so, requests get 500."""
    spoken = EXTERNAL_PROTOCOLS.get(source.spec.protocol, EXTERNAL_PROTOCOLS[""])
    backend = ir.Backend(id=identifier, protocol=spoken.protocol, policies=policies, external=host_of(source))
    kept = old.backend if old is not None and old.backend == backend else backend
    return BackendFacts(backend=kept, endpoints=(), wants_tls=False, diagnostics=())
