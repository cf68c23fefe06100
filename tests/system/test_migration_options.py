"""What options of `migrate` ask for, on the engine: fields of ingress-nginx, strict paths, TCP and UDP ports."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from system_backends import LIMIT, Backend, Received, response
from system_certificates import Authority
from system_clients import Http1, Response, tls_context
from system_flows import TcpServer, UdpServer, named, read_all
from system_gateway import Gateway
from system_manifests import Manifest, metadata, opaque, secret, service
from system_migration import converted, ingress, manifests

from sluicegate.controller.ingress import Name

HTTP, HTTPS, OFFSET = 8080, 8443, 8000
#: Ports of the ConfigMaps; the gateway adds its offset.
PLAIN, FROM_PROXY, BOTH, DATAGRAMS = 1432, 1433, 1434, 1453
CLIENT = "192.0.2.7"
#: A header of the PROXY protocol, as a load balancer writes it.
HEADER = f"PROXY TCP4 {CLIENT} 198.51.100.1 4711 443\r\n".encode()
#: htpasswd -nbB ann secret (cost 5).
USERS = "ann:$2b$05$F0lcgbMRpJUC2IPTzKfFxefZdYK/ci6R0Eya8RUHLxetJAH6T4a.."
ANN = ("authorization", "Basic YW5uOnNlY3JldA==")
KNOWN = ("cookie", "session=good")
#: Of ingress-nginx, beside the three that are always there.
FORWARDED = ("x-real-ip", "x-forwarded-port", "x-forwarded-scheme", "x-scheme")
AUTH = "http://auth.default.svc.cluster.local/check"


def ingresses() -> list[Manifest]:
    """All cases."""
    any_of = {"auth_url": AUTH, "satisfy": "any", "auth_type": "basic", "auth_secret": "users"}
    return [
        ingress("fields.test", ("/", "web"), secret="fields.test", ssl_redirect="false"),
        ingress("own.test", ("/", "web"), configuration_snippet='proxy_set_header X-Scheme "mine";'),
        ingress("query.test", ("/", "web"), auth_url=f"{AUTH}?allowed_groups=staff,admins&x=%20"),
        ingress("inside.test", ("/", "web"), allowlist_source_range="127.0.0.0/8", **any_of),
        ingress("outside.test", ("/", "web"), allowlist_source_range="203.0.113.0/24", **any_of),
        ingress("strict.test", ("/Number/[0-9]+$", "web"), kind="ImplementationSpecific", use_regex="true"),
        ingress("strict.test", ("/exact.txt", "web"), kind="Exact", name="strict-exact"),
        ingress("strict.test", ("/prefix", "web"), name="strict-prefix"),
    ]


def authoriser(request: Received) -> bytes:
    """Lets in who has a session."""
    good = "session=good" in (request.header("cookie") or "")
    return response(status="200 OK" if good else "401 Unauthorized")


def ports() -> list[Manifest]:
    """The ConfigMaps of ports, and the settings that they go by."""

    def config_map(name: str, data: dict[str, str]) -> Manifest:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": data}

    tcp = {
        str(PLAIN): "default/plain:80",
        str(FROM_PROXY): "default/plain:80:PROXY",
        str(BOTH): "default/told:80:PROXY:PROXY",
    }
    settings = {
        "proxy-real-ip-cidr": "127.0.0.0/8",
        "allow-snippet-annotations": "true",
        "annotations-risk-level": "Critical",
    }
    return [
        config_map("controller", settings),
        config_map("tcp", tcp),
        config_map("udp", {str(DATAGRAMS): "default/datagrams:80"}),
    ]


class World:
    """The gateway, the backends, and what the conversion says."""

    def __init__(self, start: Callable[..., Gateway], backend: Callable[..., Backend], authority: Authority) -> None:
        self.authority = authority
        self.web, self.auth = backend("web"), backend(authoriser)
        self.servers = [TcpServer(named("plain")), TcpServer(named("told")), UdpServer("datagrams")]
        plain, told, datagrams = self.servers
        pair = authority.sign("fields.test")
        kept = [
            *service("web", self.web.address),
            *service("auth", self.auth.address),
            *service("plain", plain.address),
            *service("told", told.address),
            *_datagrams(service("datagrams", datagrams.address)),
            secret("fields.test", pair.certificate, pair.key),
            opaque("users", auth=USERS),
        ]
        self.conversion = converted(
            *ingresses(),
            *kept,
            *ports(),
            config_map=Name("default", "controller"),
            tcp_services=Name("default", "tcp"),
            udp_services=Name("default", "udp"),
            forwarding_headers=True,
            strict_paths=True,
        )
        self.gateway = start(*manifests(self.conversion), *kept, arguments=("--port-offset", str(OFFSET)))

    def ask(self, host: str, target: str = "/", *fields: tuple[str, str], tls: bool = False) -> Response:
        context = tls_context(self.authority.pem) if tls else None
        port = HTTPS if tls else HTTP
        connection = Http1(self.gateway.address, port, context, host) if tls else Http1(self.gateway.address, port)
        try:
            return connection.request("GET", host, target, fields)
        finally:
            connection.close()

    def say(self, port: int, data: bytes) -> bytes:
        """What comes back on a connection; nothing where it is reset."""
        try:
            with socket.create_connection((self.gateway.address, port + OFFSET), LIMIT) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                return read_all(connection)
        except OSError:
            return b""

    def close(self) -> None:
        for each in self.servers:
            each.close()


def _datagrams(objects: list[Manifest]) -> list[Manifest]:
    whole, endpoints = objects
    whole["spec"]["ports"][0]["protocol"] = endpoints["ports"][0]["protocol"] = "UDP"
    return objects


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority) -> Iterator[World]:
    found = World(start, backend, authority)
    yield found
    found.close()


@pytest.mark.parametrize(("tls", "scheme", "port"), [(False, "http", "80"), (True, "https", "443")])
def test_backends_get_the_fields_of_ingress_nginx(world: World, tls: bool, scheme: str, port: str) -> None:
    """Whatever the client says in them; and the usual three besides."""
    lies = tuple((name, "a lie") for name in FORWARDED)
    found = world.ask("fields.test", "/", *lies, tls=tls)
    client = found.sent("x-forwarded-for")
    assert client
    assert [found.sent(name) for name in FORWARDED] == [client, port, scheme, scheme]
    assert found.sent("x-forwarded-proto") == scheme


def test_what_an_ingress_says_of_such_a_field_holds(world: World) -> None:
    found = world.ask("own.test")
    assert (found.sent("x-scheme"), found.sent("x-forwarded-port")) == ("mine", "80")


def test_a_service_is_asked_with_the_query_of_its_url(world: World) -> None:
    seen = len(world.auth.requests)
    assert world.ask("query.test", "/page?of=request", KNOWN).status == 200
    assert world.auth.wait(seen + 1)[-1].target == "/check?allowed_groups=staff,admins&x=%20"
    assert world.ask("query.test").status == 401


@pytest.mark.parametrize(
    ("host", "fields", "status"),
    [
        # There any one of the three would do: here the service is asked in any case, and the list spares a password.
        ("inside.test", (KNOWN,), 200),
        ("inside.test", (ANN,), 401),
        ("inside.test", (), 401),
        ("outside.test", (KNOWN,), 401),
        ("outside.test", (ANN,), 401),
        ("outside.test", (ANN, KNOWN), 200),
    ],
)
def test_satisfy_any_of_three(world: World, host: str, fields: tuple[tuple[str, str], ...], status: int) -> None:
    assert world.ask(host, "/", *fields).status == status
    name = f"Ingress/default/{host.replace('.', '-')}"
    [told] = [item for item in world.conversion.losses if item.object == name and item.subject.endswith("/satisfy")]
    assert told.fate == "no-equivalent"
    assert "an address or a password spares nobody the question" in told.message
    assert "needs the password too, unless its address is on the list" in told.message


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/Number/7", 200),
        ("/number/7", 404),
        ("/exact.txt", 200),
        ("/exactxtxt", 404),
        ("/exact.txt/more", 404),
        ("/prefix/more", 200),
        ("/prefixed", 404),
    ],
)
def test_strict_paths(world: World, target: str, status: int) -> None:
    """Without the option all of these are 200: `tests/system/test_migration.py`."""
    assert world.ask("strict.test", target).status == status


def test_ports_lead_to_their_services(world: World) -> None:
    assert world.say(PLAIN, b"hello") == b"plainhello"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT)
        client.sendto(b"hello", (world.gateway.address, DATAGRAMS + OFFSET))
        assert client.recv(100) == b"datagrams hello"


def test_the_proxy_protocol_of_ports(world: World) -> None:
    """A header is taken off where clients come by a balancer, and written where the Service wants one."""
    assert world.say(FROM_PROXY, HEADER + b"hello") == b"plainhello"
    assert world.say(FROM_PROXY, b"hello, this is no header of the protocol\r\n") == b""
    found = world.say(BOTH, HEADER + b"hello")
    assert found.startswith(f"toldPROXY TCP4 {CLIENT} ".encode())
    assert found.endswith(b"\r\nhello")
