"""The stages of policies within a translation; each costs what changed.

1. `judge`: policies that changed, or refer to something that did. Who they are attached to is dirty by that.
2. Listeners, routes and backends ask `Attached.names` (each where it is translated) and note that they did.
3. `settle_names`: policies that something names are in the IR, and what they need; others are not.
4. `refresh_facts`: statuses of those that changed, or whose targets or neighbours did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from sluicegate import ir
from sluicegate.words import listed

from ...api import ObjectKey, RefusedPolicy, readable
from ...store.snapshot import Changes, Snapshot
from ..conditions import ConditionType, Reason, affected_type
from ..grants import Grants
from ..ledger import Ledger
from ..options import Options
from ..readers import Readers
from ..secrets import Material
from ..status import Verdict
from ..topology import ParentView, Read
from .attach import Attached, attached_read, judge_policy, whole_of
from .closed import judge_closed
from .effective import Place, Source, Target
from .judged import Judged, Needed
from .ports import Disagreement
from .registry import POLICIES, PolicyKind
from .status import Looks, PolicyFacts, policy_facts

#: Conditions of an object by its section (empty: its own): type and verdict.
Conditions = Mapping[str, tuple[tuple[str, Verdict], ...]]


class Resource(NamedTuple):
    """A policy of the IR, what its object needs, and what routes are told of it where it cannot be honoured."""

    policy: ir.PolicyBase
    material: Needed
    fault: Verdict | None = None


@dataclass(slots=True)
class ListenerPlaces:
    """Where listeners are.

    Attributes:
        places: of each listener, by its id: its Gateway, and its levels.
        under: ids of the listeners below a Gateway, a ListenerSet, or a section of one.
    """

    places: dict[str, tuple[ObjectKey, Place]] = field(default_factory=dict)
    under: dict[Target, dict[str, None]] = field(default_factory=dict)

    def replace(self, old: ParentView | None, new: ParentView | None) -> None:
        """Take out the listeners that a parent had and put in those that it has."""
        for point in old.points if old is not None else ():
            found = self.places.pop(point.id, None)
            for level in found[1] if found is not None else ():
                self.under[level].pop(point.id, None)
                if not self.under[level]:
                    del self.under[level]
        if new is None:
            return
        gateway, own = Target(*new.gateway), Target(*new.key)
        above = (gateway,) if own == gateway else (gateway, own)
        for point in new.points:
            place = (*above, own._replace(section=point.name))
            self.places[point.id] = (new.gateway, place)
            for level in place:
                self.under.setdefault(level, {})[point.id] = None


@dataclass(slots=True)
class PolicyMemo:
    """What is kept of policies.

    Attributes:
        kinds: in the order in which they act.
        attached: by what they are attached to.
        judged, facts: by policy.
        referrers: policies by what they refer to.
        watchers: policies by what their status looked at.
        resources: IR by id, used or not.
        owners: policies by the ids of their IR.
        listener_made: listeners by the ids of the policies that their filters come to.
        made_by: these ids by listener, in the order written.
        asks: backends that policies of the IR ask, with their Gateways, by id.
        uses: how often an id is named in the IR.
        needing: ids of the IR that need something else there.
        touched: ids whose use or content may have changed in this translation.
        listeners: where they are.
        beyond: policies by the Gateways for which their status has no place.
        disagreements: stanzas that cannot hold at a listener, by listener.
    """

    kinds: tuple[PolicyKind, ...] = POLICIES
    attached: Attached = field(default_factory=lambda: Attached(POLICIES))
    judged: dict[ObjectKey, Judged] = field(default_factory=dict)
    facts: dict[ObjectKey, PolicyFacts] = field(default_factory=dict)
    referrers: Readers = field(default_factory=Readers)
    watchers: Readers = field(default_factory=Readers)
    resources: dict[str, Resource] = field(default_factory=dict)
    owners: dict[str, ObjectKey] = field(default_factory=dict)
    listener_made: dict[str, str] = field(default_factory=dict)
    made_by: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asks: dict[str, tuple[frozenset[str], tuple[ObjectKey, ...]]] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)
    needing: dict[str, None] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    listeners: ListenerPlaces = field(default_factory=ListenerPlaces)
    beyond: dict[ObjectKey, set[ObjectKey]] = field(default_factory=dict)
    disagreements: dict[str, tuple[Disagreement, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, kinds: tuple[PolicyKind, ...]) -> PolicyMemo:
        """Begin with nothing of these kinds."""
        return cls(kinds=kinds, attached=Attached(kinds))

    def count(self, old: Iterable[str], new: Iterable[str]) -> None:
        """Something named the old ids and names the new ones."""
        for names, step in ((old, -1), (new, 1)):
            for name in names:
                self.uses[name] = self.uses.get(name, 0) + step
                self.touched.add(name)

    def replace_made(
        self,
        old: Iterable[ir.PolicyBase],
        new: Iterable[ir.PolicyBase],
        secrets: Mapping[str, ir.PolicySecret] = MappingProxyType({}),
    ) -> None:
        """Take out the policies that parts of a route came to and put in those of now, with what they know."""
        for item in old:
            del self.resources[item.id]
            self.touched.add(item.id)
        for item in new:
            known = {name: secrets[name] for section, name in item.needs() if section == "policy_secrets"}
            self.resources[item.id] = Resource(item, Needed(secrets=known))
            self.touched.add(item.id)

    def replace_disagreements(self, listeners: Iterable[str], found: Iterable[Disagreement]) -> set[ObjectKey]:
        """Take out what listeners had and put in what they have; returns the policies of both, where it is another."""
        new: dict[str, tuple[Disagreement, ...]] = {}
        for item in found:
            new[item.listener] = (*new.get(item.listener, ()), item)
        told: set[ObjectKey] = set()
        for listener in listeners:
            before, after = self.disagreements.pop(listener, ()), new.get(listener, ())
            if after:
                self.disagreements[listener] = after
            if before != after:
                self.replace_made([item.refused for item in before], [item.refused for item in after])
                told |= {ObjectKey.parse(item.policy.policy) for item in (*before, *after)}
        return told

    def fault(self, names: Iterable[str]) -> Verdict | None:
        """What routes are told of the first of some policies that cannot be honoured; None: all can."""
        found = (self.resources[name].fault for name in names if name in self.resources)
        return next((item for item in found if item is not None), None)

    def is_protected(self, backend: ir.Backend) -> bool:
        """Whether a policy says that TLS is spoken to a backend."""
        found = (self.resources.get(name) for name in backend.policies)
        return any(item is not None and isinstance(item.policy, ir.BackendTls) for item in found)


def judge(
    memo: PolicyMemo, snapshot: Snapshot, changes: Changes, dirty: Iterable[Read], grants: Grants, options: Options
) -> tuple[set[ObjectKey], set[Read]]:
    """Judge the policies that changed, and those that refer to something that did.

    Returns:
        These policies, and what is dirty by them.
    """
    keys = {ObjectKey(kind.kind, *pair) for kind in memo.kinds for pair in changes.get(kind.kind, ())}
    keys |= memo.referrers.of(dirty)
    kinds = {kind.kind: kind for kind in memo.kinds}
    moved: set[Read] = set()
    trust: dict[str, ir.Trust] = {}
    for key in sorted(keys):
        old = memo.judged.pop(key, None)
        policy = snapshot.get(key)
        new = None
        if policy is not None:
            material = Material(snapshot, grants, options, trust=trust)
            new = (
                judge_closed(kinds[key.kind], policy)
                if isinstance(policy, RefusedPolicy)
                else judge_policy(kinds[key.kind], policy, material)
            )
            memo.judged[key] = new
        moved |= memo.attached.replace(old.source if old is not None else None, new.source if new is not None else None)
        if old is not None and new is not None and _fault(kinds[key.kind], old) != _fault(kinds[key.kind], new):
            moved |= {attached_read(target) for target in new.source.targets}
        memo.referrers.replace(key, new.reads if new is not None else frozenset())
        for identifier in old.resources if old is not None else ():
            memo.resources.pop(identifier, None)
            memo.owners.pop(identifier, None)
            memo.touched.add(identifier)
        if new is not None:
            fault = _fault(kinds[key.kind], new)
            memo.resources.update((name, Resource(item, new.material, fault)) for name, item in new.resources.items())
            memo.owners.update(dict.fromkeys(new.resources, key))
            memo.touched.update(new.resources)
    return keys, {each for read in moved for each in _objects_of(read, snapshot)}


def _objects_of(read: Read, snapshot: Snapshot) -> Iterator[Read]:
    """What is noted of each object that a target stands for; nobody notes those that stand for several."""
    whole = whole_of(read)
    if whole is None or not whole.is_wide:
        yield read
        return
    for namespace, name in snapshot.table(whole.kind):
        if whole.namespace in {"", namespace} and whole.name in {"", name}:
            yield attached_read(Target(whole.kind, namespace, name))


def _fault(kind: PolicyKind, judged: Judged) -> Verdict | None:
    """What routes are told of a policy that cannot be honoured; None: it can."""
    accepted = judged.judgement.accepted
    text = f"{kind.kind} {judged.policy.name}: {accepted.message}"
    return None if accepted.ok else Verdict(False, kind.refused, text)


def conditions_of(memo: PolicyMemo, whole: Target) -> Conditions:
    """What an object and its sections are told about the policies that are attached to each of them."""
    found = {section: _affected(of) for section, of in sorted(memo.attached.by_section(whole).items())}
    beyond = memo.beyond.get(ObjectKey(*whole[:3]))
    if beyond:
        message = f"No place in the status of {listed(map(str, sorted(beyond)))}; they hold all the same"
        limit = Verdict(True, Reason.ANCESTOR_LIMIT_REACHED, message)
        found[""] = (*found.get("", ()), (ConditionType.POLICY_LIMIT_REACHED, limit))
    return found


def affected(attached: Attached, whole: Target, sections: Set[str]) -> tuple[tuple[str, Verdict], ...]:
    """The conditions that policies are attached to an object or to any of its sections, which have these names."""
    return _affected(attached.affecting(whole, sections))


def _affected(policies: Mapping[str, Iterable[Source]]) -> tuple[tuple[str, Verdict], ...]:
    return tuple((affected_type(kind), _told(kind, [item.key for item in of])) for kind, of in policies.items())


def _told(kind: str, policies: Iterable[ObjectKey]) -> Verdict:
    names = listed(readable(f"{key.namespace}/{key.name}") for key in policies)
    return Verdict(True, Reason.AFFECTED, f"Policies of kind {kind}: {names}")


def settle_names(memo: PolicyMemo, ledger: Ledger[str, ir.PolicyBase]) -> bool:
    """Put into the IR what something names, take out what nothing names; returns whether any may differ."""
    touched = bool(memo.touched)
    for identifier in memo.touched:
        found = memo.resources.get(identifier)
        is_named = found is not None and memo.uses.get(identifier, 0) > 0
        if found is not None and is_named:
            ledger.put(identifier, found.policy)
        else:
            ledger.drop(identifier)
        # Of a thousand policies hardly any needs more: not all of them are asked in each translation.
        if found is not None and is_named and any(True for _ in found.policy.needs()):
            memo.needing[identifier] = None
        else:
            memo.needing.pop(identifier, None)
        if not memo.uses.get(identifier, 0):
            memo.uses.pop(identifier, None)
    memo.touched.clear()
    return touched


def needed(memo: PolicyMemo) -> Needed:
    """What policies of the IR need, once their names are settled."""
    trust: dict[str, ir.Trust] = {}
    certificates: dict[str, ir.Certificate] = {}
    secrets: dict[str, ir.PolicySecret] = {}
    for found in (memo.resources[identifier] for identifier in memo.needing):
        for section, name in found.policy.needs():
            if section == "trust":
                trust[name] = found.material.trust[name]
            elif section == "certificates":
                certificates[name] = found.material.certificates[name]
            elif section == "policy_secrets":
                secrets[name] = found.material.secrets[name]
    return Needed(trust, certificates, secrets)


def refresh_facts(
    memo: PolicyMemo, keys: Iterable[ObjectKey], looks: Callable[[PolicyKind], Looks], controller_name: str
) -> set[ObjectKey]:
    """Say anew what becomes of some policies, those that are gone among them.

    Returns:
        Gateways that found a place in a status, or have none any more.
    """
    kinds = {kind.kind: kind for kind in memo.kinds}
    moved: set[ObjectKey] = set()
    for key in keys:
        judged, old, new = memo.judged.get(key), memo.facts.pop(key, None), None
        if judged is not None:
            kind = kinds[key.kind]
            new = memo.facts[key] = policy_facts(kind, judged, looks(kind), controller_name)
        memo.watchers.replace(key, new.reads if new is not None else frozenset())
        before, after = (frozenset(item.beyond if item is not None else ()) for item in (old, new))
        for gateway in before - after:
            memo.beyond[gateway].discard(key)
        for gateway in after - before:
            memo.beyond.setdefault(gateway, set()).add(key)
        moved |= before ^ after
    return moved
