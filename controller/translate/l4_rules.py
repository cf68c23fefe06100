"""One rule of a TLSRoute, TCPRoute or UDPRoute to one `L4Rule`; what becomes of what is wrong: see `rules`."""

from __future__ import annotations

from sluicegate import ir

from ..api import L4RouteRule
from .backends import Transport
from .rules import RuleContext, note_backends, weighted_backends


def translate_l4_rule(context: RuleContext, index: int, rule: L4RouteRule) -> ir.L4Rule:
    """Translate a rule; it is never dropped, since its connections must not go to another route."""
    path = f"spec.rules[{index}]"
    backends, _ = weighted_backends(context, index, rule.backend_refs)
    datagrams = context.use.transport is Transport.UDP
    note_backends(context, path, rule.backend_refs, "datagrams are dropped" if datagrams else "connections are closed")
    if index:
        message = "rules of this kind have no matches, so the first one takes everything"
        context.diagnostics.warning(path, "unreachable-rule", message, "make one rule with several backendRefs")
    return ir.L4Rule(
        id=f"{context.key}/{index}",
        route=str(context.key),
        name=rule.name,
        created=context.route.metadata.created,
        index=index,
        listeners=context.listeners,
        attachments=context.attachments,
        hostnames=context.hostnames,
        backends=backends,
        policies=context.policies(rule.name, "l4_rule"),
    )
