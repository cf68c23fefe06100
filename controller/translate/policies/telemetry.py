"""XTelemetryPolicy by itself: which requests of a Gateway are traced, and who takes their spans (GEP-4768).

A policy that cannot be honoured refuses nothing: requests go on, without spans. It has its Gateway all the same, so
that mending it takes the Gateway from nobody else.
"""

from __future__ import annotations

import msgspec

from sluicegate import ir

from ...api import Diagnostics, XTelemetryPolicy
from ...api.route import Fraction
from ...api.telemetry_policy import ParentBasedSampling, SpanAttribute, Tracing
from ..backends import resolve_backend
from ..conditions import Reason
from ..secrets import Material
from ..status import Verdict
from ..unsupported import Unsupported
from .collector import collector, header_lines
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
        fields = header_lines(tracing.provider.headers, f"{FIELD}.provider.headers")
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
    traced = msgspec.structs.replace(traced, collector=collector(backend, identifier if fields else "", reads))
    return Judgement(ACCEPTED, RESOLVED, {"": traced}, secrets=secrets)


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
