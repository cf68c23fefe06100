"""The limit of request bodies: 413, before a byte goes up where that is told, and never half a body for a whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "limit.test"
LIMIT_BYTES = 100_000


class World:
    def __init__(self, start: Any, backend: Any, backend2: Any, folder: Path) -> None:
        settings = folder / "sluicegate.toml"
        settings.write_text(f"[engine]\nmax_body_bytes = {LIMIT_BYTES}\n")
        self.backends: dict[str, Backend] = {
            "h1": backend(lambda _request: response(b"taken")),
            "h2": backend2(lambda _request: ([(":status", "200")], b"taken", [])),
        }
        retry = {"codes": [503], "attempts": 1}
        self.gateway: Gateway = start(
            gateway(),
            route(
                rule("/h1/retried", "h1", retry=retry),
                rule("/h2/retried", "h2", retry=retry),
                rule("/h1", "h1"),
                rule("/h2", "h2"),
            ),
            *service("h1", self.backends["h1"].address),
            *service("h2", self.backends["h2"].address, protocol="kubernetes.io/h2c"),
            arguments=("--config", str(settings)),
        )

    def send(self, how: str, target: str, size: int) -> Response:
        connection = (Http2 if how.startswith("http2") else Http1)(self.gateway.address, PORT)
        body = bytes(size)
        try:
            if isinstance(connection, Http2):
                fields = (("content-length", str(size)),) if how == "http2-length" else ()
                stream = connection.open("PUT", HOST, target, fields, end=False)
                if not (fields and size > LIMIT_BYTES):
                    connection.send(stream, body, end=True)
                return connection.read(stream)
            if how == "length":
                return connection.request("PUT", HOST, target, (), body)
            pieces = [body[at : at + 10_000] for at in range(0, size, 10_000)]
            head = f"PUT {target} HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
            connection.send(head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
            return connection.read("PUT")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(start, backend, backend2, tmp_path_factory.mktemp("settings"))


@pytest.mark.parametrize("rule_name", ["plain", "retried"])
@pytest.mark.parametrize("backend_protocol", ["h1", "h2"])
@pytest.mark.parametrize("how", ["length", "chunked", "http2", "http2-length"])
def test_bodies_up_to_the_limit(world: World, how: str, backend_protocol: str, rule_name: str) -> None:
    app = world.backends[backend_protocol]
    for size in (0, 1, LIMIT_BYTES):
        target = f"/{backend_protocol}/{rule_name}/{how}/{size}"
        assert world.send(how, target, size).status == 200
        assert [len(each.body) for each in app.requests if each.target == target] == [size]
    for size in (LIMIT_BYTES + 1, LIMIT_BYTES * 2):
        target = f"/{backend_protocol}/{rule_name}/{how}/{size}"
        found = world.send(how, target, size)
        assert found.status == 413
        assert found.body.startswith(b"body_too_large: ")
        # Where it was not told in advance a backend may have seen the start of it, and never an end.
        assert [each for each in app.requests if each.target == target] == []


def test_nobody_is_asked_to_send_too_much(world: World) -> None:
    """A client that waits for 100-continue sends nothing in vain."""
    connection = Http1(world.gateway.address, PORT)
    head = f"PUT /h1 HTTP/1.1\r\nhost: {HOST}\r\nexpect: 100-continue\r\ncontent-length: {LIMIT_BYTES + 1}\r\n\r\n"
    connection.send(head.encode())
    found = connection.read("PUT")
    assert found.status == 413
    assert found.header("connection") == "close"
    assert connection.at_end()
    connection.close()
