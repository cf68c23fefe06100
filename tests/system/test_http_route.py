"""HTTPRoute over real sockets, in both protocol versions: matching, filters, weights, timeouts, retries, mirrors."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from system_backends import Received, response
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import backend as ref
from system_manifests import gateway, listener, route, rule, service

PORT = 8080


@dataclass
class World:
    """A gateway with all routes of this module, each under a hostname of its own."""

    gateway: Gateway
    backends: dict[str, Any]
    counts: Counter[str] = field(default_factory=Counter)

    def request(self, client: type[Http1] | type[Http2], *arguments: Any, port: int = PORT) -> Any:
        connection = client(self.gateway.address, port)
        try:
            return connection.request(*arguments)
        finally:
            connection.close()


def header_filter(kind: str, **edits: Any) -> dict[str, Any]:
    names = {"Request": "requestHeaderModifier", "Response": "responseHeaderModifier"}
    fields = {
        key: [{"name": name, "value": value} for name, value in values] if key != "remove" else values
        for key, values in edits.items()
    }
    return {"type": f"{kind}HeaderModifier", names[kind]: fields}


def redirect(**fields: Any) -> dict[str, Any]:
    return {"type": "RequestRedirect", "requestRedirect": fields}


def rewrite(**fields: Any) -> dict[str, Any]:
    return {"type": "URLRewrite", "urlRewrite": fields}


def mirror(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": ref(name), **fields}}


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    release = threading.Event()
    attempts: Counter[str] = Counter()

    def slow(_request: Received) -> bytes:
        release.wait(15)
        return response(b"late")

    def flaky(request: Received) -> bytes | None:
        attempts[request.target] += 1
        number = attempts[request.target]
        if request.target.startswith("/codes"):
            return response(b"", "503 Service Unavailable") if number < 3 else response(str(number).encode())
        if request.target.startswith("/reset"):
            return None if number < 2 else response(str(number).encode())
        return response(b"", "503 Service Unavailable")

    def own_headers(_request: Received) -> bytes:
        fields = (("x-one", "1"), ("x-two", "2"), ("access-control-allow-origin", "https://wrong.test"))
        return response(b"own", headers=fields)

    backends = {name: backend(name) for name in ("one", "two", "three", "copy", "copy-two")}
    backends |= {"slow": backend(slow), "flaky": backend(flaky), "own": backend(own_headers)}
    unused = backend("unused")
    unused.close()
    services = [item for name, each in backends.items() for item in service(name, each.address)]
    services += service("refusing", unused.address) + service("half", unused.address, backends["one"].address)
    services += service("empty")
    routes = [
        route(
            rule("/", "one"),
            rule("/a", "two"),
            rule("/a/exact", "three", kind="Exact"),
            rule("/re/[0-9]+", "three", kind="RegularExpression"),
            name="path",
            hostnames=["path.test"],
        ),
        route(
            rule(matches=[{"headers": [{"name": "X-Version", "value": "two"}]}], backendRefs=[ref("two")]),
            rule(
                matches=[{"headers": [{"name": "x-version", "type": "RegularExpression", "value": "v[0-9]+"}]}],
                backendRefs=[ref("three")],
            ),
            rule(matches=[{"queryParams": [{"name": "animal", "value": "whale"}]}], backendRefs=[ref("two")]),
            rule(
                matches=[{"queryParams": [{"name": "count", "type": "RegularExpression", "value": "[0-9]+"}]}],
                backendRefs=[ref("three")],
            ),
            rule(
                matches=[{"method": "DELETE"}, {"path": {"type": "PathPrefix", "value": "/or"}}],
                backendRefs=[ref("copy")],
            ),
            rule("/", "one"),
            name="matches",
            hostnames=["matches.test"],
        ),
        route(rule("/", "two"), name="wildcard", hostnames=["*.wild.test"]),
        route(rule("/", "three"), name="exact-host", hostnames=["exact.wild.test"]),
        route(
            rule("/", ref("one", weight=1), ref("two", weight=3), ref("three", weight=0)),
            name="weights",
            hostnames=["weights.test"],
        ),
        route(
            rule("/", ref("one", weight=1), ref("missing", weight=1)),
            name="half-missing",
            hostnames=["half-missing.test"],
        ),
        route(rule("/", "missing"), name="missing", hostnames=["missing.test"]),
        route(rule("/", "empty"), name="empty", hostnames=["empty.test"]),
        route(rule("/none"), name="none", hostnames=["none.test"]),
        route(rule("/", "refusing"), name="refusing", hostnames=["refusing.test"]),
        route(rule("/", "half"), name="half", hostnames=["half.test"]),
        route(
            rule(
                "/",
                ref("one", filters=[header_filter("Request", set=[("x-backend-filter", "yes")])]),
                filters=[
                    header_filter("Request", set=[("x-set", "new")], add=[("x-add", "more")], remove=["x-remove"]),
                    header_filter(
                        "Response", set=[("x-back", "hidden")], add=[("x-added", "a")], remove=["content-type"]
                    ),
                ],
            ),
            name="headers",
            hostnames=["headers.test"],
        ),
        route(
            rule("/code", filters=[redirect(statusCode=301, hostname="new.test")]),
            rule("/scheme", filters=[redirect(scheme="https", statusCode=308)]),
            rule("/port", filters=[redirect(port=8443, statusCode=302)]),
            rule(
                "/full", filters=[redirect(path={"type": "ReplaceFullPath", "replaceFullPath": "/new"}, statusCode=303)]
            ),
            rule(
                "/old",
                filters=[redirect(path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}, statusCode=307)],
            ),
            name="redirects",
            hostnames=["redirect.test"],
        ),
        route(
            rule("/host", "one", filters=[rewrite(hostname="inside.test")]),
            rule("/full", "one", filters=[rewrite(path={"type": "ReplaceFullPath", "replaceFullPath": "/new"})]),
            rule("/old", "one", filters=[rewrite(path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"})]),
            name="rewrites",
            hostnames=["rewrite.test"],
        ),
        route(
            rule("/one", "one", filters=[mirror("copy")]),
            rule("/two", "one", filters=[mirror("copy"), mirror("copy-two")]),
            rule("/half", "one", filters=[mirror("copy", percent=50)]),
            rule("/fraction", "one", filters=[mirror("copy", fraction={"numerator": 0, "denominator": 100})]),
            rule("/dead", "one", filters=[mirror("refusing")]),
            name="mirrors",
            hostnames=["mirror.test"],
        ),
        route(
            rule("/request", "slow", timeouts={"request": "150ms"}),
            rule("/backend", "slow", timeouts={"backendRequest": "150ms"}),
            rule("/none", "one", timeouts={"request": "0s"}),
            name="timeouts",
            hostnames=["timeout.test"],
        ),
        route(
            rule("/codes", "flaky", retry={"codes": [503], "attempts": 3, "backoff": "5ms"}),
            rule("/reset", "flaky", retry={"attempts": 2, "backoff": "5ms"}),
            rule("/given-up", "flaky", retry={"codes": [503], "attempts": 1, "backoff": "5ms"}),
            rule("/no-retry", "flaky"),
            name="retries",
            hostnames=["retry.test"],
        ),
        route(
            rule(
                "/",
                "own",
                filters=[
                    {
                        "type": "CORS",
                        "cors": {
                            "allowOrigins": ["https://*.shop.test", "https://app.test"],
                            "allowMethods": ["GET", "PUT"],
                            "allowHeaders": ["x-token"],
                            "exposeHeaders": ["x-one"],
                            "allowCredentials": True,
                            "maxAge": 600,
                        },
                    }
                ],
            ),
            name="cors",
            hostnames=["cors.test"],
        ),
        route(rule("/", "two"), name="port", parents=[{"name": "gateway", "port": 8081}], hostnames=["port.test"]),
        route(
            rule("/", "three"),
            name="section",
            parents=[{"name": "gateway", "sectionName": "http"}],
            hostnames=["section.test"],
        ),
        route(rule("/", "one", name="named-rule"), name="named", hostnames=["named.test"]),
    ]
    found = start(gateway(listener(), listener("second", 8081)), *routes, *services)
    yield World(found, backends)
    release.set()


@pytest.mark.parametrize(
    ("host", "target", "expected"),
    [
        ("path.test", "/", "one"),
        ("path.test", "/ab", "one"),
        ("path.test", "/a", "two"),
        ("path.test", "/a/", "two"),
        ("path.test", "/a/b?x=1", "two"),
        ("path.test", "/a/exact", "three"),
        ("path.test", "/a/exact/", "two"),
        ("path.test", "/re/12", "three"),
        ("path.test", "/re/x", "one"),
        ("path.test", "/%61", "two"),
        ("path.test", "//a", "two"),
        ("path.test", "/x/../a", "two"),
        ("PATH.test:8080", "/a", "two"),
        ("path.test.", "/a", "two"),
        ("x.wild.test", "/", "two"),
        ("x.y.wild.test", "/", "two"),
        ("exact.wild.test", "/", "three"),
        ("section.test", "/", "three"),
        ("named.test", "/", "one"),
    ],
)
def test_path_and_host(world: World, client: Any, host: str, target: str, expected: str) -> None:
    found = world.request(client, "GET", host, target)
    assert (found.status, found.echo["backend"]) == (200, expected)


@pytest.mark.parametrize(
    ("host", "target"), [("wild.test", "/"), ("other.test", "/"), ("port.test", "/"), ("redirect.test", "/codex")]
)
def test_not_found(world: World, client: Any, host: str, target: str) -> None:
    assert world.request(client, "GET", host, target).status == 404


def test_destination_port(world: World, client: Any) -> None:
    assert world.request(client, "GET", "port.test", "/", port=8081).echo["backend"] == "two"
    assert world.request(client, "GET", "section.test", "/", port=8081).status == 404


@pytest.mark.parametrize(
    ("method", "target", "headers", "expected"),
    [
        ("GET", "/", (), "one"),
        ("GET", "/", (("x-version", "two"),), "two"),
        ("GET", "/", (("x-version", "TWO"),), "one"),
        ("GET", "/", (("x-version", "v12"),), "three"),
        ("GET", "/", (("x-version", "v12x"),), "one"),
        ("GET", "/?animal=whale", (), "two"),
        ("GET", "/?animal=wh%61le", (), "two"),
        ("GET", "/?animal=dog&animal=whale", (), "one"),
        ("GET", "/?count=42", (), "three"),
        ("DELETE", "/", (), "copy"),
        ("GET", "/or/x", (), "copy"),
    ],
)
def test_matches(world: World, client: Any, method: str, target: str, headers: Any, expected: str) -> None:
    assert world.request(client, method, "matches.test", target, headers).echo["backend"] == expected


def test_weights(world: World, client: Any) -> None:
    connection = client(world.gateway.address, PORT)
    counts = Counter(connection.request("GET", "weights.test", "/").echo["backend"] for _ in range(200))
    connection.close()
    assert set(counts) == {"one", "two"}
    assert 35 <= counts["one"] <= 65


def test_share_of_a_missing_backend(world: World, client: Any) -> None:
    connection = client(world.gateway.address, PORT)
    counts = Counter(connection.request("GET", "half-missing.test", "/").status for _ in range(100))
    connection.close()
    assert set(counts) == {200, 500}
    assert 35 <= counts[500] <= 65


@pytest.mark.parametrize(
    ("host", "target", "status"),
    [("missing.test", "/", 500), ("empty.test", "/", 503), ("none.test", "/none", 500), ("refusing.test", "/", 503)],
)
def test_backends_that_are_not_there(world: World, client: Any, host: str, target: str, status: int) -> None:
    assert world.request(client, "GET", host, target).status == status


def test_connection_errors_try_another_endpoint(world: World, client: Any) -> None:
    connection = client(world.gateway.address, PORT)
    assert {connection.request("GET", "half.test", "/").status for _ in range(20)} == {200}
    connection.close()


def test_header_modifiers(world: World, client: Any) -> None:
    sent = (("X-Set", "old"), ("x-add", "first"), ("X-Remove", "x"), ("x-keep", "k"))
    found = world.request(client, "GET", "headers.test", "/", sent)
    assert found.sent("x-set") == "new"
    assert found.sent("x-add") == "first, more"
    assert found.sent("x-remove") is None
    assert found.sent("x-keep") == "k"
    assert found.sent("x-backend-filter") == "yes"
    assert found.header("x-back") == "hidden"
    assert found.header("x-added") == "a"
    assert found.header("content-type") is None


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/code/x?q=1", 301, "http://new.test:8080/code/x?q=1"),
        ("/scheme", 308, "https://redirect.test/scheme"),
        ("/port", 302, "http://redirect.test:8443/port"),
        ("/full/x?q", 303, "http://redirect.test:8080/new?q"),
        ("/old/x", 307, "http://redirect.test:8080/new/x"),
    ],
)
def test_redirects(world: World, client: Any, target: str, status: int, location: str) -> None:
    found = world.request(client, "GET", "redirect.test", target)
    assert (found.status, found.header("location")) == (status, location)


@pytest.mark.parametrize(
    ("target", "host", "rewritten"),
    [
        ("/host/x?q=1", "inside.test", "/host/x?q=1"),
        ("/full/x?q=1", "rewrite.test", "/new?q=1"),
        ("/old/x", "rewrite.test", "/new/x"),
        ("/old", "rewrite.test", "/new"),
    ],
)
def test_rewrites(world: World, client: Any, target: str, host: str, rewritten: str) -> None:
    found = world.request(client, "GET", "rewrite.test", target)
    assert (found.sent("host"), found.echo["target"]) == (host, rewritten)


def test_mirrors(world: World, client: Any) -> None:
    copy, second = world.backends["copy"], world.backends["copy-two"]
    before, before_second = len(copy.requests), len(second.requests)
    found = world.request(client, "POST", "mirror.test", "/one", (), b"body")
    assert found.echo["backend"] == "one"
    mirrored = copy.wait(before + 1)[before]
    assert (mirrored.method, mirrored.target, mirrored.body) == ("POST", "/one", b"body")
    world.request(client, "GET", "mirror.test", "/two")
    copy.wait(before + 2)
    second.wait(before_second + 1)


def test_mirrors_of_a_share(world: World, client: Any) -> None:
    copy = world.backends["copy"]
    before = len(copy.requests)
    connection = client(world.gateway.address, PORT)
    for _ in range(100):
        assert connection.request("GET", "mirror.test", "/half").status == 200
        assert connection.request("GET", "mirror.test", "/fraction").status == 200
    assert connection.request("GET", "mirror.test", "/dead").echo["backend"] == "one"
    assert connection.request("GET", "mirror.test", "/one").status == 200
    connection.close()
    with copy.changed:
        assert copy.changed.wait_for(lambda: any(item.target == "/one" for item in copy.requests[before:]), 10)
        mirrored = Counter(item.target for item in copy.requests[before:])
    assert 25 <= mirrored["/half"] <= 75
    assert mirrored["/fraction"] == 0


@pytest.mark.parametrize("target", ["/request", "/backend"])
def test_timeouts(world: World, client: Any, target: str) -> None:
    started = time.monotonic()
    assert world.request(client, "GET", "timeout.test", target).status == 504
    assert time.monotonic() - started < 5
    assert world.request(client, "GET", "timeout.test", "/none").status == 200


_numbers = itertools.count()


def test_retries(world: World, client: Any) -> None:
    unique = next(_numbers)
    assert world.request(client, "GET", "retry.test", f"/codes/{unique}").body == b"3"
    assert world.request(client, "GET", "retry.test", f"/reset/{unique}").body == b"2"
    assert world.request(client, "GET", "retry.test", f"/given-up/{unique}").status == 503
    assert world.request(client, "GET", "retry.test", f"/no-retry/{unique}").status == 503
    targets = Counter(item.target for item in world.backends["flaky"].requests)
    assert targets[f"/given-up/{unique}"] == 2
    assert targets[f"/no-retry/{unique}"] == 1


def test_retries_only_what_may_be_repeated(world: World, client: Any) -> None:
    unique = next(_numbers)
    assert world.request(client, "POST", "retry.test", f"/codes/{unique}", (), b"once").status == 503
    assert Counter(item.target for item in world.backends["flaky"].requests)[f"/codes/{unique}"] == 1


def test_cors(world: World, client: Any) -> None:
    asked = (("origin", "https://a.shop.test"), ("access-control-request-method", "PUT"))
    found = world.request(client, "OPTIONS", "cors.test", "/", asked)
    assert found.status in {200, 204}
    assert found.header("access-control-allow-origin") == "https://a.shop.test"
    assert found.header("access-control-allow-methods") == "GET, PUT"
    assert found.header("access-control-allow-headers") == "x-token"
    assert found.header("access-control-allow-credentials") == "true"
    assert found.header("access-control-max-age") == "600"
    found = world.request(client, "GET", "cors.test", "/", (("origin", "https://app.test"),))
    assert (found.status, found.body) == (200, b"own")
    assert found.header("access-control-allow-origin") == "https://app.test"
    assert found.header("access-control-expose-headers") == "x-one"
    found = world.request(client, "OPTIONS", "cors.test", "/", (("origin", "https://evil.test"), asked[1]))
    assert found.header("access-control-allow-origin") is None
    # Nor does what the backend says of its own accord let others read the answer.
    for origin in ((("origin", "https://evil.test"),), ()):
        found = world.request(client, "GET", "cors.test", "/", origin)
        assert (found.status, found.body) == (200, b"own")
        assert found.header("access-control-allow-origin") is None
