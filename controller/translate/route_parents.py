"""The parents of a route: which of their listeners take it, and why others do not."""

from __future__ import annotations

from dataclasses import dataclass

from ..api import GATEWAY_GROUP, Code, Diagnostics, ParentReference, Route
from ..api.kinds import PARENT_KINDS
from .conditions import Reason
from .route_reads import RouteReads
from .status import Verdict
from .topology import AttachPoint, ParentView
from .values import hostnames_intersect


@dataclass(slots=True)
class Parent:
    """A parentRef with the listeners that took the route, or why none did."""

    reference: ParentReference
    view: ParentView
    points: list[AttachPoint]
    verdict: Verdict


def parents_of(route: Route, hostnames: tuple[str, ...], reads: RouteReads, diagnostics: Diagnostics) -> list[Parent]:
    """Attach a route to its parents that are ours; tells of all others."""
    result: list[Parent] = []
    for index, reference in enumerate(route.spec.parent_refs):
        path = f"spec.parentRefs[{index}]"
        namespace = reference.namespace or route.namespace
        if reference.group != GATEWAY_GROUP or reference.kind not in PARENT_KINDS:
            message = f"parents of kind {reference.group or 'core'}/{reference.kind} are not served"
            diagnostics.info(f"{path}.kind", "foreign-parent", message, "attach the route to a Gateway")
            continue
        view = reads.parent(reference.kind, namespace, reference.name)
        if view is None:
            message = f"{reference.kind} {namespace}/{reference.name} is not one that this controller serves"
            remedy = "create it or correct the name; the class of its Gateway must be one of this controller"
            diagnostics.warning(f"{path}.name", "foreign-parent", message, remedy)
            continue
        points, verdict = _attach(route, reference, view, hostnames, reads)
        if not verdict.ok:
            diagnostics.error(path, _ATTACH_CODES[verdict.reason], verdict.message, _ATTACH_REMEDIES[verdict.reason])
        result.append(Parent(reference, view, points, verdict))
    if route.spec.use_default_gateways not in {"", "None"}:
        message = "default Gateways are not supported: routes attach by parentRefs only"
        diagnostics.warning(
            "spec.useDefaultGateways", "unsupported-field", message, "name a Gateway in spec.parentRefs"
        )
    if not route.spec.parent_refs:
        message = "the route has no parentRefs, so no Gateway serves it"
        diagnostics.warning("spec.parentRefs", "no-parent", message, "name a Gateway in spec.parentRefs")
    return result


#: Listeners of a parent that are named where the one that is asked for is not there.
SHOWN_LISTENERS = 8

_ATTACH_CODES: dict[str, Code] = {
    Reason.NO_MATCHING_PARENT: "no-matching-parent",
    Reason.NOT_ALLOWED_BY_LISTENERS: "not-allowed-by-listeners",
    Reason.NO_MATCHING_LISTENER_HOSTNAME: "no-matching-listener-hostname",
}
_ATTACH_REMEDIES = {
    Reason.NO_MATCHING_PARENT: (
        "correct sectionName and port, or leave them out to attach to every listener, those without TLS too"
    ),
    Reason.NOT_ALLOWED_BY_LISTENERS: "set allowedRoutes of a listener so that it takes this namespace and kind",
    Reason.NO_MATCHING_LISTENER_HOSTNAME: "give the route a hostname that a listener covers, or widen the listener's",
}


def _attach(
    route: Route, reference: ParentReference, view: ParentView, hostnames: tuple[str, ...], reads: RouteReads
) -> tuple[list[AttachPoint], Verdict]:
    """Find the listeners of a parent that take the route (`CommonRouteSpec.parentRefs`, `allowedRoutes`, hostnames)."""
    label = f"{view.key.kind} {view.key.namespace}/{view.key.name}"
    meant = [
        point
        for point in view.points
        if (not reference.section_name or point.name == reference.section_name)
        and (not reference.port or point.port == reference.port)
    ]
    if not meant:
        wanted = [f"named {reference.section_name}"] if reference.section_name else []
        wanted += [f"with port {reference.port}"] if reference.port else []
        has = f"{label} has no listener {' and '.join(wanted)}".rstrip()
        return [], Verdict(False, Reason.NO_MATCHING_PARENT, f"{has}{_listeners(view)}")
    kind = route.key.kind
    allowed = [point for point in meant if kind in point.kinds and _namespace_allowed(route.namespace, point, reads)]
    if not allowed:
        message = f"no listener of {label} allows {kind}s of namespace {route.namespace}"
        return [], Verdict(False, Reason.NOT_ALLOWED_BY_LISTENERS, message)
    matching = [
        point
        for point in allowed
        if not route.spec.hostnames or any(hostnames_intersect(point.hostname, hostname) for hostname in hostnames)
    ]
    if not matching:
        message = f"no listener of {label} has a hostname that fits {', '.join(route.spec.hostnames)}"
        return [], Verdict(False, Reason.NO_MATCHING_LISTENER_HOSTNAME, message)
    return matching, Verdict(True, Reason.ACCEPTED, "The route is accepted")


def _listeners(view: ParentView) -> str:
    """What there is in place of a listener that is not there, some of it."""
    names = list(dict.fromkeys(f"{point.name} (port {point.port})" for point in view.points))
    more = f" and {len(names) - SHOWN_LISTENERS} more" if len(names) > SHOWN_LISTENERS else ""
    return f"; it has {', '.join(names[:SHOWN_LISTENERS])}{more}" if names else ""


def _namespace_allowed(namespace: str, point: AttachPoint, reads: RouteReads) -> bool:
    if point.allowed_from == "Same":
        return namespace == point.namespace
    if point.allowed_from == "Selector" and point.selector is not None:
        labels = reads.namespace_labels(namespace)
        return labels is not None and point.selector.matches(labels)
    return point.allowed_from == "All"
