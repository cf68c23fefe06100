"""The stages of policies within a translation: judged before routes, told about behind backends.

In between listeners, routes and backends ask which policies hold for them (`policies/attach`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from sluicegate import ir

from ..api import ObjectKey
from ..api.kinds import PARENT_KINDS
from .gateways import unit_of
from .memo import Memo
from .policies.attach import whole_of
from .policies.effective import Target
from .policies.looks import Around, PolicyLooks
from .policies.merges import Merges
from .policies.ports import Disagreement, disagreements, precedence, said_at
from .policies.registry import PolicyKind
from .policies.stage import conditions_of, judge, needed, refresh_facts, settle_names
from .world import Step

#: The kind that says how connections are treated.
CLIENTS = "ClientPolicy"


def update_policies(memo: Memo, step: Step, parents: set[ObjectKey]) -> set[ObjectKey]:
    """Judge policies, and name them in listeners.

    Adds what they are and were attached to to `dirty`, and parents that are told something else to `parents`.

    Returns:
        The policies that were judged.
    """
    policies = memo.policies
    judged, moved = judge(policies, step.snapshot, step.changes, step.dirty, memo.grants, step.options)
    step.dirty.update(moved)
    attached = {whole for read in moved if (whole := whole_of(read)) and whole.kind in PARENT_KINDS}
    for target in {*attached, *(Target(*key) for key in parents)}:
        _tell_affected(memo, target, parents)
    of_clients = (
        policies.judged[key].source.targets for key in judged if key.kind == CLIENTS and key in policies.judged
    )
    attached |= {target for targets in of_clients for target in targets}
    looked = {item for key in attached for item in policies.listeners.under.get(key, ())} | memo.moved_listeners
    memo.moved_listeners.clear()
    return judged | _name_in_listeners(memo, step, looked)


def ask_for_backends(memo: Memo) -> set[str]:
    """Note which backends policies of the IR ask, after routes are translated; returns those whose use changed."""
    policies = memo.policies
    changed: set[str] = set()
    for identifier in policies.touched:
        before = policies.asks.pop(identifier, (frozenset(), ()))
        # What a filter of a route came to is asked for by the route itself.
        is_known = identifier in policies.owners or identifier in policies.listener_made
        is_asked = is_known and policies.uses.get(identifier, 0) > 0
        used = policies.resources.get(identifier) if is_asked else None
        backends = frozenset(name for section, name in used.policy.needs() if section == "backends") if used else None
        after = (backends, _gateways_of(memo, identifier)) if backends else (frozenset(), ())
        if backends:
            policies.asks[identifier] = after
        if before == after:
            continue
        # A stanza stands among the routes that use a backend, by its own id.
        user = ObjectKey.parse(identifier)
        for name in before[0] - after[0]:
            memo.users[name].pop(user, None)
        for name in after[0]:
            memo.users.setdefault(name, {})[user] = after[1]
        changed |= before[0] | after[0]
    return changed


def _gateways_of(memo: Memo, identifier: str) -> tuple[ObjectKey, ...]:
    """Gateways at which a policy holds, by the id of a stanza of it."""
    policies, found = memo.policies, dict[ObjectKey, None]()
    if identifier in policies.listener_made:
        return (policies.listeners.places[policies.listener_made[identifier]][0],)
    for target in policies.judged[policies.owners[identifier]].source.targets:
        route = memo.routes.get(ObjectKey(*target[:3]))
        if route is not None:
            found |= dict.fromkeys(route.gateways)
        else:
            listeners = policies.listeners.under.get(target, ())
            found |= dict.fromkeys(policies.listeners.places[listener][0] for listener in listeners)
    return tuple(sorted(found))


def update_policy_facts(
    memo: Memo, step: Step, keys: set[ObjectKey], parents: set[ObjectKey], controller_name: str
) -> None:
    """Say anew what becomes of some policies, and put into the IR what is named; adds to `parents` as before."""
    policies = memo.policies
    around = Around(
        snapshot=step.snapshot,
        gateways=memo.gateways.items(),
        parents=memo.parents.items(),
        listeners=policies.listeners,
        routes=memo.routes,
        users=memo.users,
        service_backends=memo.service_backends,
        disagreements=policies.disagreements,
    )

    merges = Merges(policies.attached)

    def looks(kind: PolicyKind) -> PolicyLooks:
        return PolicyLooks(kind, around, merges)

    for gateway in refresh_facts(policies, keys, looks, controller_name):
        _tell_affected(memo, Target(*gateway), parents)
    found = {key: policies.facts[key] for key in keys if key in policies.facts}
    memo.statuses.replace_part(keys, {key: item.status for key, item in found.items()})
    memo.diagnostics.replace_part(keys, {key: item.diagnostics for key, item in found.items() if item.diagnostics})
    if settle_names(policies, memo.ir_policies) or memo.moved_material:
        found_needs = needed(policies)
        memo.trust.replace({**memo.part_trust, **found_needs.trust})
        # What listeners have goes first: an old certificate may serve on there.
        memo.certificates.replace({**found_needs.certificates, **memo.part_certificates})
        memo.policy_secrets.replace(dict(found_needs.secrets))
        memo.moved_material = False


def _tell_affected(memo: Memo, target: Target, parents: set[ObjectKey]) -> None:
    """Say what a Gateway or ListenerSet is told about policies; where that is new it is added to `parents`."""
    key = ObjectKey(*target[:3])
    before = memo.affected.get(target)
    found = conditions_of(memo.policies, target) if key in memo.parents.items() else {}
    if found:
        memo.affected.put(target, found)
    else:
        memo.affected.drop(target)
    if (found or None) != before:
        parents.add(key)


def _name_in_listeners(memo: Memo, step: Step, looked: set[str]) -> set[ObjectKey]:
    """Name policies in listeners, and in those that share a port with them.

    Returns:
        Policies that are told something else about that.
    """
    policies = memo.policies
    if policies.attached.is_any(CLIENTS) or policies.disagreements:
        looked |= _beside(memo, step, looked)
    names = {
        identifier: policies.attached.names(policies.listeners.places[identifier][1], on="listener")
        for identifier in looked
        if identifier in memo.part_listeners
    }
    found = list(_disagreements(memo, step, names)) if policies.attached.is_any(CLIENTS) else []
    told = policies.replace_disagreements(looked, found)
    for item in found:
        refused = {item.policy.id: item.refused.id}
        names[item.listener] = tuple(refused.get(name, name) for name in names[item.listener])
    for identifier in looked:
        _name_in_listener(memo, identifier, names.get(identifier, ()))
    return told


def _unit(memo: Memo, step: Step, gateway: str) -> str | None:
    """What a Gateway, `namespace/name`, shares its sockets with; None: it is gone."""
    namespace, _, name = gateway.partition("/")
    found = memo.gateways.get(ObjectKey("Gateway", namespace, name))
    return unit_of(found.object, memo.classes, step.options) if found is not None and memo.classes is not None else None


def _beside(memo: Memo, step: Step, looked: set[str]) -> set[str]:
    """Listeners that may share a port with some of these, or did."""
    known = (memo.part_listeners.get(item) or memo.listeners.get(item) for item in looked)
    units = {_unit(memo, step, gateway) for gateway in {item.gateway for item in known if item is not None}}
    beside = [key for key in memo.gateways.items() if _unit(memo, step, f"{key.namespace}/{key.name}") in units]
    return {item for key in beside for item in memo.policies.listeners.under.get(Target(*key), ())}


def _disagreements(memo: Memo, step: Step, names: Mapping[str, tuple[str, ...]]) -> Iterator[Disagreement]:
    policies, by_port = memo.policies, dict[tuple[str | None, bool, int], list[str]]()
    for identifier in names:
        listener = memo.part_listeners[identifier]
        is_udp, unit = listener.protocol is ir.ListenerProtocol.UDP, _unit(memo, step, listener.gateway)
        by_port.setdefault((unit, is_udp, listener.bind_port), []).append(identifier)
    for group in by_port.values():
        group.sort(key=lambda identifier: precedence(step.snapshot, *policies.listeners.places[identifier]))
        named = ((memo.part_listeners[identifier], names[identifier]) for identifier in group)
        yield from disagreements(
            [said_at(listener, (policies.resources[name].policy for name in found)) for listener, found in named]
        )


def _name_in_listener(memo: Memo, identifier: str, names: tuple[str, ...]) -> None:
    policies = memo.policies
    old, new = memo.listeners.get(identifier), memo.part_listeners.get(identifier)
    if new is not None:
        names = (*names, *policies.made_by.get(identifier, ()))
    policies.count(old.policies if old is not None else (), names)
    if new is None:
        memo.listeners.drop(identifier)
    else:
        memo.listeners.put(identifier, msgspec.structs.replace(new, policies=names) if names else new)
