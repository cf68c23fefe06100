"""Session persistence where clients come by TLS: the cookie is for TLS alone, comes back, and keeps the endpoint."""

from __future__ import annotations

import http.cookiejar
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from system_backends import echo
from system_certificates import Authority
from system_clients import Http1, Http2, Response, tls_context
from system_gateway import Gateway
from system_manifests import (
    backend_policy,
    backend_tls_policy,
    config_map,
    gateway,
    https,
    listener,
    metadata,
    route,
    rule,
    secret,
    service,
)
from test_tls import server_context

PORT, TLS_PORT = 8080, 8443
HOST = "sessions.test"
Client = type[Http1] | type[Http2]
#: Services by what the policy says of the cookie, and attributes that come of it: over TLS, and without.
SAID: dict[str, tuple[dict[str, Any], str, str]] = {
    "unset": ({}, "Path=/; HttpOnly; SameSite=Strict; Secure", "Path=/; HttpOnly; SameSite=Strict"),
    "over-tls": (
        {"secure": "OverTLS", "sameSite": "Lax"},
        "Path=/; HttpOnly; SameSite=Lax; Secure",
        "Path=/; HttpOnly; SameSite=Lax",
    ),
    "always": (
        {"secure": "Always", "sameSite": "None"},
        "Path=/; HttpOnly; SameSite=None; Secure",
        "Path=/; HttpOnly; SameSite=None; Secure",
    ),
    "never": (
        {"secure": "Never", "domain": "sessions.test"},
        "Path=/; Domain=sessions.test; HttpOnly; SameSite=Strict",
        "Path=/; Domain=sessions.test; HttpOnly; SameSite=Strict",
    ),
}
TURNS = {"loadBalancing": {"type": "RoundRobin"}}
COOKIE = {"sessionPersistence": {"type": "Cookie", "cookie": {"name": "sid"}}}


class Browser:
    """A client that keeps cookies as browsers do: a `Secure` one goes nowhere without TLS (RFC 6265 section 5.4)."""

    def __init__(self, world: World, client: Client) -> None:
        self._world, self._client = world, client
        self._jar = http.cookiejar.CookieJar()
        self.told: list[str] = []

    def open(self, path: str, *, tls: bool = True) -> Response:
        asked = urllib.request.Request(f"{'https' if tls else 'http'}://{HOST}{path}")
        self._jar.add_cookie_header(asked)
        cookie = asked.get_header("Cookie")
        found = self._world.ask(self._client, path, *((("cookie", cookie),) if cookie else ()), tls=tls)
        assert found.status == 200
        self.told = [value for name, value in found.headers if name.lower() == "set-cookie"]
        self._jar.extract_cookies(_Answer(self.told), asked)  # type: ignore[arg-type]
        return found


class _Answer:
    """What a jar asks of an answer."""

    def __init__(self, cookies: list[str]) -> None:
        self._fields = Message()
        for each in cookies:
            self._fields["Set-Cookie"] = each

    def info(self) -> Message:
        return self._fields


class World:
    """One Gateway with and without TLS; four endpoints for each Service, in turn; one Service speaks TLS itself."""

    def __init__(self, start: Any, backend: Any, authority: Authority, folder: Path) -> None:
        self._authority = authority
        front, inside = authority.sign(HOST), authority.sign("inside.test")
        plain = [backend(name).address for name in "abcd"]
        secure = [
            backend(echo(name), tls=server_context(inside, folder, "http/1.1")).address for name in ("s1", "s2", "s3")
        ]
        self.gateway: Gateway = start(
            gateway(listener("http", PORT), https("https", TLS_PORT, secret="front")),
            secret("front", front.certificate, front.key),
            config_map("authority", authority.pem),
            route(*(rule(f"/{name}", name, **COOKIE) for name in (*SAID, "secure")), rule("/policy", "by-policy")),
            *(item for name in (*SAID, "by-policy") for item in service(name, *plain)),
            *service("secure", *secure),
            *(
                backend_policy(name, name, **TURNS, **({"sessionCookie": said} if said else {}))
                for name, (said, *_) in SAID.items()
            ),
            backend_tls_policy("secure", "secure", "inside.test", "authority"),
            {
                "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
                "kind": "XBackendTrafficPolicy",
                "metadata": metadata("traffic"),
                "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "by-policy"}], **COOKIE},
            },
        )

    def ask(self, client: Client, path: str, *fields: tuple[str, str], tls: bool = True) -> Response:
        context = tls_context(self._authority.pem, "h2" if client is Http2 else "http/1.1")
        where = (TLS_PORT, context, HOST) if tls else (PORT,)
        with closing(client(self.gateway.address, *where)) as connection:
            return connection.request("GET", HOST, path, fields)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    return World(start, backend, authority, tmp_path_factory.mktemp("sessions"))


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_attributes(world: World, client: Client, name: str, tls: bool) -> None:
    browser = Browser(world, client)
    browser.open(f"/{name}", tls=tls)
    [cookie] = browser.told
    assert cookie.partition("; ")[2] == SAID[name][1 if tls else 2]


@pytest.mark.parametrize("path", ["/unset", "/over-tls", "/always", "/never", "/policy", "/secure"])
def test_it_comes_back_and_the_client_stays(world: World, client: Client, path: str) -> None:
    """Over connections of its own each time; the backend may speak TLS too, and never sees the cookie."""
    strangers = {Browser(world, client).open(path).echo["backend"] for _ in range(8)}
    assert len(strangers) > 1, "nobody but the session keeps a client at an endpoint"
    browser = Browser(world, client)
    first = browser.open(path).echo["backend"]
    for _ in range(8):
        found = browser.open(path)
        assert (found.echo["backend"], browser.told, found.sent("cookie")) == (first, [], None)
        assert (found.echo["tls"] is not None) == (path == "/secure")


def test_a_cookie_for_tls_goes_nowhere_without(world: World, client: Client) -> None:
    """Without TLS the client begins anew; one that is for both is the same session at both."""
    browser = Browser(world, client)
    browser.open("/over-tls")
    browser.open("/over-tls", tls=False)
    assert len(browser.told) == 1
    both = Browser(world, client)
    first = both.open("/never").echo["backend"]
    assert [both.open("/never", tls=False).echo["backend"] for _ in range(6)] == [first] * 6
    assert both.told == []


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_a_cookie_of_one_protocol_version_is_good_for_the_other(world: World, tls: bool) -> None:
    """A browser speaks whichever it gets."""
    name = "/never"
    browser = Browser(world, Http2)
    first = browser.open(name, tls=tls).echo["backend"]
    browser._client = Http1
    assert [browser.open(name, tls=tls).echo["backend"] for _ in range(6)] == [first] * 6
