"""Routes that lead back to their gateway: refused at once, and no connection is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_flows import Flows, TcpServer, backend, named, read_exactly, rule
from system_gateway import LIMIT, until
from system_manifests import gateway, route, service
from system_manifests import rule as http_rule

PORT = 8080
HOST = "loop.test"


def test_a_backend_that_is_the_gateway(start: Any, client: Any) -> None:
    found = start(gateway())
    found.write(gateway(), route(http_rule("/", "app")), *service("app", (found.address, PORT)))
    connection = client(found.address, PORT)
    answer = connection.request("GET", HOST, "/")
    assert (answer.status, answer.body) == (508, b"loop_detected: the route leads back to this gateway\n")
    assert "sluicegate_connections_total 1" in found.admin("/metrics").splitlines()
    counted = 'sluicegate_errors_total{code="loop_detected"} 1'
    until(lambda: counted in found.admin("/metrics").splitlines(), "the refusal is counted behind its answer")
    connection.close()


def test_other_endpoints_are_tried(start: Any, backend: Any, client: Any) -> None:
    found = start(gateway())
    good = backend("good").address
    found.write(gateway(), route(http_rule("/", "app")), *service("app", (found.address, PORT), good))
    connection = client(found.address, PORT)
    assert [connection.request("GET", HOST, "/").status for _ in range(6)] == [200] * 6
    connection.close()


@pytest.fixture
def flows(tmp_path: Path) -> Iterator[Flows]:
    found = Flows(tmp_path)
    yield found
    found.close()


def test_connections(flows: Flows) -> None:
    listener, own = flows.listener("tcp", PORT, "TCP"), (flows.address, PORT)
    flows.apply(listener, *backend("app", own), rule("TCPRoute", "route", ("tcp",), "app"))
    assert flows.resets(PORT)
    assert [line["error"] for line in flows.ended()] == ["loop_detected"]
    server = TcpServer(named("x"))
    flows.apply(listener, *backend("app", own, server.address), rule("TCPRoute", "route", ("tcp",), "app"), full=True)
    for _ in range(4):
        with flows.connect(PORT) as client:
            client.settimeout(LIMIT)
            assert read_exactly(client, 1) == b"x"
    server.close()


def test_datagrams(flows: Flows) -> None:
    listener, own = flows.listener("udp", PORT, "UDP"), (flows.address, PORT)
    flows.apply(listener, *backend("app", own), rule("UDPRoute", "route", ("udp",), "app"))
    with flows.datagrams(PORT) as client:
        client.send(b"x")
        until(lambda: flows.metric("l4_failures_total", reason="loop_detected") == 1, "the datagram is dropped")
