"""Status: foreign entries stay, times change with the status only, nothing is written without need."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import loop_tasks
import msgspec
import pytest
from api_server import ApiServer

from sluicegate.controller.api import GATEWAY_GROUP, ROUTE_KINDS
from sluicegate.controller.complain import Complain
from sluicegate.controller.sources.kubernetes.access import Configuration
from sluicegate.controller.sources.kubernetes.client import Client
from sluicegate.controller.sources.kubernetes.resources import BY_KIND, Resource
from sluicegate.controller.status import StatusWriter, merged_status
from sluicegate.controller.status.writer import WORKERS
from sluicegate.controller.translate import (
    Condition,
    GatewayClassStatus,
    ListenerStatus,
    Options,
    RouteStatus,
    Translation,
    Translator,
    supported_features,
)
from sluicegate.controller.translate.status import (
    Address,
    GatewayStatus,
    Kind,
    PolicyAncestorStatus,
    PolicyStatus,
    Reference,
    RouteParentStatus,
)
from sluicegate.processes.loop import Loop, Output

NAME = "sluicegate.dev/controller"
NOW = "2026-01-01T00:00:00Z"
OLD = "2020-01-01T00:00:00Z"


def condition(kind: str = "Accepted", status: Any = "True", generation: int = 1, reason: str = "Accepted") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message="m", observed_generation=generation)


def route_status(*conditions: Condition, name: str = "gateway") -> RouteStatus:
    reference = Reference(group="gateway.networking.k8s.io", kind="Gateway", name=name)
    return RouteStatus(parents=(RouteParentStatus(parent_ref=reference, controller_name=NAME, conditions=conditions),))


def gateway_status(*conditions: Condition) -> GatewayStatus:
    return GatewayStatus(addresses=(), conditions=conditions, listeners=(), attached_listener_sets=0)


def test_the_first_status() -> None:
    found = merged_status(None, route_status(condition()), NAME, NOW)
    assert found is not None
    assert found["parents"][0]["conditions"][0]["lastTransitionTime"] == NOW


def test_empty_lists_are_not_written_and_those_that_are_there_go() -> None:
    """`kubectl wait --for=jsonpath={.status.addresses[0].value}` fails at once where the list is there and empty."""
    wanted = gateway_status(condition())
    assert "addresses" not in (merged_status(None, wanted, NAME, NOW) or {})
    addressed = {**written(wanted), "addresses": [{"type": "IPAddress", "value": "10.0.0.1"}]}
    for there in (addressed, {**written(wanted), "addresses": []}):
        after = merged_status(there, wanted, NAME, NOW)
        assert after is not None
        assert "addresses" not in after
    assert merged_status(written(wanted), wanted, NAME, NOW) is None


def written(status: GatewayStatus) -> dict[str, Any]:
    """A status as the API has it after we wrote it."""
    found = merged_status(None, status, NAME, NOW)
    assert found is not None
    return found


def test_what_the_api_gives_back_is_not_written_again() -> None:
    kinds = (Kind(group="gateway.networking.k8s.io", kind="HTTPRoute"),)
    listener = ListenerStatus(name="a", supported_kinds=kinds, attached_routes=1, conditions=(condition(),))
    status = GatewayStatus(
        addresses=(Address(type="IPAddress", value="10.0.0.1"),),
        conditions=(condition(),),
        listeners=(listener,),
        attached_listener_sets=0,
    )
    for each in (
        status,
        GatewayClassStatus(conditions=(condition(),), supported_features=supported_features(provisioned=False)),
    ):
        written = merged_status(None, each, NAME, OLD)
        assert merged_status(json.loads(msgspec.json.encode(written)), each, NAME, NOW) is None


def test_the_same_is_not_written_again() -> None:
    found = merged_status(None, route_status(condition()), NAME, OLD)
    assert merged_status(found, route_status(condition()), NAME, NOW) is None


@pytest.mark.parametrize(
    ("change", "time"),
    [
        ({"status": "False", "reason": "NotAllowedByListeners"}, NOW),
        ({"generation": 2}, OLD),
        ({"reason": "Other"}, OLD),
    ],
)
def test_the_time_changes_with_the_status_only(change: dict[str, Any], time: str) -> None:
    before = merged_status(None, route_status(condition()), NAME, OLD)
    after = merged_status(before, route_status(condition(**change)), NAME, NOW)
    assert after is not None
    assert after["parents"][0]["conditions"][0]["lastTransitionTime"] == time


def test_other_controllers_entries_stay() -> None:
    foreign = {"parentRef": {"name": "gateway"}, "controllerName": "example.com/other", "conditions": []}
    after = merged_status({"parents": [foreign]}, route_status(condition()), NAME, NOW)
    assert after is not None
    assert after["parents"][0] == foreign
    assert len(after["parents"]) == 2
    # Ours go when we have nothing to say any more; theirs do not.
    assert merged_status(after, None, NAME, NOW) == {"parents": [foreign]}
    assert merged_status({"parents": [foreign]}, None, NAME, NOW) is None


def test_foreign_conditions_stay() -> None:
    foreign = {"type": "example.com/Checked", "status": "True", "reason": "R", "message": "", "lastTransitionTime": OLD}
    after = merged_status({"conditions": [foreign], "other": 1}, gateway_status(condition()), NAME, NOW)
    assert after is not None
    assert foreign in after["conditions"]
    assert after["other"] == 1
    reordered = {**after, "conditions": after["conditions"][::-1]}
    assert merged_status(reordered, gateway_status(condition()), NAME, NOW) is None


def foreign_condition(name: str) -> dict[str, Any]:
    return {"type": f"example.com/{name}", "status": "True", "reason": "R", "message": "", "lastTransitionTime": OLD}


def test_conditions_and_entries_keep_their_places() -> None:
    ours = {"type": "Accepted", "status": "False", "reason": "R", "message": "", "lastTransitionTime": OLD}
    conditions = [foreign_condition("First"), ours, foreign_condition("Last")]
    after = merged_status(
        {"conditions": conditions}, gateway_status(condition("Programmed"), condition()), NAME, NOW, generation=1
    )
    assert after is not None
    types = [item["type"] for item in after["conditions"]]
    assert types == ["example.com/First", "Accepted", "example.com/Last", "Programmed"]
    assert after["conditions"][::2] == conditions[::2]
    # Another controller that comes after us stays there, and our next parent comes last.
    [entry] = merged_status(None, route_status(condition()), NAME, OLD)["parents"]
    foreign = {"parentRef": {"name": "gateway"}, "controllerName": "example.com/other", "conditions": []}
    both = RouteStatus(
        parents=(*route_status(condition(), name="next").parents, *route_status(condition()).parents),
    )
    after = merged_status({"parents": [entry, foreign]}, both, NAME, NOW)
    assert after is not None
    assert after["parents"][:2] == [entry, foreign]
    assert after["parents"][2]["parentRef"]["name"] == "next"


@pytest.mark.parametrize("make", [gateway_status, route_status])
def test_an_older_generation_is_not_written(make: Callable[..., Any]) -> None:
    """Neither our conditions nor anything else of that translation; the newer one writes."""
    live = merged_status(None, make(condition(generation=3)), NAME, OLD)
    older = make(condition(status="False", generation=2))
    assert merged_status(live, older, NAME, NOW, generation=3) is None
    assert merged_status(live, older, NAME, NOW) is None
    assert merged_status(live, make(condition(status="False", generation=3)), NAME, NOW, generation=3) is not None
    # A status that came with a backup says nothing of an object that is younger than it.
    assert merged_status(live, older, NAME, NOW, generation=2) is not None
    # Where we have nothing to say any more, our entries go.
    assert (merged_status(live, None, NAME, NOW, generation=3) is None) == (make is gateway_status)
    if make is route_status:
        assert merged_status(live, RouteStatus(parents=()), NAME, NOW, generation=3) == {"parents": []}


def test_another_controllers_generation_of_a_route_is_no_matter_of_ours() -> None:
    foreign = merged_status(None, route_status(condition(generation=3)), NAME, OLD)
    assert foreign is not None
    foreign["parents"][0]["controllerName"] = "example.com/other"
    assert merged_status(foreign, route_status(condition(generation=2)), NAME, NOW, generation=3) is not None


def test_what_policies_said_goes_with_them() -> None:
    affected, foreign = "sluicegate.dev/LimitPolicyAffected", "example.com/LimitPolicyAffected"
    for make in (gateway_status, route_status, policy_status):
        before = merged_status(None, make(condition(), condition(affected), condition(foreign)), NAME, OLD)
        after = merged_status(before, make(condition()), NAME, NOW)
        assert after is not None
        assert _types(after) == ["Accepted", foreign]
    # A policy that is not accepted is not said to be programmed.
    before = merged_status(None, policy_status(condition(), condition("Programmed")), NAME, OLD)
    after = merged_status(before, policy_status(condition(status="False", reason="Conflicted")), NAME, NOW)
    assert after is not None
    assert _types(after) == ["Accepted"]


def policy_status(*conditions: Condition) -> PolicyStatus:
    reference = Reference(group="gateway.networking.k8s.io", kind="Gateway", name="gateway")
    ancestor = PolicyAncestorStatus(ancestor_ref=reference, controller_name=NAME, conditions=conditions)
    return PolicyStatus(ancestors=(ancestor,))


def _types(status: dict[str, Any]) -> list[str]:
    [holder] = status.get("parents") or status.get("ancestors") or [status]
    return [item["type"] for item in holder["conditions"]]


def test_conditions_that_come_and_go() -> None:
    often = gateway_status(condition(), condition("InsecureFrontendValidationMode"))
    before = merged_status(None, often, NAME, OLD)
    after = merged_status(before, gateway_status(condition()), NAME, NOW)
    assert after is not None
    assert [item["type"] for item in after["conditions"]] == ["Accepted"]


# --- The loop on an API server ----------------------------------------------------------------------------------

GATEWAY = "/apis/gateway.networking.k8s.io/v1"


def objects() -> list[tuple[str, dict[str, Any]]]:
    return [
        (
            f"{GATEWAY}/gatewayclasses",
            {"metadata": {"name": "ours", "generation": 1}, "spec": {"controllerName": NAME}},
        ),
        (
            f"{GATEWAY}/gateways",
            {
                "metadata": {"name": "gateway", "namespace": "default", "generation": 3},
                "spec": {
                    "gatewayClassName": "ours",
                    "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
                },
            },
        ),
        (
            f"{GATEWAY}/httproutes",
            {
                "metadata": {"name": "route", "namespace": "default", "generation": 2},
                "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{}]},
                "status": {"parents": [{"parentRef": {"name": "x"}, "controllerName": "example.com/other"}]},
            },
        ),
        ("/api/v1/namespaces", {"metadata": {"name": "default", "labels": {}}}),
    ]


class Everything:
    """The reports of an engine that binds everything, on an address that may change."""

    address = "10.0.0.1"

    def reported(self, translation: Translation) -> Translation:
        listeners = [{"id": item, "bound": [f"{self.address}:80"]} for item in translation.ir.listeners]
        return translation.with_report({"generation": 1, "listeners": listeners})


async def with_loop(
    test: Callable[[ApiServer, Loop], Any],
    prepare: Callable[[ApiServer], None] = lambda _: None,
    complain: Complain = lambda *_, **__: None,
) -> None:
    server = ApiServer()
    prepare(server)
    for collection, document in objects():
        server.put(collection, document)
    await server.start()
    configuration = Configuration()
    configuration.host = server.url
    async with Client(configuration) as client:
        options = Options(implicit_class=False, implicit_namespaces=False)
        writer = StatusWriter(client, NAME, complain)
        outputs = [Output(writer, lambda translation: translation, reported=True)]
        loop = Loop(client, Translator(NAME, options), outputs, Everything(), complain)
        running = asyncio.create_task(loop_tasks.run(loop))
        try:
            await asyncio.wait_for(loop.ready.wait(), 10)
            await test(server, loop)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await server.stop()


def status_of(server: ApiServer, plural: str, namespace: str, name: str) -> dict[str, Any]:
    return dict(server.objects[f"{GATEWAY}/{plural}"][namespace, name].get("status") or {})


def test_the_loop_writes_status_only_while_it_leads_and_only_once() -> None:
    async def test(server: ApiServer, loop: Loop) -> None:
        assert server.patches == []
        loop.lead(True)
        await server.wait(lambda: len(server.patches) == 3)
        route = status_of(server, "httproutes", "default", "route")
        assert [item["controllerName"] for item in route["parents"]] == ["example.com/other", NAME]
        assert {item["observedGeneration"] for item in route["parents"][1]["conditions"]} == {2}
        gateway = status_of(server, "gateways", "default", "gateway")
        assert gateway["listeners"][0]["attachedRoutes"] == 1
        assert {item["type"]: item["status"] for item in gateway["conditions"]}["Programmed"] == "True"
        assert status_of(server, "gatewayclasses", "", "ours")["supportedFeatures"]
        # Our own writes come back by the watch and cause no work; an object that only moves in version neither.
        # What was asked of the writer before this is done when the status of a new route is there.
        document = {"metadata": {"name": "last", "namespace": "default"}, "spec": {"parentRefs": [{"name": "gateway"}]}}
        server.put(f"{GATEWAY}/httproutes", document)
        await server.wait(lambda: bool(status_of(server, "httproutes", "default", "last")))
        await server.wait(lambda: len(server.patches) >= 5)
        # The three, the new route, and the Gateway once more for its count.
        assert sorted(path.rpartition("/")[2] for path, _ in server.patches) == [
            "gateway",
            "gateway",
            "last",
            "ours",
            "route",
        ]

    asyncio.run(with_loop(test))


#: A listener for each kind of route.
LISTENERS = [
    {"name": "HTTPRoute", "port": 80, "protocol": "HTTP"},
    {"name": "GRPCRoute", "port": 81, "protocol": "HTTP"},
    {"name": "TLSRoute", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
    {"name": "TCPRoute", "port": 9000, "protocol": "TCP"},
    {"name": "UDPRoute", "port": 9000, "protocol": "UDP"},
]


@pytest.mark.parametrize("oldest", [False, True], ids=["newest", "oldest"])
def test_every_kind_of_route_keeps_what_others_wrote(oldest: bool) -> None:
    """In the version that the cluster has: status is written where the object was read."""
    resources = {kind: BY_KIND[kind].versions[-1 if oldest else 0] for kind in ROUTE_KINDS}
    condition = {
        "type": "example.com/Seeded",
        "status": "True",
        "reason": "R",
        "message": "",
        "lastTransitionTime": OLD,
    }
    foreign = {"parentRef": {"name": "unmanaged"}, "controllerName": "example.com/other", "conditions": [condition]}

    def prepare(server: ApiServer) -> None:
        for kind, resource in resources.items():
            other = [item.collection for item in BY_KIND[kind].versions if item != resource]
            server.missing.update(other if oldest else ())
            ours = {"parentRef": {"group": GATEWAY_GROUP, "kind": "Gateway", "name": "every", "sectionName": kind}}
            document = {
                "metadata": {"name": "kept", "namespace": "default", "generation": 2},
                "spec": {"parentRefs": [{"name": "every", "sectionName": kind}], "rules": [{"backendRefs": []}]},
                "status": {"parents": [foreign, {**ours, "controllerName": NAME, "conditions": [condition]}]},
            }
            server.put(resource.collection, document)
        metadata = {"name": "every", "namespace": "default", "generation": 1}
        spec = {"gatewayClassName": "ours", "listeners": LISTENERS}
        server.put(f"{GATEWAY}/gateways", {"metadata": metadata, "spec": spec})

    async def test(server: ApiServer, loop: Loop) -> None:
        loop.lead(True)
        written = {resource.path("default", "kept") for resource in resources.values()}
        await server.wait(lambda: written <= {path for path, _ in server.patches})
        for resource in resources.values():
            parents = server.objects[resource.collection]["default", "kept"]["status"]["parents"]
            assert parents[0] == foreign
            assert condition in parents[1]["conditions"]
            types = {
                item["type"]: (item["status"], item.get("observedGeneration")) for item in parents[1]["conditions"]
            }
            assert types["Accepted"] == types["ResolvedRefs"] == ("True", 2)
            # A route that is detached keeps what is not ours.
            document = dict(server.objects[resource.collection]["default", "kept"])
            document["metadata"] = {"name": "kept", "namespace": "default", "generation": 3}
            server.put(resource.collection, {**document, "spec": {"parentRefs": [{"name": "elsewhere"}], "rules": []}})
        await server.wait(lambda: all(parents_of(server, resource) == [foreign] for resource in resources.values()))
        gateway = status_of(server, "gateways", "default", "every")
        assert {item["name"] for item in gateway["listeners"]} == set(ROUTE_KINDS)

    asyncio.run(with_loop(test, prepare))


def parents_of(server: ApiServer, resource: Resource) -> Any:
    return server.objects[resource.collection]["default", "kept"]["status"].get("parents")


def test_a_cluster_with_few_kinds() -> None:
    """An installation of the Gateway API from long ago: what it has is served, what it lacks is told."""
    lacking = {*ROUTE_KINDS, "ListenerSet", "ReferenceGrant", "BackendTLSPolicy"} - {"HTTPRoute"}
    told: list[tuple[str, str]] = []

    def prepare(server: ApiServer) -> None:
        server.missing.update(item.collection for kind in lacking for item in BY_KIND[kind].versions)

    async def test(server: ApiServer, loop: Loop) -> None:
        loop.lead(True)
        await server.wait(lambda: len(server.patches) == 3)
        assert status_of(server, "gateways", "default", "gateway")["listeners"][0]["attachedRoutes"] == 1

    asyncio.run(with_loop(test, prepare, lambda code, message: told.append((code, message))))
    missing = [message for code, message in told if code == "kind_missing"]
    assert all(any(f"has no {kind} in" in message for message in missing) for kind in lacking), told


def test_what_the_api_server_refuses_keeps_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """More objects than there are workers, all refused for a while: others are written, these are tried again."""
    monkeypatch.setattr("sluicegate.controller.status.writer.FIRST_RETRY", 0.05)
    told: list[str] = []
    names = [f"refused-{number}" for number in range(2 * WORKERS)]
    paths = [f"{GATEWAY}/namespaces/default/httproutes/{name}/status" for name in names]

    async def test(server: ApiServer, loop: Loop) -> None:
        server.refusals |= dict.fromkeys(paths, (422, "status.parents: unknown field"))
        for name in names:
            metadata = {"name": name, "namespace": "default", "generation": 1}
            server.put(f"{GATEWAY}/httproutes", {"metadata": metadata, "spec": {"parentRefs": [{"name": "gateway"}]}})
        loop.lead(True)
        await server.wait(lambda: bool(status_of(server, "httproutes", "default", "route")["parents"][1:]))
        await server.wait(lambda: len(told) >= 2 * len(names))
        assert "HTTPRoute/default/refused-0 cannot be written" in "".join(told)
        assert "update them" in told[0]
        server.refusals.clear()
        await server.wait(lambda: all(status_of(server, "httproutes", "default", name) for name in names))

    asyncio.run(with_loop(test, complain=lambda _, message, **__: told.append(message)))


def test_an_answer_of_something_before_the_api_server_is_no_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.controller.status.writer.FIRST_RETRY", 0.05)
    monkeypatch.setattr("sluicegate.controller.status.writer.LONGEST_RETRY", 0.05)
    told: list[str] = []

    async def test(server: ApiServer, loop: Loop) -> None:
        before = server.requests
        server.page_before = b"<html>Please log in</html>"
        loop.lead(True)
        # Every object is tried again. Requests count when they come; what they are answered is told after that.
        words = "the answer is not the API server's"
        await server.wait(lambda: server.requests >= before + 10 and any(words in message for message in told))
        server.page_before = None
        await server.wait(lambda: bool(status_of(server, "gateways", "default", "gateway").get("conditions")))

    asyncio.run(with_loop(test, complain=lambda _, message, **__: told.append(message)))


def test_a_conflict_waits_for_the_watch() -> None:
    async def test(server: ApiServer, loop: Loop) -> None:
        server.conflicts = 3
        loop.lead(True)
        await server.wait(lambda: server.conflicts == 0)
        for collection, document in objects():
            server.put(collection, document)
        await server.wait(lambda: len(server.patches) >= 3)
        assert status_of(server, "gateways", "default", "gateway")["conditions"]

    asyncio.run(with_loop(test))


def test_a_thousand_routes_are_few_gateway_writes() -> None:
    async def test(server: ApiServer, loop: Loop) -> None:
        loop.lead(True)
        for number in range(1_000):
            document = {
                "metadata": {"name": f"route-{number}", "namespace": "default", "generation": 1},
                "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{}]},
            }
            server.put(f"{GATEWAY}/httproutes", document)

        def attached() -> int:
            status = status_of(server, "gateways", "default", "gateway")
            return int(status["listeners"][0]["attachedRoutes"]) if status.get("listeners") else 0

        await server.wait(lambda: attached() == 1_001, 60)
        writes = [path for path, _ in server.patches if path.endswith("/gateways/gateway")]
        assert len(writes) <= 20

    asyncio.run(with_loop(test))


def test_a_status_that_is_being_written_ends_with_the_leadership() -> None:
    """The next leader need not wait for a request that may take half a minute; one that arrives late is a conflict."""

    async def test(server: ApiServer, loop: Loop) -> None:
        server.hold = "/gateways/gateway/status"
        loop.lead(True)
        await server.wait(lambda: server.held == 1)
        await server.wait(lambda: len(server.patches) == 2)
        loop.lead(False)
        document = copy.deepcopy(server.objects[f"{GATEWAY}/gateways"]["default", "gateway"])
        document["status"] = {"conditions": []}
        server.put(f"{GATEWAY}/gateways", document)
        server.released.set()
        await server.wait(lambda: server.let_through == 1)
        assert status_of(server, "gateways", "default", "gateway") == {"conditions": []}
        # What ended is no failure: the next time that it leads it is written.
        server.hold = None
        loop.lead(True)
        await server.wait(lambda: bool(status_of(server, "gateways", "default", "gateway").get("listeners")))

    asyncio.run(with_loop(test))


def test_the_echo_of_a_status_is_no_route_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is often told before the write is answered; were it one, a burst would be written with rests to its end."""
    told: list[bool] = []

    async def follow() -> None:
        client: Any = None
        writer = StatusWriter(client, NAME, lambda *_, **__: None)
        monkeypatch.setattr(writer._lanes, "push", lambda _key, _now, *, comes: told.append(comes))
        writer.lead(True)
        metadata = {"namespace": "default", "name": "route"}
        for generation, version, status in ((1, "1", None), (1, "2", {"parents": []}), (2, "3", None), (2, "4", None)):
            found = {**metadata, "generation": generation, "resourceVersion": version}
            writer.seen("HTTPRoute", {"metadata": found, "status": status})

    asyncio.run(follow())
    assert told == [True, False, True, False]
