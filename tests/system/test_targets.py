"""Every byte of a target, in path and query, from each protocol to each protocol: the same answer, the same bytes.

What is no target over HTTP/1.1 is 400; over HTTP/2 a head with octets that no target has is malformed, and reset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import Manifest, gateway, route, rule, service

PORT = 8080
HOST = "targets.test"
Protocol = type[Http1] | type[Http2]
#: What clients of Prometheus send as it is.
QUERY = 'up{job="<x>`|^"}'
PRINTABLE = [chr(byte) for byte in range(0x21, 0x7F)]


@pytest.fixture(scope="module")
def objects(backend: Any, backend2: Any) -> list[Manifest]:
    replaced = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/to"}
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": replaced}}
    asked = {"path": {"type": "PathPrefix", "value": "/asked"}, "queryParams": [{"name": "query", "value": QUERY}]}
    return [
        gateway(),
        route(
            *(rule("/h1", "h1"), rule("/h2", "h2"), rule("/from", "h1", filters=[rewrite])),
            *(rule('/odd/[<>`"{|}^]+', "h1", kind="RegularExpression"), rule("", "h2", matches=[asked])),
        ),
        *service("h1", backend("h1").address),
        *service("h2", backend2("h2").address, protocol="kubernetes.io/h2c"),
    ]


@pytest.fixture(scope="module")
def world(start: Any, objects: list[Manifest]) -> Gateway:
    found: Gateway = start(*objects)
    return found


@pytest.fixture(scope="module")
def literal(start: Any, objects: list[Manifest], tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """Paths are taken as they come."""
    settings: Path = tmp_path_factory.mktemp("settings") / "sluicegate.toml"
    settings.write_text('[engine]\npath_normalization = "off"\n')
    found: Gateway = start(*objects, arguments=("--config", str(settings)))
    return found


def ask(world: Gateway, client: Protocol, target: str) -> str | int:
    """The target that a backend got; else the status, or 0 for a stream that was reset."""
    connection = client(world.address, PORT)
    try:
        found = connection.request("GET", HOST, target)
    except ConnectionError as error:
        assert "stream reset" in str(error)  # noqa: PT017 (what comes is a result here)
        return 0
    else:
        return str(found.echo["target"]) if found.status == 200 else found.status
    finally:
        connection.close()


def expected(client: Protocol, place: str, byte: str, target: str) -> str | int:
    if byte == "#":
        return 400 if client is Http1 else 0
    return 400 if place == "path" and byte in "%\\" else target


@pytest.mark.parametrize("place", ["path", "query"])
@pytest.mark.parametrize("app", ["h1", "h2"])
def test_every_byte(world: Gateway, client: Protocol, app: str, place: str) -> None:
    targets = {byte: f"/{app}/a{byte}z" if place == "path" else f"/{app}/a?b={byte}z" for byte in PRINTABLE}
    seen = {byte: ask(world, client, target) for byte, target in targets.items()}
    assert seen == {byte: expected(client, place, byte, target) for byte, target in targets.items()}


@pytest.mark.parametrize("place", ["/h1/a", "/h1/a?b="])
@pytest.mark.parametrize("byte", [*"\0\t\n\r \x1f\x7f"])
def test_bytes_that_no_target_has(world: Gateway, client: Protocol, byte: str, place: str) -> None:
    assert ask(world, client, f"{place}{byte}z") == (400 if client is Http1 else 0)


def test_matches_see_every_byte(world: Gateway, client: Protocol) -> None:
    """What a rule says of them is so over both protocols, whatever the backend speaks."""
    odd, asked = '/odd/<>`"{|}^', f"/asked?query={QUERY}"
    assert (ask(world, client, odd), ask(world, client, f"{odd}x")) == (odd, 404)
    assert (ask(world, client, asked), ask(world, client, "/asked?query=up")) == (asked, 404)


@pytest.mark.parametrize("place", ["/h1/a", "/h1/a?b="])
@pytest.mark.parametrize("byte", ["\u00e9", "\U0001f600"])
def test_bytes_that_are_no_text(world: Gateway, client: Protocol, byte: str, place: str) -> None:
    """RFC 3986 has them percent-encoded only."""
    assert ask(world, client, f"{place}{byte}z") == 400


@pytest.mark.parametrize("app", ["h1", "h2"])
@pytest.mark.parametrize(
    ("path", "strict"),
    [
        ("//a///b//", "/a/b/"),
        ("/a/./b/../c", "/a/c"),
        ("/../../admin", 400),
        ("/a/..;/b", 400),
        ("/a%2f..%2Fb", 400),
        ("/%61%2d%2f", "/a-%2F"),
        ("/%00", 400),
        ("/a?x=//../%2e", "/a?x=//../%2e"),
    ],
)
def test_paths(world: Gateway, literal: Gateway, client: Protocol, app: str, path: str, strict: str | int) -> None:
    """Off: byte for byte, over whatever protocols."""
    assert ask(literal, client, f"/{app}{path}") == f"/{app}{path}"
    assert ask(world, client, f"/{app}{path}") == (f"/{app}{strict}" if isinstance(strict, str) else strict)


def test_paths_that_are_none(literal: Gateway, client: Protocol) -> None:
    for path in ("/h1/%", "/h1/%4", "/h1/%zz", "/h1/a\\b"):
        assert ask(literal, client, path) == 400


def test_rules_see_paths_as_they_came(world: Gateway, literal: Gateway, client: Protocol) -> None:
    """What a rule says of a path is said of these bytes, and nothing of what a backend makes of others."""
    for path in ("//h1/a", "/x/../h1/a", "/%681/a"):
        assert ask(world, client, path) == "/h1/a"
        assert ask(literal, client, path) == 404
    # One slash at the seam, the rest as it is.
    assert ask(literal, client, "/from//a/../b//") == "/to//a/../b//"
    assert ask(world, client, "/from//a/../b//") == "/to/b/"
