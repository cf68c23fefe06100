"""One set of manifests as its data planes have it, in the form in which two sets can be compared.

- In a cluster each Gateway has addresses of its own, and so a table of its own; `serve` has one for all of them.
- Which endpoints a backend has says nothing: one stands for all of them.
- The backends of a rule have one order, so that the first of them is the same in both sets.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

from sluicegate import ir
from sluicegate.engine.limits import PathNormalization

from ..decision import Answer, Decision
from ..offline import Offline
from ..request import Connection, Request
from ..table import Table

Rule: TypeAlias = ir.HttpRule | ir.L4Rule
#: What a backend is taken to answer, so that what becomes of its fields can be seen.
SAMPLE = Answer(status=200, headers=(("content-type", "text/plain"), ("x-powered-by", "probe")))


class Side:
    """A set of manifests.

    Attributes:
        resources: what the engine would have of it.
        named: calls virtual objects in a text what people know.
        planes: tables by `<namespace>/<name>` of the Gateway; by an empty name where all share one.
    """

    def __init__(
        self, offline: Offline, path_normalization: PathNormalization = "strict", *, with_endpoints: bool = False
    ) -> None:
        """Take manifests.

        Args:
            offline: them.
            path_normalization: the engine setting of that name.
            with_endpoints: whether a backend without an endpoint has none; else somebody else makes them.
        """
        transaction = offline.transaction()
        self.named: Callable[[str], str] = offline.ingresses.named if offline.ingresses is not None else str
        self.resources = _comparable(transaction.upsert, with_endpoints=with_endpoints)
        self._transaction = msgspec.structs.replace(transaction, upsert=self.resources)
        self._path_normalization = path_normalization
        self._is_cut = offline.for_cluster
        self._secrets = {item.id: item for item in transaction.secrets.policy_secrets}
        self.attachments = {item.id: item for item in self.resources.attachments}
        self.backends = {item.id: item for item in self.resources.backends}
        self.policies = {item.id: item for item in self.resources.policies}
        self.planes: dict[str, Plane] = {}

    def plane_of(self, listener: ir.Listener) -> str:
        """Name of the data plane of a listener."""
        return listener.gateway if self._is_cut else ""

    def plane(self, name: str) -> Plane:
        """A data plane by its name; one that is not there has no listener."""
        found = self.planes.get(name)
        if found is None:
            transaction = self._cut(name) if self._is_cut else self._transaction
            found = self.planes[name] = Plane(transaction, self._path_normalization)
        return found

    def _cut(self, gateway: str) -> ir.Transaction:
        """What one Gateway has."""
        listeners = tuple(item for item in self.resources.listeners if item.gateway == gateway)
        attachments = tuple(item for item in self.resources.attachments if item.gateway == gateway)
        ids, groups = {item.id for item in listeners}, {item.id for item in attachments}
        resources = msgspec.structs.replace(
            self.resources,
            listeners=listeners,
            attachments=attachments,
            http_rules=tuple(_attached(self.resources.http_rules, ids, groups)),
            l4_rules=tuple(_attached(self.resources.l4_rules, ids, groups)),
        )
        return msgspec.structs.replace(self._transaction, upsert=resources)

    # --- What something is made of, whatever it is called by ------------------------------------------------------

    def content_of_policy(self, name: str) -> bytes:
        """A policy, or a part of one, with what it knows; it is compared, and never shown."""
        found = self._contents.get(name)
        return found if found is not None else b""

    @functools.cached_property
    def _contents(self) -> dict[str, bytes]:
        secrets: dict[str, list[bytes]] = {}
        for name, item in sorted(self._secrets.items()):
            # It is called as its policy, or as a part of it.
            for end in (len(name), name.rfind("/")):
                secrets.setdefault(name[:end], []).append(item.data.encode())
        return {
            name: b"\0".join((msgspec.json.encode(item), *secrets.get(name, ())))
            for name, item in self.policies.items()
        }

    def content_of_rule(self, rule: Rule) -> bytes:
        """A rule with its policies and backends, without where it is attached."""
        own = msgspec.structs.replace(rule, listeners=(), attachments=())
        named = [item.backend for item in rule.backends if item.backend is not None]
        if isinstance(rule, ir.HttpRule):
            filters = (*rule.filters, *(each for item in rule.backends for each in item.filters))
            named += [item.backend for item in filters if isinstance(item, ir.Mirror)]
        backends = (self._content_of_backend(name) for name in dict.fromkeys(named))
        return b"\0".join((msgspec.json.encode(own), *map(self.content_of_policy, rule.policies), *backends))

    def content_of_listener(self, listener: ir.Listener) -> bytes:
        """A listener with its policies."""
        return b"\0".join((msgspec.json.encode(listener), *map(self.content_of_policy, listener.policies)))

    def _content_of_backend(self, name: str) -> bytes:
        backend = self.backends.get(name)
        if backend is None:
            return b""
        reached = b"1" if name in self._reached else b"0"
        policies = map(self.content_of_policy, backend.policies)
        return b"\0".join((msgspec.json.encode(backend), reached, *policies))

    @functools.cached_property
    def _reached(self) -> frozenset[str]:
        return frozenset(item.backend for item in self.resources.endpoints)


class Plane:
    """What one data plane has of a set.

    Attributes:
        listeners: by id.
    """

    def __init__(self, transaction: ir.Transaction, path_normalization: PathNormalization) -> None:
        self._transaction = transaction
        self._path_normalization = path_normalization
        self._table = Table(transaction, path_normalization)
        self.listeners = {item.id: item for item in transaction.upsert.listeners}

    def decide(self, asked: Request | Connection) -> Decision:
        """What it does."""
        return self._table.decide(asked, sample=SAMPLE if isinstance(asked, Request) else None)

    def decide_behind(self, asked: Request | Connection) -> Decision:
        """What it would do if all policies let the request pass."""
        return self._open.decide(asked, sample=SAMPLE if isinstance(asked, Request) else None)

    def rule(self, decision: Decision) -> Rule | None:
        """The rule that a decision names."""
        return self._table.rule(decision)

    @functools.cached_property
    def _open(self) -> Table:
        found = self._transaction.upsert
        resources = msgspec.structs.replace(
            found,
            policies=(),
            listeners=tuple(msgspec.structs.replace(item, policies=()) for item in found.listeners),
            http_rules=tuple(msgspec.structs.replace(item, policies=()) for item in found.http_rules),
            l4_rules=tuple(msgspec.structs.replace(item, policies=()) for item in found.l4_rules),
            backends=tuple(msgspec.structs.replace(item, policies=()) for item in found.backends),
        )
        secrets = msgspec.structs.replace(self._transaction.secrets, policy_secrets=())
        transaction = msgspec.structs.replace(self._transaction, upsert=resources, secrets=secrets)
        return Table(transaction, self._path_normalization)


def _comparable(resources: ir.Resources, *, with_endpoints: bool) -> ir.Resources:
    """The same with one endpoint for each backend, and in one order."""
    reached = {item.backend for item in resources.endpoints}
    endpoints = (
        ir.Endpoint(id=f"{item.id}@192.0.2.1:80", backend=item.id, address="192.0.2.1", port=80)
        for item in resources.backends
        if item.external is None and (item.id in reached or not with_endpoints)
    )
    return msgspec.structs.replace(
        resources,
        # Clients know the port that is written, whatever is bound for it.
        listeners=tuple(msgspec.structs.replace(item, bind_port=item.port) for item in resources.listeners),
        http_rules=tuple(map(_ordered, resources.http_rules)),
        l4_rules=tuple(map(_ordered, resources.l4_rules)),
        endpoints=tuple(endpoints),
    )


def _ordered(rule: Rule) -> Rule:
    """The same with its backends by name; those that cannot be used come last."""
    backends = sorted(rule.backends, key=lambda item: (item.backend is None, item.backend or "", str(item.filters)))
    return msgspec.structs.replace(rule, backends=tuple(backends))


def _attached(rules: Iterable[Rule], listeners: set[str], attachments: set[str]) -> Iterator[Rule]:
    """Rules that are attached to some of these, and to nothing else."""
    for rule in rules:
        here = tuple(item for item in rule.listeners if item in listeners)
        groups = tuple(item for item in rule.attachments if item in attachments)
        if here or groups:
            yield msgspec.structs.replace(rule, listeners=here, attachments=groups)
