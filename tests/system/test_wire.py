"""Messages on the wire: bodies, trailers, upgrades, hop-by-hop fields, hostile requests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h2.errors
import h2.events
import pytest
from system_backends import Backend, Received, echo, read_request, response, websocket_accept
from system_clients import Http1, Http2
from system_gateway import LIMIT, Gateway
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "wire.test"
MEGABYTE = 1024 * 1024


@dataclass
class World:
    gateway: Gateway
    echo: Any
    scripted: Any
    socket: Any
    h2c: Any


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any) -> Iterator[World]:
    stall = threading.Event()

    def scripted(request: Received) -> bytes | None:
        path = request.target.partition("?")[0]
        chunked = (("transfer-encoding", "chunked"),)
        forbidden = b"content-length: 3\r\nset-cookie: x\r\ntransfer-encoding: x\r\nx-forwarded-for: 6.6.6.6\r\n"
        if path == "/chunked":
            return response(
                b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n" + forbidden + b"x-sum: 11\r\n\r\n",
                headers=chunked,
                length=False,
            )
        if path == "/close":
            return response(b"until the end", headers=(("connection", "close"),), length=False)
        if path == "/large":
            return response(b"x" * (3 * MEGABYTE))
        if path == "/no-content":
            return response(status="204 No Content", length=False)
        if path == "/not-modified":
            return response(status="304 Not Modified", headers=(("content-length", "12"),), length=False)
        if path == "/early-hints":
            return b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n" + response(b"final")
        if path == "/hop":
            fields = (
                ("connection", "x-private, close"),
                ("x-private", "1"),
                ("keep-alive", "timeout=5"),
                ("x-kept", "1"),
            )
            return response(b"hop", headers=fields)
        if path == "/nonsense":
            return b"SSH-2.0-OpenSSH_9.2\r\n"
        if path == "/two-lengths":
            return b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"
        if path == "/big-head":
            return response(headers=tuple((f"x-{index}", "y" * 8000) for index in range(60)))
        if path == "/truncated":
            return b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nabc"
        if path == "/truncated-chunks":
            return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nab"
        if path == "/reset":
            return None
        if path == "/stall":
            stall.wait(15)
        return echo("scripted")(request)

    echoing = backend("echo")
    scripting = backend(scripted)
    sockets = backend(
        lambda request: websocket_accept(request) if request.header("upgrade") else response(b"no upgrade")
    )
    prior = backend2(
        lambda request: (
            [(":status", "200"), ("x-version", request.version), ("x-method", request.method)],
            request.body or b"empty",
            [("x-trailer", dict(request.trailers).get("x-sent", "none"))],
        )
    )
    objects = [
        gateway(),
        route(
            rule("/", "echo"),
            rule(
                "/s/",
                "scripted",
                filters=[
                    {
                        "type": "URLRewrite",
                        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
                    }
                ],
            ),
            rule("/ws", "socket"),
            rule("/h2c", "h2c"),
            rule("/refused", "refused"),
            rule("/redirect", filters=[{"type": "RequestRedirect", "requestRedirect": {"hostname": "else.test"}}]),
            rule(
                "/short",
                "scripted",
                filters=[
                    {
                        "type": "URLRewrite",
                        "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/stall"}},
                    }
                ],
                timeouts={"request": "200ms"},
            ),
            hostnames=[HOST],
        ),
        *service("echo", echoing.address),
        *service("scripted", scripting.address),
        *service("refused", ("127.0.0.1", 1)),
        *service("socket", sockets.address, protocol="kubernetes.io/ws"),
        *service("h2c", prior.address, protocol="kubernetes.io/h2c"),
    ]
    yield World(start(*objects), echoing, scripting, sockets, prior)
    stall.set()


def exchange(world: World, client: Any, *arguments: Any) -> Any:
    connection = client(world.gateway.address, PORT)
    try:
        return connection.request(*arguments)
    finally:
        connection.close()


def raw(world: World, data: bytes) -> Http1:
    connection = Http1(world.gateway.address, PORT)
    connection.send(data)
    return connection


# --- Bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 2 * MEGABYTE])
def test_request_bodies(world: World, client: Any, size: int) -> None:
    body = bytes(index % 251 for index in range(1000)) * (size // 1000 + 1)
    found = exchange(world, client, "POST", HOST, "/", (), body[:size])
    assert (found.status, found.echo["body"]) == (200, body[:size].decode("latin-1"))


def test_chunked_request_with_trailers(world: World) -> None:
    connection = raw(
        world,
        b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
        b"3\r\nabc\r\n2;name=value\r\nde\r\n0\r\nx-sum: 5\r\nhost: evil.test\r\ncontent-length: 9\r\n\r\n",
    )
    found = connection.read()
    assert found.echo["body"] == "abcde"
    assert found.echo["trailers"] == [["x-sum", "5"]]
    assert found.sent("transfer-encoding") == "chunked"
    connection.close()


def test_request_trailers_over_http2(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    stream = connection.open("POST", HOST, "/", end=False)
    connection.send(stream, b"body")
    connection.trailers(
        stream, [("x-sum", "4"), ("host", "evil.test"), ("authorization", "x"), ("content-length", "9")]
    )
    found = connection.read(stream)
    assert (found.echo["body"], found.echo["trailers"]) == ("body", [["x-sum", "4"]])
    connection.close()


def test_chunked_response_with_trailers(world: World, client: Any) -> None:
    found = exchange(world, client, "GET", HOST, "/s/chunked", (("te", "trailers"),))
    assert (found.status, found.body) == (200, b"hello world")
    assert found.trailers == [("x-sum", "11")]


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/s/close", 200, b"until the end"),
        ("/s/large", 200, b"x" * (3 * MEGABYTE)),
        ("/s/no-content", 204, b""),
        ("/s/not-modified", 304, b""),
        ("/s/early-hints", 200, b"final"),
    ],
)
def test_responses(world: World, client: Any, target: str, status: int, body: bytes) -> None:
    found = exchange(world, client, "GET", HOST, target)
    assert (found.status, found.body == body) == (status, True)


def test_head(world: World, client: Any) -> None:
    found = exchange(world, client, "HEAD", HOST, "/s/chunked")
    assert (found.status, found.body) == (200, b"")


def test_streams_both_ways(world: World) -> None:
    """The head reaches the backend before the body is complete, and the response before the request ends."""
    connection = Http2(world.gateway.address, PORT)
    stream = connection.open("POST", HOST, "/", end=False)
    connection.send(stream, b"a" * 100)
    connection.send(stream, b"b" * 100, end=True)
    assert connection.read(stream).echo["body"] == "a" * 100 + "b" * 100
    connection.close()


def test_many_streams_at_once(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    streams = [connection.open("GET", HOST, f"/{number}") for number in range(100)]
    targets = [connection.read(stream).echo["target"] for stream in reversed(streams)]
    assert targets == [f"/{number}" for number in reversed(range(100))]
    connection.close()


def test_keep_alive_and_pipelining(world: World) -> None:
    connection = raw(world, b"".join(b"GET /%d HTTP/1.1\r\nHost: wire.test\r\n\r\n" % number for number in range(20)))
    assert [connection.read().echo["target"] for _ in range(20)] == [f"/{number}" for number in range(20)]
    connection.close()


def test_http10(world: World) -> None:
    connection = raw(world, b"GET /ten HTTP/1.0\r\nHost: wire.test\r\n\r\n")
    assert connection.read().echo["target"] == "/ten"
    assert connection.at_end()


def test_http10_knows_no_informational_responses(world: World) -> None:
    connection = raw(world, b"GET /s/early-hints HTTP/1.0\r\nHost: wire.test\r\n\r\n")
    assert connection.read_raw(13) == b"HTTP/1.1 200 "
    connection.close()


def test_connection_close(world: World) -> None:
    connection = raw(world, b"GET / HTTP/1.1\r\nHost: wire.test\r\nConnection: close\r\n\r\n")
    found = connection.read()
    assert (found.status, found.header("connection")) == (200, "close")
    assert connection.at_end()


def test_byte_by_byte(world: World) -> None:
    connection = Http1(world.gateway.address, PORT)
    for byte in b"POST /slow HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        connection.send(bytes([byte]))
    assert connection.read().echo["body"] == "abc"
    connection.close()


def test_expect_continue(world: World) -> None:
    connection = raw(world, b"POST / HTTP/1.1\r\nHost: wire.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert connection.read_raw(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(b"body")
    assert connection.read().echo["body"] == "body"
    connection.close()


def test_expect_continue_with_an_early_answer(world: World) -> None:
    connection = raw(
        world, b"POST /redirect HTTP/1.1\r\nHost: wire.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    )
    assert connection.read().status == 302
    connection.close()


# --- Fields -----------------------------------------------------------------------------------------------------


def test_forwarding_fields(world: World, client: Any) -> None:
    spoofed = (
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.test"),
        ("forwarded", "for=6.6.6.6"),
        # Behind CGI and WSGI these are the same names.
        ("x_forwarded_for", "6.6.6.6"),
        ("x-forwarded_proto", "https"),
        ("x_real_ip", "6.6.6.6"),
        # So they are behind what turns all signs into one.
        ("x.forwarded.for", "6.6.6.6"),
        ("x-forwarded.for", "6.6.6.6"),
        ("x_forwarded.host", "6.6.6.6"),
        ("x~forwarded!proto", "6.6.6.6"),
        ("x.forwarded.port", "6.6.6.6"),
        ("x.real.ip", "6.6.6.6"),
    )
    found = exchange(world, client, "GET", HOST, "/", spoofed)
    assert found.sent("x-forwarded-for") == "127.0.0.1"
    assert found.sent("x-forwarded-proto") == "http"
    assert found.sent("x-forwarded-host") == HOST
    assert "6.6.6.6" not in str(found.echo["headers"])
    assert found.sent("x-forwarded_proto") is None


FORGED = [
    *(("x-forwarded-for", "6.6.6.6"), ("x_forwarded_for", "6.6.6.6"), ("x.forwarded.host", "6.6.6.6")),
    *(("x-forwarded-proto", "6.6.6.6"), ("forwarded", "for=6.6.6.6"), ("x-real-ip", "6.6.6.6")),
]


def test_forwarding_fields_in_trailers_of_requests(world: World) -> None:
    """Some servers merge trailers into the fields."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in FORGED)
    head = b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = raw(world, head + b"4\r\nbody\r\n0\r\n" + f"{lines}x-sum: 4\r\n\r\n".encode())
    assert connection.read().echo["trailers"] == [["x-sum", "4"]]
    connection.close()
    multiplexed = Http2(world.gateway.address, PORT)
    stream = multiplexed.open("POST", HOST, "/", end=False)
    multiplexed.send(stream, b"body")
    multiplexed.trailers(stream, [*FORGED, ("x-sum", "4")])
    assert multiplexed.read(stream).echo["trailers"] == [["x-sum", "4"]]
    multiplexed.close()


