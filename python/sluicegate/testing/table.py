"""The native routing table of some manifests, and what stands behind its answers: for `Routes` and `explain`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from sluicegate import ir
from sluicegate.engine.limits import PathNormalization
from sluicegate.engine.native import RouteTable

from .decision import Answer, Decision, Forwarded, Outcome, PolicyVerdict, Reason, WeightedBackend
from .request import Connection, Request


class _Native(msgspec.Struct, frozen=True):
    """An answer of the native table (ARCHITECTURE.md, "The `decide` contract")."""

    outcome: Outcome
    status: int
    reason: Reason
    listener: str | None
    rule: str | None
    match: int | None
    backend: int | None
    endpoints: tuple[str, ...]
    request: Forwarded | None
    mirrors: tuple[str, ...]
    response: Answer | None
    policies: tuple[PolicyVerdict, ...]


class Table:
    """A transaction, compiled."""

    def __init__(
        self, transaction: ir.Transaction, path_normalization: PathNormalization = "strict", port_offset: int = 0
    ) -> None:
        """Compile a full state; `path_normalization` and `port_offset` as the gateway's settings have them."""
        self.resources = transaction.upsert
        self._transaction = transaction
        self._port_offset = port_offset
        self._path_normalization = path_normalization
        # By transport and port: there may be thousands, and a port is asked for again and again.
        self._listeners: dict[tuple[bool, int], list[ir.Listener]] = {}
        self._native = RouteTable(ir.encode(transaction))
        self._rules: dict[str, ir.HttpRule | ir.L4Rule] = {rule.id: rule for rule in self.resources.http_rules}
        self._rules.update((rule.id, rule) for rule in self.resources.l4_rules)

    def decide(self, request: Request | Connection, entropy: int = 0, sample: Answer | None = None) -> Decision:
        """Say what the gateway does with a request or a connection.

        Args:
            request: it.
            entropy: as `Routes.decide` has it.
            sample: what a backend answers; the decision has what becomes of it.
        """
        found = msgspec.json.decode(self._native.decide(self.native_request(request, entropy, sample)), type=_Native)
        rule = self._rules.get(found.rule) if found.rule is not None else None
        backends = rule.backends if rule is not None else ()
        return Decision(
            outcome=found.outcome,
            status=found.status,
            reason=found.reason,
            listener=found.listener,
            route=rule.route if rule is not None else None,
            rule=rule.index if rule is not None else None,
            match=found.match,
            backend=backends[found.backend].backend if found.backend is not None else None,
            backends=tuple(WeightedBackend(backend=item.backend, weight=item.weight) for item in backends),
            endpoints=tuple(item.rpartition("@")[2] for item in found.endpoints),
            request=found.request,
            mirrors=found.mirrors,
            response=found.response,
            policies=found.policies,
        )

    def variant(
        self,
        rule: ir.HttpRule | ir.L4Rule | None,
        policies: Iterable[ir.Policy] = (),
        endpoints: Iterable[ir.Endpoint] = (),
    ) -> Table:
        """A table with no other rule than this one: what the gateway would do, were some things otherwise.

        Args:
            rule: of this table; None: there is none.
            policies: stand in for those that have their ids.
            endpoints: all that there are.
        """
        of = {item.id: item for item in policies}
        resources = msgspec.structs.replace(
            self.resources,
            http_rules=(rule,) if isinstance(rule, ir.HttpRule) else (),
            l4_rules=(rule,) if isinstance(rule, ir.L4Rule) else (),
            endpoints=tuple(endpoints),
            policies=tuple(of.get(item.id, item) for item in self.resources.policies),
        )
        transaction = msgspec.structs.replace(self._transaction, upsert=resources)
        return Table(transaction, self._path_normalization, self._port_offset)

    def rule(self, decision: Decision) -> ir.HttpRule | ir.L4Rule | None:
        """The rule that a decision names."""
        return self._rules.get(f"{decision.route}/{decision.rule}") if decision.route is not None else None

    def listeners_at(self, request: Request | Connection) -> list[ir.Listener]:
        """Listeners of the port that a client connects to: the one that is bound, else the one that is written.

        UDP has ports of its own.
        """
        is_udp = isinstance(request, Connection) and request.protocol == "udp"
        known = self._listeners.get((is_udp, request.port))
        if known is None:
            fitting = [
                item for item in self.resources.listeners if (item.protocol is ir.ListenerProtocol.UDP) == is_udp
            ]
            bound = [item for item in fitting if item.bind_port == request.port]
            known = bound or [item for item in fitting if item.port - self._port_offset == request.port]
            self._listeners[is_udp, request.port] = known
        return known

    def native_request(self, request: Request | Connection, entropy: int = 0, sample: Answer | None = None) -> bytes:
        """The request as the table is asked: on the socket that a client of this URL reaches."""
        listener = next(iter(self.listeners_at(request)), None)
        bind_port = listener.bind_port if listener is not None else request.port
        document: dict[str, Any] = {"bind_port": bind_port, "sni": request.server_name, "entropy": entropy}
        if request.client is not None:
            document["from"] = request.client
        if isinstance(request, Connection):
            document["transport"] = "udp" if request.protocol == "udp" else "tcp"
            return msgspec.json.encode(document)
        document |= {
            "scheme": request.scheme,
            "method": request.method,
            "authority": request.authority,
            "target": request.target,
            "path_normalization": self._path_normalization,
            "headers": request.headers,
        }
        if sample is not None:
            document["response"] = sample
        if request.identity is not None:
            document["identity"] = request.identity
        return msgspec.json.encode(document)
