"""The ExternalAuth filter (GEP-1494): who is asked, what of a request, and what its answer does."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import h2.events
import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_ext_authz import AuthorizationServer, CheckResponse, headers
from system_gateway import Gateway
from system_manifests import Manifest, gateway, route, rule, service

PORT = 8080
HOST = "auth.test"
FORWARDED = 1000
Client = type[Http1] | type[Http2]
_numbers = itertools.count()


def external(name: str, protocol: str = "HTTP", **rest: Any) -> Manifest:
    auth = {"protocol": protocol, "backendRef": {"name": name, "port": 80}, protocol.lower(): {}, **rest}
    return {"filters": [{"type": "ExternalAuth", "externalAuth": auth}]}


def authorise(request: Received) -> bytes | None:
    """What the client asks for in `x-want`."""
    wanted = request.header("x-want") or ""
    if wanted == "nothing":
        return response(b"fine", headers=(("x-group", "a"),))
    if wanted == "login":
        fields = (("location", "https://login.test/"), ("set-cookie", "state=1"), ("x-internal", "1"))
        return response(b"go there", "302 Found", headers=fields)
    if wanted == "close":
        return None
    if wanted == "garbage":
        return b"\x00\x01 this is no answer\r\n\r\n"
    if wanted == "megabytes":
        return response(b"x" * 1_000_000, "403 Forbidden")
    if wanted == "endless-head":
        return b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000 + b"\r\n"
    if wanted.isdigit():
        return response(b"why", f"{wanted} Because", headers=(("www-authenticate", "Bearer"), ("connection", "close")))
    fields = (("x-user", "ada"), ("x-group", "a"), ("x-other", "1"), ("set-cookie", "session=2"), ("host", "evil.test"))
    return response(b"fine", headers=fields)


def check(request: Any) -> Any:
    """The same by gRPC."""
    wanted = request.headers.get("x-want", "")
    if wanted == "garbage":
        return b"\x0a\xff"
    if wanted == "login":
        denied = {"status": {"code": 302}, "headers": headers(Location="https://login.test/"), "body": "go there"}
        return CheckResponse(status={"code": 16}, denied_response=denied)
    if wanted.isdigit():
        denied = {"status": {"code": int(wanted)}, "headers": headers(www_authenticate="Bearer"), "body": "why"}
        return CheckResponse(status={"code": 7}, denied_response=denied)
    allowed = {
        "headers": headers(X_User="ada", Host="evil.test"),
        "headers_to_remove": ["x-secret"],
        "response_headers_to_add": headers(x_told="1"),
    }
    if wanted == "query":
        allowed["query_parameters_to_set"] = [{"key": "user", "value": "ada & b"}, {"key": "new", "value": ""}]
        allowed["query_parameters_to_remove"] = ["debug"]
    if wanted == "error":
        return CheckResponse(status={"code": 13}, error_response={"status": {"code": 500}, "body": "away"})
    return CheckResponse(status={}, ok_response=allowed)


class World:
    def __init__(self, start: Any, backend: Any) -> None:
        self.app: Backend = backend("app")
        self.auth: Backend = backend(authorise)
        self.grpc = AuthorizationServer(check)
        allowed = ["X-User", "x-group"]
        asked = {"allowedHeaders": ["X-Want", "x-role"], "allowedResponseHeaders": allowed}
        self.gateway: Gateway = start(
            gateway(),
            route(
                rule("/named", "app", **external("auth", http={"path": "/check", **asked})),
                rule("/all", "app", **external("auth", http={"allowedHeaders": ["x-want"]})),
                rule("/body", "app", **external("auth", http=asked, forwardBody={"maxSize": FORWARDED})),
                rule("/grpc", "app", **external("grpc", "GRPC", forwardBody={"maxSize": FORWARDED})),
                rule("/away", "app", **external("away")),
                rule("/nowhere", "app", **external("nowhere")),
                rule("/open", "app"),
            ),
            *service("app", self.app.address),
            *service("auth", self.auth.address),
            *service("grpc", self.grpc.address, protocol="kubernetes.io/h2c"),
            *service("away", ("127.0.0.1", 1)),
        )

    def send(
        self, client: Client, path: str, *fields: tuple[str, str], method: str = "GET", body: bytes | None = None
    ) -> tuple[Response, list[Received], list[Received]]:
        """The response, and what of this request reached the backend and the HTTP service."""
        target = f"{path}/{next(_numbers)}?a=b"
        connection = client(self.gateway.address, PORT)
        try:
            found = connection.request(method, HOST, target, fields, body)
        finally:
            connection.close()
        asked = [each for each in self.auth.requests if each.target.endswith(target)]
        return found, [each for each in self.app.requests if each.target == target], asked


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    found = World(start, backend)
    yield found
    found.grpc.close()


def test_who_may_pass(world: World, client: Client) -> None:
    sent = (("Authorization", "Bearer x"), ("X-Role", "user"), ("X-Role", "admin"), ("Cookie", "a=1"))
    found, [forwarded], [asked] = world.send(client, "/named", *sent, method="POST", body=b"body")
    assert found.status == 200
    assert (asked.method, asked.target.startswith("/check/named/"), asked.body) == ("POST", True, b"")
    names = ("host", "authorization", "x-role", "content-length", "cookie")
    assert [asked.header(name) for name in names] == [HOST, "Bearer x", "user, admin", "0", None]
    assert forwarded.body == b"body"
    assert [forwarded.header(name) for name in ("x-user", "x-group", "x-other", "host")] == ["ada", "a", None, HOST]
    # `set-cookie` is not among those that are allowed.
    assert found.header("set-cookie") is None
    assert forwarded.header("cookie") == "a=1"


def test_all_fields_of_an_answer(world: World, client: Client) -> None:
    """Without a list all are taken over but those of connection and message; cookies are the client's."""
    found, [forwarded], _ = world.send(client, "/all", ("X-User", "eve"), ("x_other", "eve"), ("content-type", "a/b"))
    assert found.header("set-cookie") == "session=2"
    assert [forwarded.header(name) for name in ("x-user", "x-other", "x_other")] == ["ada", "1", None]
    assert [forwarded.header(name) for name in ("host", "content-type", "set-cookie")] == [HOST, "a/b", None]


