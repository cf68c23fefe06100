"""What is said of traces where there are none: no XTelemetryPolicy has the requests of the Gateway traced.

It harms nothing, so only `check` tells it: the policy may well be in the cluster and not in its files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sluicegate import ir
from sluicegate.words import listed

from ..api import Diagnostic
from .state import State

REMEDY = "attach an XTelemetryPolicy with mode: Enabled and a provider to the Gateway, or take it out"
#: Listeners that one message names.
MAX_NAMED = 3


def untraced(state: State) -> Iterator[Diagnostic]:
    """Tell of each HTTPFilter with `telemetry`, and each ClientPolicy with `tracing`, that means nothing anywhere."""
    filters = {name for name, item in state.policies.items() if isinstance(item, ir.FilterTelemetry)}
    clients = {name for name, item in state.policies.items() if isinstance(item, ir.ClientTracing) and item.propagation}
    if not filters and not clients:
        return
    traced = {item.id for item in state.listeners.values() if is_traced(state, item)}
    told: dict[str, list[str]] = {}
    for listener in state.listeners.values():
        for name in listener.policies:
            if name in clients:
                told.setdefault(name, []).append(listener.id)
            elif name in filters and listener.id not in traced:
                owner, _, section = listener.id.rpartition("/")
                message = f"telemetry of an HTTPFilter of the listener {section} means nothing: it is not traced"
                yield _told(owner, "spec.listeners", message)
    for name, listeners in sorted(told.items()):
        if traced.isdisjoint(listeners):
            policy = name.removesuffix(f"/{ir.ClientTracing.stanza}")
            yield _told(
                policy, "spec.tracing", f"tracing means nothing at {_named(listeners)}: nothing is traced there"
            )
    for rule in state.http_rules.values():
        if filters.isdisjoint(rule.policies):
            continue
        attached = list(ir.listeners_of(rule, state.attachments))
        if attached and traced.isdisjoint(attached):
            message = f"telemetry of an HTTPFilter means nothing at {_named(attached)}: nothing is traced there"
            yield _told(rule.route, f"spec.rules[{rule.index}].filters", message)


def is_traced(state: State, listener: ir.Listener) -> bool:
    """Whether the requests of a listener are traced."""
    found = (state.policies.get(name) for name in listener.policies)
    return any(isinstance(item, ir.TelemetryTracing) and item.collector is not None for item in found)


def _named(listeners: Iterable[str]) -> str:
    names = sorted(listeners)
    more = len(names) - MAX_NAMED
    return listed([*names[:MAX_NAMED], *([f"{more} more"] if more > 0 else [])])


def _told(of: str, field: str, message: str) -> Diagnostic:
    return Diagnostic(severity="warning", object=of, field=field, code="not-traced", message=message, remedy=REMEDY)
