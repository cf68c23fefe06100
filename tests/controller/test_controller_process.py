"""The role `sluicegate controller` as a process, against an API server: leads, provisions, tells, ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from api_server import ApiServer

from sluicegate.processes.controller.settings import ControllerSettingsError, load_controller_settings

GATEWAYS = "/apis/gateway.networking.k8s.io/v1/gateways"
CLASSES = "/apis/gateway.networking.k8s.io/v1/gatewayclasses"
ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"
SERVICES, CONFIG, SECRETS = "/api/v1/services", "/api/v1/configmaps", "/api/v1/secrets"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
DEPLOYMENTS = "/apis/apps/v1/deployments"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/sluicegate-system/leases"
LIMIT = 60.0
#: Issue 4: RSS of the controller at 1,000 HTTPRoutes.
MAX_RSS = 150 * 1024 * 1024


def gateway_class() -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "sluicegate", "uid": "class", "generation": 1},
        "spec": {"controllerName": "sluicegate.dev/controller"},
    }


def gateway(name: str = "edge") -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "prod", "uid": name, "generation": 1},
        "spec": {"gatewayClassName": "sluicegate", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    }


class Controller:
    """A running process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def line(self, event: str, **values: Any) -> dict[str, Any]:
        """A line about an event with these values, written already or yet to come."""

        async def read() -> dict[str, Any]:
            assert self.process.stdout is not None
            for known in self.lines:
                if known["event"] == event and values.items() <= known.items():
                    return known
            while line := await self.process.stdout.readline():
                found: dict[str, Any] = json.loads(line)
                self.lines.append(found)
                if found["event"] == event and values.items() <= found.items():
                    return found
            raise AssertionError(f"ended before {event}: {self.lines}")

        return await asyncio.wait_for(read(), LIMIT)

    async def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), LIMIT)


