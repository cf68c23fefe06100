"""Each part of each policy once on the real cluster: stored by its API server, programmed, and seen in traffic."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from api import LIMIT, Api, Object, condition
from faults import Serving, serving
from policy_cases import (
    CASES,
    GROUP,
    OWN,
    SERVICE,
    UNTARGETED,
    Probe,
    config_map,
    is_programmed,
    named,
    objects,
    secret,
)
from system_certificates import Authority

__all__ = ["serving"]

AUTHORITY = Authority()
TLS_PORT = 443
#: Status, fields and body.
Answer = tuple[int, http.client.HTTPMessage, str]


def gateway(name: str) -> Object:
    """A Gateway with HTTP and HTTPS, which validates the certificates that clients have."""
    reference = {"group": "", "kind": "ConfigMap", "name": "authority"}
    frontend = {"default": {"validation": {"caCertificateRefs": [reference], "mode": "AllowInsecureFallback"}}}
    https = {
        "name": "https",
        "protocol": "HTTPS",
        "port": TLS_PORT,
        "tls": {"certificateRefs": [{"name": "certificate"}]},
    }
    spec = {
        "gatewayClassName": "sluicegate",
        "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}, https],
        "tls": {"frontend": frontend},
    }
    return named(name, "Gateway", f"{GROUP}/v1", spec)


@dataclass(frozen=True)
class World:
    """All cases on one Gateway."""

    api: Api
    serving: Serving
    address: str
    tls: Mapping[bool, ssl.SSLContext]

    def ask(self, name: str, probe: Probe) -> Answer:
        """Send a request of a case."""
        host = f"{name}.example.com"
        if probe.certificate is None:
            connection = http.client.HTTPConnection(self.address, 80, timeout=LIMIT)
        else:
            context = self.tls[probe.certificate]
            connection = http.client.HTTPSConnection(self.address, TLS_PORT, timeout=LIMIT, context=context)
        try:
            connection.request(probe.method, probe.path, probe.body, {"Host": host, **probe.headers})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()


def address_of(api: Api, serving: Serving, name: str) -> str:
    """Where a Gateway is, once it is programmed."""
    found = api.until("Gateway", serving.namespace, name, lambda item: condition(item, "Programmed") == "True")
    return str(found["status"]["addresses"][0]["value"])


@pytest.fixture(scope="module")
def world(api: Api, serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make everything at once, as one `kubectl apply` does."""
    pair, client = AUTHORITY.sign("*.example.com"), AUTHORITY.sign("ann.example.com", client=True)
    certificate = secret("certificate", **{"tls.crt": pair.certificate, "tls.key": pair.key})
    shared = [
        {**certificate, "type": "kubernetes.io/tls"},
        config_map("authority", **{"ca.crt": AUTHORITY.pem.decode()}),
        gateway("policies"),
    ]
    api.apply(shared, serving.namespace)
    for name, case in CASES.items():
        api.apply(objects(name, case), serving.namespace)
    contexts = {}
    for with_certificate in (False, True):
        # The names of cases are no addresses: what is asked here is who the client is.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if with_certificate:
            context.load_cert_chain(*client.write(tmp_path_factory.mktemp("client"), "client"))
        contexts[with_certificate] = context
    return World(api, serving, address_of(api, serving, "policies"), contexts)


@pytest.mark.parametrize("name", CASES)
def test_it_is_programmed_and_holds(world: World, name: str) -> None:
    case = CASES[name]
    if case.kind and case.kind not in UNTARGETED:
        world.api.until(case.kind, world.serving.namespace, name, is_programmed)
    first, *rest = case.probes
    answer = until_answered(world, name, first)
    for probe in (first, *rest):
        if probe is not first:
            answer = world.ask(name, probe)
        assert answer[0] == probe.status, (probe, answer[0], str(answer[1]))
        name_of_field, _, part = probe.answered.partition(": ")
        assert not name_of_field or part in answer[1].get(name_of_field, ""), str(answer[1])
        assert not name_of_field or name_of_field in answer[1], str(answer[1])
        assert probe.shows in answer[2], answer[2]


def until(holds: Callable[[], object], what: str) -> None:
    """Ask again until it holds."""
    deadline, pause = time.monotonic() + LIMIT, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"not within {LIMIT:g} s: {what}"
        pause.wait(0.05)


def until_answered(world: World, name: str, probe: Probe) -> Answer:
    """Ask until the case's route is there, and every balancer knows the address; returns that answer."""
    deadline, pause = time.monotonic() + LIMIT, threading.Event()
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError):
            answer = world.ask(name, probe)
            if answer[0] != http.client.NOT_FOUND:
                return answer
        pause.wait(0.05)
    raise AssertionError(f"no route of {name} within {LIMIT:g} s")


#: What a policy says of all clients of a Gateway.
CLIENTS = {
    "tls": {"minVersion": "1.3"},
    "clientCertificate": {"fields": ["Hash"]},
    "connections": {"max": 100, "maxDuration": "1h", "maxRequests": 2},
    "timeouts": {"head": "5s", "idle": "30s", "request": "30s"},
    "headers": {"maxSize": "16Ki", "maxCount": 20, "underscores": "Drop"},
    "http2": {"maxConcurrentStreams": 64},
}


