"""What a route comes to, put in place of what it came to before: one route at a time.

Also says what else is touched: counts of routes, backends by their use, places that routes share.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import TypeVar

from sluicegate import ir

from ..api import ObjectKey
from .ledger import Ledger
from .memo import Memo, Pair
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
