"""Collectors of traces and logs, by the messages of opentelemetry-proto: over HTTP and over gRPC."""

from __future__ import annotations

import threading
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from system_backends import LIMIT, Received, response

SERVER, CLIENT = 2, 3


@dataclass(frozen=True)
class Span:
    """A span as a collector has it; ids are hexadecimal digits."""

    trace: str
    id: str
    parent: str
    name: str
    kind: int
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    failed: bool
    begun: int
    ended: int
    state: str
    resource: dict[str, Any]

    @property
    def service(self) -> str:
        return str(self.resource["service.name"])


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def spans(request: ExportTraceServiceRequest) -> list[Span]:
    """All spans of a message."""
    return [
        Span(
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            name=span.name,
            kind=span.kind,
            attributes=_values(span.attributes),
            events=[(event.name, _values(event.attributes)) for event in span.events],
            failed=span.status.code == 2,
            begun=span.start_time_unix_nano,
            ended=span.end_time_unix_nano,
            state=span.trace_state,
            resource=_values(resource.resource.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@dataclass
class Collector:
    """What was taken, and how to wait for it."""

    spans: list[Span] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, message: bytes, fields: dict[str, str]) -> None:
        found = spans(ExportTraceServiceRequest.FromString(message))
        with self.changed:
            self.spans += found
            self.asked.append(fields)
            self.changed.notify_all()

    def of(self, trace: str, count: int) -> list[Span]:
        """The spans of a trace, once there are so many: that of the request first, then those of its tries in order."""

        def found() -> list[Span]:
            return [span for span in self.spans if span.trace == trace]

        with self.changed:
            assert self.changed.wait_for(lambda: len(found()) >= count, LIMIT), (trace, self.spans)
            return sorted(found(), key=lambda span: (span.kind, span.attributes.get("http.request.resend_count", 0)))


class HttpCollector(Collector):
    """`answer` is that of a `Backend`."""

    def answer(self, request: Received) -> bytes:
        assert (request.method, request.target) == ("POST", "/v1/traces")
        assert request.header("content-type") == "application/x-protobuf"
        self.take(bytes(request.body), {name.lower(): value for name, value in request.headers})
        return response(ExportTraceServiceResponse().SerializeToString())


class GrpcCollector(Collector, trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]
    """A server of its own; `pair`: a key and its certificate, for TLS."""

    def __init__(self, pair: tuple[bytes, bytes] | None = None, *, address: str = "127.0.0.1") -> None:
        super().__init__()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        if pair is None:
            port = self._server.add_insecure_port(f"{address}:0")
        else:
            port = self._server.add_secure_port(f"{address}:0", grpc.ssl_server_credentials([pair]))
        self.address = (address, port)
        self._server.start()

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 (the name of the protocol)
        self.take(request.SerializeToString(), dict(context.invocation_metadata()))
        return ExportTraceServiceResponse()

    def close(self) -> None:
        self._server.stop(None).wait()


@dataclass(frozen=True)
class Line:
    """A log record as a collector has it; ids are hexadecimal digits, empty where there are none."""

    trace: str
    span: str
    severity: str
    body: str
    attributes: dict[str, Any]
    begun: int
    service: str


def lines(request: ExportLogsServiceRequest) -> list[Line]:
    """All log records of a message."""
    return [
        Line(
            trace=line.trace_id.hex(),
            span=line.span_id.hex(),
            severity=line.severity_text,
            body=line.body.string_value,
            attributes=_values(line.attributes),
            begun=line.time_unix_nano,
            service=str(_values(resource.resource.attributes)["service.name"]),
        )
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for line in scope.log_records
    ]


@dataclass
class LogCollector:
    """What was taken, and how to wait for it."""

    lines: list[Line] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, message: bytes, fields: dict[str, str]) -> None:
        found = lines(ExportLogsServiceRequest.FromString(message))
        with self.changed:
            self.lines += found
            self.asked.append(fields)
            self.changed.notify_all()

    def of(self, path: str) -> Line:
        """The first line of a path, once it is there."""

        def found() -> list[Line]:
            return [line for line in self.lines if line.attributes["url.path"] == path]

        with self.changed:
            assert self.changed.wait_for(found, LIMIT), (path, self.lines)
            return found()[0]

    def answer(self, request: Received) -> bytes:
        """As a `Backend` does it: over HTTP."""
        assert (request.method, request.target) == ("POST", "/v1/logs")
        assert request.header("content-type") == "application/x-protobuf"
        self.take(bytes(request.body), {name.lower(): value for name, value in request.headers})
        return response(ExportLogsServiceResponse().SerializeToString())


class GrpcLogCollector(LogCollector, logs_service_pb2_grpc.LogsServiceServicer):  # type: ignore[misc]
    """A server of its own with TLS; `pair`: a key and its certificate."""

    def __init__(self, pair: tuple[bytes, bytes]) -> None:
        super().__init__()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(self, self._server)
        port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        self.address = ("127.0.0.1", port)
        self._server.start()

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 (the name of the protocol)
        self.take(request.SerializeToString(), dict(context.invocation_metadata()))
        return ExportLogsServiceResponse()

    def close(self) -> None:
        self._server.stop(None)
