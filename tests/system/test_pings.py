"""HTTP/2 peers that are gone behind a system that is not: nothing is heard of them, so they are asked by PING."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, Received, echo
from system_clients import Http2
from system_gateway import LIMIT, Gateway, until
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "pings.test"
H2C = "kubernetes.io/h2c"
#: Far below the limit of silence between two bytes, which is 300 s.
SETTINGS = "[engine]\nhttp2_ping_after_ms = 500\n"
#: Within which a peer is given up that is asked after half a second; leaves room for a busy machine.
PROMPT = 20.0


class Silent(Backend):
    """Speaks the preface of HTTP/2 and reads; after that its process might as well be gone.

    Attributes:
        ended: released for each connection that ends.
    """

    def __init__(self) -> None:
        self.ended = threading.Semaphore(0)
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        connection.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        while connection.recv(65536):
            pass
        self.ended.release()


@pytest.fixture
def world(start: Any, tmp_path: Path) -> Any:
    def begin(peer: Backend, protocol: str | None = H2C) -> Gateway:
        settings = tmp_path / "sluicegate.toml"
        settings.write_text(SETTINGS)
        objects = gateway(), route(rule("/", "app")), *service("app", peer.address, protocol=protocol)
        found: Gateway = start(*objects, arguments=("--config", str(settings)))
        return found

    return begin


def test_a_backend_that_says_nothing_more(world: Any, client: Any) -> None:
    """Its requests end with an error of the backend's, and its connection ends."""
    peer = Silent()
    found = world(peer)
    connection = client(found.address, PORT)
    started = time.monotonic()
    assert connection.request("POST", HOST, "/").status == 502
    assert time.monotonic() - started < PROMPT
    assert peer.ended.acquire(timeout=PROMPT)
    connection.close()
    peer.close()


def test_a_client_that_is_gone_behind_its_system(world: Any) -> None:
    """Its connection ends, and what it asked for with it; one that answers PING is waited for."""
    arrived, release = threading.Semaphore(0), threading.Event()

    def answer(request: Received) -> bytes | None:
        arrived.release()
        release.wait(LIMIT)
        return echo("app")(request)

    peer = Backend(answer)
    found = world(peer, None)
    here, gone = Http2(found.address, PORT), Http2(found.address, PORT)
    stream = here.open("GET", HOST, "/")
    gone.open("GET", HOST, "/")
    assert arrived.acquire(timeout=LIMIT)
    assert arrived.acquire(timeout=LIMIT)
    reader = threading.Thread(target=here.read, args=(stream,))
    reader.start()
    until(lambda: active(found) == 1, "the connection of the client that is gone has ended")
    release.set()
    reader.join(LIMIT)
    assert here.read(stream).status == 200
    here.close()
    gone.close()
    peer.close()


def active(found: Gateway) -> int:
    lines = found.admin("/metrics").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("sluicegate_connections_active "))
