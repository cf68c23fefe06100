"""Converted Ingresses on the engine: how backends are spoken to, TLS that passes through, TLS that ends in front."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from system_backends import Backend
from system_certificates import Authority
from system_clients import Http1, tls_context
from system_gateway import Gateway
from system_grpc import GrpcBackend, call, channel
from system_manifests import Manifest, metadata, secret, service
from system_migration import converted, ingress, manifests

from sluicegate.controller.ingress import Name

Start = Callable[..., Gateway]
HTTP, HTTPS = 8080, 8443
OFFSET = 8000
SERVED = ("grpc.test", "default.test")


def server(pair: tuple[str, str]) -> ssl.SSLContext:
    """What a backend presents."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


@pytest.fixture(scope="module")
def grpc_backends(authority: Authority) -> Iterator[dict[str, GrpcBackend]]:
    found = {"plain": GrpcBackend("plain"), "secure": GrpcBackend("secure", pair=authority.sign("secure.internal"))}
    yield found
    for each in found.values():
        each.close()


@pytest.fixture(scope="module")
def running(
    start: Start,
    backend: Callable[..., Backend],
    grpc_backends: dict[str, GrpcBackend],
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Gateway:
    folder: Path = tmp_path_factory.mktemp("certificates")
    known = server(authority.sign("known.internal").write(folder, "known"))
    own = server(authority.sign("through.test").write(folder, "through"))
    addresses = {
        "web": backend("web").address,
        "tls": backend("tls", tls=known).address,
        "own": backend("own", tls=own).address,
        **{f"grpc-{name}": each.address for name, each in grpc_backends.items()},
    }
    services = [item for name, address in addresses.items() for item in service(name, address)]
    services += service("unknown", addresses["tls"])
    ca = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata("ca"),
        "stringData": {"ca.crt": authority.pem.decode()},
    }
    verified = {"proxy_ssl_verify": "on", "proxy_ssl_secret": "default/ca"}
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata("controller"),
        "data": {"use-forwarded-headers": "true", "proxy-real-ip-cidr": "127.0.0.1/32"},
    }
    ingresses: list[Manifest] = [
        ingress("grpc.test", ("/", "grpc-plain"), secret="grpc.test", ssl_redirect="false", backend_protocol="GRPC"),
        ingress("one.test", ("/shop.Cart", "grpc-plain"), backend_protocol="GRPC"),
        ingress(
            "grpcs.test", ("/", "grpc-secure"), backend_protocol="GRPCS", proxy_ssl_name="secure.internal", **verified
        ),
        ingress("tls.test", ("/", "tls"), backend_protocol="HTTPS", proxy_ssl_name="known.internal", **verified),
        ingress("unknown.test", ("/", "unknown"), backend_protocol="HTTPS"),
        ingress("through.test", ("/", "own"), ssl_passthrough="true"),
        ingress("front.test", ("/", "web"), force_ssl_redirect="true"),
        ingress("default.test", ("/", "web")),
    ]
    certificates = []
    for name in SERVED:
        pair = authority.sign(name)
        certificates.append(secret(name, pair.certificate, pair.key))
    options = {
        "config_map": Name("default", "controller"),
        "default_certificate": Name("default", "default.test"),
    }
    found = converted(*ingresses, *services, ca, settings, *certificates, **options)
    return start(*manifests(found), *services, *certificates, arguments=("--port-offset", str(OFFSET)))


def ask(running: Gateway, host: str, *fields: tuple[str, str], tls: ssl.SSLContext | None = None) -> tuple[int, str]:
    """Status, and the backend or where it is said to go."""
    connection = Http1(running.address, HTTPS if tls is not None else HTTP, tls, host if tls is not None else None)
    try:
        found = connection.request("GET", host, "/a", fields)
        return found.status, found.header("location") or found.header("x-back") or ""
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "method", "secure", "name"),
    [
        ("grpc.test", "/shop.Cart/Get", False, "plain"),
        ("grpc.test", "/shop.Cart/Get", True, "plain"),
        ("one.test", "/shop.Cart/Get", False, "plain"),
        ("grpcs.test", "/shop.Cart/Get", False, "secure"),
    ],
)
def test_grpc(running: Gateway, authority: Authority, host: str, method: str, name: str, *, secure: bool) -> None:
    roots = authority.pem if secure else None
    made = channel(running.address, HTTPS if secure else HTTP, host, roots=roots)
    try:
        assert call(made, method)["backend"] == name
    finally:
        made.close()


def test_backends_over_tls(running: Gateway) -> None:
    """A certificate that nobody vouches for is refused, as the report says."""
    assert ask(running, "tls.test") == (200, "tls")
    assert ask(running, "unknown.test")[0] == 503


def test_tls_that_passes_through(running: Gateway, authority: Authority) -> None:
    assert ask(running, "through.test", tls=tls_context(authority.pem)) == (200, "own")


def test_tls_that_ends_in_front(running: Gateway) -> None:
    assert ask(running, "front.test") == (308, "https://front.test:8443/a")
    assert ask(running, "front.test", ("x-forwarded-proto", "https")) == (200, "web")


def test_a_certificate_for_hosts_without_one(running: Gateway, authority: Authority) -> None:
    assert ask(running, "default.test", tls=tls_context(authority.pem)) == (200, "web")
    assert ask(running, "default.test") == (200, "web")


def test_nothing_but_the_standard(start: Start, backend: Callable[..., Backend]) -> None:
    """What was protected is closed, all else is served."""
    services = service("web", backend("web").address)
    found = converted(
        ingress("closed.test", ("/", "web"), allowlist_source_range="127.0.0.0/8"),
        ingress("free.test", ("/", "web"), limit_rps="1"),
        *services,
        standard_only=True,
    )
    assert {item["apiVersion"].partition("/")[0] for item in manifests(found)} == {"gateway.networking.k8s.io"}
    running = start(*manifests(found), *services, arguments=("--port-offset", str(OFFSET)))
    assert ask(running, "closed.test")[0] == 500
    assert ask(running, "free.test") == (200, "web")
