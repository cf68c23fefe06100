"""The controller with `--ingress-class`: traffic, addresses that Ingresses report, Events, what may not be read."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from api_server import ApiServer
from system_gateway import own_address
from test_controller_process import (
    DEPLOYMENTS,
    GATEWAYS,
    LIMIT,
    SERVICES,
    SLICES,
    api,
    backend,
    controller,
    data_plane,
    free_port,
    get,
    metric,
    route_with_backend,
    run,
)
from test_credentials import kubeconfig

from sluicegate.processes.controller.settings import load_controller_settings
from sluicegate.processes.ingress_settings import wanted_of

INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
INGRESS_CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
EVENTS = "/apis/events.k8s.io/v1/events"
ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"
OPTIONS = ("--ingress-class=nginx", "--ingress-gateway=prod/edge")
PREFIX = "nginx.ingress.kubernetes.io/"
Document = dict[str, Any]


def ingress(name: str = "web", host: str = "", class_name: str = "nginx", **annotations: str) -> Document:
    backend = {"service": {"name": "app-0", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": "prod",
            "uid": f"uid-{name}",
            "generation": 1,
            "annotations": {f"{PREFIX}{key.replace('_', '-')}": value for key, value in annotations.items()},
        },
        "spec": {
            "ingressClassName": class_name,
            "rules": [
                {
                    "host": host or f"{name}.example.com",
                    "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
                }
            ],
        },
    }


def edge(port: int = 80) -> Document:
    everywhere = {"namespaces": {"from": "All"}}
    listener = {"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": everywhere}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "prod", "uid": "edge", "generation": 1},
        "spec": {"gatewayClassName": "sluicegate", "listeners": [listener], "allowedListeners": everywhere},
    }


def add_class(server: ApiServer, name: str = "nginx") -> None:
    spec = {"controller": "k8s.io/ingress-nginx"}
    server.put(INGRESS_CLASSES, {"metadata": {"name": name, "uid": name}, "spec": spec})


def addresses(server: ApiServer, name: str = "web") -> list[Document]:
    status = server.objects[INGRESSES]["prod", name].get("status") or {}
    return list((status.get("loadBalancer") or {}).get("ingress") or [])


def give_address(server: ApiServer, address: str) -> None:
    made = server.objects[SERVICES]["prod", "edge-sluicegate"]
    server.put(SERVICES, {**made, "status": {"loadBalancer": {"ingress": [{"ip": address}]}}})


async def provisioned(server: ApiServer) -> None:
    await server.wait(lambda: ("prod", "edge-sluicegate") in server.objects[SERVICES], LIMIT)


def notes(server: ApiServer, name: str = "web") -> list[str]:
    found = server.objects[EVENTS].values()
    return [
        item["note"] for item in found if (item["regarding"]["kind"], item["regarding"]["name"]) == ("Ingress", name)
    ]


def test_the_status_of_ingresses_follows_the_gateway_s(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api(
            (GATEWAYS, edge()), (INGRESSES, ingress()), (INGRESSES, ingress("other", class_name="other"))
        ) as server:
            add_class(server)
            async with controller(server, tmp_path, more=OPTIONS) as it:
                admin = (await it.line("admin"))["address"]
                await it.line("leader", leading=True)
                await provisioned(server)
                assert addresses(server) == []
                give_address(server, "10.0.0.7")
                await server.wait(lambda: addresses(server) == [{"ip": "10.0.0.7"}], LIMIT)
                # One that comes later; one whose status somebody else changes; another address.
                server.put(INGRESSES, ingress("late"))
                await server.wait(lambda: addresses(server, "late") == [{"ip": "10.0.0.7"}], LIMIT)
                give_address(server, "10.0.0.8")
                await server.wait(lambda: addresses(server) == addresses(server, "late") == [{"ip": "10.0.0.8"}], LIMIT)
                # Of another class from now on: our address goes, and what others say stays.
                changed = ingress(class_name="other")
                changed["status"] = {"loadBalancer": {"ingress": [{"ip": "10.0.0.8"}]}}
                server.put(INGRESSES, changed)
                await server.wait(lambda: addresses(server) == [], LIMIT)
                foreign = ingress("other", class_name="other")
                foreign["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
                server.put(INGRESSES, foreign)
                server.put(INGRESSES, ingress("last"))
                await server.wait(lambda: addresses(server, "last") == [{"ip": "10.0.0.8"}], LIMIT)
                assert addresses(server, "other") == [{"ip": "192.0.2.1"}]
                # What is virtual is nowhere written.
                assert not server.objects[ROUTES]
                assert not [path for path, _ in server.patches if "ingress:" in path or "httproutes" in path]
                assert metric((await get(admin, "/metrics"))[1], "sluicegate_controller_leading") == 1
                assert await it.end() == 0

    run(scenario())


def test_a_change_of_nothing_but_the_status_is_no_work(tmp_path: Path) -> None:
    """Our own writes come back by the watch: they are no change, and lead to no write."""

    async def scenario() -> None:
        async with api((GATEWAYS, edge()), (INGRESSES, ingress())) as server:
            add_class(server)
            async with controller(server, tmp_path, more=OPTIONS) as it:
                await it.line("leader", leading=True)
                await provisioned(server)
                give_address(server, "10.0.0.7")
                await server.wait(lambda: addresses(server) == [{"ip": "10.0.0.7"}], LIMIT)
                server.put(INGRESSES, ingress("second"))
                await server.wait(lambda: addresses(server, "second") == [{"ip": "10.0.0.7"}], LIMIT)
                written = [path for path, _ in server.patches if "/ingresses/" in path]
                assert sorted(path.rpartition("/")[2] for path in written) == ["second", "web"]
                assert await it.end() == 0

    run(scenario())


def test_beside_another_controller_no_status_is_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        theirs = ingress()
        theirs["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        async with api((GATEWAYS, edge()), (INGRESSES, theirs)) as server:
            add_class(server)
            async with controller(server, tmp_path, more=(*OPTIONS, "--no-ingress-status")) as it:
                await it.line("leader", leading=True)
                await provisioned(server)
                give_address(server, "10.0.0.7")
                found = server.objects[GATEWAYS]["prod", "edge"]
                await server.wait(
                    lambda: (server.objects[GATEWAYS]["prod", "edge"].get("status") or {}).get("addresses"), LIMIT
                )
                assert found
                assert addresses(server) == [{"ip": "192.0.2.1"}]
                assert await it.end() == 0

    run(scenario())


def test_what_an_ingress_loses_is_an_event_on_it(tmp_path: Path) -> None:
    """And so is what is wrong with what is made of it."""

    async def scenario() -> None:
        lossy = ingress(auth_type="digest", auth_secret="users")
        async with api((GATEWAYS, edge()), (INGRESSES, lossy), (INGRESSES, ingress("fine"))) as server:
            add_class(server)
            for collection, item in route_with_backend(0)[1:]:
                server.put(collection, item)
            async with controller(server, tmp_path, more=OPTIONS) as it:
                await it.line("leader", leading=True)
                await server.wait(lambda: any("auth-type" in note for note in notes(server)), LIMIT)
                (told,) = [item for item in server.objects[EVENTS].values() if "auth-type" in item["note"]]
                assert (told["type"], told["reason"], told["regarding"]["uid"]) == (
                    "Warning",
                    "NotConverted",
                    "uid-web",
                )
                assert told["regarding"]["apiVersion"] == "networking.k8s.io/v1"
                # Its Service goes: the condition of a virtual route is told of the Ingress.
                server.delete(SERVICES, "prod", "app-0")
                await server.wait(lambda: any("ResolvedRefs is False" in note for note in notes(server, "fine")), LIMIT)
                assert not [item for item in server.objects[EVENTS].values() if "ingress:" in item["regarding"]["name"]]
                assert await it.end() == 0

    run(scenario())


async def answer(port: int, host: str, path: str = "/", address: str = "127.0.0.1") -> tuple[int, str]:
    url, fields = f"http://{address}:{port}{path}", {"Host": host}
    async with aiohttp.ClientSession() as session, session.get(url, headers=fields) as found:
        return found.status, await found.text()


async def serves(port: int, host: str, path: str = "/", address: str = "127.0.0.1") -> None:
    """Wait until a host is served; nobody tells when a data plane has what a change came to."""

    async def asked() -> None:
        while True:
            try:
                if (await answer(port, host, path, address))[0] == 200:
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0)

    await asyncio.wait_for(asked(), LIMIT)


def test_from_an_ingress_to_traffic(tmp_path: Path) -> None:
    """Lists that come again, a class that goes and comes, and a real route beside it."""

    async def scenario() -> None:
        port, stream = free_port(), free_port()
        async with backend() as target, api((GATEWAYS, edge(port))) as server:
            add_class(server)
            _, service, endpoints = (item for _, item in route_with_backend(0))
            endpoints["endpoints"] = [{"addresses": ["127.0.0.1"]}]
            endpoints["ports"] = [{"port": target}]
            server.put(SERVICES, service)
            server.put(SLICES, endpoints)
            server.put(INGRESSES, without_host(ingress()))
            server.tokens["token-1"] = ("prod", "edge-sluicegate", "pod-1")
            async with controller(server, tmp_path, port=stream, more=OPTIONS) as it:
                await server.wait(lambda: ("prod", "edge-sluicegate") in server.objects[DEPLOYMENTS], LIMIT)
                await provisioned(server)
                give_address(server, "10.0.0.7")
                spec = server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"]["spec"]["template"]["spec"]
                async with data_plane(server, tmp_path, spec["containers"][0]["args"]):
                    await serves(port, "any.example.com")
                    server.end_watches()
                    for _ in range(20):
                        assert (await answer(port, "any.example.com"))[0] == 200
                    assert await it.end() == 0

    run(scenario())


def test_all_in_one_process(tmp_path: Path) -> None:
    """`serve --kubernetes`: the engine of the process serves them, and they report the address that Gateways report."""

    async def scenario() -> None:
        async with backend() as target, api((GATEWAYS, edge()), (INGRESSES, ingress())) as server:
            add_class(server)
            _, service, endpoints = (item for _, item in route_with_backend(0))
            endpoints["endpoints"] = [{"addresses": ["127.0.0.1"]}]
            endpoints["ports"] = [{"port": target}]
            server.put(SERVICES, service)
            server.put(SLICES, endpoints)
            address = own_address()
            options = [*OPTIONS, "--listen", address, "--port-offset=8000", f"--admin={address}:19000"]
            config = kubeconfig(tmp_path, server.url, {"token": "t"})
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sluicegate", "serve", "--kubernetes", f"--kubeconfig={config}", *options)
            )
            try:
                await serves(8080, "web.example.com", address=address)
                assert (await answer(8080, "other.example.com", address=address))[0] == 404
                await server.wait(lambda: addresses(server) == [{"ip": address}], LIMIT)
                changed = ingress(host="other.example.com")
                server.put(INGRESSES, changed)
                await serves(8080, "other.example.com", address=address)
                assert (await answer(8080, "web.example.com", address=address))[0] == 404
            finally:
                process.terminate()
                await process.wait()

    run(scenario())


def without_host(document: Document) -> Document:
    """For all hosts: it is served by the Gateway's own listener, whose port a test may choose."""
    del document["spec"]["rules"][0]["host"]
    return document


