"""Ingresses as the objects that serve them: what `migrate` would write, held in the store and stored nowhere else.

A group of Ingresses (`groups`) is converted anew where something that its conversion looked at has changed. What is
made is virtual: its names are none that an object of a cluster can have (`VIRTUAL`), so it never hides anything real.

What real objects and Ingresses have in common:
- A listener of the Gateway, or of a ListenerSet of it in the host's own namespace, takes the place of the one that
  would be made for a host, and the routes of Ingresses attach to it. So a move can be made host by host, and back.
- Of matches that are the same the real route's holds: virtual routes are younger than any other (`YOUNGEST`). So a
  move can be made route by route.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from .. import caught
from ..api import Gateway, ListenerSet, Object, ObjectKey, decode
from ..api.gateway import FrontendTLS
from ..api.ingress import Ingress, IngressClass
from ..api.names import VIRTUAL
from ..looked import Looked, changes
from ..store.snapshot import Table
from ..store.store import Apply, Delete, Event
from .convert import Conversion, convert
from .emit import Manifest
from .groups import groups
from .inventory import Inventory, Lines, Place, no_lines
from .losses import Cause, Ledger, Loss
from .options import Name, Options
from .own_gateway import OWN_GATEWAY, own_gateway
from .provider import Provider
from .selection import selected

#: When virtual routes were made: of two that are alike the older one holds.
YOUNGEST = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)
_ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "TLSRoute"})
#: Stands for a name while an object is decoded: names of virtual objects are no names.
_PLACEHOLDER = "virtual"

#: What conversions look things up in, by the field of the inventory.
Tables = Mapping[str, Mapping[Any, Any]]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What Ingresses are served by, at one moment; never changed afterwards.

    Attributes:
        ingresses, classes, middlewares: as the source has them; the very same tables where nothing of them changed.
        config_maps: texts of ConfigMaps.
        services, secrets: of the store.
        gateways, listener_sets, gateway_classes: of the store, with what is virtual.
        lines: where fields of Ingresses are written.
    """

    ingresses: Table
    classes: Table
    middlewares: Table
    config_maps: Table
    services: Table
    secrets: Table
    gateways: Table
    listener_sets: Table
    gateway_classes: Table
    lines: Lines = no_lines


