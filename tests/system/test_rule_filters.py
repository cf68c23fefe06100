"""`credential`, `fault` and `buffer` of an HTTPFilter over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import select
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from h2.exceptions import StreamClosedError
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway, until
from system_manifests import backend as reference
from system_manifests import by, gateway, http_filter, opaque, policy, route, rule, service, target

PORT = 8080
HOST = "shop.test"
Client = type[Http1] | type[Http2]
SECRET = "s3cret-of-the-gateway"
OTHER = "another-s3cret"
MAX = 100_000


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> tuple[Gateway, Backend]:
    served = backend("app")
    found: Gateway = start(
        gateway(),
        route(
            rule("/token", "app", filters=by("token")),
            rule("/basic", "app", filters=by("basic")),
            rule("/key", "app", name="key", filters=by("key")),
            rule("/abort", "app", filters=by("abort")),
            rule("/some", "app", filters=by("some")),
            rule("/slow", "app", filters=by("slow")),
            rule("/short", "app", filters=by("slow"), timeouts={"request": "100ms"}),
            rule("/buffer", "app", filters=by("buffer")),
            rule("/twice", "app", filters=by("buffer", "other-buffer")),
        ),
        *service("app", served.address),
        opaque("token", token=SECRET),
        opaque("user", username="gate", password="way"),
        opaque("key", it=SECRET),
        http_filter("token", credential={"secretRef": {"name": "token"}}),
        http_filter("basic", credential={"secretRef": {"name": "user"}}),
        http_filter("key", credential={"secretRef": {"name": "key", "key": "it"}, "header": "X-Api-Key"}),
        http_filter("abort", fault={"abort": {"status": 418}, "when": "'yes' in request.headers['x-fault']"}),
        http_filter("some", fault={"abort": {"status": 500, "percent": 25}}),
        http_filter("slow", fault={"delay": {"duration": "300ms"}}),
        http_filter("buffer", buffer={"maxSize": MAX}),
        http_filter("other-buffer", buffer={"maxSize": "1Mi"}),
        opaque("clients", ann=OTHER),
        # Who asks proves it under the name under which the gateway does.
        policy(
            "AccessPolicy",
            "key",
            target("HTTPRoute", "route", "key"),
            apiKey={"secretRefs": [{"name": "clients"}], "from": [{"header": "X-Api-Key"}], "keep": True},
        ),
    )
    return found, served


def ask(world: Any, client: Client, path: str, *fields: tuple[str, str], **rest: Any) -> Response:
    connection = client(world[0].address, PORT)
    try:
        return connection.request(rest.get("method", "GET"), HOST, path, fields, rest.get("body"))
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["Authorization", "authorization", "X_Authorization"])
def test_a_credential_is_the_gateways(world: Any, client: Client, name: str) -> None:
    found = ask(world, client, "/token", (name, "Bearer mine"))
    sent = [value for key, value in found.echo["headers"] if key.lower() == "authorization"]
    assert sent == [f"Bearer {SECRET}"]
    assert ask(world, client, "/basic", (name, "Basic x")).sent("authorization") == "Basic Z2F0ZTp3YXk="


def test_a_credential_beside_one_of_the_client(world: Any, client: Client) -> None:
    """The client's proves who asks; the backend gets the gateway's, in whatever spelling the other came."""
    assert ask(world, client, "/key").status == 401
    found = ask(world, client, "/key", ("x-api-key", OTHER), ("x_api_key", "mine"))
    assert (found.status, found.sent("x-api-key"), found.sent("x_api_key")) == (200, SECRET, None)


def test_a_credential_of_one_backend(start: Any, backend: Any, client: Client) -> None:
    """It goes nowhere else, and there in place of the rule's."""
    both = [{**reference("app"), "filters": by("own")}, reference("other")]
    running = start(
        gateway(),
        route(rule("/one", *both), rule("/instead", *both, filters=by("all"))),
        *service("app", backend("app").address),
        *service("other", backend("other").address),
        opaque("own", credential=SECRET),
        opaque("all", credential=OTHER),
        http_filter("own", credential={"secretRef": {"name": "own"}, "header": "X-Key"}),
        http_filter("all", credential={"secretRef": {"name": "all"}, "header": "X-Key"}),
    )
    connection = client(running.address, PORT)
    seen = set()
    try:
        for path in ("/one", "/instead"):
            for _ in range(6):
                found = connection.request("GET", HOST, path, (("x-key", "mine"), ("x_key", "mine")))
                seen.add((path, found.echo["backend"], found.sent("x-key"), found.sent("x_key")))
    finally:
        connection.close()
    assert seen == {
        ("/one", "app", SECRET, None),
        ("/one", "other", "mine", "mine"),
        ("/instead", "app", SECRET, None),
        ("/instead", "other", OTHER, None),
    }
    assert SECRET not in running.admin("/config")


