"""GRPCRoute over real sockets: matching, filters, weights, mirrors, and what the gateway answers itself."""

from __future__ import annotations

import json
import queue
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from system_certificates import Authority
from system_clients import Http1, Http2, tls_context
from system_gateway import Gateway, until
from system_grpc import LIMIT, GrpcBackend, Metadata, call, channel, status
from system_manifests import backend as ref
from system_manifests import (
    backend_tls_policy,
    config_map,
    gateway,
    grpc_route,
    grpc_rule,
    https,
    listener,
    route,
    rule,
    secret,
    service,
)

PORT, TLS_PORT = 8080, 8443

UNIMPLEMENTED, UNAVAILABLE, DEADLINE_EXCEEDED = 12, 14, 4


@dataclass
class World:
    gateway: Gateway
    backends: dict[str, GrpcBackend]
    log: Path
    roots: bytes

    def channel(self, host: str, **rest: Any) -> grpc.Channel:
        return channel(self.gateway.address, PORT, host, **rest)

    def logged(self, path: str) -> dict[str, Any]:
        """The line of a request, once it is written; other requests flush the writer's queue."""
        for _ in range(1000):
            for line in self.log.read_text().splitlines():
                found: dict[str, Any] = json.loads(line)
                if found["path"] == path:
                    return found
            client = Http1(self.gateway.address, PORT)
            client.request("GET", "log.test", "/")
            client.close()
        raise AssertionError(f"{path} is not logged")


def header_filter(kind: str, **edits: Any) -> dict[str, Any]:
    fields = {
        key: [{"name": name, "value": value} for name, value in values] if key != "remove" else values
        for key, values in edits.items()
    }
    return {"type": f"{kind}HeaderModifier", f"{kind[0].lower()}{kind[1:]}HeaderModifier": fields}


def method(service_name: str | None = None, name: str | None = None, **rest: Any) -> dict[str, Any]:
    parts = {"service": service_name, "method": name, **rest}
    return {"method": {key: value for key, value in parts.items() if value is not None}}