def test_hop_by_hop_fields_of_requests(world: World) -> None:
    connection = raw(
        world,
        b"GET / HTTP/1.1\r\nHost: wire.test\r\nConnection: X-Private, x-forwarded-for, keep-alive\r\nX-Private: 1\r\n"
        b"Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nProxy-Authorization: x\r\nX-Kept: 1\r\n\r\n",
    )
    found = connection.read()
    for name in ("x-private", "keep-alive", "proxy-connection", "te"):
        assert found.sent(name) is None, name
    assert found.sent("x-kept") == "1"
    assert found.sent("x-forwarded-for") == "127.0.0.1"
    connection.close()


def test_hop_by_hop_fields_of_responses(world: World, client: Any) -> None:
    found = exchange(world, client, "GET", HOST, "/s/hop")
    assert (found.header("x-private"), found.header("keep-alive"), found.header("x-kept")) == (None, None, "1")


def test_cookie_crumbs_are_joined(world: World) -> None:
    found = exchange(world, Http2, "GET", HOST, "/", (("cookie", "a=1"), ("cookie", "b=2")))
    assert [value for name, value in found.echo["headers"] if name == "cookie"] == ["a=1; b=2"]


def test_absolute_form(world: World) -> None:
    connection = raw(world, b"GET http://wire.test/abs?q HTTP/1.1\r\nHost: other.test\r\n\r\n")
    found = connection.read()
    assert (found.echo["target"], found.sent("host")) == ("/abs?q", "wire.test")
    connection.close()