def test_a_backend_without_its_credential(start: Any, backend: Any) -> None:
    """Its share is answered 500, as that of a backend that is not there; the others' go on."""
    objects = [
        gateway(),
        route(rule("/", {**reference("app"), "filters": by("own")}, reference("other"))),
        *service("app", backend("app").address),
        *service("other", backend("other").address),
        http_filter("own", credential={"secretRef": {"name": "own"}}),
    ]
    running = start(*objects)

    def statuses() -> set[int]:
        connection = Http1(running.address, PORT)
        try:
            return {connection.request("GET", HOST, "/").status for _ in range(6)}
        finally:
            connection.close()

    assert statuses() == {200, 500}
    running.write(*objects, opaque("own", credential=SECRET))
    until(lambda: statuses() == {200}, "the credential")


def test_nobody_is_shown_a_credential(world: Any) -> None:
    running = world[0]
    for path in ("/config", "/metrics"):
        text = running.admin(path)
        assert not any(part in text for part in (SECRET, "Z2F0ZTp3YXk")), path
    assert "filter_credential" in running.admin("/config")


def test_a_secret_is_followed(start: Any, backend: Any, client: Client) -> None:
    objects = [
        gateway(),
        route(rule("/", "app", filters=by("token"))),
        *service("app", backend("app").address),
        http_filter("token", credential={"secretRef": {"name": "token"}, "header": "X-Token", "scheme": "Key"}),
    ]
    running = start(*objects, opaque("token", credential="one"))

    def sent() -> tuple[int, str | None]:
        connection = client(running.address, PORT)
        try:
            found = connection.request("GET", HOST, "/")
            return found.status, found.sent("x-token") if found.status == 200 else None
        finally:
            connection.close()

    assert sent() == (200, "Key one")
    running.write(*objects, opaque("token", credential="two"))
    until(lambda: sent() == (200, "Key two"), "the other secret")
    # Never without it.
    running.write(*objects)
    until(lambda: sent() == (500, None), "the rule without its secret")
    running.write(*objects, opaque("token", credential="three\n"))
    until(lambda: sent() == (200, "Key three"), "the secret that came back")


def test_aborts(world: Any, client: Client) -> None:
    found = ask(world, client, "/abort", ("x-fault", "yes"))
    assert (found.status, found.body.partition(b":")[0]) == (418, b"fault")
    for fields in ((), (("x-fault", "no"),)):
        assert ask(world, client, "/abort", *fields).status == 200


def test_a_share_of_requests(world: Any, client: Client) -> None:
    def counted() -> int:
        name = 'sluicegate_faults_total{rule="HTTPRoute/default/route/4",fault="abort"} '
        return int(world[0].admin("/metrics").partition(name)[2].partition("\n")[0] or 0)

    connection, before = client(world[0].address, PORT), counted()
    try:
        statuses = [connection.request("GET", HOST, "/some").status for _ in range(100)]
    finally:
        connection.close()
    assert 20 <= statuses.count(500) <= 30
    assert statuses.count(500) + statuses.count(200) == 100
    assert counted() - before == statuses.count(500)


def test_delays(world: Any, client: Client) -> None:
    begun = time.monotonic()
    assert ask(world, client, "/slow").status == 200
    assert 0.3 <= time.monotonic() - begun < 30
    # A rule's limit of time holds for it too.
    assert ask(world, client, "/short").status == 504


def test_bodies_are_collected(world: Any, client: Client) -> None:
    body = b"x" * MAX
    found = ask(world, client, "/buffer", method="POST", body=body)
    assert (found.status, found.sent("content-length"), len(found.echo["body"])) == (200, str(MAX), MAX)
    assert found.sent("transfer-encoding") is None
    assert ask(world, client, "/buffer", method="POST", body=b"").sent("content-length") == "0"
    found = ask(world, client, "/buffer", method="POST", body=body + b"x")
    assert (found.status, found.body.partition(b":")[0]) == (413, b"body_too_large")
    assert ask(world, client, "/twice").status == 500


