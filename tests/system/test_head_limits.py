"""Limits of heads: the same for both protocols, settings, and told by a code of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from system_backends import Received, response
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "heads.test"


class World:
    """Gateways with the defaults and with large limits; backends whose heads are as large as they are asked for."""

    def __init__(self, start: Any, backend: Any, backend2: Any, folder: Path) -> None:
        def fields(request: Received) -> tuple[tuple[str, str], ...]:
            _, kind, size = request.target.split("?")[0].rsplit("/", 2)
            if kind == "bytes":
                return tuple((f"x-{number}", "y" * 4_000) for number in range(int(size) // 4_000))
            return tuple((f"x-{number}", "y") for number in range(int(size)))

        settings = folder / "sluicegate.toml"
        settings.write_text(
            "[engine]\nmax_head_bytes = 300000\nmax_target_bytes = 5000\n"
            "max_head_fields = 384\nmax_response_head_bytes = 1000000\nmax_response_head_fields = 300\n"
        )
        first = backend(lambda request: response(b"", headers=fields(request)))
        second = backend2(lambda request: ([(":status", "200"), *fields(request)], b"", []))
        objects = [
            gateway(),
            route(rule("/h1", "h1"), rule("/h2", "h2")),
            *service("h1", first.address),
            *service("h2", second.address, protocol="kubernetes.io/h2c"),
        ]
        self.default: Gateway = start(*objects)
        self.large: Gateway = start(*objects, arguments=("--config", str(settings)))


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(start, backend, backend2, tmp_path_factory.mktemp("settings"))


Protocol = type[Http1] | type[Http2]


def ask(found: Gateway, protocol: Protocol, target: str, fields: tuple[tuple[str, str], ...] = ()) -> tuple[int, str]:
    """Status, and the code of an error of the gateway's own."""
    connection = protocol(found.address, PORT)
    answer = connection.request("GET", HOST, target, fields)
    connection.close()
    return answer.status, answer.body.decode().partition(":")[0]


def many(count: int) -> tuple[tuple[str, str], ...]:
    return tuple((f"x-{number}", "1") for number in range(count))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (many(150), (200, "")),
        (many(240), (200, "")),
        (many(270), (431, "headers_too_large")),
        ((("authorization", "x" * 60_000),), (200, "")),
        (tuple(("cookie", f"c{number}=1") for number in range(180)), (200, "")),
    ],
    ids=["150", "240", "270", "long", "cookies"],
)
def test_fields_of_requests(
    world: World, client: Protocol, fields: tuple[tuple[str, str], ...], wanted: object
) -> None:
    assert ask(world.default, client, "/h1/fields/1", fields) == wanted


@pytest.mark.parametrize("fields", [(), many(150)], ids=["few", "many"])
@pytest.mark.parametrize("size", [16, 4_000])
def test_heads_around_the_limit(world: World, client: Protocol, fields: tuple[tuple[str, str], ...], size: int) -> None:
    """Counted alike over both protocols, to the byte, whatever the head is large by (RFC 9113 section 6.5.2)."""
    target = f"/h1/fields/1?q={'y' * size}"
    request = ((":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", target))
    taken = sum(len(name) + len(value) + 32 for name, value in (*request, *fields, ("x-rest", "")))
    for found, limit in ((world.default, 65_536), (world.large, 300_000)):
        rest = "z" * (limit - taken)
        assert ask(found, client, target, (*fields, ("x-rest", rest))) == (200, "")
        # Over HTTP/2 no head of that size is read.
        code = "headers_too_large" if client is Http1 else ""
        assert ask(found, client, target, (*fields, ("x-rest", f"{rest}z"))) == (431, code)


@pytest.mark.parametrize("app", ["h1", "h2"])
@pytest.mark.parametrize("size", [16_000, 20_000, 40_000, 60_000])
def test_targets(world: World, client: Protocol, app: str, size: int) -> None:
    assert ask(world.default, client, f"/{app}/fields/1?q=" + "y" * size) == (200, "")


def test_targets_over_the_limit(world: World, client: Protocol) -> None:
    """The same over both protocols, to the byte; the limit of heads is above."""
    for found, limit in ((world.default, 61_440), (world.large, 5_000)):
        target = "/h1/fields/1?q="
        target += "y" * (limit - len(target))
        assert ask(found, client, target) == (200, "")
        assert ask(found, client, f"{target}y") == (414, "target_too_long")
    # Over HTTP/2 a target is a field of the head, and no head of that size is read.
    assert ask(world.default, Http1, "/h1/fields/1?q=" + "y" * 70_000) == (414, "target_too_long")
    assert ask(world.default, Http2, "/h1/fields/1?q=" + "y" * 70_000) == (431, "")


@pytest.mark.parametrize("app", ["h1", "h2"])
def test_large_heads_of_responses(world: World, client: Protocol, app: str) -> None:
    assert ask(world.default, client, f"/{app}/bytes/56000") == (200, "")
    # The library of the other client takes no more than 64 KiB itself.
    for size in (100_000, 200_000):
        assert ask(world.default, Http1, f"/{app}/bytes/{size}") == (200, "")


@pytest.mark.parametrize("count", [120, 200, 350])
@pytest.mark.parametrize("app", ["h1", "h2"])
def test_responses_of_many_fields(world: World, client: Protocol, app: str, count: int) -> None:
    assert ask(world.default, client, f"/{app}/fields/{count}") == (200, "")


def test_responses_over_the_limit(world: World, client: Protocol) -> None:
    for app in ("h1", "h2"):
        for found, size in (
            (world.default, "bytes/300000"),
            (world.default, "fields/500"),
            (world.large, "fields/350"),
        ):
            assert ask(found, client, f"/{app}/{size}") == (502, "upstream_head_too_large")
        assert ask(world.large, client, f"/{app}/fields/250") == (200, "")
    # What is larger by far a connection of HTTP/2 knows as a stream that is refused, not why.
    assert ask(world.default, client, "/h1/bytes/400000") == (502, "upstream_head_too_large")
    assert ask(world.default, client, "/h2/bytes/400000")[0] == 502


def test_larger_limits(world: World) -> None:
    """What is over what is read at once is answered all the same."""
    assert ask(world.large, Http1, "/h1/fields/1", (("x", "y" * 250_000),)) == (200, "")
    assert ask(world.large, Http1, "/h1/fields/1", (("x", "y" * 310_000),)) == (431, "headers_too_large")
    assert ask(world.large, Http1, "/h1/fields/1", many(350)) == (200, "")
    assert ask(world.large, Http1, "/h1/bytes/900000") == (200, "")
