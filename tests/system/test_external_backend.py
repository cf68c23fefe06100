"""Hosts outside the cluster on the wire: XBackend and Services of type ExternalName, by the name of this machine."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from system_certificates import Authority, Pair
from system_gateway import Gateway, until
from system_manifests import Manifest, config_map, gateway, metadata, policy, route, rule, secret, target

PORT = 8080
HOST = "external.test"
GROUP = "gateway.networking.x-k8s.io"
LOCAL = ("--local-external-hosts", "--workers", "1")


def xbackend(name: str, port: int, hostname: str = "localhost", **spec: Any) -> Manifest:
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "XBackend",
        "metadata": metadata(name),
        "spec": {
            "type": "ExternalHostname",
            "externalHostname": {"hostname": hostname},
            "port": {"number": port},
            **spec,
        },
    }


def reference(name: str, **rest: Any) -> Manifest:
    return {"group": GROUP, "kind": "XBackend", "name": name, **rest}


def answered(client: Any, status: int, target: str = "/") -> Any:
    """The first answer with this status: names have to be resolved first."""
    found: list[Any] = []

    def asked() -> bool:
        found.append(client.request("GET", HOST, target))
        return bool(found[-1].status == status)

    until(asked, f"status {status}")
    return found[-1]


def test_requests_go_to_what_a_name_comes_to(start: Any, backend: Any, client: Any) -> None:
    outside, mirrored = backend("outside"), backend("mirrored")
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": reference("copy")}}
    objects = [
        gateway(),
        route(rule("/", reference("one")), rule("/mirrored", reference("one"), filters=[mirror])),
        xbackend("one", outside.address[1]),
        xbackend("copy", mirrored.address[1]),
    ]
    running: Gateway = start(*objects, arguments=LOCAL)
    each = client(running.address, PORT)
    found = answered(each, 200)
    assert (found.echo["backend"], found.sent("host")) == ("outside", HOST)
    # localhost has an address of each family (RFC 6761 section 6.3), and this backend has one: a mirror is sent once.
    until(lambda: each.request("GET", HOST, "/mirrored").status == 200 and mirrored.requests, "one is mirrored")
    # Another port of the host: the addresses are known already.
    other = backend("other")
    running.write(*objects[:2], xbackend("one", other.address[1]), objects[3])
    assert each.request("GET", HOST, "/").echo["backend"] == "other"
    each.close()


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_spoken_as_the_backend_says(
    start: Any, backend: Any, client: Any, authority: Authority, tmp_path: Path, trusted: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("shop.test").write(tmp_path, "shop"))
    outside = backend("outside", tls=context)
    bundle = authority if trusted else Authority()
    validation = {"hostname": "shop.test", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
    tls = {"mode": "ServerOnly", "validation": validation}
    objects = [gateway(), route(rule("/", reference("one"))), xbackend("one", outside.address[1], tls=tls)]
    running: Gateway = start(*objects, config_map("ca", bundle.pem), arguments=LOCAL)
    each = client(running.address, PORT)
    if trusted:
        assert answered(each, 200).echo["tls"] is not None
    else:
        until(lambda: each.request("GET", HOST, "/").body.startswith(b"upstream_tls"), "the name is resolved")
        assert not outside.requests
    each.close()


@pytest.fixture
def strict(backend: Any, authority: Authority, tmp_path: Path) -> Any:
    """A host that wants a client certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("shop.test").write(tmp_path, "shop"))
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    return backend("strict", tls=context)


def mutual(port: int, certificate: str = "client", **reference: Any) -> Manifest:
    validation = {"hostname": "shop.test", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
    named = {"name": certificate, **reference}
    return xbackend(
        "one", port, tls={"mode": "ClientAndServer", "clientCertificateRef": named, "validation": validation}
    )


def fingerprint(pair: Pair) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pair.certificate.decode())).hexdigest()


