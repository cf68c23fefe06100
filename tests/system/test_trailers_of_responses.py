"""Trailers of responses: some clients merge them into the head, so no backend has the last word where a filter has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from system_backends import Received, response
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import backend as of_backend
from system_manifests import by, gateway, http_filter, listener, route, rule, service

HOST = "trailers.test"
PLAIN, FILTERED = 8080, 8081
#: What a backend says behind its body.
SENT = (
    ("x-set", "evil"),
    ("x-secret", "1"),
    ("access-control-allow-origin", "*"),
    ("x-sum", "2"),
)


def answer(_request: Received) -> bytes:
    lines = "".join(f"{name.title()}: {value}\r\n" for name, value in SENT)
    chunks = f"1\r\na\r\n0\r\n{lines}\r\n".encode()
    return response(chunks, headers=(("transfer-encoding", "chunked"),), length=False)


def answer2(_request: Received) -> tuple[list[tuple[str, str]], bytes, list[tuple[str, str]]]:
    return [(":status", "200")], b"a", list(SENT)


@pytest.fixture(scope="module")
def world(start: Callable[..., Gateway], backend: Any, backend2: Any) -> Gateway:
    said = {"set": [{"name": "X-Set", "value": "1"}], "remove": ["X-Secret"]}
    edits = {"type": "ResponseHeaderModifier", "responseHeaderModifier": said}
    cors = {"type": "CORS", "cors": {"allowOrigins": ["https://a.test"]}}
    apps = ("one", "two")
    return start(
        gateway(listener("plain", PLAIN), listener("filtered", FILTERED, filters={"requests": by("behind")})),
        route(
            *(rule(f"/{name}/standard", name, filters=[edits]) for name in apps),
            *(rule(f"/{name}/backend", of_backend(name, filters=[edits])) for name in apps),
            *(rule(f"/{name}/cors", name, filters=[cors]) for name in apps),
            *(rule(f"/{name}", name) for name in apps),
        ),
        http_filter("behind", headers={"response": said}),
        *service("one", backend(answer).address),
        *service("two", backend2(answer2).address, protocol="kubernetes.io/h2c"),
    )


@pytest.mark.parametrize("client", [Http1, Http2])
@pytest.mark.parametrize("of", ["one", "two"])
@pytest.mark.parametrize(
    ("port", "path", "left"),
    [
        (PLAIN, "", ["x-set", "x-secret", "access-control-allow-origin", "x-sum"]),
        (PLAIN, "/standard", ["access-control-allow-origin", "x-sum"]),
        (PLAIN, "/backend", ["access-control-allow-origin", "x-sum"]),
        (PLAIN, "/cors", ["x-set", "x-secret", "x-sum"]),
        (FILTERED, "", ["access-control-allow-origin", "x-sum"]),
    ],
)
def test_a_filter_has_the_last_word(
    world: Gateway, client: type[Http1] | type[Http2], of: str, port: int, path: str, left: list[str]
) -> None:
    connection = client(world.address, port)
    found = connection.request("GET", HOST, f"/{of}{path}", (("te", "trailers"), ("origin", "https://b.test")))
    connection.close()
    assert found.body == b"a"
    assert [name.lower() for name, _ in found.trailers] == left
