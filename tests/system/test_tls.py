"""TLS: SNI, ALPN, versions, misdirected requests, client certificates, certificates that change, TLS to backends."""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from system_backends import echo, echo2
from system_certificates import Authority, Pair
from system_clients import Http1, Http2, connect, tls_context
from system_gateway import Gateway
from system_manifests import Manifest, backend_tls_policy, config_map, gateway, https, route, rule, secret, service

PORT = 8443


@dataclass
class World:
    gateway: Gateway
    authority: Authority
    stranger: Authority
    folder: Path
    objects: list[Manifest]
    pairs: dict[str, Pair]

    def open(self, client: Any, sni: str, *, port: int = PORT, certificate: Pair | None = None) -> Any:
        paths = certificate.write(self.folder, "client") if certificate is not None else None
        alpn = ("h2",) if client is Http2 else ("http/1.1",)
        context = tls_context(self.authority.pem, *alpn, certificate=paths)
        return client(self.gateway.address, port, context, sni)

    def request(self, client: Any, sni: str, host: str, target: str = "/", **rest: Any) -> Any:
        connection = self.open(client, sni, **rest)
        try:
            return connection.request("GET", host, target)
        finally:
            connection.close()


def server_context(pair: Pair, folder: Path, *alpn: str, clients: bytes | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair.write(folder, f"server-{id(pair)}"))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if clients is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=clients.decode())
    return context


