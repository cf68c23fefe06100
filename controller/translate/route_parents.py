"""The parents of a route: which of their listeners take it, and why others do not."""

from __future__ import annotations

from collections.abc import Iterable
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
    Reason.NOT_ALLOWED_BY_LISTENERS: (
        "set allowedRoutes of such a listener so that it takes this namespace and kind, or attach to one that does"
    ),
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
    wanted = [f" named {reference.section_name}"] if reference.section_name else []
    wanted += [f" with port {reference.port}"] if reference.port else []
    asked = " and".join(wanted)
    if not meant:
        return [], Verdict(False, Reason.NO_MATCHING_PARENT, f"{label} has no listener{asked}{_listeners(view)}")
    allowed = [point for point in meant if _allows(point, route, reads)]
    if not allowed:
        message = f"no listener{asked} of {label} allows {route.key.kind}s of namespace {route.namespace}"
        others = [point.name for point in view.points if point not in meant and _allows(point, route, reads)]
        takes = _some([_takes(point, route) for point in meant], "; ")
        does = f"; {_some(others, ', ')} would" if others else ""
        return [], Verdict(False, Reason.NOT_ALLOWED_BY_LISTENERS, f"{message}: {takes}{does}")
    matching = [
        point
        for point in allowed
        if not route.spec.hostnames or any(hostnames_intersect(point.hostname, hostname) for hostname in hostnames)
    ]
    if not matching:
        message = f"no listener{asked} of {label} has a hostname that fits {', '.join(route.spec.hostnames)}"
        return [], Verdict(False, Reason.NO_MATCHING_LISTENER_HOSTNAME, message)
    return matching, Verdict(True, Reason.ACCEPTED, "The route is accepted")


def _listeners(view: ParentView) -> str:
    """What there is in place of a listener that is not there, some of it."""
    names = [f"{point.name} (port {point.port})" for point in view.points]
    return f"; it has {_some(names, ', ')}" if names else ""


def _some(texts: Iterable[str], between: str) -> str:
    """Some of them, each once, and how many more there are."""
    each = list(dict.fromkeys(texts))
    more = f" and {len(each) - SHOWN_LISTENERS} more" if len(each) > SHOWN_LISTENERS else ""
    return f"{between.join(each[:SHOWN_LISTENERS])}{more}"


def _takes(point: AttachPoint, route: Route) -> str:
    """What a listener takes in place of a route; the value of its field."""
    if route.key.kind not in point.kinds:
        kinds = ", ".join(f"{kind}s" for kind in sorted(point.kinds)) or "no routes"
        return f"{point.name} takes {kinds}"
    said = {
        "Same": f"routes of its own namespace, {point.namespace}",
        "Selector": "routes of namespaces whose labels its selector asks for",
    }.get(point.allowed_from, "routes of no namespace")
    return f"{point.name} takes {said} (allowedRoutes.namespaces.from: {point.allowed_from})"


def _allows(point: AttachPoint, route: Route, reads: RouteReads) -> bool:
    """Whether `allowedRoutes` of a listener take a route."""
    if route.key.kind not in point.kinds:
        return False
    if point.allowed_from == "Same":
        return route.namespace == point.namespace
    if point.allowed_from == "Selector" and point.selector is not None:
        labels = reads.namespace_labels(route.namespace)
        return labels is not None and point.selector.matches(labels)
    return point.allowed_from == "All"
