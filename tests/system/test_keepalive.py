"""Connections whose peer is gone without a word: the system asks, towards clients and backends."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

from system_backends import Backend, response
from system_clients import Http1
from system_flows import Flows, TcpServer, backend, named, read_exactly, rule
from system_gateway import LIMIT
from system_manifests import backend_policy, gateway, route, service
from system_manifests import rule as http_rule

PORT = 8080
ESTABLISHED = "01"
#: The field `tr` of `/proc/net/tcp`: no data is on its way, and keepalive probes are due.
PROBED = "02"


def due(near: tuple[str, int] | None, far: tuple[str, int] | None) -> list[tuple[str, float]]:
    """The timers of the connections with that end here and that one there, and in how many seconds they are due."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, _, timer, *_ = line.split()
        ends = ((near, local), (far, remote))
        if state == ESTABLISHED and all(end is None or hexadecimal(end) == field for end, field in ends):
            kind, _, ticks = timer.partition(":")
            found.append((kind, int(ticks, 16) / os.sysconf("SC_CLK_TCK")))
    return found


def timers(near: tuple[str, int] | None, far: tuple[str, int] | None) -> list[str]:
    """The timers of such connections alone."""
    return [kind for kind, _ in due(near, far)]


def hexadecimal(end: tuple[str, int]) -> str:
    """An address and port as `/proc/net/tcp` has them, on a machine that is little endian."""
    return f"{socket.inet_aton(end[0])[::-1].hex().upper()}:{end[1]:04X}"


def test_http(start: Any) -> None:
    peer = Backend(lambda _request: response(b"x"))
    found = start(gateway(), route(http_rule("/", "app")), *service("app", peer.address))
    client = Http1(found.address, PORT)
    assert client.request("GET", "a.test", "/").status == 200
    assert timers((found.address, PORT), None) == [PROBED]
    assert timers(None, peer.address) == [PROBED]
    client.close()
    peer.close()


def test_a_policy_of_the_backend(start: Any, client: Any) -> None:
    """BackendPolicy `connection.keepalive`: its own silence before the first question, and elsewhere the usual one."""
    peers = {name: Backend(lambda _request: response(b"x")) for name in ("asked", "usual")}
    found = start(
        gateway(),
        route(*(http_rule(f"/{name}", name) for name in peers)),
        *(item for name, peer in peers.items() for item in service(name, peer.address)),
        backend_policy("policy", "asked", connection={"keepalive": {"idle": "20s", "interval": "3s", "probes": 2}}),
    )
    with closing(client(found.address, PORT)) as connection:
        for name, least, most in (("asked", 0, 20), ("usual", 20, 60)):
            assert connection.request("GET", "a.test", f"/{name}").status == 200
            [(kind, seconds)] = due(None, peers[name].address)
            assert kind == PROBED
            assert least < seconds <= most
    for peer in peers.values():
        peer.close()


def test_flows(tmp_path: Path) -> None:
    flows = Flows(tmp_path)
    server = TcpServer(named("x"))
    flows.apply(
        flows.listener("one", PORT, "TCP"), *backend("app", server.address), rule("TCPRoute", "r", ("one",), "app")
    )
    with flows.connect(PORT) as client:
        client.settimeout(LIMIT)
        assert read_exactly(client, 1) == b"x"
        assert timers((flows.address, PORT), None) == [PROBED]
        assert timers(None, server.address) == [PROBED]
    server.close()
    flows.close()
