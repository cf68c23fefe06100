"""Files with policies that cannot be used: what these hold for is closed, over HTTP/1.1, HTTP/2 and TCP."""

from __future__ import annotations

import copy
import socket
from typing import Any

import pytest
from system_backends import Backend
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import (
    GROUP,
    Manifest,
    backend_policy,
    backend_tls_policy,
    gateway,
    listener,
    metadata,
    policy,
    route,
    rule,
    service,
    target,
)

PORT, TCP_PORT = 8080, 9000


def broken(manifest: Manifest, **values: Any) -> Manifest:
    result = copy.deepcopy(manifest)
    result["spec"].update(values)
    return result


HTTP_FILTER = {
    "apiVersion": "sluicegate.dev/v1alpha1",
    "kind": "HTTPFilter",
    "metadata": metadata("refused"),
    "spec": {"respond": 5},
}
EXTENSION = {
    "type": "ExtensionRef",
    "extensionRef": {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": "refused"},
}
EXTERNAL = {
    "type": "ExternalAuth",
    "externalAuth": {"protocol": "HTTP", "backendRef": {"name": "refused", "port": 80}, "http": {}},
}
TCP = {
    "apiVersion": GROUP,
    "kind": "TCPRoute",
    "metadata": metadata("tcp"),
    "spec": {
        "parentRefs": [{"name": "gateway", "sectionName": "tcp"}],
        "rules": [{"backendRefs": [{"name": "open", "port": 80}]}],
    },
}
REFUSED = (
    policy("AccessPolicy", "access", target("HTTPRoute", "access"), authorisation={"rules": [{"users": ["ann"]}]}),
    policy("RateLimitPolicy", "limits", target("HTTPRoute", "limits"), local={"limits": "ten"}),
    policy("ClientPolicy", "client", target("HTTPRoute", "client"), body={"maxSize": [1]}),
    policy("AccessPolicy", "tcp", target("TCPRoute", "tcp"), authorization={"rules": [{"clients": 5}]}),
    broken(backend_tls_policy("tls", "tls", "tls.test", "roots"), validation={"hostname": 5}),
    broken(backend_policy("proxied", "proxied"), connection={"proxyProtocl": "v2"}),
    HTTP_FILTER,
    {"apiVersion": "v1", "kind": "Service", "metadata": metadata("refused"), "spec": {"ports": "none"}},
)
NAMES = ("access", "limits", "client", "tls", "proxied", "filter", "external")


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> tuple[Gateway, Backend]:
    app: Backend = backend("app")
    services = [item for name in ("open", "tls", "proxied") for item in service(name, app.address)]
    routes = [
        route(rule("/", name if name in {"tls", "proxied"} else "open"), name=name, hostnames=[f"{name}.test"])
        for name in ("open", "access", "limits", "client", "tls", "proxied")
    ]
    found: Gateway = start(
        gateway(listener(), listener("tcp", TCP_PORT, "TCP")),
        *routes,
        route(rule("/", "open", filters=[EXTENSION]), name="filter", hostnames=["filter.test"]),
        route(rule("/", "open", filters=[EXTERNAL]), name="external", hostnames=["external.test"]),
        TCP,
        *services,
        *REFUSED,
    )
    return found, app


def ask(client: type[Http1] | type[Http2], gateway: Gateway, host: str) -> tuple[int, bytes]:
    connection = client(gateway.address, PORT)
    try:
        found = connection.request("GET", host, "/")
        return found.status, found.body.partition(b":")[0]
    finally:
        connection.close()


@pytest.mark.parametrize("name", NAMES)
def test_requests_are_answered_500(
    world: tuple[Gateway, Backend], client: type[Http1] | type[Http2], name: str
) -> None:
    gateway, app = world
    assert ask(client, gateway, "open.test")[0] == 200
    before = len(app.requests)
    status, code = ask(client, gateway, f"{name}.test")
    assert status == 500
    if name in {"access", "limits", "client"}:
        assert code == b"policy_invalid"
    assert len(app.requests) == before


def is_reset(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 5) as connection:
            connection.recv(1)
    except ConnectionResetError:
        return True
    return False


def test_connections_are_reset(world: tuple[Gateway, Backend]) -> None:
    assert is_reset(world[0].address, TCP_PORT)


@pytest.fixture
def own(start: Any, backend: Any) -> Gateway:
    app: Backend = backend("app")
    found: Gateway = start(gateway(), route(rule("/", "app"), hostnames=["own.test"]), *service("app", app.address))
    return found


def test_a_new_file_closes_and_a_good_one_opens(own: Gateway, client: type[Http1] | type[Http2]) -> None:
    """And a version that is bad does not end the last good one."""
    allowed = policy(
        "AccessPolicy", "own", target("HTTPRoute", "route"), authorization={"rules": [{"methods": ["GET"]}]}
    )
    denied = copy.deepcopy(allowed)
    denied["spec"]["authorization"]["rules"] = [{"methods": ["PUT"]}]
    refused = broken(allowed, authorization={"rules": [{"methods": 5}]})
    for manifest, expected in ((refused, 500), (allowed, 200), (refused, 200), (denied, 403), (refused, 403)):
        own.write(manifest, name="policy.yaml")
        assert ask(client, own, "own.test")[0] == expected
