"""TCP, TLS and UDP over real sockets, through the IR."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system_certificates import Authority, Pair
from system_flows import (
    Flows,
    TcpServer,
    UdpServer,
    backend,
    endpoint,
    endpoint_id,
    is_reset,
    named,
    read_all,
    read_exactly,
    rule,
)
from system_gateway import LIMIT, until, until_refused

from sluicegate import ir
from sluicegate.engine.native import Refused

MEGABYTE = 1024 * 1024


@pytest.fixture
def flows(tmp_path: Path) -> Iterator[Callable[..., Flows]]:
    running: list[Flows] = []

    def start(**settings: Any) -> Flows:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        running.append(Flows(folder, **settings))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Start a TCP server with a handler, or a UDP server with a name and `udp`."""
    running: list[Any] = []

    def start(what: Any, *, udp: bool = False, **rest: Any) -> Any:
        running.append(UdpServer(what, **rest) if udp else TcpServer(what, **rest))
        return running[-1]

    yield start
    for each in running:
        each.close()


def tcp(gateway: Flows, *backends: Any, port: int = 5000) -> tuple[Any, ...]:
    return gateway.listener("tcp", port, "TCP"), rule("TCPRoute", "route", ("tcp",), *backends)


def unused() -> tuple[str, int]:
    """An address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()


# --- TCP --------------------------------------------------------------------------------------------------------


def test_bytes_both_ways_and_what_is_counted(flows: Any, serve: Any) -> None:
    gateway, server = flows(), serve(named("one"))
    gateway.apply(*tcp(gateway, "app"), *backend("app", server.address))
    with gateway.connect(5000) as client:
        client.sendall(b"hello")
        assert read_exactly(client, 8) == b"onehello"
        labels = {"listener": "Gateway/default/gateway/tcp", "route": "TCPRoute/default/route"}
        assert gateway.metric("l4_connections_active", **labels) == 1
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    (line,) = gateway.ended()
    assert (line["client"], line["protocol"], line["tls"], line["sni"]) == (line["client"], "TCP", None, None)
    assert (line["route"], line["rule"]) == ("TCPRoute/default/route", "TCPRoute/default/route/0")
    assert (line["backend"], line["endpoint"]) == ("default/app:1", f"127.0.0.1:{server.address[1]}")
    assert (line["received_bytes"], line["sent_bytes"], line["error"]) == (5, 8, None)
    assert gateway.metric("l4_connections_active", **labels) == 0
    assert gateway.metric("l4_connections_total", **labels) == 1
    assert gateway.metric("l4_bytes_total", direction="received", **labels) == 5
    assert gateway.metric("l4_bytes_total", direction="sent", **labels) == 8


def test_the_end_of_one_direction_is_passed_on(flows: Any, serve: Any) -> None:
    def answers_at_the_end(connection: socket.socket) -> None:
        connection.sendall(b"got " + read_all(connection))

    def speaks_first(connection: socket.socket) -> None:
        connection.sendall(b"all of it")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read_all(connection))
        done.set()

    heard: list[bytes] = []
    done = threading.Event()
    gateway = flows()
    first, second = serve(answers_at_the_end), serve(speaks_first)
    gateway.apply(*tcp(gateway, "first"), *backend("first", first.address), *backend("second", second.address))
    with gateway.connect(5000) as client:
        client.sendall(b"everything")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"got everything"
    gateway.apply(rule("TCPRoute", "route", ("tcp",), "second"))
    with gateway.connect(5000) as client:
        assert read_all(client) == b"all of it"
        client.sendall(b"still here")
        client.shutdown(socket.SHUT_WR)
        assert done.wait(LIMIT)
    assert heard == [b"still here"]
    assert [line["error"] for line in gateway.ended(2)] == [None, None]


def test_large_transfers_meet_a_slow_reader(flows: Any, serve: Any) -> None:
    """24 MB each way while the client reads nothing at first: what waits is bounded by kernel and gateway buffers."""
    data = bytes(range(256)) * 4096 * 24
    gateway = flows()

    def swap(connection: socket.socket) -> None:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        received.append(read_all(connection))
        sender.join()

    received: list[bytes] = []
    server = serve(swap)
    gateway.apply(*tcp(gateway, "app"), *backend("app", server.address))
    with gateway.connect(5000) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == data
    assert received == [data]
    (line,) = gateway.ended()
    assert (line["received_bytes"], line["sent_bytes"]) == (len(data), len(data))


def test_a_reset_is_passed_on(flows: Any, serve: Any) -> None:
    seen: list[str] = []
    ended = threading.Event()

    def watch(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        try:
            read_all(connection)
            seen.append("end")
        except ConnectionResetError:
            seen.append("reset")
        ended.set()

    def break_off(connection: socket.socket) -> None:
        connection.recv(1)  # a reset that comes before is a connection that failed
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    gateway, watching, breaking = flows(), serve(watch), serve(break_off)
    gateway.apply(*tcp(gateway, "watch"), *backend("watch", watching.address), *backend("break", breaking.address))
    client = gateway.connect(5000)
    assert read_exactly(client, 5) == b"hello"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert ended.wait(LIMIT)
    assert seen == ["reset"]
    gateway.apply(rule("TCPRoute", "route", ("tcp",), "break"))
    with gateway.connect(5000) as client:
        client.sendall(b"x")
        assert is_reset(client)
    assert [line["error"] for line in gateway.ended(2)] == ["client_reset", "upstream_reset"]


def test_weights_share_connections_out(flows: Any, serve: Any) -> None:
    gateway = flows(workers=1)
    names = ("a", "b", "never")
    servers = {name: serve(named(name)) for name in names}
    gateway.apply(
        *tcp(gateway, ("a", 1), ("never", 0), ("b", 3)),
        *(item for name in names for item in backend(name, servers[name].address)),
    )
    shares: Counter[bytes] = Counter()
    for _ in range(80):
        with gateway.connect(5000) as client:
            shares[client.recv(1)] += 1
    assert set(shares) == {b"a", b"b"}
    assert 18 <= shares[b"a"] <= 22


def test_what_cannot_be_served_is_reset(flows: Any) -> None:
    gateway = flows()
    empty = gateway.listener("empty", 5001, "TCP")
    gateway.apply(empty, *tcp(gateway, "app"), *backend("app"))
    reasons = []
    for backends, expected in (
        (("app",), "no_endpoint"),
        ((("app", 0),), "no_backend"),
        ((), "no_backend"),
        (("-",), "backend_invalid"),
    ):
        gateway.apply(rule("TCPRoute", "route", ("tcp",), *backends))
        assert gateway.resets(5000)
        reasons.append((gateway.ended()[0]["error"], expected))
    assert all(seen == expected for seen, expected in reasons), reasons
    assert gateway.resets(5001)
    assert gateway.ended()[0]["error"] == "no_route"
    gateway.apply(rule("TCPRoute", "route", ("tcp",), "app"), *backend("app", unused()))
    assert gateway.resets(5000)
    assert gateway.ended()[0]["error"] == "upstream_connect"
    for _, reason in reasons:
        assert gateway.metric("l4_failures_total", reason=reason) >= 1


def test_another_endpoint_is_tried_where_one_does_not_accept(flows: Any, serve: Any) -> None:
    gateway, server = flows(workers=1), serve(named("alive"))
    gateway.apply(*tcp(gateway, "app"), *backend("app", unused(), server.address, unused()))
    for _ in range(10):
        with gateway.connect(5000) as client:
            assert read_exactly(client, 5) == b"alive"
    assert gateway.metric("upstream_connect_failures_total") >= 1


def test_the_endpoint_with_fewest_connections_is_next(flows: Any, serve: Any) -> None:
    gateway = flows(workers=1)
    servers = [serve(named(name)) for name in "ab"]
    gateway.apply(*tcp(gateway, "app"), *backend("app", *(server.address for server in servers)))
    with contextlib.ExitStack() as stack:
        names = Counter(stack.enter_context(gateway.connect(5000)).recv(1) for _ in range(40))
    assert names == {b"a": 20, b"b": 20}


def test_live_connections_outlive_changes(flows: Any, serve: Any) -> None:
    """Endpoints, weights, rules and whole listeners change: connections that are there go on, new ones see it."""
    gateway = flows()
    old, new = serve(named("old")), serve(named("new"))
    gateway.apply(*tcp(gateway, "app"), *backend("app", old.address))
    live = [gateway.connect(5000) for _ in range(8)]
    for client in live:
        assert read_exactly(client, 3) == b"old"

    def goes_on() -> None:
        for number, client in enumerate(live):
            client.sendall(b"%d" % number)
            assert read_exactly(client, 1) == b"%d" % number

    def next_one() -> bytes:
        with gateway.connect(5000) as client:
            return read_exactly(client, 3)

    gateway.apply(endpoint("app", new.address))
    goes_on()
    gateway.apply(remove=ir.Removals(endpoints=(endpoint_id("app", old.address),)))
    goes_on()
    assert {next_one() for _ in range(6)} == {b"new"}
    gateway.apply(endpoint("app", old.address, "draining"))
    assert {next_one() for _ in range(6)} == {b"new"}
    gateway.apply(endpoint("app", new.address, "draining"))
    assert {next_one() for _ in range(8)} == {b"old", b"new"}
    gateway.apply(remove=ir.Removals(l4_rules=("TCPRoute/default/route/0",)))
    goes_on()
    gateway.apply(remove=ir.Removals(listeners=("Gateway/default/gateway/tcp",)))
    goes_on()
    until_refused(gateway.address, 5000)
    for client in live:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
        client.close()


def test_silence_and_a_full_window_end_a_connection(flows: Any, serve: Any) -> None:
    gateway = flows(l4_idle_timeout_ms=300, workers=1)
    server = serve(named("x"))
    gateway.apply(*tcp(gateway, "app"), *backend("app", server.address))
    with gateway.connect(5000) as client:
        assert read_all(client) == b"x"
    assert gateway.ended()[0]["error"] == "idle_timeout"

    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * MEGABYTE)

    stalling = flows(stall_timeout_ms=300, workers=1)
    flooding = serve(flood)
    stalling.apply(*tcp(stalling, "app"), *backend("app", flooding.address))
    with stalling.connect(5000):
        assert stalling.ended()[0]["error"] == "stall_timeout"


def test_connections_are_bounded(flows: Any, serve: Any) -> None:
    """Beyond the limit connections wait in the kernel until another one has gone."""
    gateway, server = flows(workers=1, max_connections=4), serve(named("x"))
    gateway.apply(*tcp(gateway, "app"), *backend("app", server.address))
    held = [gateway.connect(5000) for _ in range(4)]
    for client in held:
        assert read_exactly(client, 1) == b"x"
    with gateway.connect(5000) as waiting:
        waiting.settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        held.pop().close()
        waiting.settimeout(LIMIT)
        assert read_exactly(waiting, 1) == b"x"
    for client in held:
        client.close()


def test_a_drain_waits_for_connections(flows: Any, serve: Any) -> None:
    gateway, server = flows(), serve(named("x"))
    gateway.apply(*tcp(gateway, "app"), *backend("app", server.address))
    client = gateway.connect(5000)
    assert read_exactly(client, 1) == b"x"
    drained: list[bool] = []
    drain = threading.Thread(target=lambda: drained.append(gateway.engine.drain(LIMIT)))
    drain.start()

    def is_refused() -> bool:
        try:
            gateway.connect(5000).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # in the queue of a socket that was closed
        return False

    until(is_refused, "new connections are refused")
    client.sendall(b"last words")
    assert read_exactly(client, 10) == b"last words"
    client.close()
    drain.join(LIMIT)
    assert drained == [True]
    # What does not end by itself is cut off at the limit.
    other = flows()
    other.apply(*tcp(other, "app"), *backend("app", server.address))
    with other.connect(5000) as held:
        assert read_exactly(held, 1) == b"x"
        assert not other.engine.drain(0.2)
        other.engine.shutdown()
        assert is_reset(held) in {True, False}


# --- TLS --------------------------------------------------------------------------------------------------------


def certificate(name: str, pair: Pair) -> ir.Certificate:
    return ir.Certificate(id=f"default/{name}", chain=pair.certificate.decode(), key=pair.key.decode())


def terminating(*names: str, **rest: Any) -> ir.ListenerTls:
    return ir.ListenerTls(certificates=tuple(f"default/{name}" for name in names), **rest)


def client_context(authority: Authority, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@pytest.fixture
def server_context(tmp_path: Path, authority: Authority) -> Callable[..., ssl.SSLContext]:
    def make(*names: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.sign(*names).write(tmp_path, names[0]))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    return make


def test_passthrough_goes_by_name(flows: Any, serve: Any, authority: Authority, server_context: Any) -> None:
    gateway = flows()
    wild = serve(named("wild"), tls=server_context("*.wild.test", alpn=("own",)))
    exact = serve(named("exact"), tls=server_context("one.wild.test"))
    gateway.apply(
        gateway.listener("tls", 5443, "TLS", hostname="*.wild.test"),
        rule("TLSRoute", "wild", ("tls",), "wild", hostnames=("*.wild.test",)),
        rule("TLSRoute", "exact", ("tls",), "exact", hostnames=("one.wild.test", "two.wild.test")),
        *backend("wild", wild.address),
        *backend("exact", exact.address),
    )
    context = client_context(authority, "own")
    with gateway.tls(5443, "one.wild.test", context) as client:
        assert read_exactly(client, 5) == b"exact"
    with gateway.tls(5443, "three.wild.test", context) as client:
        assert client.selected_alpn_protocol() == "own"
        client.sendall(b"ping")
        assert read_exactly(client, 8) == b"wildping"
        assert client.unwrap() is not None
    lines = {line["sni"]: line for line in gateway.ended(2)}
    assert lines["three.wild.test"]["tls"] == "passthrough"
    assert lines["three.wild.test"]["route"] == "TLSRoute/default/wild"
    with pytest.raises(ConnectionResetError):
        gateway.tls(5443, "elsewhere.test", context)
    context.check_hostname = False
    with pytest.raises(ConnectionResetError):
        gateway.tls(5443, None, context)
    assert [line["error"] for line in gateway.ended(2)] == ["no_listener", "no_listener"]
    gateway.apply(remove=ir.Removals(l4_rules=("TLSRoute/default/wild/0",)))
    with pytest.raises(OSError, match="reset"):
        gateway.tls(5443, "three.wild.test", context)
    assert gateway.ended()[0]["error"] == "no_route"


class Recorder:
    """Gives the first bytes of a TLS client."""

    def __init__(self, name: str) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        self.hello = outgoing.read()

    def records(self, size: int) -> bytes:
        """The same message in records of `size` bytes."""
        message = self.hello[5:]
        parts = [message[at : at + size] for at in range(0, len(message), size)]
        return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(part)) + part for part in parts)


def test_a_hello_in_pieces_arrives_as_it_was_sent(flows: Any, serve: Any) -> None:
    def keep(connection: socket.socket) -> None:
        heard.append(read_all(connection))
        arrived.release()

    heard: list[bytes] = []
    arrived = threading.Semaphore(0)
    gateway, server = flows(), serve(keep)
    gateway.apply(
        gateway.listener("tls", 5443, "TLS", hostname="pieces.test"),
        rule("TLSRoute", "route", ("tls",), "app"),
        *backend("app", server.address),
    )
    recorder = Recorder("pieces.test")
    for size, step in ((1, 4096), (1, 3), (7, 1), (len(recorder.hello), 1), (100, 50), (len(recorder.hello), 10**6)):
        data = recorder.records(size) + b"more"
        with gateway.connect(5443) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(data), step):
                client.sendall(data[at : at + step])
            client.shutdown(socket.SHUT_WR)
            assert arrived.acquire(timeout=LIMIT)
            assert heard.pop() == data


def test_what_is_no_hello_is_closed(flows: Any) -> None:
    gateway = flows(handshake_timeout_ms=400)
    gateway.apply(gateway.listener("tls", 5443, "TLS"))
    endless = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(64 * 1024)
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x80\x2e\x01\x00\x02", endless):
        with gateway.connect(5443) as client:
            with contextlib.suppress(OSError):
                client.sendall(data)
            with contextlib.suppress(ConnectionResetError):
                assert read_all(client) == b""
        assert gateway.ended()[0]["error"] == "hello_malformed"
    for data in (b"", Recorder("slow.test").hello[:-1]):
        with gateway.connect(5443) as client:
            client.sendall(data)
            assert read_all(client) == b""
        assert gateway.ended()[0]["error"] == "hello_timeout"
    assert gateway.metric("l4_failures_total", reason="hello_malformed") == 4


def test_a_drain_ends_who_has_not_begun_a_hello(flows: Any) -> None:
    """A client that keeps a connection ready has done nothing wrong."""
    gateway = flows()
    gateway.apply(gateway.listener("tls", 5443, "TLS"))
    with gateway.connect(5443) as client:
        assert gateway.engine.drain(LIMIT)
        assert read_all(client) == b""
    assert gateway.ended()[0]["error"] == "shutdown"
    assert gateway.metric("l4_failures_total", reason="shutdown") == 1
    assert gateway.metric("l4_failures_total", reason="hello_malformed") == 0


def test_a_drain_fails_no_handshake_that_has_not_begun(flows: Any) -> None:
    gateway = flows()
    gateway.apply(gateway.listener("https", 5443, "HTTPS"))
    with gateway.connect(5443) as client:
        assert gateway.engine.drain(LIMIT)
        assert read_all(client) == b""
    assert gateway.metric("connections_total") == 1
    assert gateway.metric("tls_handshake_failures_total") == 0


def test_termination(flows: Any, serve: Any, authority: Authority) -> None:
    """TLSRoute and TCPRoute on a terminating listener; a half-close; a new certificate for new handshakes."""

    def answers_at_the_end(connection: socket.socket) -> None:
        connection.sendall(b"got " + read_all(connection))

    gateway = flows()
    plain, last = serve(named("plain")), serve(answers_at_the_end)
    first, second = authority.sign("a.test"), authority.sign("a.test")
    gateway.apply(
        gateway.listener("tls", 5443, "TLS", hostname="a.test", tls=terminating("a")),
        gateway.listener("any", 5443, "TLS", tls=terminating("any")),
        rule("TLSRoute", "route", ("tls",), "plain", hostnames=("a.test",)),
        rule("TCPRoute", "route", ("any",), "last"),
        *backend("plain", plain.address),
        *backend("last", last.address),
        certificate("a", first),
        certificate("any", authority.sign("b.test")),
    )
    context = client_context(authority, "h2", "http/1.1")
    client = gateway.tls(5443, "a.test", context)
    # What is inside is not known, so nothing is agreed to.
    assert client.selected_alpn_protocol() is None
    assert client.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(first.certificate.decode())
    gateway.apply(certificate("a", second))
    with gateway.tls(5443, "a.test", context) as other:
        assert other.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(second.certificate.decode())
    client.sendall(b"live")
    assert read_exactly(client, 9) == b"plainlive"
    client.unwrap().close()
    lines = gateway.ended(2)
    assert {line["tls"] for line in lines} == {"terminate"}
    assert {line["sni"] for line in lines} == {"a.test"}
    # close_notify ends one direction; the answer comes after it.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="b.test")
    with gateway.connect(5443) as raw:

        def pump(step: Callable[[], Any]) -> None:
            while True:
                try:
                    step()
                    break
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    incoming.write(raw.recv(65536))
            raw.sendall(outgoing.read())

        pump(tls.do_handshake)
        pump(lambda: tls.write(b"everything"))
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        raw.sendall(outgoing.read())
        raw.shutdown(socket.SHUT_WR)
        incoming.write(read_all(raw))
        assert tls.read(64) == b"got everything"
    assert gateway.ended()[0]["error"] is None


def test_clients_of_a_terminating_listener_are_validated(
    flows: Any, serve: Any, authority: Authority, tmp_path: Path
) -> None:
    gateway, server = flows(), serve(named("in"))
    validation = ir.ClientValidation(mode=ir.ClientValidationMode.ALLOW_VALID_ONLY, trust=("default/ca",))
    gateway.apply(
        gateway.listener("tls", 5443, "TLS", tls=terminating("a", client_validation=validation)),
        rule("TLSRoute", "route", ("tls",), "app"),
        *backend("app", server.address),
        certificate("a", authority.sign("a.test")),
        ir.Trust(id="default/ca", pem=authority.pem.decode()),
    )
    context = client_context(authority)
    with (
        pytest.raises(OSError, match=r"CERTIFICATE_REQUIRED|reset|EOF|closed"),
        gateway.tls(5443, "a.test", context) as c,
    ):
        read_exactly(c, 2)
    assert gateway.ended()[0]["error"] == "handshake"
    context.load_cert_chain(*authority.sign("anna", client=True).write(tmp_path, "anna"))
    with gateway.tls(5443, "a.test", context) as client:
        assert read_exactly(client, 2) == b"in"


def test_https_passthrough_and_termination_on_one_port(
    flows: Any, serve: Any, authority: Authority, server_context: Any
) -> None:
    gateway = flows()

    def page(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npage")

    secure = serve(named("secure"), tls=server_context("pass.test"))
    plain, web = serve(named("plain")), serve(page)
    gateway.apply(
        gateway.listener("https", 5443, "HTTPS", hostname="www.test", tls=terminating("a")),
        gateway.listener("terminate", 5443, "TLS", hostname="term.test", tls=terminating("a")),
        gateway.listener("pass", 5443, "TLS", hostname="pass.test"),
        rule("TLSRoute", "pass", ("pass",), "secure"),
        rule("TLSRoute", "terminate", ("terminate",), "plain"),
        ir.HttpRule(
            id="HTTPRoute/default/web/0",
            route="HTTPRoute/default/web",
            index=0,
            listeners=("Gateway/default/gateway/https",),
            matches=(ir.Match(path=ir.PathPrefix(value="/")),),
            backends=(ir.WeightedBackend(backend="default/web:1", weight=1),),
        ),
        *backend("secure", secure.address),
        *backend("plain", plain.address),
        *backend("web", web.address),
        certificate("a", authority.sign("www.test", "term.test")),
    )
    context = client_context(authority, "http/1.1")
    with gateway.tls(5443, "www.test", context) as client:
        assert client.selected_alpn_protocol() == "http/1.1"
        for host, status in (("www.test", b"200"), ("term.test", b"421")):
            client.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
            assert client.recv(65536).split(b" ")[1] == status
    with gateway.tls(5443, "pass.test", context) as client:
        assert read_exactly(client, 6) == b"secure"
    with gateway.tls(5443, "term.test", context) as client:
        assert read_exactly(client, 5) == b"plain"
    # A hello in small pieces reaches the HTTPS listener too.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="www.test")
    with gateway.connect(5443) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    raw.sendall(bytes([byte]))
                incoming.write(raw.recv(65536))
        assert tls.getpeercert()["subjectAltName"] == (("DNS", "www.test"), ("DNS", "term.test"))


def test_tls_towards_backends(flows: Any, serve: Any, authority: Authority, server_context: Any) -> None:
    gateway = flows()
    secure = serve(named("secure"), tls=server_context("inside.test"))

    def policy(hostname: str, **rest: Any) -> ir.BackendTls:
        return ir.BackendTls(id="default/policy", hostname=hostname, trust=("default/ca",), **rest)

    gateway.apply(
        *tcp(gateway, "app"),
        gateway.listener("tls", 5443, "TLS", tls=terminating("a")),
        rule("TLSRoute", "route", ("tls",), "app"),
        *backend("app", secure.address, policies=("default/policy",)),
        policy("inside.test"),
        ir.Trust(id="default/ca", pem=authority.pem.decode()),
        certificate("a", authority.sign("a.test")),
    )
    context = client_context(authority)
    with gateway.connect(5000) as client:
        client.sendall(b"ping")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"secureping"
    with gateway.tls(5443, "a.test", context) as client:
        client.sendall(b"ping")
        assert read_exactly(client, 10) == b"secureping"
    gateway.ended(2)
    # Carelessness of a backend: what came is delivered.
    secure.polite = False
    with gateway.connect(5000) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"secure"
    (line,) = gateway.ended()
    assert (line["error"], line["error_detail"]) == (None, "TLS ended without close_notify")
    gateway.apply(policy("other.test"))
    assert gateway.resets(5000)
    assert gateway.ended()[0]["error"] == "upstream_tls"
    gateway.apply(policy("inside.test", invalid=True))
    assert gateway.resets(5000)
    assert gateway.ended()[0]["error"] == "backend_invalid"


# --- UDP --------------------------------------------------------------------------------------------------------


def udp(gateway: Flows, *backends: Any, port: int = 5000, **rest: Any) -> tuple[Any, ...]:
    return gateway.listener("udp", port, "UDP", **rest), rule("UDPRoute", "route", ("udp",), *backends)


def ask(client: socket.socket, data: bytes) -> bytes:
    client.send(data)
    return client.recv(65536)


def test_datagrams_both_ways_and_what_is_counted(flows: Any, serve: Any) -> None:
    gateway, server = flows(udp_idle_timeout_ms=200), serve("one", udp=True)
    gateway.apply(*udp(gateway, "app"), *backend("app", server.address))
    with gateway.datagrams(5000) as client:
        assert ask(client, b"hello") == b"one hello"
        assert ask(client, b"") == b"one "
        large = b"x" * 40_000
        assert ask(client, large) == b"one " + large
        assert len(server.peers) == 1
    (line,) = gateway.ended()
    assert (line["protocol"], line["error"], line["backend"]) == ("UDP", None, "default/app:1")
    assert (line["received_datagrams"], line["sent_datagrams"]) == (3, 3)
    assert (line["received_bytes"], line["sent_bytes"]) == (40_005, 40_017)
    labels = {"listener": "Gateway/default/gateway/udp", "route": "UDPRoute/default/route"}
    assert gateway.metric("l4_connections_total", **labels) == 1
    assert gateway.metric("l4_connections_active", **labels) == 0
    assert gateway.metric("l4_datagrams_total", direction="received", **labels) == 3
    assert gateway.metric("l4_bytes_total", direction="sent", **labels) == 40_017


def test_tcp_and_udp_share_a_port_number(flows: Any, serve: Any) -> None:
    gateway = flows()
    stream, datagrams = serve(named("tcp")), serve("udp", udp=True)
    gateway.apply(
        *tcp(gateway, "stream"),
        *udp(gateway, "datagrams"),
        *backend("stream", stream.address),
        *backend("datagrams", datagrams.address),
    )
    with gateway.connect(5000) as client:
        assert read_exactly(client, 3) == b"tcp"
    with gateway.datagrams(5000) as client:
        assert ask(client, b"x") == b"udp x"


def test_each_client_has_a_session_that_expires(flows: Any, serve: Any) -> None:
    gateway = flows(udp_idle_timeout_ms=300)
    servers = [serve(name, udp=True) for name in "ab"]
    gateway.apply(
        *udp(gateway, ("a", 1), ("b", 1)), *backend("a", servers[0].address), *backend("b", servers[1].address)
    )
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gateway.datagrams(5000)) for _ in range(20)]
        homes = [ask(client, b"1")[:1] for client in clients]
        assert set(homes) == {b"a", b"b"}
        assert [ask(client, b"2")[:1] for client in clients] == homes
        assert gateway.metric("l4_connections_active") == 20
        assert {line["error"] for line in gateway.ended(20)} == {None}
        assert gateway.metric("l4_connections_active") == 0
        # The next datagram begins another session.
        assert ask(clients[0], b"3")[1:] == b" 3"
    assert gateway.metric("l4_connections_total") == 21


def test_sessions_are_bounded(flows: Any, serve: Any) -> None:
    gateway, server = flows(udp_idle_timeout_ms=500, udp_max_sessions=5, workers=1), serve("x", udp=True)
    gateway.apply(*udp(gateway, "app"), *backend("app", server.address))
    with contextlib.ExitStack() as stack:
        known = [stack.enter_context(gateway.datagrams(5000)) for _ in range(5)]
        for client in known:
            assert ask(client, b"1") == b"x 1"
        further = stack.enter_context(gateway.datagrams(5000))
        further.send(b"2")
        for client in known:
            assert ask(client, b"3") == b"x 3"
        assert gateway.metric("l4_failures_total", reason="session_limit") == 1
        gateway.ended(5)
        assert ask(further, b"4") == b"x 4"


def test_sessions_stay_with_their_endpoint_while_it_is_there(flows: Any, serve: Any) -> None:
    gateway = flows()
    one, two = serve("one", udp=True), serve("two", udp=True)
    gateway.apply(*udp(gateway, "app"), *backend("app", one.address))
    with gateway.datagrams(5000) as client:
        assert ask(client, b"1") == b"one 1"
        gateway.apply(endpoint("app", two.address))
        for _ in range(4):
            assert ask(client, b"2") == b"one 2"
        gateway.apply(endpoint("app", one.address, "draining"))
        assert ask(client, b"3") == b"one 3"
        with gateway.datagrams(5000) as other:
            assert ask(other, b"4") == b"two 4"
        assert len(one.peers) == 1
        gateway.apply(remove=ir.Removals(endpoints=(endpoint_id("app", one.address),)))
        assert ask(client, b"5") == b"two 5"
        gateway.apply(remove=ir.Removals(l4_rules=("UDPRoute/default/route/0",)))
        client.send(b"6")
        # The session has ended; there is no other.
        assert len(gateway.ended(2)) == 2
    assert gateway.metric("l4_failures_total", reason="no_route") == 1


def test_an_unreachable_endpoint_is_left(flows: Any, serve: Any) -> None:
    gateway = flows(workers=1)
    gone, alive = serve("gone", udp=True), serve("alive", udp=True)
    gateway.apply(*udp(gateway, "app"), *backend("app", gone.address))
    with gateway.datagrams(5000) as client:
        assert ask(client, b"1") == b"gone 1"
        gateway.apply(endpoint("app", alive.address))
        gone.close()
        client.send(b"lost")
        assert gateway.ended()[0]["error"] == "upstream_reset"
        assert ask(client, b"2") == b"alive 2"


def test_answers_come_from_the_address_that_was_asked(flows: Any, serve: Any) -> None:
    """The socket is bound to every address; a connected client hears only the one that it asked."""
    gateway, server = flows(), serve("x", udp=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("0.0.0.0", 0))
        port = free.getsockname()[1]
    gateway.apply(*udp(gateway, "app", port=port, addresses=()), *backend("app", server.address))
    for address in ("127.0.0.1", "127.9.8.7", gateway.address):
        with gateway.datagrams(port, address) as client:
            assert ask(client, b"hello") == b"x hello"
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT)
        client.connect(("::1", port))
        assert ask(client, b"hello") == b"x hello"


class Mailbox:
    """A UDP backend that a test reads and answers from by hand."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(LIMIT)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MEGABYTE)
        self.socket.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.socket.getsockname()

    def receive(self, count: int) -> dict[tuple[str, int], list[bytes]]:
        """What came from each session, in the order that it came."""
        found: dict[tuple[str, int], list[bytes]] = {}
        for _ in range(count):
            data, peer = self.socket.recvfrom(65536)
            found.setdefault(peer, []).append(data)
        return found

    def rest(self) -> dict[tuple[str, int], list[bytes]]:
        """What has come by now, as `receive`."""
        found: dict[tuple[str, int], list[bytes]] = {}
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                data, peer = self.socket.recvfrom(65536)
                found.setdefault(peer, []).append(data)
        return found


