"""Connections of TLS, TCP and UDP, gRPC methods and filters of listeners: each row a rule of ARCHITECTURE.md."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from parity_builds import Refused, agree, open_all

from sluicegate import ir
from sluicegate.reference import Connection, Decision, Request

P = ir.ListenerProtocol
HOP = ir.ListenerTls(certificates=("n/pair",))


def listener(name: str, protocol: P, port: int, hostname: str = "", **more: Any) -> ir.Listener:
    return ir.Listener(
        id=f"Gateway/n/g/{name}", gateway="n/g", port=port, bind_port=port, protocol=protocol, hostname=hostname, **more
    )


def l4_rule(kind: str, name: str, listeners: str, backends: str = "one", **more: Any) -> ir.L4Rule:
    """Backends: `one`, `one=3 two=1`, `-` for a reference that is invalid; empty for none."""
    weighted = [item.partition("=") for item in backends.split()]
    return ir.L4Rule(
        id=f"{kind}/n/{name}/0",
        route=f"{kind}/n/{name}",
        index=0,
        listeners=tuple(f"Gateway/n/g/{item}" for item in listeners.split()),
        backends=tuple(
            ir.WeightedBackend(backend=None if item == "-" else f"n/{item}:1", weight=int(weight or "1"))
            for item, _, weight in weighted
        ),
        **more,
    )


def table(listeners: list[ir.Listener], **resources: Any) -> bytes:
    backends = ("one", "two", "empty", "secured")
    return ir.encode(
        ir.Transaction(
            version=ir.VERSION,
            generation=1,
            full=True,
            upsert=ir.Resources(
                listeners=tuple(listeners),
                backends=tuple(
                    ir.Backend(id=f"n/{name}:1", policies=("n/p",) if name == "secured" else ()) for name in backends
                ),
                endpoints=tuple(
                    ir.Endpoint(id=f"n/{name}:1@10.0.0.1:1", backend=f"n/{name}:1", address="10.0.0.1", port=1)
                    for name in backends
                    if name != "empty"
                ),
                policies=(ir.BackendTls(id="n/p", hostname="s", invalid=True),),
                **resources,
            ),
        )
    )


def decide(data: bytes, asked: Request | Connection) -> Decision:
    return agree(data, open_all(data), asked)


def tcp(port: int, sni: str | None = None, **more: Any) -> Connection:
    return Connection(transport="tcp", bind_port=port, sni=sni, **more)


TLS = table(
    [
        listener("pass", P.TLS, 443, "*.a.test"),
        listener("https", P.HTTPS, 443, "www.a.test", tls=HOP),
        listener("terminate", P.TLS, 443, "b.test", tls=HOP),
        listener("any", P.TLS, 444),
        listener("http", P.HTTP, 80),
    ],
    l4_rules=(
        l4_rule("TLSRoute", "wide", "pass", hostnames=("*.a.test",)),
        l4_rule("TLSRoute", "wider", "pass", hostnames=("*.test",), created=1),
        l4_rule("TLSRoute", "exact", "pass any", "two", hostnames=("x.a.test",), created=9),
        l4_rule("TLSRoute", "younger", "pass", "two", hostnames=("x.a.test",), created=10),
        l4_rule("TLSRoute", "longer", "pass", "empty", hostnames=("*.b.a.test",)),
        l4_rule("TLSRoute", "plain", "terminate", "secured"),
        l4_rule("TLSRoute", "opaque", "pass", "secured", hostnames=("s.a.test",)),
        l4_rule("TLSRoute", "all", "any"),
    ),
)


@pytest.mark.parametrize(
    ("sni", "port", "found", "rule", "reason"),
    [
        ("x.a.test", 443, "pass", "exact", "forwarded"),
        ("X.A.Test", 443, "pass", "exact", "forwarded"),
        ("y.a.test", 443, "pass", "wide", "forwarded"),
        ("y.b.a.test", 443, "pass", "longer", "no_endpoint"),
        ("www.a.test", 443, None, None, "no_listener"),
        ("a.test", 443, None, None, "no_listener"),
        (None, 443, None, None, "no_listener"),
        ("b.test", 443, "terminate", "plain", "backend_invalid"),
        ("s.a.test", 443, "pass", "opaque", "forwarded"),
        ("x.a.test", 444, "any", "exact", "forwarded"),
        ("y.a.test", 444, "any", "all", "forwarded"),
        (None, 444, "any", "all", "forwarded"),
        ("x.a.test", 80, None, None, "no_listener"),
        ("x.a.test", 9, None, None, "no_listener"),
    ],
)
def test_tls(sni: str | None, port: int, found: str | None, rule: str | None, reason: str) -> None:
    decision = decide(TLS, tcp(port, sni))
    assert decision.listener == (found and f"Gateway/n/g/{found}")
    assert decision.rule == (rule and f"TLSRoute/n/{rule}/0")
    assert decision.reason == reason
    assert decision.outcome == ("forward" if reason == "forwarded" else "close")
    assert (decision.status, decision.match_index, decision.request, decision.response) == (0, None, None, None)
    assert bool(decision.endpoints) == (reason == "forwarded")


@pytest.mark.parametrize(
    ("authority", "sni", "status", "reason"),
    [
        ("www.a.test", "www.a.test", 404, "no_route"),
        ("www.a.test", "x.a.test", 0, "forwarded"),
        ("www.a.test", None, 0, "unrecognized_name"),
        ("www.a.test", "a.test", 0, "unrecognized_name"),
        ("x.a.test", "x.a.test", 0, "forwarded"),
        ("x.a.test", "b.test", 0, "backend_invalid"),
        ("x.a.test", "www.a.test", 421, "misdirected"),
        ("other.test", "www.a.test", 404, "no_listener"),
    ],
)
def test_https_beside_tls(authority: str, sni: str | None, status: int, reason: str) -> None:
    asked = Request(bind_port=443, sni=sni, method="GET", authority=authority, target="/")
    decision = decide(TLS, asked)
    assert (decision.status, decision.reason) == (status, reason)
    # What a TLS listener gets is carried, and not read.
    assert decision.request is None


@pytest.mark.parametrize(
    "field",
    [
        {"bind_port": -1},
        {"bind_port": 65_536},
        {"entropy": -1},
        {"entropy": 2**64},
        {"entropy": 0.5},
        {"address": "here"},
        {"scheme": "ftp"},
    ],
)
@pytest.mark.parametrize("asked", [{"transport": "tcp"}, {"method": "GET", "authority": "a.test", "target": "/"}])
def test_questions_that_are_none(asked: dict[str, Any], field: dict[str, Any]) -> None:
    """Every build says so to its caller."""
    data = msgspec.json.encode({"bind_port": 80, **asked, **field})
    for build in open_all(TLS).values():
        with pytest.raises(ValueError, match=r"."):
            build(data)


PORTS = table(
    [
        listener("tcp", P.TCP, 53),
        listener("udp", P.UDP, 53),
        listener("lonely", P.TCP, 54, addresses=("127.0.0.1",)),
        listener("closed", P.UDP, 55),
    ],
    l4_rules=(
        l4_rule("TCPRoute", "b", "tcp", "one=3 two=0 empty=1 secured=1 -=1", created=5),
        l4_rule("TCPRoute", "a", "tcp", "two", created=6),
        l4_rule("UDPRoute", "b", "udp", "one", created=0),
        l4_rule("UDPRoute", "a", "udp", "secured", created=0),
        l4_rule("UDPRoute", "c", "closed", "one=0"),
        l4_rule("TLSRoute", "hostname", "lonely", "two", hostnames=("x.test",)),
    ),
)


@pytest.mark.parametrize(
    ("entropy", "index", "reason"),
    [
        (0, 0, "forwarded"),
        (2, 0, "forwarded"),
        (3, 2, "no_endpoint"),
        (4, 3, "backend_invalid"),
        (5, 4, "backend_invalid"),
        (6, 0, "forwarded"),
        (2**64 - 1, 2, "no_endpoint"),
    ],
)
def test_tcp_weights(entropy: int, index: int, reason: str) -> None:
    decision = decide(PORTS, tcp(53, entropy=entropy))
    assert (decision.rule, decision.backend, decision.reason) == ("TCPRoute/n/b/0", index, reason)


@pytest.mark.parametrize(
    ("connection", "rule", "reason"),
    [
        # A policy about TLS means nothing to datagrams.
        (Connection(transport="udp", bind_port=53), "UDPRoute/n/a/0", "forwarded"),
        (Connection(transport="udp", bind_port=55), "UDPRoute/n/c/0", "no_backend"),
        (Connection(transport="udp", bind_port=54), None, "no_listener"),
        (tcp(55), None, "no_listener"),
        # TCP knows no name, whatever the bytes say.
        (tcp(54, "x.test"), None, "no_route"),
        (tcp(54, "x.test", address="127.0.0.1"), None, "no_route"),
        (tcp(54, address="::1"), None, "no_listener"),
    ],
)
def test_ports(connection: Connection, rule: str | None, reason: str) -> None:
    decision = decide(PORTS, connection)
    assert (decision.rule, decision.reason) == (rule, reason)


def test_no_route() -> None:
    decision = decide(table([listener("tcp", P.TCP, 1)]), tcp(1))
    assert (decision.listener, decision.rule, decision.reason) == ("Gateway/n/g/tcp", None, "no_route")


# --- gRPC -------------------------------------------------------------------------------------------------------

EXACT, REGEX = ir.ValueMatchKind.EXACT, ir.ValueMatchKind.REGULAR_EXPRESSION
METHODS: dict[str, ir.PathMatch] = {
    "both": ir.GrpcMethod(service="a.B", method="Get"),
    "service": ir.GrpcMethod(service="a.B"),
    "method": ir.GrpcMethod(method="Get"),
    "regex": ir.GrpcMethod(kind=REGEX, service="a[.]."),
    "regex-both": ir.GrpcMethod(kind=REGEX, service="a[.]B|x", method="G.*"),
    "any": ir.GrpcMethod(),
    "exact-path": ir.ExactPath(value="/a.B/Exact"),
    "path-regex": ir.RegularExpressionPath(value="/.*"),
    "prefix": ir.PathPrefix(value="/"),
}


def grpc_table(names: list[str], filters: tuple[ir.RequestHeaders, ...] = ()) -> bytes:
    rules = [
        ir.HttpRule(
            id=f"GRPCRoute/n/{name}/0",
            route=f"GRPCRoute/n/{name}",
            index=0,
            listeners=("Gateway/n/g/http",),
            matches=(ir.Match(path=METHODS[name]),),
            backends=(ir.WeightedBackend(backend="n/one:1", weight=1),),
            grpc=True,
        )
        for name in names
    ]
    return table([listener("http", P.HTTP, 80, filters=filters)], http_rules=tuple(rules))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a.B/Exact", ["exact-path", "regex", "service", "any", "path-regex", "prefix"]),
        ("/a.B/Get", ["regex-both", "regex", "both", "service", "method", "any", "path-regex", "prefix"]),
        ("/a.C/Get", ["regex", "method", "any", "path-regex", "prefix"]),
        ("/x/Go", ["regex-both", "any", "path-regex", "prefix"]),
        ("/xy/Go", ["any", "path-regex", "prefix"]),
        ("/a.B/get", ["regex", "service", "any", "path-regex", "prefix"]),
        ("/a.B/", ["path-regex", "prefix"]),
        ("/a.B", ["path-regex", "prefix"]),
        ("/a.B/Get/", ["path-regex", "prefix"]),
        ("/a.B/Get/x", ["path-regex", "prefix"]),
        ("/", ["path-regex", "prefix"]),
    ],
)
def test_grpc_methods(path: str, expected: list[str]) -> None:
    """All that hold, in order: the winner is taken away until none is left."""
    names, found = [*METHODS], []
    while names:
        asked = Request(bind_port=80, method="POST", authority="h.test", target=path)
        rule = decide(grpc_table(names), asked).rule
        if rule is None:
            break
        found.append(rule.split("/")[2])
        names.remove(found[-1])
    assert found == expected


# --- Filters of listeners ---------------------------------------------------------------------------------------


def test_listener_filters_come_before_matching() -> None:
    """GEP-5224: in order, before a rule is looked for, and never on the authority."""
    filters = (
        ir.RequestHeaders(
            set=(ir.HeaderValue(name="x-step", value="1"), ir.HeaderValue(name="Host", value="evil.test")),
            add=(ir.HeaderValue(name="HOST", value="evil.test"),),
            remove=("x-secret", "host"),
        ),
        ir.RequestHeaders(add=(ir.HeaderValue(name="x-step", value="2"),)),
    )
    matched = ir.HeaderMatch(name="x-step", value="1, 2")
    rules = tuple(
        ir.HttpRule(
            id=f"HTTPRoute/n/{name}/0",
            route=f"HTTPRoute/n/{name}",
            index=0,
            listeners=("Gateway/n/g/http",),
            matches=(ir.Match(path=ir.PathPrefix(value="/"), headers=headers),),
            filters=(ir.RequestHeaders(set=(ir.HeaderValue(name="x-rule", value="last"),)),),
            backends=(ir.WeightedBackend(backend="n/one:1", weight=1),),
        )
        for name, headers in (
            ("edited", (matched,)),
            ("as-sent", (ir.HeaderMatch(name="x-secret", value="s"), ir.HeaderMatch(name="x-step", value="0"))),
        )
    )
    sent = (("x-secret", "s"), ("x-step", "0"), ("x-kept", "k"))
    asked = Request(bind_port=80, method="GET", authority="h.test", target="/", headers=sent)
    decision = decide(table([listener("http", P.HTTP, 80, filters=filters)], http_rules=rules), asked)
    assert decision.rule == "HTTPRoute/n/edited/0"
    assert decision.request is not None
    assert decision.request.authority == "h.test"
    assert decision.request.headers == (("x-kept", "k"), ("x-step", "1"), ("x-step", "2"), ("x-rule", "last"))


# --- What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        table([listener("a", P.TCP, 1), listener("b", P.HTTP, 1)]),
        table([listener("a", P.TCP, 1), listener("b", P.TCP, 1)]),
        table([listener("a", P.UDP, 1), listener("b", P.UDP, 1)]),
        table([listener("a", P.TLS, 1), listener("b", P.HTTPS, 1, tls=HOP)]),
        table([listener("a", P.TLS, 1), listener("b", P.TCP, 1)]),
        table([listener("a", P.TCP, 1)], l4_rules=(l4_rule("TCPRoute", "r", "b"),)),
        table([listener("a", P.TCP, 1)], l4_rules=(l4_rule("TCPRoute", "r", "a", "unknown"),)),
    ],
)
def test_refused(wrong: bytes) -> None:
    with pytest.raises(Refused):
        open_all(wrong)
