"""`sluicegate migrate --kubernetes` and `--apply` against an API server: what is asked for, shown, written and left."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from api_server import ApiServer
from test_credentials import kubeconfig

from sluicegate.cli.migration_apply import plan, write
from sluicegate.controller.ingress import Manifest
from sluicegate.controller.sources.kubernetes.access import Configuration
from sluicegate.controller.sources.kubernetes.client import Client

Document = dict[str, Any]
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
SERVICES, SECRETS, MAPS = "/api/v1/services", "/api/v1/secrets", "/api/v1/configmaps"
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
ROUTES, GATEWAYS = f"{GATEWAY_API}/httproutes", f"{GATEWAY_API}/gateways"
POLICIES = "/apis/sluicegate.dev/v1alpha1/accesspolicies"
PREFIX = "nginx.ingress.kubernetes.io/"
LIMIT = 60.0


def ingress(name: str = "web", **annotations: str) -> Document:
    backend = {"service": {"name": "web", "port": {"name": "http"}}}
    host = f"{name}.example.com"
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {f"{PREFIX}{key.replace('_', '-')}": value for key, value in annotations.items()},
        },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": "web-tls"}],
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    }


def plain(name: str, content: Document, namespace: str = "shop") -> Document:
    return {"metadata": {"name": name, "namespace": namespace, "uid": name}, **content}


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


class Cluster:
    """An API server with one Ingress and what it uses, and the command beside it."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        server.put(INGRESSES, ingress())
        server.put(CLASSES, {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}})
        server.put(SERVICES, plain("web", {"spec": {"ports": [{"name": "http", "port": 8080}]}}))
        server.put(SECRETS, plain("web-tls", {"type": "kubernetes.io/tls", "data": {}}))
        server.put(SECRETS, plain("users", {"type": "Opaque", "data": {"auth": "YTpi"}}))
        server.put(SECRETS, plain("other", {"type": "Opaque", "data": {}}))

    async def migrate(self, *arguments: str, typed: str | None = None) -> Ended:
        """Run the command; `typed`: on a terminal, by somebody who types that."""
        config = kubeconfig(self.folder, self.server.url, {"token": "t"})
        command = [sys.executable, "-m", "sluicegate", "migrate", f"--kubeconfig={config}", *arguments]
        ours, theirs = pty.openpty() if typed is not None else (-1, asyncio.subprocess.DEVNULL)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=theirs, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            if typed is not None:
                os.write(ours, f"{typed}\n".encode())
            out, err = await asyncio.wait_for(process.communicate(), LIMIT)
        finally:
            if typed is not None:
                os.close(theirs)
                os.close(ours)
        return Ended(process.returncode or 0, out.decode(), err.decode())

    def written(self) -> list[str]:
        return [item.split()[1] for item in self.server.writes]


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    server = ApiServer()
    await server.start()
    try:
        yield Cluster(server, folder)
    finally:
        await server.stop()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_what_a_cluster_has_is_converted_and_only_what_is_named_is_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.put(INGRESSES, ingress(auth_type="basic", auth_secret="users", custom_headers="shop/fields"))
            it.server.put(MAPS, plain("fields", {"data": {"X-From": "shop"}}))
            it.server.put(MAPS, plain("controller", {"data": {"proxy-body-size": "2m"}}, "in"))
            ended = await it.migrate("--kubernetes", "--config-map", "in/controller")
            assert ended.status in {0, 3}, ended.err
            assert "port: 8080" in ended.out  # the Service's number of the port's name
            assert "maxSize: 2Mi" in ended.out
            assert "# Ingress/shop/web nginx.ingress.kubernetes.io/auth-type: basic" in ended.out
            assert "secretRef: {name: users" in ended.out or "name: users" in ended.out
            assert "cluster:0" not in ended.out + ended.err
            assert not {SECRETS, MAPS} & set(it.server.lists)
            asked = {path for path in it.server.asked if "/secrets/" in path or "/configmaps/" in path}
            assert asked == {
                "/api/v1/namespaces/shop/secrets/web-tls",
                "/api/v1/namespaces/shop/secrets/users",
                "/api/v1/namespaces/shop/configmaps/fields",
                "/api/v1/namespaces/in/configmaps/controller",
            }
            assert it.server.writes == []

    run(scenario())


def test_many_ingresses_come_in_pages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.page = 3
            for number in range(10):
                it.server.put(INGRESSES, ingress(f"web-{number}"))
            report = json.loads((await it.migrate("--kubernetes", "-o", "json")).out)
            assert (report["ingresses"], report["hosts"], report["failed"]) == (11, 11, False)

    run(scenario())


def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            secret = "/api/v1/namespaces/shop/secrets/web-tls"
            it.server.forbidden.add(secret)
            ended = await it.migrate("--kubernetes")
            assert "Secret/shop/web-tls: it cannot be read, and counts as missing" in ended.err
            assert ended.status == 3  # a listener without its certificate does not serve
            it.server.forbidden.add(SERVICES)
            ended = await it.migrate("--kubernetes")
            assert (ended.status, "Service cannot be listed" in ended.err) == (1, True)
            it.server.forbidden.add(INGRESSES)
            ended = await it.migrate("--kubernetes")
            assert (ended.status, ended.out, "it may not be read" in ended.err) == (1, "", True)

    run(scenario())


