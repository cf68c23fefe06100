"""From IR to a table: `compile`, and `merge` for transactions that are no full state (rules in `sluicegate.ir`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import TypeVar

import msgspec

from sluicegate import ir
from sluicegate.ir.join import join

from .checks import check_references
from .expression import ExpressionError, compile_expression
from .table import (
    Backend,
    Candidate,
    Family,
    GrpcTest,
    Listener,
    PathTest,
    Rank,
    SegmentTest,
    Socket,
    SocketKey,
    Table,
    ValueTest,
)

_FAMILIES = {
    ir.ListenerProtocol.HTTP: Family.HTTP,
    ir.ListenerProtocol.HTTPS: Family.TLS,
    ir.ListenerProtocol.TLS: Family.TLS,
    ir.ListenerProtocol.TCP: Family.TCP,
    ir.ListenerProtocol.UDP: Family.UDP,
}


class TableError(ValueError):
    """A transaction that is refused as a whole; `reasons` has a line for each resource that is wrong."""

    def __init__(self, reasons: list[str]) -> None:
        """One reason a line."""
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def compile(state: ir.Transaction | bytes) -> Table:  # noqa: A001 the word of the design
    """Compile a full state.

    Raises:
        sluicegate.ir.IrError: bytes that are no transaction.
        TableError: a dangling reference, an expression that does not compile, or two listeners in each other's way.
    """
    if isinstance(state, bytes):
        state = ir.decode(state)
    resources = state.upsert
    reasons: list[str] = []
    check_references(resources, state.secrets, reasons)
    attachments = {item.id: item for item in resources.attachments}
    candidates = _candidates(resources.http_rules, attachments, reasons)
    sockets = _sockets(resources, candidates, attachments, reasons)
    if reasons:
        raise TableError(reasons)
    first_sockets: dict[tuple[bool, int], Socket] = {}
    for key in sorted(sockets, key=_socket_order):
        first_sockets.setdefault((key[0], key[2]), sockets[key])
    secrets = {item.id: item.data for item in state.secrets.policy_secrets}
    return Table(state.generation, sockets, first_sockets, _backends(resources), secrets)


def merge(state: ir.Transaction, change: ir.Transaction) -> ir.Transaction:
    """Apply a transaction to a full state; the result is the full state after it.

    What is removed goes first, so that what is removed and sent anew is there afterwards.
    """
    if change.full:
        return change
    resources = ir.Resources(
        **{
            kind: _merged(getattr(state.upsert, kind), getattr(change.upsert, kind), getattr(change.remove, kind))
            for kind in ir.Resources.__struct_fields__
        }
    )
    secrets = ir.Secrets(
        **{
            kind: _merged(getattr(state.secrets, kind), getattr(change.secrets, kind), getattr(change.remove, kind))
            for kind in ir.Secrets.__struct_fields__
        }
    )
    return msgspec.structs.replace(change, full=True, upsert=resources, secrets=secrets, remove=ir.Removals())


_Resource = TypeVar(
    "_Resource", ir.Listener, ir.Attachment, ir.HttpRule, ir.L4Rule, ir.Backend, ir.Endpoint, ir.Policy, ir.Certificate
)


def _merged(
    before: Iterable[_Resource], upserted: Iterable[_Resource], removed: Iterable[str]
) -> tuple[_Resource, ...]:
    by_id = {resource.id: resource for resource in before}
    for identity in removed:
        by_id.pop(identity, None)
    by_id.update((resource.id, resource) for resource in upserted)
    return tuple(by_id.values())


# --- Candidates -------------------------------------------------------------------------------------------------


def _candidates(
    rules: Iterable[ir.HttpRule], attachments: Mapping[str, ir.Attachment], reasons: list[str]
) -> dict[str, dict[str, tuple[Candidate, ...]]]:
    """By listener id, then by hostname of the route, sorted."""
    unsorted: dict[str, dict[str, list[Candidate]]] = {}
    for rule in rules:
        candidates = list(_candidates_of(rule, reasons))
        for listener in _listeners_of(rule, attachments):
            by_hostname = unsorted.setdefault(listener, {})
            for hostname in rule.hostnames or ("",):
                by_hostname.setdefault(hostname, []).extend(candidates)
    return {
        listener: {
            hostname: tuple(sorted(candidates, key=attrgetter("rank"))) for hostname, candidates in by_hostname.items()
        }
        for listener, by_hostname in unsorted.items()
    }


def _listeners_of(rule: ir.HttpRule | ir.L4Rule, attachments: Mapping[str, ir.Attachment]) -> Iterator[str]:
    """All listeners of a rule; what it names and is not there is told as that (`checks`)."""
    yield from rule.listeners
    for name in rule.attachments:
        if name in attachments:
            yield from attachments[name].listeners


def _candidates_of(rule: ir.HttpRule, reasons: list[str]) -> Iterator[Candidate]:
    for index, matched in enumerate(rule.matches):
        try:
            yield _candidate(rule, index, matched)
        except ExpressionError as error:
            reasons.append(f"http_rule {rule.id}: matches[{index}]: {error}")


def _candidate(rule: ir.HttpRule, index: int, matched: ir.Match) -> Candidate:
    return Candidate(
        rule=rule,
        match_index=index,
        rank=_rank(rule, index, matched),
        path=_path_test(matched.path),
        method=matched.method,
        headers=tuple(_value_test(header, header.name.lower()) for header in matched.headers),
        query=tuple(_value_test(parameter, parameter.name) for parameter in matched.query),
    )


def _rank(rule: ir.HttpRule, index: int, matched: ir.Match) -> Rank:
    """Precedence within one hostname (ARCHITECTURE.md, "4. Rule"; `HTTPRouteRule.matches`)."""
    method_length, is_expression = 0, False
    match matched.path:
        case ir.ExactPath():
            # All exact paths that hold are the same one.
            kind, length = 0, 0
        case ir.GrpcMethod(service=service, method=method):
            kind, length, method_length = 1, len((service or "").encode()), len((method or "").encode())
            is_expression = bool(service or method) and matched.path.kind is ir.ValueMatchKind.REGULAR_EXPRESSION
        case ir.RegularExpressionPath(value=pattern):
            kind, length = 2, len(pattern.encode())
        case ir.PathPrefix(value=prefix):
            kind, length = 3, len(prefix.encode())
    return (
        kind,
        -length,
        -method_length,
        is_expression,
        not matched.method,
        -len(matched.headers),
        -len(matched.query),
        rule.created,
        rule.route.encode(),
        rule.index,
        index,
    )


def _path_test(path: ir.PathMatch) -> PathTest:
    if isinstance(path, ir.ExactPath):
        return PathTest(exact=path.value)
    if isinstance(path, ir.PathPrefix):
        return PathTest(prefix="" if path.value == "/" else path.value)
    if isinstance(path, ir.GrpcMethod):
        return PathTest(grpc=GrpcTest(_segment_test(path, path.service), _segment_test(path, path.method)))
    return PathTest(expression=compile_expression(path.value))


def _segment_test(path: ir.GrpcMethod, part: str | None) -> SegmentTest:
    if not part:
        return SegmentTest()
    if path.kind is ir.ValueMatchKind.REGULAR_EXPRESSION:
        return SegmentTest(expression=compile_expression(part))
    return SegmentTest(value=part)


def _value_test(test: ir.HeaderMatch | ir.QueryMatch, name: str) -> ValueTest:
    is_expression = test.kind is ir.ValueMatchKind.REGULAR_EXPRESSION
    expression = compile_expression(test.value) if is_expression else None
    return ValueTest(name.encode(), test.value.encode(), expression)


# --- L4 rules ---------------------------------------------------------------------------------------------------


def _l4_rules(resources: ir.Resources, attachments: Mapping[str, ir.Attachment]) -> dict[str, dict[str, ir.L4Rule]]:
    """The rule that takes connections, by listener id, then by hostname of the route (ARCHITECTURE.md, "6. L4").

    Nothing but the hostname tells two rules of a listener apart, so of those with the same one the first takes all.
    """
    first: dict[str, dict[str, ir.L4Rule]] = {}
    for rule in sorted(resources.l4_rules, key=lambda rule: (rule.created, rule.route.encode(), rule.index)):
        for listener in _listeners_of(rule, attachments):
            for hostname in rule.hostnames or ("",):
                first.setdefault(listener, {}).setdefault(hostname, rule)
    return first


# --- Sockets ----------------------------------------------------------------------------------------------------


def _sockets(
    resources: ir.Resources,
    candidates: dict[str, dict[str, tuple[Candidate, ...]]],
    attachments: Mapping[str, ir.Attachment],
    reasons: list[str],
) -> dict[SocketKey, Socket]:
    """Listeners of whatever Gateway that are bound to one address and port share a socket."""
    l4_rules = _l4_rules(resources, attachments)
    policies = {policy.id: policy for policy in resources.policies}
    named: dict[str, set[tuple[str, ...]]] = {}
    rules: tuple[ir.HttpRule | ir.L4Rule, ...] = (*resources.http_rules, *resources.l4_rules)
    for rule in rules:
        for identity in _listeners_of(rule, attachments):
            named.setdefault(identity, set()).add(rule.policies)
    sockets: dict[SocketKey, Socket] = {}
    for resource in resources.listeners:
        joined = _joined(resource, named.get(resource.id, ()), policies)
        listener = Listener(resource, candidates.get(resource.id, {}), l4_rules.get(resource.id, {}), joined)
        family = _FAMILIES[resource.protocol]
        # Hostnames are nothing that TCP and UDP know.
        hostname = resource.hostname if family in {Family.HTTP, Family.TLS} else ""
        for key in _socket_keys(resource):
            socket = sockets.setdefault(key, Socket(family, {}))
            if socket.family is not family:
                reasons.append(f"listener {resource.id}: speaks another protocol than its port {key[2]}")
            elif hostname in socket.listeners:
                other = socket.listeners[hostname].resource.id
                reasons.append(f"listener {resource.id}: has the port and hostname of {other}")
            else:
                socket.listeners[hostname] = listener
    return sockets


def _joined(
    listener: ir.Listener, named: Iterable[tuple[str, ...]], policies: dict[str, ir.Policy]
) -> dict[tuple[str, ...], tuple[ir.StanzaBase, ...]]:
    """What holds for the rules of a listener, by the policies that they name; none: for what has no rule too."""
    is_http = listener.protocol in {ir.ListenerProtocol.HTTP, ir.ListenerProtocol.HTTPS}
    place = "http_rule" if is_http else "l4_rule"
    # What is not there is told as a reason.
    above = [policies[name] for name in listener.policies if name in policies]
    return {
        names: tuple(
            policy
            for policy in join(above, (policies[name] for name in names if name in policies))
            if policy.holds_below(place)
        )
        for names in {(), *named}
    }


def _socket_keys(listener: ir.Listener) -> list[SocketKey]:
    is_udp = listener.protocol is ir.ListenerProtocol.UDP
    if not listener.addresses:
        return [(is_udp, None, listener.bind_port)]
    return [(is_udp, str(ipaddress.ip_address(address)), listener.bind_port) for address in listener.addresses]


def _socket_order(key: SocketKey) -> tuple[int, bytes]:
    """Every address, then IPv4, then IPv6, each by its octets."""
    if key[1] is None:
        return (0, b"")
    address = ipaddress.ip_address(key[1])
    return (address.version, address.packed)


# --- Backends and references ------------------------------------------------------------------------------------


def _backends(resources: ir.Resources) -> dict[str, Backend]:
    ready: dict[str, list[str]] = {backend.id: [] for backend in resources.backends}
    draining: dict[str, list[str]] = {backend.id: [] for backend in resources.backends}
    for endpoint in resources.endpoints:
        group = ready if endpoint.state is ir.EndpointState.READY else draining
        group[endpoint.backend].append(endpoint.id)
    for backend in resources.backends:
        if backend.external is not None:
            ready[backend.id] = [f"{backend.id}@{backend.external.hostname}:{backend.external.port}"]
    policies = {policy.id: policy for policy in resources.policies}
    return {
        backend.id: Backend(
            endpoints=tuple(sorted(ready[backend.id] or draining[backend.id], key=str.encode)),
            tls_invalid=_is_invalid(ir.BackendTls, named := [policies[name] for name in backend.policies]),
            policy_invalid=_is_invalid(ir.BackendPolicy, named) or _is_invalid(ir.BackendTraffic, named),
            session=next((item.session for item in named if isinstance(item, ir.BackendTraffic)), None),
        )
        for backend in resources.backends
    }


def _is_invalid(
    kind: type[ir.BackendTls | ir.BackendPolicy | ir.BackendTraffic], policies: Iterable[ir.Policy]
) -> bool:
    """Of several policies of one kind the first counts."""
    found = next((policy for policy in policies if isinstance(policy, kind)), None)
    return found is not None and found.invalid
