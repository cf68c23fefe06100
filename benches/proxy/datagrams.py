"""Datagrams: `python -m benches.proxy.datagrams echo PORT`, and `... send PORT SECONDS`, which prints what came back.

Many clients, each with one datagram under way: UDP has no back-pressure, and what counts is the work of the proxy, not
how many datagrams it can lose.
"""

from __future__ import annotations

import json
import socket
import sys
import time

from benches.proxy.peers.site import ADDRESS

CLIENTS = 64
PAYLOAD = b"0123456789abcdef" * 4
#: Seconds after which a datagram is lost.
LOST = 1.0
_BUFFER = 4 * 1024 * 1024


def echo(port: int) -> None:
    """Send back what comes, until the process is ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        server.bind((ADDRESS, port))
        while True:
            server.sendto(*server.recvfrom(65536))


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


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(int(sys.argv[2]))
    else:
        print(json.dumps(send(int(sys.argv[2]), float(sys.argv[3]))))
