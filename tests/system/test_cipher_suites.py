"""Policies that choose cipher suites of TLS 1.2, and whether endpoints are told a name, seen by handshakes."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from system_certificates import Authority
from system_clients import Http2, tls_context
from system_gateway import Gateway
from system_manifests import (
    backend_policy,
    backend_tls_policy,
    config_map,
    gateway,
    https,
    policy,
    route,
    rule,
    secret,
    service,
    target,
)

HOST = "app.test"
PORT = 8080
#: By their names in OpenSSL, and in the registry of IANA.
LARGE, SMALL = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
NAMES = {LARGE: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", SMALL: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}


@pytest.fixture(scope="module")
def secured(start: Any, backend: Any, authority: Authority) -> Gateway:
    """One listener whose clients may speak one suite, one whose clients may speak all."""
    pair = authority.sign(HOST)
    running: Gateway = start(
        gateway(https("one", 8443), https("all", 8444)),
        route(rule("/", "app")),
        *service("app", backend("app").address),
        secret("certificate", pair.certificate, pair.key),
        policy("ClientPolicy", "one", target("Gateway", "gateway", "one"), tls={"cipherSuites": [NAMES[LARGE]]}),
    )
    return running


def speaks(running: Gateway, client: Any, authority: Authority, port: int, suite: str) -> str | None:
    """The suite that a client which knows one of TLS 1.2 ends up with; an empty one: TLS 1.3. None: none."""
    context = tls_context(authority.pem, "h2" if client is Http2 else "http/1.1")
    if suite:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suite)
    try:
        with contextlib.closing(client(running.address, port, context, HOST)) as connection:
            assert connection.request("GET", HOST, "/").status == 200
            chosen: tuple[str, str, int] = connection.socket.cipher()
            return chosen[0]
    except ssl.SSLError:
        return None


@pytest.mark.parametrize(
    ("port", "spoken"), [pytest.param(8443, {LARGE}, id="one"), pytest.param(8444, {LARGE, SMALL}, id="all")]
)
def test_clients_speak_what_the_policy_names(
    secured: Gateway, client: Any, authority: Authority, port: int, spoken: set[str]
) -> None:
    found = {suite for suite in (LARGE, SMALL) if speaks(secured, client, authority, port, suite) == suite}
    assert found == spoken
    # TLS 1.3 has its own.
    assert (speaks(secured, client, authority, port, "") or "").startswith("TLS_")


class Endpoint:
    """TLS of an endpoint that speaks one suite of TLS 1.2, and remembers the names that it was asked for."""

    def __init__(self, folder: Path, authority: Authority, alpn: str, suite: str = SMALL) -> None:
        self.names: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*authority.sign(HOST).write(folder, "app"))
        self.context.set_alpn_protocols([alpn])
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_ciphers(suite)
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)


@pytest.mark.parametrize(
    ("tls", "status", "name"),
    [
        pytest.param({}, 200, HOST, id="all"),
        pytest.param({"cipherSuites": [NAMES[LARGE]]}, 503, HOST, id="another suite"),
        pytest.param({"cipherSuites": list(NAMES.values())}, 200, HOST, id="this one too"),
        pytest.param({"serverName": "Omitted"}, 200, None, id="no name"),
    ],
)
def test_handshakes_with_endpoints(
    start: Any,
    backend: Any,
    client: Any,
    authority: Authority,
    tmp_path: Path,
    tls: dict[str, Any],
    status: int,
    name: str | None,
) -> None:
    endpoint = Endpoint(tmp_path, authority, "http/1.1")
    running: Gateway = start(
        gateway(),
        route(rule("/", "app")),
        *service("app", backend("app", tls=endpoint.context).address),
        backend_tls_policy("tls", "app", HOST, "ca"),
        config_map("ca", authority.pem),
        backend_policy("policy", "app", tls=tls),
    )
    with contextlib.closing(client(running.address, PORT)) as connection:
        found = connection.request("GET", HOST, "/")
    assert (found.status, set(endpoint.names)) == (status, {name})
    if status == 503:
        assert found.body.startswith(b"upstream_tls: ")
