"""Clients: HTTP/1.1 by hand and HTTP/2 by `h2`, over plain sockets or TLS, so that tests see what is on the wire."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.events
import h2.exceptions
import system_http2
from system_backends import read_fields

LIMIT = 60.0


@dataclass
class Response:
    """A response as a client got it."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None

    @property
    def echo(self) -> dict[str, Any]:
        """What an echoing backend says."""
        return dict(json.loads(self.body))

    def sent(self, name: str) -> str | None:
        """A field as the echoing backend got it; several joined."""
        values = [value for key, value in self.echo["headers"] if key.lower() == name]
        return ", ".join(values) if values else None


def tls_context(authority: bytes, *alpn: str, certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def connect(
    address: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    sni: str | None = None,
    *,
    room: int = 0,
    first: bytes = b"",
    source: str = "",
) -> socket.socket:
    """A connection.

    `room`: bytes that its receive buffer takes, if not as many as the system thinks fit; `first`: what is sent before
    anything else; `source`: the address that it comes from.
    """
    connection = socket.socket()
    if source:
        connection.bind((source, 0))
    if room:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.settimeout(LIMIT)
    connection.connect((address, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(first)
    return tls.wrap_socket(connection, server_hostname=sni) if tls is not None else connection


class Http1:
    """One HTTP/1.1 connection."""

    def __init__(
        self,
        address: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        sni: str | None = None,
        *,
        first: bytes = b"",
        source: str = "",
    ) -> None:
        self.socket = connect(address, port, tls, sni, first=first, source=source)
        self._stream = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, method: str = "GET") -> Response:
        """Read one response; its body to the end."""
        while True:
            line = self._stream.readline()
            if not line:
                raise ConnectionError("closed without a response")
            status = int(line.split(b" ")[1])
            result = Response(status, read_fields(self._stream))
            if status == 101 or status >= 200:
                break
        if method == "HEAD" or status in {101, 204, 304}:
            return result
        if (result.header("transfer-encoding") or "") == "chunked":
            chunks = []
            while size := int(self._stream.readline().split(b";")[0], 16):
                chunks.append(self._stream.read(size))
                self._stream.readline()
            result.body = b"".join(chunks)
            result.trailers = read_fields(self._stream)
        elif result.header("content-length") is not None:
            result.body = self._stream.read(int(result.header("content-length") or 0))
        else:
            result.body = self._stream.read()
        return result

    def read_raw(self, size: int) -> bytes:
        return bytes(self._stream.read(size))

    def at_end(self) -> bool:
        """Whether the gateway has closed, or closes without another byte."""
        try:
            return not self._stream.read(1)
        except ConnectionResetError:
            return True

    def request(
        self,
        method: str,
        host: str,
        target: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
    ) -> Response:
        fields = [("host", host), *headers]
        if body is not None:
            fields.append(("content-length", str(len(body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + (body or b""))
        return self.read(method)

    def close(self) -> None:
        self._stream.close()
        self.socket.close()


class Http2:
    """One HTTP/2 connection; with TLS by ALPN, else with prior knowledge."""

    def __init__(
        self,
        address: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        sni: str | None = None,
        *,
        room: int = 0,
        first: bytes = b"",
        source: str = "",
    ) -> None:
        self.socket = connect(address, port, tls, sni, room=room, first=first, source=source)
        if isinstance(self.socket, ssl.SSLSocket):
            assert self.socket.selected_alpn_protocol() == "h2"
        configuration = h2.config.H2Configuration(
            header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.state = system_http2.connection(configuration)
        self.state.initiate_connection()
        self.flush()
        self.goaways = 0
        self._partial = b""
        self.events: list[h2.events.Event] = []

    def flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())

    def open(
        self, method: str, host: str, target: str, headers: tuple[tuple[str, str], ...] = (), *, end: bool = True
    ) -> int:
        """Send a head; returns the stream."""
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        fields = [(":method", method), (":scheme", scheme), (":authority", host), (":path", target)]
        fields += [(name.lower(), value) for name, value in headers]
        stream: int = self.state.get_next_available_stream_id()
        self.state.send_headers(stream, fields, end_stream=end)
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send data as flow control lets it."""
        while True:
            window = min(self.state.local_flow_control_window(stream), self.state.max_outbound_frame_size)
            part, data = data[:window], data[window:]
            if part or (end and not data):
                self.state.send_data(stream, part, end_stream=end and not data)
                self.flush()
            if not data:
                return
            if window == 0:
                self.pump()

    def trailers(self, stream: int, fields: list[tuple[str, str]]) -> None:
        self.state.send_headers(stream, fields, end_stream=True)
        self.flush()

    def pump(self) -> None:
        """Take what came; waits for something."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed by the gateway")
        for event in self.state.receive_data(self._without_goaway(data)):
            if isinstance(event, h2.events.DataReceived):
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.events.append(event)
        self.flush()

    def _without_goaway(self, data: bytes) -> bytes:
        """Take GOAWAY frames out: `h2` takes nothing at all after one, though streams under way go on."""
        self._partial += data
        kept = b""
        while len(self._partial) >= 9:
            end = 9 + int.from_bytes(self._partial[:3], "big")
            if len(self._partial) < end:
                break
            frame, self._partial = self._partial[:end], self._partial[end:]
            if frame[3] == 7:
                self.goaways += 1
            else:
                kept += frame
        return kept

    def read(self, stream: int) -> Response:
        """Read the response of a stream to its end."""
        while not any(
            isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)) and event.stream_id == stream
            for event in self.events
        ):
            self.pump()
        result, pieces = Response(0), []
        for event in [each for each in self.events if getattr(each, "stream_id", None) == stream]:
            if isinstance(event, h2.events.ResponseReceived):
                result.status = int(dict(event.headers)[":status"])
                result.headers = [(name, value) for name, value in event.headers if not name.startswith(":")]
            elif isinstance(event, h2.events.DataReceived):
                pieces.append(event.data)
            elif isinstance(event, h2.events.TrailersReceived):
                result.trailers = list(event.headers)
            elif isinstance(event, h2.events.StreamReset) and result.status == 0:
                raise ConnectionError(f"stream reset: {event.error_code}")
        result.body = b"".join(pieces)
        return result

    def read_any(self, streams: list[int], count: int) -> dict[int, Response]:
        """Read the responses of the `count` streams that end first."""
        while True:
            ended = {event.stream_id for event in self.events if isinstance(event, h2.events.StreamEnded)}
            found = [stream for stream in streams if stream in ended]
            if len(found) >= count:
                return {stream: self.read(stream) for stream in found}
            self.pump()

    def request(
        self,
        method: str,
        host: str,
        target: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
    ) -> Response:
        stream = self.open(method, host, target, headers, end=body is None)
        if body is not None:
            self.send(stream, body, end=True)
        return self.read(stream)

    def close(self) -> None:
        self.socket.close()
