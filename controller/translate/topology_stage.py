"""What parts of the topology come to, put in place of what stood there before."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate import ir

from .infrastructure.plan import plan
from .infrastructure.plane import PlaneRequest, ProvisionOptions
from .memo import Memo
from .parts import Replaced, joined


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
    _replace_listener_policies(memo, joined(old, "listener_policies"), joined(new, "listener_policies"))
    for name in before:
        memo.part_listeners.pop(name, None)
    memo.part_listeners.update(listeners)
    memo.diagnostics.replace_part(joined(old, "diagnostics"), joined(new, "diagnostics"))
    _replace_held(memo, replaced)
    _replace_served(memo, replaced)
    if options is not None:
        _replace_planes(memo, joined(old, "planes"), joined(new, "planes"), options)


def _replace_listener_policies(
    memo: Memo, old: Mapping[str, tuple[ir.StanzaBase, ...]], new: Mapping[str, tuple[ir.StanzaBase, ...]]
) -> None:
    """Policies that filters of listeners come to: which listeners have some, and what each is."""
    ids = {name: [item.id for item in made] for name, made in old.items()}
    now = {name: [item.id for item in made] for name, made in new.items()}
    memo.moved_listeners.update(name for name in ids.keys() | now.keys() if ids.get(name) != now.get(name))
    memo.policies.replace_made(
        [item for made in old.values() for item in made], [item for made in new.values() for item in made]
    )
    for name, made in ids.items():
        for identifier in made:
            memo.policies.listener_made.pop(identifier, None)
        memo.policies.made_by.pop(name, None)
    for name, made in now.items():
        memo.policies.listener_made.update(dict.fromkeys(made, name))
        memo.policies.made_by[name] = tuple(made)


def _replace_held(memo: Memo, replaced: Replaced) -> None:
    """Certificates and trust bundles: several parts may have the same one."""
    memo.moved_material = True
    for part in replaced.new:
        memo.holders.update((*part.certificates, *part.trust))
        memo.part_certificates.update(part.certificates)
        memo.part_trust.update(part.trust)
    for part in replaced.old:
        for name in (*part.certificates, *part.trust):
            memo.holders[name] -= 1
            if not memo.holders[name]:
                del memo.holders[name]
                memo.part_certificates.pop(name, None)
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
