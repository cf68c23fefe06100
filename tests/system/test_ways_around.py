"""Ways around policies that were tried and led nowhere: hosts, sections, upgrades, copies, fields of a connection."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    gateway,
    grpc_route,
    grpc_rule,
    listener,
    metadata,
    opaque,
    policy,
    route,
    rule,
    service,
    target,
)

PORT, OTHER = 8080, 8090
HOST = "around.test"
KEY = "ann-0123456789abcdef"
Client = type[Http1] | type[Http2]
Fields = tuple[tuple[str, str], ...]
KEYS: Manifest = {"secretRefs": [{"name": "keys"}], "forward": {"header": "X-User"}}
WITH_KEY: Fields = (("x-api-key", KEY),)


def ask(found: Gateway, client: Client, path: str, fields: Fields = (), host: str = HOST, **rest: Any) -> Response:
    with closing(client(found.address, rest.get("port", PORT))) as connection:
        return connection.request(rest.get("method", "GET"), host, path, fields)


def closed(name: str, *targets: Manifest, **rest: Any) -> Manifest:
    return policy("AccessPolicy", name, *targets, apiKey=KEYS, **rest)


@pytest.fixture(scope="module")
def hosts(start: Any, backend: Any) -> tuple[Gateway, Backend]:
    """A listener whose hosts need a key, beside one for all others, on one port; one route for both."""
    app: Backend = backend("app")
    found: Gateway = start(
        gateway(listener("closed", PORT, hostname="*.shop.test"), listener("open", PORT)),
        route(rule("/", "app"), name="own"),
        closed("own", target("Gateway", "gateway", "closed"), strategy="Overrides"),
        opaque("keys", ann=KEY),
        *service("app", app.address),
    )
    return found, app


def is_of_shop(host: str) -> bool:
    """Whether some backend would take it for a host of the listener that needs a key."""
    name = host.strip().lower().rpartition("@")[2].split(":")[0].rstrip(".")
    return name.endswith(".shop.test")


HOSTS = (
    *("a.shop.test", "A.SHOP.TEST", "a.b.shop.test", "a.shop.test.", "A.Shop.Test.:80", "a.shop.test:8080"),
    *("a.shop.test:", "a.shop.test..", "user@a.shop.test", "a.shop.test:x", "a.shop.test/", "a.shop.test%2e"),
    *(
        "*.shop.test",
        "a_b.shop.test",
        "xn--a.shop.test",
        "a\\.shop.test",
        "a.shop.test#b",
        "a.shop.test?b",
    ),
)


@pytest.mark.parametrize("host", HOSTS)
def test_no_spelling_of_a_host_leads_to_another_listener(
    hosts: tuple[Gateway, Backend], client: Client, host: str
) -> None:
    found, app = hosts
    before = len(app.requests)
    with suppress(ConnectionError):
        assert ask(found, client, "/", host=host).status in {400, 401, 404}
    # In the target, beside another host (RFC 9112 section 3.2.2), or in a second field.
    if client is Http1:
        for head in (
            f"GET http://{host}/ HTTP/1.1\r\nhost: open.test\r\n\r\n",
            f"GET / HTTP/1.1\r\nhost: open.test\r\nhost: {host}\r\n\r\n",
            f"GET / HTTP/1.1\r\nhost : {host}\r\nhost: open.test\r\n\r\n",
            f"GET //{host}/ HTTP/1.1\r\nhost: open.test\r\n\r\n",
        ):
            with closing(Http1(found.address, PORT)) as connection, suppress(ConnectionError):
                connection.send(head.encode())
                connection.read()
    else:
        with suppress(ConnectionError):
            ask(found, client, "/", (("host", host),), host="open.test")
    assert [each.header("host") for each in app.requests[before:] if is_of_shop(each.header("host") or "")] == []
    assert ask(found, client, "/", host="open.test").status == 200
    assert ask(found, client, "/", WITH_KEY, host="a.shop.test").status == 200


def test_a_section_of_one_name_is_not_another_s(start: Any, backend: Any, client: Client) -> None:
    """A Gateway and its ListenerSet may both have a listener `http`, and policies name one of them."""
    listeners: Manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ListenerSet",
        "metadata": metadata("set"),
        "spec": {"parentRef": {"name": "gateway"}, "listeners": [listener("http", OTHER)]},
    }
    parents = [{"name": "gateway"}, {"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "set"}]
    objects = [
        gateway(listener("http", PORT), allowedListeners={"namespaces": {"from": "Same"}}),
        listeners,
        route(rule("/", "app"), name="own", parents=parents),
        opaque("keys", ann=KEY),
        *service("app", backend("app").address),
    ]
    found: Gateway = start(*objects)
    for kind, name, statuses in (("Gateway", "gateway", (401, 200)), ("ListenerSet", "set", (200, 401))):
        found.write(*objects, closed("own", target(kind, name, "http")))
        assert tuple(ask(found, client, "/", port=port).status for port in (PORT, OTHER)) == statuses
        for port in (PORT, OTHER):
            assert ask(found, client, "/", WITH_KEY, port=port).status == 200
    # Of a whole Gateway it holds for the listeners of its ListenerSets too.
    found.write(*objects, closed("own", target("Gateway", "gateway")))
    assert [ask(found, client, "/", port=port).status for port in (PORT, OTHER)] == [401, 401]


def test_an_upgrade_to_h2c_is_none(start: Any, backend: Any) -> None:
    """Behind a proxy that passes it on, everything that follows would go by (RFC 9113 dropped it)."""
    app: Backend = backend("app")
    found: Gateway = start(
        gateway(),
        route(rule("/closed", "app", name="closed"), rule("/", "app"), name="own"),
        closed("own", target("HTTPRoute", "own", "closed")),
        opaque("keys", ann=KEY),
        *service("app", app.address),
    )
    for path, status in (("/closed", 401), ("/open", 200)):
        for names in ("upgrade, http2-settings", "upgrade"):
            with closing(Http1(found.address, PORT)) as connection:
                connection.send(
                    f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: {names}\r\nupgrade: h2c\r\n"
                    "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n".encode()
                )
                assert connection.read().status == status
    assert [(each.target, each.header("upgrade"), each.header("http2-settings")) for each in app.requests] == [
        ("/open", None, None)
    ] * 2


def test_copies_and_repetitions_have_no_credential(start: Any, backend: Any, client: Client) -> None:
    """What a backend does not get its mirror and the next endpoint do not get either; what is refused nobody gets."""
    copy: Backend = backend("copy")
    failing: Backend = backend(lambda _: response(b"", "503 Oops"))
    working: Backend = backend("working")
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy", "port": 80}}}
    places = [{"header": "X-API-Key"}, {"query": "key"}, {"cookie": "key"}]
    found: Gateway = start(
        gateway(),
        route(rule("/", "app", filters=[mirror], retry={"codes": [503], "attempts": 3}), name="own"),
        policy("AccessPolicy", "own", target("HTTPRoute", "own"), apiKey={**KEYS, "from": places}),
        opaque("keys", ann=KEY),
        *service("app", failing.address, working.address),
        *service("copy", copy.address),
    )
    lies = (("x-user", "root"), ("x_user", "root"), ("x.api.key", "other"))
    sent: list[tuple[str, Fields]] = [
        ("/a?b=1", WITH_KEY),
        (f"/a?key={KEY}&b=1", ()),
        ("/a?b=1", (("cookie", f"theme=dark; key={KEY}"),)),
    ]
    for path, fields in sent * 4:
        assert ask(found, client, path, (*fields, *lies)).status == 200
        assert ask(found, client, path.replace(KEY, "wrong"), lies).status == 401
    copies = copy.wait(4 * len(sent))
    assert len(copies) == 4 * len(sent)
    assert failing.requests
    for got in (*copies, *failing.requests, *working.requests):
        assert (got.target, got.header("x-user"), got.header("x_user")) == ("/a?b=1", "ann", None)
        assert KEY not in json.dumps([got.target, got.headers])
        assert got.header("x.api.key") is None
        assert got.header("cookie") in {None, "theme=dark"}


@pytest.mark.parametrize("named", ["x-user", "X-User, x-forwarded-for", "x-api-key", "x-user, x-role, host", "cookie"])
def test_a_connection_takes_nothing_of_the_gateway_s_away(start: Any, backend: Any, named: str) -> None:
    """Who names a field in `Connection` has it taken out of his own request, never out of what the gateway says."""
    app: Backend = backend("app")
    role = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-role", "value": "user"}]}}
    found: Gateway = start(
        gateway(),
        route(rule("/", "app", filters=[role]), name="own"),
        closed("own", target("HTTPRoute", "own")),
        opaque("keys", ann=KEY),
        *service("app", app.address),
    )
    fields = (*WITH_KEY, ("connection", named), ("x-user", "root"), ("x-role", "root"), ("x-forwarded-for", "6.6.6.6"))
    status = ask(found, Http1, "/", fields).status
    assert status == (401 if named == "x-api-key" else 200)
    for got in app.requests:
        assert (got.header("x-user"), got.header("x-role")) == ("ann", "user")
        assert got.header("x-forwarded-for") not in {None, "6.6.6.6"}


def test_a_preflight_reaches_no_backend(start: Any, backend: Any, client: Client) -> None:
    """It is answered without credentials, and nothing that looks like one goes on without them."""
    app: Backend = backend("app")
    cors = {"type": "CORS", "cors": {"allowOrigins": ["https://web.test"], "allowMethods": ["GET", "PUT"]}}
    found: Gateway = start(
        gateway(),
        route(rule("/", "app", filters=[cors]), name="own"),
        closed("own", target("HTTPRoute", "own")),
        opaque("keys", ann=KEY),
        *service("app", app.address),
    )
    origin, wanted = ("origin", "https://web.test"), ("access-control-request-method", "PUT")
    for method, fields in (
        ("OPTIONS", (origin, wanted)),
        ("OPTIONS", (("origin", "https://evil.test"), wanted)),
        ("OPTIONS", (origin,)),
        ("OPTIONS", (wanted,)),
        ("options", (origin, wanted)),
        ("GET", (origin, wanted)),
        ("PUT", (origin, wanted, ("x-http-method-override", "OPTIONS"))),
    ):
        assert ask(found, client, "/", fields, method=method).status in {200, 204, 401, 403}
    assert app.requests == []
    assert ask(found, client, "/", (*WITH_KEY, origin)).status == 200


def test_a_call_s_rule_is_closed_however_it_is_called(start: Any, backend2: Any, client: Client) -> None:
    """By HTTP/1.1, by other methods and other kinds of content."""
    app = backend2("app")
    found: Gateway = start(
        gateway(),
        grpc_route(
            grpc_rule("app", name="closed", matches=[{"method": {"service": "pkg.Closed"}}]),
            grpc_rule("app"),
            name="own",
        ),
        closed("own", target("GRPCRoute", "own", "closed")),
        opaque("keys", ann=KEY),
        *service("app", app.address, protocol="kubernetes.io/h2c"),
    )
    for method in ("POST", "GET", "PUT"):
        for kind in ("application/grpc", "application/grpc-web", "application/json", ""):
            fields: Fields = (("content-type", kind),) if kind else ()
            with suppress(ConnectionError):
                ask(found, client, "/pkg.Closed/Call", fields, method=method)
    assert [each for each in app.requests if each.target.startswith("/pkg.Closed")] == []


def test_a_verdict_is_remembered_for_its_client_alone(start: Any, backend: Any, client: Client) -> None:
    """Of who has a key, in that field and once; and for one host, port and scheme."""

    def authorise(request: Received) -> bytes:
        allowed = request.header("x-api-key") == KEY and (request.header("host") or "").startswith("good")
        return response(b"", "200 OK" if allowed else "403 Forbidden")

    auth: Backend = backend(authorise)
    asks = {
        "protocol": "HTTP",
        "backendRef": {"name": "auth", "port": 80},
        "http": {"allowedHeaders": ["x-api-key", "x-role"]},
        "cache": {"ttl": "5m", "denials": True},
    }
    app: Backend = backend("app")
    found: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="own"),
        policy("AccessPolicy", "own", target("HTTPRoute", "own"), external=asks),
        *service("app", app.address),
        *service("auth", auth.address),
    )
    good = (*WITH_KEY, ("x-role", "user"))
    for _ in range(2):
        assert ask(found, client, "/", good, host="good.test").status == 200
    assert len(auth.requests) == 1
    for fields, host in (
        ((), "good.test"),
        ((("x-role", KEY),), "good.test"),
        ((("x-api-key", "user"), ("x-role", KEY)), "good.test"),
        ((("x-api-key", f"{KEY}user"),), "good.test"),
        ((("x_api_key", KEY), ("x-role", "user")), "good.test"),
        ((*good, ("x-api-key", "other")), "good.test"),
        (good, "bad.test"),
        (good, "bad.test:8080"),
    ):
        assert ask(found, client, "/", fields, host=host).status == 403, (fields, host)
    assert len(app.requests) == 2
    # And the other way round: who was refused once has not spoilt it for others.
    assert ask(found, client, "/", good, host="good.test").status == 200