@pytest.mark.parametrize("name", ["X-User", "x-user", "X_User", "x.user"])
def test_nobody_says_who_they_are(world: World, client: Client, name: str) -> None:
    """A service that leaves a field out does not let the client's own through (GHSA-7r4p-vjf4-gxv4, CVE-2026-33433)."""
    found, [forwarded], [asked] = world.send(client, "/named", (name, "root"), ("x-want", "nothing"))
    assert found.status == 200
    assert [value for key, value in forwarded.headers if value == "root"] == []
    assert [value for key, value in asked.headers if value == "root"] == []
    assert forwarded.header("x-group") == "a"


def test_where_a_request_comes_from_is_ours_to_say(world: World, client: Client) -> None:
    """CVE-2026-35051: the service gets the same as a backend, and nothing of the client's."""
    lies = (("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Prefix", "/admin"), ("X-Forwarded-Uri", "/public"))
    _, [forwarded], [asked] = world.send(
        client, "/named", *lies, ("X_Forwarded_Method", "HEAD"), ("X-Real-IP", "6.6.6.6")
    )
    for name in ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"):
        assert asked.header(name) == forwarded.header(name) != "6.6.6.6"
    assert [value for _, value in asked.headers if value in {"6.6.6.6", "/admin", "/public", "HEAD"}] == []
    assert asked.header("x-forwarded-uri") == forwarded.target
    assert asked.header("x-forwarded-method") == "GET"


@pytest.mark.parametrize("path", ["/named", "/grpc"])
def test_who_may_not(world: World, client: Client, path: str) -> None:
    for status in (401, 403, 429):
        found, reached, _ = world.send(client, path, ("x-want", str(status)))
        assert (found.status, found.body, reached) == (status, b"why", [])
        assert found.header("www-authenticate") == "Bearer"
    found, reached, _ = world.send(client, path, ("x-want", "login"))
    assert (found.status, found.header("location"), found.body) == (302, "https://login.test/", b"go there")
    assert reached == []


