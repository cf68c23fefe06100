"""Connections are spread evenly over workers, whatever hash the system deals them by."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "spread.test"
WORKERS = 4
#: Few enough that a hash gives one worker far more than another, nearly always.
CONNECTIONS = 40
ESTABLISHED = "01"


def counts(found: Gateway) -> list[int]:
    """Connections of clients that each worker waits for, the fewest first, by what the system knows of its `epoll`."""
    process = Path(f"/proc/{found.process.pid}")
    near = f"{socket.inet_aton(found.address)[::-1].hex().upper()}:{PORT:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    inodes = {row[9] for row in rows if row[1] == near and row[3] == ESTABLISHED}
    links = {}
    for entry in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a connection to the backend that ends meanwhile
            links[entry.name] = os.readlink(entry)
    clients = frozenset(name for name, link in links.items() if link.startswith("socket:[") and link[8:-1] in inodes)
    waits = [
        (process / "fdinfo" / name).read_text() for name, link in links.items() if link == "anon_inode:[eventpoll]"
    ]
    # Each worker has its `epoll` under two descriptors; what is no worker's waits for no client.
    workers = {clients.intersection(re.findall(r"^tfd: +(\d+)", text, re.M)) for text in waits} - {frozenset()}
    return sorted(len(each) for each in workers)


@pytest.mark.parametrize("protocol", [Http1, Http2])
def test_connections_that_stay(start: Any, backend: Any, protocol: Any) -> None:
    """Each is answered wherever it is, at once and later, and a drain ends them all."""
    objects = [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]
    found: Gateway = start(*objects, arguments=("--workers", str(WORKERS), "--drain", "60"))
    clients = [protocol(found.address, PORT) for _ in range(CONNECTIONS)]
    for client in clients:
        assert client.request("GET", HOST, "/").status == 200
    open_ones: list[int] = []

    def are_open() -> bool:
        open_ones[:] = counts(found)
        return sum(open_ones) == CONNECTIONS

    until(are_open, "all are counted")
    assert len(open_ones) == WORKERS
    least, *_, most = open_ones
    assert most <= least + 2 + least // 4
    for client in clients:
        assert client.request("GET", HOST, "/").status == 200
    assert found.stop() == 0
    for client in clients:
        client.close()
