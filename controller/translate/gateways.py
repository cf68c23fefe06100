"""GatewayClasses to `Classes`; Gateways and ListenerSets to a `Part` of the topology.

Order of precedence everywhere: the older object, then namespace and name. A Gateway of another controller's class, or
of one that never existed, is not ours: no status, no listener. One whose class is gone but that has a data plane of
ours is refused and goes on being served (`Provisioning.has_plane`): a deleted class must not take traffic away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sluicegate import ir

from ..api import Diagnostic, Diagnostics, Gateway, GatewayClass, ListenerSet, Namespace, Object, ObjectKey
from ..api.gateway import AllowedListenersNamespaces
from ..api.parameters import SHARED
from ..store.snapshot import Snapshot
from .assemble import Build, Group, freeze
from .bound_addresses import decide_addresses, give_from_pool
from .conditions import Reason
from .conflicts import Claims, claim_ports, conflicts_between, conflicts_on_sockets, conflicts_within, mark_overlaps
from .grants import Grants
from .infrastructure.names import plane_name
from .infrastructure.requests import Provisioning
from .listeners import ListenerScope, draft_listener
from .options import IMPLICIT_CLASS, Options
from .secrets import Material
from .selectors import selector_fault
from .status import Verdict
from .topology import Classes, GatewayFacts, Part

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
#: Reason of `Accepted`; the specification has none for this.
CLASS_MISSING = Reason.GATEWAY_CLASS_NOT_FOUND


def namespace_labels(snapshot: Snapshot, name: str, *, implicit: bool) -> dict[str, str] | None:
    """Labels of a namespace; None where it does not exist. Its name is always a label (well-known labels)."""
    found = snapshot.table("Namespace").get(("", name))
    if isinstance(found, Namespace):
        return {NAMESPACE_LABEL: name, **found.metadata.labels}
    return {NAMESPACE_LABEL: name} if implicit else None


def by_age(item: Object) -> tuple[int, str, str]:
    """Sort key of precedence: the older object, then namespace and name."""
    return (item.metadata.created, item.namespace, item.name)


def judge_classes(snapshot: Snapshot, controller_name: str, options: Options, grants: Grants) -> Classes:
    """Judge all GatewayClasses.

    Args:
        snapshot: what is there.
        controller_name: whose classes are ours.
        options: settings and checks.
        grants: by namespace.
    """
    material = Material(snapshot, grants, options)
    provisioning = Provisioning(controller_name, material)
    found: list[tuple[GatewayClass, Verdict]] = []
    served: dict[str, str] = {}
    told: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
    table = snapshot.table("GatewayClass")
    for item in table.values():
        if not isinstance(item, GatewayClass):
            continue
        if item.spec.controller_name != controller_name:
            served[item.name] = f"belongs to controller {item.spec.controller_name}"
            continue
        diagnostics = Diagnostics(item.key)
        refused = provisioning.check_class(item, diagnostics)
        served[item.name] = ""
        if refused is not None:
            told[item.key] = diagnostics.done()
            # Data planes that are there go on; `check_gateway` refuses their Gateways.
            served[item.name] = "" if options.provision is not None else f"is not accepted: {refused.message}"
        found.append((item, refused or Verdict(True, Reason.ACCEPTED, "The class is accepted")))
    if options.implicit_class and not found and IMPLICIT_CLASS not in served:
        served[IMPLICIT_CLASS] = ""
    return Classes(tuple(found), served, provisioning.classes, told, frozenset(material.reads))


@dataclass(frozen=True, slots=True)
class Family:
    """A Gateway, if it exists, with the ListenerSets that name it."""

    gateway: Gateway | None
    sets: Iterable[ListenerSet]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a part is translated from besides its families.

    Attributes:
        snapshot: what is there.
        controller_name: whose classes are ours.
        options: settings and checks.
        grants: by namespace.
        classes: what our classes come to.
        good: certificates that serve now.
        missed: since when Secrets are gone whose certificates serve on, by id.
        before: Gateways that are served now: where their class is gone they go on (`Options.keep_served`), and their
            addresses of a pool stay.
    """

    snapshot: Snapshot
    controller_name: str
    options: Options
    grants: Grants
    classes: Classes
    good: Mapping[str, ir.Certificate]
    missed: Mapping[str, float]
    before: Mapping[ObjectKey, GatewayFacts]