# --- Upgrades ---------------------------------------------------------------------------------------------------

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: wire.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def test_websocket(world: World) -> None:
    connection = raw(world, HANDSHAKE)
    found = connection.read()
    assert found.status == 101
    assert found.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    for size in (1, 1000, MEGABYTE):
        data = bytes(size)
        sender = threading.Thread(target=connection.send, args=(data,))
        sender.start()
        assert connection.read_raw(size) == data
        sender.join()
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.at_end()


def test_websocket_bytes_before_the_answer(world: World) -> None:
    connection = raw(world, HANDSHAKE + b"early")
    assert connection.read().status == 101
    assert connection.read_raw(5) == b"early"
    connection.close()


def test_refused_upgrade(world: World) -> None:
    """Without a 101 the connection goes on as HTTP."""
    connection = raw(world, HANDSHAKE.replace(b"/ws", b"/plain"))
    found = connection.read()
    assert (found.status, found.echo["target"]) == (200, "/plain")
    connection.close()


def test_h2c_upgrade_is_not_passed(world: World) -> None:
    connection = raw(
        world,
        b"GET / HTTP/1.1\r\nHost: wire.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    )
    found = connection.read()
    assert found.status == 200
    assert (found.sent("upgrade"), found.sent("http2-settings")) == (None, None)
    connection.close()


def test_h2c_backend(world: World, client: Any) -> None:
    found = exchange(world, client, "POST", HOST, "/h2c", (), b"to h2c")
    assert (found.status, found.header("x-version"), found.body) == (200, "2", b"to h2c")


def test_h2c_backend_trailers(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    stream = connection.open("POST", HOST, "/h2c", (("te", "trailers"),), end=False)
    connection.send(stream, b"grpc")
    connection.trailers(stream, [("x-sent", "yes")])
    found = connection.read(stream)
    assert (found.body, found.trailers) == (b"grpc", [("x-trailer", "yes")])
    connection.close()


# --- Backends that misbehave ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/s/nonsense", 502),
        ("/s/two-lengths", 502),
        ("/s/big-head", 502),
        ("/s/reset", 502),
        ("/short", 504),
        ("/refused", 503),
    ],
)
def test_bad_backends(world: World, client: Any, target: str, status: int) -> None:
    assert exchange(world, client, "GET", HOST, target).status == status
    assert exchange(world, client, "GET", HOST, "/").status == 200


