"""The engine's configuration as a value, and the difference of two such values as a transaction.

A `State` is immutable and shares what did not change with the one before. It remembers which ids differ from that one,
so the usual transaction (the next state after the last) costs as much as the change, not as much as the table; any
other pair is compared by identity first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from sluicegate import ir

#: Kinds of resources, as the fields of `State`, of `ir.Resources` and of `ir.Removals`; secrets go last.
RESOURCE_KINDS = (
    "listeners",
    "attachments",
    "http_rules",
    "l4_rules",
    "backends",
    "endpoints",
    "policies",
    "trust",
    "certificates",
    "policy_secrets",
)
#: Those of `ir.Secrets`.
_SECRETS = ("certificates", "policy_secrets")

_T = TypeVar("_T")


def _nothing() -> Mapping[str, _T]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All resources of the IR, by kind and id.

    Attributes:
        serial: number of this state; unique in its translator.
        base: serial of the state before.
        changed: ids that differ from the state before, by kind.
        owner: the translator that numbered it.
    """

    listeners: Mapping[str, ir.Listener] = field(default_factory=_nothing)
    attachments: Mapping[str, ir.Attachment] = field(default_factory=_nothing)
    http_rules: Mapping[str, ir.HttpRule] = field(default_factory=_nothing)
    l4_rules: Mapping[str, ir.L4Rule] = field(default_factory=_nothing)
    backends: Mapping[str, ir.Backend] = field(default_factory=_nothing)
    endpoints: Mapping[str, ir.Endpoint] = field(default_factory=_nothing)
    policies: Mapping[str, ir.PolicyBase] = field(default_factory=_nothing)
    trust: Mapping[str, ir.Trust] = field(default_factory=_nothing)
    certificates: Mapping[str, ir.Certificate] = field(default_factory=_nothing)
    policy_secrets: Mapping[str, ir.PolicySecret] = field(default_factory=_nothing)
    serial: int = 0
    base: int = -1
    changed: Mapping[str, Set[str]] = field(default_factory=_nothing)
    owner: object = None

    def table(self, kind: str) -> Mapping[str, object]:
        """Return the resources of one kind."""
        found: Mapping[str, object] = getattr(self, kind)
        return found


def ir_transaction(previous: State | None, new: State, generation: int) -> ir.Transaction:
    """Make the smallest transaction that leads from one state to the other.

    Args:
        previous: what the engine has; None: nothing is known, so the transaction is full.
        new: what it is to have.
        generation: number of the transaction, larger than all before.
    """
    upserts: dict[str, tuple[object, ...]] = {}
    removals: dict[str, tuple[str, ...]] = {}
    for kind in RESOURCE_KINDS:
        table = new.table(kind)
        if previous is None:
            upserts[kind] = tuple(table[key] for key in sorted(table))
            continue
        # A transaction has one order, whatever led to it.
        ids = sorted(changed_ids(previous, new, kind))
        before = previous.table(kind)
        upserts[kind] = tuple(table[key] for key in ids if key in table and before.get(key) != table[key])
        removals[kind] = tuple(key for key in ids if key not in table and key in before)
    secrets = {kind: upserts.pop(kind) for kind in _SECRETS}
    return ir.Transaction(
        version=ir.VERSION,
        generation=generation,
        full=previous is None,
        upsert=ir.Resources(**upserts),  # type: ignore[arg-type]
        secrets=ir.Secrets(**secrets),  # type: ignore[arg-type]
        remove=ir.Removals(**removals),
    )


def is_empty(transaction: ir.Transaction) -> bool:
    """Whether a transaction changes nothing."""
    return (
        not transaction.full
        and transaction.upsert == ir.Resources()
        and transaction.secrets == ir.Secrets()
        and transaction.remove == ir.Removals()
    )


def changed_ids(previous: State, new: State, kind: str) -> Iterable[str]:
    """Ids of a kind that may differ between two states, in any order."""
    if previous.owner is new.owner and previous.owner is not None:
        if previous.serial == new.serial:
            return ()
        if previous.serial == new.base:
            return new.changed.get(kind, ())
    old, table = previous.table(kind), new.table(kind)
    if old is table:
        return ()
    found = [key for key, value in table.items() if old.get(key) is not value]
    found += [key for key in old if key not in table]
    return found
