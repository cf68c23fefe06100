"""gRPC ends for tests: servers and channels of grpcio, and an HTTP/2 backend that a test drives frame by frame."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, TypeVar

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from system_certificates import Pair

LIMIT = 60.0

Metadata = tuple[tuple[str, str | bytes], ...]
Event = TypeVar("Event")


class GrpcBackend(grpc.GenericRpcHandler):
    """A server of every method; the last part of its name says what it does.

    - `Get`, and what is not named here: echo, as JSON (backend, method, metadata, request, seconds to the deadline).
    - `Chat`: for each request one response, until the client ends.
    - `Hang`: initial metadata, then nothing until the client goes away (`wait_hanging`, `wait_cancelled`).
    - `Silent`: the same without initial metadata.
    - `Fail`: the status that the request names, as `<number> <message>`.
    - `Flood`: as many bytes, in messages of 64 KiB, as the request names.
    """

    def __init__(self, name: str, *, pair: Pair | None = None, options: tuple[tuple[str, Any], ...] = ()) -> None:
        self.name = name
        self.calls: list[str] = []
        self._hanging: set[str] = set()
        self._cancelled: set[str] = set()
        self.changed = threading.Condition()
        self._server = grpc.server(futures.ThreadPoolExecutor(160), handlers=(self,), options=options)
        if pair is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.address = ("127.0.0.1", port)
        self._server.start()

    def close(self, grace: float | None = None) -> None:
        self._server.stop(grace).wait(LIMIT)

    def wait(self, count: int) -> list[str]:
        """Wait until so many calls have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.calls) >= count, LIMIT), self.calls
            return list(self.calls)

    def wait_hanging(self, method: str) -> None:
        """Wait until a call of a method has come and hangs."""
        with self.changed:
            assert self.changed.wait_for(lambda: method in self._hanging, LIMIT), self.calls

    def wait_cancelled(self, method: str) -> None:
        """Wait until that call is given up."""
        with self.changed:
            assert self.changed.wait_for(lambda: method in self._cancelled, LIMIT), self.calls

    def _tell(self, where: set[str], method: str) -> None:
        with self.changed:
            where.add(method)
            self.changed.notify_all()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        with self.changed:
            self.calls.append(details.method)
            self.changed.notify_all()
        kind = details.method.rpartition("/")[2]
        answer: Callable[..., Iterator[bytes]] = getattr(self, f"_{kind.lower()}", self._get)

        def behaviour(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            return answer(details, requests, context)

        return grpc.stream_stream_rpc_method_handler(behaviour)

    def _get(self, details: Any, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.send_initial_metadata((("x-back", self.name),))
        context.set_trailing_metadata((("x-trailer", self.name), ("x-trailer-bin", b"\x00\xff")))
        metadata = [
            [key, value.hex() if isinstance(value, bytes) else value] for key, value in details.invocation_metadata
        ]
        document = {
            "backend": self.name,
            "method": details.method,
            "metadata": metadata,
            "request": b"".join(requests).decode("latin-1"),
            "remaining": context.time_remaining(),
        }
        yield json.dumps(document).encode()

    def _chat(self, _details: Any, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    def _hang(self, details: Any, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.send_initial_metadata((("x-back", self.name),))
        return self._silent(details, requests, context)

    def _silent(self, details: Any, _requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        gone = threading.Event()
        context.add_callback(gone.set)
        self._tell(self._hanging, details.method)
        gone.wait(LIMIT)
        self._tell(self._cancelled, details.method)
        yield from ()

    def _fail(self, _details: Any, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        number, _, message = next(requests).decode().partition(" ")
        context.set_trailing_metadata((("x-why", "asked"),))
        context.abort(next(code for code in grpc.StatusCode if code.value[0] == int(number)), message)
        yield from ()

    def _flood(self, _details: Any, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        left = int(next(requests))
        while left > 0:
            size = min(left, 65536)
            yield bytes(size)
            left -= size


def channel(
    address: str, port: int, host: str, *, roots: bytes | None = None, options: tuple[tuple[str, Any], ...] = ()
) -> grpc.Channel:
    """A channel to the gateway for one hostname."""
    options = (("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1), *options)
    if roots is None:
        return grpc.insecure_channel(f"{address}:{port}", options)
    options = (*options, ("grpc.ssl_target_name_override", host))
    return grpc.secure_channel(f"{address}:{port}", grpc.ssl_channel_credentials(roots), options)


def call(made: grpc.Channel, method: str, request: bytes = b"", metadata: Metadata = (), timeout: float = LIMIT) -> Any:
    """One unary call; returns what an echoing backend says, raises what the client raises."""
    return json.loads(made.unary_unary(method)(request, metadata=metadata, timeout=timeout))


def status(made: grpc.Channel, method: str, request: bytes = b"", **rest: Any) -> tuple[int, str]:
    """Number and message of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        made.unary_unary(method)(request, timeout=rest.pop("timeout", LIMIT), **rest)
    return caught.value.code().value[0], caught.value.details() or ""


class Peer:
    """One connection of the gateway to a [`Scripted`] backend."""

    def __init__(self, connection: socket.socket, settings: dict[Any, int]) -> None:
        self.socket = connection
        connection.settimeout(LIMIT)
        configuration = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.state = h2.connection.H2Connection(configuration)
        if settings:
            self.state.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.state.initiate_connection()
        self.flush()
        self.events: list[h2.events.Event] = []

    def flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())

    def wait(self, kind: type[Event], count: int = 1) -> list[Event]:
        """Wait until so many events of a kind have come; returns all of them."""
        while len(found := [event for event in self.events if isinstance(event, kind)]) < count:
            data = self.socket.recv(65536)
            assert data, f"closed by the gateway; {self.events}"
            for event in self.state.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.events.append(event)
            self.flush()
        return found

    def head(self, stream: int, *fields: tuple[str, str], end: bool = False) -> None:
        base = [(":status", "200"), ("content-type", "application/grpc")]
        self.state.send_headers(stream, [*base, *fields], end_stream=end)
        self.flush()

    def data(self, stream: int, data: bytes) -> None:
        self.state.send_data(stream, data)
        self.flush()

    def trailers(self, stream: int, *fields: tuple[str, str]) -> None:
        self.state.send_headers(stream, fields, end_stream=True)
        self.flush()

    def answer(self, stream: int, message: bytes = b"\0\0\0\0\0") -> None:
        """A whole gRPC response."""
        self.head(stream)
        self.data(stream, message)
        self.trailers(stream, ("grpc-status", "0"))

    def reset(self, stream: int, code: int) -> None:
        self.state.reset_stream(stream, code)
        self.flush()

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()


class Scripted:
    """An HTTP/2 backend without a will of its own: the test accepts, waits and sends."""

    def __init__(self, settings: dict[Any, int] | None = None) -> None:
        self._settings = settings or {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LIMIT)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.peers: list[Peer] = []

    @staticmethod
    def any(backends: list[Scripted]) -> Scripted:
        """The first that has a connection to accept."""
        listeners = [each._listener for each in backends]
        ready, _, _ = select.select(listeners, (), (), LIMIT)
        assert ready, "no connection"
        return backends[listeners.index(ready[0])]

    def accept(self) -> Peer:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(connection, self._settings)
        self.peers.append(peer)
        return peer

    def close(self) -> None:
        self._listener.close()
        for peer in self.peers:
            peer.close()
