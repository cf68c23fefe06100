"""Attacks that other gateways fell for, where policies are: a real backend says what reached it."""

from __future__ import annotations

import posixpath
import re
import select
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import unquote

import pytest
from system_backends import Backend, Backend2, read_request, response, websocket_accept
from system_clients import Http1, Http2, Response
from system_ext_authz import AuthorizationServer, CheckResponse
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    gateway,
    grpc_route,
    grpc_rule,
    opaque,
    policy,
    route,
    rule,
    service,
    target,
)

PORT = 8080
HOST = "attacks.test"
H2C = "kubernetes.io/h2c"
Client = type[Http1] | type[Http2]
KEY = "ann-0123456789abcdef"
APPLICATION = (("content-type", "application/grpc"), ("te", "trailers"))


def access(name: str, **stanzas: Any) -> Manifest:
    return policy("AccessPolicy", name, target("HTTPRoute", name), **stanzas)


def ask(address: str, client: Client, path: str, *fields: tuple[str, str], **rest: Any) -> Response:
    with closing(client(address, rest.get("port", PORT))) as connection:
        return connection.request(rest.get("method", "GET"), rest.get("host", HOST), path, fields)


@pytest.fixture(scope="module")
def proxied(start: Any, backend: Any) -> tuple[Gateway, Backend]:
    """Addresses of 127.0.0.0/8 and 10.0.0.0/8 are proxies, and whoever is in the latter needs no key."""
    app: Backend = backend("app")
    inside = {"clients": ["10.0.0.0/8"]}
    denied = {"default": "Allow", "rules": [{"action": "Deny", "clients": ["203.0.113.0/24"]}]}
    running: Gateway = start(
        gateway(),
        *(route(rule(f"/{name}", "app"), name=name) for name in ("exempt", "allowed", "denied")),
        policy(
            "ClientPolicy",
            "proxies",
            target("Gateway", "gateway"),
            clientAddress={"trustedProxies": ["127.0.0.0/8", "10.0.0.0/8"]},
        ),
        access("exempt", apiKey={"secretRefs": [{"name": "keys"}]}, exempt=inside),
        access("allowed", authorization={"rules": [inside]}),
        access("denied", authorization=denied),
        opaque("keys", ann=KEY),
        *service("app", app.address),
    )
    return running, app


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        ("10.0.0.8, 10.0.0.7", (200, 200, 200)),
        ("198.51.100.1, 10.0.0.7", (401, 403, 200)),
        ("203.0.113.9:4711, 10.0.0.7", (401, 403, 403)),
        ("[2001:db8::1], 10.0.0.7", (401, 403, 200)),
        # Nobody knows who these are: in no block that allows, and in every one that denies.
        ("unknown, 10.0.0.7", (401, 403, 403)),
        (", 10.0.0.7", (401, 403, 403)),
        ("203.0.113.009, 10.0.0.7", (401, 403, 403)),
        ("10.0.0.8, _hidden, 10.0.0.7", (401, 403, 403)),
        ("10.0.0.7.evil.test", (401, 403, 403)),
    ],
)
def test_an_address_that_nobody_can_read_is_nobody_s(
    proxied: tuple[Gateway, Backend], client: Client, sent: str, statuses: tuple[int, int, int]
) -> None:
    """Not that of the proxy who passed it on (EG #8542, Traefik's ipStrategy)."""
    running, app = proxied
    before = len(app.requests)
    fields = ("x-forwarded-for", sent), ("x-real-ip", "10.0.0.8"), ("forwarded", "for=10.0.0.8")
    found = tuple(ask(running.address, client, f"/{name}", *fields).status for name in ("exempt", "allowed", "denied"))
    assert found == statuses
    assert len(app.requests) - before == found.count(200)


class Patient(Backend):
    """Switches protocols once it has seen that nothing comes before it does."""

    def __init__(self) -> None:
        self.early: list[Any] = []
        self.got: list[bytes] = []
        super().__init__(lambda _: None)

    def serve(self, connection: socket.socket) -> None:
        # Without a buffer: what is behind the head stays in the socket.
        request = read_request(connection.makefile("rb", buffering=0), connection)
        assert request is not None
        self.remember(request)
        self.early.append(select.select([connection], [], [], 0.2)[0])
        connection.sendall(websocket_accept(request))
        self.got.append(connection.recv(5, socket.MSG_WAITALL))
        connection.sendall(b"HELLO")


@pytest.fixture
def patient() -> Iterator[Patient]:
    found = Patient()
    yield found
    found.close()


def test_no_octet_of_an_upgrade_comes_before_it_is_one(start: Any, patient: Patient) -> None:
    """CVE-2025-64763; and policies are asked about an upgrade as about any request (CVE-2026-73547)."""
    running: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="own"),
        access("own", apiKey={"secretRefs": [{"name": "keys"}]}),
        opaque("keys", ann=KEY),
        *service("app", patient.address),
    )
    fields = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    fields += "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    for key, status in (("wrong", 401), (KEY, 101)):
        with closing(Http1(running.address, PORT)) as connection:
            connection.send(f"GET / HTTP/1.1\r\nhost: {HOST}\r\nx-api-key: {key}\r\n{fields}\r\nhello".encode())
            assert connection.read().status == status
            if status == 101:
                assert connection.read_raw(5) == b"HELLO"
    # Extended CONNECT (RFC 8441).
    for key, status in (("wrong", 401), (KEY, 200)):
        with closing(Http2(running.address, PORT)) as connection:
            assert connection.request("GET", HOST, "/", (("x-api-key", "wrong"),)).status == 401
            stream = connection.state.get_next_available_stream_id()
            head = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", HOST)]
            head += [(":path", "/"), ("sec-websocket-version", "13"), ("x-api-key", key)]
            connection.state.send_headers(stream, head)
            connection.send(stream, b"hello", end=True)
            found = connection.read(stream)
            assert (found.status, found.body if status == 200 else b"") == (status, b"HELLO" if status == 200 else b"")
    assert (patient.early, patient.got) == ([[], []], [b"hello", b"hello"])
    assert [each.header("x-api-key") for each in patient.requests] == [None, None]


