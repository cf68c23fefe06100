"""A GRPCRoute and an HTTPRoute of one hostname: both are accepted, and each gets what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from system_certificates import Authority
from system_clients import Http2, tls_context
from system_gateway import Gateway
from system_grpc import GrpcBackend, call, channel
from system_manifests import gateway, grpc_route, grpc_rule, https, listener, route, rule, secret, service

HOST = "both.test"
CLEAR, SECURE = 8080, 8443


@pytest.fixture(scope="module")
def found(start: Any, backend: Any, authority: Authority) -> Iterator[Gateway]:
    certificate = authority.sign(HOST)
    calls = GrpcBackend("calls")
    yield start(
        gateway(listener(port=CLEAR), https(port=SECURE)),
        secret("certificate", certificate.certificate, certificate.key),
        grpc_route(grpc_rule("calls"), name="calls", hostnames=[HOST]),
        route(rule("/", "pages"), name="pages", hostnames=[HOST]),
        *service("calls", calls.address),
        *service("pages", backend("pages").address),
    )
    calls.close()


def test_both_are_accepted(found: Gateway) -> None:
    assert not [item for item in found.ready["problems"] if "Route/" in item["object"]]
    attached = {item["id"].rpartition("/")[2]: item["attached"] for item in found.ready["listeners"]}
    assert attached == {"http": 2, "https": 2}


@pytest.mark.parametrize("port", [CLEAR, SECURE])
def test_calls(found: Gateway, authority: Authority, port: int) -> None:
    with channel(found.address, port, HOST, roots=authority.pem if port == SECURE else None) as made:
        assert call(made, "/pkg.Shop/Get")["backend"] == "calls"


@pytest.mark.parametrize("port", [CLEAR, SECURE])
@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/", ()),
        ("GET", "/pkg.Shop/Get", ()),
        ("GET", "/pkg.Shop/Get", (("content-type", "application/grpc"),)),
        ("POST", "/pkg.Shop/Get", (("content-type", "application/json"),)),
    ],
)
def test_requests(
    found: Gateway, client: Any, authority: Authority, port: int, method: str, target: str, headers: Any
) -> None:
    context = tls_context(authority.pem, *(["h2"] if client is Http2 else [])) if port == SECURE else None
    requests = client(found.address, port, context, HOST)
    answer = requests.request(method, HOST, target, headers)
    requests.close()
    assert (answer.status, answer.echo["backend"]) == (200, "pages")
