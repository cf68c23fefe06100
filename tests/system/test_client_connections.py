"""ClientPolicies of connections on the wire: TLS versions, certificates, how many, how long, and what heads may be."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from system_backends import LIMIT, Backend, Received
from system_certificates import Authority, Pair
from system_clients import Http1, Http2, connect, tls_context
from system_gateway import Gateway, until
from system_manifests import (
    config_map,
    gateway,
    https,
    listener,
    policy,
    route,
    rule,
    secret,
    service,
    target,
)

HOST = "www.test"
PLAIN, SLOW, HEADS, DROPS, REJECTS, FEW, HALTING = 8080, 8081, 8082, 8083, 8084, 8085, 8086
MODERN, OLD, LIMITED, VALIDATED, LENIENT = 8443, 8444, 8445, 9443, 9444
XFCC = "x-forwarded-client-cert"


def of_listener(name: str, **spec: Any) -> dict[str, Any]:
    return policy("ClientPolicy", name, target("Gateway", "gateway", name), **spec)


class World:
    """A gateway whose listeners are spoken to in different ways."""

    def __init__(self, start: Any, backend: Any, authority: Authority, folder: Path) -> None:
        self.authority, self.folder = authority, folder
        self.log = folder / "access.log"
        self.app: Backend = backend("app")
        pair = authority.sign(HOST)
        clients = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "clients"}]}
        self.gateway: Gateway = start(
            gateway(
                listener("plain", PLAIN),
                listener("slow", SLOW),
                listener("heads", HEADS),
                listener("drops", DROPS),
                listener("rejects", REJECTS),
                listener("few", FEW),
                listener("halting", HALTING),
                https("modern", MODERN),
                https("old", OLD),
                https("limited", LIMITED),
                https("validated", VALIDATED),
                https("lenient", LENIENT),
                tls={
                    "frontend": {
                        "default": {},
                        "perPort": [
                            {"port": VALIDATED, "tls": {"validation": clients}},
                            {"port": LENIENT, "tls": {"validation": {**clients, "mode": "AllowInsecureFallback"}}},
                        ],
                    }
                },
            ),
            route(
                rule("/quiet", "app", name="quiet"),
                rule("/errors", "app", name="errors"),
                rule("/sampled", "app", name="sampled"),
                rule("/body", "app", name="body"),
                rule("/", "app"),
            ),
            *service("app", self.app.address),
            secret("certificate", pair.certificate, pair.key),
            config_map("clients", authority.pem),
            of_listener("modern", tls={"minVersion": "1.3"}),
            of_listener("old", tls={"maxVersion": "1.2"}),
            of_listener("validated", clientCertificate={"fields": ["DNS", "URI", "Subject", "Cert", "Hash"]}),
            of_listener("lenient", clientCertificate={"header": "X-Client"}),
            of_listener("limited", connections={"max": 2}, http2={"maxConcurrentStreams": 3}),
            of_listener("few", connections={"max": 2, "maxRequests": 3}),
            of_listener("slow", timeouts={"head": "300ms", "idle": "300ms", "request": "300ms"}),
            of_listener("halting", timeouts={"head": "300ms", "idle": "10m"}),
            of_listener("heads", headers={"maxSize": 500, "maxCount": 8}),
            of_listener("drops", headers={"underscores": "Drop"}),
            of_listener("rejects", headers={"underscores": "Reject"}),
            policy("ClientPolicy", "quiet", target("HTTPRoute", "route", "quiet"), accessLog={"mode": "Disabled"}),
            policy("ClientPolicy", "errors", target("HTTPRoute", "route", "errors"), accessLog={"mode": "Errors"}),
            policy(
                "ClientPolicy",
                "sampled",
                target("HTTPRoute", "route", "sampled"),
                accessLog={"sample": {"numerator": 0}},
            ),
            policy("ClientPolicy", "body", target("HTTPRoute", "route", "body"), body={"timeout": "300ms"}),
            arguments=("--access-log", str(self.log)),
        )

    def context(self, client: Any, shown: Pair | None = None) -> ssl.SSLContext:
        certificate = None if shown is None else shown.write(self.folder, "client")
        return tls_context(self.authority.pem, "h2" if client is Http2 else "http/1.1", certificate=certificate)

    def secured(self, client: Any, port: int, shown: Pair | None = None) -> Any:
        return client(self.gateway.address, port, self.context(client, shown), HOST)

    def ask(self, client: Any, port: int, fields: Any = (), path: str = "/", shown: Pair | None = None) -> Any:
        plain = port < MODERN
        connection = client(self.gateway.address, port) if plain else self.secured(client, port, shown)
        with contextlib.closing(connection):
            return connection.request("GET", HOST, path, fields)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(start, backend, authority, tmp_path_factory.mktemp("connections"))


@pytest.mark.parametrize(
    ("port", "spoken", "refused"),
    [
        pytest.param(MODERN, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2, id="no older one"),
        pytest.param(OLD, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, id="no newer one"),
    ],
)
def test_versions_of_tls(world: World, client: Any, port: int, spoken: ssl.TLSVersion, refused: ssl.TLSVersion) -> None:
    """What is refused is told like every handshake that fails."""
    with contextlib.closing(world.secured(client, port)) as connection:
        assert connection.request("GET", HOST, "/").status == 200
        assert connection.socket.version() == spoken.name.replace("_", ".")
    context = world.context(client)
    context.minimum_version = context.maximum_version = refused
    with pytest.raises(ssl.SSLError):
        connect(world.gateway.address, port, context, HOST)
    told = "the client offers no version of TLS that the listener takes"

    def is_told() -> bool:
        name = {MODERN: "modern", OLD: "old"}[port]
        found = [line for line in world.lines() if line.get("listener") == f"Gateway/default/gateway/{name}"]
        return any(line.get("error") == "handshake" and line["error_detail"] == told for line in found)

    until(is_told, "the handshake is logged")


def test_backends_are_told_of_certificates(world: World, client: Any) -> None:
    """As Envoy writes it, whatever the client sends by that name."""
    pair = world.authority.sign("ann.test", "more.test", client=True, uri="spiffe://test/a;Hash=0")
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    forged = ((XFCC, "Hash=00"), ("X_Forwarded_Client_Cert", "Hash=01"), ("x.forwarded.client.cert", "Hash=02"))
    found = world.ask(client, VALIDATED, forged, shown=pair)
    assert found.status == 200
    names = [name for name, _ in found.echo["headers"] if name.lower().replace("_", "-").replace(".", "-") == XFCC]
    assert len(names) == 1
    value = found.sent(XFCC)
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    head, _, rest = value.partition(";Cert=")
    pem, _, rest = rest.partition(";Subject=")
    assert head == f"Hash={fingerprint}"
    assert urllib.parse.unquote(pem.strip('"')).encode() == pair.certificate
    assert rest == '"CN=ann.test";URI="spiffe://test/a;Hash=0";DNS=ann.test;DNS=more.test'


def test_a_certificate_that_is_not_valid_is_not_told(world: World, client: Any) -> None:
    own = world.authority.sign("ann.test", client=True)
    stranger = Authority("Other CA").sign("ann.test", client=True)
    forged = (("x-client", "Hash=00"), ("X_Client", "Hash=01"), (XFCC, "Hash=02"))
    told = world.ask(client, LENIENT, forged, shown=own)
    assert told.sent("x-client").startswith("Hash=")
    assert told.sent("x-client") not in {"Hash=00", "Hash=01"}
    for shown in (None, stranger):
        found = world.ask(client, LENIENT, forged, shown=shown)
        assert (found.status, found.sent("x-client"), found.sent("x_client")) == (200, None, None)


def test_nobody_can_pretend_a_certificate_where_there_is_no_policy(world: World, client: Any) -> None:
    for name in (XFCC, "X_Forwarded_Client_Cert", "X.Forwarded-Client.Cert"):
        found = world.ask(client, PLAIN, ((name, "Hash=00"),))
        assert (found.status, found.sent(name.lower())) == (200, None)


@pytest.mark.parametrize("port", [FEW, LIMITED])
def test_as_many_connections_as_there_may_be(world: World, client: Any, port: int) -> None:
    def open_one() -> Any:
        if port == LIMITED:
            return world.secured(client, port)
        return client(world.gateway.address, port)

    def is_served() -> bool:
        try:
            with contextlib.closing(open_one()) as third:
                return bool(third.request("GET", HOST, "/").status == 200)
        except (ConnectionError, ssl.SSLError):
            return False

    held = [open_one() for _ in range(2)]
    assert {each.request("GET", HOST, "/").status for each in held} == {200}
    assert not is_served()
    name = 'sluicegate_l4_failures_total{reason="connection_limit"}'
    if port == FEW:
        [line] = [line for line in world.gateway.admin("/metrics").splitlines() if line.startswith(name)]
        assert int(line.rpartition(" ")[2]) > 0
    until(lambda: any(line.get("error") == "connection_limit" for line in world.lines()), "it is logged")
    # Nothing else is in the way of other listeners.
    assert world.ask(client, PLAIN).status == 200
    held.pop().close()
    until(is_served, "its place is free again")
    held.pop().close()
    until(is_served, "both places are free again")


def test_as_many_requests_as_a_connection_takes(world: World, client: Any) -> None:
    """The last answer says so over HTTP/1.1, GOAWAY over HTTP/2; then the gateway closes."""

    def is_told() -> bool:
        try:
            with contextlib.closing(client(world.gateway.address, FEW)) as connection:
                said = [connection.request("GET", HOST, "/").header("connection") for _ in range(3)]
                if client is Http1:
                    return said == [None, None, "close"] and bool(connection.at_end())
                with contextlib.suppress(ConnectionError):
                    while True:
                        connection.pump()
                return bool(connection.goaways)
        except ConnectionError:
            # Places of connections before are still taken.
            return False

    until(is_told, "it is told to go")


def test_streams_of_http2(world: World) -> None:
    """What the client is told, and what becomes of a stream beyond that."""
    connection = world.secured(Http2, LIMITED)
    with contextlib.closing(connection):
        assert connection.request("GET", HOST, "/").status == 200
        assert connection.state.remote_settings.max_concurrent_streams == 3


def test_times_of_heads_and_idle_connections(world: World) -> None:
    connection = Http1(world.gateway.address, SLOW)
    with contextlib.closing(connection):
        assert connection.request("GET", HOST, "/").status == 200
        assert connection.at_end()
    connection = Http1(world.gateway.address, SLOW)
    with contextlib.closing(connection):
        connection.send(b"GET / HTTP/1.1\r\n")
        found = connection.read()
        assert (found.status, found.body.partition(b":")[0]) == (408, b"request_head_timeout")


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(bytes([0, 0, 5, 1, 5, 0, 0, 0, 1, 0x82]), id="a frame that is cut short"),
        pytest.param(bytes([0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82]), id="HEADERS that go on"),
        pytest.param(
            bytes([0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82, 0, 0, 1, 9, 0, 0, 0, 0, 1, 0x86]), id="CONTINUATION that goes on"
        ),
    ],
)
def test_heads_of_http2_that_do_not_end(world: World, begun: bytes) -> None:
    """All streams of the connection wait for such a head, so it ends, and says why (GOAWAY, ENHANCE_YOUR_CALM)."""

    def told() -> int:
        # A line of HTTP/1.1 is another test's, and may come only now.
        of_http2 = [line for line in world.lines() if line.get("protocol") == "HTTP/2"]
        return sum(line.get("error") == "request_head_timeout" for line in of_http2)

    before = told()
    settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    with socket.create_connection((world.gateway.address, HALTING), LIMIT) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + begun)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    frames = []
    while received:
        end = 9 + int.from_bytes(received[:3], "big")
        frames.append((received[3], received[9:end]))
        received = received[end:]
    kind, payload = frames[-1]
    assert (kind, int.from_bytes(payload[4:8], "big")) == (7, 11)
    until(lambda: told() == before + 1, "the head is in the access log")


def test_the_time_of_a_whole_request(start: Any, backend: Any, client: Any) -> None:
    """A route that sets a time of its own is left alone, but by an override, beside which the shorter one counts."""
    release = threading.Event()

    def wait(_request: Received) -> None:
        release.wait(LIMIT)

    held = backend(wait)
    app = backend("app")
    found: Gateway = start(
        gateway(listener("slow", SLOW), listener("forced", HEADS)),
        route(
            rule("/held", "held"),
            rule("/own", "held", timeouts={"request": "1ms"}),
            rule("/long", "held", timeouts={"request": "10m"}),
            rule("/", "app"),
        ),
        *service("held", held.address),
        *service("app", app.address),
        policy("ClientPolicy", "slow", target("Gateway", "gateway"), timeouts={"request": "300ms"}),
        policy(
            "ClientPolicy",
            "forced",
            target("Gateway", "gateway", "forced"),
            strategy="Overrides",
            timeouts={"request": "300ms"},
        ),
    )
    for port, paths in ((SLOW, ("/held", "/own")), (HEADS, ("/held", "/own", "/long"))):
        connection = client(found.address, port)
        with contextlib.closing(connection):
            assert connection.request("GET", HOST, "/").status == 200
            for path in paths:
                answer = connection.request("GET", HOST, path)
                assert (answer.status, answer.body.partition(b":")[0]) == (504, b"request_timeout")
    release.set()


def test_how_large_heads_may_be(world: World, client: Any) -> None:
    fits = tuple((f"x-{place}", "1") for place in range(3))
    assert world.ask(client, HEADS, fits).status == 200
    for fields in (tuple((f"x-{place}", "1") for place in range(9)), (("x", "a" * 500),)):
        path = f"/large/{client.__name__}/{len(fields)}"
        found = world.ask(client, HEADS, fields, path)
        assert (found.status, found.body.partition(b":")[0]) == (431, b"headers_too_large")
        assert [each for each in world.app.requests if each.target == path] == []


def test_underscores_in_names(world: World, client: Any) -> None:
    fields = (("x_user", "root"), ("x-user", "ann"))
    assert world.ask(client, PLAIN, fields).sent("x_user") == "root"
    dropped = world.ask(client, DROPS, fields)
    assert (dropped.status, dropped.sent("x_user"), dropped.sent("x-user")) == (200, None, "ann")
    path = f"/underscores/{client.__name__}"
    refused = world.ask(client, REJECTS, fields, path)
    assert (refused.status, refused.body.partition(b":")[0]) == (400, b"bad_request")
    assert world.ask(client, REJECTS, fields[1:], path).status == 200
    assert len([each for each in world.app.requests if each.target == path]) == 1


def test_the_time_of_a_body(world: World) -> None:
    connection = Http1(world.gateway.address, PLAIN)
    with contextlib.closing(connection):
        connection.send(f"PUT /body HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 5\r\n\r\nab".encode())
        found = connection.read()
        assert (found.status, found.body.partition(b":")[0]) == (408, b"request_body_timeout")
    second = Http2(world.gateway.address, PLAIN)
    with contextlib.closing(second):
        stream = second.open("PUT", HOST, "/body", (("content-length", "5"),), end=False)
        second.send(stream, b"ab")
        assert second.read(stream).status == 408


def test_which_requests_are_logged(world: World, client: Any) -> None:
    """None, those that were refused, a share of those that were not; what has no policy is there."""
    name = client.__name__
    for path in ("quiet", "errors", "sampled", "last"):
        assert world.ask(client, PLAIN, path=f"/{path}/{name}").status == 200
    until(lambda: any(line.get("path") == f"/last/{name}" for line in world.lines()), "the last one is logged")
    logged = {line.get("path") for line in world.lines()}
    assert {f"/{path}/{name}" for path in ("quiet", "errors", "sampled")} & logged == set()


def test_errors_are_logged(start: Any, backend: Any, client: Any, tmp_path: Path) -> None:
    """By mode Errors, and by whatever sample; and none by mode Disabled, also where no route takes it."""
    log = tmp_path / "access.log"
    found: Gateway = start(
        gateway(listener("some", PLAIN), listener("none", SLOW)),
        route(rule("/errors", name="errors"), rule("/sampled", name="sampled")),
        policy("ClientPolicy", "none", target("Gateway", "gateway", "none"), accessLog={"mode": "Disabled"}),
        policy("ClientPolicy", "errors", target("HTTPRoute", "route", "errors"), accessLog={"mode": "Errors"}),
        policy(
            "ClientPolicy", "sampled", target("HTTPRoute", "route", "sampled"), accessLog={"sample": {"numerator": 0}}
        ),
        arguments=("--access-log", str(log)),
    )
    for port, path, status in (
        (SLOW, "/nowhere", 404),
        (PLAIN, "/errors", 500),
        (PLAIN, "/sampled", 500),
        (PLAIN, "/nowhere-either", 404),
    ):
        connection = client(found.address, port)
        with contextlib.closing(connection):
            assert connection.request("GET", HOST, path).status == status
    expected = {"/errors", "/sampled", "/nowhere-either"}
    until(lambda: len(log.read_text().splitlines()) >= len(expected), "errors are logged")
    assert {json.loads(line)["path"] for line in log.read_text().splitlines()} == expected
