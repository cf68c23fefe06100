"""`status`, `check` and `explain` with `--kubernetes` against an API server: what is asked for, told, never written."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from api_server import ApiServer
from test_credentials import kubeconfig

Document = dict[str, Any]
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
CLASSES, GATEWAYS, ROUTES = (f"{GATEWAY_API}/{name}" for name in ("gatewayclasses", "gateways", "httproutes"))
SERVICES, SECRETS, NAMESPACES = "/api/v1/services", "/api/v1/secrets", "/api/v1/namespaces"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
POLICIES = "/apis/sluicegate.dev/v1alpha1/accesspolicies"
CONTROLLER = "sluicegate.dev/controller"
LIMIT = 240.0


def made(name: str, spec: Document, namespace: str = "shop", **content: Any) -> Document:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1}
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": spec, **content}


def condition(kind: str, status: str = "True", reason: str = "", message: str = "", generation: int = 1) -> Document:
    return {
        "type": kind,
        "status": status,
        "reason": reason or kind,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def gateway(name: str = "edge", *, secret: str = "", status: Document | None = None) -> Document:
    listener: Document = {"name": "http", "protocol": "HTTP", "port": 80}
    if secret:
        tls = {"certificateRefs": [{"name": secret}]}
        listener = {"name": "https", "protocol": "HTTPS", "port": 443, "tls": tls}
    return made(name, {"gatewayClassName": "ours", "listeners": [listener]}, status=status or {})


def gateway_status() -> Document:
    return {
        "addresses": [{"type": "IPAddress", "value": "192.0.2.7"}],
        "conditions": [condition("Accepted"), condition("Programmed")],
        "listeners": [
            {
                "name": "http",
                "attachedRoutes": 1,
                "conditions": [condition("Accepted"), condition("ResolvedRefs"), condition("Programmed")],
            }
        ],
    }


def route(
    name: str = "cart", service: str = "cart", *, parent: str = "edge", status: Document | None = None
) -> Document:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/cart"}}],
        "backendRefs": [{"name": service, "port": 80}],
    }
    spec = {"parentRefs": [{"name": parent}], "hostnames": ["shop.test"], "rules": [rule]}
    return made(name, spec, status=status or {})


def route_status(*conditions: Document, controller: str = CONTROLLER) -> Document:
    reference = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    return {"parents": [{"parentRef": reference, "controllerName": controller, "conditions": [*conditions]}]}


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


class Cluster:
    """An API server with a Gateway, a route and what it leads to, and the commands beside it."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        server.put(NAMESPACES, {"metadata": {"name": "shop", "labels": {}}})
        server.put(
            CLASSES, {"metadata": {"name": "ours", "uid": "c", "generation": 1}, "spec": {"controllerName": CONTROLLER}}
        )
        server.objects[CLASSES]["", "ours"]["status"] = {"conditions": [condition("Accepted")]}
        server.put(GATEWAYS, gateway(status=gateway_status()))
        server.put(ROUTES, route(status=route_status(condition("Accepted"), condition("ResolvedRefs"))))
        server.put(SERVICES, made("cart", {"ports": [{"port": 80}], "selector": {"app": "cart"}}))
        metadata = {"name": "cart-1", "namespace": "shop", "uid": "s", "labels": {"kubernetes.io/service-name": "cart"}}
        endpoints = {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.9"]}], "ports": [{"port": 8080}]}
        server.put(SLICES, {"metadata": metadata, **endpoints})

    async def run(self, name: str, *arguments: str) -> Ended:
        config = kubeconfig(self.folder, self.server.url, {"token": "t"})
        command = [sys.executable, "-m", "sluicegate", name, "--kubernetes", f"--kubeconfig={config}", *arguments]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        out, err = await asyncio.wait_for(process.communicate(), LIMIT)
        assert self.server.writes == []
        assert self.server.patches == []
        assert self.server.watches == 0
        return Ended(process.returncode or 0, out.decode(), err.decode())


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


def row(text: str, begin: str) -> list[str]:
    """The cells of the line of the table that begins so."""
    [line] = [line for line in text.splitlines() if line.startswith(begin)]
    return line.split()


def test_status_shows_what_the_controller_wrote(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            ended = await it.run("status")
            assert (ended.status, ended.err) == (0, ""), ended
            assert row(ended.out, "Gateway/shop/edge") == ["Gateway/shop/edge", "yes", "-", "yes", "192.0.2.7"]
            assert row(ended.out, " " * len("Gateway/shop/edge"))[:6] == ["listener", "http", "yes", "yes", "yes", "1"]
            assert row(ended.out, "HTTPRoute/shop/cart") == [
                "HTTPRoute/shop/cart",
                "Gateway",
                "edge",
                "yes",
                "yes",
                "-",
            ]
            assert ended.out.endswith("3 objects: all as they should be\n")

    run(scenario())


def test_status_says_why_not_with_field_and_remedy(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            told = condition("ResolvedRefs", "False", "BackendNotFound", "the Service is not there")
            it.server.put(ROUTES, route("lost", "gone", status=route_status(condition("Accepted"), told)))
            foreign = route_status(condition("Accepted", "False", "NoMatchingParent"), controller="example.com/other")
            both = {"parents": [*foreign["parents"], *route_status(condition("Accepted"))["parents"]]}
            it.server.put(ROUTES, route("shared", status=both))
            ended = await it.run("status")
            assert ended.status == 1
            assert row(ended.out, "HTTPRoute/shop/lost")[-3:] == ["yes", "no", "-"]
            why = ended.out.partition("Why not:\n")[2].splitlines()
            assert why[:2] == [
                "  HTTPRoute/shop/lost",
                "    Gateway edge: ResolvedRefs=False (BackendNotFound): the Service is not there",
            ]
            assert why[2].startswith("    error: spec.rules[0].backendRefs[0]")
            assert "gone" in why[2]
            assert "NoMatchingParent" not in ended.out  # what another controller says of it
            assert ended.out.endswith("5 objects: 1 not as it should be\n")
            report = json.loads((await it.run("status", "-o", "json")).out)
            lost = next(item for item in report["objects"] if item["object"] == "HTTPRoute/shop/lost")
            assert (report["source"], report["failed"], lost["good"]) == ("cluster", True, False)
            assert lost["problems"][0]["remedy"]

    run(scenario())


def test_graph_draws_what_a_cluster_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.put(ROUTES, route("lost", "gone"))
            ended = await it.run("graph")
            assert (ended.status, ended.err) == (0, ""), ended
            numbers = dict(re.findall(r'^  (n\d+)[({\[]+"([^<"]*)', ended.out, re.MULTILINE))
            names = {name: number for number, name in numbers.items()}
            cart, service = names["HTTPRoute shop/cart"], names["Service shop/cart:80"]
            listener = next(number for name, number in names.items() if name == "http")
            for line in (
                f"{names['Gateway shop/edge']} --> {listener}",
                f"{listener} --> {cart}",
                f"{cart} --> {service}",
            ):
                assert f"\n  {line}\n" in ended.out
            assert "BackendNotFound" in ended.out

    run(scenario())


def test_status_tells_of_a_controller_that_did_not_come_by(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            document = route("old", status=route_status(condition("Accepted"), condition("ResolvedRefs")))
            document["metadata"]["generation"] = 3
            it.server.put(ROUTES, document)
            it.server.put(ROUTES, route("new"))
            ended = await it.run("status")
            assert ended.status == 1
            assert "its status is of generation 1, it is at 3" in ended.out
            assert "no controller has written its status" in ended.out

    run(scenario())


def test_secrets_are_asked_for_by_name(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.put(SECRETS, {"metadata": {"name": "other", "namespace": "shop"}, "type": "kubernetes.io/tls"})
            it.server.put(GATEWAYS, gateway(secret="web-tls", status=gateway_status()))
            ended = await it.run("check")
            assert (ended.status, "Secret shop/web-tls" in ended.out) == (1, True), ended.out
            assert "/api/v1/namespaces/shop/secrets/web-tls" in it.server.asked
            assert "/api/v1/namespaces/shop/secrets/other" not in it.server.asked
            assert SECRETS not in it.server.lists
            it.server.forbidden.add("/api/v1/namespaces/shop/secrets/web-tls")
            ended = await it.run("check")
            assert "it cannot be read, and counts as missing" in ended.out

    run(scenario())


def test_check_looks_at_what_the_cluster_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            ended = await it.run("check", "--fail-on", "warning")
            assert (ended.status, ended.err) == (0, ""), ended.out
            assert ended.out.startswith("Checked for a cluster: it has these objects\n")
            assert "HTTPRoute/shop/cart  cluster\n" in ended.out
            # Endpoints of a Service with a selector are there, or missing.
            it.server.delete(SLICES, "shop", "cart-1")
            ended = await it.run("check", "--fail-on", "warning")
            assert (ended.status, "Service/shop/cart" in ended.out) == (1, True), ended.out

    run(scenario())


def test_a_policy_of_a_newer_release_is_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "cart"}
            it.server.put(POLICIES, made("new", {"targetRefs": [target], "fromTheFuture": {}}))
            ended = await it.run("check")
            assert (ended.status, "spec.fromTheFuture: not known to this version" in ended.out) == (1, True), ended.out
            ended = await it.run("explain", "-r", "http://shop.test/cart")
            assert (ended.status, "500 (policy_invalid)" in ended.out) == (1, True), ended.out

    run(scenario())


def test_explain_asks_one_gateway(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            ended = await it.run("explain", "-r", "http://shop.test/cart")
            assert (ended.status, ended.err) == (0, ""), ended
            assert "  route     HTTPRoute/shop/cart, hostname shop.test" in ended.out
            assert "  endpoints 10.0.0.9:8080" in ended.out
            # Another Gateway at the same port, with addresses of its own and another route for the same request.
            it.server.put(GATEWAYS, gateway("inner", status=gateway_status()))
            it.server.put(ROUTES, route("inner", parent="inner"))
            ended = await it.run("explain", "-r", "http://shop.test/cart")
            assert (ended.status, "name one by --gateway: shop/edge, shop/inner" in ended.err) == (2, True)
            for name, taken in (("edge", "cart"), ("inner", "inner")):
                ended = await it.run("explain", "-r", "http://shop.test/cart", "--gateway", f"shop/{name}")
                assert f"  route     HTTPRoute/shop/{taken}," in ended.out
            ended = await it.run("explain", "-r", "http://shop.test/cart", "--gateway", "shop/inne")
            assert (ended.status, "did you mean shop/inner?" in ended.err) == (2, True)
            ended = await it.run("explain", "-r", "http://shop.test:81/cart")
            assert (ended.status, "shop/edge port 80" in ended.err) == (2, True)

    run(scenario())


def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.forbidden.add(SERVICES)
            ended = await it.run("explain", "-r", "http://shop.test/cart")
            assert "warning: services cannot be listed, and count as missing" in ended.err
            assert "kubectl auth can-i list services --all-namespaces" in ended.err
            ended = await it.run("status")
            assert (ended.status, "error: services cannot be listed" in ended.out) == (1, True)
            it.server.forbidden.add(GATEWAYS)
            for arguments in (["status"], ["check"], ["explain", "-r", "/"]):
                ended = await it.run(*arguments)
                assert (ended.status, ended.out) == (1, "")
                assert ended.err.startswith("error: gateways.gateway.networking.k8s.io cannot be listed: ")
                assert "ask for a role that may" in ended.err

    run(scenario())


def test_a_cluster_without_the_gateway_api(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            for version in ("v1", "v1beta1"):
                it.server.missing.add(f"/apis/gateway.networking.k8s.io/{version}/gatewayclasses")
            ended = await it.run("status")
            assert (ended.status, ended.out) == (1, "")
            assert ended.err == "error: the cluster has no GatewayClass: install the Gateway API's CRDs\n"

    run(scenario())


def test_kinds_that_a_cluster_may_do_without(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            it.server.missing |= {POLICIES, f"{GATEWAY_API}/listenersets"}
            ended = await it.run("status")
            assert (ended.status, ended.err) == (0, "")

    run(scenario())


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            url = it.server.url
            await it.server.stop()
            it.server.url = url
            ended = await it.run("status")
            assert (ended.status, ended.out) == (1, "")
            assert ended.err.startswith("error: GET /apis/gateway.networking.k8s.io/v1/gatewayclasses")
            ended = await it.run("status", f"--kubeconfig={tmp_path}/nothing")
            assert (ended.status, "no API server is configured" in ended.err) == (2, True)

    run(scenario())
