"""Each role of Sluicegate as a process, with what it follows at its side: files, an API server, a config stream.

All have the same face, so that one table of tests is for all: what they serve (or control) are listeners at ports.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api_server import ApiServer
from stream_processes import GATEWAYS
from stream_processes import Controller as Stream
from system_gateway import LIMIT, ProcessEvents, own_address, until
from system_manifests import dump, gateway, listener
from test_credentials import kubeconfig

from sluicegate import ir
from sluicegate.controller.stream.wanted import Wanted
from sluicegate.controller.translate import State

CLASSES = "/apis/gateway.networking.k8s.io/v1/gatewayclasses"
GATEWAYS_PATH = "/apis/gateway.networking.k8s.io/v1/gateways"
DEPLOYMENTS = "/apis/apps/v1/deployments"

Event = dict[str, Any]

#: A role in which a routine raises the first two times that it is called.
STUMBLING = """
import importlib
owner, _, method = {routine!r}.rpartition(".")
module, _, name = owner.rpartition(".")
holder = getattr(importlib.import_module(module), name)
real, left = getattr(holder, method), [1, 2]
def stumbling(*arguments, **keywords):
    if left:
        left.pop()
        raise KeyError("odd")
    return real(*arguments, **keywords)
setattr(holder, method, stumbling)
from sluicegate.__main__ import main
main()
"""


class RoleProcess(ProcessEvents, abc.ABC):
    """A running role.

    Attributes:
        address: that it binds, with the admin listener at port 19000.
        access_log: its file, where the role has one.
    """

    #: What it says when it is there, and whether it serves traffic.
    ready, serves = "ready", True

    def __init__(self, folder: Path, routine: str = "") -> None:
        self.folder = folder
        self.address = own_address()
        self.access_log = folder / "access.log"
        self.follow()
        start = ["-c", STUMBLING.format(routine=routine)] if routine else ["-m", "sluicegate"]
        command = [sys.executable, *start, *self.arguments(), "--output", "json", "--admin", f"{self.address}:19000"]
        environment = {**os.environ, "SLUICEGATE_ACCESS_LOG": str(self.access_log), "POD_NAME": "pod-1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.listen()

    def follow(self) -> None:
        """Start what the role follows."""

    @abc.abstractmethod
    def arguments(self) -> list[str]:
        """The command, and its options beside those that all roles have."""

    @abc.abstractmethod
    def want(self, *ports: int) -> None:
        """Have it serve (or control) a Gateway with listeners at these ports."""

    def has(self, port: int) -> bool:
        """Whether it does."""
        with contextlib.suppress(OSError), socket.create_connection((self.address, port), LIMIT) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 404")
        return False

    def close(self) -> None:
        """End it, and what it follows."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT)

    def named(self, name: str) -> Event:
        """Wait for an event, or a warning with this code."""
        return self.event(lambda event: name in {event["event"], event.get("code")})

    def page(self, path: str) -> tuple[int, str]:
        """A page of the admin listener; status 0 where nobody listens."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:19000{path}", timeout=LIMIT) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def exceptions(self) -> float:
        """Faults that it counted."""
        names = ("sluicegate_config_exceptions_total", "sluicegate_controller_exceptions_total")
        lines = self.page("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(names))


class Files(RoleProcess):
    """`serve PATH`."""

    def follow(self) -> None:
        (self.folder / "manifests").mkdir()
        self.want(8080)

    def arguments(self) -> list[str]:
        return ["serve", str(self.folder / "manifests"), "--listen", self.address, "--workers", "1", "--drain", "60"]

    def want(self, *ports: int) -> None:
        listeners = [listener(f"p{port}", port) for port in ports]
        temporary = self.folder / "new.yaml"
        temporary.write_text(dump(gateway(*listeners)))
        temporary.rename(self.folder / "manifests" / "gateway.yaml")


class _Following(RoleProcess):
    """A role that follows an API server, which is on a loop and a thread of its own."""

    def follow(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.server = ApiServer()
        self.do(self.server.start())
        owned = {"controllerName": "sluicegate.dev/controller"}
        kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass"}
        self._put(CLASSES, {**kind, "metadata": {"name": "sluicegate", "uid": "class", "generation": 1}, "spec": owned})
        self.want(8080)

    def do(self, job: Any) -> Any:
        """Run something on the loop of the API server."""
        return asyncio.run_coroutine_threadsafe(job, self.loop).result(LIMIT)

    def _put(self, collection: str, document: dict[str, Any]) -> None:
        async def put() -> None:
            self.server.put(collection, document)

        self.do(put())

    def want(self, *ports: int) -> None:
        document = gateway(*(listener(f"p{port}", port) for port in ports))
        document["metadata"] |= {"uid": "gateway", "generation": len(ports)}
        self._put(GATEWAYS_PATH, document)

    def close(self) -> None:
        super().close()
        self.do(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LIMIT)

    def _kubeconfig(self) -> str:
        return f"--kubeconfig={kubeconfig(self.folder, self.server.url, {'token': 't'})}"


class Cluster(_Following):
    """`serve --kubernetes`."""

    def arguments(self) -> list[str]:
        options = ["--listen", self.address, "--workers", "1", "--drain", "60"]
        return ["serve", "--kubernetes", self._kubeconfig(), *options]


class Controller(_Following):
    """`controller`; what it controls are the ports of a data plane's Service."""

    serves = False

    def arguments(self) -> list[str]:
        stream = [f"--stream-address={self.address}:18000", "--stream-name=localhost:18000"]
        return ["controller", self._kubeconfig(), *stream]

    def has(self, port: int) -> bool:
        services = list(self.server.objects["/api/v1/services"].values())
        return any(item["port"] == port for service in services for item in service["spec"]["ports"])


class DataPlane(RoleProcess):
    """`gateway`."""

    ready = "connected"

    def follow(self) -> None:
        self.stream = Stream()
        self.want(8080)

    def arguments(self) -> list[str]:
        (self.folder / "token").write_text("good")
        (self.folder / "ca.crt").write_bytes(self.stream.side.identity.authority.bundle)
        (self.folder / "settings.toml").write_text("drain = 60\nsettle = 0.2\nworkers = 1\n")
        (self.folder / "state").mkdir()
        options = ["--controller", self.stream.side.address.replace("127.0.0.1", "localhost")]
        options += ["--token-file", str(self.folder / "token"), "--ca-file", str(self.folder / "ca.crt")]
        options += ["--state-directory", str(self.folder / "state"), "--config", str(self.folder / "settings.toml")]
        return ["gateway", *options]

    def want(self, *ports: int) -> None:
        listeners = (
            ir.Listener(
                id=f"Gateway/default/gateway/p{port}",
                gateway="default/gateway",
                addresses=(self.address,),
                port=port,
                bind_port=port,
                protocol=ir.ListenerProtocol.HTTP,
            )
            for port in ports
        )

        async def want() -> None:
            self.stream.side.server.want(Wanted(State(listeners={item.id: item for item in listeners}), GATEWAYS))

        self.stream.do(want())

    def close(self) -> None:
        super().close()
        self.stream.close()


@contextlib.contextmanager
def running(role: type[RoleProcess], folder: Path, routine: str = "") -> Iterator[RoleProcess]:
    """A role that is ready and serves port 8080."""
    found = role(folder, routine)
    try:
        if not routine:
            found.named(found.ready)
        until(lambda: found.has(8080), "it serves what it follows")
        yield found
    finally:
        found.close()
