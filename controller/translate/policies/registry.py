"""The table of policy kinds: an entry here and a module, which judges one policy by itself, is a kind.

What all kinds share (targets, precedence, hierarchy, names in the IR, status) works over this table; nothing else asks
for a kind by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluicegate import ir

from ...api import Diagnostics
from ..conditions import Reason
from ..secrets import Material
from .access import judge_access
from .backend import judge_backend
from .backend_tls import judge_backend_tls
from .backend_traffic import judge_backend_traffic
from .client import judge_client
from .external_backend import judge_external_backend
from .judged import Judgement
from .rate_limit import judge_rate_limit
from .telemetry import DEFAULT_SERVICE, judge_telemetry


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """A kind of policy (GEP-713).

    Attributes:
        kind: the kind.
        targets: kinds of objects that it may be attached to.
        sections: of these, the kinds of whose sections (listeners, rules, ports) it may be attached to one by name.
        judge: judges one policy of the kind's own type by itself.
        stanzas: names of what is merged, in the order in which it acts; a kind without stanzas has one without a name.
        tightens: stanzas that can only be tightened under an override.
        inherited: lower levels inherit it (`gateway.networking.k8s.io/policy: Inherited`); else `Direct`. The status of
            an inherited one says how much of it is programmed.
        itself: an object of the kind is no policy of others: its only target is itself.
        spoken: it says how the gateway speaks to backends, so it is nothing for what only passes through, nor for
            datagrams.
        unused: what to do where no Gateway is led to the target, for people.
        refused: the reason for which references of routes to a backend are refused whose policy cannot be honoured.
        closed: of a kind without stanzas, the IR of a policy that cannot be read, by its id.
        harmless: one that cannot be honoured refuses nothing; what becomes of it then, for people.
    """

    kind: str
    targets: frozenset[str]
    sections: frozenset[str]
    judge: Callable[[Any, Material, Diagnostics], Judgement]
    stanzas: tuple[str, ...] = ("",)
    tightens: frozenset[str] = frozenset()
    inherited: bool = False
    itself: bool = False
    spoken: bool = False
    unused: str = "attach the target to a Gateway of this controller"
    refused: Reason = Reason.INVALID_BACKEND_POLICY
    closed: Callable[[str], ir.PolicyBase] | None = None
    harmless: str = ""


#: Gateways, what belongs to them, and all routes.
ROUTED = frozenset({"Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"})

#: In the order in which they act.
POLICIES: tuple[PolicyKind, ...] = (
    PolicyKind(
        kind="BackendTLSPolicy",
        targets=frozenset({"Service"}),
        sections=frozenset({"Service"}),
        judge=judge_backend_tls,
        spoken=True,
        unused="refer to the Service in a route",
        refused=Reason.INVALID_BACKEND_TLS_POLICY,
        closed=lambda name: ir.BackendTls(id=name, hostname="", invalid=True),
    ),
    PolicyKind(
        kind="XBackend",
        targets=frozenset({"XBackend"}),
        sections=frozenset(),
        judge=judge_external_backend,
        itself=True,
        unused="refer to it in a route",
        refused=Reason.INVALID_BACKEND,
    ),
    PolicyKind(
        kind="BackendPolicy",
        targets=frozenset({"Service", "XBackend"}),
        sections=frozenset({"Service"}),
        judge=judge_backend,
        unused="refer to the target in a route",
        closed=lambda name: ir.BackendPolicy(id=name, invalid=True),
    ),
    PolicyKind(
        kind="XBackendTrafficPolicy",
        targets=frozenset({"Service", "XBackend"}),
        sections=frozenset(),
        judge=judge_backend_traffic,
        spoken=True,
        unused="refer to the Service in a route",
        closed=lambda name: ir.BackendTraffic(id=name, invalid=True),
    ),
    PolicyKind(
        kind="ClientPolicy",
        targets=ROUTED,
        sections=ROUTED,
        judge=judge_client,
        stanzas=(
            "clientAddress",
            "tls",
            "clientCertificate",
            "connections",
            "timeouts",
            "headers",
            "http2",
            "body",
            "accessLog",
            "tracing",
        ),
        inherited=True,
    ),
    PolicyKind(
        kind="RateLimitPolicy",
        targets=ROUTED,
        sections=ROUTED,
        judge=judge_rate_limit,
        stanzas=("local",),
        inherited=True,
    ),
    PolicyKind(
        kind="AccessPolicy",
        targets=ROUTED,
        sections=ROUTED,
        judge=judge_access,
        stanzas=("exempt", "certificate", "apiKey", "jwt", "basic", "csrf", "authorization", "external"),
        tightens=frozenset({"authorization"}),
        inherited=True,
    ),
    PolicyKind(
        kind="XTelemetryPolicy",
        targets=frozenset({"Gateway"}),
        sections=frozenset(),
        judge=judge_telemetry,
        unused="attach it to a Gateway of this controller that has listeners",
        closed=lambda name: ir.TelemetryTracing(id=name, service_name=DEFAULT_SERVICE),
        harmless="requests are not traced",
    ),
)
