"""A service that is asked over TLS: it is known by its certificate, and nobody else says yes in its place."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_certificates import Authority, Pair
from system_clients import Http1, Http2
from system_ext_authz import AuthorizationServer, CheckResponse
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    backend_tls_policy,
    config_map,
    gateway,
    policy,
    route,
    rule,
    secret,
    service,
    target,
)

PORT = 8080
HOST = "asked.test"
Client = type[Http1] | type[Http2]
#: Who is no authoriser that its BackendTLSPolicy knows: another name, another authority, a time that is over, no TLS.
STRANGERS = ("name", "authority", "expired", "plain")


def may(request: Received) -> bytes:
    return response(b"", "200 OK" if request.header("x-group") == "staff" else "403 Forbidden")


def check(request: Any) -> Any:
    is_staff = request.headers.get("x-group") == "staff"
    denied = {"status": {"code": 7}, "denied_response": {"status": {"code": 403}}}
    return CheckResponse(status={}, ok_response={}) if is_staff else CheckResponse(**denied)


class World:
    """Routes by authorisers that are who they should be, over both protocols, and by some that are not."""

    def __init__(self, start: Callable[..., Gateway], backend: Any, authority: Authority, folder: Path) -> None:
        self.folder, self.app = folder, backend("app")
        good, client_pair = authority.sign("auth.test"), authority.sign("gateway.test", client=True)
        pairs = {
            "good": good,
            "name": authority.sign("another.test"),
            "authority": Authority("Other CA").sign("auth.test"),
            "expired": authority.sign("auth.test", start=-20, days=-1),
        }
        self.servers: dict[str, Backend] = {
            name: backend(may, tls=self.context(name, pair)) for name, pair in pairs.items()
        }
        self.servers["mutual"] = backend(may, tls=self.context("mutual", good, authority))
        self.servers["plain"] = backend(may)
        self.grpc = AuthorizationServer(check, (good.key, good.certificate))
        names = [*self.servers, "grpc"]
        self.gateway = start(
            gateway(tls={"backend": {"clientCertificateRef": {"name": "own"}}}),
            secret("own", client_pair.certificate, client_pair.key),
            *(route(rule(f"/{name}", "app"), name=name) for name in (*names, "open")),
            *(policy("AccessPolicy", name, target("HTTPRoute", name), external=self.external(name)) for name in names),
            *(item for name, each in self.servers.items() for item in service(name, each.address)),
            *service("grpc", self.grpc.address),
            *(backend_tls_policy(name, name, "auth.test", "ca") for name in names),
            config_map("ca", authority.pem),
            *service("app", self.app.address),
        )

    def context(self, name: str, pair: Pair, clients: Authority | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair.write(self.folder, name))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.pem.decode())
        return context

    @staticmethod
    def external(name: str) -> Manifest:
        reference = {"backendRef": {"name": name, "port": 80}, "timeout": "5s"}
        if name == "grpc":
            return {"protocol": "GRPC", **reference}
        return {"protocol": "HTTP", "http": {"allowedHeaders": ["x-group"]}, **reference}

    def ask(self, client: Client, path: str, group: str = "staff") -> tuple[int, bytes]:
        with closing(client(self.gateway.address, PORT)) as connection:
            found = connection.request("GET", HOST, path, (("x-group", group),))
        return found.status, found.body.partition(b":")[0]

    def unavailable(self, name: str) -> int:
        labels = f'policy="AccessPolicy/default/{name}",part="external",verdict="unavailable"'
        pattern = rf"^sluicegate_policy_verdicts_total{{{re.escape(labels)}}} (\d+)$"
        found = re.search(pattern, self.gateway.admin("/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = World(start, backend, authority, tmp_path_factory.mktemp("authorisers"))
    yield found
    found.grpc.close()


@pytest.mark.parametrize("name", ["good", "mutual", "grpc"])
def test_one_that_is_known_by_its_certificate(world: World, client: Client, name: str) -> None:
    """`mutual` asks for the gateway's own certificate."""
    assert world.ask(client, f"/{name}")[0] == 200
    assert world.ask(client, f"/{name}", "guests")[0] == 403
    if name != "grpc":
        shown = {(each.tls or {}).get("client") is not None for each in world.servers[name].requests}
        assert shown == {name == "mutual"}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_says_yes_for_nobody(world: World, client: Client, name: str) -> None:
    """It gets no request to look at, and nothing is let through."""
    before, reached = world.unavailable(name), len(world.app.requests)
    assert world.ask(client, f"/{name}") == (503, b"auth_unavailable")
    assert world.unavailable(name) == before + 1
    # Without TLS the server takes the handshake for a request.
    assert [each for each in world.servers[name].requests if each.method == "GET"] == []
    assert len(world.app.requests) == reached
    assert world.ask(client, "/open")[0] == 200
