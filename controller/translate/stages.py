"""The stages that bring the memo up to date: one route, one backend, one EndpointSlice at a time.

Each function takes out what a thing came to before and puts in what it comes to now, and says what else is touched.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sluicegate import ir

from ..api import Diagnostic, EndpointSlice, ObjectKey, Service, XBackend
from ..store.snapshot import Snapshot
from .backends import BackendFacts, Transport, backend_name, build_backend, build_external, service_port
from .endpoints import BackendSource
from .infrastructure.plan import plan
from .infrastructure.plane import PlaneRequest, ProvisionOptions
from .ledger import Ledger
from .memo import Memo, Pair
from .parts import Replaced, joined
from .policies.effective import external_place, service_place
from .route_kinds import ROUTES
from .routes import RouteFacts
from .shadowed import MAX_TOLD, Place, places_of, rank, shadowed
from .topology import Read

_Rule = TypeVar("_Rule", ir.HttpRule, ir.L4Rule)


@dataclass(slots=True)
class Touched:
    """What changed with the routes: listeners by their count of them, backends by use, places by their rules."""

    routes: set[ObjectKey] = field(default_factory=set)
    listeners: set[str] = field(default_factory=set)
    backends: set[str] = field(default_factory=set)
    places: set[Place] = field(default_factory=set)

    def reads(self, services: set[Pair]) -> set[Read]:
        """The routes, and Services that may have changed, as policies note that they looked at them."""
        return {*self.routes, *(("Service", *pair) for pair in services)}


def replace_route(memo: Memo, key: ObjectKey, new: RouteFacts | None, touched: Touched) -> None:
    """Take out what a route came to and put in what it comes to now."""
    old = memo.routes.pop(key, None)
    _replace_rules(memo.http_rules, old.rules if old is not None else (), new.rules if new is not None else ())
    _replace_rules(memo.l4_rules, old.l4_rules if old is not None else (), new.l4_rules if new is not None else ())
    _replace_attachments(memo, old.attachments if old is not None else (), new.attachments if new is not None else ())
    _replace_places(memo, key, old, new, touched)
    _replace_uses(memo, key, old, new, touched)
    memo.policies.replace_made(
        old.policies if old is not None else (),
        new.policies if new is not None else (),
        new.secrets if new is not None else {},
    )
    memo.policies.count(_policies_of(old), _policies_of(new))
    memo.readers.replace(key, new.reads if new is not None else frozenset())
    if new is not None:
        memo.routes[key] = new
    if new is not None and new.status is not None:
        memo.statuses.put(key, new.status)
    else:
        memo.statuses.drop(key)
    if new is not None and new.diagnostics:
        memo.diagnostics.put(key, new.diagnostics)
    else:
        memo.diagnostics.drop(key)


def _policies_of(facts: RouteFacts | None) -> list[str]:
    if facts is None:
        return []
    rules: tuple[ir.HttpRule | ir.L4Rule, ...] = (*facts.rules, *facts.l4_rules)
    return [name for rule in rules for name in rule.policies]


def _replace_rules(ledger: Ledger[str, _Rule], old: tuple[_Rule, ...], new: tuple[_Rule, ...]) -> None:
    ids = {rule.id for rule in new}
    for rule in old:
        if rule.id not in ids:
            ledger.drop(rule.id)
    for rule in new:
        ledger.put(rule.id, rule)


def _replace_attachments(memo: Memo, old: tuple[ir.Attachment, ...], new: tuple[ir.Attachment, ...]) -> None:
    """Several routes may have the same one."""
    for item in new:
        memo.attachment_users[item.id] += 1
        memo.attachments.put(item.id, item)
    for item in old:
        memo.attachment_users[item.id] -= 1
        if not memo.attachment_users[item.id]:
            del memo.attachment_users[item.id]
            memo.attachments.drop(item.id)


def _replace_places(
    memo: Memo, key: ObjectKey, old: RouteFacts | None, new: RouteFacts | None, touched: Touched
) -> None:
    """Note which routes are for which connections of a listener."""
    before = rank(key, old.l4_rules) if old is not None else None
    if old is not None and before is not None:
        for place in places_of(old.l4_rules, old.listeners):
            ranks = memo.places[place]
            del ranks[bisect.bisect_left(ranks, before)]
            if not ranks:
                del memo.places[place]
            touched.places.add(place)
        memo.diagnostics.drop(before.told_under)
    after = rank(key, new.l4_rules) if new is not None else None
    if new is not None and after is not None:
        for place in places_of(new.l4_rules, new.listeners):
            bisect.insort(memo.places.setdefault(place, []), after)
            touched.places.add(place)


def tell_shadowed(memo: Memo, touched: Touched) -> None:
    """Tell of places whose routes changed which routes come after others."""
    # As many as changed may have left the first ones.
    first = MAX_TOLD + 1 + len(touched.routes)
    for found in {item for place in touched.places for item in memo.places.get(place, ())[:first]}:
        facts = memo.routes[found.key]
        told = shadowed(found, places_of(facts.l4_rules, facts.listeners), memo.places)
        if told:
            memo.diagnostics.put(found.told_under, told)
        else:
            memo.diagnostics.drop(found.told_under)


def _replace_uses(memo: Memo, key: ObjectKey, old: RouteFacts | None, new: RouteFacts | None, touched: Touched) -> None:
    """Count attached routes, and note who uses which backend."""
    before = old.attached if old is not None else frozenset()
    after = new.attached if new is not None else frozenset()
    for identifier in before ^ after:
        touched.listeners.add(identifier)
        count = (memo.attached.get(identifier) or 0) + (1 if identifier in after else -1)
        if count:
            memo.attached.put(identifier, count)
        else:
            memo.attached.drop(identifier)
    used = dict.fromkeys(new.backends, new.gateways) if new is not None else {}
    for identifier in old.backends if old is not None else ():
        if identifier not in used:
            users = memo.users[identifier]
            del users[key]
            touched.backends.add(identifier)
    for identifier, gateways in used.items():
        users = memo.users.setdefault(identifier, {})
        if users.get(key) != gateways:
            users[key] = gateways
            touched.backends.add(identifier)


def move_slice(memo: Memo, pair: Pair, item: EndpointSlice | None) -> list[Pair]:
    """Keep the index of EndpointSlices; returns the Services that it belonged or belongs to."""
    old = memo.slice_service.pop(pair, None)
    new = (item.namespace, item.service) if item is not None and item.service else None
    if old is not None and old != new:
        memo.service_slices[old].discard(pair)
        if not memo.service_slices[old]:
            del memo.service_slices[old]
    if new is not None:
        memo.slice_service[pair] = new
        memo.service_slices.setdefault(new, set()).add(pair)
    return [service for service in dict.fromkeys((old, new)) if service is not None]


def replace_backend(memo: Memo, snapshot: Snapshot, identifier: str) -> Read:
    """Bring one backend and its endpoints up to date; returns its Service, or XBackend."""
    name = backend_name(identifier)
    pair = (name.namespace, name.service)
    old = memo.backends.get(identifier)
    if name.external:
        _replace_external(memo, snapshot, identifier, pair, old)
        return ("XBackend", *pair)
    service = snapshot.table("Service").get(pair)
    port = service_port(service, name.port, name.transport) if isinstance(service, Service) else None
    users = memo.users.get(identifier)
    if not users or port is None or not isinstance(service, Service):
        memo.users.pop(identifier, None)
        _forget_backend(memo, identifier, pair, old)
        return ("Service", *pair)
    slices = snapshot.table("EndpointSlice")
    found = tuple(
        item for key in sorted(memo.service_slices.get(pair, ())) if isinstance(item := slices[key], EndpointSlice)
    )
    place = service_place(name.namespace, name.service, port.name)
    # What passes through, or goes as datagrams, the gateway says nothing to.
    spoken = name.transport is Transport.TCP and any(users.values())
    policies = memo.policies.attached.names(place, spoken=spoken)
    source = BackendSource(service, port, found, policies, _without_endpoint(users))
    new = build_backend(identifier, source, old)
    memo.policies.count(old.backend.policies if old is not None else (), policies)
    ids = {endpoint.id for endpoint in new.endpoints}
    for endpoint in old.endpoints if old is not None else ():
        if endpoint.id not in ids:
            memo.endpoints.drop(endpoint.id)
    for endpoint in new.endpoints:
        memo.endpoints.put(endpoint.id, endpoint)
    memo.ir_backends.put(identifier, new.backend)
    memo.backends[identifier] = new
    memo.service_backends.setdefault(pair, set()).add(identifier)
    # What only passes through is in TLS already.
    plain = new.wants_tls and any(users.values()) and not memo.policies.is_protected(new.backend)
    (memo.plain.add if plain else memo.plain.discard)(identifier)
    if new.diagnostics:
        memo.diagnostics.put(backend_key(identifier), new.diagnostics)
    else:
        memo.diagnostics.drop(backend_key(identifier))
    return ("Service", *pair)


def _replace_external(memo: Memo, snapshot: Snapshot, identifier: str, pair: Pair, old: BackendFacts | None) -> None:
    """Bring an XBackend up to date."""
    source, users = snapshot.table("XBackend").get(pair), memo.users.get(identifier)
    if not users or not isinstance(source, XBackend):
        memo.users.pop(identifier, None)
        _forget_backend(memo, identifier, None, old)
        return
    policies = memo.policies.attached.names(external_place(*pair), spoken=any(users.values()))
    new = build_external(identifier, source, policies, old)
    memo.policies.count(old.backend.policies if old is not None else (), policies)
    memo.ir_backends.put(identifier, new.backend)
    memo.backends[identifier] = new


def _without_endpoint(users: Mapping[ObjectKey, object]) -> str:
    """What becomes of traffic without endpoints, in the words of the first kind that uses the backend."""
    # All of one kind, mostly: nobody wants to walk through the ten thousand routes of a Service.
    used_by = (item for item in ROUTES.values() if any(key.kind == item.kind for key in users))
    return next((item.use.without_endpoint for item in used_by), "what policies ask it is not answered")


def _forget_backend(memo: Memo, identifier: str, service: Pair | None, old: BackendFacts | None) -> None:
    memo.policies.count(old.backend.policies if old is not None else (), ())
    for endpoint in old.endpoints if old is not None else ():
        memo.endpoints.drop(endpoint.id)
    memo.ir_backends.drop(identifier)
    memo.backends.pop(identifier, None)
    memo.plain.discard(identifier)
    memo.diagnostics.drop(backend_key(identifier))
    known = memo.service_backends.get(service) if service is not None else None
    if service is not None and known is not None:
        known.discard(identifier)
        if not known:
            del memo.service_backends[service]


def backend_key(identifier: str) -> ObjectKey:
    """Key of a backend among the diagnostics."""
    namespace, rest = identifier.split("/", 1)
    return ObjectKey("Backend", namespace, rest)


def plain_text_diagnostic(identifier: str) -> tuple[Diagnostic, ...]:
    """Tell that a backend which says TLS gets plain text."""
    name = backend_name(identifier)
    message = f"port {name.port}: appProtocol says TLS, but no BackendTLSPolicy holds, so requests go in plain text"
    return (
        Diagnostic(
            severity="warning",
            object=str(ObjectKey("Service", name.namespace, name.service)),
            field="spec.ports",
            code="plain-text-to-tls-port",
            message=message,
            remedy="add a BackendTLSPolicy for the Service, or correct appProtocol",
        ),
    )


def replace_parts(memo: Memo, replaced: Replaced, options: ProvisionOptions | None) -> None:
    """Take out what parts of the topology came to and put in what stands for them."""
    old, new = replaced
    memo.gateways.replace_part(joined(old, "gateways"), joined(new, "gateways"))
    memo.listener_sets.replace_part(joined(old, "listener_sets"), joined(new, "listener_sets"))
    memo.families.replace_part(joined(old, "families"), joined(new, "families"))
    memo.parents.replace_part(joined(old, "parents"), joined(new, "parents"))
    before, listeners = joined(old, "listeners"), joined(new, "listeners")
    memo.moved_listeners.update(name for name, item in listeners.items() if before.get(name) != item)
    memo.moved_listeners.update(name for name in before if name not in listeners)
    _replace_external_auths(memo, joined(old, "external_auths"), joined(new, "external_auths"))
    for name in before:
        memo.part_listeners.pop(name, None)
    memo.part_listeners.update(listeners)
    memo.diagnostics.replace_part(joined(old, "diagnostics"), joined(new, "diagnostics"))
    _replace_held(memo, replaced)
    _replace_served(memo, replaced)
    if options is not None:
        _replace_planes(memo, joined(old, "planes"), joined(new, "planes"), options)


def _replace_external_auths(memo: Memo, old: Mapping[str, ir.ExternalAuth], new: Mapping[str, ir.ExternalAuth]) -> None:
    """Policies that filters of listeners come to: which listeners have one, and what each is."""
    memo.moved_listeners.update(old.keys() ^ new.keys())
    memo.policies.replace_made(old.values(), new.values())
    for name in old:
        memo.policies.listener_made.pop(old[name].id, None)
    memo.policies.listener_made.update((item.id, name) for name, item in new.items())


def _replace_held(memo: Memo, replaced: Replaced) -> None:
    """Certificates and trust bundles: several parts may have the same one."""
    memo.moved_trust = True
    for part in replaced.new:
        memo.holders.update((*part.certificates, *part.trust))
        for name, certificate in part.certificates.items():
            memo.certificates.put(name, certificate)
        memo.part_trust.update(part.trust)
    for part in replaced.old:
        for name in (*part.certificates, *part.trust):
            memo.holders[name] -= 1
            if not memo.holders[name]:
                del memo.holders[name]
                memo.certificates.drop(name)
                memo.part_trust.pop(name, None)


def _replace_served(memo: Memo, replaced: Replaced) -> None:
    """Which Gateways a Service is for."""
    for part in replaced.old:
        for key, facts in part.gateways.items():
            if facts.service is not None:
                memo.served_by[facts.service].discard(key)
                if not memo.served_by[facts.service]:
                    del memo.served_by[facts.service]
    for part in replaced.new:
        for key, facts in part.gateways.items():
            if facts.service is not None:
                memo.served_by.setdefault(facts.service, set()).add(key)


def _replace_planes(
    memo: Memo, old: Mapping[str, PlaneRequest], new: Mapping[str, PlaneRequest], options: ProvisionOptions
) -> None:
    """Plan the data planes whose requests changed; the others keep their identity."""
    for key in old.keys() - new.keys():
        memo.planes.drop(key)
    for key, request in new.items():
        if old.get(key) != request:
            memo.planes.put(key, plan(request, options))
