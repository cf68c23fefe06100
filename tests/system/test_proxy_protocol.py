"""The PROXY protocol of clients, on every kind of listener: who is believed, and what then knows of the client."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_backends import LIMIT, Backend, echo
from system_certificates import Authority
from system_clients import Http1, Http2, tls_context
from system_flows import read_all
from system_gateway import Gateway, until
from system_manifests import (
    backend_policy,
    gateway,
    https,
    listener,
    metadata,
    policy,
    route,
    rule,
    secret,
    service,
    target,
)

HOST = "www.test"
#: Listeners: plain, TLS, TCP, TLS passed through and terminated; then those that are otherwise.
HTTP, HTTPS, TCP, TLS = 8080, 8443, 7000, 7443
OPTIONAL, UNTRUSTED, DISABLED = 8081, 8082, 8083
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v1(client: str, port: int = 4711, local: str = "198.51.100.1", local_port: int = 80) -> bytes:
    family = "TCP6" if ":" in client else "TCP4"
    return f"PROXY {family} {client} {local} {port} {local_port}\r\n".encode()


def v2(
    client: str, port: int = 4711, local: str = "198.51.100.1", local_port: int = 80, *, added: bytes = b""
) -> bytes:
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    addresses = socket.inet_pton(family, client) + socket.inet_pton(family, local)
    rest = addresses + struct.pack("!HH", port, local_port) + added
    return SIGNATURE + bytes((0x21, 0x21 if ":" in client else 0x11)) + struct.pack("!H", len(rest)) + rest


#: The proxy's own connection, and one of which nothing is known.
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
UNKNOWN = b"PROXY UNKNOWN\r\n"
#: What no proxy sends for a TCP connection, and nothing that could be a header.
TLVS = b"\x04\x00\x03abc" + b"\x20\x00\x10" + bytes(16)


class Told(Backend):
    """Reads a PROXY header of version 1 before each connection, and remembers it."""

    def __init__(self, name: str) -> None:
        self.lines: list[str] = []
        super().__init__(echo(name))

    def serve(self, connection: socket.socket) -> None:
        line = b""
        while not line.endswith(b"\n"):
            line += connection.recv(1)
        self.lines.append(line.decode().strip())
        super().serve(connection)


def flows(kind: str, name: str, backend: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1alpha2",
        "kind": kind,
        "metadata": metadata(name),
        "spec": {
            "parentRefs": [{"name": "gateway", "sectionName": name}],
            **spec,
            "rules": [{"backendRefs": [{"name": backend, "port": 80}]}],
        },
    }


class World:
    """A gateway all of whose ports want the PROXY protocol of 127.0.0.0/8, but for three."""

    def __init__(self, start: Any, backend: Any, authority: Authority, folder: Path) -> None:
        self.log = folder / "access.log"
        self.app: Backend = backend("app")
        self.told = Told("told")
        pair = authority.sign(HOST, "passed.test")
        self.trust = authority
        self.far = Backend(echo("far"), tls=self._server_context(pair, folder))
        address = {"trustedProxies": ["127.0.0.0/8"], "proxyProtocol": "Required"}
        tls = {"certificateRefs": [{"name": "certificate"}]}
        self.gateway: Gateway = start(
            gateway(
                listener("http", HTTP),
                https("https", HTTPS),
                listener("tcp", TCP, "TCP"),
                listener("passed", TLS, "TLS", hostname="passed.test", tls={"mode": "Passthrough"}),
                listener("ended", TLS, "TLS", hostname=HOST, tls={"mode": "Terminate", **tls}),
                listener("optional", OPTIONAL),
                listener("untrusted", UNTRUSTED),
                listener("disabled", DISABLED),
            ),
            route(rule("/hashed", "told"), rule("/allowed", "app", name="allowed"), rule("/", "app")),
            flows("TCPRoute", "tcp", "told"),
            flows("TLSRoute", "ended", "told", hostnames=[HOST]),
            flows("TLSRoute", "passed", "far", hostnames=["passed.test"]),
            *service("app", self.app.address),
            *service("told", self.told.address),
            *service("far", self.far.address),
            secret("certificate", pair.certificate, pair.key),
            backend_policy("told", "told", connection={"proxyProtocol": "v1"}),
            policy("ClientPolicy", "all", target("Gateway", "gateway"), clientAddress=address),
            policy(
                "ClientPolicy",
                "optional",
                target("Gateway", "gateway", "optional"),
                clientAddress={**address, "proxyProtocol": "Optional"},
            ),
            policy(
                "ClientPolicy",
                "untrusted",
                target("Gateway", "gateway", "untrusted"),
                clientAddress={**address, "trustedProxies": ["192.0.2.0/24"]},
            ),
            policy(
                "ClientPolicy",
                "disabled",
                target("Gateway", "gateway", "disabled"),
                clientAddress={"mode": "Disabled"},
            ),
            policy(
                "AccessPolicy",
                "allowed",
                target("HTTPRoute", "route", "allowed"),
                authorization={"rules": [{"name": "office", "action": "Allow", "clients": ["203.0.113.0/24"]}]},
            ),
            arguments=("--access-log", str(self.log)),
        )

    @staticmethod
    def _server_context(pair: Any, folder: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair.write(folder, "far"))
        return context

    def context(self, client: Any) -> ssl.SSLContext:
        return tls_context(self.trust.pem, "h2" if client is Http2 else "http/1.1")

    def connect(self, client: Any, port: int, first: bytes) -> Any:
        tls = self.context(client) if port == HTTPS else None
        return client(self.gateway.address, port, tls, HOST if tls else None, first=first)

    def ask(self, client: Any, port: int, first: bytes, path: str = "/", fields: Any = ()) -> Any:
        connection = self.connect(client, port, first)
        with contextlib.closing(connection):
            return connection.request("GET", HOST, path, fields)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def failures(self, reason: str) -> int:
        name = f'sluicegate_l4_failures_total{{reason="{reason}"}}'
        [line] = [line for line in self.gateway.admin("/metrics").splitlines() if line.startswith(name)]
        return int(line.rpartition(" ")[2])

    def is_reset(self, port: int, data: bytes) -> bool:
        """Whether a connection that says this is broken off, without a byte in answer."""
        try:
            # Who is refused before it says anything may learn of it while it connects.
            with socket.create_connection((self.gateway.address, port), LIMIT) as connection:
                connection.sendall(data)
                read_all(connection)
        except ConnectionResetError:
            return True
        return False


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(start, backend, authority, tmp_path_factory.mktemp("proxy"))
    yield found
    found.told.close()
    found.far.close()


@pytest.mark.parametrize("port", [HTTP, HTTPS, OPTIONAL])
@pytest.mark.parametrize(
    ("first", "address"),
    [
        pytest.param(v1("203.0.113.9"), "203.0.113.9", id="v1"),
        pytest.param(v2("203.0.113.9"), "203.0.113.9", id="v2"),
        pytest.param(v1("2001:db8::9", local="2001:db8::1"), "2001:db8::9", id="v1 of IPv6"),
        pytest.param(v2("2001:db8::9", local="2001:db8::1", added=TLVS), "2001:db8::9", id="v2 of IPv6, with more"),
        pytest.param(v1("::ffff:203.0.113.9", local="::1"), "203.0.113.9", id="IPv4 as IPv6"),
        pytest.param(LOCAL, "", id="the proxy's own"),
        pytest.param(UNKNOWN, "", id="unknown"),
    ],
)
def test_what_a_header_says_is_the_client(world: World, client: Any, port: int, first: bytes, address: str) -> None:
    """In `X-Forwarded-For`, in the access log and for whoever allows by address."""
    path = f"/address/{client.__name__}/{port}/{first.hex()}"
    connection = world.connect(client, port, first)
    with contextlib.closing(connection):
        found = connection.request("GET", HOST, path)
        own = connection.socket.getsockname()[0]
        allowed = connection.request("GET", HOST, "/allowed").status
    assert (found.status, found.sent("x-forwarded-for")) == (200, address or own)
    assert allowed == (200 if address == "203.0.113.9" else 403)
    until(lambda: any(line.get("path") == path for line in world.lines()), "it is logged")
    [line] = [line for line in world.lines() if line.get("path") == path]
    assert (line["client"], line["peer"]) == (address or own, own)


def test_what_a_client_says_of_itself_behind_a_proxy_is_not_believed(world: World, client: Any) -> None:
    """A header names who asks; that one is no proxy, so its own fields say nothing."""
    fields = (("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "https"), ("x_forwarded_for", "7.7.7.7"))
    found = world.ask(client, HTTP, v2("203.0.113.9"), fields=fields)
    assert (found.sent("x-forwarded-for"), found.sent("x-forwarded-proto")) == ("203.0.113.9", "http")
    assert found.sent("x_forwarded_for") is None
    # A proxy that a proxy passes on is one where it is trusted.
    found = world.ask(client, HTTP, v1("127.9.9.9", local="127.0.0.1"), fields=fields)
    assert found.sent("x-forwarded-for") == "6.6.6.6, 127.9.9.9"


def test_the_backend_is_told_of_that_client(world: World, client: Any) -> None:
    """By the PROXY protocol of its own policy: who it is, from which port, and what it connected to."""
    for port, number in ((HTTP, 4001), (HTTPS, 4002)):
        assert world.ask(client, port, v2("203.0.113.9", number), "/hashed").status == 200
        assert f"PROXY TCP4 203.0.113.9 198.51.100.1 {number} 80" in world.told.lines
    # Whom a proxy names in a field is the client of that request.
    forwarded = (("x-forwarded-for", "203.0.113.77"),)
    assert world.ask(client, HTTP, v2("127.9.9.9", 4003), "/hashed", forwarded).status == 200
    assert "PROXY TCP4 203.0.113.77 198.51.100.1 4003 80" in world.told.lines


@pytest.mark.parametrize("first", [v1("203.0.113.9", 5000), v2("203.0.113.9", 5000, added=TLVS)], ids=["v1", "v2"])
def test_flows_of_tcp_and_tls(world: World, first: bytes) -> None:
    expected = "PROXY TCP4 203.0.113.9 198.51.100.1 5000 80"
    for port, tls in ((TCP, None), (TLS, world.context(Http1))):
        before = world.told.lines.count(expected)
        connection = Http1(world.gateway.address, port, tls, HOST if tls else None, first=first)
        with contextlib.closing(connection):
            assert connection.request("GET", HOST, "/").echo["backend"] == "told"
        assert world.told.lines.count(expected) == before + 1
    passed = Http1(world.gateway.address, TLS, world.context(Http1), "passed.test", first=first)
    with contextlib.closing(passed):
        assert passed.request("GET", HOST, "/").echo["backend"] == "far"
    until(
        lambda: {"TLS", "TCP"} <= {line["protocol"] for line in world.lines() if line["client"] == "203.0.113.9"},
        "flows are logged",
    )


def test_a_header_that_comes_in_pieces(world: World) -> None:
    for port, data in ((HTTP, v1("203.0.113.9")), (HTTPS, v2("203.0.113.9", added=TLVS))):
        with socket.create_connection((world.gateway.address, port), LIMIT) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in data:
                connection.sendall(bytes([octet]))
            secured = (
                world.context(Http1).wrap_socket(connection, server_hostname=HOST) if port == HTTPS else connection
            )
            secured.sendall(f"GET /pieces HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
            assert b'"203.0.113.9"' in read_all(secured)


REQUEST = f"GET /refused HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()


@pytest.mark.parametrize("port", [HTTP, HTTPS, TCP, TLS])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(REQUEST, id="no header"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="a preface"),
        pytest.param(b"\x16\x03\x01\x00\x05", id="a hello"),
        pytest.param(b"PROXY TCP4 203.0.113.9 198.51.100.1 4711\r\n" + REQUEST, id="half a line"),
        pytest.param(b"PROXY UNKNOWN " + b"a" * 200, id="a line without end"),
        pytest.param(SIGNATURE + b"\x21\x11\x00\x04abcd" + REQUEST, id="addresses that are cut off"),
        pytest.param(SIGNATURE + b"\x21\x11\xff\xff", id="64 KiB"),
        pytest.param(SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12), id="version 3"),
    ],
)
def test_what_is_no_header_is_refused(world: World, port: int, data: bytes) -> None:
    before = world.failures("proxy_protocol")
    requests = len(world.app.requests)
    assert world.is_reset(port, data)
    until(lambda: world.failures("proxy_protocol") == before + 1, "it is counted")
    assert len(world.app.requests) == requests


def test_who_is_not_trusted_is_refused(world: World) -> None:
    """Whatever it says; and it is told where that is to be seen."""
    for data in (v1("203.0.113.9") + REQUEST, REQUEST):
        assert world.is_reset(UNTRUSTED, data)
    until(
        lambda: any(line.get("error_detail") == "the peer is none of trustedProxies" for line in world.lines()),
        "it is logged",
    )
    [line, *_] = [line for line in world.lines() if line.get("error_detail") == "the peer is none of trustedProxies"]
    assert (line["error"], line["protocol"]) == ("proxy_protocol", "TCP")


def test_a_probe_that_says_nothing_is_no_failure(world: World) -> None:
    before = world.failures("proxy_protocol")
    socket.create_connection((world.gateway.address, HTTP), LIMIT).close()
    # What came before it is counted by then.
    assert world.ask(Http1, HTTP, LOCAL).status == 200
    assert world.failures("proxy_protocol") == before


def test_where_it_may_be_left_out(world: World, client: Any) -> None:
    connection = world.connect(client, OPTIONAL, b"")
    with contextlib.closing(connection):
        found = connection.request("GET", HOST, "/")
        assert found.sent("x-forwarded-for") == connection.socket.getsockname()[0]


def test_where_it_is_switched_off_a_header_is_no_request(world: World) -> None:
    before = len(world.app.requests)
    with socket.create_connection((world.gateway.address, DISABLED), LIMIT) as connection:
        connection.sendall(v1("203.0.113.9") + REQUEST)
        # A request line with more words than one has: one answer, and nothing behind it is read.
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert world.ask(Http1, DISABLED, b"").status == 200
    assert len(world.app.requests) == before + 1
