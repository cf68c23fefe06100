"""Connections of TLS and TCP, and flows of UDP: listener, rule, backend (ARCHITECTURE.md, "6. L4")."""

from __future__ import annotations

import msgspec

from sluicegate import ir

from .contract import Connection, Decision, Request
from .decision import pick
from .listener import answers_requests, hostnames_of, listener_of, socket_of
from .passage import Facts
from .policies import judge_connection
from .table import Backend, Family, Listener, Socket, Table

#: Sockets that no request comes in by.
L4_ONLY = frozenset({Family.TCP, Family.UDP})


def connect(table: Table, connection: Connection) -> Decision:
    """Decide on one connection.

    Raises:
        ValueError: `connection.address` is not an IP address; a fault of the caller.
    """
    socket = socket_of(table, connection.bind_port, connection.address, is_udp=connection.transport == "udp")
    server_name = (connection.sni or "").lower() if socket is not None and socket.family is Family.TLS else ""
    listener = None if socket is None else listener_of(socket, server_name)
    if listener is None or answers_requests(listener):
        return _close("no_listener")
    rule = _rule(listener, server_name)
    if rule is None:
        return _close("no_route", listener)
    facts = Facts(
        address=connection.from_,
        sni=server_name or None,
        listener=listener.resource.id,
        route=rule.route,
        rule=rule.id,
        # Where TLS does not end nobody has shown anything.
        certificate=connection.certificate if _ends_tls(listener) else None,
    )
    held = listener.policies.get(rule.policies, ())
    said, denial = judge_connection(held, facts, listener.resource.policies)
    if denial is not None:
        decision = _close(denial.reason, listener)
    else:
        decision = _forward(table, listener, rule, connection.entropy)
    return msgspec.structs.replace(decision, rule=rule.id, policies=said)


def before_the_head(table: Table, socket: Socket, request: Request) -> Decision | None:
    """What becomes of a connection whose requests nobody here reads: it is carried, or ends in its handshake."""
    if socket.family in L4_ONLY:
        return _carried(table, request)
    speaks = "http" if socket.family is Family.HTTP else "https"
    if request.scheme not in {None, speaks}:
        return _close("scheme_mismatch")
    if speaks == "http":
        return None
    presented = listener_of(socket, (request.sni or "").lower())
    if presented is None:
        return _close("unrecognized_name")
    return None if answers_requests(presented) else _carried(table, request)


def _carried(table: Table, request: Request) -> Decision:
    connection = Connection(
        transport="tcp",
        bind_port=request.bind_port,
        address=request.address,
        sni=request.sni,
        entropy=request.entropy,
        from_=request.from_,
        certificate=request.certificate,
    )
    return connect(table, connection)


def _close(reason: str, listener: Listener | None = None, backend: int | None = None) -> Decision:
    """The end: a reset of TCP, a datagram dropped."""
    identity = None if listener is None else listener.resource.id
    return Decision(outcome="close", status=0, reason=reason, listener=identity, backend=backend)


def _rule(listener: Listener, server_name: str) -> ir.L4Rule | None:
    """The rule of the most specific hostname that fits; without a name only those without hostnames do."""
    for hostname in hostnames_of(server_name):
        rule = listener.l4_rules.get(hostname)
        if rule is not None:
            return rule
    return None


def _forward(table: Table, listener: Listener, rule: ir.L4Rule, entropy: int) -> Decision:
    index = pick(rule.backends, entropy)
    if index is None:
        return _close("no_backend", listener)
    identity = rule.backends[index].backend
    backend = None if identity is None else table.backends.get(identity)
    if backend is None or backend.policy_invalid or (backend.tls_invalid and _speaks_tls(listener)):
        return _close("backend_invalid", listener, index)
    if not backend.endpoints:
        return _close("no_endpoint", listener, index)
    return _opened(listener, index, backend)


def _speaks_tls(listener: Listener) -> bool:
    """Whether the gateway itself would speak TLS to a backend: bytes that are passed through are the client's."""
    resource = listener.resource
    is_passthrough = resource.protocol is ir.ListenerProtocol.TLS and resource.tls is None
    return not is_passthrough and resource.protocol is not ir.ListenerProtocol.UDP


def _ends_tls(listener: Listener) -> bool:
    """Whether connections come out of TLS that ends here."""
    return listener.resource.protocol is ir.ListenerProtocol.TLS and listener.resource.tls is not None


def _opened(listener: Listener, index: int, backend: Backend) -> Decision:
    return Decision(
        outcome="forward",
        status=0,
        reason="forwarded",
        listener=listener.resource.id,
        backend=index,
        endpoints=backend.endpoints,
    )
