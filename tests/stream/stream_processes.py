"""A controller's stream on a thread of the test, and data planes as processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from stream_support import PLANE, Side
from system_gateway import ProcessEvents, own_address

from sluicegate import ir
from sluicegate.controller.stream.reports import PodReport
from sluicegate.controller.stream.transport import ServerTimes
from sluicegate.controller.stream.wanted import Wanted
from sluicegate.controller.translate import State

#: Seconds after which a test fails; never reached by what works.
LIMIT = 60.0
GATEWAYS = {PLANE: frozenset({"default/gateway"})}


class Controller:
    """The stream of a controller; it may go away and come back at the same address."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.side = self.do(self._make())
        self._task: Any = None
        self.start()

    async def _make(self) -> Side:
        return Side(ServerTimes(keep=0.5))

    def do(self, job: Any) -> Any:
        """Run something on the loop of the stream."""
        return asyncio.run_coroutine_threadsafe(job, self.loop).result(LIMIT)

    def start(self) -> None:
        async def start() -> None:
            self._task = asyncio.create_task(self.side.server.run())
            self.side.server.lead(True)
            await self.side.server.listening.wait()
            self.side.server._address = self.side.address  # the same one when it comes back

        self.do(start())

    def stop(self) -> None:
        """Go away, sessions and all."""

        async def stop() -> None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self.side.server.listening.clear()

        self.do(stop())

    def close(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def want(self, state: State) -> None:
        async def want() -> None:
            self.side.server.want(Wanted(state, GATEWAYS))

        self.do(want())

    def pods(self) -> tuple[PodReport, ...]:
        return self.side.server.said().pods.get(PLANE, ())

    def until(self, holds: Callable[[], Any]) -> None:
        self.do(self.side.until(holds, LIMIT))


class GatewayProcess(ProcessEvents):
    """`sluicegate gateway` as a Deployment starts it."""

    def __init__(
        self,
        folder: Path,
        controller: Controller,
        *,
        settings: str = "",
        address: str = "",
        token: str = "good",
        stdout: Any = subprocess.PIPE,
        code: str = "",
    ) -> None:
        self.address = address or own_address()
        self.folder = folder
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(controller.side.identity.authority.bundle)
        (folder / "settings.toml").write_text(settings or "drain = 5\nsettle = 0\nworkers = 1\n")
        (folder / "state").mkdir(exist_ok=True)
        command = [sys.executable, *(["-c", code] if code else ["-m", "sluicegate"]), "gateway", "--output", "json"]
        command += ["--controller", controller.side.address.replace("127.0.0.1", "localhost")]
        command += ["--token-file", str(folder / "token"), "--ca-file", str(folder / "ca.crt")]
        command += ["--state-directory", str(folder / "state"), "--config", str(folder / "settings.toml")]
        command += ["--admin", f"{self.address}:19000"]
        # Output goes to a file that is read while it grows: the process may be killed at any moment.
        self.process = subprocess.Popen(
            command,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "GRPC_VERBOSITY": "NONE"},
        )
        self.listen()

    def named(self, name: str) -> dict[str, Any]:
        return self.event(lambda event: event.get("event") == name or event.get("code") == name)

    def admin(self, path: str) -> tuple[int, str]:
        """A page of the admin listener."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:19000{path}", timeout=LIMIT) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def rss(self) -> float:
        """Resident memory, MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in text.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        try:
            return self.process.wait(LIMIT)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for thread in self._threads:
                thread.join(LIMIT)
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()


def serving_state(address: str, backend: tuple[str, int], names: Iterable[str], port: int = 8080) -> State:
    """A listener on an address, and a rule by path for each name, all to one backend."""
    listener = ir.Listener(
        id="Gateway/default/gateway/http",
        gateway="default/gateway",
        addresses=(address,),
        port=80,
        bind_port=port,
        protocol=ir.ListenerProtocol.HTTP,
    )
    host, number = backend
    rules = {}
    for name in names:
        rule = ir.HttpRule(
            id=f"HTTPRoute/default/{name}/0",
            route=f"HTTPRoute/default/{name}",
            index=0,
            listeners=(listener.id,),
            matches=(ir.Match(path=ir.PathPrefix(value=f"/{name}")),),
            backends=(ir.WeightedBackend(backend=f"default/{name}:80", weight=1),),
        )
        rules[rule.id] = rule
    endpoints = {}
    for name in names:
        item = ir.Endpoint(
            id=f"default/{name}:80@{host}:{number}", backend=f"default/{name}:80", address=host, port=number
        )
        endpoints[item.id] = item
    return State(
        listeners={listener.id: listener},
        http_rules=rules,
        backends={f"default/{name}:80": ir.Backend(id=f"default/{name}:80") for name in names},
        endpoints=endpoints,
    )