def test_odd_objects_cost_themselves(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.put(INGRESSES, {"metadata": {"name": "odd", "namespace": "shop"}, "spec": {"rules": 5}})
            report = json.loads((await it.migrate("--kubernetes", "-o", "json")).out)
            (problem,) = report["problems"]
            assert (problem["object"], problem["path"], problem["field"]) == (
                "Ingress/shop/odd",
                "cluster",
                "spec.rules",
            )
            assert report["ingresses"] == 1
            # And nothing is written beside it: it may protect something.
            ended = await it.migrate("--kubernetes", "--apply", "--yes")
            assert (ended.status, it.server.writes) == (1, [])
            assert "Nothing is written: not everything could be read" in ended.out

    run(scenario())


def test_apply_writes_what_others_need_first_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.put(INGRESSES, ingress(auth_type="basic", auth_secret="users"))
            ended = await it.migrate("--kubernetes", "--apply", "--yes")
            assert ended.status in {0, 3}, ended.out
            assert "+++ AccessPolicy/shop/web as it will be" in ended.out
            assert "HTTPRoute/shop/web-web.example.com created" in ended.out
            kinds = it.written()
            assert kinds[-2:] == ["HTTPRoute", "HTTPRoute"]
            assert kinds.index("AccessPolicy") < kinds.index("Gateway") < kinds.index("HTTPRoute")
            assert ("shop", "nginx") in it.server.objects[GATEWAYS]
            it.server.writes.clear()
            ended = await it.migrate("--kubernetes", "--apply", "--yes")
            assert "Nothing is to be written" in ended.out
            assert it.server.writes == []
            # What changes is shown, and nothing else is written; nothing is ever deleted.
            it.server.put(INGRESSES, ingress(auth_type="basic", auth_secret="users", auth_realm="Staff"))
            ended = await it.migrate("--kubernetes", "--apply", "--yes")
            assert it.server.writes == ["PATCH AccessPolicy shop/web"]
            assert "+    realm: Staff" in ended.out
            assert "1 object written, 0 not; nothing was deleted" in ended.out

    run(scenario())


def test_nothing_is_written_without_a_yes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            ended = await it.migrate("--kubernetes", "--apply")
            assert (ended.status, "give --yes" in ended.err) == (2, True)
            for word in ("n", "", "of course"):
                ended = await it.migrate("--kubernetes", "--apply", typed=word)
                assert "[y/N]" in ended.err
                assert "Nothing is written" in ended.out
            assert it.server.writes == []
            await it.migrate("--kubernetes", "--apply", typed="y")
            assert it.written()[-1] == "HTTPRoute"

    run(scenario())


def test_what_the_api_server_does_not_take_keeps_all_of_it_from_being_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.put(INGRESSES, ingress(auth_type="basic", auth_secret="users"))
            it.server.refusals["/accesspolicies/web"] = (404, "the server could not find the requested resource")
            ended = await it.migrate("--kubernetes", "--apply", "--yes")
            assert (ended.status, it.server.writes) == (1, [])
            assert "error: AccessPolicy/shop/web: " in ended.out
            assert "install the CRDs" in ended.out
            report = json.loads((await it.migrate("--kubernetes", "--apply", "--yes", "-o", "json")).out)
            errors = {item["object"]: item["error"] for item in report["applied"] if item["error"]}
            assert (list(errors), report["failed"]) == (["AccessPolicy/shop/web"], True)
            assert not any(item["written"] for item in report["applied"])

    run(scenario())


def test_files_are_applied_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            path = tmp_path / "ingress.json"
            path.write_text(json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", **ingress("file")}))
            await it.migrate(str(path), "--apply", "--yes")
            assert ("shop", "file-file.example.com-to-https") in it.server.objects[ROUTES]
            assert INGRESSES not in it.server.lists

    run(scenario())


def test_a_gateway_that_is_there_is_not_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            options = ["--gateway", "edge/ingress", "--existing-gateway"]
            await it.migrate("--kubernetes", "--apply", "--yes", *options)
            assert set(it.written()) == {"ListenerSet", "HTTPRoute"} | ({"ClientPolicy"} & set(it.written()))
            ended = await it.migrate("--kubernetes", "--existing-gateway")
            assert (ended.status, "name it with its namespace" in ended.err) == (2, True)

    run(scenario())


def manifest(kind: str, name: str, value: int = 1) -> Manifest:
    return Manifest(kind, "shop", name, {"value": value})


def test_what_changed_since_it_was_shown_is_left_and_no_route_comes_before_what_protects_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it, Client(Configuration(host=it.server.url)) as client:
            first = [manifest("AccessPolicy", "a"), manifest("HTTPRoute", "r")]
            assert all(step.outcome.written for step in await write(client, await plan(client, first)))
            steps = await plan(client, [manifest("AccessPolicy", "a", 2), manifest("HTTPRoute", "r", 2)])
            assert [step.outcome.action for step in steps] == ["change", "change"]
            other = {"apiVersion": "sluicegate.dev/v1alpha1", "kind": "AccessPolicy", "spec": {"value": 5}}
            it.server.put(POLICIES, {**other, "metadata": {"name": "a", "namespace": "shop", "uid": "x"}})
            it.server.writes.clear()
            done = {step.key.kind: step.outcome for step in await write(client, steps)}
            assert "somebody else wrote it" in done["AccessPolicy"].error
            assert "AccessPolicy/shop/a could not be" in done["HTTPRoute"].error
            assert it.server.objects[ROUTES]["shop", "r"]["spec"] == {"value": 1}

    run(scenario())


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            url = it.server.url
            await it.server.stop()
            it.server.url = url
            ended = await it.migrate("--kubernetes")
            assert (ended.status, ended.out) == (1, "")
            assert ended.err.startswith("error: GET /apis/networking.k8s.io/v1/ingresses")
            ended = await it.migrate("--kubernetes", f"--kubeconfig={tmp_path}/nothing")
            assert (ended.status, "no API server is configured" in ended.err) == (2, True)

    run(scenario())
