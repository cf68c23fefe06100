"""Backends: small servers on threads that do what a test tells them and remember what they got."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.events
import system_http2

LIMIT = 60.0


@dataclass
class Received:
    """A request as a backend got it; a `bytearray` while its body still comes."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes | bytearray = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    version: str = "1.1"
    tls: dict[str, object] | None = None

    def header(self, name: str) -> str | None:
        """The value of a field, several joined; None where it is missing."""
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None


#: Answers a request: the raw bytes of an HTTP/1.1 response; None: close without one.
Answer = Callable[[Received], "bytes | None"]


def response(
    body: bytes = b"", status: str = "200 OK", headers: tuple[tuple[str, str], ...] = (), *, length: bool = True
) -> bytes:
    """An HTTP/1.1 response."""
    fields = [*headers, *([("content-length", str(len(body)))] if length else [])]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body


def echo(name: str) -> Answer:
    """Answer with the backend's name and what it got."""

    def answer(request: Received) -> bytes:
        document = {
            "backend": name,
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
            "trailers": request.trailers,
            "version": request.version,
            "tls": request.tls,
        }
        return response(json.dumps(document).encode(), headers=(("content-type", "application/json"), ("x-back", name)))

    return answer


class Backend:
    """A server with a thread for each connection; `listener`: a socket that is bound already."""

    def __init__(
        self,
        answer: Answer,
        *,
        address: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        self.connections = 0
        self.changed = threading.Condition()
        self._tls = tls
        self._open: list[socket.socket] = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = listener or socket.create_server((address, 0), family=family)
        self._listener.listen()
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and close what is open."""
        # A thread that waits in accept or for octets holds the socket open: shutdown wakes it.
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def wait(self, count: int) -> list[Received]:
        """Wait until so many requests have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, LIMIT), self.requests
            return list(self.requests)

    def remember(self, request: Received) -> None:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(LIMIT)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self.serve(connection)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def tls_facts(self, connection: socket.socket) -> dict[str, object] | None:
        if not isinstance(connection, ssl.SSLSocket):
            return None
        certificate = connection.getpeercert(binary_form=True)
        names = getattr(connection.context, "seen_names", {})
        return {
            "alpn": connection.selected_alpn_protocol(),
            "client": hashlib.sha256(certificate).hexdigest() if certificate else None,
            "sni": names.get(id(connection)),
        }

    def serve(self, connection: socket.socket) -> None:
        """HTTP/1.1: requests one after the other."""
        stream = connection.makefile("rb")
        while True:
            request = read_request(stream, connection)
            if request is None:
                return
            request.tls = self.tls_facts(connection)
            self.remember(request)
            answer = self.answer(request)
            if answer is None:
                return
            connection.sendall(answer)
            if b"connection: close" in answer.lower():
                return
            if answer.startswith(b"HTTP/1.1 101"):
                self.tunnel(connection)
                return

    def tunnel(self, connection: socket.socket) -> None:
        """After an upgrade: send back what comes."""
        while chunk := connection.recv(65536):
            connection.sendall(chunk)


def read_head(connection: socket.socket) -> bytes:
    """What comes until a head is whole, and perhaps something behind it.

    Raises:
        ConnectionError: the connection ended before.
    """
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65_536)
        if not data:
            raise ConnectionError("closed before a head was whole")
        received += data
    return received


def read_request(stream, connection: socket.socket) -> Received | None:
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    request = Received(method, target, read_fields(stream))
    if request.header("expect") == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if (request.header("transfer-encoding") or "").lower() == "chunked":
        chunks = []  # joined once: to add each to a growing body would copy it as often as there are chunks
        while size := int(stream.readline().split(b";")[0], 16):
            chunks.append(stream.read(size))
            stream.readline()
        request.body = b"".join(chunks)
        request.trailers = read_fields(stream)
    else:
        request.body = stream.read(int(request.header("content-length") or 0))
    return request


def read_fields(stream) -> list[tuple[str, str]]:
    fields = []
    while (line := stream.readline().rstrip(b"\r\n")) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        fields.append((name, value.strip()))
    return fields


def websocket_accept(request: Received) -> bytes:
    """Answer a WebSocket handshake (RFC 6455 section 4.2.2)."""
    key = request.header("sec-websocket-key") or ""
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    fields = (
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", base64.b64encode(digest).decode()),
    )
    return response(status="101 Switching Protocols", headers=fields, length=False)


#: Answers an HTTP/2 request: fields (with :status), body, trailers.
Answer2 = Callable[[Received], tuple[list[tuple[str, str]], bytes, list[tuple[str, str]]]]


def echo2(name: str) -> Answer2:
    def answer(request: Received) -> tuple[list[tuple[str, str]], bytes, list[tuple[str, str]]]:
        raw = echo(name)(request)
        assert raw is not None
        return [(":status", "200"), ("x-back", name)], raw.partition(b"\r\n\r\n")[2], []

    return answer


class Backend2(Backend):
    """The same over HTTP/2, with prior knowledge or ALPN.

    Attributes:
        validates: only what is well formed is sent.
    """

    validates = True

    def __init__(self, answer: Answer2, **rest) -> None:
        self.answer2 = answer
        super().__init__(lambda _request: None, **rest)

    def serve(self, connection: socket.socket) -> None:
        configuration = h2.config.H2Configuration(
            client_side=False,
            header_encoding="utf-8",
            validate_outbound_headers=self.validates,
            normalize_outbound_headers=self.validates,
        )
        state = system_http2.connection(configuration)
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        open_requests: dict[int, Received] = {}
        while data := connection.recv(65536):
            for event in state.receive_data(data):
                self._event(state, event, open_requests, connection)
            connection.sendall(state.data_to_send())

    def _event(self, state, event, open_requests, connection) -> None:
        if isinstance(event, h2.events.RequestReceived):
            fields = dict(event.headers)
            rest = [(name, value) for name, value in event.headers if not name.startswith(":")]
            if ":authority" in fields:
                rest.insert(0, ("host", fields[":authority"]))
            request = Received(fields[":method"], fields.get(":path", ""), rest, bytearray(), version="2")
            request.tls = self.tls_facts(connection)
            open_requests[event.stream_id] = request
        elif isinstance(event, h2.events.DataReceived):
            open_requests[event.stream_id].body += event.data
            state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            open_requests[event.stream_id].trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            request = open_requests.pop(event.stream_id)
            request.body = bytes(request.body)
            self.remember(request)
            fields, body, trailers = self.answer2(request)
            state.send_headers(event.stream_id, fields, end_stream=not body and not trailers)
            for start in range(0, len(body), 16384):
                last = start + 16384 >= len(body)
                state.send_data(event.stream_id, body[start : start + 16384], end_stream=last and not trailers)
            if trailers:
                state.send_headers(event.stream_id, trailers, end_stream=True)