def unit_of(gateway: Gateway, classes: Classes, options: Options) -> str:
    """Name what a Gateway is translated with: those of one name share whatever Gateways may dispute with each other.

    That is the sockets of one process (`Options.merge_gateways`), a pool of addresses, the ports of a shared data
    plane, and the name of a data plane.
    """
    name = gateway.spec.gateway_class_name
    if options.provision is None:
        return "" if options.merge_gateways or options.pool else f"{gateway.namespace}/{gateway.name}"
    known = classes.parameters.get(name)
    # Without a class that can be used, what there is says whether the data plane is a shared one.
    if name not in classes.served or (known is not None and (known.error or known.spec.mode == SHARED)):
        return f"class {name}"
    return f"{gateway.namespace}/{plane_name(gateway.name, name)}"


def build_part(families: Iterable[Family], around: Surroundings) -> Part:
    """Translate Gateways that belong together, with their ListenerSets."""
    options = around.options
    material = Material(around.snapshot, around.grants, options, around.good, missed=around.missed)
    told: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
    provisioning = Provisioning(around.controller_name, material, dict(around.classes.parameters))
    families = list(families)
    gateways = [family.gateway for family in families if family.gateway is not None]
    builds = _our_gateways(gateways, around, told, provisioning)
    _attach_listener_sets((item for family in families for item in family.sets), builds, material, told)
    if options.pool:
        give_from_pool(builds, options.pool, around.before)
    for build in builds.values():
        _translate_gateway(build, material, provisioning)
    _share_sockets(builds, options)
    planes = provisioning.requests(builds, options.provision) if options.provision is not None and builds else {}
    return freeze(builds, material, told, planes)


def _our_gateways(
    gateways: Iterable[Gateway],
    around: Surroundings,
    told: dict[ObjectKey, tuple[Diagnostic, ...]],
    provisioning: Provisioning,
) -> dict[ObjectKey, Build]:
    builds: dict[ObjectKey, Build] = {}
    served = around.classes.served
    for gateway in sorted(gateways, key=by_age):
        name = gateway.spec.gateway_class_name
        reason = served.get(name, "does not exist")
        diagnostics = Diagnostics(gateway.key)
        goes_on = _without_class(gateway, provisioning, around.before) if name not in served else ""
        if goes_on:
            remedy = "create the class again or delete the Gateway"
            message = f"GatewayClass {name} {reason}; {goes_on}"
            diagnostics.error("spec.gatewayClassName", "class-missing", message, remedy)
            refused = Verdict(False, CLASS_MISSING, f"{message}; {remedy}")
            builds[gateway.key] = Build(gateway, Group(gateway, diagnostics), refused=refused, kept=True, goes_on=True)
        elif reason:
            remedy = "use a class of this controller, or start it with the --controller-name of that class"
            if name not in served:
                known = ", ".join(sorted(key for key, value in served.items() if not value)) or "none"
                remedy = f"add the GatewayClass or use one that is there (usable: {known})"
            diagnostics.warning("spec.gatewayClassName", "foreign-class", f"GatewayClass {name} {reason}", remedy)
            told[gateway.key] = diagnostics.done()
        else:
            builds[gateway.key] = Build(gateway, Group(gateway, diagnostics))
    return builds


def _without_class(gateway: Gateway, provisioning: Provisioning, before: Mapping[ObjectKey, GatewayFacts]) -> str:
    """How a Gateway whose class does not exist goes on; empty: it does not, since it was never ours."""
    if provisioning.has_plane(gateway):
        return "its data plane goes on serving"
    known = before.get(gateway.key)
    was_served = (
        known is not None
        and known.object.spec.gateway_class_name == gateway.spec.gateway_class_name
        and (known.attached_sets > 0 or any(item.served for item in known.listeners))
    )
    return "it goes on being served until a restart" if was_served else ""