@pytest.fixture
def mailbox() -> Iterator[Callable[[], Mailbox]]:
    with contextlib.ExitStack() as stack:

        def start() -> Mailbox:
            found = Mailbox()
            stack.enter_context(found.socket)
            return found

        yield start


def test_a_burst_arrives_whole_and_in_order(flows: Any, mailbox: Any) -> None:
    """More datagrams than one batch takes, from three clients by turns, with empty ones among them."""
    gateway, one, two = flows(workers=1), mailbox(), mailbox()
    gateway.apply(*udp(gateway, ("a", 1), ("b", 1)), *backend("a", one.address), *backend("b", two.address))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gateway.datagrams(5000)) for _ in range(3)]
        sent: list[list[bytes]] = [[] for _ in clients]
        for number in range(200):
            client = number % 3 if number < 100 else number // 34 % 3
            data = b"" if number % 7 == 3 else b"%d:%d" % (client, number)
            clients[client].send(data)
            sent[client].append(data)
        until(lambda: gateway.metric("l4_datagrams_total", direction="received") == 200, "200 datagrams are passed on")
        assert gateway.metric("l4_connections_active") == 3
        sessions = {(box.address, peer): data for box in (one, two) for peer, data in box.rest().items()}
        assert sorted(sessions.values()) == sorted(sent)
        # The backends have their turns.
        assert {address for address, _ in sessions} == {one.address, two.address}
    assert gateway.metric("l4_bytes_total", direction="received") == sum(map(len, (b"".join(each) for each in sent)))
    assert gateway.metric("l4_failures_total") == 0


