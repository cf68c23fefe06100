"""Connections whose peer is gone without a word: the system asks, towards clients and backends."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from system_backends import Backend, response
from system_clients import Http1
from system_flows import Flows, TcpServer, backend, named, read_exactly, rule
from system_gateway import LIMIT
from system_manifests import gateway, route, service
from system_manifests import rule as http_rule

PORT = 8080
ESTABLISHED = "01"
#: The field `tr` of `/proc/net/tcp`: no data is on its way, and keepalive probes are due.
PROBED = "02"


def timers(near: tuple[str, int] | None, far: tuple[str, int] | None) -> list[str]:
    """The timers of the connections with that end here and that one there."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, _, timer, *_ = line.split()
        ends = ((near, local), (far, remote))
        if state == ESTABLISHED and all(end is None or hexadecimal(end) == field for end, field in ends):
            found.append(timer.partition(":")[0])
    return found


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