@pytest.mark.parametrize("target", ["/s/truncated", "/s/truncated-chunks"])
def test_truncated_responses_are_never_finished(world: World, target: str) -> None:
    """A client has to see that the message broke."""
    connection = raw(world, f"GET {target} HTTP/1.1\r\nHost: wire.test\r\n\r\n".encode())
    assert not is_complete(connection)
    connection.close()
    multiplexed = Http2(world.gateway.address, PORT)
    stream = multiplexed.open("GET", HOST, target)
    with contextlib.suppress(ConnectionError):  # the reset may overtake the head
        multiplexed.read(stream)
    assert any(isinstance(event, h2.events.StreamReset) for event in multiplexed.events)
    assert multiplexed.request("GET", HOST, "/").status == 200
    multiplexed.close()


def is_complete(connection: Http1) -> bool:
    """Whether a client would take what comes for a complete response of ten bytes."""
    try:
        return len(connection.read().body) == 10
    except ValueError:  # a chunk size that never came
        return False


def test_broken_chunks_reset_the_upstream(world: World) -> None:
    before = len(world.echo.requests)
    connection = raw(
        world, b"POST /broken HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n"
    )
    assert connection.read().status == 400
    assert connection.at_end()
    assert all(item.target != "/broken" for item in world.echo.requests[before:])


# --- Hostile requests -------------------------------------------------------------------------------------------

