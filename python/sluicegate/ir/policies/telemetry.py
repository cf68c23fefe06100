"""Traces of requests: who takes their spans, and of which requests there are any (GEP-4768)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import ClassVar, TypeAlias

from ..base import Base
from ..http import Percentage
from .base import Need, PolicyBase, StanzaBase, Trait


class OtlpProtocol(enum.Enum):
    """How telemetry is sent; `HTTP`: binary protocol buffers."""

    GRPC = "grpc"
    HTTP = "http"


class OtlpCollector(Base, frozen=True, kw_only=True):
    """Who takes spans, or lines of a log.

    Attributes:
        backend: id.
        service: `<name>.<namespace>.svc`, or a host outside: who is asked, where no certificate is for another one.
        headers: id of the secret that has the fields of requests to it, a line each; empty: there are none.
    """

    backend: str
    protocol: OtlpProtocol
    service: str
    headers: str = ""

    def needs(self) -> Iterable[Need]:
        """Who it is, and what it is told."""
        secret = (("policy_secrets", self.headers),) if self.headers else ()
        return (("backends", self.backend), *secret)


class HeaderSpanSource(Base, frozen=True, kw_only=True, tag_field="type", tag="header"):
    """A field of the request; lower case."""

    name: str


class LiteralSpanSource(Base, frozen=True, kw_only=True, tag_field="type", tag="literal"):
    """A text."""

    value: str


class AttributeSpanSource(Base, frozen=True, kw_only=True, tag_field="type", tag="attribute"):
    """Another attribute of the span."""

    key: str


SpanSource: TypeAlias = HeaderSpanSource | LiteralSpanSource | AttributeSpanSource


class SpanAttribute(Base, frozen=True, kw_only=True):
    """An attribute and where its value comes from."""

    name: str
    source: SpanSource


class TelemetryTracing(PolicyBase, frozen=True, kw_only=True, tag="telemetry_tracing"):
    """`XTelemetryPolicy.spec.tracing`. Listeners name it; it refuses nothing.

    Attributes:
        collector: None: nothing is traced, and what clients say of traces goes on as it came.
        sampling: of the requests whose client decides nothing, or nothing that counts.
        parent_sampling: of the requests whose client says that they are sampled, and none of those of which it says
            that they are not; None: what clients say of that does not count.
        service_name: `service.name`.
        span_name: of the span of a request; empty: its method and the path of its match.
        attributes: what every span has besides.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})

    collector: OtlpCollector | None = None
    sampling: Percentage = Percentage(numerator=0, denominator=1)
    parent_sampling: Percentage | None = None
    service_name: str
    span_name: str = ""
    attributes: tuple[SpanAttribute, ...] = ()

    def needs(self) -> Iterable[Need]:
        """Who takes spans, and what it is told."""
        return self.collector.needs() if self.collector is not None else ()


class TraceFormat(enum.Enum):
    """A form of a trace's context besides that of W3C: the one field `b3`, or `X-B3-TraceId` and its like."""

    B3 = "B3"
    B3_MULTI = "B3Multi"


class ClientTracing(StanzaBase, frozen=True, kw_only=True, tag="client_tracing"):
    """`ClientPolicy.spec.tracing`; `propagation`: how backends are told of a trace besides by `traceparent`."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "tracing"

    propagation: tuple[TraceFormat, ...] = ()

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """All of it."""
        return () if self.off else (("", "requests"),)


class FilterTelemetry(StanzaBase, frozen=True, kw_only=True, tag="filter_telemetry"):
    """`telemetry` of an HTTPFilter; `sampling`: in place of that of the policy of traces, where there is one."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule"})
    kind: ClassVar[str] = "HTTPFilter"
    stanza: ClassVar[str] = "telemetry"

    sampling: Percentage = Percentage(numerator=0, denominator=1)
