"""What `explain` says of Ingresses that are served: by what people wrote, not by the objects that serve them.

Listeners keep their names: a route of its own attaches to them (docs/migration/serving.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sluicegate.controller.api import ObjectKey
from sluicegate.testing.decision import Decision

if TYPE_CHECKING:
    from sluicegate.processes.ingress import Ingresses

    from .losers import Loser


def decided_by_ingress(ingresses: Ingresses, decision: Decision) -> Decision:
    """A decision with Ingresses named where objects stand that were made of them; the rules of these nobody counts."""
    said = tuple(replace(item, policy=_object(ingresses, item.policy)) for item in decision.policies)
    found = replace(decision, policies=said)
    named = _object(ingresses, decision.route or "")
    return found if named == (decision.route or "") else replace(found, route=named, rule=None, match=None)


def lost_by_ingress(ingresses: Ingresses, item: Loser) -> Loser:
    """One that does not take a request, in the same way."""
    place = place_of(ingresses, item.route, item.rule)
    reasons = tuple(map(ingresses.named, item.reasons))
    if place is None:
        return replace(item, reasons=reasons)
    named = _object(ingresses, item.route)
    return replace(item, route=named, rule=None, match=None, ingress=place, reasons=reasons)


def _object(ingresses: Ingresses, name: str) -> str:
    """The Ingress that an object was made of; the object where it was made of none."""
    cause = ingresses.owner(ObjectKey.parse(name)) if name else None
    return cause.object if cause is not None else name


def place_of(ingresses: Ingresses, route: str | None, rule: int | None) -> str | None:
    """Where a rule comes from, if that is an Ingress: file and line, Ingress and field."""
    if route is None:
        return None
    cause = ingresses.owner(ObjectKey.parse(route), f"spec.rules[{rule}]" if rule is not None else "")
    return f"{cause.place} {cause.object} {cause.subject}" if cause is not None else None
