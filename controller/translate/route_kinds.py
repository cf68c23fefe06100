"""What the translator does with each kind of route: which listeners take it, its backends, what makes IR of its rules.

The stages of the translator work over all of them; nothing else asks for a kind by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluicegate import ir

from ..api import ROUTE_KINDS
from ..api.kinds import BY_NAME
from .backends import APP_PROTOCOLS, WEBSOCKET_APP_PROTOCOLS, Transport, Use
from .grpc_rules import translate_grpc_rule
from .http_rules import translate_http_rule
from .l4_rules import translate_l4_rule
from .rules import RuleContext
from .status import Kind

#: Translates a rule of the kind's own type; None where the rule is dropped.
TranslateRule = Callable[[RuleContext, int, Any], "ir.HttpRule | ir.L4Rule | None"]


@dataclass(frozen=True, slots=True)
class RouteKind:
    """A kind of route.

    Attributes:
        kind: the kind.
        protocols: protocols of the listeners that take it.
        passthrough: TLS listeners that do not terminate take it too.
        use: what it does with its backends.
        translate_rule: makes IR of a rule.
    """

    kind: str
    protocols: frozenset[str]
    passthrough: bool
    use: Use
    translate_rule: TranslateRule


_CONNECTIONS = Use(Transport.TCP, "connections", None, "connections are closed")

_ROWS = {
    item.kind: item
    for item in (
        RouteKind(
            kind="HTTPRoute",
            protocols=frozenset({"HTTP", "HTTPS"}),
            passthrough=False,
            use=Use(Transport.TCP, "HTTP requests", frozenset(APP_PROTOCOLS), "requests get 503"),
            translate_rule=translate_http_rule,
        ),
        RouteKind(
            kind="GRPCRoute",
            protocols=frozenset({"HTTP", "HTTPS"}),
            passthrough=False,
            use=Use(
                Transport.TCP,
                "gRPC requests",
                frozenset(APP_PROTOCOLS) - WEBSOCKET_APP_PROTOCOLS,
                "requests get UNAVAILABLE",
            ),
            translate_rule=translate_grpc_rule,
        ),
        RouteKind(
            kind="TLSRoute",
            protocols=frozenset({"TLS"}),
            passthrough=True,
            use=_CONNECTIONS,
            translate_rule=translate_l4_rule,
        ),
        RouteKind(
            kind="TCPRoute",
            # A listener that terminates TLS leaves a TCP stream (`TLSRoute`: "use a TCPRoute with a TLS listener").
            protocols=frozenset({"TCP", "TLS"}),
            passthrough=False,
            use=_CONNECTIONS,
            translate_rule=translate_l4_rule,
        ),
        RouteKind(
            kind="UDPRoute",
            protocols=frozenset({"UDP"}),
            passthrough=False,
            use=Use(Transport.UDP, "datagrams", None, "datagrams are dropped"),
            translate_rule=translate_l4_rule,
        ),
    )
}

#: By kind, in the order of `supportedKinds`: each route of the table of kinds has a row.
ROUTES: dict[str, RouteKind] = {kind: _ROWS[kind] for kind in ROUTE_KINDS}

#: Protocols of listeners that are served.
PROTOCOLS = ("HTTP", "HTTPS", "TLS", "TCP", "UDP")


def kinds_of(protocol: str, *, passthrough: bool) -> tuple[Kind, ...]:
    """Kinds of routes that a listener can take by its protocol."""
    return tuple(
        Kind(group=BY_NAME[item.kind].group, kind=item.kind)
        for item in ROUTES.values()
        if protocol in item.protocols and (item.passthrough or not passthrough)
    )
