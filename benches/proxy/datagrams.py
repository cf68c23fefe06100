"""Datagrams: `python -m benches.proxy.datagrams echo PORT`, and `... send PORT SECONDS` or `... flood PORT SECONDS`.

Both print what came back. `send`: many clients, each with one datagram under way: UDP has no back-pressure, and what
counts is the work of the proxy, not how many datagrams it can lose. `flood`: bursts of few clients, one way, as logs
are sent; the backend counts them, and the next bursts go when these have arrived.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time

from benches.proxy.peers.site import ADDRESS

CLIENTS = 64
PAYLOAD = b"0123456789abcdef" * 4
#: How many send bursts, of how many datagrams each.
FLOODING_CLIENTS, BURST = 4, 32
#: What is only counted begins so; the other one asks how many there were.
ONE_WAY, COUNT = b"-", b"?"
#: Seconds after which a datagram is lost.
LOST = 1.0
_BUFFER = 4 * 1024 * 1024
#: `linux/udp.h`: what is written at once leaves as datagrams of so many octets.
_UDP_SEGMENT = 103


def echo(port: int) -> None:
    """Send back what comes, until the process is ended; of what goes one way the number, to who asks."""
    counted = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        server.bind((ADDRESS, port))
        while True:
            data, client = server.recvfrom(65536)
            if data.startswith(ONE_WAY):
                counted += 1
            else:
                server.sendto(str(counted).encode() if data == COUNT else data, client)


def send(port: int, seconds: float) -> dict[str, object]:
    """Send datagrams and wait for their echoes; how many came back, how many did not, and times in milliseconds."""
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(CLIENTS)]
    for client in clients:
        client.settimeout(LOST)
        client.connect((ADDRESS, port))
    returned = lost = 0
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while (started := time.perf_counter()) < ends:
        for client in clients:
            client.send(PAYLOAD)
        for client in clients:
            try:
                client.recv(65536)
                returned += 1
            except (TimeoutError, ConnectionRefusedError):
                lost += 1
        times.append(time.perf_counter() - started)
    for client in clients:
        client.close()
    times.sort()
    return {"returned": returned, "lost": lost, "p99_ms": times[int(len(times) * 0.99)] * 1000}


def flood(port: int, seconds: float) -> dict[str, object]:
    """Send bursts and wait until the backend has them; as of `send`, a time being that of a round of bursts."""
    burst = (ONE_WAY + PAYLOAD[1:]) * BURST
    with contextlib.ExitStack() as stack:
        asking, *clients = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(1 + FLOODING_CLIENTS)
        )
        for client in (asking, *clients):
            client.settimeout(LOST)
            client.connect((ADDRESS, port))
        for client in clients:
            client.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, len(PAYLOAD))
        before = first = _arrived(asking)
        lost, times = 0, []
        ends = time.perf_counter() + seconds
        while (started := time.perf_counter()) < ends:
            for client in clients:
                client.send(burst)
            wanted = before + FLOODING_CLIENTS * BURST
            while (arrived := _arrived(asking)) < wanted and time.perf_counter() < started + LOST:
                pass
            lost, before = lost + wanted - arrived, arrived
            times.append(time.perf_counter() - started)
    times.sort()
    return {"returned": before - first, "lost": lost, "p99_ms": times[int(len(times) * 0.99)] * 1000}


def _arrived(asking: socket.socket) -> int:
    """How many the backend has counted. The question goes the way of what it asks about."""
    asking.send(COUNT)
    return int(asking.recv(64))


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(int(sys.argv[2]))
    else:
        run = {"send": send, "flood": flood}[sys.argv[1]]
        print(json.dumps(run(int(sys.argv[2]), float(sys.argv[3]))))