def test_a_certificate_is_presented(start: Any, strict: Any, client: Any, authority: Authority) -> None:
    """Its own, not the one that the Gateway has for all backends; a new one holds for what comes then."""
    own, other, gateways = (authority.sign("client.test", client=True) for _ in range(3))
    objects = [
        gateway(tls={"backend": {"clientCertificateRef": {"name": "gateway"}}}),
        route(rule("/", reference("one"))),
        config_map("ca", authority.pem),
        secret("gateway", gateways.certificate, gateways.key),
        mutual(strict.address[1]),
    ]
    running: Gateway = start(*objects, secret("client", own.certificate, own.key), arguments=LOCAL)
    each = client(running.address, PORT)
    assert answered(each, 200).echo["tls"]["client"] == fingerprint(own)
    running.write(*objects, secret("client", other.certificate, other.key))
    until(lambda: each.request("GET", HOST, "/").echo["tls"]["client"] == fingerprint(other), "the new certificate")
    assert own.key.decode() not in running.admin("/config")
    # One that the host does not take for one.
    stranger = Authority().sign("client.test", client=True)
    running.write(*objects, secret("client", stranger.certificate, stranger.key))
    until(lambda: each.request("GET", HOST, "/").status in {502, 503}, "the host refuses it")
    each.close()


def test_nothing_is_sent_without_the_certificate(start: Any, strict: Any, client: Any, authority: Authority) -> None:
    """A Secret that is not there, holds none, or may not be named: the gateway is nobody, so it says nothing."""
    own = authority.sign("client.test", client=True)
    good = secret("client", own.certificate, own.key)
    elsewhere = secret("client", own.certificate, own.key, namespace="other")
    objects = [gateway(), route(rule("/", reference("one"))), config_map("ca", authority.pem)]
    here = mutual(strict.address[1])
    running: Gateway = start(*objects, here, good, arguments=LOCAL)
    each = client(running.address, PORT)
    answered(each, 200)
    count = len(strict.requests)
    for broken in (
        [here],
        [here, secret("client", b"no certificate", own.key)],
        [here, secret("client", own.certificate, authority.sign("other.test").key)],
        [mutual(strict.address[1], namespace="other"), elsewhere],
    ):
        running.write(*objects, *broken)
        found = answered(each, 500)
        assert found.body.partition(b":")[0] == b"backend_invalid"
    # What went through before a change was known has been counted by then.
    assert len(strict.requests) == count
    running.write(*objects, here, good)
    answered(each, 200)
    each.close()


def test_addresses_of_this_machine_are_refused_unless_the_operator_allows_them(
    start: Any, backend: Any, client: Any
) -> None:
    outside = backend("outside")
    running: Gateway = start(gateway(), route(rule("/", reference("one"))), xbackend("one", outside.address[1]))
    each = client(running.address, PORT)
    refused = "localhost comes to 127.0.0.1, an address of this machine: no connection is made to it"
    if not any(refused in str(event) for event in running.seen):
        running.event(lambda event: refused in str(event))
    found = each.request("GET", HOST, "/")
    assert (found.status, found.body.partition(b":")[0]) == (503, b"no_endpoint")
    assert not outside.requests
    each.close()


def test_a_policy_holds_for_it(start: Any, backend: Any, client: Any) -> None:
    outside = backend("outside")
    objects = [gateway(), route(rule("/", reference("one"))), xbackend("one", outside.address[1])]
    limits = policy("BackendPolicy", "limits", target("XBackend", "one", group=GROUP), connection={"maxRequests": 1})
    running: Gateway = start(*objects, limits, arguments=LOCAL)
    each = client(running.address, PORT)
    answered(each, 200)
    before, requests = outside.connections, len(outside.requests)
    for _ in range(3):
        assert each.request("GET", HOST, "/").status == 200
    assert (outside.connections - before, len(outside.requests) - requests) == (3, 3)
    each.close()


@pytest.mark.parametrize("allowed", [True, False])
def test_services_of_type_external_name_lead_somewhere_where_they_are_allowed(
    start: Any, backend: Any, client: Any, allowed: bool
) -> None:
    outside = backend("outside")
    number = outside.address[1]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata("app"),
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    arguments = (*LOCAL, *(("--external-names",) if allowed else ()))
    objects = [gateway(), route(rule("/", {"name": "app", "port": number})), service]
    running: Gateway = start(*objects, arguments=arguments)
    each = client(running.address, PORT)
    answered(each, 200 if allowed else 500)
    assert bool(outside.requests) == allowed
    each.close()
