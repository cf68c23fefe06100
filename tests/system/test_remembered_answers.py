"""What is remembered of an authoriser (`cache`) where the policy says itself what it is asked by (`setHeaders`)."""

from __future__ import annotations

import itertools
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import Manifest, gateway, opaque, policy, route, rule, service, target

PORT = 8080
HOST = "shop.test"
ANN, BOB = ("x-api-key", "key-of-ann-0123456789"), ("x-api-key", "key-of-bob-0123456789")
Client = type[Http1] | type[Http2]
Field = tuple[str, str]
_numbers = itertools.count()


def expression(name: str, text: str) -> Manifest:
    return {"name": name, "expression": text}


class World:
    """A service that says in its answer what it was told, and routes with answers of it that are remembered."""

    def __init__(self, start: Any, backend: Any) -> None:
        self.auth: Backend = backend(self.authorise)
        told = {
            "team": [{"name": "x-site", "value": "shop"}, expression("x-team", "request.headers['x-team'][0]")],
            "two": [expression(f"x-{name}", f"request.headers['x-{name}'][0]") for name in "ab"],
            "user": [expression("x-who", "identity.user"), {"name": "x-plan", "value": "gold"}],
        }
        keys = {"apiKey": {"secretRefs": [{"name": "clients"}]}}
        self.gateway: Gateway = start(
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in told),
            *(
                policy(
                    "AccessPolicy",
                    name,
                    target("HTTPRoute", name),
                    external=self.external(fields),
                    **(keys if name == "user" else {}),
                )
                for name, fields in told.items()
            ),
            opaque("clients", ann=ANN[1], bob=BOB[1]),
            *service("app", backend("app").address),
            *service("auth", self.auth.address),
        )

    @staticmethod
    def external(fields: list[Manifest]) -> Manifest:
        http = {"setHeaders": fields, "allowedResponseHeaders": ["x-user", "x-told"], "clientHeaders": ["x-plan"]}
        cache = {"ttl": "5m", "denials": True}
        return {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}, "http": http, "cache": cache}

    @staticmethod
    def authorise(request: Received) -> bytes:
        """What was told comes back: to the backend in `x-told`, to the client in `x-plan`."""
        told = [f"{name}={request.header(f'x-{name}')}" for name in ("site", "team", "a", "b", "who")]
        if request.header("x-team") == "banned":
            return response(b"banned", "403 Forbidden", (("x-why", "team"),))
        fields = (("x-told", " ".join(told)), ("x-user", "somebody"), ("x-plan", request.header("x-plan") or "none"))
        return response(b"", headers=fields)

    def ask(self, client: Client, path: str, *fields: Field, source: str = "") -> Response:
        with closing(client(self.gateway.address, PORT, source=source)) as connection:
            return connection.request("GET", HOST, path, fields)

    def asked(self, path: str) -> int:
        """How often the service was asked about a path."""
        return sum(each.target == path for each in self.auth.requests)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> World:
    return World(start, backend)


def test_an_answer_from_memory_is_the_whole_answer(world: World, client: Client) -> None:
    """What it says goes to the backend and to the client as the first time, and never what a client says of it."""
    path = f"/team/{next(_numbers)}"
    lies = (("x-told", "root"), ("X-User", "root"), ("x_user", "root"))
    for _ in range(3):
        found = world.ask(client, path, ("x-team", "red"), *lies)
        assert found.sent("x-told") == "site=shop team=red a=None b=None who=None"
        assert (found.sent("x-user"), found.sent("x_user"), found.header("x-plan")) == ("somebody", None, "none")
        # What the service was told beside the request is not the backend's.
        assert (found.sent("x-site"), found.sent("x-team")) == (None, "red")
    assert world.asked(path) == 1


def test_another_value_is_another_question(world: World, client: Client) -> None:
    """Also where the field is none that the client's own are compared by (`allowedHeaders`)."""
    path = f"/team/{next(_numbers)}"
    teams = ("red", "blue", "", None)
    said = ["site=shop team=red", "site=shop team=blue", "site=shop team=None", "site=shop team=None"]
    for _ in range(2):
        for team, wanted in zip(teams, said, strict=True):
            found = world.ask(client, path, *((("x-team", team),) if team is not None else ()))
            assert (found.sent("x-told") or "").startswith(f"{wanted} "), team
    # An empty value comes to nothing, which is what there is without one.
    assert world.asked(path) == 3
    refused = [world.ask(client, path, ("x-team", "banned")) for _ in range(2)]
    assert [(each.status, each.body, each.header("x-why")) for each in refused] == [(403, b"banned", "team")] * 2
    assert world.asked(path) == 4
    assert world.ask(client, path, ("x-team", "red")).status == 200


def test_values_of_one_field_are_not_the_next_one_s(world: World, client: Client) -> None:
    path = f"/two/{next(_numbers)}"
    asked = ({"a": "1"}, {"b": "1"}, {"a": "1", "b": "1"}, {"a": "11"}, {"a": "1", "b": "2"}, {"a": "12"})
    for _ in range(2):
        for values in asked:
            found = world.ask(client, path, *((f"x-{name}", value) for name, value in values.items()))
            wanted = f"site=None team=None a={values.get('a')} b={values.get('b')} who=None"
            assert found.sent("x-told") == wanted
    assert world.asked(path) == len(asked)


def test_nobody_gets_the_answer_for_another_user(world: World, client: Client) -> None:
    """Who asks is in what the service is told, and in no field of the request that it gets."""
    path = f"/user/{next(_numbers)}"
    for _ in range(2):
        for who, name in ((ANN, "ann"), (BOB, "bob")):
            found = world.ask(client, path, who)
            assert found.sent("x-told") == f"site=None team=None a=None b=None who={name}"
            assert found.header("x-plan") == "gold"
    assert world.asked(path) == 2
    assert world.ask(client, path).status == 401
    # Nor from another address.
    assert world.ask(client, path, ANN, source="127.0.0.9").status == 200
    assert world.asked(path) == 3
    assert all(each.header("x-api-key") is None for each in world.auth.requests)
