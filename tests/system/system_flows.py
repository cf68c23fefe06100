"""An engine in this process that is fed IR, with backends and clients for connections and datagrams that are not HTTP.

The access log goes into a pipe: its lines are how tests learn that a flow has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from system_gateway import LIMIT, own_address

from sluicegate import ir
from sluicegate.engine.native import Engine, Report

Handler = Callable[[socket.socket], None]
NOTHING = ir.Removals()


class Flows:
    """A running engine on an address of its own.

    Attributes:
        address: that its listeners bind.
        report: what came of the last transaction.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.address = own_address()
        path = folder / "access.log"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.engine = Engine({"workers": 2, "access_log": {"enabled": True, "path": str(path)}, **settings})
        os.set_blocking(reader, True)
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(reader,), daemon=True)
        self._reader.start()
        self._generation = 0
        self.report: Report | None = None

    def _read(self, log: int) -> None:
        with os.fdopen(log) as lines:
            for line in lines:
                self._lines.put(line)

    def apply(self, *resources: Any, remove: ir.Removals = NOTHING, full: bool = False) -> Report:
        """Upsert resources, told apart by their types."""
        kinds: dict[str, list[Any]] = {}
        names = {
            ir.Listener: "listeners",
            ir.HttpRule: "http_rules",
            ir.L4Rule: "l4_rules",
            ir.Backend: "backends",
            ir.Endpoint: "endpoints",
            ir.BackendTls: "policies",
            ir.BackendPolicy: "policies",
            ir.BackendTraffic: "policies",
            ir.Trust: "trust",
            ir.Certificate: "certificates",
            ir.SessionTickets: "session_tickets",
        }
        for resource in resources:
            kinds.setdefault(names[type(resource)], []).append(resource)
        secrets = {kind: tuple(kinds.pop(kind, ())) for kind in ir.Secrets.__struct_fields__}
        self._generation += 1
        transaction = ir.Transaction(
            version=ir.VERSION,
            generation=self._generation,
            full=full,
            upsert=ir.Resources(**{kind: tuple(items) for kind, items in kinds.items()}),
            secrets=ir.Secrets(**secrets),
            remove=remove,
        )
        self.report = self.engine.apply(ir.encode(transaction))
        assert all(listener.error is None for listener in self.report.listeners), self.report
        return self.report

    def ended(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many flows have ended; their lines of the access log."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            try:
                found.append(json.loads(self._lines.get(timeout=LIMIT)))
            except queue.Empty:
                raise AssertionError(f"{len(found)} of {count} flows ended: {found}") from None
        return found

    def metric(self, name: str, **labels: str) -> int:
        """The sum of a metric over all labels that are not given."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        total = 0
        for line in self.engine.metrics().splitlines():
            key, _, value = line.rpartition(" ")
            if key.partition("{")[0] == f"sluicegate_{name}" and all(label in key for label in wanted):
                total += int(value)
        return total

    def connect(self, port: int, **rest: Any) -> socket.socket:
        """A TCP connection to a listener."""
        return socket.create_connection((self.address, port), LIMIT, **rest)

    def resets(self, port: int) -> bool:
        """A TCP connection to a listener ends with a reset."""
        try:
            with self.connect(port) as client:
                return is_reset(client)
        except ConnectionResetError:
            # So soon that it is told as the outcome of connecting.
            return True

    def tls(self, port: int, name: str | None, context: ssl.SSLContext) -> ssl.SSLSocket:
        """A TLS connection to a listener."""
        return context.wrap_socket(self.connect(port), server_hostname=name, suppress_ragged_eofs=False)

    def datagrams(self, port: int, address: str | None = None) -> socket.socket:
        """A UDP client of a listener."""
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(LIMIT)
        client.connect((address or self.address, port))
        return client

    def close(self) -> None:
        self.engine.shutdown()
        self._reader.join(LIMIT)

    def listener(self, name: str, port: int, protocol: str, **rest: Any) -> ir.Listener:
        return ir.Listener(
            id=f"Gateway/default/gateway/{name}",
            gateway="default/gateway",
            addresses=rest.pop("addresses", (self.address,)),
            port=port,
            bind_port=port,
            protocol=ir.ListenerProtocol(protocol),
            **rest,
        )


def rule(kind: str, name: str, listeners: tuple[str, ...], *backends: str | tuple[str, int], **rest: Any) -> ir.L4Rule:
    """A rule towards backends, by name or name and weight; `-` is an invalid reference."""
    weighted = [(item, 1) if isinstance(item, str) else item for item in backends]
    return ir.L4Rule(
        id=f"{kind}/default/{name}/0",
        route=f"{kind}/default/{name}",
        index=0,
        listeners=tuple(f"Gateway/default/gateway/{listener}" for listener in listeners),
        backends=tuple(
            ir.WeightedBackend(backend=None if backend == "-" else f"default/{backend}:1", weight=weight)
            for backend, weight in weighted
        ),
        **rest,
    )


def backend(name: str, *addresses: tuple[str, int], state: str = "ready", policies: tuple[str, ...] = ()) -> list[Any]:
    """A backend and its endpoints."""
    return [
        ir.Backend(id=f"default/{name}:1", policies=policies),
        *(endpoint(name, address, state) for address in addresses),
    ]


def endpoint(name: str, address: tuple[str, int], state: str = "ready") -> ir.Endpoint:
    return ir.Endpoint(
        id=endpoint_id(name, address),
        backend=f"default/{name}:1",
        address=address[0],
        port=address[1],
        state=ir.EndpointState(state),
    )


def endpoint_id(name: str, address: tuple[str, int]) -> str:
    return f"default/{name}:1@{address[0]}:{address[1]}"


class TcpServer:
    """Runs a handler for each connection, on a thread of its own."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        #: TLS is ended with close_notify.
        self.polite = True
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.accepted = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(LIMIT)
        self.accepted.release()
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)
            with connection:
                self._handler(connection)
                if isinstance(connection, ssl.SSLSocket) and self.polite:
                    connection.unwrap()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class UdpServer:
    """Answers each datagram with its name and what came; remembers who sent."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.name = name.encode()
        self.peers: list[tuple[str, int]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(65536)
            if data == b"stop" and peer[1] == self.address[1]:
                return
            if peer not in self.peers:
                self.peers.append(peer)
            if not data.startswith(b"silent"):
                self._socket.sendto(self.name + b" " + data, peer)

    def close(self) -> None:
        """Close the socket, so that its port is unreachable afterwards."""
        if self._thread.is_alive():
            self._socket.sendto(b"stop", self.address)
            self._thread.join(LIMIT)
        self._socket.close()


def named(name: str) -> Handler:
    """Send a name, then send back what comes until its end."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(name.encode())
        while data := connection.recv(65536):
            connection.sendall(data)

    return handle


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end."""
    received = bytearray()
    while data := connection.recv(65536):
        received += data
    return bytes(received)


def read_exactly(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        data = connection.recv(count - len(received))
        assert data, f"ended after {bytes(received)!r}"
        received += data
    return bytes(received)


def is_reset(connection: socket.socket) -> bool:
    """Read to the end: True for a reset, False for an end in order."""
    try:
        read_all(connection)
    except ConnectionResetError:
        return True
    return False
