"""Where the policies of a decision come from: what of the request's way each of them is attached to."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate import ir
from sluicegate.controller.api import ObjectKey, PolicySpec, Route
from sluicegate.controller.store.snapshot import Snapshot
from sluicegate.controller.translate.policies.effective import Target
from sluicegate.testing.decision import Decision


def origins(snapshot: Snapshot, listener: ir.Listener | None, decision: Decision) -> tuple[str, ...]:
    """Of each policy what it is attached to, such as `Gateway default/edge, Overrides`; empty where it is no policy.

    Args:
        snapshot: of the manifests.
        listener: that takes the request.
        decision: on it.
    """
    place = list(place_of(snapshot, listener, decision.route, decision.rule))
    return tuple(origin_of(snapshot, place, said.policy) for said in decision.policies)


def place_of(
    snapshot: Snapshot, listener: ir.Listener | None, route_name: str | None, rule: int | None
) -> Iterator[Target]:
    """The levels that a rule at a listener is in, the lowest first."""
    route = snapshot.get(ObjectKey.parse(route_name)) if route_name is not None else None
    if isinstance(route, Route):
        whole = Target(*route.key)
        name = route.spec.rules[rule].name if rule is not None and route.spec.rules else ""
        yield from (whole._replace(section=name), whole) if name else (whole,)
    if listener is not None:
        kind, namespace, name, section = listener.id.split("/")
        owner, gateway = Target(kind, namespace, name), Target("Gateway", *listener.gateway.split("/"))
        yield from dict.fromkeys((owner._replace(section=section), owner, gateway))


def origin_of(snapshot: Snapshot, place: list[Target], policy: str) -> str:
    """The level that a policy is attached to; empty where it is at none of them."""
    found = snapshot.get(ObjectKey.parse(policy))
    spec = getattr(found, "spec", None)
    if found is None or not isinstance(spec, PolicySpec):
        return ""
    named = {Target(item.kind, found.namespace, item.name, item.section_name or "") for item in spec.target_refs}
    target = next((level for level in place if level in named), None)
    if target is None:
        return ""
    return f"{target}{', Overrides' if spec.overrides else ''}"
