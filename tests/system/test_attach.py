"""Who may attach to what, on the wire: hostnames, listener isolation, allowedRoutes, ReferenceGrants, ListenerSets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from system_certificates import Authority
from system_clients import Http1, Http2, tls_context
from system_gateway import Gateway
from system_manifests import (
    GROUP,
    Manifest,
    backend_tls_policy,
    config_map,
    gateway,
    https,
    listener,
    metadata,
    route,
    rule,
    secret,
    service,
)

NAMESPACES = ("infra", "team", "other")


def namespace(name: str, **labels: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def within(name: str, *objects: Manifest) -> list[Manifest]:
    """The same objects in another namespace."""
    return [{**item, "metadata": {**item["metadata"], "namespace": name}} for item in objects]


def allowed(**fields: Any) -> dict[str, Any]:
    return {"allowedRoutes": fields}


def grant(name: str, kind: str, to: str, target: str, *, source: str = "default") -> Manifest:
    group = "gateway.networking.k8s.io"
    return {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": metadata(f"{name}-{target.lower()}", name),
        "spec": {"from": [{"group": group, "kind": kind, "namespace": source}], "to": [{"group": to, "kind": target}]},
    }


@dataclass
class World:
    gateway: Gateway
    authority: Authority

    def status(self, client: Any, host: str, target: str = "/", port: int = 8080) -> int:
        connection = client(self.gateway.address, port)
        try:
            return int(connection.request("GET", host, target).status)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority) -> World:
    app = backend("app").address
    pair = authority.sign("granted.test")
    parents = [{"name": "gateway", "namespace": "default"}]

    def to(section: str) -> list[Manifest]:
        return [{"name": "gateway", "namespace": "default", "sectionName": section}]

    selector = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"routes": "yes"}}}}
    objects: list[Manifest] = [
        namespace("team", routes="yes"),
        namespace("other", routes="no"),
        gateway(
            listener("any"),
            listener("exact", hostname="exact.test"),
            listener("wild", hostname="*.wild.test"),
            listener("same", 8081, **allowed(namespaces={"from": "Same"})),
            listener("all", 8082, **allowed(namespaces={"from": "All"})),
            listener("selected", 8083, **allowed(**selector)),
            listener("grpc-only", 8084, **allowed(kinds=[{"kind": "GRPCRoute"}])),
            https("granted", 8443, hostname="granted.test", tls={"certificateRefs": [ref("granted", "infra")]}),
            https("refused", 8443, hostname="refused.test", tls={"certificateRefs": [ref("granted", "other")]}),
            allowedListeners={"namespaces": {"from": "All"}},
        ),
        # Isolation: each listener has a route of its own.
        route(rule("/any", "app"), name="any", parents=to("any")),
        route(rule("/exact", "app"), name="exact", parents=to("exact")),
        route(rule("/wild", "app"), name="wild", parents=to("wild")),
        # Only the part of the hostnames that the listener has too.
        route(rule("/cut", "app"), name="cut", parents=to("wild"), hostnames=["a.wild.test", "b.outside.test"]),
        # Namespaces.
        *within("team", route(rule("/", "app"), name="team", parents=parents)),
        *within("other", route(rule("/", "app"), name="other", parents=parents, hostnames=["other.test"])),
        *[item for name in ("team", "other") for item in within(name, *service("app", app))],
        route(rule("/", "app"), name="by-port", parents=[{"name": "gateway", "port": 8081}]),
        route(rule("/", "app"), name="kinds", parents=[{"name": "gateway", "port": 8084}]),
        # References into other namespaces, with and without a grant.
        *within("infra", *service("granted", app), secret("granted", pair.certificate, pair.key)),
        *within("other", *service("kept", app), secret("granted", pair.certificate, pair.key)),
        grant("infra", "HTTPRoute", "", "Service"),
        grant("infra", "Gateway", "", "Secret"),
        route(
            rule("/granted", {"name": "granted", "namespace": "infra", "port": 80}),
            rule("/kept", {"name": "kept", "namespace": "other", "port": 80}),
            name="references",
            hostnames=["references.test"],
            parents=to("any"),
        ),
        route(rule("/", "app"), name="granted", parents=to("granted")),
        route(rule("/", "app"), name="refused", parents=to("refused")),
        {
            "apiVersion": GROUP,
            "kind": "ListenerSet",
            "metadata": metadata("set", "team"),
            "spec": {
                "parentRef": {"name": "gateway", "namespace": "default"},
                "listeners": [listener("set", 8085)],
            },
        },
        *within(
            "team",
            route(
                rule("/", "app"),
                name="set",
                parents=[{"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "set"}],
            ),
        ),
        *service("app", app),
    ]
    return World(start(*objects), authority)


def ref(name: str, where: str) -> Manifest:
    return {"name": name, "namespace": where}


@pytest.mark.parametrize(
    ("host", "target", "status"),
    [
        ("exact.test", "/exact", 200),
        ("exact.test", "/any", 404),
        ("exact.test", "/wild", 404),
        ("a.wild.test", "/wild", 200),
        ("a.wild.test", "/any", 404),
        ("else.test", "/any", 200),
        ("else.test", "/exact", 404),
        ("wild.test", "/any", 200),
        ("a.wild.test", "/cut", 200),
        ("c.wild.test", "/cut", 404),
        ("b.outside.test", "/cut", 404),
    ],
)
def test_listener_isolation_and_hostname_intersection(
    world: World, client: Any, host: str, target: str, status: int
) -> None:
    assert world.status(client, host, target) == status


@pytest.mark.parametrize(
    ("port", "host", "status"),
    [
        (8081, "same.test", 200),
        (8081, "other.test", 200),
        (8082, "all.test", 200),
        (8082, "other.test", 200),
        (8083, "selected.test", 200),
        (8083, "other.test", 200),
        (8084, "kinds.test", 404),
        (8085, "set.test", 200),
    ],
)
def test_allowed_routes(world: World, client: Any, port: int, host: str, status: int) -> None:
    assert world.status(client, host, port=port) == status


def test_who_is_attached(world: World) -> None:
    """By name, because another team's route may answer for the same host."""
    attached = {
        line["id"].rpartition("/")[2]: {item["route"] for item in line["routes"]}
        for line in world.gateway.ready["listeners"]
    }
    team, other, own = "HTTPRoute/team/team", "HTTPRoute/other/other", "HTTPRoute/default/by-port"
    assert attached["same"] == {own}
    assert attached["all"] == {team, other}
    assert attached["selected"] == {team}
    assert attached["grpc-only"] == set()
    assert attached["set"] == {"HTTPRoute/team/set"}