@asynccontextmanager
async def api(*documents: tuple[str, dict[str, Any]]) -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    for collection, document in ((CLASSES, gateway_class()), *documents):
        server.put(collection, document)
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def controller(
    server: ApiServer, folder: Path, pod: str = "controller-1", port: int = 0, more: Sequence[str] = ()
) -> AsyncIterator[Controller]:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "clusters": [{"name": "test", "cluster": {"server": server.url}}],
                "users": [{"name": "test", "user": {"token": "t"}}],
            }
        )
    )
    arguments = [
        f"--kubeconfig={kubeconfig}",
        "--output=json",
        "--admin=127.0.0.1:0",
        f"--stream-address=127.0.0.1:{port}",
        f"--stream-name=localhost:{port or 18000}",
        "--image=registry.example/sluicegate:test",
        *more,
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sluicegate", "controller", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "POD_NAME": pod, "POD_NAMESPACE": "sluicegate-system"},
    )
    try:
        yield Controller(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def get(address: str, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        return answer.status, await answer.text()


def metric(text: str, name: str) -> float:
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[-1])


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def conditions(server: ApiServer, name: str = "edge") -> dict[str, str]:
    found = server.objects[GATEWAYS]["prod", name].get("status", {}).get("conditions", [])
    return {item["type"]: item["reason"] for item in found}


def test_it_leads_provisions_and_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api((GATEWAYS, gateway())) as server, controller(server, tmp_path) as it:
            admin = (await it.line("admin"))["address"]
            await it.line("ready")
            await it.line("leader", leading=True)
            await server.wait(lambda: ("prod", "edge-sluicegate") in server.objects[DEPLOYMENTS], LIMIT)
            deployment = server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"]
            [container] = deployment["spec"]["template"]["spec"]["containers"]
            assert container["image"] == "registry.example/sluicegate:test"
            assert "--controller=localhost:18000" in container["args"]
            secret = server.objects[SECRETS]["sluicegate-system", "sluicegate-controller-ca"]
            assert secret["type"] == "kubernetes.io/tls"
            assert server.objects[SECRETS]["sluicegate-system", "sluicegate-session-tickets"]["type"] == "Opaque"
            trust = server.objects[CONFIG]["prod", "edge-sluicegate"]["data"]["ca.crt"]
            assert trust.startswith("-----BEGIN CERTIFICATE-----")
            # The Service gets an address; nothing is programmed as long as no pod says so.
            service = server.objects[SERVICES]["prod", "edge-sluicegate"]
            server.put(SERVICES, {**service, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.7"}]}}})
            await server.wait(
                lambda: (
                    conditions(server)
                    == {"Accepted": "Accepted", "Programmed": "Pending", "ResolvedRefs": "ResolvedRefs"}
                ),
                LIMIT,
            )
            assert server.objects[GATEWAYS]["prod", "edge"]["status"]["addresses"][0]["value"] == "10.0.0.7"
            # Pods that cannot be made are told, and are forgotten once they start.
            failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "over quota"}
            server.put(DEPLOYMENTS, {**deployment, "status": {"conditions": [failure]}})
            await server.wait(lambda: conditions(server)["Programmed"] == "NoResources", LIMIT)
            server.put(DEPLOYMENTS, {**deployment, "status": {}})
            await server.wait(lambda: conditions(server)["Programmed"] == "Pending", LIMIT)
            assert await get(admin, "/healthz") == (200, "ok\n")
            assert await get(admin, "/readyz") == (200, "ok\n")
            status, text = await get(admin, "/metrics")
            assert status == 200
            assert metric(text, "sluicegate_controller_leading") == 1
            assert metric(text, "sluicegate_controller_reconcile_seconds_count") >= 1
            assert 'sluicegate_controller_writes_total{writer="infra"}' in text
            async with aiohttp.ClientSession() as session, session.head(f"http://{admin}/metrics") as answer:
                assert (answer.status, await answer.read()) == (200, b""), "who only asks whether it is there"
            assert await it.end() == 0
            # In order: nothing that says goodbye had to be left, and nothing broke.
            assert (await it.line("stopped"))["message"] == "stopped"
            assert not {"late", "fault"} & {line.get("code") for line in it.lines}
            assert server.objects[LEASES]["", "sluicegate-controller"]["spec"]["holderIdentity"] == ""

    run(scenario())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def backend() -> AsyncIterator[int]:
    """An HTTP server that says hello; its port."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application()
    application.router.add_get("/{path:.*}", hello)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


@asynccontextmanager
async def data_plane(
    server: ApiServer, folder: Path, arguments: list[str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A pod as the Deployment makes it, but for its places."""
    config = server.objects[CONFIG]["prod", "edge-sluicegate"]["data"]
    for name, content in {**config, "token": "token-1"}.items():
        (folder / name).write_text(content)
    places = {"/etc/sluicegate": folder, "/var/run/secrets/sluicegate": folder, "/var/lib/sluicegate": folder}
    for place, real in places.items():
        arguments = [item.replace(place, str(real)) for item in arguments]
    arguments = [item.replace("0.0.0.0:19000", "127.0.0.1:0") for item in arguments]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "sluicegate", *arguments)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def test_from_a_gateway_to_traffic(tmp_path: Path) -> None:
    async def scenario() -> None:
        port, stream = free_port(), free_port()
        document = gateway()
        document["spec"]["listeners"][0]["port"] = port
        async with backend() as target, api((GATEWAYS, document)) as server:
            route, service, endpoints = (item for _, item in route_with_backend(0))
            endpoints["endpoints"] = [{"addresses": ["127.0.0.1"]}]
            endpoints["ports"] = [{"port": target}]
            for collection, item in ((ROUTES, route), (SERVICES, service), (SLICES, endpoints)):
                server.put(collection, item)
            server.tokens["token-1"] = ("prod", "edge-sluicegate", "pod-1")
            async with controller(server, tmp_path, port=stream) as it:
                await server.wait(lambda: ("prod", "edge-sluicegate") in server.objects[DEPLOYMENTS], LIMIT)
                made = server.objects[SERVICES]["prod", "edge-sluicegate"]
                server.put(SERVICES, {**made, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.7"}]}}})
                spec = server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"]["spec"]["template"]["spec"]
                async with data_plane(server, tmp_path, spec["containers"][0]["args"]):
                    await server.wait(lambda: conditions(server).get("Programmed") == "Programmed", LIMIT)
                    async with aiohttp.ClientSession() as session:
                        headers = {"Host": "app-0.example.com"}
                        async with session.get(f"http://127.0.0.1:{port}/", headers=headers) as answer:
                            assert (answer.status, await answer.text()) == (200, "hello")
                    # A new leader knows nothing of the data planes at first, and says nothing of them.
                    assert await it.end() == 0
                    patches = len(server.patches)
                    async with controller(server, tmp_path, "controller-2", stream) as other:
                        await other.line("leader", leading=True)
                        _, lost = route_with_backend(1)[0]
                        lost["spec"]["parentRefs"][0]["sectionName"] = "nowhere"
                        server.put(ROUTES, lost)
                        await server.wait(lambda: "status" in lost_of(server), LIMIT)
                        assert not [path for path, _ in server.patches[patches:] if path.endswith("/gateways/edge")]
                        assert await other.end() == 0

    run(scenario())


def lost_of(server: ApiServer) -> dict[str, Any]:
    return server.objects[ROUTES]["prod", "app-1"]


def test_the_second_replica_takes_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api((GATEWAYS, gateway())) as server, controller(server, tmp_path) as one:
            await one.line("leader", leading=True)
            await server.wait(lambda: ("prod", "edge-sluicegate") in server.objects[DEPLOYMENTS], LIMIT)
            async with controller(server, tmp_path, "controller-2") as two:
                admin = (await two.line("admin"))["address"]
                await two.line("ready")
                assert await get(admin, "/readyz") == (200, "ok\n")
                assert metric((await get(admin, "/metrics"))[1], "sluicegate_controller_leading") == 0
                writes = list(server.writes)
                assert await one.end() == 0
                await two.line("leader", leading=True)
                server.put(GATEWAYS, gateway("second"))
                await server.wait(lambda: ("prod", "second-sluicegate") in server.objects[DEPLOYMENTS], LIMIT)
                assert not [item for item in server.writes[len(writes) :] if "edge-sluicegate" in item]
                assert await two.end() == 0

    run(scenario())


def test_memory_at_a_thousand_routes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api((GATEWAYS, gateway())) as server:
            for number in range(1000):
                for collection, document in route_with_backend(number):
                    server.put(collection, document)
            async with controller(server, tmp_path) as it:
                admin = (await it.line("admin"))["address"]
                await it.line("stream")
                await server.wait(lambda: all("status" in item for item in server.objects[ROUTES].values()), LIMIT)
                used = metric((await get(admin, "/metrics"))[1], "process_resident_memory_bytes")
                assert used <= MAX_RSS, f"{used / 2**20:.0f} MiB"
                print(f"{used / 2**20:.0f} MiB")
                assert await it.end() == 0

    run(scenario())


def route_with_backend(number: int) -> list[tuple[str, dict[str, Any]]]:
    name = f"app-{number}"
    managed = [
        {
            "manager": "kubectl",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {f"f:field{index}": {} for index in range(20)}},
        }
    ]
    metadata = {"name": name, "namespace": "prod", "uid": name, "generation": 1, "managedFields": managed}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": dict(metadata),
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "hostnames": [f"{name}.example.com"],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [{"name": name, "port": 80}],
                }
            ],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": dict(metadata),
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [f"10.1.{number // 250}.{number % 250}"], "conditions": {"ready": True}}],
        "ports": [{"port": 8080}],
    }
    return [(ROUTES, route), (SERVICES, service), (SLICES, endpoints)]