END = b"\r\nHost: wire.test\r\n\r\n"
REQUESTS = [
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    (
        b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        (400, 501),
    ),
    (b"POST / HTTP/1.0\r\nHost: wire.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    *[
        (b"POST / HTTP/1.1\r\nHost: wire.test\r\nContent-Length: %s\r\n\r\nabc" % value, 400)
        for value in (
            b"3\r\nContent-Length: 4",
            b"3, 3",
            b"3, 4",
            b"+3",
            b"-3",
            b"0x3",
            b"",
            b"3 3",
            b"99999999999999999999",
        )
    ],
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\nX-A: 1\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\nX-A: a\x00b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\nX-A: a\rb\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\nX-A : 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\n: 1\r\n\r\n", 400),
    (b"GET  / HTTP/1.1" + END, 400),
    (b"GET /  HTTP/1.1" + END, 400),
    (b"GET\t/ HTTP/1.1" + END, 400),
    (b"GET / HTTP/1.1\nHost: wire.test\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test\nX-A: 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nX-A: 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\nHost: wire.test\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test/x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: user@wire.test\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test, b.test\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    (b"GET a HTTP/1.1" + END, 400),
    (b"GET /\xc3\xa9 HTTP/1.1" + END, 400),
    (b"GET /a#b HTTP/1.1" + END, 400),
    (b"GET /%00 HTTP/1.1" + END, 400),
    (b"GET /%zz HTTP/1.1" + END, 400),
    (b"GET /../x HTTP/1.1" + END, 400),
    (b"GET http://user@wire.test/ HTTP/1.1" + END, 400),
    (b"GET http://wire.test:99999/ HTTP/1.1" + END, 400),
    (b"GET http:///x HTTP/1.1" + END, 400),
    (b"GET ftp://wire.test/ HTTP/1.1" + END, 400),
    (b"GET * HTTP/1.1" + END, 400),
    (b"GET http://wire.test/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\nExpect: 200-ok\r\n\r\n", 417),
    (b"CONNECT wire.test:443 HTTP/1.1" + END, 405),
    (b"GET / HTTP/2.0" + END, (400, 505)),
    (b"GET / HTTP/0.9" + END, (400, 505)),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40 + b"\r\n\r\n", 400),
    (b"GET /" + b"a" * 100_000 + b" HTTP/1.1" + END, (400, 414, 431)),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\n" + b"X-A: a\r\n" * 2_000 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: wire.test\r\nConnection: " + b"x," * 30_000 + b"\r\n\r\n", 431),
]


@pytest.mark.parametrize(("data", "status"), REQUESTS, ids=range(len(REQUESTS)))
def test_hostile_requests(world: World, data: bytes, status: int | tuple[int, ...]) -> None:
    """Refused, closed, and nothing of it reaches a backend, nor of what comes behind it."""
    before = len(world.echo.requests)
    connection = raw(world, data + b"GET /behind HTTP/1.1" + END)
    found = connection.read()
    assert found.status in (status if isinstance(status, tuple) else (status,))
    assert found.header("connection") == "close"
    assert connection.at_end()
    connection.close()
    assert len(world.echo.requests) == before


def test_bytes_after_a_refused_tunnel_are_no_request(world: World) -> None:
    """Sent once the 405 is there, on a connection that lingers: still no request."""
    before = len(world.echo.requests)
    connection = raw(world, b"CONNECT wire.test:443 HTTP/1.1" + END)
    found = connection.read()
    assert (found.status, found.header("connection")) == (405, "close")
    connection.send(b"GET /behind HTTP/1.1" + END)
    assert connection.at_end()
    connection.close()
    assert len(world.echo.requests) == before


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/a//b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/%41%2f", "/A%2F"),
        ("/a;b=1/c", "/a;b=1/c"),
        ("/a/..b/...", "/a/..b/..."),
        ("/a/%252e%252e%252fb", "/a/%252e%252e%252fb"),
        ("/a?x=//../%2e", "/a?x=//../%2e"),
    ],
)
def test_what_is_matched_is_what_is_forwarded(world: World, client: Any, sent: str, seen: str | None) -> None:
    found = exchange(world, client, "GET", HOST, sent)
    assert (found.echo["target"] if found.status == 200 else None) == seen


@pytest.mark.parametrize(
    "sent", ["/a/..;/b", "/..;x=1/", "/.;/b", "/a/..%2fb", "/a/%2e%2e%2fb", "/..%5cb", "/%2f..", "/a%5C../b"]
)
def test_dot_segments_that_only_a_backend_would_see(world: World, client: Any, sent: str) -> None:
    before = len(world.echo.requests)
    assert exchange(world, client, "GET", HOST, sent).status == 400
    assert len(world.echo.requests) == before


FIELDS = [
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/"), ("host", "other.test")],
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/"), ("host", HOST), ("host", HOST)],
    [(":method", "GET"), (":scheme", "http"), (":path", "/")],
    [(":method", "GET"), (":scheme", "http"), (":authority", f"user@{HOST}"), (":path", "/")],
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "*")],
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "a")],
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/%zz")],
    *(
        [(":method", "POST"), (":scheme", "http"), (":authority", HOST), (":path", "/"), *lengths]
        for lengths in ([("content-length", "3"), ("content-length", "4")], [("content-length", "0")] * 2)
    ),
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/"), ("connection", "close")],
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/"), ("transfer-encoding", "chunked")],
    [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/"), ("te", "gzip")],
]