def _attach_listener_sets(
    sets: Iterable[ListenerSet],
    builds: dict[ObjectKey, Build],
    material: Material,
    told: dict[ObjectKey, tuple[Diagnostic, ...]],
) -> None:
    for item in sorted(sets, key=by_age):
        parent = item.spec.parent_ref
        key = ObjectKey("Gateway", parent.namespace or item.namespace, parent.name)
        build = builds.get(key) if parent.kind == "Gateway" else None
        group = Group(item, Diagnostics(item.key))
        if build is None:
            message = f"{parent.kind} {key.namespace}/{key.name} is not one that this controller serves"
            remedy = "create it or correct the name; its class must be one of this controller"
            group.diagnostics.warning("spec.parentRef", "foreign-parent", message, remedy)
            told[item.key] = group.diagnostics.done()
            continue
        allowed = build.gateway.spec.allowed_listeners.namespaces
        if not _namespace_allowed(item.namespace, key.namespace, allowed, material):
            message = f"Gateway {key.namespace}/{key.name} does not allow ListenerSets of namespace {item.namespace}"
            group.verdict = Verdict(False, Reason.NOT_ALLOWED, message)
            group.diagnostics.error(
                "spec.parentRef", "listener-set-not-allowed", message, "set spec.allowedListeners there"
            )
        build.sets.append(group)


def _namespace_allowed(namespace: str, own: str, allowed: AllowedListenersNamespaces, material: Material) -> bool:
    if allowed.from_ == "Same":
        return namespace == own
    if allowed.from_ == "Selector" and allowed.selector is not None and selector_fault(allowed.selector) is None:
        material.reads.add(("Namespace", "", namespace))
        labels = namespace_labels(material.snapshot, namespace, implicit=material.options.implicit_namespaces)
        return labels is not None and allowed.selector.matches(labels)
    return allowed.from_ == "All"


def _translate_gateway(build: Build, material: Material, provisioning: Provisioning) -> None:
    gateway, diagnostics = build.gateway, build.own.diagnostics
    build.refused = build.refused or provisioning.check_gateway(gateway, diagnostics)
    _check_gateway(build, diagnostics)
    decide_addresses(build, material.options, diagnostics)
    backend = gateway.spec.tls.backend
    if backend is not None and backend.client_certificate_ref is not None:
        build.backend_certificate, build.resolved, _ = material.certificate(
            gateway.key,
            backend.client_certificate_ref,
            "spec.tls.backend.clientCertificateRef",
            Reason.INVALID_CLIENT_CERTIFICATE_REF,
            diagnostics,
        )
    claims: Claims = {}
    for group in (build.own, *build.sets):
        if group.verdict is not None:
            continue
        scope = ListenerScope(group.object.key, gateway, material, group.diagnostics)
        group.drafts = [draft_listener(scope, index, spec) for index, spec in enumerate(group.object.spec.listeners)]
        conflicts_between(group.drafts, claims, group.diagnostics)
        conflicts_within(group.drafts, group.diagnostics)
        claim_ports(group.drafts, claims)
    mark_overlaps(build.drafts())


def _check_gateway(build: Build, diagnostics: Diagnostics) -> None:
    spec = build.gateway.spec
    if spec.default_scope not in {"", "None"}:
        message = "default Gateways are not supported: routes attach by parentRefs only"
        diagnostics.warning("spec.defaultScope", "unsupported-field", message, "remove defaultScope")
    namespaces = spec.allowed_listeners.namespaces
    fault = selector_fault(namespaces.selector) if namespaces.from_ == "Selector" else None
    if fault is not None:
        field = f"spec.allowedListeners.namespaces.selector{fault[0]}"
        diagnostics.error(field, "unsupported-value", f"{fault[1]}: no ListenerSet is allowed", "correct it")


def _share_sockets(builds: dict[ObjectKey, Build], options: Options) -> None:
    """Merge Gateways that bind the same sockets; the builds are in the order of precedence."""
    if not options.merge_gateways or options.provision is not None:
        return
    claims: Claims = {}
    for build in builds.values():
        if build.refused is None or build.kept:
            diagnostics = {group.object.key: group.diagnostics for group in (build.own, *build.sets)}
            conflicts_on_sockets(build.drafts(), build.addresses, claims, diagnostics)