@pytest.mark.parametrize(
    ("flags", "environment", "words"),
    [
        ({"admin": "nowhere"}, {}, "--admin"),
        ({}, {"SLUICEGATE_STREAM_ADDRESS": "0.0.0.0"}, "SLUICEGATE_STREAM_ADDRESS"),
        ({"stream_name": "Host:1"}, {}, "--stream-name"),
        ({"stream_name": "host"}, {}, "--stream-name"),
        ({"image_pull_policy": "Sometimes"}, {}, "IfNotPresent"),
        ({"output": "xml"}, {}, "text or json"),
    ],
)
def test_settings_that_cannot_be_used(flags: Any, environment: Any, words: str) -> None:
    with pytest.raises(ControllerSettingsError, match=words):
        load_controller_settings(flags, environment, "1")


def test_settings() -> None:
    found = load_controller_settings({}, {"POD_NAMESPACE": "here", "POD_NAME": "me"}, "1.2")
    assert (found.namespace, found.pod, found.image) == ("here", "me", "sluicegate:1.2")
    assert (found.stream_name, found.stream_host) == (
        "sluicegate-controller.here.svc:18000",
        "sluicegate-controller.here.svc",
    )
    given = load_controller_settings({"namespace": "there"}, {"SLUICEGATE_NAMESPACE": "env", "POD_NAMESPACE": "x"}, "1")
    assert given.namespace == "there"
    assert load_controller_settings({}, {"SLUICEGATE_NAMESPACE": "env", "POD_NAMESPACE": "x"}, "1").namespace == "env"