@pytest.mark.parametrize("fields", FIELDS, ids=range(len(FIELDS)))
def test_hostile_requests_over_http2(world: World, fields: list[tuple[str, str]]) -> None:
    """400 or a reset of the stream; the connection goes on."""
    before = len(world.echo.requests)
    connection = Http2(world.gateway.address, PORT)
    stream = connection.state.get_next_available_stream_id()
    connection.state.send_headers(stream, fields, end_stream=True)
    connection.flush()
    try:
        assert connection.read(stream).status == 400
    except ConnectionError as error:
        assert "reset" in str(error)  # noqa: PT017 (either answer is right)
    assert len(world.echo.requests) == before
    assert connection.request("GET", HOST, "/").status == 200
    connection.close()


@pytest.mark.parametrize("field", [("expect", "200-ok"), ("content-length", "3")])
def test_heads_that_promise_too_much_over_http2(world: World, field: tuple[str, str]) -> None:
    """An expectation that nobody knows: 417; a length without a body: malformed (RFC 9113 section 8.1.1)."""
    before = len(world.echo.requests)
    connection = Http2(world.gateway.address, PORT)
    stream = connection.open("POST", HOST, "/", (field,))
    try:
        assert connection.read(stream).status in {400, 417}
    except ConnectionError as error:
        assert "reset" in str(error)  # noqa: PT017 (either answer is right)
    assert len(world.echo.requests) == before
    connection.close()


def test_connect_over_http2(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    stream = connection.state.get_next_available_stream_id()
    connection.state.send_headers(stream, [(":method", "CONNECT"), (":authority", "wire.test:443")], end_stream=False)
    connection.flush()
    assert connection.read(stream).status == 405
    connection.close()


def test_rapid_reset_ends_the_connection(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    with pytest.raises(ConnectionError):
        reset_streams(connection)
    assert exchange(world, Http2, "GET", HOST, "/").status == 200


def reset_streams(connection: Http2) -> None:
    for _ in range(20_000):
        stream = connection.open("GET", HOST, "/")
        connection.state.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        connection.flush()
    connection.pump()
    connection.pump()


@pytest.mark.parametrize("kind", ["ping", "settings", "priority"])
def test_control_frame_floods_end_the_connection(world: World, kind: str) -> None:
    frames = {
        "ping": bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + bytes(8),
        "settings": bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]),
        "priority": bytes([0, 0, 5, 2, 0, 0, 0, 0, 3]) + bytes([0, 0, 0, 0, 1]),
    }
    connection = Http2(world.gateway.address, PORT)
    assert connection.request("GET", HOST, "/").status == 200
    reader = threading.Thread(target=_discard, args=(connection.socket,), daemon=True)
    reader.start()
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        send_often(connection.socket, frames[kind] * 100)
    # What was sent may all lie in the kernel's buffers; the end comes to the reader in any case.
    reader.join(LIMIT)
    assert not reader.is_alive()
    connection.close()
    assert exchange(world, Http2, "GET", HOST, "/").status == 200


def send_often(connection: socket.socket, data: bytes) -> None:
    for _ in range(2_000):
        connection.sendall(data)


def _discard(connection: socket.socket) -> None:
    try:
        while connection.recv(65536):
            pass
    except OSError:
        return


def test_early_answers_leave_no_bytes_behind(world: World) -> None:
    """A body that nobody wants is drained or the connection closes; it is never taken for the next request."""
    body = b"GET /smuggled HTTP/1.1\r\nHost: wire.test\r\n\r\n"
    connection = raw(
        world,
        b"POST /redirect HTTP/1.1\r\nHost: wire.test\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
        + b"GET /next HTTP/1.1\r\nHost: wire.test\r\n\r\n",
    )
    assert connection.read().status == 302
    with contextlib.suppress(ConnectionError):
        assert connection.read().echo["target"] == "/next"
    assert all(item.target != "/smuggled" for item in world.echo.requests)