@pytest.fixture(scope="module")
def world(
    start: Any, backend: Any, backend2: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> World:
    folder = tmp_path_factory.mktemp("certificates")
    stranger = Authority("Stranger CA")
    pairs = {
        "a": authority.sign("a.test"),
        "wild": authority.sign("*.wild.test"),
        "default": authority.sign("default.test", "b.test"),
        "gateway": authority.sign("gateway.test", client=True),
        "client": authority.sign("anna", client=True),
        "foreign": stranger.sign("mallory", client=True),
    }
    plain = backend("plain")
    secure = backend(
        echo("secure"), tls=server_context(authority.sign("inside.test"), folder, "http/1.1", clients=authority.pem)
    )
    secure2 = backend2(echo2("secure2"), tls=server_context(authority.sign("inside.test"), folder, "h2", "http/1.1"))
    spiffe = backend(
        echo("spiffe"), tls=server_context(authority.sign("other.test", uri="spiffe://cluster/app"), folder, "http/1.1")
    )
    wrong_name = backend(echo("wrong"), tls=server_context(authority.sign("else.test"), folder))
    untrusted = backend(echo("untrusted"), tls=server_context(stranger.sign("inside.test"), folder))
    upstreams = {
        "secure": secure,
        "secure2": secure2,
        "spiffe": spiffe,
        "wrong-name": wrong_name,
        "untrusted": untrusted,
    }
    names = {"group": "", "kind": "ConfigMap", "name": "authority"}
    validation = {"caCertificateRefs": [names]}
    objects: list[Manifest] = [
        gateway(
            https("a", hostname="a.test", secret="a"),
            https("wild", hostname="*.wild.test", secret="wild"),
            https("default", secret="default"),
            https("strict", 9443, secret="a", hostname="a.test"),
            https("lenient", 10443, secret="a", hostname="a.test"),
            tls={
                "backend": {"clientCertificateRef": {"name": "gateway"}},
                "frontend": {
                    "default": {},
                    "perPort": [
                        {"port": 9443, "tls": {"validation": validation}},
                        {"port": 10443, "tls": {"validation": {**validation, "mode": "AllowInsecureFallback"}}},
                    ],
                },
            },
        ),
        *[secret(name, pairs[name].certificate, pairs[name].key) for name in ("a", "wild", "default", "gateway")],
        config_map("authority", authority.pem),
        route(
            *[rule(f"/{name}", name) for name in upstreams],
            rule("/", "plain"),
            name="all",
        ),
        route(
            rule("/", "plain"), name="only-a", parents=[{"name": "gateway", "sectionName": "a"}], hostnames=["a.test"]
        ),
        *service("plain", plain.address),
        *[item for name, each in upstreams.items() for item in service(name, each.address)],
        *[
            backend_tls_policy(name, name, "inside.test", "authority")
            for name in ("secure", "secure2", "wrong-name", "untrusted")
        ],
        backend_tls_policy(
            "spiffe",
            "spiffe",
            "sni.test",
            "authority",
            subjectAltNames=[{"type": "URI", "uri": "spiffe://cluster/app"}],
        ),
    ]
    return World(start(*objects), authority, stranger, folder, objects, pairs)


def served(world: World, sni: str | None, port: int = PORT) -> list[str]:
    """Names of the certificate that a client gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    raw = socket.create_connection((world.gateway.address, port), 10)
    with context.wrap_socket(raw, server_hostname=sni) as connection:
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize(
    ("sni", "expected"),
    [
        ("a.test", "a.test"),
        ("A.test", "a.test"),
        ("x.wild.test", "*.wild.test"),
        ("b.test", "default.test"),
        (None, "default.test"),
    ],
)
def test_sni_chooses_the_certificate(world: World, sni: str | None, expected: str) -> None:
    assert expected in served(world, sni)


def test_requests(world: World, client: Any) -> None:
    for sni in ("a.test", "x.wild.test", "b.test"):
        found = world.request(client, sni, sni)
        assert (found.status, found.echo["backend"]) == (200, "plain")
        assert found.sent("x-forwarded-proto") == "https"


def test_misdirected_requests(world: World, client: Any) -> None:
    """421 where another listener matches the Host (GEP-3567); the connection goes on for its own host."""
    connection = world.open(client, "a.test")
    assert connection.request("GET", "x.wild.test", "/").status == 421
    assert connection.request("GET", "b.test", "/").status == 421
    assert connection.request("GET", "a.test", "/").status == 200
    connection.close()


def test_versions(world: World) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = tls_context(world.authority.pem)
        context.minimum_version = context.maximum_version = version
        connection = Http1(world.gateway.address, PORT, context, "a.test")
        assert connection.request("GET", "a.test", "/").status == 200
        connection.close()
    context = tls_context(world.authority.pem)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        connect(world.gateway.address, PORT, context, "a.test")


def test_plain_text_to_a_tls_port(world: World) -> None:
    connection = socket.create_connection((world.gateway.address, PORT), 10)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert not connection.recv(100).startswith(b"HTTP/1.1 2")
    connection.close()
    assert world.request(Http1, "a.test", "a.test").status == 200


# --- Client certificates ----------------------------------------------------------------------------------------


def test_client_certificates(world: World, client: Any) -> None:
    assert world.request(client, "a.test", "a.test", port=9443, certificate=world.pairs["client"]).status == 200
    for certificate in (None, world.pairs["foreign"]):
        with pytest.raises((OSError, ssl.SSLError)):
            world.request(client, "a.test", "a.test", port=9443, certificate=certificate)


def test_insecure_fallback(world: World, client: Any) -> None:
    for certificate in (world.pairs["client"], None, world.pairs["foreign"]):
        assert world.request(client, "a.test", "a.test", port=10443, certificate=certificate).status == 200


# --- TLS to backends --------------------------------------------------------------------------------------------


def test_backend_tls(world: World, client: Any) -> None:
    found = world.request(client, "b.test", "b.test", "/secure")
    assert (found.status, found.echo["backend"]) == (200, "secure")
    presented = found.echo["tls"]["client"]
    own = x509.load_pem_x509_certificate(world.pairs["gateway"].certificate)
    assert presented == hashlib.sha256(own.public_bytes(Encoding.DER)).hexdigest()


def test_backend_tls_by_http2(world: World, client: Any) -> None:
    found = world.request(client, "b.test", "b.test", "/secure2")
    assert (found.status, found.echo["version"], found.echo["tls"]["alpn"]) == (200, "2", "h2")


def test_backend_subject_alternative_names(world: World, client: Any) -> None:
    assert world.request(client, "b.test", "b.test", "/spiffe").echo["backend"] == "spiffe"


@pytest.mark.parametrize("target", ["/wrong-name", "/untrusted"])
def test_backends_that_are_not_who_they_should_be(world: World, client: Any, target: str) -> None:
    assert world.request(client, "b.test", "b.test", target).status in {502, 503}


# --- Change -----------------------------------------------------------------------------------------------------


def test_certificates_change_without_a_break(world: World) -> None:
    held = world.open(Http1, "a.test")
    assert held.request("GET", "a.test", "/").status == 200
    renewed = world.authority.sign("a.test", "renewed.test")
    others = [item for item in world.objects if item["metadata"]["name"] != "a" or item["kind"] != "Secret"]
    event = world.gateway.write(*others, secret("a", renewed.certificate, renewed.key))
    assert event["generation"] is not None
    assert served(world, "a.test") == ["a.test", "renewed.test"]
    assert held.request("GET", "a.test", "/").status == 200
    event = world.gateway.write(*others, secret("a", b"broken", b"broken"))
    assert any(
        item["severity"] == "error" and "Secret" in item["message"] + item["object"] for item in event["problems"]
    )
    assert served(world, "a.test") == ["a.test", "renewed.test"]
    assert held.request("GET", "a.test", "/").status == 200
    held.close()
    world.gateway.write(*world.objects)
    assert served(world, "a.test") == ["a.test"]


def resumes(world: World, session: ssl.SSLSession | None, context: ssl.SSLContext) -> tuple[bool, ssl.SSLSession]:
    """Whether a connection resumes a session, and the session to go on with."""
    raw = connect(world.gateway.address, PORT)
    with context.wrap_socket(raw, server_hostname="a.test", session=session) as connection:
        # Tickets of TLS 1.3 come after the handshake.
        connection.sendall(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
        while connection.recv(65_536):
            pass
        assert connection.session is not None
        return bool(connection.session_reused), connection.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_after_a_reload(world: World, version: ssl.TLSVersion) -> None:
    context = tls_context(world.authority.pem, "http/1.1")
    context.minimum_version = context.maximum_version = version
    reused, session = resumes(world, None, context)
    assert not reused
    renewed = world.authority.sign("a.test", "renewed.test")
    others = [item for item in world.objects if item["metadata"]["name"] != "a" or item["kind"] != "Secret"]
    for secrets in ([secret("a", renewed.certificate, renewed.key)], []):
        world.gateway.write(*(others if secrets else world.objects), *secrets)
        reused, session = resumes(world, session, context)
        assert reused


def test_a_certificate_that_expires_meanwhile(start: Any, backend: Any, authority: Authority) -> None:
    """It is told when its time is over, although nothing else happens; it is served all the same."""
    pair, renewed = authority.sign("a.test", days=5 / 86_400), authority.sign("a.test", days=100)
    objects = [gateway(https("a", hostname="a.test", secret="a")), route(rule("/", "app"))]
    objects += service("app", backend("app").address)
    found = start(*objects, secret("a", pair.certificate, pair.key))
    assert [item["code"] for item in found.ready["problems"]] == ["certificate-expires"]
    event = found.event(lambda event: event["event"] == "changed" and bool(event["problems"]))
    [problem] = event["problems"]
    assert (problem["code"], problem["field"]) == ("certificate-expired", "spec.listeners[0].tls.certificateRefs[0]")
    assert "the certificate expired at 2" in problem["message"]
    assert [item["code"] for item in event["solved"]] == ["certificate-expires"]
    careless = tls_context(authority.pem, "http/1.1")
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    connection = Http1(found.address, PORT, careless, "a.test")
    assert connection.request("GET", "a.test", "/").status == 200
    connection.close()
    event = found.write(*objects, secret("a", renewed.certificate, renewed.key))
    assert [item["code"] for item in event["solved"]] == ["certificate-expired"]
    connection = Http1(found.address, PORT, tls_context(authority.pem, "http/1.1"), "a.test")
    assert connection.request("GET", "a.test", "/").status == 200
    connection.close()
