"""A Gateway with its listeners while it is translated, and how the immutable `Part` comes out of it.

The verdict on an object follows from its listeners: refused with none that works, `ListenersNotValid` with some. Those
that only wait for their Secrets refuse nothing: cert-manager makes a Secret once there is a Gateway that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sluicegate import ir

from ..api import Diagnostic, Diagnostics, Gateway, ListenerSet, ObjectKey
from .conditions import Reason
from .infrastructure.plane import ClusterAddresses, PlaneRequest
from .listeners import Draft, frontend_validation
from .secrets import Material
from .status import Verdict
from .topology import AttachPoint, GatewayFacts, ListenerFacts, ListenerSetFacts, ParentView, Part, Read

#: Listeners of which a condition says what is wrong; of further ones it has the names.
MAX_REASONS = 3


@dataclass(slots=True)
class Group:
    """A Gateway or ListenerSet with its listeners while they are translated."""

    object: Gateway | ListenerSet
    diagnostics: Diagnostics
    drafts: list[Draft] = field(default_factory=list)
    verdict: Verdict | None = None


@dataclass(slots=True)
class Build:
    """A Gateway with all that belongs to it while it is translated."""

    gateway: Gateway
    own: Group
    sets: list[Group] = field(default_factory=list)
    refused: Verdict | None = None
    resolved: Verdict | None = None
    addresses: tuple[str, ...] = ()
    #: What the pool gave it, and the Gateways that have addresses of the pool.
    given: str | None = None
    held_by: Mapping[str, ObjectKey] = field(default_factory=dict)
    #: Why it has no address to bind; empty: it has, or binds all.
    unassigned: str = ""
    unusable: tuple[str, ...] = ()
    requested: tuple[str, ...] = ()
    cluster: ClusterAddresses | None = None
    service: tuple[str, str] | None = None
    service_owner: str = ""
    #: Although it is refused its data plane stays as it is, if it has one.
    kept: bool = False
    #: It is refused, and was served before: it is served on.
    goes_on: bool = False
    backend_certificate: str | None = None

    def drafts(self) -> list[Draft]:
        """All listeners, in the order of precedence."""
        return [draft for group in (self.own, *self.sets) for draft in group.drafts]


def freeze(
    builds: Mapping[ObjectKey, Build],
    material: Material,
    told: dict[ObjectKey, tuple[Diagnostic, ...]],
    planes: Mapping[str, PlaneRequest],
) -> Part:
    """Make the immutable result: verdicts by listeners, IR, views and facts."""
    gateways: dict[ObjectKey, GatewayFacts] = {}
    sets: dict[ObjectKey, ListenerSetFacts] = {}
    parents: dict[Read, ParentView] = {}
    listeners: dict[str, ir.Listener] = {}
    policies: dict[str, tuple[ir.StanzaBase, ...]] = {}
    for key, build in builds.items():
        own = _accepted(build.own, build.refused, "Gateway")
        _check_sets(build, own)
        offset = material.options.port_offset
        moved = _moved_ports(build, offset)
        for group in (build.own, *build.sets):
            on = _is_on(build, group)
            served = (draft for draft in group.drafts if on and draft.usable)
            for draft in served:
                listeners[draft.id] = _ir_listener(draft, build, offset)
                if draft.policies:
                    policies[draft.id] = draft.policies
            points = tuple(_point(draft, served=on and draft.usable) for draft in group.drafts)
            parents[group.object.key] = ParentView(group.object.key, key, points, moved)
            facts = tuple(_facts(draft, served=on and draft.usable) for draft in group.drafts)
            if isinstance(group.object, Gateway):
                gateways[key] = _gateway_facts(build, own, facts)
            else:
                sets[group.object.key] = ListenerSetFacts(group.object, key, group.verdict or own, facts)
            found = group.diagnostics.done()
            if found:
                told[group.object.key] = found
    used = _used_secrets(listeners.values())
    return Part(
        gateways=gateways,
        listener_sets=sets,
        families={key: tuple(group.object.key for group in build.sets) for key, build in builds.items()},
        parents=parents,
        listeners=listeners,
        certificates={item: material.certificates[item] for item in used if item in material.certificates},
        trust={item: material.trust[item] for item in used if item in material.trust},
        diagnostics=told,
        missing=material.missing,
        listener_policies=policies,
        planes=planes,
        reads=frozenset(material.reads),
        due=material.due,
    )


def _is_on(build: Build, group: Group) -> bool:
    """Whether the listeners of a Gateway or ListenerSet are served."""
    if build.unassigned:
        return False
    verdicts = (build.own.verdict, group.verdict)
    if all(verdict is not None and verdict.ok for verdict in verdicts):
        return True
    return build.kept and (
        group is build.own or (group.verdict is not None and group.verdict.reason != Reason.NOT_ALLOWED)
    )


def _accepted(group: Group, refused: Verdict | None, kind: str) -> Verdict:
    """Judge an object by its listeners (`ListenersNotValid`) unless it was refused for itself."""
    group.verdict = refused or _by_listeners(group.drafts, kind)
    return group.verdict


def _by_listeners(drafts: list[Draft], kind: str) -> Verdict:
    bad = [(draft.spec.name, _trouble(draft)) for draft in drafts if not draft.usable and not _waits(draft)]
    waiting = [(draft.spec.name, _trouble(draft)) for draft in drafts if not draft.usable and _waits(draft)]
    if bad or waiting:
        some = len(bad) < len(drafts)
        parts = [f"not valid: {_named(bad)}"] if bad else []
        parts += [f"waiting for their certificates: {_named(waiting)}"] if waiting else []
        valid = "Some" if len(bad) + len(waiting) < len(drafts) else "No"
        return Verdict(some, Reason.LISTENERS_NOT_VALID, f"{valid} listeners are valid; {'; '.join(parts)}")
    return Verdict(True, Reason.ACCEPTED, f"The {kind} is accepted")


def _waits(draft: Draft) -> bool:
    """Whether a listener lacks nothing but its certificates: that refuses nobody."""
    return draft.waiting and draft.accepted.ok and not draft.conflicted.ok and draft.filters is not None


def _trouble(draft: Draft) -> str:
    """Why a listener is not valid."""
    return next((item.message for item in (draft.accepted, draft.resolved) if not item.ok), "")


def _named(listeners: list[tuple[str, str]]) -> str:
    """Listeners by name, the first few with what is wrong."""
    told = [f"{name} ({message})" if message else name for name, message in listeners[:MAX_REASONS]]
    return ", ".join([*told, *(name for name, _ in listeners[MAX_REASONS:])])


def _check_sets(build: Build, own: Verdict) -> None:
    for group in build.sets:
        if group.verdict is None:
            # What serves on is told as such: programs read of it whether names lead here.
            refused = (
                None
                if own.ok or build.goes_on
                else Verdict(False, Reason.PARENT_NOT_ACCEPTED, "The Gateway is not accepted")
            )
            _accepted(group, refused, "ListenerSet")


def _gateway_facts(build: Build, own: Verdict, facts: tuple[ListenerFacts, ...]) -> GatewayFacts:
    gateway = build.gateway
    resolved = build.resolved or Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")
    unresolved = [(item.name, item.resolved.message) for item in facts if not item.resolved.ok]
    if resolved.ok and unresolved:
        message = f"Unresolved references in listeners: {_named(unresolved)}"
        resolved = Verdict(False, Reason.LISTENERS_NOT_RESOLVED, message)
    validations = [frontend_validation(gateway, 0)[0]]
    if gateway.spec.tls.frontend is not None:
        validations += [item.tls.validation for item in gateway.spec.tls.frontend.per_port]
    return GatewayFacts(
        object=gateway,
        accepted=own,
        goes_on=build.goes_on,
        resolved=resolved,
        insecure=any(item is not None and item.mode == "AllowInsecureFallback" for item in validations),
        addresses=build.addresses,
        given=build.given if build.given in build.addresses else None,
        unassigned=build.unassigned,
        unusable=build.unusable,
        requested=build.requested,
        cluster=build.cluster,
        service=build.service,
        service_owner=build.service_owner,
        listeners=facts,
        attached_sets=sum(group.verdict is not None and group.verdict.ok for group in build.sets),
    )


def _moved_ports(build: Build, offset: int) -> tuple[tuple[int, int], ...]:
    ports = {draft.spec.port for draft in build.drafts() if draft.spec.protocol in {"HTTP", "HTTPS"}} if offset else ()
    return tuple((port, port + offset) for port in sorted(ports))


def _ir_listener(draft: Draft, build: Build, offset: int) -> ir.Listener:
    return ir.Listener(
        id=draft.id,
        gateway=f"{build.gateway.namespace}/{build.gateway.name}",
        addresses=build.addresses,
        port=draft.spec.port + offset,
        bind_port=draft.bind_port,
        protocol=ir.ListenerProtocol(draft.spec.protocol),
        hostname=draft.hostname,
        tls=draft.tls,
        backend_certificate=build.backend_certificate,
        filters=draft.filters or (),
    )


def _used_secrets(listeners: Iterable[ir.Listener]) -> list[str]:
    used: dict[str, None] = {}
    for listener in listeners:
        if listener.tls is not None:
            used.update(dict.fromkeys(listener.tls.certificates))
            if listener.tls.client_validation is not None:
                used.update(dict.fromkeys(listener.tls.client_validation.trust))
        if listener.backend_certificate is not None:
            used[listener.backend_certificate] = None
    return list(used)


def _point(draft: Draft, *, served: bool) -> AttachPoint:
    return AttachPoint(
        id=draft.id,
        name=draft.spec.name,
        port=draft.spec.port,
        hostname=draft.hostname,
        kinds=tuple(item.kind for item in draft.kinds),
        passthrough=draft.passthrough,
        anonymous=draft.anonymous,
        ends_tls=draft.spec.protocol in {"HTTPS", "TLS"} and not draft.passthrough,
        namespace=draft.owner.namespace,
        allowed_from=draft.allowed.from_,
        selector=draft.allowed.selector,
        served=served,
    )


def _facts(draft: Draft, *, served: bool) -> ListenerFacts:
    return ListenerFacts(
        id=draft.id,
        name=draft.spec.name,
        kinds=draft.kinds,
        accepted=draft.accepted,
        resolved=draft.resolved,
        conflicted=draft.conflicted,
        overlapping=draft.overlapping,
        served=served,
        path=draft.path,
    )
