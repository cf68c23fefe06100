"""Each part of each policy once on the real cluster: stored by its API server, programmed, and seen in traffic."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import policy_levels as levels
import pytest
from api import LIMIT, Object, kubectl
from faults import serving
from policy_cases import CASES
from policy_parts import GATEWAY, GROUP, OWN, PLAIN, SERVICE, UNTARGETED, Probe, is_programmed, named, without_policy
from policy_world import TLS_PORT, World, address_of, gateway, until, world
from system_clients import Http2

__all__ = ["serving", "world"]


@pytest.mark.parametrize("name", CASES)
def test_it_is_programmed_and_holds(world: World, name: str) -> None:
    """And does not hold where the policy is left out: else nothing of this would show that there is one."""
    case = CASES[name]
    if case.kind and case.kind not in UNTARGETED:
        world.api.until(case.kind, world.serving.namespace, name, is_programmed)
    if case.settles:
        until(lambda: not world.complaint(case, name), f"{name} holds")
    else:
        assert not world.complaint(case, name)
    assert world.complaint(case, without_policy(name), gateway=PLAIN), "it would hold without the policy"


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


def kept_to(world: World, address: str, host: str) -> dict[str, Any]:
    """What clients of a Gateway see of what it keeps to."""
    own = replace(world, addresses={GATEWAY: address})
    name = host.partition(".")[0]
    connection = http.client.HTTPConnection(address, 80, timeout=LIMIT)
    connection.request("GET", "/", headers={"Host": host, "odd_name": "1"})
    forwarded = connection.getresponse().read().decode()
    connection.request("GET", "/", headers={"Host": host})
    response = connection.getresponse()
    response.read()
    ends = response.getheader("Connection") == "close"
    connection.close()
    with contextlib.closing(Http2(address, 80)) as streams:
        assert streams.request("GET", host, "/").status == 200
        at_once = streams.state.remote_settings.max_concurrent_streams
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    older.check_hostname, older.verify_mode = False, ssl.CERT_NONE
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    takes_older = False
    with socket.create_connection((address, TLS_PORT), LIMIT) as plain, contextlib.suppress(ssl.SSLError):
        older.wrap_socket(plain, server_hostname=host)
        takes_older = True
    return {
        "underscores": "odd_name" in forwarded,
        "ends after two requests": ends,
        "many fields": own.ask(name, Probe(headers={f"x-{number}": "1" for number in range(20)})).status,
        "certificate": "x-forwarded-client-cert: hash=" in own.ask(name, Probe(certificate=True)).body.lower(),
        "TLS 1.2": takes_older,
        "streams": at_once,
    }


def test_clients_of_a_gateway(world: World) -> None:
    """What holds for a listener as a whole, and is otherwise where no policy says it."""
    name = "clients"
    policy = named(name, "ClientPolicy", OWN, targeted(name, "Gateway", CLIENTS))
    world.api.apply([gateway(name), route_of(name), policy], world.serving.namespace)
    world.api.until("ClientPolicy", world.serving.namespace, name, is_programmed)
    address = address_of(world.api, world.serving, name)
    assert replace(world, addresses={GATEWAY: address}).until_answered(name, Probe()).status == 200
    kept = kept_to(world, address, f"{name}.example.com")
    assert kept == {
        "underscores": False,
        "ends after two requests": True,
        "many fields": 431,
        "certificate": True,
        "TLS 1.2": False,
        "streams": 64,
    }
    twin = without_policy("api-key")
    world.until_answered(twin, Probe(), gateway=PLAIN)
    usual = kept_to(world, world.addresses[PLAIN], f"{twin}.example.com")
    assert {what for what, found in usual.items() if found == kept[what]} == set()


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


def test_levels(world: World) -> None:
    """Listeners, ListenerSets, routes, rules, and what overrides: each says what became of it, and its target too."""
    api, namespace = world.api, world.serving.namespace
    api.apply([*levels.gateway_and_routes(), *levels.policies()], namespace)
    address = address_of(api, world.serving, levels.NAME)

    def status(port: str, path: str, team: str = "", *, host: str = levels.NAME, body: bytes = b"x") -> int:
        connection = http.client.HTTPConnection(address, levels.PORTS[port], timeout=LIMIT)
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"Host": f"{host}.example.com", "X-Team": team})
            return connection.getresponse().status

    def is_up(port: str) -> bool:
        with contextlib.suppress(ConnectionError):
            return status(port, "/admin", "rule") == 200
        return False

    teams = ("listener", "set", "rule", "nobody")
    for port in levels.PORTS:
        until(lambda port=port: is_up(port), f"the listener of {port or 'nobody'} is up")  # type: ignore[misc]
        # What is set lower holds in place of what is set higher, for the rule that it names and for no other.
        assert [team for team in teams if status(port, "/admin", team) == 200] == ["rule"], port
        wanted = [port] if port else list(teams)
        assert [team for team in teams if status(port, "/", team) == 200] == wanted, port
        # What overrides holds in place of what is set lower.
        team = port or "rule"
        assert [status(port, "/", team, host=host, body=levels.MUCH) for host in (levels.NAME, "partly")] == [413, 413]

    def programmed(kind: str, name: str, *wanted: str) -> None:
        api.until(kind, namespace, name, lambda item: levels.said(item, "Programmed") == wanted)

    for name in ("of-listener", "of-set", "of-rule"):
        programmed("AccessPolicy", name, "True", "Programmed")
    programmed("ClientPolicy", "overriding", "True", "Programmed")
    programmed("ClientPolicy", "overridden", "False", "Overridden")
    programmed("ClientPolicy", "partly", "True", "PartiallyProgrammed")
    api.until(
        "AccessPolicy", namespace, "of-rule-too", lambda it: levels.said(it, "Accepted") == ("False", "Conflicted")
    )
    told = kubectl("get", "accesspolicies", "of-rule", "of-rule-too", "-n", namespace)
    rows = levels.columns(told)
    assert [rows[name]["ACCEPTED"] for name in ("of-rule", "of-rule-too")] == ["True", "False"], told
    assert {row["TARGET"] for row in rows.values()} == {levels.NAME}
    targets = {
        ("Gateway", "ClientPolicy"): {"overriding"},
        ("ListenerSet", "AccessPolicy"): {"of-set"},
        ("HTTPRoute", "ClientPolicy"): {"overridden"},
        # Attached is also one whose parts others have.
        ("HTTPRoute", "AccessPolicy"): {"of-rule", "of-rule-too"},
    }
    for (target, kind), names in targets.items():
        api.until(target, namespace, levels.NAME, lambda it, kind=kind, names=names: levels.affected(it, kind) == names)
    of_gateway = api.get("Gateway", namespace, levels.NAME)["status"]["listeners"]
    assert {each["name"]: levels.affected({"status": each}, "AccessPolicy") for each in of_gateway} == {
        "open": set(),
        "listener": {"of-listener"},
    }
    # Without it what it stood in place of holds, and nobody says that it is there.
    api.delete("ClientPolicy", namespace, "overriding")
    programmed("ClientPolicy", "overridden", "True", "Programmed")
    programmed("ClientPolicy", "partly", "True", "Programmed")
    api.until("Gateway", namespace, levels.NAME, lambda it: not levels.affected(it, "ClientPolicy"))
    until(lambda: status("", "/", body=levels.MUCH) == 200, "the route's own limit holds")
    assert status("", "/", body=levels.MUCH * 6) == 413


@pytest.mark.parametrize(
    ("plural", "names"),
    [
        ("accesspolicies", ["api-key", "csrf"]),
        ("ratelimitpolicies", ["rate-limit"]),
        ("clientpolicies", ["body"]),
        ("backendpolicies", ["hash", "limits"]),
    ],
)
def test_people_see_targets_and_what_became_of_policies(world: World, plural: str, names: list[str]) -> None:
    """The columns of `kubectl get`; and tools find the kinds by the label of policies (GEP-713)."""
    rows = levels.columns(kubectl("get", plural, *names, "-n", world.serving.namespace))
    assert {name: (row["TARGET"], row["ACCEPTED"]) for name, row in rows.items()} == {
        name: (name, "True") for name in names
    }
    assert all(row["AGE"] not in {"", "<unknown>"} for row in rows.values())
    kind = "Direct" if plural == "backendpolicies" else "Inherited"
    labelled = kubectl("get", "crd", "-l", f"gateway.networking.k8s.io/policy={kind}", "-o", "name").split()
    assert f"customresourcedefinition.apiextensions.k8s.io/{plural}.sluicegate.dev" in labelled
