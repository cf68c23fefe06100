"""What docs/migration.md says of every host, where `--verify` has no name for it: each row by a request to the engine.

The rows with a name are what `--verify` sees, and `tests/migrate` and `test_migration_nginx.py` hold them.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from system_backends import Backend, Received, read_head, response
from system_certificates import Authority
from system_clients import Http1, Response, tls_context
from system_gateway import Gateway
from system_manifests import Manifest, metadata, secret, service
from system_migration import converted, ingress, manifests

from sluicegate.controller.ingress import Conversion, Name

Ask = Callable[..., Response]
ROOT = Path(__file__).parents[2]
HTTP, HTTPS = 8080, 8443
OFFSET = 8000
#: `ann` with the password `secret`.
USERS: Manifest = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": metadata("users"),
    "stringData": {"auth": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"},
}
ANN = ("authorization", f"Basic {base64.b64encode(b'ann:secret').decode()}")
INGRESSES = (
    ingress("plain.test", ("/", "web")),
    ingress("*.any.test", ("/", "web"), name="any"),
    ingress("moved.test", ("/", "web"), permanent_redirect="https://new.test/there"),
    ingress("body.test", ("/", "early")),
    ingress("refused.test", ("/", "refused")),
    ingress("broken.test", ("/", "broken")),
    ingress("failing.test", ("/", "failing")),
    ingress("basic.test", ("/", "web"), auth_type="basic", auth_secret="users"),
    ingress("asked.test", ("/", "web"), auth_url="http://auth.default.svc.cluster.local/check"),
    ingress("cookie.test", ("/", "api"), affinity="cookie"),
)
#: What each row begins with, and the test of it.
ROWS = {
    "port 443 serves hosts without TLS too": "test_port_443",
    "a wildcard is one label": "test_wildcards",
    "a redirect to a URL drops the query": "test_queries_of_redirects",
    "`X-Real-IP`, `X-Scheme`": "test_fields_of_where_a_request_comes_from",
    "bodies of requests are collected": "test_bodies",
    "a connection that fails, or breaks or is silent": "test_what_goes_to_the_next_endpoint",
    "`Authorization` of basic authentication": "test_passwords_go_nowhere",
    "a service of `auth-url` is asked by GET": "test_what_a_service_is_asked",
    "a session cookie says nothing of other sites": "test_session_cookies",
}


class Early(Backend):
    """Remembers a request as soon as its head is there."""

    def serve(self, connection: socket.socket) -> None:
        read_head(connection)
        self.remember(Received("", "", []))
        stream = connection.makefile("rb")
        stream.read(1)
        connection.sendall(response(b"early", headers=(("connection", "close"),)))


@pytest.fixture(scope="module")
def backends(backend: Callable[..., Backend]) -> Iterator[dict[str, list[Backend]]]:
    early = Early(lambda _request: None)
    yield {
        **{name: [backend(name)] for name in ("web", "api")},
        "early": [early],
        "auth": [backend(lambda _request: response())],
        "broken": [backend(lambda _request: None) for _ in range(3)],
        "failing": [backend(lambda _request: response(status="502 Bad Gateway")) for _ in range(3)],
    }
    early.close()


@pytest.fixture(scope="module")
def services(backends: dict[str, list[Backend]]) -> Iterator[list[Manifest]]:
    """Services of the backends, and one with an endpoint that refuses connections."""
    found = [item for name, each in backends.items() for item in service(name, *(one.address for one in each))]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens
        yield [*found, *service("refused", nobody.getsockname(), backends["web"][0].address)]


def made(*services: Manifest, **options: object) -> Conversion:
    return converted(*INGRESSES, *services, USERS, **options)


@pytest.fixture(scope="module")
def running(start: Callable[..., Gateway], services: list[Manifest], authority: Authority) -> Gateway:
    pair = authority.sign("plain.test")
    certificate = secret("default", pair.certificate, pair.key)
    found = made(*services, certificate, default_certificate=Name("default", "default"))
    arguments = ("--port-offset", str(OFFSET))
    return start(*manifests(found), *services, certificate, USERS, arguments=arguments)


@pytest.fixture
def ask(running: Gateway) -> Ask:
    return asking(running)


def asking(running: Gateway) -> Ask:
    def one(host: str, target: str = "/", *fields: tuple[str, str], method: str = "GET") -> Response:
        connection = Http1(running.address, HTTP)
        try:
            return connection.request(method, host, target, fields, b"x" if method == "POST" else None)
        finally:
            connection.close()

    return one


def told(conversion: Conversion, host: str) -> list[str]:
    return [item.message for item in conversion.losses if item.host == host]


def test_every_row_without_a_name_has_a_test() -> None:
    section = (ROOT / "docs" / "migration.md").read_text().partition("## What is different for every host")[2]
    rows = re.findall(r"^\| \| (.*?) \| .* \|$", section.partition("\n## ")[0], re.MULTILINE)[1:]
    assert len(rows) == len(ROWS)
    for row, (start, test) in zip(rows, ROWS.items(), strict=True):
        assert row.startswith(start)
        assert callable(globals()[test])


def test_port_443(running: Gateway, authority: Authority) -> None:
    assert any(
        "without a certificate the host is not served on port 443" in each for each in told(made(), "plain.test")
    )
    connection = Http1(running.address, HTTPS, tls_context(authority.pem), "plain.test")
    try:
        assert connection.request("GET", "plain.test", "/").echo["backend"] == "web"
    finally:
        connection.close()


def test_wildcards(ask: Ask) -> None:
    assert [ask(f"{name}.any.test").status for name in ("one", "two.labels")] == [200, 200]
    assert any("a wildcard stands for one label there" in each for each in told(made(), "*.any.test"))


def test_queries_of_redirects(ask: Ask) -> None:
    found = ask("moved.test", "/?a=1")
    # The port of https, with the offset that the gateway runs with.
    assert (found.status, found.header("location")) == (301, f"https://new.test:{HTTPS}/there?a=1")


def test_fields_of_where_a_request_comes_from(ask: Ask) -> None:
    names = {name for name, _ in ask("plain.test").echo["headers"]}
    assert {name for name in names if name.startswith("x-")} == {
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
    }


def test_bodies(running: Gateway, backends: dict[str, list[Backend]]) -> None:
    connection = Http1(running.address, HTTP)
    try:
        connection.send(b"POST / HTTP/1.1\r\nhost: body.test\r\ncontent-length: 2\r\n\r\na")
        backends["early"][0].wait(1)
        connection.send(b"b")
        assert connection.read().body == b"early"
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_goes_to_the_next_endpoint(ask: Ask, backends: dict[str, list[Backend]], method: str) -> None:
    assert [ask("refused.test", method=method).status for _ in range(4)] == [200] * 4
    for name in ("broken", "failing"):
        before = sum(len(each.requests) for each in backends[name])
        assert ask(f"{name}.test", method=method).status == 502
        assert sum(len(each.requests) for each in backends[name]) == before + 1


def test_passwords_go_nowhere(ask: Ask) -> None:
    assert ask("basic.test").status == 401
    found = ask("basic.test", "/", ANN)
    assert (found.status, found.sent("authorization")) == (200, None)


def test_what_a_service_is_asked(ask: Ask, backends: dict[str, list[Backend]]) -> None:
    assert ask("asked.test", "/a?b=1", method="POST").status == 200
    question = backends["auth"][0].wait(1)[-1]
    assert (question.method, question.target) == ("GET", "/check")
    assert {name: question.header(name) for name in ("host", "x-original-url", "x-original-method")} == {
        "host": "auth.default.svc.cluster.local",
        "x-original-url": "http://asked.test/a?b=1",
        "x-original-method": "POST",
    }
    assert question.header("x-auth-request-redirect") == "/a?b=1"


def test_session_cookies(start: Callable[..., Gateway], services: list[Manifest], ask: Ask) -> None:
    assert "SameSite" not in (ask("cookie.test").header("set-cookie") or "SameSite")
    found = manifests(made(*services, standard_only=True))
    strict = asking(start(*found, *services, arguments=("--port-offset", str(OFFSET))))
    assert "SameSite=Strict" in (strict("cookie.test").header("set-cookie") or "")