def test_chunks_after_an_early_answer_are_no_requests(world: World) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: wire.test\r\n\r\n"
    head = b"POST /redirect HTTP/1.1\r\nHost: wire.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = raw(world, head + b"%x\r\n" % len(smuggled) + smuggled + b"\r\n0\r\n\r\n" + smuggled)
    found = connection.read()
    assert (found.status, found.header("connection")) == (302, "close")
    assert connection.at_end()
    assert all(item.target != "/smuggled" for item in world.echo.requests)


def test_websocket_over_http2(world: World) -> None:
    """Extended CONNECT (RFC 8441) to a backend that speaks HTTP/1.1."""
    connection = Http2(world.gateway.address, PORT)
    assert connection.request("GET", HOST, "/").status == 200
    assert connection.state.remote_settings.enable_connect_protocol == 1
    stream = connection.state.get_next_available_stream_id()
    fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", HOST),
        (":path", "/ws"),
        ("sec-websocket-version", "13"),
    ]
    connection.state.send_headers(stream, fields)
    connection.flush()
    connection.send(stream, b"hello")
    received = b""
    while len(received) < 5:
        connection.pump()
        received = b"".join(
            event.data
            for event in connection.events
            if isinstance(event, h2.events.DataReceived) and event.stream_id == stream
        )
    head = next(
        event
        for event in connection.events
        if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream
    )
    assert dict(head.headers)[":status"] == "200"
    assert received == b"hello"
    connection.close()


def test_a_busy_endpoint_gets_less(start: Any, backend: Any) -> None:
    """Least request: an endpoint that holds requests is not given more while another one is idle."""
    arrived = threading.Semaphore(0)
    release = {b"slow": threading.Event(), b"quick": threading.Event()}

    def holding(name: bytes) -> Any:
        def answer(_request: Received) -> bytes:
            arrived.release()
            release[name].wait(30)
            return response(name)

        return answer

    slow, quick = backend(holding(b"slow")), backend(holding(b"quick"))
    found = start(gateway(), route(rule("/", "app")), *service("app", slow.address, quick.address))
    held = Http2(found.address, PORT)
    # While both hold, eight requests are four for each; then one of the two is idle again.
    streams = [held.open("GET", "a.test", "/") for _ in range(8)]
    for _ in streams:
        assert arrived.acquire(timeout=15)
    release[b"quick"].set()
    done = held.read_any(streams, 4)
    assert {response.body for response in done.values()} == {b"quick"}
    for _ in range(30):
        assert held.request("GET", "a.test", "/").body == b"quick"
    release[b"slow"].set()
    assert {held.read(stream).body for stream in streams if stream not in done} == {b"slow"}
    held.close()


class EventStream(Backend):
    """Sends the head of a response at once, and the body when it is told to."""

    def __init__(self) -> None:
        self.body_wanted = threading.Event()
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        assert read_request(connection.makefile("rb"), connection) is not None
        connection.sendall(b"HTTP/1.1 200 OK\r\nx-head: yes\r\ntransfer-encoding: chunked\r\n\r\n")
        self.body_wanted.wait(LIMIT)
        connection.sendall(b"5\r\nhello\r\n0\r\n\r\n")


def test_a_head_does_not_wait_for_its_body(start: Any) -> None:
    """Server-sent events: a client sees that it is connected before the first event."""
    backends = {name: EventStream() for name in ("http1", "http2")}
    services = [item for name, each in backends.items() for item in service(name, each.address)]
    found = start(gateway(), route(rule("/http1", "http1"), rule("/http2", "http2")), *services)
    plain = Http1(found.address, PORT)
    plain.send(b"GET /http1 HTTP/1.1\r\nhost: a.test\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += plain.read_raw(1)
    assert b"\r\nx-head: yes\r\n" in head
    backends["http1"].body_wanted.set()
    assert plain.read_raw(15) == b"5\r\nhello\r\n0\r\n\r\n"
    plain.close()
    multiplexed = Http2(found.address, PORT)
    stream = multiplexed.open("GET", "a.test", "/http2")
    while not any(isinstance(event, h2.events.ResponseReceived) for event in multiplexed.events):
        multiplexed.pump()
    backends["http2"].body_wanted.set()
    assert multiplexed.read(stream).body == b"hello"
    multiplexed.close()
    for each in backends.values():
        each.close()