@dataclass(frozen=True, slots=True)
class Result:
    """What Ingresses came to.

    Attributes:
        events: for the store.
        selected: Ingresses that are served.
        losses: of each Ingress that is served, and of the ConfigMap of settings: what somebody has to look at.
        left_out: why Ingresses are not served.
        faults: why the Ingresses of a group could not be converted; their last good conversion goes on.
        converted: number of groups that were converted.
    """

    events: tuple[Event, ...] = ()
    selected: frozenset[ObjectKey] = frozenset()
    losses: Mapping[ObjectKey, tuple[Loss, ...]] = field(default_factory=dict)
    left_out: tuple[Loss, ...] = ()
    faults: Mapping[ObjectKey, str] = field(default_factory=dict)
    converted: int = 0


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which Ingresses are served, and what has to do with what.

    Attributes:
        ingresses, classes: that it was made of.
        by_name: the classes.
        groups: of those that are served.
        keys: of these.
        left_out: of the others.
    """

    ingresses: Table
    classes: Table
    by_name: Mapping[str, IngressClass]
    groups: tuple[tuple[Ingress, ...], ...]
    keys: frozenset[ObjectKey]
    left_out: tuple[Loss, ...]


@dataclass(slots=True)
class _Group:
    """A group as it was converted last.

    Attributes:
        ingresses: of it.
        classes: all IngressClasses.
        looked: what was looked up.
        losses: of each of its objects, what somebody has to look at.
        objects: that were made.
        causes: of each object, where its parts come from.
        conversion: all of it; None: there was none yet.
        fault: why its newest state could not be converted; empty: it could.
    """

    ingresses: tuple[Ingress, ...]
    classes: Mapping[str, IngressClass]
    looked: dict[str, Looked[Any, Any]]
    objects: dict[ObjectKey, Object] = field(default_factory=dict)
    causes: dict[ObjectKey, dict[str, tuple[Cause, ...]]] = field(default_factory=dict)
    conversion: Conversion | None = None
    losses: dict[ObjectKey, tuple[Loss, ...]] = field(default_factory=dict)
    fault: str = ""

    def fits(
        self, ingresses: tuple[Ingress, ...], classes: Mapping[str, IngressClass], changed: Mapping[str, Set[Any]]
    ) -> bool:
        """Whether a conversion would come to the same now; `changed`: keys of each table since the last one."""
        if classes is not self.classes or len(ingresses) != len(self.ingresses):
            return False
        same = all(now is before for now, before in zip(ingresses, self.ingresses, strict=True))
        return same and not any(table.is_touched(changed[name]) for name, table in self.looked.items())


class Served:
    """Keeps virtual objects at what Ingresses say; one call at a time."""

    def __init__(self, provider: Provider, options: Options, controller_name: str, gateway: Name | None = None) -> None:
        """Serve nothing yet.

        Args:
            provider: whose annotations Ingresses have.
            options: of conversions: classes, settings, certificates.
            controller_name: `controllerName` of the GatewayClasses that are served.
            gateway: that serves them; None: one is made.
        """
        self._provider = provider
        self._controller_name = controller_name
        self._makes_gateway = gateway is None
        own = Name(options.default_certificate.namespace if options.default_certificate else "default", OWN_GATEWAY)
        self.gateway = gateway if gateway is not None else own
        self._options = replace(options, gateway=self.gateway, gateway_exists=True, virtual=True)
        self._selection: _Selection | None = None
        self._groups: dict[ObjectKey, _Group] = {}
        #: What the last conversions were given.
        self._tables: Tables = {}
        #: Objects by the groups that make them: what several make is the same, such as a copy of a CA.
        self._owners: dict[ObjectKey, dict[ObjectKey, Object]] = {}
        #: The Gateway as it is without what Ingresses ask of it, and as it was put into the store; None: it was not.
        self._plain: Gateway | None = None
        self._put: Gateway | None = None

    def update(self, inputs: Inputs) -> Result:
        """Convert what has changed.

        Args:
            inputs: what there is now.
        """
        selection = self._selection = self._select(inputs)
        tables: Tables = {
            "services": inputs.services,
            "secrets": inputs.secrets,
            "config_maps": inputs.config_maps,
            "middlewares": inputs.middlewares,
            "listeners": self._listeners(inputs),
        }
        changed = {name: changes(self._tables.get(name, {}), table) for name, table in tables.items()}
        self._tables = tables
        before = self._groups
        left = dict(before)
        self._groups = {}
        touched: set[ObjectKey] = set()
        converted = 0
        for ingresses in selection.groups:
            first = ingresses[0].key
            group = left.pop(first, None)
            if group is None or not group.fits(ingresses, selection.by_name, changed):
                made = self._convert(ingresses, selection.by_name, tables, inputs.lines, before)
                touched |= self._replace(first, group, made)
                group, converted = made, converted + 1
            self._groups[first] = group
        for first, group in left.items():
            touched |= self._replace(first, group, None)
        return Result(
            events=(*self._bring_gateway(inputs), *self._events(touched)),
            selected=selection.keys,
            losses=self._losses(),
            left_out=selection.left_out,
            faults={first: group.fault for first, group in self._groups.items() if group.fault},
            converted=converted,
        )

    def cause(self, key: ObjectKey, at: str = "") -> Cause | None:
        """Where a part of a virtual object comes from; None: the object was not made here.

        Args:
            key: of the object.
            at: path of the part, such as `spec.rules[0].backendRefs[0]`.
        """
        owners = self._owners.get(key)
        group = self._groups.get(min(owners)) if owners else None
        if group is None:
            return None
        causes = group.causes.get(key, {})
        within = [path for path in causes if at == path or at.startswith((f"{path}.", f"{path}["))]
        found = causes[max(within, key=len)] if within else next(iter(causes.values()), ())
        own = group.ingresses[0]
        return found[0] if found else Cause(str(own.key), own.origin.path, own.origin.line)

    def ingress_of(self, key: ObjectKey) -> Ingress | None:
        """The Ingress that a virtual object comes from; None: the object was not made here."""
        owners = self._owners.get(key)
        group = self._groups.get(min(owners)) if owners else None
        if group is None:
            return None
        by_name = {str(item.key): item for item in group.ingresses}
        causes = (cause for found in group.causes.get(key, {}).values() for cause in found)
        return next((by_name[cause.object] for cause in causes if cause.object in by_name), group.ingresses[0])

    def _select(self, inputs: Inputs) -> _Selection:
        known = self._selection
        if known is not None and known.ingresses is inputs.ingresses and known.classes is inputs.classes:
            return known
        if known is not None and known.classes is inputs.classes:
            by_name = known.by_name
        else:
            by_name = {item.name: item for item in inputs.classes.values() if isinstance(item, IngressClass)}
        ingresses = Inventory.of(inputs.ingresses.values()).ingresses
        ledger = Ledger()
        meant = Inventory(ingresses=ingresses, classes=by_name, lines=inputs.lines)
        wanted = selected(meant, self._provider, self._options, ledger)
        found = groups(wanted, wider=self._provider.traits.longest_rule_first)
        left_out = tuple(loss for loss in ledger.done() if loss.is_loss)
        keys = frozenset(item.key for each in found for item in each)
        return _Selection(inputs.ingresses, inputs.classes, by_name, tuple(found), keys, left_out)

    def _listeners(self, inputs: Inputs) -> dict[tuple[str, int], tuple[Place, ...]]:
        """Listeners that are real, of the Gateway and of its ListenerSets, by hostname and port."""
        found: dict[tuple[str, int], tuple[Place, ...]] = {}
        gateway = inputs.gateways.get(self.gateway)
        if isinstance(gateway, Gateway) and not self._makes_gateway:
            for item in gateway.spec.listeners:
                at = (item.hostname.lower(), item.port)
                found[at] = (*found.get(at, ()), Place("Gateway", *self.gateway, item.name))
        for owner in inputs.listener_sets.values():
            if not isinstance(owner, ListenerSet) or owner.name.startswith(VIRTUAL):
                continue
            parent = owner.spec.parent_ref
            if (parent.namespace or owner.namespace, parent.name) != self.gateway or parent.kind != "Gateway":
                continue
            for item in owner.spec.listeners:
                at = (item.hostname.lower(), item.port)
                found[at] = (*found.get(at, ()), Place("ListenerSet", owner.namespace, owner.name, item.name))
        return found

    def _convert(
        self,
        ingresses: tuple[Ingress, ...],
        classes: Mapping[str, IngressClass],
        tables: Tables,
        lines: Lines,
        before: Mapping[ObjectKey, _Group],
    ) -> _Group:
        """Convert a group; where that raises its Ingresses go on as they were, and the others are converted."""
        looked = {name: Looked(table) for name, table in tables.items()}
        inventory = Inventory(
            ingresses=ingresses,
            classes=classes,
            services=looked["services"],
            secrets=looked["secrets"],
            config_maps=looked["config_maps"],
            middlewares=looked["middlewares"],
            listeners=looked["listeners"],
            lines=lines,
        )
        made = _Group(ingresses, classes, looked)
        try:
            made.conversion = convert(inventory, self._provider, self._options)
            made.losses = _by_object(made.conversion.losses)
            for manifest in made.conversion.objects:
                item = _materialised(manifest, ingresses)
                made.objects[item.key], made.causes[item.key] = item, manifest.causes
        except Exception as error:
            made.fault = caught.note("translate", error)
            # Half of what was made may lack what protects it.
            made.objects, made.causes, made.conversion = {}, {}, None
            keys = {item.key for item in ingresses}
            for group in before.values():
                if not keys.isdisjoint(item.key for item in group.ingresses):
                    made.objects |= group.objects
                    made.causes |= group.causes
                    made.losses |= group.losses
                    made.conversion = made.conversion or group.conversion
        return made

    def _replace(self, first: ObjectKey, old: _Group | None, new: _Group | None) -> set[ObjectKey]:
        """Put the objects of a group in the place of those that it had; returns what may have changed."""
        before = old.objects if old is not None else {}
        after = new.objects if new is not None else {}
        for key in before:
            owners = self._owners[key]
            owners.pop(first, None)
            if not owners:
                del self._owners[key]
        for key, item in after.items():
            self._owners.setdefault(key, {})[first] = item
        return {*before, *after}

    def _events(self, touched: Iterable[ObjectKey]) -> Iterator[Event]:
        for key in sorted(touched):
            owners = self._owners.get(key)
            yield Apply(owners[min(owners)]) if owners else Delete(key)

    def _bring_gateway(self, inputs: Inputs) -> Iterator[Event]:
        """Make the Gateway where none is named; have it ask clients for certificates where hosts want them."""
        found = inputs.gateways.get(self.gateway)
        there = found if isinstance(found, Gateway) else None
        frontend = self._frontend()
        if self._makes_gateway:
            if not self._groups:
                if there is not None:
                    yield Delete(ObjectKey("Gateway", *self.gateway))
                return
            origin = self._groups[min(self._groups)].ingresses[0].origin
            certificate = self._options.default_certificate
            made = own_gateway(self.gateway, inputs.gateway_classes, self._controller_name, certificate, origin)
            wanted = _with_frontend(made, frontend)
            if there is None or not there.same_content(wanted):
                yield Apply(wanted)
            return
        if there is None:
            self._plain = self._put = None
            return
        if there is not self._put:
            self._plain = there
        plain = self._plain if self._plain is not None else there
        wanted = _with_frontend(plain, frontend)
        same = there.same_content(wanted)
        # The store keeps the one that it has where both say the same.
        self._put = None if wanted is plain else there if same else wanted
        if not same:
            yield Apply(wanted)

    def _frontend(self) -> FrontendTLS | None:
        found = (group.conversion.frontend for group in self._groups.values() if group.conversion is not None)
        frontend = next((item for item in found if item is not None), None)
        return msgspec.convert(frontend, FrontendTLS) if frontend is not None else None

    def _losses(self) -> dict[ObjectKey, tuple[Loss, ...]]:
        found: dict[ObjectKey, tuple[Loss, ...]] = {}
        for group in self._groups.values():
            for key, losses in group.losses.items():
                # Settings are told with each group.
                found[key] = tuple(dict.fromkeys((*found[key], *losses))) if key in found else losses
        return found


def _by_object(losses: Iterable[Loss]) -> dict[ObjectKey, tuple[Loss, ...]]:
    found: dict[ObjectKey, list[Loss]] = {}
    for loss in losses:
        found.setdefault(ObjectKey.parse(loss.object), []).append(loss)
    return {key: tuple(items) for key, items in found.items()}


def _materialised(manifest: Manifest, ingresses: tuple[Ingress, ...]) -> Object:
    """The object of a manifest, which is where its Ingress is."""
    owners = {str(item.key): item for item in ingresses}
    causes = (cause for found in manifest.causes.values() for cause in found)
    owner = next((owners[cause.object] for cause in causes if cause.object in owners), ingresses[0])
    name = manifest.name
    if manifest.kind == "ReferenceGrant":  # several groups may grant one object, each to others
        name = f"{name}:{ingresses[0].namespace}:{ingresses[0].name}"
    document = manifest.document
    document["metadata"] = {**document["metadata"], "name": _PLACEHOLDER}
    item = decode(document, owner.origin)
    created = YOUNGEST if manifest.kind in _ROUTES else owner.metadata.creation_timestamp
    metadata = msgspec.structs.replace(item.metadata, name=name, creation_timestamp=created)
    return msgspec.structs.replace(item, metadata=metadata, key=item.key._replace(name=name))


def _with_frontend(gateway: Gateway, frontend: FrontendTLS | None) -> Gateway:
    """The Gateway that asks clients for certificates, unless it says itself what it asks for."""
    if frontend is None or gateway.spec.tls.frontend is not None:
        return gateway
    tls = msgspec.structs.replace(gateway.spec.tls, frontend=frontend)
    return msgspec.structs.replace(gateway, spec=msgspec.structs.replace(gateway.spec, tls=tls))
