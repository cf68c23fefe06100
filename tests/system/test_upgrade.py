"""Upgrades (WebSocket): they go to backends over HTTP/1.1 whatever else the backend offers, or the client is told."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from typing import Any

import h2.exceptions
import pytest
from system_backends import Answer, Backend, Backend2, Received, echo, echo2, response, websocket_accept
from system_certificates import Authority
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    backend_tls_policy,
    config_map,
    gateway,
    grpc_route,
    grpc_rule,
    route,
    rule,
    service,
)

PORT = 8080
HOST = "up.test"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
WEBSOCKET = (
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", KEY),
)


def upgradable(name: str) -> Answer:
    """Switch protocols where that is asked for, and answer the rest; /refused/<status> does not switch."""
    plain = echo(name)

    def answer(request: Received) -> bytes | None:
        if request.header("upgrade") is None:
            return plain(request)
        if "/refused/" in request.target:
            return response(b"not switched", status=request.target.rpartition("/")[2] + " Refused")
        return websocket_accept(request)

    return answer


class OnlyHttp2(Backend2):
    """Closes where a client speaks anything else."""

    def serve(self, connection: Any) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):
            super().serve(connection)


class ByAlpn(Backend2):
    """Speaks what TLS agreed on, as servers do that offer both."""

    def __init__(self, name: str, **rest: Any) -> None:
        super().__init__(echo2(name), **rest)
        self.answer = upgradable(name)

    def serve(self, connection: Any) -> None:
        speaks = Backend2 if connection.selected_alpn_protocol() == "h2" else Backend
        speaks.serve(self, connection)


@dataclass
class World:
    gateway: Gateway
    backends: dict[str, Backend]

    def open(self, client: Any) -> Any:
        return client(self.gateway.address, PORT)

    def request(self, client: Any, target: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
        connection = self.open(client)
        try:
            found: Response = connection.request("GET", HOST, target, headers)
            return found
        finally:
            connection.close()

    def upgrade(self, client: Any, target: str) -> Response:
        """Ask for WebSocket and say something; the body is what came back, or why not."""
        connection = self.open(client)
        try:
            return (upgrade1 if client is Http1 else upgrade2)(connection, target)
        finally:
            connection.close()


def upgrade1(connection: Http1, target: str) -> Response:
    found = connection.request("GET", HOST, target, WEBSOCKET)
    if found.status == 101:
        connection.send(b"hello")
        found.body = connection.read_raw(5)
    return found


def upgrade2(connection: Http2, target: str) -> Response:
    """Extended CONNECT (RFC 8441)."""
    assert connection.request("GET", HOST, "/plain").status == 200
    stream = connection.state.get_next_available_stream_id()
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", HOST)]
    connection.state.send_headers(stream, [*fields, (":path", target), ("sec-websocket-version", "13")])
    connection.flush()
    # The end is sent with it: who switches echoes and ends, who does not has answered.
    connection.send(stream, b"hello", end=True)
    return connection.read(stream)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any, authority: Authority, tmp_path_factory: Any) -> Any:
    pair = authority.sign("inside.test")
    paths = pair.write(tmp_path_factory.mktemp("certificates"), "backend")

    def context(*alpn: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*paths)
        made.set_alpn_protocols(list(alpn))
        return made

    both = ("h2", "http/1.1")
    backends: dict[str, Backend] = {
        "tls": ByAlpn("tls", tls=context(*both)),
        "wss": ByAlpn("wss", tls=context(*both)),
        "https": ByAlpn("https", tls=context(*both)),
        "plain": backend(upgradable("plain")),
        "ws": backend(upgradable("ws")),
        "h2c": backend2("h2c"),
        "only-h2": OnlyHttp2(echo2("only-h2"), tls=context("h2")),
        "copy": backend(upgradable("copy")),
        "grpc": backend2("grpc"),
    }
    protocols = {"wss": "kubernetes.io/wss", "https": "https", "ws": "kubernetes.io/ws", "h2c": "kubernetes.io/h2c"}
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy", "port": 80}}}
    objects: list[Manifest] = [
        gateway(),
        route(
            *[rule(f"/{name}", name) for name in backends if name != "grpc"],
            rule("/mirrored", "plain", filters=[mirror]),
        ),
        grpc_route(grpc_rule("grpc"), name="grpc", hostnames=["grpc.test"]),
        *[
            item
            for name, each in backends.items()
            for item in service(name, each.address, protocol=protocols.get(name))
        ],
        config_map("authority", authority.pem),
        *[backend_tls_policy(name, name, "inside.test", "authority") for name in ("tls", "wss", "https", "only-h2")],
    ]
    yield World(start(*objects), backends)
    for name in ("tls", "wss", "https", "only-h2"):
        backends[name].close()


OPENED = {Http1: 101, Http2: 200}


@pytest.mark.parametrize("name", ["tls", "https", "wss", "plain", "ws"])
def test_upgrades(world: World, client: Any, name: str) -> None:
    """Over HTTP/1.1, although an HTTP/2 connection of other requests is open."""
    assert world.request(client, f"/{name}").status == 200
    found = world.upgrade(client, f"/{name}/socket")
    assert (found.status, found.body) == (OPENED[client], b"hello")
    [got] = [each for each in world.backends[name].requests if each.target == f"/{name}/socket"][-1:]
    assert (got.version, got.method, got.header("upgrade")) == ("1.1", "GET", "websocket")
    if got.tls is not None:
        assert got.tls["alpn"] == "http/1.1"
    assert world.request(client, f"/{name}").status == 200


@pytest.mark.parametrize(
    ("name", "version"), [("tls", "2"), ("https", "2"), ("only-h2", "2"), ("wss", "1.1"), ("ws", "1.1"), ("h2c", "2")]
)
def test_other_requests(world: World, client: Any, name: str, version: str) -> None:
    """By ALPN, but the ports of WebSocket servers speak HTTP/1.1 alone (`appProtocol`)."""
    assert world.upgrade(client, f"/{name}/socket").status
    found = world.request(client, f"/{name}")
    assert (found.status, found.echo["version"]) == (200, version)


@pytest.mark.parametrize("name", ["h2c", "only-h2"])
def test_a_backend_that_speaks_only_http2(world: World, client: Any, name: str) -> None:
    before = len(world.backends[name].requests)
    found = world.upgrade(client, f"/{name}/socket")
    assert found.status == 502
    assert found.body.startswith(b"upstream_no_upgrade: ")
    assert len(world.backends[name].requests) == before


def test_a_rule_of_a_grpc_route(world: World, client: Any) -> None:
    connection = world.open(client)
    if client is Http1:
        fields = (*WEBSOCKET, ("content-type", "application/grpc"))
        found = connection.request("GET", "grpc.test", "/pkg.Service/Call", fields)
    else:
        stream = connection.open("GET", "grpc.test", "/")
        connection.read(stream)
        stream = connection.state.get_next_available_stream_id()
        fields2 = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http")]
        fields2 += [(":authority", "grpc.test"), (":path", "/pkg.Service/Call"), ("content-type", "application/grpc")]
        connection.state.send_headers(stream, fields2)
        connection.flush()
        found = connection.read(stream)
    connection.close()
    assert found.status >= 400
    assert [each for each in world.backends["grpc"].requests if each.target == "/pkg.Service/Call"] == []


@pytest.mark.parametrize("name", ["tls", "wss", "plain"])
@pytest.mark.parametrize("status", [200, 204, 299, 403, 426])
def test_a_backend_that_does_not_switch(world: World, client: Any, name: str, status: int) -> None:
    """To extended CONNECT any 2xx would say that the tunnel is open (RFC 8441 section 5)."""
    found = world.upgrade(client, f"/{name}/refused/{status}")
    if client is Http2 and status < 300:
        assert found.status == 502
        assert found.body.startswith(b"upstream_no_upgrade: ")
    else:
        assert found.status == status
        assert found.body == (b"" if status == 204 else b"not switched")


def test_the_copy_of_an_upgrade_is_none(world: World, client: Any) -> None:
    copies = world.backends["copy"]
    before = len(copies.requests)
    found = world.upgrade(client, "/mirrored/socket")
    assert (found.status, found.body) == (OPENED[client], b"hello")
    copy = copies.wait(before + 1)[-1]
    assert (copy.target, copy.header("upgrade"), copy.header("connection")) == ("/mirrored/socket", None, None)


@pytest.mark.parametrize("offer", ["TLS/1.2", "tls/1.3", "h2c"])
@pytest.mark.parametrize("name", ["h2c", "tls", "plain"])
def test_offers_for_the_clients_own_connection(world: World, name: str, offer: str) -> None:
    """They are not for the backend, and may be ignored (RFC 9110 section 7.8, RFC 2817)."""
    found = world.request(Http1, f"/{name}", (("connection", "upgrade"), ("upgrade", offer)))
    assert (found.status, found.sent("upgrade")) == (200, None)
