"""What each data plane may see: its listeners, and of everything else only what they lead to.

    Gateways of the plane -> listeners, attachments -> rules (cut to these) -> backends -> endpoints
                                 ├────────────────────────> ├─────────────────> └──> policies -> what they need
                                 └────────> certificates, trust

Rules:
- Keys of session tickets are those of its own Gateways.
- How many pods a plane has is not said before it is known: else each would give a whole budget under a new leader.
- A data plane never gets a certificate, a trust bundle or an endpoint that none of its listeners leads to.
- What a backend leads to leads to no backend: uses are counted, and would keep a circle for ever.
- A resource that cannot be given to a plane costs itself only: what the plane has of it stays, and `faults` says why.
- A change costs as much as it is large: what uses what is counted for each plane, so nothing is walked through again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from sluicegate import ir

from .. import caught
from ..translate import State
from ..translate.state import RESOURCE_KINDS, changed_ids
from .plane import TICKETS, Changed, Item, Node, Plane, PlaneKey, Resource, cost, item_of
from .protocol import SECTIONS
from .tickets import SharedKeys

#: Those that the translator makes.
KNOWN = tuple(section for section in SECTIONS if section in RESOURCE_KINDS)
RULES = tuple(section for section in SECTIONS if section.endswith("_rules"))
#: What is a Gateway's own, and rules are attached to.
OWNED = ("listeners", "attachments")
_Key = TypeVar("_Key", str, Node)


class Projector:
    """Keeps the content of all data planes at what a state says; lives on one thread."""

    def __init__(self) -> None:
        """Make one without planes."""
        self.planes: dict[PlaneKey, Plane] = {}
        #: Keys of session tickets, from the next update on; None: none are known.
        self.shared: SharedKeys | None = None
        self._shared_before: SharedKeys | None = None
        self._gateways: Mapping[PlaneKey, Iterable[str]] | None = None
        #: Resources of which planes keep what they have, by the last update, and what came of them.
        self.faults: dict[Node, str] = {}
        self._state = self._before = State()
        self._planes_of: dict[str, set[PlaneKey]] = defaultdict(set)
        self._listeners_of: dict[str, set[str]] = defaultdict(set)
        self._attachments_of: dict[str, set[str]] = defaultdict(set)
        #: By what they are attached to: listeners, and attachments.
        self._rules_of: dict[Node, set[Node]] = defaultdict(set)
        self._endpoints_of: dict[str, set[str]] = defaultdict(set)
        self._users: dict[Node, set[PlaneKey]] = defaultdict(set)

    def update(self, state: State, gateways: Mapping[PlaneKey, Iterable[str]]) -> dict[PlaneKey, Changed]:
        """Move on to another state and other planes.

        Args:
            state: the configuration of all.
            gateways: `<namespace>/<name>` of the Gateways of each plane.

        Returns:
            The ids that changed, of each plane that has such; planes that are gone are in `planes` no more.
        """
        look: dict[PlaneKey, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.faults = {}
        placed = gateways is not self._gateways
        if placed:
            self._gateways = gateways
            self._place(gateways, look)
        before, self._before, self._state = self._state, self._state, state
        for section in KNOWN:
            for name in changed_ids(before, state, section):
                try:
                    self._moved(section, name, before.table(section).get(name), state.table(section).get(name), look)
                except Exception as error:  # of one resource: the planes get the others
                    self.faults[section, name] = caught.note("stream", error)
        self._before = state  # what went before is needed no more
        changed: dict[PlaneKey, Changed] = {}
        for key, sections in look.items():
            plane = self.planes.get(key)
            if plane is not None and (found := self._renew(key, plane, sections)):
                changed[key] = found
        ticketed = placed or self._shared_before is not self.shared
        self._shared_before = self.shared
        for key, plane in self.planes.items() if ticketed else ():
            try:
                renewed = self._renew_tickets(plane)
            except Exception as error:  # of one plane, which keeps the keys that it has
                self.faults[TICKETS, "/".join(key)] = caught.note("stream", error)
            else:
                changed.update({key: {**changed.get(key, {}), TICKETS: renewed}} if renewed else {})
        return changed

    def _renew_tickets(self, plane: Plane) -> set[str]:
        """Bring the keys of session tickets of a plane up to date; returns the Gateways whose keys changed."""
        made_of = (self.shared, plane.gateways)
        if plane.ticketed == made_of:
            return set()
        plane.ticketed = made_of
        shared, table = made_of[0], plane.tables[TICKETS]
        wanted = {name: item_of(shared.of(name)) for name in plane.gateways} if shared is not None else {}
        changed = {name for name in wanted.keys() | table.keys() if wanted.get(name) != table.get(name)}
        plane.tables[TICKETS] = wanted
        return changed

    def _place(self, gateways: Mapping[PlaneKey, Iterable[str]], look: dict[PlaneKey, dict[str, set[str]]]) -> None:
        for key in [key for key in self.planes if key not in gateways]:
            plane = self.planes.pop(key)
            for name in plane.gateways:
                _discard(self._planes_of, name, key)
            for node in plane.uses:
                _discard(self._users, node, key)
        for key, names in gateways.items():
            wanted = frozenset(names)
            plane = self.planes.setdefault(key, Plane(frozenset()))
            if plane.gateways == wanted:
                continue
            for name in plane.gateways ^ wanted:
                for section, own in (("listeners", self._listeners_of), ("attachments", self._attachments_of)):
                    for item in own.get(name, ()):
                        look[key][section].add(item)
                        # A rule may go in the same step: then it is found here only.
                        for rules, rule in self._rules_of.get((section, item), ()):
                            look[key][rules].add(rule)
                if name in wanted:
                    self._planes_of[name].add(key)
                else:
                    _discard(self._planes_of, name, key)
            plane.gateways = wanted

    def _moved(
        self,
        section: str,
        name: str,
        old: Resource,
        new: Resource,
        look: dict[PlaneKey, dict[str, set[str]]],
    ) -> None:
        """Note a change of the state: bring the indexes up to date, and name the planes that have to look at it."""
        node = (section, name)
        if section in OWNED:
            own = self._listeners_of if section == "listeners" else self._attachments_of
            _reindex(own, name, _gateway(old), _gateway(new))
            planes = [key for gateway in _gateway(old) | _gateway(new) for key in self._planes_of.get(gateway, ())]
        elif section in RULES:
            _reindex(self._rules_of, node, _attached_to(old), _attached_to(new))
            parts = _attached_to(old) | _attached_to(new)
            planes = [
                key for part in parts for gateway in self._gateways_of(part) for key in self._planes_of.get(gateway, ())
            ]
        elif section == "endpoints":
            _reindex(self._endpoints_of, name, _backend(old), _backend(new))
            every = _backend(old) | _backend(new)
            planes = [key for item in every for key in self._users.get(("backends", item), ())]
        else:
            planes = list(self._users.get(node, ()))
        for key in planes:
            look[key][section].add(name)

    def _gateways_of(self, node: Node) -> set[str]:
        """Before and now: a listener or an attachment may go together with its rules."""
        section, name = node
        return _gateway(self._before.table(section).get(name)) | _gateway(self._state.table(section).get(name))

    def _renew(self, key: PlaneKey, plane: Plane, look: dict[str, set[str]]) -> dict[str, set[str]]:
        """Bring a plane up to date in what has to be looked at, and in what that leads to."""
        before: dict[Node, Item | None] = {}
        while look:
            # The order of what leads to what, so that this is done once; but policies may lead back to backends.
            section = next(section for section in SECTIONS if section in look)
            table = plane.tables[section]
            for name in look.pop(section):
                old = table.get(name)
                try:
                    resource = self._seen_by(plane, section, name)
                    if (old.resource if old is not None else None) is resource:
                        continue
                    item = item_of(resource) if resource is not None else None
                    leads_to = _leads_to(section, resource)
                except Exception as error:  # of one resource: the planes get the others
                    self.faults[section, name] = caught.note("stream", error)
                    continue
                self._count(key, plane, section, old, item, leads_to, look)
                before.setdefault((section, name), old)
                plane.cost += cost(name, item) - cost(name, old)
                if item is None:
                    del table[name]
                else:
                    table[name] = item
        changed: dict[str, set[str]] = {}
        for (section, name), old in before.items():
            new = plane.tables[section].get(name)
            if (new.version if new is not None else "") != (old.version if old is not None else ""):
                changed.setdefault(section, set()).add(name)
        return changed

    def _seen_by(self, plane: Plane, section: str, name: str) -> Resource:
        """A resource as the plane may see it, or None."""
        resource: Resource = self._state.table(section).get(name)
        if resource is None:
            return None
        if section in OWNED:
            return resource if resource.gateway in plane.gateways else None
        if section in RULES:
            listeners, attachments = (
                tuple(item for item in getattr(resource, part) if item in plane.tables[part]) for part in OWNED
            )
            if not listeners and not attachments:
                return None
            if len(listeners) == len(resource.listeners) and len(attachments) == len(resource.attachments):
                return resource
            return msgspec.structs.replace(resource, listeners=listeners, attachments=attachments)
        node = ("backends", resource.backend) if section == "endpoints" else (section, name)
        return resource if node in plane.uses else None

    def _count(
        self,
        key: PlaneKey,
        plane: Plane,
        section: str,
        old: Item | None,
        new: Item | None,
        after: set[Node],
        look: dict[str, set[str]],
    ) -> None:
        """Count what the old and the new resource lead to; what comes or goes with it has to be looked at too."""
        only = old if new is None else new if old is None else None
        if section in OWNED and only is not None:
            for rules, rule in self._rules_of.get((section, only.resource.id), ()):
                look.setdefault(rules, set()).add(rule)
        before = _leads_to(section, old.resource if old is not None else None)
        for node in before ^ after:
            count = plane.uses.get(node, 0) + (1 if node in after else -1)
            if count:
                plane.uses[node] = count
            else:
                del plane.uses[node]
            if count == (1 if node in after else 0):
                self._used(key, node, look, used=count == 1)

    def _used(self, key: PlaneKey, node: Node, look: dict[str, set[str]], *, used: bool) -> None:
        """A resource is used by a plane from now on, or no longer."""
        if used:
            self._users[node].add(key)
        else:
            _discard(self._users, node, key)
        section, name = node
        look.setdefault(section, set()).add(name)
        if section == "backends":
            for identifier in self._endpoints_of.get(name, ()):
                look.setdefault("endpoints", set()).add(identifier)


def _gateway(part: Resource) -> set[str]:
    """Of a listener or an attachment."""
    return {part.gateway} if part is not None else set()


def _attached_to(rule: Resource) -> set[Node]:
    return {(part, name) for part in OWNED for name in getattr(rule, part)} if rule is not None else set()


def _backend(part: ir.Endpoint | None) -> set[str]:
    return {part.backend} if part is not None else set()


def _leads_to(section: str, resource: Resource) -> set[Node]:
    """What a data plane needs for a resource besides what points at it."""
    if resource is None:
        return set()
    found: set[Node] = set()
    if section == "listeners":
        if resource.tls is not None:
            found.update(("certificates", item) for item in resource.tls.certificates)
            if resource.tls.client_validation is not None:
                found.update(("trust", item) for item in resource.tls.client_validation.trust)
        if resource.backend_certificate is not None:
            found.add(("certificates", resource.backend_certificate))
    elif section in RULES:
        for item in (*getattr(resource, "filters", ()), *_all_filters(resource.backends), *resource.backends):
            backend = getattr(item, "backend", None)
            if backend is not None:
                found.add(("backends", backend))
    elif section == "policies":
        found.update(resource.needs())
    found.update(("policies", item) for item in getattr(resource, "policies", ()))
    return found


def _all_filters(backends: Iterable[Resource]) -> Iterable[Resource]:
    return (item for backend in backends for item in getattr(backend, "filters", ()))


def _reindex(index: dict[_Key, set[Any]], value: object, before: set[_Key], after: set[_Key]) -> None:
    for key in before - after:
        _discard(index, key, value)
    for key in after - before:
        index[key].add(value)


def _discard(index: dict[Any, set[Any]], key: object, value: object) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(value)
        if not found:
            del index[key]
