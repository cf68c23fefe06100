"""TLSRoutes, TCPRoutes and UDPRoutes from manifests to traffic: `sluicegate serve` and real sockets."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from system_certificates import Authority
from system_clients import Http1, tls_context
from system_flows import TcpServer, UdpServer, named, read_all, read_exactly
from system_gateway import LIMIT, Gateway, until_refused
from system_manifests import (
    GROUP,
    Manifest,
    backend_tls_policy,
    config_map,
    gateway,
    https,
    listener,
    metadata,
    route,
    rule,
    secret,
    service,
)

TCP, UDP, TLS = 7000, 7000, 7443


@pytest.fixture
def server() -> Iterator[Callable[..., Any]]:
    """Start servers: TCP ones send their name and then echo, UDP ones answer their name and what came."""
    running: list[Any] = []

    def start_one(name: str, *, udp: bool = False, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        running.append(UdpServer(name) if udp else TcpServer(named(name), tls))
        address: tuple[str, int] = running[-1].address
        return address

    yield start_one
    for each in running:
        each.close()


def l4_route(kind: str, name: str, *backends: str | Manifest, section: str = "", **spec: Any) -> Manifest:
    parent = {"name": "gateway", **({"sectionName": section} if section else {})}
    references = [{"name": item, "port": 80} if isinstance(item, str) else item for item in backends]
    created = spec.pop("created", None)
    about = metadata(name, **({"creationTimestamp": created} if created else {}))
    spec = {"parentRefs": spec.pop("parents", [parent]), **spec, "rules": [{"backendRefs": references}]}
    return {"apiVersion": GROUP, "kind": kind, "metadata": about, "spec": spec}


def udp_service(name: str, address: tuple[str, int]) -> list[Manifest]:
    """The same as a Service of datagrams."""
    whole, endpoints = service(name, address)
    whole["spec"]["ports"][0]["protocol"] = endpoints["ports"][0]["protocol"] = "UDP"
    return [whole, endpoints]


def tls(name: str, mode: str, hostname: str, **rest: Any) -> Manifest:
    certificates = {"certificateRefs": [{"name": "certificate"}]} if mode == "Terminate" else {}
    return listener(name, TLS, "TLS", hostname=hostname, tls={"mode": mode, **certificates}, **rest)


def hello(found: Gateway, port: int = TCP) -> str:
    """The name of the backend that takes a connection; empty where it is reset, which may be seen by any call."""
    try:
        with socket.create_connection((found.address, port), LIMIT) as connection:
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection).decode()
    except OSError as error:
        if error.errno in {errno.ECONNRESET, errno.ENOTCONN}:
            return ""
        raise


def hello_tls(found: Gateway, name: str, context: ssl.SSLContext, port: int = TLS) -> str:
    """The same over TLS; empty where the handshake fails."""
    try:
        with (
            socket.create_connection((found.address, port), LIMIT) as connection,
            context.wrap_socket(connection, server_hostname=name) as secured,
        ):
            return read_exactly(secured, 3).decode()
    except (ssl.SSLError, ConnectionError):
        return ""


def ask(found: Gateway, data: bytes, port: int = UDP) -> str:
    """What comes back for a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT)
        client.connect((found.address, port))
        client.send(data)
        return client.recv(65536).decode()


def test_tcp_and_udp_of_one_port_number(start: Any, server: Any) -> None:
    one, two = server("one"), server("two", udp=True)
    found = start(
        gateway(listener("tcp", TCP, "TCP"), listener("udp", UDP, "UDP")),
        l4_route("TCPRoute", "tcp", "app"),
        l4_route("UDPRoute", "udp", "dns"),
        *service("app", one),
        *udp_service("dns", two),
    )
    assert hello(found) == "one"
    assert ask(found, b"query") == "two query"
    lines = {item["id"]: item for item in found.ready["listeners"]}
    assert lines["Gateway/default/gateway/tcp"]["url"] == f"tcp://{found.address}:{TCP}"
    assert lines["Gateway/default/gateway/udp"]["routes"][0]["backends"] == ["default/dns:80/udp"]
    assert not [item for item in found.ready["problems"] if item["severity"] != "info"]


def test_a_connection_outlives_the_change_of_its_route(start: Any, server: Any) -> None:
    one, two = server("one"), server("two")

    def objects(name: str) -> list[Manifest]:
        route_to = l4_route("TCPRoute", "route", name)
        return [gateway(listener("tcp", TCP, "TCP")), route_to, *service("one", one), *service("two", two)]

    found = start(*objects("one"))
    with socket.create_connection((found.address, TCP), LIMIT) as connection:
        assert read_exactly(connection, 3) == b"one"
        found.write(*objects("two"))
        assert hello(found) == "two"
        connection.sendall(b"still here")
        assert read_exactly(connection, 10) == b"still here"
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""


