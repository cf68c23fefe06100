"""The admin listener, as far as Python answers it: one request for each connection, GET and HEAD alone.

Of a process without an engine it has all: `/healthz`, `/readyz`, `/metrics`, and what `respond` knows. Before an engine
(`FrontThread`) what is not known here goes on to the engine's own listener.

Rules:
- Connections have a limit: one more ends the oldest, so that silent ones keep no probe waiting.
- Each has little time for its head, for each part of its answer, and for all of it.
- It is for this machine: what `respond` answers it answers to loopback alone (`Asked.is_local`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable

from .answering import Answer, Asked, Respond, read_head, text

#: A request's line and fields. Stops header bombs.
MAX_HEAD = 8 * 1024
#: Connections at once. Stops descriptor exhaustion.
MAX_CONNECTIONS = 128
#: Seconds for a request's head, and for each part of an answer. Stops clients that send or read slowly.
LIMIT = 5.0
#: Seconds for a whole answer: `/readyz?wait=` waits for ten of them.
WHOLE = 30.0
#: Octets that are written at a time, and that may wait to be.
PART = 64 * 1024
#: Of the Prometheus text format.
METRICS = "text/plain; version=0.0.4; charset=utf-8"
#: Seconds for the thread to end.
JOIN = 5.0

Problems = Callable[[], Iterable[str]]


class Front:
    """A listener on the event loop that starts it."""

    def __init__(self, address: str, respond: Respond, engine: str | None = None) -> None:
        """Make a listener that does not listen yet.

        Args:
            address: `address:port`.
            respond: answers what it knows.
            engine: `address:port` of who answers the rest; None: nobody does.
        """
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._respond = respond
        self._engine = engine
        self._open: dict[asyncio.Task[None], None] = {}
        self._server: asyncio.Server | None = None
        self.address = ""

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be bound.
        """
        # Not by asyncio: it would take the unspecified address of IPv6 for that of IPv6 alone.
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, dualstack_ipv6=self._host == "::")
        self._server = await asyncio.start_server(self._connected, sock=listener, limit=MAX_HEAD)
        host, port = listener.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def stop(self) -> None:
        """Stop listening; what is open ends."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # it is one: `start_server` makes it
            return
        if len(self._open) >= MAX_CONNECTIONS:
            next(iter(self._open)).cancel()
        self._open[task] = None
        writer.transport.set_write_buffer_limits(PART)
        try:
            async with asyncio.timeout(WHOLE):
                await self._serve(reader, writer)
            writer.close()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            writer.transport.abort()  # it went away, sends nonsense, or does not read
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._open.pop(task, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(LIMIT):
            head = await reader.readuntil(b"\r\n\r\n")
        peer = writer.get_extra_info("peername")
        try:
            asked = read_head(head, str(peer[0]) if peer else "")
        except ValueError as error:
            await _write(writer, text(400, str(error)).encode(with_body=True))
            return
        except LookupError:
            refused = text(405, "only GET and HEAD are answered here", ("allow", "GET, HEAD"))
            await _write(writer, refused.encode(with_body=True))
            return
        answer = await self._respond(asked)
        if answer is None and self._engine is not None:
            await self._pass_on(asked, head, writer)
            return
        if answer is None:
            answer = text(404, "here are /, /api/v1, /healthz, /readyz and /metrics")
        await _write(writer, answer.encode(with_body=asked.method == "GET"))

    async def _pass_on(self, asked: Asked, head: bytes, writer: asyncio.StreamWriter) -> None:
        """Have the engine answer; it shows its configuration to this machine alone, and sees nobody else here."""
        if asked.path == "/config" and not asked.is_local:
            refused = "the configuration is shown to this machine only; in a cluster: kubectl port-forward"
            await _write(writer, text(403, refused).encode(with_body=asked.method == "GET"))
            return
        host, _, port = (self._engine or "").rpartition(":")
        source, sink = await asyncio.open_connection(host.strip("[]"), int(port), limit=PART)
        try:
            sink.write(head)
            while part := await source.read(PART):
                await _write(writer, part)
        finally:
            sink.transport.abort()


class Admin(Front):
    """What probes and Prometheus ask a process for that has no engine."""

    def __init__(
        self,
        address: str,
        health: Problems,
        readiness: Problems,
        metrics: Callable[[], bytes],
        respond: Respond | None = None,
    ) -> None:
        """Make a listener that does not listen yet.

        It runs on the loop of the process: a loop that is stuck does not answer, and the kubelet restarts it.

        Args:
            address: `address:port`.
            health: why the process should be restarted; nothing: it is well.
            readiness: what is still missing; nothing: it is ready.
            metrics: the Prometheus text.
            respond: answers what else there is.
        """
        super().__init__(address, self._answer)
        self._health, self._readiness, self._metrics, self._others = health, readiness, metrics, respond

    async def _answer(self, asked: Asked) -> Answer | None:
        match asked.path:
            case "/healthz":
                return _probe(self._health())
            case "/readyz":
                return _probe(self._readiness())
            case "/metrics":
                return Answer(200, METRICS, self._metrics())
        return await self._others(asked) if self._others is not None else None


class FrontThread:
    """A `Front` before an engine, on a thread of its own: a process that is busy keeps no probe waiting."""

    def __init__(self, address: str, respond: Respond, engine: str) -> None:
        """Listen.

        Args:
            address: `address:port`.
            respond: answers what it knows, on the loop of the thread.
            engine: `address:port` of who answers the rest.

        Raises:
            OSError: the address cannot be bound.
        """
        self._front = Front(address, respond, engine)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="admin", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._front.start(), self._loop).result()
        except OSError:
            self._end()
            raise
        self.address = self._front.address

    def stop(self) -> None:
        """Stop listening. Harmless when called twice."""
        if self._thread.is_alive():
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._front.stop(), self._loop).result(JOIN)
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(JOIN)
        if not self._thread.is_alive():
            self._loop.close()


async def _write(writer: asyncio.StreamWriter, octets: bytes) -> None:
    """Write in parts, each of which the client has to take in time.

    Raises:
        TimeoutError: it does not.
    """
    for start in range(0, len(octets), PART):
        writer.write(octets[start : start + PART])
        async with asyncio.timeout(LIMIT):
            await writer.drain()


def _probe(problems: Iterable[str]) -> Answer:
    found = list(problems)
    if found:
        return Answer(503, "text/plain; charset=utf-8", "".join(f"{item}\n" for item in found).encode())
    return text(200, "ok")