def test_what_looks_like_an_answer_is_a_refusal(world: World, client: Client) -> None:
    """Only 200 is yes (`HTTPExternalAuthFilter.protocol`)."""
    for status in (201, 204, 206, 304):
        found, reached, _ = world.send(client, "/named", ("x-want", str(status)))
        assert (found.status, reached) == (403, []), status


@pytest.mark.parametrize("wanted", ["close", "garbage", "endless-head", "500", "503"])
def test_nonsense_is_no_answer(world: World, client: Client, wanted: str) -> None:
    """Neither yes nor no: a 403 would log people out (EG #6872)."""
    found, reached, _ = world.send(client, "/named", ("x-want", wanted))
    assert (found.status, reached) == (503, [])
    assert found.body.startswith(b"auth_unavailable: ")


def test_a_long_refusal_is_a_refusal(world: World, client: Client) -> None:
    found, reached, _ = world.send(client, "/named", ("x-want", "megabytes"))
    assert (found.status, reached) == (403, [])
    assert len(found.body) < 1000


def test_services_that_are_away(world: World, client: Client) -> None:
    """503 where nobody answers; 500 where there is no such service: that does not go away by itself."""
    found, reached, _ = world.send(client, "/away")
    assert (found.status, reached, found.body.split(b":")[0]) == (503, [], b"auth_unavailable")
    found, reached, _ = world.send(client, "/nowhere")
    assert (found.status, reached, found.body.split(b":")[0]) == (500, [], b"policy_invalid")
    assert world.send(client, "/open")[0].status == 200


def test_bodies_that_are_asked_about(world: World, client: Client) -> None:
    for size in (0, 1, FORWARDED):
        body = bytes(range(250)) * 4
        found, [forwarded], [asked] = world.send(client, "/body", method="POST", body=body[:size])
        assert (found.status, asked.body, forwarded.body) == (200, body[:size], body[:size])
        assert asked.header("content-length") == str(size)
    found, reached, asked_about = world.send(client, "/body", method="POST", body=bytes(FORWARDED + 1))
    assert (found.status, reached, asked_about) == (413, [], [])
    found, reached, [asked] = world.send(client, "/body", ("x-want", "403"), method="POST", body=b"refused")
    assert (found.status, reached, asked.body) == (403, [], b"refused")


