"""What of policies is missing, malformed or too much: the answer, what is told, what is counted; others go on."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend
from system_clients import Http1, Http2, Response
from system_gateway import Gateway, until
from system_manifests import (
    Manifest,
    backend_policy,
    gateway,
    listener,
    metadata,
    opaque,
    policy,
    route,
    rule,
    service,
    target,
)

PORT, ENFORCED = 8080, 8081
HOST = "faults.test"
Client = type[Http1] | type[Http2]
KEYS = {"secretRefs": [{"name": "keys"}]}


def basic(secret: str, **rest: str) -> Manifest:
    return {"basic": {"secretRef": {"name": secret, **rest}}}


def jwt(keys: Manifest) -> Manifest:
    provider = {"name": "login", "issuer": "https://login.test", "audiences": ["shop"], "keys": keys}
    return {"jwt": {"providers": [provider]}}


def when(text: str) -> Manifest:
    return {"authorization": {"rules": [{"when": text}]}}


def external(**reference: Any) -> Manifest:
    return {"external": {"protocol": "HTTP", "backendRef": {"port": 80, **reference}}}


def limit(**rest: Any) -> Manifest:
    return {"local": {"limits": [{"name": "a", "requests": 10, "per": "1h", **rest}]}}


def key_set(name: str, text: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": {"jwks.json": text}}


@dataclass(frozen=True)
class Fault:
    """A policy that cannot be honoured, and what is told of it."""

    spec: Manifest
    told: str
    kind: str = "AccessPolicy"
    objects: list[Manifest] = field(default_factory=list)


def verdicts(world: Gateway) -> dict[str, int]:
    """How often each part of each policy has said what, such as `AccessPolicy/default/own/csrf/deny`."""
    labels = r'policy="([^"]*)",part="([^"]*)",verdict="([^"]*)"'
    found = re.findall(
        rf"^sluicegate_policy_verdicts_total\{{{labels}\}} (\d+)$", world.admin("/metrics"), re.MULTILINE
    )
    return {"/".join(names): int(count) for *names, count in found}


FAULTS = {
    "no-secret": Fault(basic("missing"), "Secret default/missing does not exist"),
    "no-key": Fault(basic("users", key="other"), "Secret default/users has no key other"),
    "no-htpasswd": Fault(basic("text"), "Secret default/text: ", objects=[opaque("text", auth="this is no file")]),
    "bad-hash": Fault(basic("hash"), "Secret default/hash: ", objects=[opaque("hash", auth="ann:$2b$99$short\n")]),
    "no-api-keys": Fault(
        {"apiKey": {"secretRefs": [{"name": "none"}]}}, "Secret default/none has no keys", objects=[opaque("none")]
    ),
    "empty-api-key": Fault(
        {"apiKey": {"secretRefs": [{"name": "blank"}]}}, "the key of ann is empty", objects=[opaque("blank", ann="\n")]
    ),
    "no-key-set": Fault(jwt({"configMapRef": {"name": "missing"}}), "ConfigMap default/missing does not exist"),
    "bad-key-set": Fault(
        jwt({"configMapRef": {"name": "page"}}), "ConfigMap default/page: ", objects=[key_set("page", "<html>")]
    ),
    "empty-key-set": Fault(
        jwt({"configMapRef": {"name": "null"}}), "ConfigMap default/null: ", objects=[key_set("null", '{"keys": []}')]
    ),
    "no-expression": Fault(when("request.verb == 'GET'"), "the expression cannot be used"),
    "deep-expression": Fault(when("(" * 60 + "true" + ")" * 60), "the expression cannot be used"),
    "large-pattern": Fault(when("request.path.matches('[ab]{1000}{1000}')"), "the expression cannot be used"),
    "no-authoriser": Fault(external(name="missing"), "Service default/missing does not exist"),
    "not-granted": Fault(external(name="theirs", namespace="other"), "no ReferenceGrant allows the reference"),
    "no-key-expression": Fault(limit(key=["cel:request.verb"]), "the expression cannot be used", "RateLimitPolicy"),
    "cost": Fault(limit(cost="11"), "none would ever pass", "RateLimitPolicy"),
    "size": Fault({"body": {"maxSize": "999999999999Gi"}}, "is no size", "ClientPolicy"),
}  # fmt: skip


class World:
    """A route for each fault, one with a good policy, and one without any."""

    def __init__(self, start: Any, backend: Any, folder: Path) -> None:
        self.app: Backend = backend("app")
        self.theirs: Backend = backend("theirs")
        self.log = folder / "access.log"
        others = service("theirs", self.theirs.address)
        for item in others:
            item["metadata"]["namespace"] = "other"
        self.gateway: Gateway = start(
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in (*FAULTS, "good", "open")),
            *(policy(each.kind, name, target("HTTPRoute", name), **each.spec) for name, each in FAULTS.items()),
            *(item for each in FAULTS.values() for item in each.objects),
            policy("AccessPolicy", "good", target("HTTPRoute", "good"), apiKey=KEYS),
            opaque("keys", ann="0123456789abcdef"),
            opaque("users", auth="ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"),
            *service("app", self.app.address),
            *others,
            arguments=("--access-log", str(self.log)),
        )

    def ask(self, client: Client, path: str, *fields: tuple[str, str]) -> Response:
        with closing(client(self.gateway.address, PORT)) as connection:
            return connection.request("GET", HOST, path, fields)

    def counted(self, series: str) -> int:
        found = re.search(rf"^{re.escape(series)} (\d+)$", self.gateway.admin("/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(start, backend, tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_honoured(world: World, client: Client, name: str) -> None:
    fault, key = FAULTS[name], f"{FAULTS[name].kind}/default/{name}"
    (stanza,) = fault.spec
    errors = 'sluicegate_errors_total{code="policy_invalid"}'
    verdicts = f'sluicegate_policy_verdicts_total{{policy="{key}",part="{stanza}",verdict="deny"}}'
    before, reached = (world.counted(errors), world.counted(verdicts)), len(world.app.requests)
    path = f"/{name}/{client.__name__}"
    found = world.ask(client, path, ("x-api-key", "0123456789abcdef"), ("authorization", "Basic YW5uOnBhc3N3b3Jk"))
    assert (found.status, found.body.split(b":")[0]) == (500, b"policy_invalid")
    # Nothing of it goes to the client but the code: who it was is for the operator.
    assert name.encode() not in found.body
    assert (world.counted(errors), world.counted(verdicts)) == (before[0] + 1, before[1] + 1)
    assert (len(world.app.requests), world.theirs.requests) == (reached, [])
    told = [item["message"] for item in world.gateway.ready["problems"] if item["object"] == key]
    assert any(fault.told in message for message in told), told
    until(lambda: f'"{path}"' in world.log.read_text(), "it is logged")
    [line] = [json.loads(each) for each in world.log.read_text().splitlines() if f'"{path}"' in each]
    assert (line["error"], line["error_detail"]) == ("policy_invalid", f"{stanza} of {key}")
    # Others are as they were.
    assert world.ask(client, "/open").status == 200
    assert world.ask(client, "/good", ("x-api-key", "0123456789abcdef")).status == 200
    assert world.ask(client, "/good").status == 401


def test_a_secret_that_comes_and_goes(start: Any, backend: Any, client: Client) -> None:
    """A policy is honoured from then on, and nothing passes once what it stands on is gone or malformed."""
    app: Backend = backend("app")
    objects = [
        gateway(),
        route(rule("/own", "app"), name="own"),
        route(rule("/open", "app"), name="open"),
        policy("AccessPolicy", "own", target("HTTPRoute", "own"), apiKey=KEYS),
        *service("app", app.address),
    ]
    world: Gateway = start(*objects)

    def statuses() -> list[int]:
        with closing(client(world.address, PORT)) as connection:
            key = (("x-api-key", "0123456789abcdef"),)
            return [connection.request("GET", HOST, path, key).status for path in ("/own", "/open")]

    assert statuses() == [500, 200]
    world.write(*objects, opaque("keys", ann="0123456789abcdef"))
    assert statuses() == [200, 200]
    world.write(*objects, opaque("keys", ann="fedcba9876543210"))
    assert statuses() == [401, 200]
    for bad in ([], [opaque("keys")], [opaque("keys", ann="")]):
        world.write(*objects, *bad)
        assert statuses() == [500, 200]


def test_two_policies_on_one_target(start: Any, backend: Any, client: Client) -> None:
    """The older one holds; of the other one that is told, and what it has besides holds all the same."""
    app: Backend = backend("app")
    first = policy(
        "AccessPolicy", "second", target("HTTPRoute", "own"), authorization={"rules": [{"methods": ["GET"]}]}
    )
    younger = policy(
        "AccessPolicy", "first", target("HTTPRoute", "own"), authorization={"rules": [{"methods": ["PUT"]}]}, csrf={}
    )
    first["metadata"]["creationTimestamp"], younger["metadata"]["creationTimestamp"] = (
        "2026-01-01T00:00:00Z",
        "2026-01-02T00:00:00Z",
    )
    world: Gateway = start(
        gateway(),
        route(rule("/own", "app"), name="own"),
        route(rule("/open", "app"), name="open"),
        younger,
        first,
        backend_policy("limits-a", "app", limits={"requests": 100}),
        backend_policy("limits-b", "app", limits={"requests": 1, "pending": 0}),
        *service("app", app.address),
    )
    other = (("origin", "https://evil.test"),)
    with closing(client(world.address, PORT)) as connection:
        assert connection.request("GET", HOST, "/own").status == 200
        assert connection.request("PUT", HOST, "/own").status == 403
        assert connection.request("PUT", HOST, "/own", other).body.startswith(b"csrf: ")
        assert connection.request("PUT", HOST, "/open", other).status == 200
    conflicts = {item["object"] for item in world.ready["problems"] if item["code"] == "policy-conflict"}
    assert conflicts == {"AccessPolicy/default/first", "BackendPolicy/default/limits-b"}
    assert verdicts(world) == {
        "AccessPolicy/default/second/authorization/pass": 1,
        "AccessPolicy/default/second/authorization/deny": 1,
        "AccessPolicy/default/first/csrf/pass": 2,
        "AccessPolicy/default/first/csrf/deny": 1,
    }
    assert [request.method for request in app.requests] == ["GET", "PUT"]


def test_a_target_that_is_not_there(start: Any, backend: Any, client: Client) -> None:
    """It is told, and nothing else is closed by it; a rule of that name gets the policy once it is there."""
    deny = {"authorization": {"rules": [{"action": "Deny", "methods": ["GET"]}]}}
    objects = [
        gateway(),
        policy("AccessPolicy", "nobody", target("HTTPRoute", "nowhere"), **deny),
        policy("AccessPolicy", "section", target("HTTPRoute", "own", "later"), **deny),
        *service("app", backend("app").address),
    ]
    world: Gateway = start(*objects, route(rule("/", "app"), name="own"))

    def status() -> int:
        with closing(client(world.address, PORT)) as connection:
            return connection.request("GET", HOST, "/").status

    assert status() == 200
    told = {item["object"] for item in world.ready["problems"] if item["code"] == "target-not-found"}
    assert told == {"AccessPolicy/default/nobody", "AccessPolicy/default/section"}
    assert verdicts(world) == {}
    world.write(*objects, route(rule("/", "app", name="later"), name="own"))
    assert status() == 403
    assert verdicts(world) == {"AccessPolicy/default/section/authorization/deny": 1}


def test_an_override_against_a_route(start: Any, backend: Any, client: Client) -> None:
    """At its listener it holds in the route's place, or beside it where it can only be tightened; nowhere else."""
    app: Backend = backend("app")
    above = target("Gateway", "gateway", "enforced")
    world: Gateway = start(
        gateway(listener(), listener("enforced", ENFORCED)),
        route(rule("/own", "app"), name="own"),
        route(rule("/open", "app"), name="open"),
        policy(
            "AccessPolicy",
            "platform",
            above,
            strategy="Overrides",
            authorization={"rules": [{"methods": ["GET", "PUT"]}]},
        ),
        policy("ClientPolicy", "platform", above, strategy="Overrides", body={"maxSize": 100}),
        policy(
            "AccessPolicy", "own", target("HTTPRoute", "own"), authorization={"rules": [{"methods": ["PUT", "DELETE"]}]}
        ),
        policy("ClientPolicy", "own", target("HTTPRoute", "own"), body={"maxSize": 1000}),
        *service("app", app.address),
    )
    platform, own = "AccessPolicy/default/platform/authorization", "AccessPolicy/default/own/authorization"
    small, large = "ClientPolicy/default/platform/body", "ClientPolicy/default/own/body"
    for port, method, path, size, status, said in (
        (ENFORCED, "PUT", "/own", 100, 200, {f"{platform}/pass", f"{own}/pass", f"{small}/pass"}),
        (ENFORCED, "PUT", "/own", 101, 413, {f"{small}/deny"}),
        (ENFORCED, "DELETE", "/own", 0, 403, {f"{platform}/deny", f"{small}/pass"}),
        (ENFORCED, "GET", "/own", 0, 403, {f"{platform}/pass", f"{own}/deny", f"{small}/pass"}),
        (ENFORCED, "DELETE", "/open", 0, 403, {f"{platform}/deny", f"{small}/pass"}),
        (PORT, "DELETE", "/own", 1000, 200, {f"{own}/pass", f"{large}/pass"}),
        (PORT, "GET", "/own", 0, 403, {f"{own}/deny", f"{large}/pass"}),
        (PORT, "PATCH", "/open", 5000, 200, set()),
    ):
        before, reached = verdicts(world), len(app.requests)
        # HTTP/1.1 always says how long a body is, so that its limit is judged before anything of it comes.
        length = (("content-length", str(size)),) if client is Http2 else ()
        with closing(client(world.address, port)) as connection:
            found = connection.request(method, HOST, path, length, bytes(size))
        assert found.status == status, (port, method, path)
        after = verdicts(world)
        assert {key for key, count in after.items() if count != before.get(key, 0)} == said, (port, method, path)
        assert len(app.requests) == reached + int(status == 200)
