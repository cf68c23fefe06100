"""XTelemetryPolicy by itself: which requests of a Gateway are traced, and who takes their spans (GEP-4768).

A policy that cannot be honoured refuses nothing: requests go on, without spans. It has its Gateway all the same, so
that mending it takes the Gateway from nobody else.
"""

from __future__ import annotations

import msgspec

from sluicegate import ir

from ...api import Diagnostics, Service, XTelemetryPolicy
from ...api.route import Fraction
from ...api.telemetry_policy import ParentBasedSampling, SpanAttribute, Tracing, TracingProvider
from ..backends import backend_name, resolve_backend, service_port
from ..conditions import Reason
from ..secrets import Material
from ..status import Verdict
from ..unsupported import Unsupported
from ..values import header_value, header_value_error, told_name_error
from .draft import ASKED, MaterialReads
from .judged import Judgement

ACCEPTED = Verdict(True, Reason.ACCEPTED, "The policy is accepted")
RESOLVED = Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")
FIELD = "spec.tracing"

#: Of new traces, where nothing says so: enough to see what is slow, little enough to switch on unasked.
DEFAULT_SAMPLING = ir.Percentage(numerator=1, denominator=100)
ALL = ir.Percentage(numerator=1, denominator=1)
#: `service.name`, where nothing says so.
DEFAULT_SERVICE = "sluicegate"

#: Attributes of one policy: each is in every span.
MAX_ATTRIBUTES = 64

#: The port of OTLP over HTTP; gRPC has 4317, and any other.
OTLP_HTTP_PORT = 4318
_GRPC = frozenset({"grpc", "kubernetes.io/h2c"})
_HTTP = frozenset({"http", "https", "kubernetes.io/ws", "kubernetes.io/wss"})


def judge_telemetry(policy: XTelemetryPolicy, material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    identifier, tracing = str(policy.key), policy.spec.tracing
    nothing = ir.TelemetryTracing(id=identifier, service_name=tracing.service_name or DEFAULT_SERVICE)
    if tracing.mode != "Enabled" or tracing.provider is None:
        return Judgement(ACCEPTED, RESOLVED, {"": nothing})
    reads = MaterialReads(material)
    field = f"{FIELD}.provider.backendRef"
    backend, verdict = resolve_backend(policy.key, tracing.provider.backend_ref, ASKED, field, reads, diagnostics)
    try:
        fields = _headers(tracing.provider)
        traced = ir.TelemetryTracing(
            id=identifier,
            sampling=_share(tracing.sampling_rate, f"{FIELD}.samplingRate") or DEFAULT_SAMPLING,
            parent_sampling=_parent(tracing.parent_based_sampling),
            service_name=nothing.service_name,
            span_name=tracing.span_name,
            attributes=_attributes(tracing),
        )
    except Unsupported as error:
        diagnostics.error(error.field, "invalid-policy", error.message, error.remedy)
        return Judgement(Verdict(False, Reason.INVALID, error.message), verdict or RESOLVED, {"": nothing})
    if backend is None:
        return Judgement(ACCEPTED, verdict or RESOLVED, {"": nothing})
    secrets = {identifier: ir.PolicySecret(id=identifier, data=fields)} if fields else {}
    collector = ir.TraceCollector(
        backend=backend,
        protocol=_protocol(backend, reads),
        service=_host(backend, reads),
        headers=identifier if fields else "",
    )
    return Judgement(ACCEPTED, RESOLVED, {"": msgspec.structs.replace(traced, collector=collector)}, secrets=secrets)


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


def _headers(provider: TracingProvider) -> str:
    """Fields of requests to the collector, a line each: they are secrets, as they are for authentication."""
    lines: list[str] = []
    for index, header in enumerate(provider.headers):
        field = f"{FIELD}.provider.headers[{index}]"
        error = told_name_error(header.name)
        if error:
            raise Unsupported(f"{field}.name", f"{header.name!r} {error}", "name another one, or leave it out")
        error = header_value_error(header.value) or ""
        if error:
            # The value may be a secret: it is quoted nowhere.
            raise Unsupported(f"{field}.value", f"the value of {header.name} {error}", "correct it")
        lines.append(f"{header.name.lower()}: {header_value(header.value)}")
    return "\n".join(lines)


def _share(fraction: Fraction | None, field: str) -> ir.Percentage | None:
    if fraction is None:
        return None
    if not 0 <= fraction.numerator <= fraction.denominator or fraction.denominator <= 0:
        message = f"{fraction.numerator} of {fraction.denominator} is no share"
        raise Unsupported(field, message, "use a numerator from 0 to the denominator")
    return ir.Percentage(numerator=fraction.numerator, denominator=fraction.denominator)


def _parent(sampling: ParentBasedSampling) -> ir.Percentage | None:
    """Of ImplementationDefault: clients are not believed, as a gateway stands at the edge."""
    if sampling.mode != "Enabled":
        return None
    return _share(sampling.sampling_rate, f"{FIELD}.parentBasedSampling.samplingRate") or ALL


def _attributes(tracing: Tracing) -> tuple[ir.SpanAttribute, ...]:
    if len(tracing.attributes) > MAX_ATTRIBUTES:
        message = f"{len(tracing.attributes)} attributes are more than {MAX_ATTRIBUTES}"
        raise Unsupported(f"{FIELD}.attributes", message, f"use {MAX_ATTRIBUTES} at most")
    return tuple(
        ir.SpanAttribute(name=item.name, source=_source(item, f"{FIELD}.attributes[{index}]"))
        for index, item in enumerate(tracing.attributes)
    )


def _source(item: SpanAttribute, field: str) -> ir.HeaderSpanSource | ir.LiteralSpanSource | ir.AttributeSpanSource:
    if item.source_type == "Header":
        return ir.HeaderSpanSource(name=item.header_name.lower())
    if item.source_type == "Literal":
        return ir.LiteralSpanSource(value=item.literal_value)
    if item.source_type == "Attribute":
        return ir.AttributeSpanSource(key=item.attribute_key)
    message = f"sourceType {item.source_type} is not known"
    raise Unsupported(f"{field}.sourceType", message, "use Header, Literal or Attribute")
