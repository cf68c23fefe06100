"""What a backend comes to, put in place of what it came to before: one backend, or one EndpointSlice, at a time."""

from __future__ import annotations

from collections.abc import Mapping

from ..api import Diagnostic, EndpointSlice, ObjectKey, Service, XBackend
from ..store.snapshot import Snapshot
from .backend_facts import BackendFacts, build_backend, build_external
from .backends import Transport, backend_name, service_port
from .endpoints import BackendSource
from .memo import Memo, Pair
from .options import Options
from .policies.effective import external_place, service_place
from .route_kinds import ROUTES
from .topology import Read


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


def replace_backend(memo: Memo, snapshot: Snapshot, identifier: str, options: Options) -> Read:
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
    known = options.backends or {}
    given = known.get((*pair, port.port)) or known.get((*pair, 0), ())
    without = _without_endpoint(users)
    source = BackendSource(service, port, found, policies, without, given, may_be_given=options.backends is not None)
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
