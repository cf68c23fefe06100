"""BackendPolicy on the wire: who gets a request, how many there may be, how long they take, what is told of clients."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from system_backends import LIMIT, Backend, Received, echo, read_request, response
from system_clients import Http1
from system_gateway import Gateway, until
from system_manifests import backend_policy, gateway, listener, metadata, policy, route, rule, service, target

PORT = 8080
HOST = "policy.test"


class World:
    """A gateway with two workers and one Service under a policy."""

    def __init__(self, start: Any, addresses: list[tuple[str, int]], rest: dict[str, Any] | None = None, **spec: Any):
        objects = [gateway(), route(rule("/", "app", **(rest or {}))), *service("app", *addresses)]
        self.gateway: Gateway = start(*objects, backend_policy("policy", "app", **spec), arguments=("--workers", "2"))

    def client(self, kind: Any = Http1) -> Any:
        return kind(self.gateway.address, PORT)

    def metric(self, name: str) -> int:
        lines = self.gateway.admin("/metrics").splitlines()
        [value] = [line.rpartition(" ")[2] for line in lines if line.startswith(f"sluicegate_{name} ")]
        return int(value)


class Held(Backend):
    """Answers only when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        super().__init__(self._wait)

    def _wait(self, request: Received) -> bytes:
        assert self.go.wait(LIMIT)
        return response(request.target.encode())


@pytest.fixture
def held() -> Iterator[Held]:
    backend = Held()
    yield backend
    backend.go.set()
    backend.close()


def names(client: Any, count: int, **request: Any) -> list[str]:
    found = [client.request("GET", HOST, request.get("target", "/"), request.get("headers", ())) for _ in range(count)]
    assert {each.status for each in found} == {200}
    return [str(each.echo["backend"]) for each in found]


def test_turns_are_taken_by_all_workers_together(start: Any, backend: Any, client: Any) -> None:
    """One turn, whichever worker a connection came to: each with a turn of its own would mix them."""
    addresses = [backend(name).address for name in "abc"]
    world = World(start, addresses, loadBalancing={"type": "RoundRobin"})
    found: list[str] = []
    for _ in range(30):  # connections, which both workers get
        each = world.client(client)
        found += names(each, 1)
        each.close()
    assert Counter(found[:3]) == {"a": 1, "b": 1, "c": 1}
    assert found == found[:3] * 10


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("header:X-User", {"headers": (("x-user", "1"),)}, {"headers": (("x-user", "{}"),)}),
        ("cookie:sid", {"headers": (("cookie", "a=b; sid=1"),)}, {"headers": (("cookie", "sid={}"),)}),
        ("query:u", {"target": "/?x=y&u=1"}, {"target": "/?u={}"}),
    ],
)
def test_a_key_stays_with_its_endpoint(
    start: Any, backend: Any, client: Any, key: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    backends = [backend(name) for name in "abcd"]
    hashed = {"type": "Hash", "hash": {"key": [key]}}
    world = World(start, [each.address for each in backends], loadBalancing=hashed)
    each = world.client(client)

    def of(number: int) -> str:
        def filled(value: Any) -> Any:
            return value.format(number) if isinstance(value, str) else tuple((n, v.format(number)) for n, v in value)

        return names(each, 1, **{name: filled(value) for name, value in other.items()})[0]

    assert len(set(names(each, 20, **one))) == 1
    before = [of(number) for number in range(40)]
    assert len(set(before)) == 4
    # One endpoint leaves: its keys move, and no others.
    left = [item.address for item, name in zip(backends, "abcd", strict=True) if name != "b"]
    objects = [gateway(), route(rule("/", "app")), *service("app", *left)]
    world.gateway.write(*objects, backend_policy("policy", "app", loadBalancing=hashed))
    after = [of(number) for number in range(40)]
    assert all(then in (now, "b") for now, then in zip(after, before, strict=True))
    assert "b" not in after
    each.close()


def test_what_is_over_the_limit_waits_and_what_may_not_wait_is_refused(start: Any, held: Held, client: Any) -> None:
    world = World(start, [held.address], limits={"requests": 2, "pending": 1}, timeouts={"connect": "1m"})
    with ThreadPoolExecutor(4) as pool:

        def ask(target: str) -> tuple[int, bytes]:
            each = world.client(client)
            found = each.request("GET", HOST, target)
            each.close()
            return found.status, found.body

        taken = [pool.submit(ask, f"/{number}") for number in range(3)]
        held.wait(2)
        # Another one that asks before the third has come would wait in its place.
        until(lambda: world.metric("upstream_pending_requests") == 1, "the third one waits")
        status, body = ask("/more")
        assert status == 503
        assert b"backend_overloaded" in body
        held.go.set()
        assert sorted(each.result(LIMIT)[0] for each in taken) == [200, 200, 200]
    assert len(held.requests) == 3


def test_who_waits_too_long_is_refused(start: Any, held: Held, client: Any) -> None:
    world = World(start, [held.address], limits={"requests": 1}, timeouts={"connect": "200ms"})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: world.client().request("GET", HOST, "/first").status)
        held.wait(1)
        each = world.client(client)
        found = each.request("GET", HOST, "/second")
        assert (found.status, found.body.partition(b":")[0]) == (503, b"backend_overloaded")
        held.go.set()
        assert first.result(LIMIT) == 200
        assert each.request("GET", HOST, "/third").status == 200
        each.close()