def test_a_body_that_waits_to_be_asked_for(world: World) -> None:
    """It is asked for once: who gets it afterwards has it already."""
    connection = Http1(world.gateway.address, PORT)
    target = f"/body/{next(_numbers)}"
    head = f"POST {target} HTTP/1.1\r\nhost: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
    connection.send(head.encode())
    assert connection.read_raw(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(b"body")
    assert connection.read("POST").status == 200
    [asked] = [each for each in world.auth.requests if each.target == target]
    [forwarded] = [each for each in world.app.requests if each.target == target]
    assert asked.body == forwarded.body == b"body"
    assert forwarded.header("expect") is None
    connection.close()


def test_a_body_is_asked_for_once_over_http2(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    target = f"/body/{next(_numbers)}"
    fields = (("expect", "100-continue"), ("content-length", "4"))
    stream = connection.open("POST", HOST, target, fields, end=False)
    while not _told_to_go_on(connection):
        connection.pump()
    connection.send(stream, b"body", end=True)
    assert connection.read(stream).status == 200
    assert len(_told_to_go_on(connection)) == 1
    [forwarded] = [each for each in world.app.requests if each.target == target]
    assert (forwarded.body, forwarded.header("expect")) == (b"body", None)
    connection.close()


def _told_to_go_on(connection: Http2) -> list[h2.events.Event]:
    return [event for event in connection.events if isinstance(event, h2.events.InformationalResponseReceived)]


def test_a_chunked_body_is_kept_whole(world: World) -> None:
    connection = Http1(world.gateway.address, PORT)
    target = f"/body/{next(_numbers)}"
    connection.send(f"POST {target} HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    for piece in (b"one", b"two"):
        connection.send(b"3\r\n%s\r\n" % piece)
    connection.send(b"0\r\n\r\n")
    assert connection.read("POST").status == 200
    assert connection.request("GET", HOST, "/open").status == 200
    [forwarded] = [each for each in world.app.requests if each.target == target]
    assert forwarded.body == b"onetwo"
    connection.close()


@pytest.mark.parametrize(
    ("sent", "wanted", "forwarded"),
    [
        ("?user=root&a=1&%75ser=eve&debug", "query", "?a=1&user=ada%20%26%20b&new="),
        ("?debug", "query", "?user=ada%20%26%20b&new="),
        ("", "query", "?user=ada%20%26%20b&new="),
        ("?user=root&debug", "nothing", "?user=root&debug"),
    ],
)
def test_grpc_changes_the_query(world: World, client: Client, sent: str, wanted: str, forwarded: str) -> None:
    """Of what the backend gets: the service is asked about what the client sent."""
    path = f"/grpc/query/{next(_numbers)}/"
    with contextlib.closing(client(world.gateway.address, PORT)) as connection:
        assert connection.request("GET", HOST, f"{path}{sent}", (("x-want", wanted),)).status == 200
    [reached] = [each.target for each in world.app.requests if each.target.startswith(path)]
    [asked] = [each.request.http.path for each in world.grpc.asked if each.request.http.path.startswith(path)]
    assert (reached, asked) == (f"{path}{forwarded}", f"{path}{sent}")


def test_grpc_says_that_it_could_not_look(world: World, client: Client) -> None:
    found, reached, _ = world.send(client, "/grpc", ("x-want", "error"))
    assert (found.status, found.body.split(b":")[0], reached) == (503, b"auth_unavailable", [])


def test_grpc(world: World, client: Client) -> None:
    sent = (
        ("Authorization", "Bearer x"),
        ("x-role", "user"),
        ("x-role", "admin"),
        ("x-secret", "1"),
        ("x-user", "eve"),
    )
    found, [forwarded], _ = world.send(
        client, "/grpc", *sent, ("X-Forwarded-For", "6.6.6.6"), method="POST", body=b"body"
    )
    assert (found.status, found.header("x-told"), forwarded.body) == (200, "1", b"body")
    assert [forwarded.header(name) for name in ("x-user", "x-secret", "host")] == ["ada", None, HOST]
    asked = world.grpc.asked[-1]
    http = asked.request.http
    assert (http.method, http.path, http.host, http.scheme, http.body) == (
        "POST",
        forwarded.target,
        HOST,
        "http",
        "body",
    )
    # Every value: the last one alone would hide a role (CVE-2026-26308).
    assert (http.headers["x-role"], http.headers["authorization"]) == ("user,admin", "Bearer x")
    assert asked.source.address.socket_address.address == http.headers["x-forwarded-for"] == "127.0.0.1"
    found, reached, _ = world.send(client, "/grpc", ("x-want", "garbage"))
    assert (found.status, reached) == (503, [])


def test_upgrades_are_asked_about(world: World) -> None:
    """No byte of an upgrade goes up before the service has agreed (CVE-2025-64763)."""
    connection = Http1(world.gateway.address, PORT)
    target = f"/named/{next(_numbers)}"
    fields = (
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-want: 403\r\n"
    )
    connection.send(f"GET {target} HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\nearly bytes".encode())
    assert connection.read().status == 403
    [asked] = [each for each in world.auth.requests if each.target.endswith(target)]
    assert asked.header("upgrade") is None
    assert [each for each in world.app.requests if each.target == target] == []
    connection.close()


def test_a_request_that_is_not_forwarded_is_asked_about_too(start: Any, backend: Any, client: Client) -> None:
    auth = backend(authorise)
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "other.test"}}
    filters = [*external("auth", http={"allowedHeaders": ["x-want"]})["filters"], redirect]
    running = start(gateway(), route(rule("/", filters=filters)), *service("auth", auth.address))
    connection = client(running.address, PORT)
    assert connection.request("GET", HOST, "/", (("x-want", "403"),)).status == 403
    assert connection.request("GET", HOST, "/").status == 302
    connection.close()