def test_a_chunked_body_has_a_length(world: Any) -> None:
    connection = Http1(world[0].address, PORT)
    try:
        connection.send(b"POST /buffer HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n")
        count = len(world[1].requests)
        connection.send(b"5\r\nhello\r\n")
        assert connection_is_quiet(world, count)
        connection.send(b"6\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n")
        found = connection.read()
        assert (found.sent("content-length"), found.echo["body"]) == ("11", "hello world")
        assert found.sent("transfer-encoding") is None
        # The length counts as it comes.
        connection.send(b"POST /buffer HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n")
        connection.send(b"%x\r\n%s\r\n" % (MAX, b"x" * MAX) + b"1\r\nx\r\n")
        assert connection.read().status == 413
    finally:
        connection.close()


def connection_is_quiet(world: Any, count: int) -> bool:
    """A request that went by since then would have brought what was held before it to the backend."""
    other = Http1(world[0].address, PORT)
    try:
        assert other.request("GET", HOST, "/token").status == 200
    finally:
        other.close()
    return [each.target for each in world[1].requests[count:]] == ["/token"]


def test_expect_continue(world: Any) -> None:
    """The gateway asks for the body itself; the backend has it in one piece."""
    connection = Http1(world[0].address, PORT)
    try:
        connection.send(
            b"POST /buffer HTTP/1.1\r\nhost: shop.test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
        )
        assert connection.read_raw(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"hello")
        found = connection.read()
        assert (found.status, found.echo["body"], found.sent("expect")) == (200, "hello", None)
    finally:
        connection.close()


def test_bodies_have_a_room(start: Any, backend: Any, client: Client, tmp_path: Path) -> None:
    """All that are collected at once share it; who finds none is told, and others go on."""
    settings = tmp_path / "settings.toml"
    settings.write_text("[engine]\nbody_buffer_bytes = 1048576\n")
    running = start(
        gateway(),
        route(rule("/buffer", "app", filters=by("buffer")), rule("/", "app")),
        *service("app", backend("app").address),
        http_filter("buffer", buffer={"maxSize": "2Mi"}),
        arguments=("--config", str(settings)),
    )
    waiting = Http1(running.address, PORT)
    second = client(running.address, PORT)
    try:
        head = b"POST /buffer HTTP/1.1\r\nhost: shop.test\r\ncontent-length: %d\r\n\r\n"
        large = head % 1_000_000 + b"x" * 999_999
        waiting.send(large)

        def is_full() -> bool:
            second = client(running.address, PORT)
            try:
                if isinstance(second, Http2):
                    stream = second.open("POST", HOST, "/buffer", (("content-length", "100000"),), end=False)
                    # Who is told before all of it is sent need not send the rest.
                    with suppress(StreamClosedError):
                        second.send(stream, b"x" * 100_000, end=True)
                    found = second.read(stream)
                else:
                    found = second.request("POST", HOST, "/buffer", (), b"x" * 100_000)
                return (found.status, found.body.partition(b":")[0]) == (503, b"buffers_full")
            finally:
                second.close()

        def is_held() -> bool:
            """A small body may have been first, and the large one be refused: then that comes again."""
            nonlocal waiting
            if select.select([waiting.socket], [], [], 0)[0]:
                waiting.close()
                waiting = Http1(running.address, PORT)
                waiting.send(large)
            return is_full()

        until(is_held, "no room")
        assert second.request("POST", HOST, "/", (), b"x" * 100_000).status == 200
        waiting.send(b"x")
        assert waiting.read().status == 200
        until(lambda: not is_full(), "room")
    finally:
        waiting.close()
        second.close()


def test_a_collected_body_is_sent_again(start: Any, backend: Any) -> None:
    """Larger than what is kept on the way, since it is in memory anyway."""
    tries: list[Received] = []

    def answer(request: Received) -> bytes:
        tries.append(request)
        return response(b"", "503 Busy") if len(tries) == 1 else response(b"done")

    running = start(
        gateway(),
        route(rule("/", "app", filters=by("buffer"), retry={"codes": [503], "attempts": 1})),
        *service("app", backend(answer).address),
        http_filter("buffer", buffer={"maxSize": "1Mi"}),
    )
    connection = Http1(running.address, PORT)
    try:
        body = b"x" * 300_000
        assert connection.request("PUT", HOST, "/", (), body).body == b"done"
        assert [len(each.body) for each in tries] == [len(body)] * 2
    finally:
        connection.close()
