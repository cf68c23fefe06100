"""Many concurrent TCP and UDP flows through the engine: every byte comes back, tables are bounded, memory returns.

`python -m benches.scenario.flows [--tcp 10000] [--udp 10000] [--rounds 4] [--size 1024]`

Two processes: the gateway (an engine that is fed IR) and this one, which has both the clients and the backends. All
flows are open at once, and stay open until each has had its echoes. The descriptors that this takes are asked for;
where the system gives fewer, there are fewer flows, and the result says so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
ADDRESS = "127.77.0.1"
#: Descriptors that each process has besides those of the flows.
SPARE = 100
PORT = 21_600
#: Datagrams under way at once: a socket's receive buffer is small, and UDP has no back-pressure.
WINDOW = 64
#: Seconds after which a datagram counts as lost and is sent again.
LOST = 2.0

GATEWAY = """
import json, resource, sys
from sluicegate import ir
from sluicegate.engine.native import Engine

limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
engine = Engine(json.loads(sys.argv[2]))
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "apply":
        report = engine.apply(rest.encode())
        print(json.dumps([listener.error is None for listener in report.listeners]), flush=True)
    elif word == "metrics":
        print(json.dumps(engine.metrics()), flush=True)
engine.shutdown()
"""


class Gateway:
    """The process of the gateway."""

    def __init__(self, descriptors: int, settings: dict[str, object]) -> None:
        command = [sys.executable, "-c", GATEWAY, str(descriptors), json.dumps(settings)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line: str) -> object:
        """Send a command; its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def metrics(self) -> dict[str, int]:
        """Sums over all labels but the direction."""
        sums: dict[str, int] = {}
        for line in str(self.ask("metrics")).splitlines():
            key, _, value = line.rpartition(" ")
            name, _, labels = key.partition("{")
            if name.startswith("sluicegate_l4"):
                kind = "udp" if "UDPRoute" in labels else "tcp"
                direction = labels.partition('direction="')[2].partition('"')[0]
                reason = labels.partition('reason="')[2].partition('"')[0]
                key = "_".join(part for part in (name[14:], reason or kind, direction) if part)
                sums[key] = sums.get(key, 0) + int(value)
        return sums

    def wait_for(self, name: str, value: int) -> None:
        """Wait until a metric has a value."""
        while self.metrics().get(name) != value:
            time.sleep(0.05)

    def memory(self) -> int:
        """Resident KiB, once they no longer change."""
        before, now = -1, self._resident()
        while before != now:
            time.sleep(1.5)
            before, now = now, self._resident()
        return now

    def _resident(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def descriptors(self) -> int:
        """Open descriptors."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def close(self) -> int:
        """Stop it; its exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(60)


def transaction(stream: tuple[str, int], datagrams: tuple[str, int]) -> str:
    listeners, rules, backends, endpoints = [], [], [], []
    for kind, (address, port) in (("TCP", stream), ("UDP", datagrams)):
        listener, backend = f"Gateway/default/gateway/{kind.lower()}", f"default/{kind.lower()}:1"
        listeners.append(
            {
                "id": listener,
                "gateway": "default/gateway",
                "addresses": [ADDRESS],
                "port": PORT,
                "bind_port": PORT,
                "protocol": kind,
            }
        )
        rules.append(
            {
                "id": f"{kind}Route/default/route/0",
                "route": f"{kind}Route/default/route",
                "index": 0,
                "listeners": [listener],
                "backends": [{"backend": backend, "weight": 1}],
            }
        )
        backends.append({"id": backend})
        endpoints.append({"id": f"{backend}@{address}:{port}", "backend": backend, "address": address, "port": port})
    upsert = {"listeners": listeners, "l4_rules": rules, "backends": backends, "endpoints": endpoints}
    return json.dumps({"version": 1, "generation": 1, "full": True, "upsert": upsert})


def payload(flow: int, round_: int, size: int) -> bytes:
    """Bytes that no other flow and round has."""
    seed = hashlib.sha256(f"{flow}/{round_}".encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


class Echo:
    """Backends on a thread: TCP and UDP, both send back what comes."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.datagrams.bind(("127.0.0.1", 0))
        self.datagrams.setblocking(False)
        self.stream_bytes = self.datagram_bytes = self.datagram_count = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        poll = select.epoll()
        poll.register(self.listener, select.EPOLLIN)
        poll.register(self.datagrams, select.EPOLLIN)
        connections: dict[int, socket.socket] = {}
        while True:
            for number, _ in poll.poll():
                if number == self.listener.fileno():
                    self._accept(poll, connections)
                elif number == self.datagrams.fileno():
                    self._answer()
                elif data := connections[number].recv(65536):
                    self.stream_bytes += len(data)
                    connections[number].sendall(data)
                else:
                    poll.unregister(number)
                    connections.pop(number).close()

    def _accept(self, poll: select.epoll, connections: dict[int, socket.socket]) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            connections[connection.fileno()] = connection
            poll.register(connection, select.EPOLLIN)

    def _answer(self) -> None:
        while True:
            try:
                data, peer = self.datagrams.recvfrom(65536)
            except BlockingIOError:
                return
            self.datagram_count += 1
            self.datagram_bytes += len(data)
            self.datagrams.sendto(data, peer)


def tcp_round(clients: list[socket.socket], round_: int, size: int) -> None:
    """Every flow sends, then every flow has to have its own bytes back."""
    for flow, client in enumerate(clients):
        client.sendall(payload(flow, round_, size))
    for flow, client in enumerate(clients):
        wanted, got = payload(flow, round_, size), bytearray()
        while len(got) < size:
            data = client.recv(size - len(got))
            if not data:
                raise SystemExit(f"TCP flow {flow} ended in round {round_}")
            got += data
        if got != wanted:
            raise SystemExit(f"TCP flow {flow} has other bytes in round {round_}")


def udp_round(clients: list[socket.socket], round_: int, size: int) -> int:
    """As `tcp_round`, a window of flows at a time. Returns the datagrams that had to be sent again."""
    repeated = 0
    for start in range(0, len(clients), WINDOW):
        window = dict(enumerate(clients[start : start + WINDOW], start))
        for flow, client in window.items():
            client.send(payload(flow, round_, size))
        for flow, client in window.items():
            wanted = payload(flow, round_, size)
            while True:
                try:
                    data = client.recv(65536)
                except TimeoutError:
                    repeated += 1
                    client.send(wanted)
                    continue
                if data == wanted:
                    break
                # The echo of a datagram that was thought to be lost.
                if data not in {payload(flow, before, size) for before in range(round_)}:
                    raise SystemExit(f"UDP flow {flow} has other bytes in round {round_}")
    return repeated


def open_tcp(count: int) -> Iterator[socket.socket]:
    for _ in range(count):
        yield socket.create_connection((ADDRESS, PORT), 60)


def open_udp(count: int) -> Iterator[socket.socket]:
    for _ in range(count):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(LOST)
        client.connect((ADDRESS, PORT))
        yield client


def descriptors_for(flows: int) -> int:
    """Raise the limit of this process so that it has two for each flow and some; returns the limit."""
    wanted = flows * 2 + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        except (ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def run(gateway: Gateway, kind: str, count: int, rounds: int, size: int) -> dict[str, object]:
    """Open, exchange, close; figures."""
    started = time.perf_counter()
    clients = list(open_tcp(count) if kind == "tcp" else open_udp(count))
    repeated = 0
    for round_ in range(rounds):
        if kind == "tcp":
            tcp_round(clients, round_, size)
        else:
            repeated += udp_round(clients, round_, size)
        if round_ == 0:
            gateway.wait_for(f"connections_active_{kind}", count)
            opened = time.perf_counter()
            full = {"resident_kib": gateway.memory(), "descriptors": gateway.descriptors()}
            settled = time.perf_counter()
    ended = time.perf_counter()
    for client in clients:
        client.close()
    gateway.wait_for(f"connections_active_{kind}", 0)
    return {
        "flows": count,
        "open_seconds": round(opened - started, 2),
        "exchange_seconds": round(ended - settled, 2),
        "bytes_each_way": count * rounds * size,
        "sent_again": repeated,
        "while_open": full,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tcp", type=int, default=10_000)
    parser.add_argument("--udp", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--size", type=int, default=1_024)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    limit = descriptors_for(max(arguments.tcp, arguments.udp))
    # A TCP flow has two descriptors in the gateway and in the process of both its ends, a UDP flow one.
    tcp, udp = min(arguments.tcp, (limit - SPARE) // 2), min(arguments.udp, limit - SPARE)
    echo = Echo()
    settings = {"workers": arguments.workers, "udp_idle_timeout_ms": 20_000}
    gateway = Gateway(limit, settings)
    if gateway.ask("apply " + transaction(echo.listener.getsockname(), echo.datagrams.getsockname())) != [True, True]:
        raise SystemExit("the gateway cannot bind")
    started = {"resident_kib": gateway.memory(), "descriptors": gateway.descriptors()}
    # What a process keeps once it has worked is no leak: tables at their size, the allocator's own pages.
    for kind, count in (("tcp", tcp), ("udp", udp)):
        run(gateway, kind, count, 1, arguments.size)
    base = {"resident_kib": gateway.memory(), "descriptors": gateway.descriptors()}
    result = {"descriptor_limit": limit, "started": started, "base": base}
    before = gateway.metrics()
    result["tcp"] = run(gateway, "tcp", tcp, arguments.rounds, arguments.size)
    result["udp"] = run(gateway, "udp", udp, arguments.rounds, arguments.size)
    after = gateway.metrics()
    result["metrics"] = {
        key: after[key] - before.get(key, 0) for key in sorted(after) if after[key] != before.get(key, 0)
    }
    result["after"] = {"resident_kib": gateway.memory(), "descriptors": gateway.descriptors()}
    status = gateway.close()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "flows.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return status


if __name__ == "__main__":
    sys.exit(main())
