"""AccessPolicy for what is not HTTP: addresses of connections and datagrams, and certificates."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from system_certificates import Authority
from system_clients import LIMIT, tls_context
from system_flows import TcpServer, UdpServer, named, read_all, read_exactly
from system_gateway import Gateway, until
from system_manifests import (
    GROUP,
    Manifest,
    config_map,
    gateway,
    listener,
    metadata,
    policy,
    secret,
    service,
    target,
)

TCP, UDP, TLS = 7000, 7001, 7443
#: Who is let in, and who is not.
FRIEND, STRANGER = "127.8.1.1", "127.9.1.1"
FRIENDS = {"rules": [{"clients": ["127.8.0.0/16"]}]}


def l4_route(kind: str, name: str, backend: str, **spec: Any) -> Manifest:
    spec = {"parentRefs": [{"name": "gateway", "sectionName": name}], **spec}
    spec["rules"] = [{"backendRefs": [{"name": backend, "port": 80}]}]
    return {"apiVersion": GROUP, "kind": kind, "metadata": metadata(name), "spec": spec}


def udp_service(name: str, address: tuple[str, int]) -> list[Manifest]:
    whole, endpoints = service(name, address)
    whole["spec"]["ports"][0]["protocol"] = endpoints["ports"][0]["protocol"] = "UDP"
    return [whole, endpoints]


@pytest.fixture
def servers(authority: Authority, tmp_path: Path) -> Iterator[dict[str, Any]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("through.test").write(tmp_path, "through"))
    found = {"tcp": TcpServer(named("tcp")), "tls": TcpServer(named("tls"), context), "udp": UdpServer("udp")}
    yield found
    for each in found.values():
        each.close()


def connect(found: Gateway, address: str, port: int) -> socket.socket:
    return socket.create_connection((found.address, port), LIMIT, source_address=(address, 0))


def said(found: Gateway, address: str) -> str:
    """What the server of TCP says to who comes from an address; empty where the connection is reset."""
    try:
        with connect(found, address, TCP) as connection:
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection).decode()
    except (ConnectionResetError, OSError):
        return ""


def said_tls(found: Gateway, name: str, context: ssl.SSLContext, address: str = FRIEND, port: int = TLS) -> str:
    """The same over TLS; empty where it is refused, before or behind the handshake."""
    try:
        with (
            connect(found, address, port) as connection,
            context.wrap_socket(connection, server_hostname=name) as secured,
        ):
            return read_exactly(secured, 3).decode()
    except (ssl.SSLError, ConnectionError, AssertionError):
        return ""


def failures(found: Gateway, reason: str) -> int:
    pattern = rf'^sluicegate_l4_failures_total\{{reason="{reason}"\}} (\d+)$'
    counted = re.search(pattern, found.admin("/metrics"), re.MULTILINE)
    return int(counted[1]) if counted else 0


def test_addresses_of_connections_and_datagrams(start: Any, servers: dict[str, Any], authority: Authority) -> None:
    passthrough = listener("tls", TLS, "TLS", hostname="through.test", tls={"mode": "Passthrough"})
    found: Gateway = start(
        gateway(listener("tcp", TCP, "TCP"), listener("udp", UDP, "UDP"), passthrough),
        l4_route("TCPRoute", "tcp", "tcp"),
        l4_route("TLSRoute", "tls", "tls", hostnames=["through.test"]),
        l4_route("UDPRoute", "udp", "udp"),
        *service("tcp", servers["tcp"].address),
        *service("tls", servers["tls"].address),
        *udp_service("udp", servers["udp"].address),
        *(
            policy("AccessPolicy", kind.lower(), target(kind, name), authorization=FRIENDS)
            for kind, name in (("TCPRoute", "tcp"), ("TLSRoute", "tls"), ("UDPRoute", "udp"))
        ),
    )
    assert [said(found, address) for address in (FRIEND, STRANGER)] == ["tcp", ""]
    context = tls_context(authority.pem)
    assert [said_tls(found, "through.test", context, address) for address in (FRIEND, STRANGER)] == ["tls", ""]
    before = failures(found, "forbidden")
    assert before == 2
    sockets = []
    for address in (STRANGER, FRIEND):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.bind((address, 0))
        client.settimeout(LIMIT)
        client.sendto(b"hello", (found.address, UDP))
        sockets.append(client)
    with closing(sockets[0]), closing(sockets[1]):
        assert sockets[1].recv(100) == b"udp hello"
        until(lambda: failures(found, "forbidden") == before + 1, "the stranger's datagram is dropped")
    verdicts = 'sluicegate_policy_verdicts_total{policy="AccessPolicy/default/udproute",part="authorization",verdict='
    page = found.admin("/metrics")
    assert f'{verdicts}"pass"}} 1' in page
    assert f'{verdicts}"deny"}} 1' in page


def test_certificates_that_no_listener_asks_for(
    start: Any, servers: dict[str, Any], authority: Authority, tmp_path: Path
) -> None:
    """`spec.tls.frontend` is about HTTPS (GEP-91): behind a TLS listener that does not ask for it nobody is known."""
    pair = authority.sign("ends.test", "open.test")
    ends = {"mode": "Terminate", "certificateRefs": [{"name": "certificate"}]}
    found: Gateway = start(
        gateway(
            listener("tls", TLS, "TLS", hostname="ends.test", tls=ends),
            listener("open", TLS, "TLS", hostname="open.test", tls=ends),
        ),
        l4_route("TLSRoute", "tls", "tcp", hostnames=["ends.test"]),
        l4_route("TLSRoute", "open", "tcp", hostnames=["open.test"]),
        *service("tcp", servers["tcp"].address),
        secret("certificate", pair.certificate, pair.key),
        policy("AccessPolicy", "asked", target("TLSRoute", "tls"), certificate={}),
        policy(
            "AccessPolicy",
            "optional",
            target("TLSRoute", "open"),
            certificate={"mode": "Optional"},
            authorization=FRIENDS,
        ),
    )
    shown = authority.sign("ann.test", client=True).write(tmp_path, "client")
    context = tls_context(authority.pem, certificate=shown)
    assert said_tls(found, "ends.test", context) == ""
    assert [said_tls(found, "open.test", context, address) for address in (FRIEND, STRANGER)] == ["tcp", ""]
    assert (failures(found, "unauthenticated"), failures(found, "forbidden")) == (1, 1)


@pytest.fixture
def mutual(start: Any, servers: dict[str, Any], authority: Authority) -> Gateway:
    """TLS that ends here with clients that are validated, strictly and not, behind TLSRoutes and a TCPRoute."""
    pair = authority.sign("ends.test", "open.test", "tcp.test")
    option = {"sluicegate.dev/client-validation": "Frontend"}
    ends = {"mode": "Terminate", "certificateRefs": [{"name": "certificate"}], "options": option}
    authorities = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "clients"}]}
    lenient = {"port": TCP, "tls": {"validation": {**authorities, "mode": "AllowInsecureFallback"}}}
    users = {"rules": [{"action": "Deny", "users": ["eve.test"]}, {"users": ["ann.test", "eve.test"]}]}
    names = [{"type": "Hostname", "hostname": name} for name in ("ann.test", "eve.test")]
    found: Gateway = start(
        gateway(
            listener("tls", TLS, "TLS", hostname="ends.test", tls=ends),
            listener("open", TCP, "TLS", hostname="open.test", tls=ends),
            listener("tcp", TCP, "TLS", hostname="tcp.test", tls=ends),
            tls={"frontend": {"default": {"validation": authorities}, "perPort": [lenient]}},
        ),
        l4_route("TLSRoute", "tls", "tcp", hostnames=["ends.test"]),
        l4_route("TLSRoute", "open", "tcp", hostnames=["open.test"]),
        l4_route("TCPRoute", "tcp", "tcp"),
        *service("tcp", servers["tcp"].address),
        secret("certificate", pair.certificate, pair.key),
        config_map("clients", authority.pem),
        policy("AccessPolicy", "tls", target("TLSRoute", "tls"), certificate={"subjectAltNames": names}),
        policy("AccessPolicy", "open", target("TLSRoute", "open"), certificate={"mode": "Optional"}),
        policy("AccessPolicy", "tcp", target("TCPRoute", "tcp"), certificate={}, authorization=users),
    )
    return found


def test_certificates_of_connections(mutual: Gateway, authority: Authority, tmp_path: Path) -> None:
    def let_in(name: str, port: int, client: str | None, signed_by: Authority = authority) -> bool:
        shown = signed_by.sign(client, client=True).write(tmp_path, client) if client is not None else None
        context = tls_context(authority.pem, certificate=shown)
        return said_tls(mutual, name, context, port=port) == "tcp"

    # Those of the authority alone, and of these two names alone.
    clients = ("ann.test", "eve.test", "bob.test", None)
    assert [let_in("ends.test", TLS, client) for client in clients] == [True, True, False, False]
    assert not let_in("ends.test", TLS, "ann.test", Authority())
    assert failures(mutual, "unauthenticated") == 1
    # The listener lets everybody in, and the policies ask: one that is not valid is none.
    assert [let_in("open.test", TCP, client) for client in clients] == [True] * 4
    assert let_in("open.test", TCP, "ann.test", Authority())
    assert [let_in("tcp.test", TCP, client) for client in clients] == [True, False, False, False]
    assert not let_in("tcp.test", TCP, "ann.test", Authority())
    # No certificate, and one that is not valid; and two whom no rule allows.
    assert (failures(mutual, "unauthenticated"), failures(mutual, "forbidden")) == (3, 2)


def test_nobody_proves_anything_where_tls_does_not_end(
    start: Any, servers: dict[str, Any], authority: Authority, tmp_path: Path
) -> None:
    """Passed through, of TCP and of UDP: nobody gets in, whatever certificate is shown to the backend."""
    passthrough = listener("tls", TLS, "TLS", hostname="through.test", tls={"mode": "Passthrough"})
    found: Gateway = start(
        gateway(listener("tcp", TCP, "TCP"), listener("udp", UDP, "UDP"), passthrough),
        l4_route("TCPRoute", "tcp", "tcp"),
        l4_route("TLSRoute", "tls", "tls", hostnames=["through.test"]),
        l4_route("UDPRoute", "udp", "udp"),
        *service("tcp", servers["tcp"].address),
        *service("tls", servers["tls"].address),
        *udp_service("udp", servers["udp"].address),
        policy("AccessPolicy", "tcp", target("TCPRoute", "tcp"), authorization={"rules": [{"users": ["ann.test"]}]}),
        policy("AccessPolicy", "tls", target("TLSRoute", "tls"), certificate={}),
        policy("AccessPolicy", "udp", target("UDPRoute", "udp"), certificate={}),
    )
    shown = authority.sign("ann.test", client=True).write(tmp_path, "client")
    assert said_tls(found, "through.test", tls_context(authority.pem, certificate=shown)) == ""
    assert said(found, FRIEND) == ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((FRIEND, 0))
        client.sendto(b"hello", (found.address, UDP))
        until(lambda: failures(found, "unauthenticated") == 2, "the datagram is dropped")
    assert failures(found, "forbidden") == 1