def test_weights_and_what_cannot_be_resolved(start: Any, server: Any) -> None:
    """One of three connections has no backend and is reset."""
    found = start(
        gateway(listener("tcp", TCP, "TCP"), listener("none", TCP + 1, "TCP")),
        l4_route("TCPRoute", "route", "one", "two", "missing", section="tcp"),
        *service("one", server("one")),
        *service("two", server("two")),
    )
    names = [hello(found) for _ in range(30)]
    # Each worker shares its own connections out.
    assert {name for name in ("one", "two", "") if abs(names.count(name) - 10) <= 3} == set(names)
    assert hello(found, TCP + 1) == ""
    assert {item["code"] for item in found.ready["problems"]} >= {"backend-not-found"}


def test_the_older_route_of_a_listener_has_it(start: Any, server: Any) -> None:
    one, two = server("one"), server("two")
    shared = [gateway(listener("tcp", TCP, "TCP")), *service("one", one), *service("two", two)]
    older = l4_route("TCPRoute", "z-older", "one", created="2026-01-01T00:00:00Z")
    newer = l4_route("TCPRoute", "a-newer", "two", created="2026-01-01T00:00:01Z")
    found = start(*shared, older, newer)
    assert {hello(found) for _ in range(10)} == {"one"}
    [told] = [item for item in found.ready["problems"] if item["code"] == "shadowed-route"]
    assert told["object"] == "TCPRoute/default/a-newer"
    found.write(*shared, newer)
    assert {hello(found) for _ in range(10)} == {"two"}


def test_tls_by_name_on_one_port(start: Any, server: Any, authority: Authority, tmp_path: Any) -> None:
    """Passed through, terminated, and HTTPS beside them; a name that nobody has gets no handshake."""
    certificate = authority.sign("terminated.test", "web.test")
    behind = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    behind.load_cert_chain(*authority.sign("through.test").write(tmp_path, "behind"))
    found = start(
        gateway(
            tls("through", "Passthrough", "through.test"),
            tls("terminated", "Terminate", "terminated.test"),
            https("web", TLS, hostname="web.test"),
        ),
        l4_route("TLSRoute", "through", "behind", hostnames=["*.test", "through.test"], section="through"),
        l4_route("TLSRoute", "terminated", "plain", hostnames=["terminated.test"], section="terminated"),
        route(rule("/", filters=[{"type": "RequestRedirect", "requestRedirect": {"hostname": "there.test"}}])),
        secret("certificate", certificate.certificate, certificate.key),
        *service("behind", server("tls", tls=behind)),
        *service("plain", server("raw")),
    )
    context = tls_context(authority.pem)
    assert hello_tls(found, "through.test", context) == "tls"
    assert hello_tls(found, "terminated.test", context) == "raw"
    assert hello_tls(found, "nobody.test", context) == ""
    client = Http1(found.address, TLS, context, "web.test")
    assert client.request("GET", "web.test", "/").status == 302
    client.close()


def test_tls_again_towards_the_backend(start: Any, server: Any, authority: Authority, tmp_path: Any) -> None:
    """BackendTLSPolicy with a TLSRoute that terminates and with a TCPRoute; a wrong name closes the connection."""
    certificate = authority.sign("terminated.test")
    behind = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    behind.load_cert_chain(*authority.sign("backend.test").write(tmp_path, "behind"))
    address = server("tls", tls=behind)
    found = start(
        gateway(
            tls("terminated", "Terminate", "terminated.test"),
            listener("tcp", TCP, "TCP"),
            listener("wrong", TCP + 1, "TCP"),
        ),
        l4_route("TLSRoute", "again", "behind", hostnames=["terminated.test"]),
        l4_route("TCPRoute", "tcp", "behind", section="tcp"),
        l4_route("TCPRoute", "wrong", "wrong", section="wrong"),
        secret("certificate", certificate.certificate, certificate.key),
        config_map("roots", authority.pem),
        backend_tls_policy("behind", "behind", "backend.test", "roots"),
        backend_tls_policy("wrong", "wrong", "other.test", "roots"),
        *service("behind", address),
        *service("wrong", address),
    )
    assert hello_tls(found, "terminated.test", tls_context(authority.pem)) == "tls"
    assert hello(found) == "tls"
    assert hello(found, TCP + 1) == ""


def test_a_listener_set_of_tcp_and_udp(start: Any, server: Any) -> None:
    """Its listeners come and go with it; those of the Gateway stay."""
    listeners = [listener("tcp", TCP + 1, "TCP"), listener("udp", UDP + 1, "UDP")]
    more = {
        "apiVersion": GROUP,
        "kind": "ListenerSet",
        "metadata": metadata("more"),
        "spec": {"parentRef": {"name": "gateway"}, "listeners": listeners},
    }
    parents = [{"kind": "ListenerSet", "name": "more"}]
    shared = [
        gateway(listener("tcp", TCP, "TCP"), allowedListeners={"namespaces": {"from": "Same"}}),
        l4_route("TCPRoute", "own", "one"),
        l4_route("TCPRoute", "tcp", "two", parents=parents),
        l4_route("UDPRoute", "udp", "dns", parents=parents),
        *service("one", server("one")),
        *service("two", server("two")),
        *udp_service("dns", server("three", udp=True)),
    ]
    found = start(*shared, more)
    assert (hello(found), hello(found, TCP + 1), ask(found, b"x", UDP + 1)) == ("one", "two", "three x")
    found.write(*shared)
    until_refused(found.address, TCP + 1)
    assert hello(found) == "one"