def test_reference_grants_for_backends(world: World, client: Any) -> None:
    assert world.status(client, "references.test", "/granted") == 200
    assert world.status(client, "references.test", "/kept") == 500
    told = [item for item in world.gateway.ready["problems"] if item["object"] == "HTTPRoute/default/references"]
    assert any(item["field"].startswith("spec.rules[1].backendRefs[0]") for item in told)


def test_reference_grants_for_secrets(world: World, client: Any) -> None:
    context = tls_context(world.authority.pem, "h2" if client is Http2 else "http/1.1")
    connection = client(world.gateway.address, 8443, context, "granted.test")
    assert connection.request("GET", "granted.test", "/").status == 200
    connection.close()
    with pytest.raises(OSError):  # noqa: PT011 (an alert or a reset: there is no certificate to show)
        client(world.gateway.address, 8443, context, "refused.test")
    assert any(
        item["object"] == "Gateway/default/gateway" and "ReferenceGrant" in item["message"] + item["remedy"]
        for item in world.gateway.ready["problems"]
    )


def test_reference_grants_for_config_maps(start: Any, backend: Any, authority: Authority) -> None:
    """Trust for client certificates from another namespace."""
    pair = authority.sign("a.test")
    names = {"group": "", "kind": "ConfigMap", "name": "authority", "namespace": "infra"}
    tls = {"frontend": {"default": {"validation": {"caCertificateRefs": [names]}}}}
    common = [
        secret("pair", pair.certificate, pair.key),
        *within("infra", config_map("authority", authority.pem)),
        route(rule("/", "app")),
        *service("app", backend("app").address),
    ]
    found = start(gateway(https(secret="pair"), tls=tls), *common)
    assert any("ReferenceGrant" in item["message"] + item["remedy"] for item in found.ready["problems"])
    found.write(gateway(https(secret="pair"), tls=tls), *common, grant("infra", "Gateway", "", "ConfigMap"))
    context = tls_context(authority.pem)
    with pytest.raises(OSError):  # noqa: PT011 (TLS 1.3 tells it with the first read)
        Http1(found.address, 8443, context, "a.test").request("GET", "a.test", "/")
    client_pair = authority.sign("anna", client=True)
    context.load_cert_chain(*client_pair.write(found.folder.parent, "client"))
    connection = Http1(found.address, 8443, context, "a.test")
    assert connection.request("GET", "a.test", "/").status == 200
    connection.close()


def test_policies_of_one_port(start: Any, backend: Any, authority: Authority) -> None:
    """A BackendTLSPolicy with a sectionName is for that port of the Service only."""
    app = backend("app").address
    policy = backend_tls_policy("policy", "app", "inside.test", "authority")
    policy["spec"]["targetRefs"][0]["sectionName"] = "secure"
    [found_service, found_slice] = service("app", app)
    found_service["spec"]["ports"] = [{"name": "plain", "port": 80}, {"name": "secure", "port": 443}]
    found_slice["ports"] = [{"name": "plain", "port": app[1]}, {"name": "secure", "port": app[1]}]
    objects = [found_service, found_slice, policy, config_map("authority", authority.pem)]
    rules = [rule("/plain", "app"), rule("/secure", {"name": "app", "port": 443})]
    found = start(gateway(), route(*rules), *objects)
    connection = Http1(found.address, 8080)
    assert connection.request("GET", "a", "/plain").status == 200
    assert connection.request("GET", "a", "/secure").status in {502, 503, 504}
    connection.close()
