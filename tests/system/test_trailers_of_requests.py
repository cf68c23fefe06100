"""Trailers of requests: some backends merge them into the head, so nobody says there late what may not be said."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import backend, by, gateway, http_filter, listener, policy, route, rule, service, target

HOST = "trailers.test"
PLAIN, FILTERED, DROPS, REJECTS = 8080, 8081, 8082, 8083
Client = type[Http1] | type[Http2]
Fields = tuple[tuple[str, str], ...]


def edits(**parts: Any) -> dict[str, Any]:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": parts}


class World:
    """Rules whose filters edit fields; each to a backend of each version."""

    def __init__(self, start: Callable[..., Gateway], backend1: Any, backend2: Any) -> None:
        self.apps: dict[str, Backend] = {"one": backend1("one"), "two": backend2("two")}
        role = {"name": "X-Role", "value": "user"}
        standard = edits(set=[role], remove=["X-Admin"])
        auth = {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}, "http": {}}
        asked = {"type": "ExternalAuth", "externalAuth": {**auth, "forwardBody": {"maxSize": 1024}}}
        own = {"request": {"set": [{"name": "X-Role", "expression": "request.method"}], "remove": ["x-admin"]}}
        self.gateway = start(
            gateway(
                listener("plain", PLAIN),
                listener("filtered", FILTERED, filters={"requests": by("before")}),
                listener("drops", DROPS),
                listener("rejects", REJECTS),
            ),
            route(
                *(rule(f"/{name}/standard", name, filters=[standard]) for name in self.apps),
                *(rule(f"/{name}/backend", backend(name, filters=[standard])) for name in self.apps),
                *(rule(f"/{name}/own", name, filters=by("own")) for name in self.apps),
                *(rule(f"/{name}/buffer", name, filters=[*by("buffer"), standard]) for name in self.apps),
                *(rule(f"/{name}/asked", name, filters=[asked, standard]) for name in self.apps),
                *(rule(f"/{name}/add", name, filters=[edits(add=[role])]) for name in self.apps),
                *(rule(f"/{name}", name) for name in self.apps),
            ),
            http_filter("before", headers={"request": {"set": [role], "remove": ["X-Admin"]}}),
            http_filter("own", headers=own),
            http_filter("buffer", buffer={"maxSize": "1Ki"}),
            *service("auth", backend1(lambda _: response(b"")).address),
            policy("ClientPolicy", "drops", target("Gateway", "gateway", "drops"), headers={"underscores": "Drop"}),
            policy(
                "ClientPolicy", "rejects", target("Gateway", "gateway", "rejects"), headers={"underscores": "Reject"}
            ),
            *service("one", self.apps["one"].address),
            *service("two", self.apps["two"].address, protocol="kubernetes.io/h2c"),
        )

    def send(self, client: Client, port: int, path: str, trailers: Fields) -> Received:
        """A request with a body and trailers; what its backend got."""
        app = self.apps[path.split("/")[1]]
        before = len(app.requests)
        with closing(client(self.gateway.address, port)) as connection:
            if isinstance(connection, Http1):
                lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
                head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n"
                connection.send(f"{head}1\r\na\r\n0\r\n{lines}\r\n".encode())
                assert connection.read().status == 200
            else:
                stream = connection.open("POST", HOST, path, end=False)
                connection.send(stream, b"a")
                connection.trailers(stream, list(trailers))
                assert connection.read(stream).status == 200
        return app.wait(before + 1)[before]


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any) -> World:
    return World(start, backend, backend2)


SENT: Fields = (("x-role", "root"), ("x-admin", "1"), ("x-sum", "2"))


@pytest.mark.parametrize("to", ["one", "two"])
@pytest.mark.parametrize(
    ("port", "path", "left"),
    [
        pytest.param(PLAIN, "standard", SENT[2:], id="of the rule"),
        pytest.param(PLAIN, "backend", SENT[2:], id="of the backendRef"),
        pytest.param(PLAIN, "own", SENT[2:], id="an HTTPFilter"),
        pytest.param(FILTERED, "", SENT[2:], id="of the listener"),
        pytest.param(PLAIN, "add", SENT, id="what is added stands beside the client's"),
        pytest.param(PLAIN, "", SENT, id="without filters"),
    ],
)
def test_what_filters_replace(world: World, client: Client, to: str, port: int, path: str, left: Fields) -> None:
    found = world.send(client, port, f"/{to}/{path}", SENT)
    assert tuple(found.trailers) == left
    assert (found.body, found.header("x-admin")) == (b"a", None)


@pytest.mark.parametrize("to", ["one", "two"])
@pytest.mark.parametrize(
    ("port", "left"), [(DROPS, ("x-user",)), (REJECTS, ("x-user",)), (PLAIN, ("x_user", "x-user"))]
)
def test_names_with_underscores(world: World, client: Client, to: str, port: int, left: tuple[str, ...]) -> None:
    """Too late to refuse the request, so they are left out where the head may have none."""
    found = world.send(client, port, f"/{to}", (("x_user", "root"), ("x-user", "ann")))
    assert tuple(name for name, _ in found.trailers) == left


@pytest.mark.parametrize("to", ["one", "two"])
@pytest.mark.parametrize("path", ["buffer", "asked"])
def test_a_body_that_was_collected_first(world: World, client: Client, to: str, path: str) -> None:
    """For the backend or for a service that is asked; what is left of the trailers, if any of them go on."""
    found = world.send(client, PLAIN, f"/{to}/{path}", SENT)
    assert set(found.trailers) <= {SENT[2]}
    assert (found.body, found.header("x-role"), found.header("x-admin")) == (b"a", "user", None)
