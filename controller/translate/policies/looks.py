"""What the status of a policy looks at: its targets, where these have an effect, who else is attached there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from sluicegate.ir.policies.base import Trait

from ...api import Gateway, ObjectKey, Route, Service
from ...store.snapshot import Snapshot
from ..backends import Transport, backend_name, external_id, service_port
from ..routes import RouteFacts
from ..topology import AttachPoint, GatewayFacts, ParentView, Read
from .attach import attached_read
from .effective import OVERRIDING, Place, Provenance, Target, service_place
from .flows import CONNECTION_ROUTES, has_datagrams
from .merges import Merges
from .ports import Disagreement
from .registry import PolicyKind
from .stage import ListenerPlaces


@dataclass(frozen=True, slots=True)
class Around:
    """What there is in a translation besides policies.

    Attributes:
        snapshot: of this moment.
        gateways: ours, by key.
        parents: Gateways and ListenerSets as routes see them.
        listeners: where listeners are.
        routes: facts by route.
        users: routes and stanzas of policies, with their Gateways that speak to backends, by backend id.
        service_backends: backend ids by Service.
        disagreements: stanzas that cannot hold at a listener, by listener.
    """

    snapshot: Snapshot
    gateways: Mapping[ObjectKey, GatewayFacts]
    parents: Mapping[Read, ParentView]
    listeners: ListenerPlaces
    routes: Mapping[ObjectKey, RouteFacts]
    users: Mapping[str, Mapping[ObjectKey, tuple[ObjectKey, ...]]]
    service_backends: Mapping[tuple[str, str], Iterable[str]]
    disagreements: Mapping[str, Iterable[Disagreement]]


@dataclass(slots=True)
class PolicyLooks:
    """Looks for one policy of a kind, each of them noted."""

    kind: PolicyKind
    around: Around
    merges: Merges
    noted: set[Read] = field(default_factory=set)

    def missing(self, target: Target) -> str:
        """Why a target is not there; empty: it is."""
        label = f"{target.kind} {target.namespace}/{target.name}"
        self.noted.add((target.kind, target.namespace, target.name))
        if target.kind in {"Gateway", "ListenerSet"}:
            view = self.around.parents.get(ObjectKey(*target[:3]))
            if view is None:
                return f"{label} is not one that this controller serves"
            sections, word = [point.name for point in view.points], "listener"
        else:
            found = self.around.snapshot.get(ObjectKey(*target[:3]))
            if found is None:
                return f"{label} does not exist"
            if isinstance(found, Service):
                sections, word = [port.name for port in found.spec.ports], "port"
            else:
                sections = [rule.name for rule in found.spec.rules] if isinstance(found, Route) else []
                word = "rule"
        if not target.section or target.section in sections:
            return ""
        return f"{label} has no {word} named {target.section}"

    def places(self, target: Target, *, whole: bool) -> Iterable[tuple[ObjectKey, Place]]:
        """Where a target has an effect, with the Gateway of each place; `whole`: whatever its section."""
        self.noted.add((target.kind, target.namespace, target.name))
        if target.kind == "Service":
            yield from self._ports(target, whole=whole)
            return
        if target.kind == "XBackend":
            identifier = external_id(target.namespace, target.name)
            yield from ((gateway, (target,)) for gateway in self._users(identifier))
            return
        listeners = self.around.listeners
        if target.kind in {"Gateway", "ListenerSet"}:
            for identifier in listeners.under.get(target.whole if whole else target, ()):
                yield listeners.places[identifier]
            return
        route = self.around.routes.get(ObjectKey(*target[:3]))
        own = dict.fromkeys((target.whole, target.whole if whole else target))
        for identifier in sorted(route.attached) if route is not None else ():
            gateway, levels = listeners.places[identifier]
            yield gateway, (*levels, *own)

    def _ports(self, target: Target, *, whole: bool) -> Iterable[tuple[ObjectKey, Place]]:
        key = ObjectKey(*target[:3])
        for section, gateways in self.merges.ports(self.kind, key, lambda: tuple(self._find_ports(key))):
            if whole or target.section in {"", section}:
                for gateway in gateways:
                    yield gateway, service_place(target.namespace, target.name, section)

    def _find_ports(self, key: ObjectKey) -> Iterable[tuple[str, tuple[ObjectKey, ...]]]:
        pair = (key.namespace, key.name)
        service = self.around.snapshot.table("Service").get(pair)
        for identifier in sorted(self.around.service_backends.get(pair, ())):
            name = backend_name(identifier)
            if self.kind.spoken and name.transport is not Transport.TCP:
                continue
            port = service_port(service, name.port, name.transport) if isinstance(service, Service) else None
            yield port.name if port is not None else "", tuple(self._users(identifier))

    def _users(self, backend: str) -> list[ObjectKey]:
        """Gateways that lead to a backend."""
        users = self.around.users.get(backend, {})
        return sorted({item for key, spoken in users.items() for item in self._gateways(key, spoken)})

    def _gateways(self, route: ObjectKey, spoken: tuple[ObjectKey, ...]) -> Iterable[ObjectKey]:
        if self.kind.spoken:
            return spoken
        places = self.around.listeners.places
        found = self.around.routes.get(route)
        # Policies that ask it are users too; what holds for a backend by them shows at their own Gateways.
        return [places[identifier][0] for identifier in found.attached] if found is not None else spoken

    def disagreements(self, policy: ObjectKey) -> Iterable[tuple[ObjectKey, Disagreement]]:
        """Stanzas of a policy that cannot hold at listeners, with the Gateway of each."""
        for listener, found in self.around.disagreements.items():
            for item in found:
                if item.policy.policy == str(policy):
                    yield self.around.listeners.places[listener][0], item

    def merged(self, place: Place) -> Mapping[str, Provenance]:
        """Where each stanza of the policies of the kind comes from at a place."""
        self.noted.update(map(attached_read, place))
        return self.merges.at(self.kind, place)

    def anonymous(self, place: Place) -> str:
        """The listener of a place, where connections come to it and no certificate is validated; empty: another one."""
        point = self._point(place)
        of_connections = point is not None and CONNECTION_ROUTES.issuperset(point.kinds)
        return point.id if point is not None and of_connections and point.anonymous else ""

    def of_connections(self, place: Place) -> str:
        """The listener of a place, where its routes take connections or datagrams; empty: another one."""
        point = self._point(place)
        return point.id if point is not None and point.kinds and CONNECTION_ROUTES.issuperset(point.kinds) else ""

    def of_datagrams(self, place: Place) -> bool:
        """Whether datagrams come to the listener of a place, and nothing else."""
        point = self._point(place)
        return point is not None and has_datagrams(point.kinds)

    def proofs(self, place: Place, *, above: bool, spared: bool = False) -> tuple[str, Set[str]]:
        """The listener of a place to which requests come (empty: another one), and how they can prove who asks there.

        `above`: by what policies of its Gateway and its ListenerSet ask. `spared`: by what somebody may be spared of.
        """
        point = self._point(place)
        if point is None or CONNECTION_ROUTES.issuperset(point.kinds):
            return "", frozenset()
        levels = tuple(target for target in place if not above or target.kind in OVERRIDING)
        self.noted.update(map(attached_read, levels))
        found = self.merges.proofs(levels, spared=spared)
        return point.id, found - {"certificate"} if point.anonymous else found

    def traits(self, place: Place) -> tuple[str, Set[Trait]]:
        """The listener or Service of a place (empty: another one), and what it has that parts of policies go by."""
        if place[0].kind == "Service":
            self.noted.update(map(attached_read, place))
            return str(place[0]), {"spoken"} if self.merges.has("BackendTLSPolicy", place) else set()
        if place[0].kind == "XBackend":
            return "", frozenset()
        point = self._point(place)
        if point is None or not point.kinds:
            return "", frozenset()
        requests = not CONNECTION_ROUTES.issuperset(point.kinds)
        has: dict[Trait, bool] = {"tls": point.ends_tls, "validated": not point.anonymous, "requests": requests}
        return point.id, {trait for trait, is_so in has.items() if is_so}

    def _point(self, place: Place) -> AttachPoint | None:
        at = next(target for target in reversed(place) if target.kind in {"Gateway", "ListenerSet"})
        self.noted.update((target.kind, target.namespace, target.name) for target in (place[0], at))
        view = self.around.parents.get(ObjectKey(*at[:3]))
        points = view.points if view is not None else ()
        return next((point for point in points if point.name == at.section), None)

    def gateway(self, key: ObjectKey) -> Gateway | None:
        """A Gateway of ours."""
        self.noted.add(key)
        found = self.around.gateways.get(key)
        return found.object if found is not None else None