def test_answers_to_several_clients_in_a_burst(flows: Any, mailbox: Any) -> None:
    """From a socket bound to every address: each answer comes from the address that was asked, also in one batch."""
    gateway, server = flows(workers=1), mailbox()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("0.0.0.0", 0))
        port = free.getsockname()[1]
    gateway.apply(*udp(gateway, "app", port=port, addresses=()), *backend("app", server.address))
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(gateway.datagrams(port, ("127.0.0.1", "127.9.8.7", gateway.address)[number % 3]))
            for number in range(12)
        ]
        six = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        six.settimeout(LIMIT)
        six.connect(("::1", port))
        clients.append(six)
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        peers = {data[0]: peer for peer, data in server.receive(len(clients)).items()}
        answers = [[b"" if turn == 5 else b"%d/%d" % (number, turn) for turn in range(10)] for number in range(13)]
        for turn in range(10):
            for number in range(len(clients)):
                server.socket.sendto(answers[number][turn], peers[b"%d" % number])
        for number, client in enumerate(clients):
            assert [client.recv(65536) for _ in range(10)] == answers[number]
        until(lambda: gateway.metric("l4_datagrams_total", direction="sent") == 130, "all answers are counted")
    assert gateway.metric("l4_failures_total") == 0


def test_a_datagram_too_large_for_the_backend_is_dropped_alone(flows: Any, mailbox: Any) -> None:
    """IPv6 carries 20 bytes more than IPv4: the largest of its datagrams does not fit into one of IPv4."""
    gateway, server = flows(workers=1), mailbox()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as free:
        free.bind(("::1", 0))
        port = free.getsockname()[1]
    gateway.apply(*udp(gateway, "app", port=port, addresses=("::1",)), *backend("app", server.address))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT)
        client.connect(("::1", port))
        sent = [b"1", b"", b"x" * 65_527, b"2", b"", b"y" * 65_507, b"3"]
        for data in sent:
            client.send(data)
        (arrived,) = server.receive(len(sent) - 1).values()
        assert arrived == [data for data in sent if len(data) <= 65_507]
        until(lambda: gateway.metric("l4_datagrams_total", direction="received") == len(arrived), "they are counted")
    assert gateway.metric("l4_failures_total", reason="send_buffer_full") == 1
    assert gateway.metric("l4_connections_active") == 1


