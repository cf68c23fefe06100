"""The translator: a pure function of a snapshot that remembers what it did last time.

`translate(snapshot)` gives the same result whatever was translated before (tests hold it to that); what it remembers
makes it fast. Four things are remembered for their own sake: a certificate that serves goes on serving when the
content of its Secret goes bad, and for a while (`Options.certificate_grace`) when the Secret is gone; a Gateway stays
at the address that a pool gave it, which its status says later; with `Options.keep_served` a Gateway that is served
when its class is deleted; and an object whose new version makes a translation raise (`quarantine`).

Stages, each fed only with what changed:

1. topology: Gateways, ListenerSets, listeners, certificates: those that changed or looked at something that changed,
   with those that they may have a dispute with (`parts`);
2. policies by themselves: those that changed, or refer to something that did; listeners name what holds for them;
3. routes: those that changed, and those that looked at something that changed, policies among that;
4. backends and endpoints: those of Services, EndpointSlices, policies and routes that changed; no route is touched;
5. what becomes of policies: those that changed, or looked at a target or a neighbour that did (`policy_stages`);
6. data planes: those whose Gateways, class or parameters changed; addresses when a Service of theirs, its endpoints or
   a node changed;
7. statuses of parents whose counts of attached routes changed, or that are told something else about policies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sluicegate import ir

from .. import DEFAULT_CONTROLLER_NAME
from ..api import ROUTE_KINDS, EndpointSlice, ObjectKey, ReferenceGrant, Route
from ..api.kinds import of_role
from ..store.snapshot import Changes, Snapshot
from .addresses import assigned_addresses
from .backend_stage import move_slice, replace_backend
from .backends import external_id
from .budget import Budgets
from .features import supported_features
from .gateways import Surroundings, judge_classes
from .grants import index_grants
from .memo import Memo, Pair
from .options import Options
from .policies.attach import whole_of
from .policies.registry import POLICIES, PolicyKind
from .policies.stage import PolicyMemo
from .policy_stages import ask_for_backends, update_policies, update_policy_facts
from .programmed import Programming
from .publish import publish
from .quarantine import Quarantine
from .report import class_status, owner_of, parent_statuses
from .route_stage import Touched, replace_route, tell_shadowed
from .routes import translate_route
from .topology import Classes, Read, Topology
from .topology_stage import replace_parts
from .translation import Translation
from .versions import version_verdict
from .world import Step, World

#: Kinds whose objects are noted one by one by what looked at them.
_NOTED_KINDS = of_role("reference")


#: Takes a translation; raises `ir.RefusedError` where the engine refuses it.
Take = Callable[[Translation], object]


class Translator:
    """Translates snapshots for one controller name; not thread-safe."""

    def __init__(
        self,
        controller_name: str = DEFAULT_CONTROLLER_NAME,
        options: Options | None = None,
        policies: tuple[PolicyKind, ...] = POLICIES,
    ) -> None:
        """Make a translator.

        Args:
            controller_name: `GatewayClass.spec.controllerName` of the classes to serve.
            options: settings and checks.
            policies: kinds of policies, in the order in which they act.
        """
        self.controller_name = controller_name
        self.options = options if options is not None else Options()
        self._policies = policies
        self._memo = self._empty()
        #: Of the translation before one that raised: what serves does not end with the memory of how it came about.
        self._before: Translation | None = None
        self._quarantine = Quarantine()
        #: Grows with everything that was translated: one that stands still is stuck.
        self.steps = 0

    @property
    def held(self) -> Mapping[ObjectKey, str]:
        """Objects that are held at their last good version because of an exception, and why."""
        return self._quarantine.held

    def _empty(self) -> Memo:
        return Memo(policies=PolicyMemo.of(self._policies), budgets=Budgets(self.options.routes))

    def translate(self, snapshot: Snapshot, now: float | None = None, take: Take | None = None) -> Translation:
        """Translate a snapshot. Inputs are never written to.

        Args:
            snapshot: what is there.
            now: seconds since 1970, for the times of certificates; None: `Options.now`.
            take: gives a translation to the engine. While it is tried which object the engine refuses, it is given more
                than one.

        An object that makes the translation raise, or that the engine refuses, is held at its last good version.
        What the engine refuses for another reason than an object which changed is returned all the same.

        Raises:
            Exception: a fault that no object which changed explains; the next translation begins anew.
        """
        options = self.options if now is None else replace(self.options, now=now)

        def attempt(view: Snapshot) -> Translation:
            translation = self._attempt(view, options)
            if take is not None:
                take(translation)
            return translation

        try:
            return self._quarantine.translate(snapshot, attempt)
        except ir.RefusedError:
            return self._quarantine.translate(snapshot, lambda view: self._attempt(view, options))

    def _attempt(self, snapshot: Snapshot, options: Options) -> Translation:
        memo = self._memo
        if memo.translation is not None and memo.snapshot is snapshot and not memo.translation.is_due(options.now):
            return memo.translation
        try:
            return self._translate(memo, snapshot, options)
        except BaseException:
            self._before = memo.translation if memo.translation is not None else self._before
            # Half-done work must not be taken for the memory of a whole translation.
            self._memo = self._empty()
            raise

    def _translate(self, memo: Memo, snapshot: Snapshot, options: Options) -> Translation:
        changes = snapshot.changes_since(memo.snapshot)
        step = Step(options, snapshot, changes, _dirty_reads(changes))
        if "ReferenceGrant" in changes:
            memo.grants = index_grants(
                item for item in snapshot.table("ReferenceGrant").values() if isinstance(item, ReferenceGrant)
            )
        topology, parents = self._update_topology(memo, step)
        judged = update_policies(memo, step, parents)
        touched = self._update_routes(memo, step, topology)
        touched.backends |= ask_for_backends(memo)
        services = self._update_backends(memo, step, touched.backends)
        judged |= memo.policies.watchers.of(step.dirty | touched.reads(services))
        update_policy_facts(memo, step, judged, parents, self.controller_name)
        parents |= self._update_addresses(memo, step, services, parents)
        parents.update(map(owner_of, touched.listeners))
        self._update_statuses(memo, topology, parents)
        memo.snapshot = snapshot
        memo.translation = publish(memo, snapshot, topology, parents, self.options)
        return memo.translation

    def _update_topology(self, memo: Memo, step: Step) -> tuple[Topology, set[ObjectKey]]:
        """Translate again the Gateways that something changed for; adds parents that changed to `dirty`.

        Returns:
            The topology; Gateways and ListenerSets whose facts changed, and those that are gone.
        """
        old, options = memo.topology, step.options
        known = memo.translation if memo.translation is not None else self._before
        versioned = old is None or "CustomResourceDefinition" in step.changes
        classes = self._update_classes(memo, step)
        around = Surroundings(
            snapshot=step.snapshot,
            controller_name=self.controller_name,
            options=options,
            grants=memo.grants,
            classes=classes,
            good=known.ir.certificates if known is not None else {},
            missed=known.topology.missing if known is not None else {},
            before=known.topology.gateways if known is not None and options.keep_served else {},
        )
        stale = memo.parts.stale(step.changes, step.dirty, options.now, around)
        if old is not None and old.classes is classes.verdicts and not stale and not versioned:
            return old, set()
        replace_parts(memo, memo.parts.translate(stale, around), self.options.provision)
        gateways, changed_gateways = memo.gateways.publish()
        listener_sets, changed_sets = memo.listener_sets.publish()
        families, changed_families = memo.families.publish()
        parents, changed_parents = memo.parents.publish()
        step.dirty.update(changed_parents)
        for key in changed_parents:
            memo.policies.listeners.replace(old.parents.get(key) if old is not None else None, parents.get(key))
        topology = memo.topology = Topology(
            classes=classes.verdicts,
            gateways=gateways,
            listener_sets=listener_sets,
            families=families,
            parents=parents,
            features=supported_features(provisioned=options.provision is not None),
            version=version_verdict(step.snapshot) if old is None or versioned else old.version,
            missing=memo.parts.missing,
            due=memo.parts.due,
        )
        self._update_class_statuses(memo, topology, old)
        return topology, {*changed_gateways, *changed_sets, *changed_families}

    def _update_classes(self, memo: Memo, step: Step) -> Classes:
        old = memo.classes
        if old is not None and "GatewayClass" not in step.changes and step.dirty.isdisjoint(old.reads):
            return old
        new = judge_classes(step.snapshot, self.controller_name, step.options, memo.grants)
        if old is not None and new == old:
            return old
        memo.diagnostics.replace_part(old.diagnostics if old is not None else {}, new.diagnostics)
        memo.classes = new
        return new

    def _update_class_statuses(self, memo: Memo, topology: Topology, old: Topology | None) -> None:
        if old is not None and old.classes is topology.classes and old.version == topology.version:
            return
        new = {item.key: class_status(item, verdict, topology) for item, verdict in topology.classes}
        memo.statuses.replace_part([item.key for item, _ in old.classes] if old is not None else (), new)

    def _update_routes(self, memo: Memo, step: Step, topology: Topology) -> Touched:
        """Translate the routes that changed, and those that looked at something that changed."""
        changed = {ObjectKey(kind, *pair) for kind in ROUTE_KINDS for pair in step.changes.get(kind, ())}
        changed |= memo.readers.of(step.dirty)
        touched = Touched()
        if not changed:
            return touched
        self._translate_routes(memo, step, topology, changed, touched)
        # What is news of the budget of a namespace: what a route costs does not depend on whether there is room for it.
        self._translate_routes(memo, step, topology, memo.budgets.settle(), touched)
        tell_shadowed(memo, touched)
        return touched

    def _translate_routes(
        self, memo: Memo, step: Step, topology: Topology, keys: set[ObjectKey], touched: Touched
    ) -> None:
        touched.routes |= keys
        world = World(step.snapshot, memo, topology, self.options)
        for key in keys:
            self.steps += 1
            route = step.snapshot.get(key)
            facts = None
            if isinstance(route, Route):
                facts = translate_route(route, world, self.controller_name, self.options)
                memo.budgets.replace(key, route.metadata.created, facts.cost)
            else:
                memo.budgets.replace(key, 0, None)
            replace_route(memo, key, facts, touched)

    def _update_backends(self, memo: Memo, step: Step, touched: set[str]) -> set[Pair]:
        """Bring backends and endpoints up to date; returns the Services that may have changed, endpoints included."""
        services: set[Pair] = set(step.changes.get("Service", ()))
        policies = [whole for read in step.dirty if (whole := whole_of(read)) is not None]
        services.update((whole.namespace, whole.name) for whole in policies if whole.kind == "Service")
        externals: set[Pair] = set(step.changes.get("XBackend", ()))
        externals.update((whole.namespace, whole.name) for whole in policies if whole.kind == "XBackend")
        touched |= {external_id(*pair) for pair in externals}
        for service in services:
            touched |= memo.service_backends.get(service, set())
        slices = step.snapshot.table("EndpointSlice")
        for pair in step.changes.get("EndpointSlice", ()):
            item = slices.get(pair)
            for service in move_slice(memo, pair, item if isinstance(item, EndpointSlice) else None):
                services.add(service)
                touched |= memo.service_backends.get(service, set())
        for identifier in touched:
            self.steps += 1
            read = replace_backend(memo, step.snapshot, identifier, self.options)
            if read[0] == "Service":
                services.add((read[1], read[2]))
            else:
                step.dirty.add(read)
        return services

    def _update_addresses(self, memo: Memo, step: Step, services: set[Pair], parents: set[ObjectKey]) -> set[ObjectKey]:
        """Look up what addresses data planes have where that may have changed; returns those Gateways."""
        gateways = memo.gateways.items()
        look = {key for key in parents if key.kind == "Gateway"}
        if "Node" in step.changes:
            look.update(gateways)
        else:
            for pair in services:
                look.update(memo.served_by.get(pair, ()))
        if not look:
            return set()
        facts = [gateways[key] for key in look if key in gateways]
        found = assigned_addresses(step.snapshot, self.controller_name, facts, memo.service_slices)
        memo.assigned.replace_part(look, found)
        return {key for key in look if memo.assigned.is_changed(key)}

    def _update_statuses(self, memo: Memo, topology: Topology, parents: set[ObjectKey]) -> None:
        """Write the statuses of Gateways and ListenerSets that changed, or whose count of routes did."""
        if not parents:
            return
        counts, _ = memo.attached.publish()
        assigned, _ = memo.assigned.publish()
        affected, _ = memo.affected.publish()
        programming = Programming(counts, None, self.options.status_addresses, assigned, affected=affected)
        new, programmed = parent_statuses(topology, programming, parents, memo.programmed)
        memo.programmed.update(programmed)
        for key in parents:
            if key not in topology.gateways and key not in topology.listener_sets:
                memo.statuses.drop(key)
                memo.programmed.pop(key, None)
        for key, status in new.items():
            memo.statuses.put(key, status)


def _dirty_reads(changes: Changes) -> set[Read]:
    """What changed, as routes and topology note it; parents are compared as views later."""
    dirty: set[Read] = {(kind, namespace, name) for kind in _NOTED_KINDS for namespace, name in changes.get(kind, ())}
    dirty.update(("ReferenceGrant", namespace, "") for namespace, _ in changes.get("ReferenceGrant", ()))
    return dirty
