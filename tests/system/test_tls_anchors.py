"""Certificates that are their own anchors (self-signed, `CA:TRUE`, X.509 version 1), of backends and of clients."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from system_backends import echo
from system_certificates import Authority, Pair, self_signed
from system_clients import Http1, tls_context
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    backend_tls_policy,
    config_map,
    gateway,
    https,
    listener,
    route,
    rule,
    secret,
    service,
)

NAME = "self.test"
CA, LEAF = (x509.BasicConstraints(ca=ca, path_length=None) for ca in (True, False))
SAN = x509.SubjectAlternativeName([x509.DNSName(NAME)])
OTHER_SAN = x509.SubjectAlternativeName([x509.DNSName("other.test")])
CLIENT, SERVER = (
    x509.ExtendedKeyUsage([usage]) for usage in (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
)


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


KEY = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = Authority("Anchors CA")


@dataclass
class Case:
    """A backend: what it presents, what the policy trusts, and what comes of it.

    Attributes:
        refused: what the access log says; empty: it is served.
    """

    pair: Pair
    refused: str = ""
    trusted: bytes = b""
    version: ssl.TLSVersion | None = None
    names: tuple[str, ...] = ()


TLS12 = ssl.TLSVersion.TLSv1_2
CASES = {
    "ca-true": Case(self_signed(NAME, CA, SAN)),
    "ca-true-tls12": Case(self_signed(NAME, CA, SAN), version=TLS12),
    "ca-false": Case(self_signed(NAME, LEAF, SAN)),
    "common-name": Case(self_signed(NAME, CA)),
    "for-servers": Case(self_signed(NAME, CA, SAN, SERVER)),
    "version1": Case(self_signed(NAME, version1=True)),
    "version1-tls12": Case(self_signed(NAME, version1=True), version=TLS12),
    "version1-rsa": Case(self_signed(NAME, version1=True, key=rsa_key())),
    "version1-rsa-tls12": Case(self_signed(NAME, version1=True, key=rsa_key()), version=TLS12),
    "leaf-of-a-stranger": Case(leaf := AUTHORITY.sign(NAME), trusted=leaf.certificate),
    "one-of-a-bundle": Case(
        one := self_signed(NAME, CA, SAN), trusted=AUTHORITY.pem.rstrip(b"\n") + one.certificate + AUTHORITY.pem
    ),
    "listed-name": Case(self_signed("x.test", CA, SAN), names=(NAME,)),
    "other-name": Case(self_signed(NAME, CA, OTHER_SAN), 'is only valid for DnsName("other.test")'),
    "other-common-name": Case(self_signed("other.test", version1=True), 'only valid for its common name "other.test"'),
    "no-listed-name": Case(
        self_signed(NAME, CA, OTHER_SAN),
        'it is for ["other.test"], and the policy wants one of ["self.test"]',
        names=(NAME,),
    ),
    "common-name-is-no-listed-name": Case(
        self_signed(NAME, version1=True), "it is for [], and the policy", names=(NAME,)
    ),
    "expired": Case(self_signed(NAME, CA, SAN, start=-9, days=-2), "certificate expired: verification time"),
    "expired-version1": Case(
        self_signed(NAME, version1=True, start=-9, days=-2), "certificate expired: verification time"
    ),
    "not-yet": Case(self_signed(NAME, CA, SAN, start=2), "certificate not valid yet: verification time"),
    "for-clients": Case(self_signed(NAME, CA, SAN, CLIENT), "InvalidPurpose"),
    "another": Case(self_signed(NAME, CA, SAN), "CaUsedAsEndEntity", trusted=self_signed(NAME, CA, SAN).certificate),
    "renewed": Case(
        self_signed(NAME, CA, SAN, key=KEY),
        "CaUsedAsEndEntity",
        trusted=self_signed(NAME, CA, SAN, key=KEY).certificate,
    ),
    "another-version1": Case(
        self_signed(NAME, version1=True), "UnsupportedCertVersion", trusted=self_signed(NAME, version1=True).certificate
    ),
    "stranger": Case(AUTHORITY.sign(NAME), "UnknownIssuer", trusted=self_signed(NAME, CA, SAN).certificate),
}


@dataclass
class World:
    gateway: Gateway
    log: Path

    def logged(self, path: str) -> dict[str, Any]:
        """The line of a request, once it is written; other requests flush the writer's queue."""
        for _ in range(1000):
            for line in self.log.read_text().splitlines():
                found: dict[str, Any] = json.loads(line)
                if found["path"] == path:
                    return found
            assert request(self.gateway, "/none") == 404
        raise AssertionError(f"{path} is not logged")


