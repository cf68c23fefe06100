"""Handshakes with HTTPS listeners that fail leave a line: who, with which name, at which listener, and why."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system_certificates import Authority
from system_clients import tls_context
from system_flows import Flows, read_all

from sluicegate import ir

#: HTTPS alone, beside a TLS listener, and with clients that are validated.
ALONE, SHARED, STRICT = 5443, 6443, 7443
#: Limit of handshakes that are to fail by it, and of the others.
SHORT, LONG = 300, 10_000


def tls(*certificates: str, trust: str | None = None) -> ir.ListenerTls:
    validation = None
    if trust is not None:
        validation = ir.ClientValidation(mode=ir.ClientValidationMode.ALLOW_VALID_ONLY, trust=(trust,))
    return ir.ListenerTls(certificates=certificates, client_validation=validation)


@pytest.fixture
def flows(tmp_path: Path, authority: Authority) -> Iterator[Callable[[int], Flows]]:
    running: list[Flows] = []

    def start(limit: int) -> Flows:
        found = Flows(tmp_path, handshake_timeout_ms=limit)
        running.append(found)
        pair = authority.sign("www.test")
        served = tls("default/www")
        found.apply(
            found.listener("web", ALONE, "HTTPS", hostname="www.test", tls=served),
            found.listener("bare", ALONE, "HTTPS", hostname="bare.test"),
            found.listener("beside", SHARED, "HTTPS", hostname="www.test", tls=served),
            found.listener("bare-beside", SHARED, "HTTPS", hostname="bare.test"),
            found.listener("pass", SHARED, "TLS", hostname="pass.test"),
            found.listener("strict", STRICT, "HTTPS", tls=tls("default/www", trust="default/ca")),
            ir.Certificate(id="default/www", chain=pair.certificate.decode(), key=pair.key.decode()),
            ir.Trust(id="default/ca", pem=authority.pem.decode()),
        )
        return found

    yield start
    for each in running:
        each.close()


def plain(_: Authority, connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nhost: www.test\r\n\r\n")
    read_all(connection)


def nothing(_: Authority, connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    read_all(connection)


def silence(_: Authority, connection: socket.socket) -> None:
    read_all(connection)


def hello(name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def half_a_hello(_: Authority, connection: socket.socket) -> None:
    connection.sendall(hello("www.test")[:-1])
    read_all(connection)


def no_end(_: Authority, connection: socket.socket) -> None:
    connection.sendall(hello("www.test"))
    read_all(connection)


def client(
    name: str | None = "www.test", alpn: str = "http/1.1", ciphers: str | None = None
) -> Callable[[Authority, socket.socket], None]:
    """A client whose handshake fails; `ciphers`: of TLS 1.2, and no other version."""

    def shake(authority: Authority, connection: socket.socket) -> None:
        context = tls_context(authority.pem, alpn)
        context.check_hostname = name is not None
        if ciphers is not None:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_hostname=name) as secured:
            # In TLS 1.3 a client is done before the server has looked at its certificate.
            secured.recv(1)

    return shake


def stranger(authority: Authority, connection: socket.socket) -> None:
    """It trusts another authority only."""
    context = tls_context(Authority("Stranger CA").pem, "http/1.1")
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_hostname="www.test"):
        pass


MALFORMED = "hello_malformed"


@pytest.mark.parametrize(
    ("port", "limit", "act", "line"),
    [
        (ALONE, LONG, plain, (None, None, MALFORMED, "what the client sent is no TLS; is it plain HTTP?")),
        (ALONE, LONG, nothing, (None, None, MALFORMED, "the client closed the connection")),
        (ALONE, SHORT, silence, (None, None, "hello_timeout", "it took too long")),
        (ALONE, SHORT, half_a_hello, (None, None, "hello_timeout", "it took too long")),
        *[
            row
            for port, web, bare in ((ALONE, "web", "bare"), (SHARED, "beside", "bare-beside"))
            for row in (
                (port, SHORT, no_end, ("www.test", web, "handshake", "it took too long")),
                (
                    port,
                    LONG,
                    stranger,
                    ("www.test", web, "handshake", "the client refused: it does not trust who signed the listener's"),
                ),
                (
                    port,
                    LONG,
                    client(alpn="spdy/1"),
                    ("www.test", web, "handshake", "the client speaks neither h2 nor http/1.1, by its ALPN"),
                ),
                (
                    port,
                    LONG,
                    client(ciphers="ECDHE-ECDSA-AES128-SHA"),
                    ("www.test", web, "handshake", "the client offers no cipher suite that is known here"),
                ),
                (port, LONG, client("bare.test"), ("bare.test", bare, "no_certificate", None)),
                (port, LONG, client("WWW.other.test"), ("www.other.test", None, "no_listener", None)),
            )
        ],
        (ALONE, LONG, client(None), (None, None, "no_listener", None)),
        (
            STRICT,
            LONG,
            client(),
            ("www.test", "strict", "handshake", "the client showed no certificate, and the listener wants one"),
        ),
    ],
)
def test_a_failed_handshake_is_logged(
    flows: Any,
    authority: Authority,
    port: int,
    limit: int,
    act: Callable[[Authority, socket.socket], None],
    line: tuple[str | None, str | None, str, str | None],
) -> None:
    gateway = flows(limit)
    with gateway.connect(port) as connection, contextlib.suppress(ConnectionResetError):
        act(authority, connection)
    [found] = gateway.ended()
    sni, listener, error, detail = line
    name = f"Gateway/default/gateway/{listener}" if listener is not None else None
    assert (found["sni"], found["listener"], found["error"]) == (sni, name, error)
    assert (found["error_detail"] or "").startswith(detail or "")
    assert bool(found["error_detail"]) == bool(detail)
    assert found["client"].startswith("127.")
    assert found["protocol"] == "TLS"
    assert found["duration_ms"] >= (limit - 100 if limit == SHORT else 0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("www.other.test", "TLSV1_UNRECOGNIZED_NAME"),
        (None, "TLSV1_UNRECOGNIZED_NAME"),
        ("bare.test", "TLSV1_ALERT_INTERNAL_ERROR"),
    ],
    ids=["unknown", "none", "no certificate"],
)
def test_a_client_is_told_why_there_is_no_handshake(
    flows: Any, authority: Authority, name: str | None, reason: str
) -> None:
    """It would take the network for broken otherwise. A port with TLS listeners tells nothing: there the conformance
    suites take nothing but the end of the connection for a refusal."""
    gateway = flows(LONG)
    context = tls_context(authority.pem, "http/1.1")
    context.check_hostname = False
    with gateway.connect(ALONE) as connection, pytest.raises(ssl.SSLError) as caught:
        context.wrap_socket(connection, server_hostname=name)
    assert caught.value.reason == reason
    [found] = gateway.ended()
    assert found["error"] == ("no_certificate" if name == "bare.test" else "no_listener")
