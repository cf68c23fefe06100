"""`mirror` of an HTTPFilter: to backends of HTTP/2 and TLS under another host, of a share, of one backendRef."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, echo, echo2
from system_certificates import Authority
from system_clients import Http1, Http2, Response
from system_gateway import Gateway, until
from system_manifests import (
    backend,
    backend_tls_policy,
    by,
    config_map,
    gateway,
    http_filter,
    route,
    rule,
    service,
)

PORT = 8080
HOST = "mirrored.test"
COPIES = "Copies.test:8080"
Client = type[Http1] | type[Http2]


class World:
    """Mirrors of HTTP/1.1 and HTTP/2, both in plain and over TLS; some that get a share, one of a backendRef."""

    def __init__(self, start: Any, backends: tuple[Any, Any], authority: Authority, folder: Path) -> None:
        plain, plain2 = backends
        pair = authority.sign("inside.test")
        self.names: dict[str, Any] = {}
        self.copies: dict[str, Backend] = {
            "http1": plain("http1"),
            "http2": plain2("http2"),
            "tls1": plain(echo("tls1"), tls=self._context(pair.write(folder, "tls1"), "http/1.1")),
            "tls2": plain2(echo2("tls2"), tls=self._context(pair.write(folder, "tls2"), "h2", "http/1.1")),
            "all": plain("all"),
            "half": plain("half"),
            "none": plain("none"),
            "reference": plain("reference"),
        }
        shares = {"all": {"percent": 100}, "half": {"fraction": {"numerator": 1, "denominator": 2}}}
        shares |= {"none": {"percent": 0}, "reference": {"percent": 100}}
        self.gateway: Gateway = start(
            gateway(),
            route(
                *(rule(f"/{name}", "app", filters=by(name)) for name in ("http1", "http2", "tls1", "tls2")),
                rule("/shares", "app", filters=by("all", "half", "none")),
                rule("/reference", backend("app", filters=by("reference")), "other"),
            ),
            *(
                http_filter(
                    name,
                    mirror={"backendRef": {"name": name, "port": 80}, "hostname": COPIES, **shares.get(name, {})},
                )
                for name in self.copies
            ),
            *(
                item
                for name, each in self.copies.items()
                for item in service(name, each.address, protocol="kubernetes.io/h2c" if name == "http2" else None)
            ),
            *(backend_tls_policy(name, name, "inside.test", "authority") for name in ("tls1", "tls2")),
            config_map("authority", authority.pem),
            *service("app", plain("app").address),
            *service("other", plain("other").address),
        )

    @staticmethod
    def _context(pair: tuple[str, str], *alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        context.set_alpn_protocols(list(alpn))
        return context

    def ask(self, client: Client, *targets: str, method: str = "GET", body: bytes | None = None) -> list[Response]:
        with closing(client(self.gateway.address, PORT)) as connection:
            return [connection.request(method, HOST, each, (("x-a", "1"),), body) for each in targets]

    def answered(self) -> int:
        """How many mirrored requests were answered, of all mirrors."""
        [found] = re.findall(r"^sluicegate_mirrored_requests_total (\d+)$", self.gateway.admin("/metrics"), re.M)
        return int(found)


@pytest.fixture(scope="module")
def world(
    start: Any, backend: Any, backend2: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    return World(start, (backend, backend2), authority, tmp_path_factory.mktemp("mirrors"))


@pytest.mark.parametrize(
    ("mirror", "version", "alpn"),
    [("http1", "1.1", None), ("http2", "2", None), ("tls1", "1.1", "http/1.1"), ("tls2", "2", "h2")],
)
def test_copies_speak_as_their_backend_does(
    world: World, client: Client, mirror: str, version: str, alpn: str | None
) -> None:
    """Under the host of the filter, whatever name the backend's certificate is for; a request has its own host."""
    asked = f"/{mirror}/{client.__name__}?a=b"
    [found] = world.ask(client, asked, method="POST", body=b"whole")
    assert (found.status, found.sent("host"), found.echo["backend"], found.echo["body"]) == (200, HOST, "app", "whole")

    def came() -> list[Any]:
        return [each for each in world.copies[mirror].requests if each.target == asked]

    until(came, "the copy has come")
    [copy] = came()
    assert (copy.method, copy.body, copy.version, copy.header("x-a")) == ("POST", b"whole", version, "1")
    assert (copy.header("host"), copy.header("x-forwarded-host")) == (COPIES.lower(), HOST)
    assert (copy.tls or {}).get("alpn") == alpn


def test_a_share_is_drawn_for_each_mirror(world: World, client: Client) -> None:
    """Of 200 requests all, none, and about half: of a fair coin 60 to 140 but for once in 10^8."""
    targets = [f"/shares/{client.__name__}/{number}" for number in range(200)]
    assert {each.status for each in world.ask(client, *targets)} == {200}

    def came(mirror: str) -> set[str]:
        return {each.target for each in world.copies[mirror].requests} & set(targets)

    until(lambda: came("all") == set(targets) and len(came("half")) >= 60, "the copies have come")
    # What is under way would still come; all that was sent is answered once their number is the sum.
    total = sum(len(each.requests) for each in world.copies.values())
    until(lambda: world.answered() >= total, "they are answered")
    assert 60 <= len(came("half")) <= 140
    assert came("none") == set()


def test_copies_of_one_backend_s_requests(world: World, client: Client) -> None:
    """A mirror of a backendRef sees what that backend gets, and nothing of the others of its rule."""
    targets = [f"/reference/{client.__name__}/{number}" for number in range(20)]
    found = world.ask(client, *targets)
    of_app = {asked for asked, each in zip(targets, found, strict=True) if each.echo["backend"] == "app"}
    assert 5 <= len(of_app) <= 15
    copies = world.copies["reference"]
    until(lambda: {each.target for each in copies.requests} >= of_app, "the copies have come")
    until(lambda: world.answered() >= sum(len(each.requests) for each in world.copies.values()), "none is under way")
    came = [each for each in copies.requests if each.target in targets]
    assert sorted(each.target for each in came) == sorted(of_app)
    assert {each.header("host") for each in came} == {COPIES.lower()}