@pytest.fixture(scope="module")
def world(start: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    certificate = authority.sign("tls.test")
    backends = {name: GrpcBackend(name) for name in ("one", "two", "three", "copy")}
    backends["secure"] = GrpcBackend("secure", pair=authority.sign("secure.test"))
    big = (("grpc.max_metadata_size", 65536), ("grpc.absolute_max_metadata_size", 65536))
    backends["big"] = GrpcBackend("big", options=big)
    unused = GrpcBackend("unused")
    unused.close()
    expression = {"type": "RegularExpression"}
    objects = [
        gateway(listener(), https(port=TLS_PORT), https("other", TLS_PORT, hostname="other.test")),
        secret("certificate", certificate.certificate, certificate.key),
        config_map("authority", authority.pem),
        backend_tls_policy("policy", "secure", "secure.test", "authority"),
        *(item for name, each in backends.items() for item in service(name, each.address)),
        *service("cleartext", backends["one"].address, protocol="kubernetes.io/h2c"),
        *service("refusing", unused.address),
        *service("empty"),
        grpc_route(
            grpc_rule("one", matches=[method("pkg.Shop", "Get")]),
            grpc_rule("two", matches=[method("pkg.Shop")]),
            grpc_rule("three", matches=[method(None, "List")]),
            grpc_rule("three", matches=[method("pkg.Long(er)?Shop", "G.*", **expression)]),
            grpc_rule("two", matches=[{**method("pkg.Shop", "Get"), "headers": [{"name": "version", "value": "two"}]}]),
            grpc_rule("three", matches=[method("pkg.Shop", "[A-Z]+", **expression)]),
            name="match",
            hostnames=["match.test"],
        ),
        grpc_route(grpc_rule("one"), name="all", hostnames=["all.test", "tls.test"]),
        grpc_route(grpc_rule("secure"), name="secure", hostnames=["secure.test"]),
        grpc_route(grpc_rule("big"), name="big", hostnames=["big.test"]),
        grpc_route(
            grpc_rule(
                "one",
                filters=[
                    header_filter("Request", set=[("x-set", "new")], add=[("x-add", "more")], remove=["x-remove"]),
                    header_filter("Response", set=[("x-back", "edited")], add=[("x-more", "yes")]),
                ],
            ),
            name="filters",
            hostnames=["filters.test"],
        ),
        grpc_route(
            grpc_rule("one", filters=[{"type": "RequestMirror", "requestMirror": {"backendRef": ref("copy")}}]),
            name="mirror",
            hostnames=["mirror.test"],
        ),
        grpc_route(
            grpc_rule(ref("one", weight=1), ref("two", weight=3), ref("three", weight=0)),
            name="weights",
            hostnames=["weights.test"],
        ),
        grpc_route(grpc_rule("empty"), name="empty", hostnames=["empty.test"]),
        grpc_route(grpc_rule("refusing"), name="refusing", hostnames=["refusing.test"]),
        grpc_route(grpc_rule("missing"), name="missing", hostnames=["missing.test"]),
        grpc_route(grpc_rule("one", matches=[method("pkg.Both")]), name="both", hostnames=["both.test"]),
        route(rule("/", "cleartext"), name="plain", hostnames=["both.test"]),
        route(rule("/", "cleartext", timeouts={"request": "300ms"}), name="timeout", hostnames=["timeout.test"]),
    ]
    log = tmp_path_factory.mktemp("log") / "access.log"
    found = start(*objects, arguments=("--access-log", str(log)))
    yield World(found, backends, log, authority.pem)
    for each in backends.values():
        each.close()


@pytest.mark.parametrize(
    ("path", "metadata", "expected"),
    [
        ("/pkg.Shop/Get", (), "one"),
        ("/pkg.Shop/Get", (("version", "two"),), "two"),
        ("/pkg.Shop/Put", (), "two"),
        ("/pkg.Shop/PUT", (), "three"),
        ("/pkg.Other/List", (), "three"),
        ("/pkg.Shop/List", (), "two"),
        ("/pkg.LongerShop/Get", (), "three"),
        ("/pkg.LongShop/Got", (), "three"),
        ("/pkg.LongestShop/Get", (), None),
        ("/pkg.shop/Get", (), None),
        ("/pkg.Other/Get", (), None),
    ],
)
def test_methods_and_headers(world: World, path: str, metadata: Metadata, expected: str | None) -> None:
    with world.channel("match.test") as made:
        if expected is None:
            assert status(made, path, metadata=metadata) == (UNIMPLEMENTED, "no_route: no route matches this request")
        else:
            answer = call(made, path, b"hello", metadata)
            assert (answer["backend"], answer["method"], answer["request"]) == (expected, path, "hello")


def test_a_route_without_matches_takes_every_method(world: World) -> None:
    with world.channel("all.test") as made:
        assert call(made, "/any.Service/Any")["backend"] == "one"


def test_an_http_route_keeps_what_no_method_takes(world: World) -> None:
    with world.channel("both.test") as made:
        assert call(made, "/pkg.Both/Get")["backend"] == "one"
        assert call(made, "/pkg.Neither/Get")["backend"] == "one"
    for name in ("GRPCRoute/default/both", "HTTPRoute/default/plain"):
        labels = f'listener="Gateway/default/gateway/http",route="{name}",grpc_status="0"'
        line = f"sluicegate_grpc_requests_total{{{labels}}} 1"
        until(lambda line=line: line in world.gateway.admin("/metrics").splitlines(), line)  # just after the response


def test_header_filters(world: World) -> None:
    with world.channel("filters.test") as made:
        sent = (("x-set", "old"), ("x-add", "first"), ("x-remove", "gone"), ("x-kept-bin", b"\x00\x01\xfe"))
        response, done = made.unary_unary("/pkg.Shop/Get").with_call(b"", metadata=sent, timeout=LIMIT)
        seen = json.loads(response)["metadata"]
        initial = dict(done.initial_metadata())
        trailing = dict(done.trailing_metadata())
    values: dict[str, list[str]] = {}
    for key, value in seen:
        values.setdefault(key, []).append(value)
    assert values["x-set"] == ["new"]
    assert ", ".join(values["x-add"]) == "first, more"
    assert "x-remove" not in values
    assert values["x-kept-bin"] == ["0001fe"]
    assert (initial["x-back"], initial["x-more"]) == ("edited", "yes")
    assert (trailing["x-trailer"], trailing["x-trailer-bin"]) == ("one", b"\x00\xff")


def test_mirrors(world: World) -> None:
    with world.channel("mirror.test") as made:
        assert call(made, "/pkg.Mirror/Get", b"body")["backend"] == "one"
    assert "/pkg.Mirror/Get" in world.backends["copy"].wait(1)


def test_weights(world: World) -> None:
    with world.channel("weights.test") as made:
        taken = Counter(call(made, "/pkg.Shop/Get")["backend"] for _ in range(40))
    assert set(taken) == {"one", "two"}
    assert 9 <= taken["one"] <= 11


@pytest.mark.parametrize(
    ("host", "expected", "error"),
    [
        ("nowhere.test", UNIMPLEMENTED, "no_route"),
        ("empty.test", UNAVAILABLE, "no_endpoint"),
        ("refusing.test", UNAVAILABLE, "upstream_connect"),
        ("missing.test", UNAVAILABLE, "backend_invalid"),
        ("timeout.test", DEADLINE_EXCEEDED, "request_timeout"),
    ],
)
def test_errors_of_the_gateway(world: World, host: str, expected: int, error: str) -> None:
    path = f"/pkg.Errors.{error}/Silent"
    with world.channel(host) as made:
        number, message = status(made, path)
    assert (number, message.partition(":")[0]) == (expected, error)
    line = world.logged(path)
    assert (line["status"], line["grpc_status"], line["error"]) == (200, expected, error)


def test_the_access_log(world: World) -> None:
    with world.channel("all.test") as made:
        call(made, "/pkg.Logged/Get", b"hello")
    line = world.logged("/pkg.Logged/Get")
    assert (line["status"], line["grpc_status"], line["error"], line["protocol"]) == (200, 0, None, "HTTP/2")
    assert (line["route"], line["backend"]) == ("GRPCRoute/default/all", "default/one:80")
    # A message has five octets of its own before it.
    assert (line["request_bytes"], line["response_bytes"] > 5) == (10, True)


def test_errors_on_the_wire(world: World) -> None:
    """Trailers-Only: a status in the head, nothing after it; requests that are no gRPC get an HTTP status."""
    client = Http2(world.gateway.address, PORT)
    for host, path, content_type in (
        ("nowhere.test", "/a.B/C", "application/grpc+proto"),
        ("match.test", "/a.B/C", "application/grpc"),
        ("match.test", "/a.B/../../..", "application/grpc"),
    ):
        answer = client.request("POST", host, path, (("content-type", content_type), ("te", "trailers")), b"")
        assert (answer.status, answer.body, answer.trailers) == (200, b"", [])
        assert answer.header("content-type") == "application/grpc"
        assert answer.header("grpc-status") == ("13" if ".." in path else "12")
    for content_type in ("application/json", "application/grpc-web+proto"):
        answer = client.request("POST", "nowhere.test", "/a.B/C", (("content-type", content_type),), b"")
        assert (answer.status, answer.header("grpc-status")) == (404, None)
    client.close()


def test_misdirected_stays_http(world: World) -> None:
    """A client has to see 421 to open another connection (RFC 9110 section 15.5.20)."""
    context = tls_context(world.roots, "h2")
    client = Http2(world.gateway.address, TLS_PORT, context, "tls.test")
    answer = client.request("POST", "other.test", "/a.B/Get", (("content-type", "application/grpc"),), b"")
    assert (answer.status, answer.header("grpc-status")) == (421, None)
    client.close()


def test_statuses_of_backends(world: World) -> None:
    with world.channel("all.test") as made:
        for code in grpc.StatusCode:
            number: int = code.value[0]
            if number == 0:
                continue
            with pytest.raises(grpc.RpcError) as caught:
                made.unary_unary("/pkg.Shop/Fail")(f"{number} w\u00e4rum\n?".encode(), timeout=LIMIT)
            assert (caught.value.code(), caught.value.details()) == (code, "w\u00e4rum\n?")
            assert dict(caught.value.trailing_metadata())["x-why"] == "asked"


def test_tls_on_both_sides(world: World) -> None:
    with channel(world.gateway.address, TLS_PORT, "tls.test", roots=world.roots) as made:
        assert call(made, "/pkg.Shop/Get")["backend"] == "one"
    with world.channel("secure.test") as made:
        assert call(made, "/pkg.Shop/Get")["backend"] == "secure"


def test_deadlines_are_passed_on(world: World) -> None:
    with world.channel("all.test") as made:
        remaining = call(made, "/pkg.Shop/Get", timeout=50)["remaining"]
        # Clients round what they send upwards.
        assert 0 < remaining <= 55
        # Long enough for the call to come to the backend on any machine, which then sees the deadline pass.
        assert status(made, "/pkg.Deadline/Silent", timeout=5)[0] == DEADLINE_EXCEEDED
    world.backends["one"].wait_hanging("/pkg.Deadline/Silent")
    world.backends["one"].wait_cancelled("/pkg.Deadline/Silent")


@pytest.mark.parametrize("kind", ["Hang", "Silent"])
def test_cancellation_reaches_the_backend(world: World, kind: str) -> None:
    backend = world.backends["one"]
    with world.channel("all.test") as made:
        running = made.unary_stream(f"/pkg.Cancel/{kind}")(b"", timeout=LIMIT)
        if kind == "Hang":
            assert dict(running.initial_metadata())["x-back"] == "one", "initial metadata does not wait for a message"
        backend.wait_hanging(f"/pkg.Cancel/{kind}")
        running.cancel()
        backend.wait_cancelled(f"/pkg.Cancel/{kind}")


@pytest.mark.parametrize("kind", ["Hang", "Silent"])
def test_a_client_that_goes_away_frees_the_backend(world: World, kind: str) -> None:
    backend = world.backends["one"]
    client = Http2(world.gateway.address, PORT)
    fields = (("content-type", "application/grpc"), ("te", "trailers"))
    client.open("POST", "all.test", f"/pkg.Gone/{kind}", fields)
    backend.wait_hanging(f"/pkg.Gone/{kind}")
    client.close()
    backend.wait_cancelled(f"/pkg.Gone/{kind}")
    line = world.logged(f"/pkg.Gone/{kind}")
    assert (line["error"], line["grpc_status"]) == ("client_gone", 1)


def test_both_directions_at_once(world: World) -> None:
    """Each message is answered before the next one is sent, on many streams of one connection."""
    with world.channel("all.test") as made:
        streams = []
        for number in range(100):
            requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
            streams.append(
                (number, requests, made.stream_stream("/pkg.Shop/Chat")(iter(requests.get, None), timeout=LIMIT))
            )
        for turn in range(5):
            for number, requests, responses in streams:
                requests.put(f"{number}.{turn}".encode())
                assert next(responses) == f"{number}.{turn}".encode()
        for _, requests, responses in streams:
            requests.put(None)
            assert list(responses) == []
            assert responses.code() is grpc.StatusCode.OK


def test_large_streams(world: World) -> None:
    size = 32 * 1024 * 1024
    with world.channel("all.test") as made:
        assert (
            sum(len(part) for part in made.unary_stream("/pkg.Shop/Flood")(str(size).encode(), timeout=LIMIT)) == size
        )
        messages = [bytes([number]) * 65536 for number in range(200)]
        answered = made.stream_stream("/pkg.Shop/Chat")(iter(messages), timeout=LIMIT)
        assert list(answered) == messages


def test_large_metadata(world: World) -> None:
    options = (("grpc.max_metadata_size", 65536), ("grpc.absolute_max_metadata_size", 65536))
    with world.channel("big.test", options=options) as made:
        answer = call(made, "/pkg.Shop/Get", metadata=(("x-large", "m" * 40_000),))
        assert ["x-large", "m" * 40_000] in answer["metadata"]
        assert status(made, "/pkg.Shop/Fail", b"9 " + b"e" * 40_000) == (9, "e" * 40_000)


def test_a_call_in_http1_gets_the_status_too(world: World) -> None:
    """A rule of a GRPCRoute answers gRPC whatever was spoken; its backends get HTTP/2 always."""
    client = Http1(world.gateway.address, PORT)
    fields = (("content-type", "application/grpc"),)
    answer = client.request("POST", "empty.test", "/pkg.Shop/Get", fields, b"")
    assert (answer.status, answer.header("grpc-status"), answer.body) == (200, "14", b"")
    client.close()
