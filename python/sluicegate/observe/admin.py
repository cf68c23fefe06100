"""The admin listener of a process without an engine: `/healthz`, `/readyz`, `/metrics`. With one, the engine has it.

It runs on the loop of the process: a loop that is stuck does not answer, and the kubelet restarts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web

#: Of the Prometheus text format.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Seconds for open requests at the end.
SHUTDOWN = 0.2
#: A request's line and its fields. Stops header bombs.
MAX_LINE, MAX_FIELD = 2_048, 4_096

Problems = Callable[[], Iterable[str]]


class Admin:
    """Serves what probes and Prometheus ask for."""

    def __init__(self, address: str, health: Problems, readiness: Problems, metrics: Callable[[], bytes]) -> None:
        """Make a listener that does not listen yet.

        Args:
            address: `address:port`.
            health: why the process should be restarted; nothing: it is well.
            readiness: what is still missing; nothing: it is ready.
            metrics: the Prometheus text.
        """
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._metrics = metrics
        application = web.Application()
        application.router.add_get("/healthz", lambda _: _probe(health()))
        application.router.add_get("/readyz", lambda _: _probe(readiness()))
        application.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=SHUTDOWN,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
        )
        self.address = ""

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be bound.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": CONTENT_TYPE})


async def _probe(problems: Iterable[str]) -> web.Response:
    found = list(problems)
    if found:
        return web.Response(status=503, text="".join(f"{item}\n" for item in found))
    return web.Response(text="ok\n")
