"""The access log: who asked, and what was refused."""

from __future__ import annotations

import json
import math
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from system_backends import response
from system_clients import Http1, Http2
from system_gateway import LIMIT, Gateway, until
from system_manifests import gateway, opaque, policy, route, rule, service, target
from system_tokens import Issuer, bearer
from test_access_policy import basic
from test_access_remote import jwt, keys_of

PORT = 8080
HOST = "log.test"


class World:
    """A gateway that trusts its own machine and 203.0.113.0/24, and what it logs."""

    def __init__(self, start: Any, backend: Any, folder: Path) -> None:
        settings = folder / "sluicegate.toml"
        settings.write_text('[engine]\ntrusted_proxies = ["127.0.0.0/8", "203.0.113.0/24"]\nhead_timeout_ms = 300\n')
        self.path = folder / "access.log"
        self.app = backend("app")
        self.gateway: Gateway = start(
            gateway(),
            route(rule("/", "app")),
            *service("app", self.app.address),
            arguments=("--config", str(settings), "--access-log", str(self.path)),
        )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def line_of(self, path: str) -> dict[str, Any]:
        """The one line about a path, once it is there."""
        until(lambda: any(line["path"] == path for line in self.lines()), f"{path} is logged")
        found = [line for line in self.lines() if line["path"] == path]
        assert len(found) == 1
        return found[0]


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(start, backend, tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize(
    ("name", "fields", "origin", "forwarded"),
    [
        ("none", [], None, "127.0.0.1"),
        ("one", ["198.51.100.7"], "198.51.100.7", "198.51.100.7, 127.0.0.1"),
        ("chain", ["6.6.6.6, 198.51.100.7, 203.0.113.9"], "198.51.100.7", None),
        ("two-fields", ["198.51.100.7", "203.0.113.9"], "198.51.100.7", "198.51.100.7, 203.0.113.9, 127.0.0.1"),
        ("all-trusted", ["203.0.113.8, 203.0.113.9"], "203.0.113.8", None),
        ("nonsense", ["6.6.6.6, unknown"], None, None),
        ("nonsense-first", ["unknown, 198.51.100.7"], "198.51.100.7", None),
        ("version-6", ["2001:db8::7"], "2001:db8::7", None),
    ],
)
def test_the_client_behind_trusted_proxies(
    world: World, client: Any, name: str, fields: list[str], origin: str | None, forwarded: str | None
) -> None:
    connection = client(world.gateway.address, PORT)
    path = f"/{name}/{client.__name__}"
    found = connection.request("GET", HOST, path, tuple(("x-forwarded-for", value) for value in fields))
    connection.close()
    assert found.status == 200
    line = world.line_of(path)
    peer = line["peer"]
    assert peer.startswith("127.")
    assert line["client"] == (origin or peer)
    if forwarded is not None:
        assert found.sent("x-forwarded-for") == forwarded.replace("127.0.0.1", peer)


@pytest.mark.parametrize(
    ("sent", "status", "error", "method", "path"),
    [
        pytest.param(b"GET /two words HTTP/1.1\r\n\r\n", 400, "bad_request", "GET", "/two words", id="space"),
        pytest.param(b"GET /no-host HTTP/1.1\r\n\r\n", 400, "bad_request", "GET", "/no-host", id="no host"),
        pytest.param(b"GARBAGE-IT-IS\r\n\r\n", 400, "bad_request", "GARBAGE-IT-IS", "", id="garbage"),
        pytest.param(
            b"GET /bad-field HTTP/1.1\r\nHost: a\r\nX-A: a\x7fb\r\n\r\n",
            400,
            "bad_request",
            "GET",
            "/bad-field",
            id="field",
        ),
        pytest.param(b"GET /version HTTP/3.0\r\n\r\n", 505, "unsupported_version", "GET", "/version", id="version"),
        pytest.param(
            b"GET /expect HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
            417,
            "expectation_failed",
            "GET",
            "/expect",
            id="expect",
        ),
        pytest.param(b"GET /slow HTTP/1.1\r\nHost: a\r\n", 408, "request_head_timeout", "GET", "/slow", id="slow"),
        pytest.param(b"GET /bad%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request", "GET", "/bad%zz", id="target"),
    ],
)
def test_what_is_refused_is_logged(world: World, sent: bytes, status: int, error: str, method: str, path: str) -> None:
    before = len(world.lines())
    with socket.create_connection((world.gateway.address, PORT), LIMIT) as connection:
        connection.sendall(sent)
        while connection.recv(65_536):
            pass
    until(lambda: len(world.lines()) > before, "it is logged")
    (line,) = world.lines()[before:]
    assert (line["status"], line["error"], line["method"], line["path"]) == (status, error, method, path)
    assert line["client"] == line["peer"]
    if path != "/bad%zz":
        assert line["error_detail"]


def test_what_is_refused_over_http2_is_logged(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    assert connection.request("GET", HOST, "/expect-2", (("expect", "x"),)).status == 417
    line = world.line_of("/expect-2")
    assert (line["status"], line["error"], line["protocol"]) == (417, "expectation_failed", "HTTP/2")
    assert line["authority"] == HOST
    connection.close()


@pytest.mark.parametrize(
    ("fields", "target", "status", "error"),
    [
        pytest.param((), "/two words", 0, "bad_request", id="target"),
        pytest.param((), "/odd#fragment", 0, "bad_request", id="fragment"),
        pytest.param((("connection", "close"),), "/", 0, "bad_request", id="field"),
        pytest.param((("x", "y" * 70_000),), "/", 431, "headers_too_large", id="large"),
    ],
)
def test_what_never_was_a_request_over_http2_is_logged(
    world: World, fields: tuple[tuple[str, str], ...], target: str, status: int, error: str
) -> None:
    """What reads the frames resets its stream, or answers by itself; the connection goes on."""

    def found() -> tuple[list[dict[str, Any]], int]:
        lines = [line for line in world.lines() if (line["error"], line["protocol"]) == (error, "HTTP/2")]
        return lines, errors(world.gateway, error)

    before, counted = found()
    connection = Http2(world.gateway.address, PORT)
    try:
        assert connection.request("GET", HOST, target, fields).status == status
    except ConnectionError as ended:
        assert (str(ended), status) == ("stream reset: 1", 0)  # noqa: PT017 (what comes is a result here)
    assert connection.request("GET", HOST, f"/after-{error}{len(before)}").status == 200
    connection.close()
    world.line_of(f"/after-{error}{len(before)}")
    until(lambda: found()[1] == counted + 1, "it is counted")
    (line,) = found()[0][len(before) :]
    assert line["client"] == line["peer"]
    assert (line["method"], line["path"]) == ("", "")
    assert line["error_detail"]


def errors(found: Gateway, code: str) -> int:
    lines = found.admin("/metrics").splitlines()
    return int(next(line for line in lines if f'errors_total{{code="{code}"}}' in line).split()[1])


def test_the_log_has_no_forged_client(start: Any, backend: Any, tmp_path: Path) -> None:
    """Nobody is trusted: what a client says of itself is not believed."""
    path = tmp_path / "access.log"
    found = start(
        gateway(),
        route(rule("/", "app")),
        *service("app", backend("app").address),
        arguments=("--access-log", str(path)),
    )
    connection = Http1(found.address, PORT)
    assert connection.request("GET", HOST, "/", (("x-forwarded-for", "6.6.6.6"),)).status == 200
    connection.close()
    until(lambda: path.read_text().count("\n") == 1, "it is logged")
    line = json.loads(path.read_text())
    assert line["client"] == line["peer"] != "6.6.6.6"


def test_who_was_let_in_is_logged(start: Any, backend: Any, client: Any, tmp_path: Path) -> None:
    """As nginx's $remote_user; not what proved it. A name is bounded, and leads no terminal astray."""
    issuer, path = Issuer("one"), tmp_path / "access.log"
    found: Gateway = start(
        gateway(),
        route(*(rule(f"/{name}", "app", name=name) for name in ("either", "denied", "open"))),
        *service("app", backend("app").address),
        opaque("keys", ann="ann-0123456789abcdef"),
        opaque("users", auth="eve:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"),
        keys_of(issuer.jwk()),
        *(
            policy(
                "AccessPolicy",
                name,
                target("HTTPRoute", "route", name),
                apiKey={"secretRefs": [{"name": "keys"}]},
                basic={"secretRef": {"name": "users", "key": "auth"}},
                jwt=jwt(),
                **rest,
            )
            for name, rest in (("either", {}), ("denied", {"authorization": {"rules": [{"users": ["nobody"]}]}}))
        ),
        arguments=("--access-log", str(path)),
    )
    key, password = ("x-api-key", "ann-0123456789abcdef"), basic("eve", "password")[0]
    odd = bearer(issuer.token(sub="\u001b[2J\u00e9" + 300 * "x"))
    connection = client(found.address, PORT)
    for asked, field, status, user, proof in (
        ("/either/key", key, 200, "ann", "apiKey"),
        ("/either/password", password, 200, "eve", "basic"),
        ("/either/token", bearer(issuer.token()), 200, "ada", "jwt"),
        ("/either/odd", odd, 200, "\ufffd[2J\u00e9" + 250 * "x" + "\u2026", "jwt"),
        ("/either/none", ("x-other", "1"), 401, None, None),
        ("/either/wrong", ("x-api-key", "ann"), 401, None, None),
        ("/denied", key, 403, "ann", "apiKey"),
        ("/open", key, 200, None, None),
    ):
        assert connection.request("GET", HOST, asked, (field,)).status == status
        until(lambda path_=asked: path.exists() and f'"{path_}"' in path.read_text(), f"{asked} is logged")
        line = json.loads(path.read_text().splitlines()[-1])
        assert (line["path"], line["user"], line["authenticated_by"]) == (asked, user, proof)
    connection.close()
    secrets = (key[1], password[1].split()[1], odd[1].split()[1])
    assert not any(each in path.read_text() for each in secrets)


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 2), (1, 4), (1, None)])
def test_a_share_of_the_requests(
    start: Any, backend: Any, client: Any, tmp_path: Path, numerator: int, denominator: int | None
) -> None:
    """ClientPolicy `accessLog.sample`: what is drawn of 400 requests is within eight standard deviations of the share
    (which one run in 10^8 misses at most); of errors each has its line."""
    requests, errors, log = 400, 20, tmp_path / "access.log"
    sample = {"numerator": numerator} | ({} if denominator is None else {"denominator": denominator})
    app = backend(lambda request: response(b"", "404 Not Found" if request.target == "/error" else "200 OK"))
    running: Gateway = start(
        gateway(),
        route(rule("/whole", "app"), rule("/", "app", name="sampled"), name="own"),
        policy("ClientPolicy", "own", target("HTTPRoute", "own", "sampled"), accessLog={"sample": sample}),
        *service("app", app.address),
        arguments=("--access-log", str(log)),
    )
    connection = client(running.address, PORT)
    for number in range(requests):
        assert connection.request("GET", HOST, "/").status == 200
        if number < errors:
            assert connection.request("GET", HOST, "/error").status == 404
    # On the same connection, so all lines of before are written before this one.
    assert connection.request("GET", HOST, "/whole").status == 200
    connection.close()
    until(lambda: '"/whole"' in log.read_text(), "the last one is logged")
    paths = Counter(json.loads(line)["path"] for line in log.read_text().splitlines())
    share = numerator / (denominator or 100)
    spread = 8 * math.sqrt(requests * share * (1 - share))
    assert abs(paths["/"] - requests * share) <= spread, paths
    assert (paths["/error"], paths["/whole"]) == (errors, 1)
