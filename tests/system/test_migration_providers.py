"""Converted Ingresses of Traefik and of F5's controller on the engine: paths, limits of who may, what is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from system_backends import Backend
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import Manifest, metadata, service

from sluicegate.checks import native_checks
from sluicegate.controller.api import decode
from sluicegate.controller.api.ingress import INGRESS_KINDS
from sluicegate.controller.api.meta import CLUSTER
from sluicegate.controller.ingress import PROVIDERS, Inventory, Options, convert

HTTP, OFFSET = 8080, 8000
Ask = Callable[..., Response]


def ingress(host: str, *paths: tuple[str, str], **annotations: str) -> Manifest:
    entries = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}}
        for path, name in paths
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(host.replace("*", "any").replace(".", "-"), annotations=annotations),
        "spec": {"rules": [{"host": host, "http": {"paths": entries}}]},
    }


def named(middleware: str) -> dict[str, str]:
    return {"traefik.ingress.kubernetes.io/router.middlewares": f"default-{middleware}@kubernetescrd"}


def middleware(name: str, **spec: Any) -> Manifest:
    return {"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": metadata(name), "spec": spec}


OBJECTS: dict[str, list[Manifest]] = {
    "traefik": [
        ingress("strip.test", ("/api", "api"), ("/", "web"), **named("strip")),
        ingress("add.test", ("/", "web"), **named("add")),
        ingress("pattern.test", ("/", "web"), **named("pattern")),
        ingress("chain.test", ("/api", "api"), **named("chain")),
        ingress("far.test", ("/", "web"), **named("far")),
        ingress("missing.test", ("/", "web"), **named("nobody")),
        ingress("only.test", ("/api", "api")),
        ingress("*.only.test", ("/web", "web")),
        ingress("narrow.only.test", ("/api", "api")),
        ingress("fields.test", ("/", "web"), **named("fields")),
        middleware("strip", stripPrefix={"prefixes": ["/api"]}),
        middleware(
            "fields", headers={"customRequestHeaders": {"Host": "internal.test", "X-User": "", "X-Shop": "one"}}
        ),
        middleware("add", addPrefix={"prefix": "/new"}),
        middleware("pattern", replacePathRegex={"regex": "^/old/(.*)", "replacement": "/new/$1"}),
        middleware("chain", chain={"middlewares": [{"name": "strip"}, {"name": "add"}]}),
        middleware("far", ipAllowList={"sourceRange": ["192.0.2.0/24"]}),
    ],
    "f5": [
        ingress("rewrite.test", ("/tea/", "api"), ("/", "web"), **{"nginx.org/rewrites": "serviceName=api rewrite=/"}),
        ingress("token.test", ("/", "web"), **{"nginx.com/jwt-key": "keys"}),
        ingress("set.test", ("/", "web"), **{"nginx.org/app-root": "/shop"}),
    ],
}


@pytest.fixture(scope="module")
def running(start: Callable[..., Gateway], backend: Callable[..., Backend]) -> Gateway:
    """A Gateway of each provider's Ingresses; their hosts are different."""
    services = [item for name in ("web", "api") for item in service(name, backend(name).address)]
    found: list[Manifest] = []
    checks = native_checks()
    for name, objects in OBJECTS.items():
        for item in objects:
            if item["kind"] == "Ingress":
                item["spec"]["ingressClassName"] = name
        plain = yaml.safe_load_all(yaml.safe_dump_all([*objects, *services]))
        decoded = [decode(item, CLUSTER, INGRESS_KINDS) for item in plain if item["kind"] in INGRESS_KINDS]
        wanted = Options(pattern_error=lambda pattern: checks.pattern(pattern).error, ingress_class=name)
        made = [item.document for item in convert(Inventory.of(decoded), PROVIDERS[name], wanted).objects]
        found += made
    return start(*found, *services, arguments=("--port-offset", str(OFFSET)))


@pytest.fixture
def ask(running: Gateway, client: type[Http1] | type[Http2]) -> Ask:
    def one(host: str, target: str, *fields: tuple[str, str]) -> Response:
        connection = client(running.address, HTTP)
        try:
            return connection.request("GET", host, target, fields, None)
        finally:
            connection.close()

    return one


@pytest.mark.parametrize(
    ("host", "target", "name", "path"),
    [
        ("strip.test", "/api/x?q=1", "api", "/x?q=1"),
        ("strip.test", "/api", "api", "/"),
        ("strip.test", "/other", "web", "/other"),
        ("add.test", "/x", "web", "/new/x"),
        ("pattern.test", "/old/a/b", "web", "/new/a/b"),
        ("pattern.test", "/else", "web", "/else"),
        ("chain.test", "/api/x", "api", "/new/x"),
        ("rewrite.test", "/tea/green", "api", "/green"),
        ("rewrite.test", "/coffee", "web", "/coffee"),
        ("set.test", "/x", "web", "/x"),
        ("narrow.only.test", "/api/x", "api", "/api/x"),
        ("narrow.only.test", "/web/x", "web", "/web/x"),
    ],
)
def test_paths(ask: Ask, host: str, target: str, name: str, path: str) -> None:
    found = ask(host, target)
    assert (found.status, found.echo["backend"], found.echo["target"]) == (200, name, path)


@pytest.mark.parametrize(
    ("host", "target", "status"),
    [
        ("far.test", "/", 403),
        ("missing.test", "/", 500),
        ("token.test", "/", 500),
        ("only.test", "/else", 404),
        ("narrow.only.test", "/else", 404),
        ("set.test", "/", 302),
    ],
)
def test_what_is_not_served(ask: Ask, host: str, target: str, status: int) -> None:
    assert ask(host, target).status == status


def test_fields_of_requests(ask: Ask) -> None:
    """Set, taken out, and the host, which is a field of the Middleware too; the prefix that was taken off."""
    found = ask("fields.test", "/x", ("x-user", "eve"))
    assert (found.sent("host"), found.sent("x-shop"), found.sent("x-user")) == ("internal.test", "one", None)
    assert ask("chain.test", "/api/x").sent("x-forwarded-prefix") == "/api"