def request(gateway: Gateway, path: str) -> int:
    client = Http1(gateway.address, 8080)
    try:
        return client.request("GET", "a.test", path).status
    finally:
        client.close()


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("certificates")
    objects: list[Manifest] = [gateway()]
    for name, case in CASES.items():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*case.pair.write(folder, name))
        if case.version is not None:
            context.maximum_version = case.version
        names = {}
        if case.names:
            names = {"subjectAltNames": [{"type": "Hostname", "hostname": item} for item in case.names]}
        objects += [route(rule(f"/{name}", name, kind="Exact"), name=name)]
        objects += service(name, backend(echo(name), tls=context).address)
        objects += [config_map(name, case.trusted or case.pair.certificate)]
        objects += [backend_tls_policy(name, name, NAME, name, **names)]
    log = tmp_path_factory.mktemp("log") / "access.log"
    return World(start(*objects, arguments=("--access-log", str(log))), log)


@pytest.mark.parametrize("name", CASES)
def test_backends(world: World, name: str) -> None:
    refused = CASES[name].refused
    assert request(world.gateway, f"/{name}") == (503 if refused else 200)
    line = world.logged(f"/{name}")
    if refused:
        assert line["error"] == "upstream_tls"
        assert refused in line["error_detail"]


# --- Client certificates ----------------------------------------------------------------------------------------

CLIENTS = {
    "ca-true": (self_signed("anna", CA), True),
    "ca-true-for-clients": (self_signed("anna", CA, CLIENT), True),
    "version1": (self_signed("anna", version1=True), True),
    "version1-rsa": (self_signed("anna", version1=True, key=rsa_key()), True),
    "for-servers": (self_signed("anna", CA, SERVER), False),
    "expired": (self_signed("anna", CA, start=-9, days=-2), False),
    "expired-version1": (self_signed("anna", version1=True, start=-9, days=-2), False),
    "not-yet": (self_signed("anna", CA, start=2), False),
    "chained": (AUTHORITY.sign("anna", client=True), True),
}
STRANGERS = {
    "ca-true": self_signed("anna", CA),
    "version1": self_signed("anna", version1=True),
    "none": None,
}


@pytest.fixture(scope="module")
def frontend(start: Any, backend: Any, authority: Authority) -> Gateway:
    pair = authority.sign("a.test")
    trusted = AUTHORITY.pem + b"".join(each.certificate for each, _ in CLIENTS.values())
    validation = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "clients"}]}
    per_port = [
        {"port": 9443, "tls": {"validation": validation}},
        {"port": 10443, "tls": {"validation": {**validation, "mode": "AllowInsecureFallback"}}},
    ]
    found: Gateway = start(
        gateway(
            listener(),
            https("strict", 9443, secret="a"),
            https("lenient", 10443, secret="a"),
            tls={"frontend": {"default": {}, "perPort": per_port}},
        ),
        secret("a", pair.certificate, pair.key),
        config_map("clients", trusted),
        route(rule("/", "app")),
        *service("app", backend("app").address),
    )
    return found


def attempt(
    gateway: Gateway, port: int, pair: Pair | None, roots: bytes, folder: Path, version: ssl.TLSVersion
) -> bool:
    context = tls_context(roots, certificate=pair.write(folder, "client") if pair is not None else None)
    context.maximum_version = version
    try:
        client = Http1(gateway.address, port, context, "a.test")
        return client.request("GET", "a.test", "/").status == 200
    except (OSError, ssl.SSLError):
        return False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("name", CLIENTS)
def test_clients(frontend: Gateway, authority: Authority, tmp_path: Path, name: str, version: ssl.TLSVersion) -> None:
    pair, accepted = CLIENTS[name]
    assert attempt(frontend, 9443, pair, authority.pem, tmp_path, version) is accepted
    assert attempt(frontend, 10443, pair, authority.pem, tmp_path, version)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("name", STRANGERS)
def test_strangers(frontend: Gateway, authority: Authority, tmp_path: Path, name: str, version: ssl.TLSVersion) -> None:
    assert not attempt(frontend, 9443, STRANGERS[name], authority.pem, tmp_path, version)
    assert attempt(frontend, 10443, STRANGERS[name], authority.pem, tmp_path, version)


# --- The gateway's own certificate ------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [self_signed("a.test", version1=True), self_signed("a.test", CA)], ids=["v1", "ca"])
def test_listeners_serve_them_too(start: Any, backend: Any, pair: Pair) -> None:
    found = start(
        gateway(https("a", secret="a")),
        secret("a", pair.certificate, pair.key),
        route(rule("/", "app")),
        *service("app", backend("app").address),
    )
    assert [item for item in found.ready["problems"] if item["severity"] == "error"] == []
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = Http1(found.address, 8443, context, "a.test")
    assert client.request("GET", "a.test", "/").status == 200
    client.close()