def test_datagrams_without_a_way_are_dropped(flows: Any) -> None:
    gateway = flows(workers=1)
    gateway.apply(*udp(gateway, "app"), *backend("app"))
    with gateway.datagrams(5000) as client:
        for backends, reason in (((), "no_backend"), (("-",), "backend_invalid"), (("app",), "no_endpoint")):
            gateway.apply(rule("UDPRoute", "route", ("udp",), *backends))
            client.send(b"x")
            until(functools.partial(gateway.metric, "l4_failures_total", reason=reason), f"counted as {reason}")
    assert gateway.metric("l4_connections_total") in {0, 1}


def test_a_drain_lets_sessions_hear_their_answers(flows: Any, serve: Any) -> None:
    gateway, server = flows(), serve("x", udp=True)
    gateway.apply(*udp(gateway, "app"), *backend("app", server.address))
    with gateway.datagrams(5000) as client:
        assert ask(client, b"1") == b"x 1"
        drained: list[bool] = []
        drain = threading.Thread(target=lambda: drained.append(gateway.engine.drain(LIMIT)))
        drain.start()

        def is_dropped() -> bool:
            with gateway.datagrams(5000) as late:
                late.send(b"2")
            assert ask(client, b"3") == b"x 3"
            return gateway.metric("l4_failures_total", reason="draining") > 0

        until(is_dropped, "datagrams of new clients are dropped")
        drain.join(LIMIT)
        assert drained == [True]
    assert gateway.metric("l4_connections_active") == 0


# --- Ports ------------------------------------------------------------------------------------------------------


def test_ports_that_are_taken_are_told(flows: Any) -> None:
    gateway = flows()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((gateway.address, 0))
        port = other.getsockname()[1]
        with pytest.raises(AssertionError, match="address_in_use"):
            gateway.apply(gateway.listener("udp", port, "UDP"))
    reports = gateway.engine.retry_binds()
    assert reports[0].error is None
    assert reports[0].bound == (f"{gateway.address}:{port}",)
    gateway.apply(remove=ir.Removals(listeners=("Gateway/default/gateway/udp",)))
    with pytest.raises(Refused, match="another protocol"):
        gateway.apply(gateway.listener("a", 5000, "TCP"), gateway.listener("b", 5000, "TLS"))
