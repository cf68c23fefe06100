"""A small asyncio proxy around the reference router: the baseline of `benches/proxy`, and how to read the native one.

HTTP/1.1 on both sides, keep-alive and a pool for each endpoint; bodies are read whole. It has no TLS, no retries, no
timeouts and no metrics: it is what the same decisions cost in plain Python.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from http import HTTPStatus

from .contract import Headers, Message, Request
from .head import BadHead, RequestHead, parse_head
from .router import decide
from .table import Table

READ = 64 * 1024
#: A whole body. Stops a client from filling the memory.
MAX_BODY = 16 * 1024 * 1024
#: Digits of a chunk size and its extensions.
MAX_CHUNK_LINE = 1024
#: Idle connections for each endpoint.
POOL = 256

_HEX = frozenset(b"0123456789abcdefABCDEF")


class _Input:
    """Bytes of a connection, as many as are asked for."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.data = b""

    async def more(self) -> bool:
        """Read on; False at the end."""
        read = await self._reader.read(READ)
        self.data += read
        return bool(read)

    async def exactly(self, count: int) -> bytes:
        """Take so many bytes.

        Raises:
            ConnectionError: there are not so many.
        """
        while len(self.data) < count:
            if not await self.more():
                raise ConnectionError("the message is cut short")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    async def line(self) -> bytes:
        """Take a line without its end."""
        while (end := self.data.find(b"\r\n")) < 0:
            if len(self.data) > MAX_CHUNK_LINE or not await self.more():
                raise ConnectionError("the message is cut short")
        return (await self.exactly(end + 2))[:-2]

    async def chunked(self) -> bytes:
        """Take a chunked body; trailers are dropped (RFC 9112 section 7.1)."""
        body = b""
        while True:
            digits = (await self.line()).partition(b";")[0].rstrip(b" \t")
            if not digits or len(digits) > 15 or not _HEX.issuperset(digits):
                raise BadHead(400, "a malformed chunk size")
            size = int(digits, 16)
            if size == 0:
                while await self.line():
                    pass
                return body
            if len(body) + size > MAX_BODY:
                raise BadHead(413, "a body that is too large")
            body += await self.exactly(size)
            if await self.exactly(2) != b"\r\n":
                raise BadHead(400, "a chunk without its end")


_Connection = tuple[_Input, asyncio.StreamWriter]


class Proxy:
    """Serves one port of a table."""

    def __init__(self, table: Table, bind_port: int) -> None:
        """Make a proxy; `bind_port` is the socket of the table that requests are decided on."""
        self._table = table
        self._bind_port = bind_port
        self._pools: dict[str, list[_Connection]] = defaultdict(list)
        self._turn = itertools.count()

    async def start(self, address: str, port: int) -> asyncio.Server:
        """Listen; port 0: any."""
        return await asyncio.start_server(self._serve, address, port, limit=READ)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Input(reader)
        try:
            while True:
                head = parse_head(client.data)
                while head is None:
                    if not await client.more():
                        return
                    head = parse_head(client.data)
                await client.exactly(head.consumed)
                await self._exchange(head, client, writer)
                await writer.drain()
                if not head.fields.keep_alive:
                    return
        except BadHead as error:
            writer.write(_answer(error.status, close=True))
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _exchange(self, head: RequestHead, client: _Input, writer: asyncio.StreamWriter) -> None:
        if head.fields.expects_continue:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = head.fields.length
        body = await client.chunked() if length is None else await client.exactly(min(length, MAX_BODY))
        request = Request(
            bind_port=self._bind_port,
            method=head.method,
            authority=head.fields.host or "",
            target=head.target,
            headers=head.headers,
            entropy=next(self._turn),
        )
        decision = decide(self._table, request)
        if decision.request is None:
            writer.write(_answer(decision.status, decision.response.headers if decision.response else ()))
            return
        try:
            await self._forward(decision.request, decision.endpoints, body, writer)
        except OSError:
            writer.write(_answer(502, close=True))
            raise ConnectionError from None

    async def _forward(
        self, sent: Message, endpoints: tuple[str, ...], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        endpoint = endpoints[next(self._turn) % len(endpoints)].rpartition("@")[2]
        fields = "".join(f"{name}: {value}\r\n" for name, value in sent.headers)
        length = f"content-length: {len(body)}\r\n" if body else ""
        head = f"{sent.method} {sent.target} HTTP/1.1\r\nhost: {sent.authority}\r\n{fields}{length}\r\n"
        pool = self._pools[endpoint]
        upstream = pool.pop() if pool else await _connect(endpoint)
        upstream[1].write(head.encode("utf-8", "surrogateescape") + body)
        reusable = await _copy_response(upstream[0], writer, sent.method)
        if reusable and len(pool) < POOL:
            pool.append(upstream)
        else:
            upstream[1].close()


async def _connect(endpoint: str) -> _Connection:
    host, _, port = endpoint.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), limit=READ)
    return _Input(reader), writer


async def _copy_response(upstream: _Input, writer: asyncio.StreamWriter, method: str) -> bool:
    """Pass a response on; returns whether its connection may be used again."""
    while (end := upstream.data.find(b"\r\n\r\n")) < 0:
        if not await upstream.more():
            raise ConnectionError("no response")
    head = await upstream.exactly(end + 4)
    fields = {}
    for line in head.split(b"\r\n")[1:-2]:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip().lower()
    status = int(head[9:12])
    if method == "HEAD" or status in {204, 304}:
        writer.write(head)
    elif fields.get(b"transfer-encoding") == b"chunked":
        body = await upstream.chunked()
        writer.write(head + f"{len(body):x}\r\n".encode() + body + (b"\r\n0\r\n\r\n" if body else b"\r\n"))
    elif b"content-length" in fields:
        writer.write(head + await upstream.exactly(int(fields[b"content-length"])))
    else:
        while await upstream.more():
            pass
        writer.write(head + upstream.data)
        raise ConnectionError("the end of the connection is the end of the response")
    return b"close" not in fields.get(b"connection", b"")


def _answer(status: int, headers: Headers = (), *, close: bool = False) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    last = "connection: close\r\n" if close else ""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{fields}content-length: 0\r\n{last}\r\n".encode()
