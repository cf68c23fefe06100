"""XTelemetryPolicy (`gateway.networking.x-k8s.io/v1alpha1`, GEP-4768)."""

from __future__ import annotations

from .meta import Model, Object
from .policy import PolicyTargetReference
from .route import BackendReference, Fraction


class HTTPHeader(Model, frozen=True, kw_only=True):
    """`HTTPHeader`."""

    name: str
    value: str


class TracingProvider(Model, frozen=True, kw_only=True):
    """`spec.tracing.provider`."""

    backend_ref: BackendReference
    headers: tuple[HTTPHeader, ...] = ()


class ParentBasedSampling(Model, frozen=True, kw_only=True):
    """`spec.tracing.parentBasedSampling`."""

    mode: str = "ImplementationDefault"
    sampling_rate: Fraction | None = None


class SpanAttribute(Model, frozen=True, kw_only=True):
    """One of `spec.tracing.attributes`: where its value comes from, and which of the three that is."""

    name: str
    source_type: str
    header_name: str = ""
    literal_value: str = ""
    attribute_key: str = ""


class Tracing(Model, frozen=True, kw_only=True):
    """`spec.tracing`."""

    mode: str = "ImplementationDefault"
    provider: TracingProvider | None = None
    sampling_rate: Fraction | None = None
    parent_based_sampling: ParentBasedSampling = ParentBasedSampling()
    service_name: str = ""
    span_name: str = ""
    attributes: tuple[SpanAttribute, ...] = ()


class XTelemetryPolicySpec(Model, frozen=True, kw_only=True):
    """`XTelemetryPolicy.spec`."""

    target_refs: tuple[PolicyTargetReference, ...] = ()
    tracing: Tracing = Tracing()


class XTelemetryPolicy(Object, frozen=True, kw_only=True):
    """Whether requests to Gateways are traced, and who takes their spans."""

    spec: XTelemetryPolicySpec
