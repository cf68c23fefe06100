"""Fields that are not forwarded as they come (`Host`, framing, hop-by-hop): rules see them, filters cannot set them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h2.events
import pytest
from system_backends import Backend, websocket_accept
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import Manifest, dump, gateway, grpc_route, grpc_rule, route, rule, service

from sluicegate.testing.library import load

PORT = 8080
HOST = "Wire.test"


def matching(path: str, name: str, value: str, kind: str = "Exact") -> Manifest:
    header = {"name": name, "value": value, "type": kind}
    return rule("", "special", matches=[{"path": {"type": "Exact", "value": path}, "headers": [header]}])


MATCHES = [
    ("/upgrade", "Upgrade", "websocket", "Exact"),
    ("/connection", "connection", "(?i).*upgrade.*", "RegularExpression"),
    ("/host", "Host", HOST, "Exact"),
    ("/length", "Content-Length", "[0-9]{3,}", "RegularExpression"),
    ("/coding", "Transfer-Encoding", "chunked", "Exact"),
    ("/te", "TE", "trailers", "Exact"),
    ("/expect", "Expect", "100-continue", "Exact"),
    ("/keep-alive", "Keep-Alive", "timeout=5", "Exact"),
    ("/proxy", "Proxy-Connection", "keep-alive", "Exact"),
    ("/settings", "HTTP2-Settings", ".+", "RegularExpression"),
    ("/trailer", "Trailer", "x-sum", "Exact"),
    ("/named", "X-Named", "1", "Exact"),
]
WEBSOCKET = (
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)

#: Path, fields, body; whether the rule takes it over HTTP/1.1. `http2` has those that HTTP/2 can carry.
HTTP1 = [
    ("/upgrade", (("Connection", "Upgrade"), *WEBSOCKET), None, True),
    ("/upgrade", (("Upgrade", "h2c"),), None, False),
    ("/upgrade", (("Upgrade", "websocket"), ("Upgrade", "other")), None, False),
    ("/connection", (("Connection", "keep-alive"), ("Connection", "Upgrade")), None, True),
    ("/connection", (("Connection", "keep-alive"),), None, False),
    ("/host", (), None, True),
    ("/length", (), b"x" * 200, True),
    ("/length", (), b"x" * 20, False),
    ("/length", (), None, False),
    ("/te", (("TE", "trailers"),), None, True),
    ("/te", (("TE", "gzip"),), None, False),
    ("/expect", (("Expect", "100-continue"),), b"x", True),
    ("/expect", (), b"x", False),
    ("/keep-alive", (("Keep-Alive", "timeout=5"),), None, True),
    ("/proxy", (("Proxy-Connection", "keep-alive"),), None, True),
    ("/settings", (("Connection", "HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")), None, True),
    ("/trailer", (("Trailer", "x-sum"),), None, True),
    ("/named", (("Connection", "x-named"), ("X-Named", "1")), None, True),
    ("/named", (("Connection", "x-named"), ("X-Named", "2")), None, False),
]
HTTP2 = [
    ("/host", (), None, True),
    ("/host", (("host", HOST),), None, True),
    ("/length", (("content-length", "200"),), b"x" * 200, True),
    ("/length", (("content-length", "20"),), b"x" * 20, False),
    ("/length", (), b"x" * 200, False),
    ("/te", (("te", "trailers"),), None, True),
    ("/te", (), None, False),
    ("/expect", (("expect", "100-continue"),), b"x", True),
    ("/upgrade", (), None, False),
]


@dataclass
class World:
    gateway: Gateway
    special: Backend


#: What every rule of `/edited` tries to bring through, on both sides.
EDITS = {
    "set": [
        *({"name": "Connection", "value": "close"}, {"name": "transfer-encoding", "value": "chunked"}),
        *({"name": "Content-Length", "value": "999"}, {"name": "Upgrade", "value": "websocket"}),
        *({"name": "x-set", "value": "1"}, {"name": "Expect", "value": "100-continue"}),
    ],
    "add": [
        *({"name": "content-length", "value": "3"}, {"name": "Keep-Alive", "value": "timeout=1"}),
        *({"name": "TE", "value": "gzip"}, {"name": "Trailer", "value": "x"}, {"name": "x-added", "value": "1"}),
        *({"name": "Proxy-Connection", "value": "close"}, {"name": "HTTP2-Settings", "value": "AAMAAABkAAQAAP__"}),
    ],
}


def objects(plain: Backend, special: Backend, sockets: Backend) -> list[Manifest]:
    edits: list[Manifest] = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": EDITS},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": EDITS},
    ]
    headers = [{"name": "upgrade", "value": "websocket"}, {"name": "connection", "value": "Upgrade"}]
    return [
        gateway(),
        route(rule("/", "plain"), *(matching(*each) for each in MATCHES)),
        route(
            rule("/edited", "special", filters=edits),
            rule("", "socket", matches=[{"path": {"type": "Exact", "value": "/ws"}, "headers": headers}]),
            name="other",
        ),
        *service("plain", plain.address),
        *service("special", special.address),
        *service("socket", sockets.address, protocol="kubernetes.io/ws"),
    ]


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> World:
    special, sockets = backend("special"), backend(websocket_accept)
    return World(start(*objects(backend("plain"), special, sockets)), special)


def method_of(body: bytes | None) -> str:
    return "GET" if body is None else "POST"


@pytest.mark.parametrize(("path", "fields", "body", "special"), HTTP1)
def test_matches_over_http1(
    world: World, path: str, fields: tuple[tuple[str, str], ...], body: bytes | None, special: bool
) -> None:
    """And `explain` says the same."""
    connection = Http1(world.gateway.address, PORT)
    found = connection.request(method_of(body), HOST, path, fields, body)
    connection.close()
    assert found.header("x-back") == ("special" if special else "plain")
    length = (("content-length", str(len(body))),) if body is not None else ()
    decision = load(world.gateway.folder).decide(
        f"{method_of(body)} http://{HOST}:{PORT}{path}", (("Host", HOST), *fields, *length)
    )
    assert str(decision.backend).startswith("default/special" if special else "default/plain")


def test_a_match_on_transfer_encoding(world: World) -> None:
    connection = Http1(world.gateway.address, PORT)
    connection.send(b"POST /coding HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    assert connection.read().header("x-back") == "special"
    connection.close()


def test_host_of_an_absolute_form_target(world: World) -> None:
    connection = Http1(world.gateway.address, PORT)
    connection.send(f"GET http://{HOST}/host HTTP/1.1\r\nHost: other.test\r\n\r\n".encode())
    assert connection.read().header("x-back") == "special"
    connection.send(f"GET http://other.test/host HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert connection.read().header("x-back") == "plain"
    connection.close()


def test_http10_without_host(world: World) -> None:
    connection = Http1(world.gateway.address, PORT)
    connection.send(b"GET /host HTTP/1.0\r\n\r\n")
    assert connection.read().header("x-back") == "plain"
    connection.close()


@pytest.mark.parametrize(("path", "fields", "body", "special"), HTTP2)
def test_matches_over_http2(
    world: World, path: str, fields: tuple[tuple[str, str], ...], body: bytes | None, special: bool
) -> None:
    connection = Http2(world.gateway.address, PORT)
    stream = connection.open(method_of(body), HOST, path, fields, end=body is None)
    if body is not None:
        connection.send(stream, body, end=True)
    assert connection.read(stream).header("x-back") == ("special" if special else "plain")
    connection.close()


def test_a_websocket_over_http2_matches_as_over_http1(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    assert connection.request("GET", HOST, "/ws").header("x-back") == "plain"
    stream = connection.state.get_next_available_stream_id()
    fields = [
        *((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", HOST)),
        *((":path", "/ws"), ("sec-websocket-version", "13")),
    ]
    connection.state.send_headers(stream, fields)
    connection.flush()
    connection.send(stream, b"hello")
    while not any(isinstance(event, h2.events.DataReceived) for event in connection.events[-1:]):
        connection.pump()
    assert connection.events[-1].data == b"hello"  # type: ignore[attr-defined]
    connection.close()


def test_what_is_matched_is_not_forwarded(world: World) -> None:
    connection = Http1(world.gateway.address, PORT)
    fields = (("Connection", "Upgrade, x-named"), ("X-Named", "1"), ("Keep-Alive", "timeout=5"), ("TE", "trailers"))
    found = connection.request("GET", HOST, "/named", fields)
    connection.close()
    assert found.header("x-back") == "special"
    assert {name for name, _ in found.echo["headers"]} == {
        *("host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
    }


def test_filters_bring_no_wire_field_through(world: World, client: Any) -> None:
    """Neither to backends nor to clients: the connection and the framing of either side stay as they are."""
    connection = client(world.gateway.address, PORT)
    length = (("content-length", "4"),) if client is Http2 else ()
    for _ in range(2):
        before = world.special.connections
        found = connection.request("POST", HOST, "/edited", length, b"body")
        assert (found.status, found.echo["body"]) == (200, "body")
        seen = {name.lower(): value for name, value in found.echo["headers"]}
        assert seen["content-length"] == "4"
        assert (seen["x-set"], seen["x-added"]) == ("1", "1")
        assert seen.keys() - {"content-length", "x-set", "x-added", "host"} == {
            *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
        }
        names = {name.lower() for name, _ in found.headers}
        assert names - {":status"} == {"content-type", "x-back", "content-length", "date", "x-set", "x-added"}
        assert found.header("content-length") == str(len(found.body))
        assert world.special.connections <= before + 1
    connection.close()


def test_a_grpc_route_sees_them_too(tmp_path: Path, start: Any, backend2: Callable[..., Backend]) -> None:
    header = [{"name": "te", "value": "trailers"}]
    fields = (("content-type", "application/grpc"), ("te", "trailers"))
    everything = [
        gateway(),
        grpc_route(grpc_rule("plain"), grpc_rule("special", matches=[{"headers": header}])),
        *service("plain", backend2("plain").address),
        *service("special", backend2("special").address),
    ]
    running = start(*everything)
    (tmp_path / "all.yaml").write_text(dump(*everything))
    connection = Http2(running.address, PORT)
    for sent, name in ((fields, "special"), (fields[:1], "plain")):
        assert connection.request("POST", HOST, "/a.b/c", sent).header("x-back") == name
        decision = load(tmp_path).decide(f"POST http://{HOST}:{PORT}/a.b/c", sent)
        assert json.dumps(decision.backend).startswith(f'"default/{name}')
    connection.close()