def test_connections_are_limited_and_go_on_to_who_waits(start: Any, held: Held, client: Any) -> None:
    """Eight requests of both workers share one connection: seven wait for it, and get it one after the other."""
    world = World(start, [held.address], limits={"connections": 1}, timeouts={"connect": "1m"})
    clients = [world.client(client) for _ in range(8)]

    def ask(each: Any) -> int:
        return int(each.request("GET", HOST, "/").status)

    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(ask, each) for each in clients]
        until(lambda: world.metric("upstream_pending_requests") == 7, "seven wait")
        assert len(held.requests) == 1
        held.go.set()
        assert [each.result(LIMIT) for each in sent] == [200] * 8
    for _ in range(2):
        assert [ask(each) for each in clients] == [200] * 8
    assert len(held.requests) == 24
    for each in clients:
        each.close()


def test_the_first_byte_has_a_limit_and_the_rest_has_none(start: Any, client: Any) -> None:
    held = threading.Event()

    class Slow(Backend):
        def serve(self, connection: socket.socket) -> None:
            stream = connection.makefile("rb")
            while (request := read_request(stream, connection)) is not None:
                if request.target == "/never":
                    held.wait(LIMIT)
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na")
                held.wait(1)  # longer than the limit
                connection.sendall(b"b")

    slow = Slow(echo("slow"))
    world = World(start, [slow.address], timeouts={"firstByte": "300ms"})
    each = world.client(client)
    found = each.request("GET", HOST, "/body")
    assert (found.status, found.body) == (200, b"ab")
    found = each.request("GET", HOST, "/never")
    assert (found.status, found.body.partition(b":")[0]) == (504, b"upstream_timeout")
    each.close()
    held.set()
    slow.close()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_post_is_sent_twice_only_where_the_backend_allows_it(
    start: Any, backend: Any, client: Any, allowed: bool
) -> None:
    statuses = iter(["503 Service Unavailable", "200 OK"] * 2)
    lock = threading.Lock()

    def answer(request: Received) -> bytes:
        with lock:
            return response(request.body, next(statuses))

    failing = backend(answer)
    methods = {"retries": {"methods": ["POST"]}} if allowed else {}
    retry = {"retry": {"codes": [503], "attempts": 1, "backoff": "1ms"}}
    world = World(start, [failing.address], retry, **methods)
    each = world.client(client)
    found = each.request("POST", HOST, "/", (), b"body")
    assert (found.status, found.body) == ((200, b"body") if allowed else (503, b"body"))
    assert [request.body for request in failing.requests] == [b"body"] * (2 if allowed else 1)
    each.close()


@pytest.mark.parametrize(
    ("within", "backoff", "tries"),
    [("1ms", "1ms", 1), ("1h", "1ms", 4), pytest.param("5s", "10s", 1, id="the-pause-is-longer")],
)
def test_tries_end_in_time(start: Any, backend: Any, client: Any, within: str, backoff: str, tries: int) -> None:
    """As `proxy-next-upstream-timeout` of ingress-nginx; what the last try says goes to the client."""

    def answer(_: Received) -> bytes:
        # Longer than the shorter time.
        time.sleep(0.01)
        return response(b"no", "503 Service Unavailable")

    failing = backend(answer)
    retry = {"retry": {"codes": [503], "attempts": 3, "backoff": backoff}}
    world = World(start, [failing.address], retry, retries={"within": within})
    each = world.client(client)
    found = each.request("GET", HOST, "/")
    assert (found.status, found.body, len(failing.requests)) == (503, b"no", tries)
    each.close()


def test_an_endpoint_that_answers_with_errors_is_ejected_and_comes_back(start: Any, backend: Any, client: Any) -> None:
    ill = threading.Event()
    ill.set()

    def answer(request: Received) -> bytes | None:
        return response(b"", "500 No") if ill.is_set() else echo("sometimes")(request)

    addresses = [backend(answer).address, backend("always").address]
    passive = {"consecutiveErrors": 3, "ejectFor": "1s"}
    objects = [gateway(), route(rule("/", "app")), *service("app", *addresses)]
    policy = backend_policy("policy", "app", health={"passive": passive})
    running: Gateway = start(*objects, policy, arguments=("--workers", "1"))
    each = client(running.address, PORT)
    statuses = [each.request("GET", HOST, "/").status for _ in range(40)]
    # Three of it, and one each time that it is tried again.
    assert 3 <= statuses.count(500) <= 6
    ill.clear()
    until(lambda: names(each, 1) == ["sometimes"], "it is used again")
    assert set(names(each, 20)) == {"always", "sometimes"}
    each.close()


