"""Ways around policies that were found: each was one, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, Backend2, Received, response
from system_clients import Http1, Http2, Response
from system_ext_authz import AuthorizationServer, CheckResponse, headers
from system_gateway import Gateway, until
from system_manifests import (
    Manifest,
    gateway,
    grpc_route,
    grpc_rule,
    listener,
    metadata,
    policy,
    route,
    rule,
    service,
    target,
)
from system_tokens import Issuer, bearer
from test_access_policy import ANN, KEY_ANN, KEY_BOB, USERS, basic, opaque
from test_access_remote import jwt, keys_of

PORT = 8080
HOST = "access.test"
H2C = "kubernetes.io/h2c"
TOLD = {"forward": {"header": "X-User"}}
KEYS = {"secretRefs": [{"name": "keys"}], **TOLD}
PASSWORDS = {"secretRef": {"name": "users", "key": "auth"}, **TOLD}
DENIED = {
    "method": {"methods": ["DELETE"]},
    "host": {"headers": [{"name": "host", "values": ["admin.test"]}]},
    "role": {"headers": [{"name": "x-role", "values": ["admin"]}]},
}


def access(name: str, **stanzas: Any) -> Manifest:
    return policy("AccessPolicy", name, target("HTTPRoute", "route", name), **stanzas)


def deny(**rules: Any) -> Manifest:
    return {"default": "Allow", "rules": [{"action": "Deny", **rules}]}


def says_eve(request: Received) -> bytes:
    return response(b"", headers=(("x-user", "eve"),))


def external(name: str, protocol: str = "HTTP", **rest: Any) -> Manifest:
    return {"protocol": protocol, "backendRef": {"name": name, "port": 80}, **rest}


class World:
    def __init__(self, start: Any, backend: Any, backend2: Any) -> None:
        self.app: Backend = backend("app")
        self.app2: Backend2 = backend2("app2")
        self.auth: Backend = backend(says_eve)
        removed = {"headers": headers(x_mail="eve@a.test"), "headers_to_remove": ["x-roles"]}
        self.grpc = AuthorizationServer(lambda _: CheckResponse(status={}, ok_response=removed))
        self.issuer = Issuer("one")
        named = {"http": {"allowedResponseHeaders": ["x-user"]}}
        names = ("key", "either", "other", "asked", "all", "grpc", "loose", "csrf", *DENIED)
        self.gateway: Gateway = start(
            gateway(),
            route(
                *(rule(f"/{name}", "app", name=name) for name in names),
                *(rule(f"/{name}", "app2", name=name) for name in ("key2", "asked2")),
            ),
            grpc_route(grpc_rule("app2"), name="calls", hostnames=["calls.test"]),
            policy("AccessPolicy", "calls", target("GRPCRoute", "calls"), apiKey=KEYS),
            *service("app", self.app.address),
            *service("app2", self.app2.address, protocol=H2C),
            *service("auth", self.auth.address),
            *service("grpc", self.grpc.address, protocol=H2C),
            opaque("keys", ann=KEY_ANN),
            opaque("users", auth=USERS),
            keys_of(self.issuer.jwk()),
            access("key", apiKey=KEYS),
            access("key2", apiKey=KEYS),
            access("either", jwt=jwt(), basic=PASSWORDS),
            access("other", jwt=jwt(), apiKey={**KEYS, "from": [{"header": "Authorization", "prefix": "Key "}]}),
            access("asked", jwt=jwt(), external=external("auth", **named)),
            access("asked2", external=external("auth", **named)),
            access("all", jwt=jwt(), external=external("auth")),
            access("grpc", jwt=jwt(), external=external("grpc", "GRPC")),
            access("csrf", csrf={}),
            access("loose", jwt=jwt(mode="Optional", keep=False)),
            *(access(name, authorization=deny(**rules)) for name, rules in DENIED.items()),
        )

    def ask(self, client: Any, path: str, *fields: tuple[str, str], method: str = "GET", host: str = HOST) -> Response:
        connection = client(self.gateway.address, PORT)
        try:
            found: Response = connection.request(method, host, path, fields)
        finally:
            connection.close()
        return found


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any) -> Iterator[World]:
    found = World(start, backend, backend2)
    yield found
    found.grpc.close()


def post_with_trailers(world: World, client: Any, path: str, *trailers: tuple[str, str]) -> Received:
    """Send a body with trailers; what the backend got."""
    app = world.app2 if path.endswith("2") else world.app
    before = len(app.requests)
    connection = client(world.gateway.address, PORT)
    if client is Http1:
        lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
        head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\nx-api-key: {KEY_ANN}\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.send(f"{head}1\r\na\r\n0\r\n{lines}\r\n".encode())
        assert connection.read().status == 200
    else:
        stream = connection.open("POST", HOST, path, (("x-api-key", KEY_ANN),), end=False)
        connection.send(stream, b"a")
        connection.trailers(stream, list(trailers))
        assert connection.read(stream).status == 200
    connection.close()
    return app.wait(before + 1)[before]


@pytest.mark.parametrize("path", ["/key", "/key2"])
def test_a_trailer_says_nobody_s_name(world: World, client: Any, path: str) -> None:
    """Some backends merge trailers into the head: what policies set, and what they take out, is in neither."""
    sent = (("x-user", "root"), ("x_user", "root"), ("x-api-key", "root"), ("X.API.Key", "root"))
    found = post_with_trailers(world, client, path, *((name.lower(), value) for name, value in sent), ("x-sum", "1"))
    assert (found.header("x-user"), found.header("x-api-key")) == ("ann", None)
    assert found.trailers == [("x-sum", "1")]
    # Nothing is left of them at all.
    assert post_with_trailers(world, client, path, ("x-user", "root")).trailers == []


def test_a_trailer_says_nothing_that_a_service_says(world: World, client: Any) -> None:
    found = post_with_trailers(world, client, "/asked2", ("x-user", "root"), ("x_user", "root"), ("x-sum", "1"))
    assert (found.header("x-user"), found.trailers) == ("eve", [("x-sum", "1")])


def test_a_trailer_of_a_call_says_nobody_s_name(world: World) -> None:
    before = len(world.app2.requests)
    connection = Http2(world.gateway.address, PORT)
    sent = (("x-api-key", KEY_ANN), ("content-type", "application/grpc"), ("te", "trailers"))
    stream = connection.open("POST", "calls.test", "/a.B/C", sent, end=False)
    connection.send(stream, b"\0\0\0\0\0")
    connection.trailers(stream, [("x-user", "root"), ("x_api_key", "root"), ("x-sum", "1")])
    connection.read(stream)
    connection.close()
    found = world.app2.wait(before + 1)[before]
    assert (found.header("x-user"), found.trailers) == ("ann", [("x-sum", "1")])


def test_a_service_says_who_asks_in_place_of_a_token(world: World, client: Any) -> None:
    token = bearer(world.issuer.token(realm={"roles": ["a"]}))
    for path, user, roles in (("/asked", "eve", "a"), ("/all", "eve", "a"), ("/grpc", "ada", None)):
        found = world.ask(client, path, token)
        assert (found.status, found.sent("x-user"), found.sent("x-roles")) == (200, user, roles), path


def test_the_first_proof_is_told_to_the_backend(start: Any, backend: Any, client: Any) -> None:
    """A Gateway's users are asked for before a route's keys: one field says who it is, not two."""
    app: Backend = backend("app")
    above = policy("AccessPolicy", "above", target("Gateway", "gateway"), strategy="Overrides", basic=PASSWORDS)
    found: Gateway = start(
        gateway(),
        route(rule("/", "app", name="key")),
        *service("app", app.address),
        opaque("keys", bob=KEY_BOB),
        opaque("users", auth=USERS),
        above,
        access("key", apiKey=KEYS),
    )
    connection = client(found.address, PORT)
    answer = connection.request("GET", HOST, "/", (("x-api-key", KEY_BOB), *basic("ann", ANN)))
    connection.close()
    assert (answer.status, answer.sent("x-user"), answer.sent("authorization")) == (200, "ann", None)


@pytest.mark.parametrize("below", [target("Gateway", "gateway", "http"), target("ListenerSet", "set")])
@pytest.mark.parametrize("stanzas", [{"exempt": {"methods": ["GET"]}}, {"apiKey": KEYS}])
def test_no_override_weakens_another_one(start: Any, backend: Any, client: Any, below: Any, stanzas: Any) -> None:
    """What a Gateway asks for has to be there, whatever listeners and ListenerSets override with; and it says who."""
    app: Backend = backend("app")
    parent = {"group": "gateway.networking.k8s.io", "kind": below["kind"], "name": below["name"]}
    listeners: Manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ListenerSet",
        "metadata": metadata("set"),
        "spec": {"parentRef": {"name": "gateway"}, "listeners": [listener("more", 8090)]},
    }
    found: Gateway = start(
        gateway(allowedListeners={"namespaces": {"from": "Same"}}),
        listeners,
        route(rule("/", "app"), parents=[parent]),
        *service("app", app.address),
        opaque("keys", bob=KEY_BOB),
        opaque("users", auth=USERS),
        policy("AccessPolicy", "above", target("Gateway", "gateway"), strategy="Overrides", basic=PASSWORDS),
        policy("AccessPolicy", "below", below, strategy="Overrides", **stanzas),
    )
    connection = client(found.address, PORT if below["kind"] == "Gateway" else 8090)
    key, password = ("x-api-key", KEY_BOB), basic("ann", ANN)
    assert connection.request("GET", HOST, "/").status == 401
    assert connection.request("GET", HOST, "/", (key,)).status == 401
    answer = connection.request("GET", HOST, "/", (key, *password))
    assert (answer.status, answer.sent("x-user")) == (200, "ann")
    assert connection.request("GET", HOST, "/", password).status == (401 if "apiKey" in stanzas else 200)
    connection.close()


@pytest.mark.parametrize("path", ["/either", "/other"])
def test_a_token_goes_on_where_something_else_would_do_too(world: World, client: Any, path: str) -> None:
    token = bearer(world.issuer.token())
    found = world.ask(client, path, token)
    assert (found.status, found.sent("x-user"), found.sent("authorization")) == (200, "ada", token[1])
    other = basic("ann", ANN) if path == "/either" else (("authorization", f"key  {KEY_ANN}"),)
    found = world.ask(client, path, *other)
    assert (found.status, found.sent("x-user"), found.sent("authorization")) == (200, "ann", None)


@pytest.mark.parametrize("space", ["\t", " \t", "  "])
def test_a_credential_is_one_whatever_blank_is_behind_its_scheme(world: World, client: Any, space: str) -> None:
    """An invalid one is 401 though none would do: some backends would take it."""
    assert world.ask(client, "/loose", ("authorization", f"Bearer{space}nonsense")).status == 401
    valid = ("authorization", f"bearer{space}{world.issuer.token()}")
    found = world.ask(client, "/loose", valid)
    assert (found.status, found.sent("x-user"), found.sent("authorization")) == (200, "ada", None)
    wrong = ("authorization", f"Basic{space}{basic('ann', 'wrong')[0][1].split()[1]}")
    assert world.ask(client, "/either", wrong).status == 401


@pytest.mark.parametrize(("subject", "user"), [("ada", "ada"), (" ada", None), ("ada ", None), ("a\tda", None)])
def test_no_value_becomes_another_one_on_its_way(world: World, client: Any, subject: str, user: str | None) -> None:
    """Blanks around a value are lost in a head: that would be another user."""
    found = world.ask(client, "/either", bearer(world.issuer.token(sub=subject)), ("x-user", "root"))
    assert (found.status, found.sent("x-user")) == (200, user)


def test_an_element_of_a_claim_is_no_second_one(world: World, client: Any) -> None:
    for roles, told in ((["a", "b"], "a,b"), (["a", "b,admin"], '["a","b,admin"]')):
        found = world.ask(client, "/either", bearer(world.issuer.token(realm={"roles": roles})))
        assert (found.status, found.sent("x-roles")) == (200, told)


@pytest.mark.parametrize("method", ["DELETE", "delete", "Delete"])
def test_a_method_is_denied_whatever_its_case(world: World, client: Any, method: str) -> None:
    assert world.ask(client, "/method", method=method).status == 403
    assert world.ask(client, "/method").status == 200


@pytest.mark.parametrize("host", ["admin.test", "ADMIN.test", "admin.test:8080", "Admin.test.", "admin.test.:80"])
def test_a_host_is_denied_however_it_is_written(world: World, client: Any, host: str) -> None:
    assert world.ask(client, "/host", host=host).status == 403
    assert world.ask(client, "/host", host="www.admin.test").status == 200


@pytest.mark.parametrize(
    "fields",
    [
        (("x-role", "admin"),),
        (("x_role", "admin"),),
        (("x-role", "user, admin"),),
        (("x-role", "user"), ("x_role", "user,admin")),
    ],
)
def test_a_field_is_denied_however_it_is_written(world: World, client: Any, fields: Any) -> None:
    assert world.ask(client, "/role", *fields).status == 403
    assert world.ask(client, "/role", ("x-role", "user"), ("x-roles", "admin")).status == 200


@pytest.mark.parametrize(("origin", "refused"), [("http://evil.test", True), (f"http://{HOST}", False), (None, False)])
def test_no_other_site_opens_a_websocket(world: World, origin: str | None, *, refused: bool) -> None:
    """A page may read what a WebSocket tells, whatever site it is of: a handshake is no harmless GET."""
    said = (("origin", origin),) if origin else ()
    opening = (("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
    version = ("sec-websocket-version", "13")
    assert (world.ask(Http1, "/csrf", *opening, version, *said).status == 403) == refused
    assert world.ask(Http1, "/csrf", *said).status == 200
    # Extended CONNECT (RFC 8441).
    connection = Http2(world.gateway.address, PORT)
    assert connection.request("GET", HOST, "/csrf", said).status == 200
    stream = connection.state.get_next_available_stream_id()
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", HOST)]
    connection.state.send_headers(stream, [*fields, (":path", "/csrf"), version, *said])
    connection.flush()
    assert (connection.read(stream).status == 403) == refused
    connection.close()


def test_no_log_has_a_credential(start: Any, backend: Any, client: Any, tmp_path: Path) -> None:
    """Whether it is right or wrong, and whether or not the backend gets it."""
    issuer, log = Issuer("one"), tmp_path / "access.log"
    found: Gateway = start(
        gateway(),
        route(rule("/key", "app", name="key"), rule("/token", "app", name="token")),
        *service("app", backend("app").address),
        opaque("keys", ann=KEY_ANN),
        keys_of(issuer.jwk()),
        access("key", apiKey={**KEYS, "from": [{"query": "key"}]}),
        access("token", jwt=jwt(**{"from": [{"query": "token"}]})),
        arguments=("--access-log", str(log)),
    )
    token = issuer.token()
    connection = client(found.address, PORT)
    for path, status, logged in (
        (f"/key?a=1&k%65y={KEY_ANN}&b", 200, "/key?a=1&k%65y=***&b"),
        ("/key?key=wrong-0123", 401, "/key?key=***"),
        (f"/token?token={token}", 200, "/token?token=***"),
    ):
        assert connection.request("GET", HOST, path).status == status
        until(lambda logged=logged: log.exists() and f'"{logged}"' in log.read_text(), f"{logged} is logged")
    connection.close()
    assert not any(secret in log.read_text() for secret in (KEY_ANN, "wrong-0123", token))


def refused(start: Any, backend: Any, **stanzas: Any) -> tuple[Gateway, Backend]:
    """A gateway with one policy that cannot be honoured."""
    app: Backend = backend("app")
    found: Gateway = start(
        gateway(),
        route(rule("/", "app", name="it")),
        *service("app", app.address),
        opaque("keys", chunked=KEY_ANN),
        access("it", **stanzas),
    )
    return found, app


@pytest.mark.parametrize("name", ["Host", "Transfer-Encoding", "Content-Length", "Connection", "Upgrade", "Expect"])
def test_no_policy_writes_fields_of_the_connection(start: Any, backend: Any, client: Any, name: str) -> None:
    """A user called `chunked` in Transfer-Encoding would be another message for the backend."""
    found, app = refused(start, backend, apiKey={**KEYS, "forward": {"header": name}})
    connection = client(found.address, PORT)
    answer = connection.request("POST", HOST, "/", (("x-api-key", KEY_ANN),), b"abc")
    connection.close()
    assert (answer.status, app.requests) == (500, [])


@pytest.mark.parametrize(
    "stanzas",
    [
        {"authorization": {"rules": [{"name": "all"}]}},
        {"authorization": {"rules": [{"users": None, "action": "Allow"}]}},
        {"authorization": {"rules": [{"clients": ["127.0.0.0/255.0.0.0"]}]}},
        {"authorization": {"rules": [{"clients": ["fe80::1%eth0"]}]}},
        {"exempt": {"clients": ["127.0.0.1/8"]}, "apiKey": KEYS},
        {"exempt": {"when": "identity.user != 'eve'"}, "apiKey": KEYS},
    ],
)
def test_what_is_written_by_mistake_lets_nobody_in(start: Any, backend: Any, client: Any, stanzas: Any) -> None:
    found, app = refused(start, backend, **stanzas)
    connection = client(found.address, PORT)
    answer = connection.request("GET", HOST, "/", (("x-api-key", KEY_ANN),))
    connection.close()
    assert (answer.status, app.requests) == (500, [])


def test_nobody_says_of_himself_where_he_comes_from(start: Any, backend: Any, client: Any) -> None:
    """Conditions see what the backend is told: what an untrusted client says is gone, and a proxy's word counts."""
    told = "request.headers['x-forwarded-host'] == ['access.test'] && request.headers['x-forwarded-proto'] == ['http']"
    rules: dict[str, Manifest] = {
        "rule": {"rules": [{"headers": [{"name": "x-forwarded-proto", "values": ["https"]}]}]},
        "real": {"rules": [{"when": "'203.0.113.9' in request.headers['x-real-ip']"}]},
        "deny": deny(headers=[{"name": "X-Forwarded-Proto", "values": ["http"]}]),
        "told": {"rules": [{"when": f"{told} && size(request.headers['x-forwarded-for']) == 1"}]},
    }
    limits = {"limits": [{"name": "by", "key": ["header:x-forwarded-for"], "requests": 1, "per": "1h"}]}
    found: Gateway = start(
        gateway(listener(), listener("trusting", 8090)),
        route(*(rule(f"/{name}", "app", name=name) for name in (*rules, "limit"))),
        *service("app", backend("app").address),
        *(access(name, authorization=each) for name, each in rules.items()),
        policy("RateLimitPolicy", "limit", target("HTTPRoute", "route", "limit"), local=limits),
        policy(
            "ClientPolicy",
            "proxies",
            target("Gateway", "gateway", "trusting"),
            clientAddress={"trustedProxies": ["127.0.0.0/8"]},
        ),
    )
    lies = (("x-forwarded-proto", "https"), ("x-real-ip", "203.0.113.9"), ("X_Forwarded_Proto", "https"))

    def statuses(port: int, path: str, *requests: Any) -> list[int]:
        connection = client(found.address, port)
        all_of_them = [connection.request("GET", HOST, path, sent).status for sent in requests]
        connection.close()
        return all_of_them

    for path, untrusted, trusted in (
        ("/rule", 403, 200),
        ("/real", 403, 403),
        ("/deny", 403, 200),
        ("/told", 200, 403),
    ):
        assert statuses(PORT, path, lies) == [untrusted], path
        assert statuses(8090, path, lies) == [trusted], path
    several = [(("x-forwarded-for", f"203.0.113.{number}"),) for number in range(3)]
    assert statuses(PORT, "/limit", *several) == [200, 429, 429]
    assert statuses(8090, "/limit", *several) == [200, 200, 200]
