"""Keys that identity providers publish: fetched by the gateway itself, beside all requests, from whoever that is."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_certificates import Authority
from system_clients import Http1, Http2, Response
from system_gateway import Gateway, until
from system_manifests import (
    Manifest,
    backend_tls_policy,
    config_map,
    gateway,
    grpc_route,
    grpc_rule,
    policy,
    route,
    rule,
    service,
    target,
)
from system_tokens import ISSUER, Issuer, bearer, encoded, key_set

PORT = 8080
HOST = "keys.test"
Client = type[Http1] | type[Http2]
#: Each answers for its path, and none of them has usable keys. `None`: the connection ends.
HOSTILE: dict[str, Callable[[Issuer], bytes | None]] = {
    "error": lambda issuer: response(key_set(issuer.jwk()), "500 Oops"),
    "not-found": lambda issuer: response(key_set(issuer.jwk()), "404 Not Found"),
    "redirect": lambda _: response(b"", "302 Found", (("location", "/good"),)),
    "moved": lambda issuer: response(key_set(issuer.jwk()), "301 Moved", (("location", "/good"),)),
    "partial": lambda issuer: response(key_set(issuer.jwk()), "206 Partial Content"),
    "private": lambda issuer: response(key_set(issuer.jwk(private=True))),
    "symmetric": lambda _: response(key_set({"kty": "oct", "kid": "one", "k": encoded(b"k" * 32)})),
    "encryption": lambda issuer: response(key_set({**issuer.jwk(), "use": "enc"})),
    "no-keys": lambda _: response(key_set()),
    "no-set": lambda issuer: response(json.dumps(issuer.jwk()).encode()),
    "list": lambda issuer: response(json.dumps([issuer.jwk()]).encode()),
    "twice": lambda issuer: response(b'{"keys": [], "keys": [' + json.dumps(issuer.jwk()).encode() + b"]}"),
    "no-json": lambda _: response(b"<html>sign in</html>"),
    "cut-off": lambda issuer: response(key_set(issuer.jwk())[:-1]),
    "not-utf-8": lambda _: response(b'{"keys": "\xff"}'),
    "deep": lambda _: response(b"[" * 100_000),
    "megabytes": lambda issuer: response(key_set(issuer.jwk(), {"kty": "x" * 1_000_000})),
    "many-keys": lambda issuer: response(key_set(*[issuer.jwk()] * 101)),
    "endless-head": lambda _: b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000 + b"\r\n",
    "garbage": lambda _: b"\x00\x01 this is no answer\r\n\r\n",
    "closed": lambda _: None,
    "short": lambda issuer: (
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\nconnection: close\r\n\r\n" + key_set(issuer.jwk())
    ),
}


def provider(path: str, name: str = "login", **rest: Any) -> Manifest:
    keys = {"backendRef": {"name": name, "port": 80}, "path": path, **rest}
    forward = [{"claim": "sub", "header": "X-User"}]
    return {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": keys, "forward": forward}


def by_token(name: str, path: str, service_name: str = "login", **keys: Any) -> list[Manifest]:
    """A route, and a policy that asks for tokens whose keys are at a path of the provider."""
    jwt = {"providers": [provider(path, service_name, **keys)]}
    return [route(rule(f"/{name}", "app"), name=name), policy("AccessPolicy", name, target("HTTPRoute", name), jwt=jwt)]


def ask(world: Gateway, client: Client, path: str, *fields: tuple[str, str]) -> Response:
    connection = client(world.address, PORT)
    try:
        return connection.request("GET", HOST, path, fields)
    finally:
        connection.close()


def fetches(world: Gateway, path: str, outcome: str) -> int:
    """How often a set was fetched."""
    pattern = rf'^sluicegate_provider_key_fetches_total{{source="[^"]*{re.escape(path)}",outcome="{outcome}"}} (\d+)$'
    found = re.search(pattern, world.admin("/metrics"), re.MULTILINE)
    return int(found[1]) if found else 0


def until_fetched(world: Gateway, path: str, count: int = 1) -> None:
    until(lambda: fetches(world, path, "success") >= count, f"{path} is fetched")


class World:
    """A provider with a path for each way to answer, one that is never done with it, and routes by all of them."""

    def __init__(self, start: Any, backend: Any) -> None:
        self.issuer = Issuer("one")
        self.released = threading.Event()
        self.app: Backend = backend("app")
        self.login: Backend = backend(self.answer)
        names = ["good", "same", "stalled", *HOSTILE]
        self.gateway: Gateway = start(
            gateway(),
            *(item for name in names for item in by_token(name, "/good" if name == "same" else f"/{name}")),
            *by_token("exempt", "/no-json"),
            policy("AccessPolicy", "exemption", target("HTTPRoute", "exempt"), exempt={"methods": ["GET"]}),
            grpc_route(grpc_rule("app"), name="calls", hostnames=["calls.test"]),
            policy(
                "AccessPolicy",
                "calls",
                target("GRPCRoute", "calls"),
                jwt={"providers": [provider("/no-json")]},
            ),
            *service("app", self.app.address),
            *service("login", self.login.address),
        )

    def answer(self, request: Received) -> bytes | None:
        name = request.target.strip("/")
        if name == "stalled":
            self.released.wait()
            return None
        return response(key_set(self.issuer.jwk())) if name == "good" else HOSTILE[name](self.issuer)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Any:
    found = World(start, backend)
    yield found
    found.released.set()


def test_keys_are_fetched_once_for_all_policies(world: World, client: Client) -> None:
    until_fetched(world.gateway, "/good")
    for path in ("/good", "/same"):
        found = ask(world.gateway, client, path, bearer(world.issuer.token()), ("x_user", "root"))
        assert (found.status, found.sent("x-user"), found.sent("x_user")) == (200, "ada", None)
        assert ask(world.gateway, client, path, bearer(Issuer("one").token())).status == 401
        assert ask(world.gateway, client, path).status == 401
    [asked] = [each for each in world.login.requests if each.target == "/good"]
    assert (asked.method, asked.header("host"), asked.header("authorization")) == ("GET", "login.default.svc", None)
    assert 'sluicegate_provider_keys{source="default/login:80/good"} 1' in world.gateway.admin("/metrics")


def test_the_operator_sees_how_keys_are(world: World) -> None:
    """Of a set that is there its ids and age, of one that is not why; nothing of the keys."""
    until_fetched(world.gateway, "/good")
    until(lambda: fetches(world.gateway, "/not-found", "failure"), "the provider has answered")
    shown = world.gateway.admin("/config")
    sets = {each.pop("source"): each for each in json.loads(shown)["provider_keys"]}
    good, bad = sets["default/login:80/good"], sets["default/login:80/not-found"]
    assert 0 <= good.pop("age_seconds") < 60
    assert good == {"keys": 1, "key_ids": ["one"], "skipped": [], "failures": 0, "last_error": None}
    assert bad.pop("failures") >= 1
    assert "404" in bad.pop("last_error")
    assert bad == {"keys": 0, "key_ids": [], "skipped": [], "age_seconds": None}
    assert [*sets] == sorted(sets)
    material = [value for name, value in world.issuer.jwk().items() if name in {"x", "y", "n"}]
    assert material
    assert not any(value in shown for value in material)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_set_of_keys_lets_nobody_in(world: World, client: Client, name: str) -> None:
    until(lambda: fetches(world.gateway, f"/{name}", "failure"), "the provider has answered")
    found = ask(world.gateway, client, f"/{name}", bearer(world.issuer.token()))
    assert (found.status, found.body.split(b":")[0]) == (503, b"keys_unavailable")
    # Who is not of this issuer is told so, keys or not.
    assert ask(world.gateway, client, f"/{name}", bearer(world.issuer.token(iss="https://evil.test"))).status == 401
    assert ask(world.gateway, client, f"/{name}").status == 401
    # A redirect leads nowhere.
    assert Counter(each.target for each in world.login.requests)["/good"] == 1


def test_a_provider_that_stalls_keeps_nobody_waiting(world: World, client: Client) -> None:
    until(lambda: any(each.target == "/stalled" for each in world.login.requests), "it was asked")
    assert ask(world.gateway, client, "/stalled", bearer(world.issuer.token())).status == 503
    until_fetched(world.gateway, "/good")


def test_whom_no_credentials_are_asked_of(world: World, client: Client) -> None:
    assert ask(world.gateway, client, "/exempt", bearer(world.issuer.token())).status == 200


def test_calls_are_told_to_come_again(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    fields = (("content-type", "application/grpc"), ("te", "trailers"), bearer(world.issuer.token()))
    found = connection.request("POST", "calls.test", "/pkg.Service/Method", fields, b"")
    connection.close()
    assert (found.status, found.header("grpc-status")) == (200, "14")


def test_verdicts_are_counted(world: World) -> None:
    until_fetched(world.gateway, "/good")
    series = 'sluicegate_policy_verdicts_total{policy="AccessPolicy/default/good",part="jwt",verdict="%s"} '

    def counted(verdict: str) -> int:
        found = re.search(rf"^{re.escape(series % verdict)}(\d+)$", world.gateway.admin("/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0

    before = [counted(verdict) for verdict in ("pass", "deny", "unavailable")]
    for fields in ((bearer(world.issuer.token()),), (bearer("a.b.c"),), ()):
        ask(world.gateway, Http1, "/good", *fields)
    assert [counted(verdict) for verdict in ("pass", "deny", "unavailable")] == [
        before[0] + 1,
        before[1] + 2,
        before[2],
    ]


def test_keys_that_change_and_a_provider_that_goes(start: Any, backend: Any) -> None:
    """An unknown key has them fetched, once for all that come; what is away changes nothing."""
    old, new = Issuer("old"), Issuer("new")
    answers = [response(key_set(old.jwk())), response(b"", "503 Away"), response(key_set(new.jwk()))]
    login: Backend = backend(lambda _: answers[min(len(login.requests), len(answers)) - 1])
    world: Gateway = start(
        gateway(), *by_token("r", "/keys"), *service("app", backend("app").address), *service("login", login.address)
    )
    until_fetched(world, "/keys")
    with_old, with_new = bearer(old.token()), bearer(new.token())
    assert ask(world, Http1, "/r", with_old).status == 200
    for number in range(50):
        assert ask(world, Http1, "/r", bearer(Issuer(f"invented {number}").token())).status == 401
    # Not again within ten seconds, whatever tokens come.
    assert len(login.requests) == 1
    until(lambda: fetches(world, "/keys", "failure"), "it was asked again")
    assert [ask(world, Http1, "/r", token).status for token in (with_old, with_new)] == [200, 401]
    away = world.event(lambda event: event.get("code") == "keys_unavailable")
    assert "it answers 503; the keys of before verify on" in away["message"]
    until_fetched(world, "/keys", 2)
    # What was verified by a key that is gone is worth nothing.
    assert [ask(world, Http1, "/r", token).status for token in (with_old, with_new)] == [401, 200]
    assert len(login.requests) == 3


def test_a_bad_key_beside_a_good_one(start: Any, backend: Any) -> None:
    """The good one verifies; the operator hears which is bad and why, and sees the one that encrypts."""
    issuer = Issuer("one")
    keys = [{"kty": "oct", "kid": "old", "k": "c2VjcmV0"}, issuer.jwk(), {**Issuer("two").jwk(), "use": "enc"}]
    login: Backend = backend(lambda _: response(key_set(*keys)))
    world: Gateway = start(
        gateway(), *by_token("r", "/keys"), *service("app", backend("app").address), *service("login", login.address)
    )
    until_fetched(world, "/keys")
    assert ask(world, Http1, "/r", bearer(issuer.token())).status == 200
    skipped = 'keys[0] (kid "old") is a shared secret, which whoever verifies could sign with'
    told = world.event(lambda event: event.get("code") == "keys_skipped")
    assert told["message"] == f"default/login:80/keys: {skipped}; 1 keys verify"
    [found] = json.loads(world.admin("/config"))["provider_keys"]
    assert found["skipped"] == [skipped, 'keys[2] (kid "two") is not for signatures (use)']


def test_a_start_while_the_provider_is_away(start: Any, backend: Any, client: Client, tmp_path: Path) -> None:
    issuer, login = Issuer("one"), backend(lambda _: response(key_set(issuer.jwk())))
    state = tmp_path / "state"
    state.mkdir()
    objects = [*by_token("r", "/keys"), *service("app", backend("app").address), *service("login", login.address)]
    options = {"arguments": ("--keys-directory", str(state))}
    first: Gateway = start(gateway(), *objects, **options)
    until_fetched(first, "/keys")
    until(lambda: list(state.iterdir()), "the keys are kept")
    first.stop()
    assert [path.stat().st_mode & 0o777 for path in state.iterdir()] == [0o600]
    login.answer = lambda _: None
    second: Gateway = start(gateway(), *objects, **options)
    assert ask(second, client, "/r", bearer(issuer.token())).status == 200
    assert ask(second, client, "/r", bearer(Issuer("one").token())).status == 401
    until(lambda: fetches(second, "/keys", "failure"), "the provider is away")
    assert ask(second, client, "/r", bearer(issuer.token())).status == 200


def test_a_provider_is_known_by_its_certificate(start: Any, backend: Any, authority: Authority, tmp_path: Path) -> None:
    """Its BackendTLSPolicy holds, and says whose keys are asked for unless the policy does."""
    issuer = Issuer("one")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("login.test").write(tmp_path, "login"))
    login: Backend = backend(lambda _: response(key_set(issuer.jwk())), tls=context)
    world: Gateway = start(
        gateway(),
        *by_token("trusted", "/trusted?p=1"),
        *by_token("named", "/named", hostname="other.test"),
        *by_token("stranger", "/stranger", "stranger"),
        *service("app", backend("app").address),
        *service("login", login.address),
        *service("stranger", login.address),
        config_map("ca", authority.pem),
        backend_tls_policy("login", "login", "login.test", "ca"),
        backend_tls_policy("stranger", "stranger", "another.test", "ca"),
    )
    for name in ("trusted", "named"):
        until_fetched(world, "/trusted?p=1" if name == "trusted" else "/named")
        assert ask(world, Http1, f"/{name}", bearer(issuer.token())).status == 200
    until(lambda: fetches(world, "/stranger", "failure"), "the certificate is another's")
    assert ask(world, Http1, "/stranger", bearer(issuer.token())).status == 503
    asked = {each.target: each.header("host") for each in login.requests}
    assert asked == {"/trusted?p=1": "login.test", "/named": "other.test"}