def test_a_gateway_that_is_not_there_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api((INGRESSES, ingress())) as server:
            add_class(server)
            async with controller(server, tmp_path, more=OPTIONS) as it:
                told = await it.line("warning", code="ingress_gateway_missing")
                assert "Gateway/prod/edge" in told["message"]
                await it.line("leader", leading=True)
                server.put(GATEWAYS, edge())
                await provisioned(server)
                assert await it.end() == 0

    run(scenario())


def test_without_the_permission_to_read_them_it_does_not_become_ready(tmp_path: Path) -> None:
    """A list that is refused is no empty one: what an older replica serves would go."""

    async def scenario() -> None:
        async with api((GATEWAYS, edge()), (INGRESSES, ingress())) as server:
            server.forbidden.add(INGRESSES)
            async with controller(server, tmp_path, more=OPTIONS) as it:
                admin = (await it.line("admin"))["address"]
                told = await it.line("warning", code="watch_refused")
                assert "Ingress cannot be watched" in told["message"]
                assert (await get(admin, "/readyz"))[0] == 503
                server.forbidden.clear()
                await it.line("ready")
                assert await it.end() == 0

    run(scenario())


def test_nothing_of_ingresses_is_watched_unless_it_is_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api((GATEWAYS, edge()), (INGRESSES, ingress())) as server, controller(server, tmp_path) as it:
            await it.line("ready")
            assert not {INGRESSES, INGRESS_CLASSES} & set(server.lists)
            assert await it.end() == 0

    run(scenario())


def test_settings() -> None:
    found = load_controller_settings({"ingress_class": ["a", "b"]}, {"SLUICEGATE_NO_INGRESS_STATUS": "true"}, "1")
    assert (found.ingress_class, found.no_ingress_status, found.ingress) == (("a", "b"), True, False)
    found = load_controller_settings({}, {"SLUICEGATE_INGRESS_CLASS": "a, b", "SLUICEGATE_INGRESS": "true"}, "1")
    assert (found.ingress_class, found.ingress) == (("a", "b"), True)
    for name in ("SLUICEGATE_INGRESS", "SLUICEGATE_INGRESS_FORWARDING_HEADERS"):
        with pytest.raises(ValueError, match="true or false"):
            load_controller_settings({}, {name: "yes"}, "1")
    written = {"SLUICEGATE_INGRESS_CLASS": "a", "SLUICEGATE_INGRESS_FORWARDING_HEADERS": "true"}
    wanted = wanted_of(load_controller_settings({}, written, "1"))
    assert wanted is not None
    assert (wanted.classes, wanted.forwarding_headers) == (("a",), True)