def route_of(name: str) -> Object:
    spec = {"parentRefs": [{"name": name}], "rules": [{"backendRefs": [SERVICE]}]}
    return named(name, "HTTPRoute", f"{GROUP}/v1", spec)


def targeted(name: str, target: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"targetRefs": [{"group": GROUP, "kind": target, "name": name}], **spec}


def test_clients_of_a_gateway(world: World) -> None:
    """What holds for a listener as a whole: TLS versions, certificates told, connections, times, heads, streams."""
    name = "clients"
    policy = named(name, "ClientPolicy", OWN, targeted(name, "Gateway", CLIENTS))
    world.api.apply([gateway(name), route_of(name), policy], world.serving.namespace)
    world.api.until("ClientPolicy", world.serving.namespace, name, is_programmed)
    own = replace(world, address=address_of(world.api, world.serving, name))
    assert until_answered(own, name, Probe(200))[0] == 200
    connection = http.client.HTTPConnection(own.address, 80, timeout=LIMIT)
    connection.request("GET", "/", headers={"odd_name": "1"})
    response = connection.getresponse()
    assert "odd_name" not in response.read().decode()
    connection.request("GET", "/")
    response = connection.getresponse()
    assert (response.status, response.getheader("Connection")) == (200, "close")
    connection.close()
    assert own.ask(name, Probe(431, {f"x-{number}": "1" for number in range(20)}))[0] == 431
    assert "x-forwarded-client-cert: hash=" in own.ask(name, Probe(200, certificate=True))[2].lower()
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    older.check_hostname, older.verify_mode = False, ssl.CERT_NONE
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((own.address, TLS_PORT), LIMIT) as plain, pytest.raises(ssl.SSLError):
        older.wrap_socket(plain, server_hostname="clients.example.com")


#: What a balancer says of who is behind it, and a request.
PREAMBLE = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 80\r\n"
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


def answered(address: str, port: int, sent: bytes) -> bytes:
    """What comes back over a connection; nothing where it is refused or reset."""
    with contextlib.suppress(ConnectionError), socket.create_connection((address, port), LIMIT) as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))
    return b""


def test_who_is_behind_a_balancer(world: World) -> None:
    """The PROXY protocol, whose word the backend is told."""
    name, spec = "proxied", {"clientAddress": {"proxyProtocol": "Required", "trustedProxies": ["0.0.0.0/0"]}}
    policy = named(name, "ClientPolicy", OWN, targeted(name, "Gateway", spec))
    world.api.apply([gateway(name), route_of(name), policy], world.serving.namespace)
    world.api.until("ClientPolicy", world.serving.namespace, name, is_programmed)
    address = address_of(world.api, world.serving, name)
    until(
        lambda: b"x-forwarded-for: 192.0.2.7" in answered(address, 80, PREAMBLE + REQUEST).lower(), "the client is told"
    )
    assert answered(address, 80, REQUEST) == b""


def test_connections(world: World) -> None:
    """Who may connect, and how often, where nothing but connections are carried."""
    name, ports = "flows", {"open": 5000, "closed": 5001, "few": 5002}
    listeners = [{"name": each, "protocol": "TCP", "port": port} for each, port in ports.items()]
    found: list[Object] = [
        named(name, "Gateway", f"{GROUP}/v1", {"gatewayClassName": "sluicegate", "listeners": listeners})
    ]
    everybody = ["0.0.0.0/0", "::/0"]
    allowed = {"authorization": {"rules": [{"name": "all", "clients": everybody}]}}
    denied = {"name": "all", "action": "Deny", "clients": everybody}
    policies = {
        "open": ("AccessPolicy", allowed),
        "closed": ("AccessPolicy", {"authorization": {"default": "Allow", "rules": [denied]}}),
        "few": ("RateLimitPolicy", {"local": {"limits": [{"name": "few", "requests": 1, "per": "1h"}]}}),
    }
    for each, (kind, spec) in policies.items():
        parents = [{"name": name, "sectionName": each}]
        rule = {"backendRefs": [SERVICE]}
        found.append(named(each, "TCPRoute", f"{GROUP}/v1", {"parentRefs": parents, "rules": [rule]}))
        found.append(named(each, kind, OWN, targeted(each, "TCPRoute", spec)))
    world.api.apply(found, world.serving.namespace)
    for each, (kind, _) in policies.items():
        world.api.until(kind, world.serving.namespace, each, is_programmed)
    address = address_of(world.api, world.serving, name)

    def is_carried(each: str) -> bool:
        return answered(address, ports[each], REQUEST).startswith(b"HTTP/1.1 200 ")

    until(lambda: is_carried("open"), "connections are carried")
    assert not is_carried("closed")
    assert [is_carried("few") for _ in range(3)] == [True, False, False]
