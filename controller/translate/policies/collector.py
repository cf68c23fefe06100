"""Whom a policy sends spans or lines of a log to: a backend, how it is spoken to, what it is told besides."""

from __future__ import annotations

from sluicegate import ir

from ...api import Service
from ...api.telemetry_policy import HTTPHeader
from ..backends import backend_name, service_port
from ..unsupported import Unsupported
from ..values import header_value, header_value_error, told_name_error
from .draft import MaterialReads

#: The port of OTLP over HTTP; gRPC has 4317, and any other.
OTLP_HTTP_PORT = 4318
_GRPC = frozenset({"grpc", "kubernetes.io/h2c"})
_HTTP = frozenset({"http", "https", "kubernetes.io/ws", "kubernetes.io/wss"})


def collector(backend: str, headers: str, reads: MaterialReads) -> ir.OtlpCollector:
    """The collector behind a backend of that id; `headers`: id of the secret that has its fields, or empty."""
    return ir.OtlpCollector(
        backend=backend, protocol=_protocol(backend, reads), service=_host(backend, reads), headers=headers
    )


def _protocol(backend: str, reads: MaterialReads) -> ir.OtlpProtocol:
    """What the backend says that it speaks, else what its port is for."""
    name = backend_name(backend)
    if name.external:
        found = reads.external_backend(name.namespace, name.service)
        says, port = (found.spec.protocol.lower(), found.spec.port.number) if found is not None else ("", 0)
        is_grpc, is_http = says in {"grpc", "h2c"}, says == "http11"
    else:
        service = reads.service(name.namespace, name.service)
        found_port = service_port(service, name.port) if isinstance(service, Service) else None
        says, port = found_port.app_protocol.lower() if found_port is not None else "", name.port
        is_grpc, is_http = says in _GRPC, says in _HTTP
    if is_grpc or not (is_http or port == OTLP_HTTP_PORT):
        return ir.OtlpProtocol.GRPC
    return ir.OtlpProtocol.HTTP


def _host(backend: str, reads: MaterialReads) -> str:
    """The host that is asked."""
    name = backend_name(backend)
    found = reads.external_backend(name.namespace, name.service) if name.external else None
    outside = found.spec.external_hostname if found is not None else None
    return outside.hostname.lower() if outside is not None else f"{name.service}.{name.namespace}.svc"


def header_lines(headers: tuple[HTTPHeader, ...], path: str) -> str:
    """Fields of requests to a collector, a line each: they are secrets, as they are for authentication.

    Raises:
        Unsupported: one cannot be sent; `path`: where they are written.
    """
    lines: list[str] = []
    for index, header in enumerate(headers):
        field = f"{path}[{index}]"
        error = told_name_error(header.name)
        if error:
            raise Unsupported(f"{field}.name", f"{header.name!r} {error}", "name another one, or leave it out")
        error = header_value_error(header.value) or ""
        if error:
            # The value may be a secret: it is quoted nowhere.
            raise Unsupported(f"{field}.value", f"the value of {header.name} {error}", "correct it")
        lines.append(f"{header.name.lower()}: {header_value(header.value)}")
    return "\n".join(lines)