class Told(Backend):
    """Reads a PROXY header first, and remembers it with each request."""

    def __init__(self) -> None:
        self.headers: list[bytes] = []
        super().__init__(echo("told"))

    def serve(self, connection: socket.socket) -> None:
        first = connection.recv(16, socket.MSG_WAITALL)
        if first.startswith(b"PROXY"):
            while not first.endswith(b"\r\n"):
                first += connection.recv(1)
        else:
            first += connection.recv(struct.unpack("!H", first[14:])[0], socket.MSG_WAITALL)
        self.headers.append(first)
        super().serve(connection)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_backend_is_told_of_the_client(start: Any, client: Any, version: str) -> None:
    told = Told()
    world = World(start, [told.address], connection={"proxyProtocol": version})
    clients = [world.client(client) for _ in range(3)]
    for _ in range(2):
        for each in clients:
            assert each.request("GET", HOST, "/").status == 200
    # A connection for each client, and none is used for another one.
    assert len(told.headers) == 3
    expected = set()
    for each in clients:
        (host, port), (to, to_port) = each.socket.getsockname()[:2], each.socket.getpeername()[:2]
        if version == "v1":
            expected.add(f"PROXY TCP4 {host} {to} {port} {to_port}\r\n".encode())
        else:
            addresses = socket.inet_aton(host) + socket.inet_aton(to) + struct.pack("!HH", port, to_port)
            expected.add(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + addresses)
        each.close()
    assert set(told.headers) == expected
    told.close()


def test_flows_are_told_limited_and_hashed_too(start: Any) -> None:
    """A TCPRoute: a header for each connection, no more connections than may be, and clients stay where they are."""
    told = Told()
    objects = [
        gateway(listener("tcp", PORT, "TCP")),
        {
            "apiVersion": "gateway.networking.k8s.io/v1alpha2",
            "kind": "TCPRoute",
            "metadata": metadata("flows"),
            "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": [{"name": "app", "port": 80}]}]},
        },
        *service("app", told.address),
    ]
    spec: dict[str, Any] = {"connection": {"proxyProtocol": "v1"}, "limits": {"connections": 1, "pending": 0}}
    running: Gateway = start(*objects, backend_policy("policy", "app", **spec))
    first = Http1(running.address, PORT)
    assert first.request("GET", HOST, "/").status == 200
    assert told.headers[0].startswith(b"PROXY TCP4 ")

    def refused() -> bytes:
        with socket.create_connection((running.address, PORT), LIMIT) as second:
            return second.recv(1)

    with pytest.raises(ConnectionResetError):
        refused()
    first.close()

    def served() -> bool:
        try:
            each = Http1(running.address, PORT)
            with contextlib.closing(each):
                return bool(each.request("GET", HOST, "/").status == 200)
        except (OSError, ValueError, AssertionError, IndexError):
            return False

    until(served, "its place is free again")
    told.close()


def test_questions_to_an_authoriser_are_among_its_requests(start: Any, backend: Any, held: Held, client: Any) -> None:
    """Who floods the gateway does not flood those whom it asks."""
    service_that_says = {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}, "timeout": "60s"}
    running: Gateway = start(
        gateway(),
        route(*(rule(f"/{name}", "app", name=name) for name in ("deny", "allow"))),
        *service("app", backend("app").address),
        *service("auth", held.address),
        *(
            policy(
                "AccessPolicy",
                name,
                target("HTTPRoute", "route", name),
                external={**service_that_says, "onUnavailable": name.title()},
            )
            for name in ("deny", "allow")
        ),
        backend_policy("few", "auth", limits={"requests": 1, "pending": 0}),
        arguments=("--workers", "2"),
    )

    def ask(path: str) -> tuple[int, bytes]:
        each = client(running.address, PORT)
        found = each.request("GET", HOST, path)
        each.close()
        return found.status, found.body.partition(b":")[0]

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, "/deny")
        held.wait(1)
        assert [ask("/deny") for _ in range(4)] == [(503, b"auth_unavailable")] * 4
        assert ask("/allow")[0] == 200
        held.go.set()
        assert first.result(LIMIT)[0] == 200
    assert len(held.requests) == 1
    assert ask("/deny")[0] == 200


def test_a_mirror_that_has_enough_is_left_out(start: Any, backend: Any, held: Held, client: Any) -> None:
    copy = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy", "port": 80}}}
    running: Gateway = start(
        gateway(),
        route(rule("/", "app", filters=[copy])),
        *service("app", backend("app").address),
        *service("copy", held.address),
        backend_policy("few", "copy", limits={"requests": 1, "pending": 9}),
        arguments=("--workers", "2"),
    )
    connection = client(running.address, PORT)
    for _ in range(4):
        assert connection.request("GET", HOST, "/").status == 200
    held.wait(1)
    assert 'sluicegate_mirror_failures_total{reason="overloaded"} 3\n' in running.admin("/metrics")
    held.go.set()

    def is_mirrored() -> bool:
        assert connection.request("GET", HOST, "/").status == 200
        return len(held.requests) > 1

    until(is_mirrored, "its place is free again")
    connection.close()