def test_connect_is_no_question_to_a_service(start: Any, backend: Any) -> None:
    """A tunnel is refused before anybody is asked, and nothing falls over it (CVE-2026-73548)."""
    app, auth = backend("app"), backend(lambda _: response(b""))
    asks = {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}}
    running: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="own"),
        access("own", external=asks),
        *service("app", app.address),
        *service("auth", auth.address),
    )
    for host in (HOST, "evil.test:443"):
        with closing(Http1(running.address, PORT)) as connection:
            connection.send(
                f"CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\nGET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()
            )
            assert connection.read("CONNECT").status == 405
        with closing(Http2(running.address, PORT)) as connection:
            stream = connection.state.get_next_available_stream_id()
            connection.state.send_headers(stream, [(":method", "CONNECT"), (":authority", host)], end_stream=True)
            connection.flush()
            assert connection.read(stream).status == 405
    assert (app.requests, auth.requests) == ([], [])
    assert ask(running.address, Http2, "/").status == 200


def test_no_path_of_a_call_is_another_s(start: Any, backend2: Any) -> None:
    """A rule of one service denies; no spelling of `:path` leads past it (CVE-2026-33186, CVE-2026-73551)."""
    app: Backend2 = backend2("app")
    running: Gateway = start(
        gateway(),
        grpc_route(
            grpc_rule("app", name="secret", matches=[{"method": {"service": "pkg.Secret"}}]),
            grpc_rule("app"),
            name="own",
        ),
        policy(
            "AccessPolicy",
            "own",
            target("GRPCRoute", "own", "secret"),
            authorization={"rules": [{"clients": ["192.0.2.0/24"]}]},
        ),
        *service("app", app.address, protocol=H2C),
    )
    with closing(Http2(running.address, PORT)) as connection:
        assert connection.request("POST", HOST, "/pkg.Open/Call", APPLICATION, b"").status == 200
        found = connection.request("POST", HOST, "/pkg.Secret/Call", APPLICATION, b"")
        assert (found.status, found.header("grpc-status")) == (200, "7")
    for path in (
        *("pkg.Secret/Call", "//pkg.Secret/Call", "/pkg.Secret//Call", "/./pkg.Secret/Call", "/a/../pkg.Secret/Call"),
        *(
            "/%70kg.Secret/Call",
            "/pkg%2eSecret/Call",
            "/pkg.Secret%2FCall",
            "/pkg.Secret/Call;x=y",
            "/pkg.Secret/;x/Call",
        ),
        *("/pkg.Secret/Call?a=b", "/pkg.Secret/Call#a", "/pkg.Open/..;/pkg.Secret/Call", "\\pkg.Secret\\Call"),
    ):
        with closing(Http2(running.address, PORT)) as connection:
            stream = connection.state.get_next_available_stream_id()
            head = [(":method", "POST"), (":scheme", "http"), (":authority", HOST), (":path", path), *APPLICATION]
            connection.state.send_headers(stream, head, end_stream=True)
            connection.flush()
            try:
                connection.read(stream)
            except ConnectionError as error:
                assert "reset" in str(error)  # noqa: PT017 (no head at all)
    # What some backend would make of the paths that it got.
    meant = {posixpath.normpath("/" + re.split(r"[?;#]", unquote(each.target))[0]).lstrip("/") for each in app.requests}
    assert "pkg.Secret/Call" not in meant
    assert "pkg.Open/Call" in meant


def test_a_service_of_grpc_is_told_nothing_of_the_client_s(start: Any, backend: Any, client: Client) -> None:
    """All fields of forwarding are the gateway's to say (CVE-2026-35051); all values of a field are sent."""
    app, auth = backend("app"), AuthorizationServer(lambda _: CheckResponse(status={}, ok_response={}))
    running: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="own"),
        access("own", external={"protocol": "GRPC", "backendRef": {"name": "auth", "port": 80}}),
        *service("app", app.address),
        *service("auth", auth.address, protocol=H2C),
    )
    names = ("For", "Host", "Port", "Prefix", "Proto", "Uri", "Method", "Server", "Client-Cert")
    lies = [(f"x-forwarded-{name}".lower(), "evil") for name in names]
    lies += [(name.replace("-", "_"), "evil") for name, _ in lies]
    lies += [("x-real-ip", "evil"), ("forwarded", "for=evil"), ("x-role", "user"), ("x-role", "admin")]
    try:
        assert ask(running.address, client, "/a?b", *lies).status == 200
        [asked] = [each.request.http for each in auth.asked]
        assert [name for name, value in asked.headers.items() if "evil" in value] == []
        assert (asked.headers["x-role"], asked.path, asked.host) == ("user,admin", "/a?b", HOST)
        [forwarded] = app.requests
        assert [name for name, value in forwarded.headers if "evil" in value] == []
    finally:
        auth.close()
