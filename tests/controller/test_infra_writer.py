"""The writer of data planes, against an API server: what is applied, what is left alone, what is deleted."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import loop_tasks
import pytest
from api_server import ApiServer

from sluicegate.controller.api import ObjectKey
from sluicegate.controller.provision import apply as apply_module
from sluicegate.controller.provision import troubles
from sluicegate.controller.provision.apply import InfraWriter
from sluicegate.controller.provision.compare import Live, covers, live_of
from sluicegate.controller.sources.kubernetes.access import Configuration
from sluicegate.controller.sources.kubernetes.client import Client
from sluicegate.controller.sources.kubernetes.resources import WATCHED_TO_PROVISION
from sluicegate.controller.store.store import Delete
from sluicegate.controller.translate import Options, Translation, Translator
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions
from sluicegate.processes.loop import Loop, Output

GATEWAYS = "/apis/gateway.networking.k8s.io/v1/gateways"
CLASSES = "/apis/gateway.networking.k8s.io/v1/gatewayclasses"
PARAMETERS = "/apis/sluicegate.dev/v1alpha1/gatewayparameters"
SERVICES, ACCOUNTS, CONFIG = "/api/v1/services", "/api/v1/serviceaccounts", "/api/v1/configmaps"
DEPLOYMENTS = "/apis/apps/v1/deployments"
SCALERS = "/apis/autoscaling/v2/horizontalpodautoscalers"
NAME = "sluicegate.dev/controller"
KEY = ObjectKey("Gateway", "prod", "edge")
ALL = [f"PATCH {kind} prod/edge-sluicegate" for kind in ("ServiceAccount", "ConfigMap", "Service", "Deployment")]
ALL.append("PATCH PodDisruptionBudget prod/edge-sluicegate")


def gateway(name: str = "edge", port: int = 80, uid: str = "one", **infrastructure: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "prod", "uid": uid, "generation": port},
        "spec": {
            "gatewayClassName": "sluicegate",
            "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}],
            "infrastructure": infrastructure,
        },
    }


def gateway_class() -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "sluicegate", "uid": "class"},
        "spec": {"controllerName": NAME},
    }


class Bench:
    """A loop with a writer of data planes."""

    def __init__(self, server: ApiServer, client: Client) -> None:
        self.server = server
        self.client = client
        self.changed = asyncio.Event()
        self.complaints: list[str] = []
        self.events: list[tuple[ObjectKey, str, str]] = []
        self.notes: list[str] = []
        self.writer = InfraWriter(
            client,
            NAME,
            self.complain,
            changed=self.report_changed,
            tell=self.tell,
        )
        options = Options(implicit_class=False, implicit_namespaces=False, provision=ProvisionOptions(authority=""))
        self.statuses: Translation | None = None
        outputs = [
            Output(self.writer, lambda translation: translation.infrastructure),
            Output(_Keep(self), lambda translation: translation, reported=True),
        ]
        self.loop = Loop(
            client,
            Translator(NAME, options),
            outputs,
            self,
            self.complain,
            resources=WATCHED_TO_PROVISION,
        )

    def complain(self, code: str, message: str, **_fields: object) -> None:
        self.complaints.append(f"{code}: {message}")
        self.changed.set()

    def tell(self, key: ObjectKey, kind: str, reason: str, note: str) -> None:
        self.events.append((key, kind, reason))
        self.notes.append(note)
        self.changed.set()

    def report_changed(self) -> None:
        self.loop.report_changed()

    def reported(self, translation: Translation) -> Translation:
        return translation.with_report({"generation": 1}, self.writer.failures)

    def programmed(self, key: ObjectKey = KEY) -> str:
        return self.condition("Programmed", key)

    def accepted(self, key: ObjectKey = KEY) -> str:
        return self.condition("Accepted", key)

    def condition(self, kind: str, key: ObjectKey) -> str:
        assert self.statuses is not None
        [found] = [item for item in self.statuses.statuses[key].conditions if item.type == kind]  # type: ignore[union-attr]
        return f"{found.status} {found.reason}: {found.message}"

    async def until(self, holds: Callable[[], bool], limit: float = 10.0) -> None:
        """Wait until something holds; it is looked at whenever the loop told something."""

        async def look() -> None:
            while not holds():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(look(), limit)

    async def quiet(self) -> None:
        """Wait until the writer has nothing to do, with all that the server told."""
        await self.until(self.seen_all)
        await asyncio.wait_for(self.writer.settled.wait(), 10)

    def seen_all(self) -> bool:
        live = self.writer._objects.live
        return all(
            (found := live.get(ObjectKey(document["kind"], *key))) is not None and says_the_same(found, document)
            for collection in (SERVICES, ACCOUNTS, CONFIG, DEPLOYMENTS)
            for key, document in self.server.objects[collection].items()
            if document["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "sluicegate"
        )


def says_the_same(live: Live, document: dict[str, Any]) -> bool:
    return live.document == live_of(document).document


class _Keep:
    """Remembers translations, and tells the bench that something happened."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def lead(self, leading: bool) -> None: ...

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        self.bench.changed.set()

    def handle(self, event: Any) -> None:
        self.bench.changed.set()

    def want(self, value: Translation) -> None:
        self.bench.statuses = value
        self.bench.changed.set()

    async def run(self) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def bench(*documents: tuple[str, dict[str, Any]], lead: bool = True) -> AsyncIterator[Bench]:
    server = ApiServer()
    await server.start()
    for collection, document in ((CLASSES, gateway_class()), *documents):
        server.put(collection, document)
    configuration = Configuration()
    configuration.host = server.url
    async with Client(configuration) as client:
        made = Bench(server, client)
        task = asyncio.create_task(loop_tasks.run(made.loop))
        try:
            await asyncio.wait_for(made.loop.ready.wait(), 10)
            if lead:
                made.loop.lead(True)
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await server.stop()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_a_gateway_is_provisioned_once() -> None:
    async def scenario() -> None:
        async with bench((GATEWAYS, gateway(labels={"team": "web"}))) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            assert it.server.writes == ALL
            deployment = it.server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"]
            assert deployment["metadata"]["labels"]["team"] == "web"
            assert deployment["metadata"]["ownerReferences"][0]["uid"] == "one"
            assert it.events == [(KEY, "Normal", "Provisioned")]
            # Nothing that says nothing new makes a write: status of a Deployment, another list of everything.
            told = {**deployment, "status": {"readyReplicas": 1}}
            it.server.put(DEPLOYMENTS, copy.deepcopy(told))
            it.server.end_watches()
            await it.server.wait(lambda: it.server.watchers(DEPLOYMENTS) == 1)
            await it.quiet()
            assert it.server.writes == ALL
            assert it.programmed().startswith("False AddressNotAssigned")

    run(scenario())


def test_only_what_changed_is_applied_again() -> None:
    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            it.server.put(GATEWAYS, gateway(port=81))
            await it.server.wait(lambda: len(it.server.writes) == 6)
            await it.quiet()
            assert it.server.writes[5:] == ["PATCH Service prod/edge-sluicegate"]
            assert it.server.objects[SERVICES]["prod", "edge-sluicegate"]["spec"]["ports"][0]["port"] == 81

    run(scenario())


def test_what_somebody_changed_or_deleted_comes_back() -> None:
    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            service = copy.deepcopy(it.server.objects[SERVICES]["prod", "edge-sluicegate"])
            service["spec"]["ports"][0]["targetPort"] = 9
            it.server.put(SERVICES, service)
            await it.server.wait(lambda: len(it.server.writes) == 6)
            it.server.delete(DEPLOYMENTS, "prod", "edge-sluicegate")
            await it.server.wait(lambda: len(it.server.writes) == 7)
            assert it.server.writes[5:] == [
                "PATCH Service prod/edge-sluicegate",
                "PATCH Deployment prod/edge-sluicegate",
            ]

    run(scenario())


def test_what_is_remembered_but_not_there_is_made() -> None:
    """Of a Gateway of the same name that is no more: no event will tell of its end."""

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            key = ObjectKey("ServiceAccount", "prod", "edge-sluicegate")
            remembered = it.writer._objects.live[key]
            it.server.delete(GATEWAYS, "prod", "edge")
            await it.server.wait(lambda: not it.server.objects[ACCOUNTS])
            await it.until(lambda: key not in it.writer._objects.live)
            await it.quiet()
            it.writer._objects.live[key] = remembered
            it.server.put(GATEWAYS, gateway(uid="two"))
            await it.server.wait(lambda: ("prod", "edge-sluicegate") in it.server.objects[ACCOUNTS])
            await it.quiet()

    run(scenario())


def test_the_end_of_an_object_is_told_before_the_answer_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with bench(lead=False) as it:
            key, patch, once = ObjectKey("ServiceAccount", "prod", "edge-sluicegate"), it.client.patch, [True]

            async def patch_and_lose(path: str, *given: Any, **rest: Any) -> bytes:
                answer = await patch(path, *given, **rest)
                if path.endswith("/serviceaccounts/edge-sluicegate") and once:
                    once.clear()
                    it.server.delete(ACCOUNTS, "prod", "edge-sluicegate")
                    it.writer.handle(Delete(key))
                return answer

            monkeypatch.setattr(it.client, "patch", patch_and_lose)
            it.loop.lead(True)
            it.server.put(GATEWAYS, gateway())
            await it.server.wait(lambda: not once and ("prod", "edge-sluicegate") in it.server.objects[ACCOUNTS])
            await it.quiet()

    run(scenario())


def test_what_is_not_wanted_is_deleted() -> None:
    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            it.server.delete(GATEWAYS, "prod", "edge")
            await it.server.wait(lambda: len(it.server.writes) == 10)
            assert sorted(it.server.writes[5:]) == sorted(item.replace("PATCH", "DELETE") for item in ALL)
            assert not it.server.objects[DEPLOYMENTS]

    run(scenario())


def test_an_autoscaler_comes_and_goes_and_keeps_the_count() -> None:
    async def scenario() -> None:
        scaled = {
            "apiVersion": "sluicegate.dev/v1alpha1",
            "kind": "GatewayParameters",
            "metadata": {"name": "mine", "namespace": "prod"},
            "spec": {"deployment": {"replicas": 4}, "autoscaling": {"maxReplicas": 9}},
        }
        plain = {**scaled, "spec": {"deployment": {"replicas": 4}}}
        reference = {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": "mine"}
        async with bench((PARAMETERS, plain), (GATEWAYS, gateway(parametersRef=reference))) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            it.server.put(PARAMETERS, copy.deepcopy(scaled))
            await it.server.wait(lambda: bool(it.server.objects[SCALERS]))
            await it.quiet()
            deployment = it.server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"]
            assert deployment["spec"]["replicas"] == 4
            grown = copy.deepcopy(deployment)
            grown["spec"]["replicas"] = 7
            it.server.put(DEPLOYMENTS, grown)
            await it.quiet()
            count = len(it.server.writes)
            it.server.put(GATEWAYS, gateway(parametersRef=reference, annotations={"a": "b"}))
            await it.server.wait(lambda: len(it.server.writes) == count + 6)
            assert it.server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"]["spec"]["replicas"] == 7
            none = {**plain, "spec": {"deployment": {"replicas": 0}}}
            it.server.put(PARAMETERS, copy.deepcopy(none))
            await it.server.wait(lambda: not it.server.objects[SCALERS])

            def replicas() -> int:
                return int(it.server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"]["spec"]["replicas"])

            await it.server.wait(lambda: replicas() == 0)
            # An autoscaler leaves a Deployment without pods as it is.
            again = {**plain, "spec": {"autoscaling": {"minReplicas": 3, "maxReplicas": 9}}}
            it.server.put(PARAMETERS, copy.deepcopy(again))
            await it.server.wait(lambda: bool(it.server.objects[SCALERS]))
            assert replicas() == 3

    run(scenario())


FOREIGN: list[tuple[str, dict[str, Any], str]] = [
    ("nobody's", {}, "is not Sluicegate's"),
    (
        "another controller's",
        {
            "labels": {"app.kubernetes.io/managed-by": "sluicegate"},
            "annotations": {"sluicegate.dev/controller-name": "example.com/other"},
        },
        "belongs to controller example.com/other",
    ),
]


@pytest.mark.parametrize(("_case", "metadata", "whose"), FOREIGN, ids=[item[0] for item in FOREIGN])
def test_an_object_of_somebody_else_is_not_taken_over(_case: str, metadata: dict[str, Any], whose: str) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "edge-sluicegate", "namespace": "prod", "uid": "theirs", **metadata},
    }

    async def scenario() -> None:
        async with bench((ACCOUNTS, account), (GATEWAYS, gateway())) as it:
            await it.until(lambda: it.statuses is not None and "NoResources" in it.programmed())
            assert whose in it.programmed()
            assert "ServiceAccount prod/edge-sluicegate" in it.programmed()
            assert it.server.writes == []  # nothing behind it either: pods would run under that account
            assert it.server.objects[ACCOUNTS]["prod", "edge-sluicegate"]["metadata"]["uid"] == "theirs"
            assert it.events == [(KEY, "Warning", "ProvisioningFailed")]
            it.server.delete(ACCOUNTS, "prod", "edge-sluicegate")
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.until(lambda: "NoResources" not in it.programmed())

    run(scenario())


def test_objects_of_a_gateway_that_was_replaced() -> None:
    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            it.server.put(GATEWAYS, gateway(uid="two"))
            await it.server.wait(
                lambda: all(
                    it.server.objects[collection]
                    .get(("prod", "edge-sluicegate"), {})
                    .get("metadata", {})
                    .get("ownerReferences", [{}])[0]
                    .get("uid")
                    == "two"
                    for collection in (SERVICES, ACCOUNTS, CONFIG, DEPLOYMENTS)
                )
            )
            await it.quiet()
            assert sorted(set(it.server.writes[5:])) == sorted(
                [*ALL, *(item.replace("PATCH", "DELETE") for item in ALL)]
            )

    run(scenario())


def test_a_refusal_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(troubles, "FIRST_RETRY", 0.02)

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway()), lead=False) as it:
            it.server.refusals["/deployments/edge-sluicegate"] = (403, "exceeded quota")
            it.loop.lead(True)
            await it.until(lambda: it.statuses is not None and "exceeded quota" in it.programmed())
            assert len(it.server.writes) == 3
            it.server.refusals.clear()
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.until(lambda: "NoResources" not in it.programmed())

    run(scenario())


def test_an_api_server_that_is_away_is_no_failure_of_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(troubles, "FIRST_RETRY", 0.02)

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway()), lead=False) as it:
            it.server.refusals["/serviceaccounts/edge-sluicegate"] = (503, "etcd is away")
            it.loop.lead(True)
            await it.until(lambda: any("etcd is away" in item for item in it.complaints))
            assert not it.writer.failures
            it.server.refusals.clear()
            await it.server.wait(lambda: len(it.server.writes) == 5)

    run(scenario())


def test_who_does_not_lead_writes_nothing() -> None:
    async def scenario() -> None:
        async with bench((GATEWAYS, gateway()), lead=False) as it:
            it.server.put(GATEWAYS, gateway("other"))
            await it.until(lambda: it.statuses is not None and len(it.statuses.infrastructure) == 2)
            assert it.writer.depth == 0
            assert not it.server.writes
            it.loop.lead(True)
            await it.server.wait(lambda: len(it.server.writes) == 10)
            it.loop.lead(False)
            it.server.delete(GATEWAYS, "prod", "other")
            await it.until(lambda: it.statuses is not None and len(it.statuses.infrastructure) == 1)
            assert it.writer.depth == 0
            assert len(it.server.writes) == 10
            it.loop.lead(True)
            await it.server.wait(lambda: len(it.server.writes) == 15)

    run(scenario())


def test_what_is_under_way_ends_with_the_leadership() -> None:
    """A write that the API server looks at later, when another one leads and has written, changes nothing."""

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            it.server.hold = "/services/edge-sluicegate"
            it.server.put(GATEWAYS, gateway(port=81))
            await it.server.wait(lambda: it.server.held == 1)
            assert it.writer.depth == 1
            it.loop.lead(False)
            await asyncio.wait_for(it.writer.settled.wait(), 10)
            other = copy.deepcopy(it.server.objects[SERVICES]["prod", "edge-sluicegate"])
            other["spec"]["ports"][0]["port"] = 82
            it.server.put(SERVICES, other)
            it.server.released.set()
            await it.server.wait(lambda: it.server.let_through == 1)
            assert it.server.writes == ALL
            assert it.server.objects[SERVICES]["prod", "edge-sluicegate"]["spec"]["ports"][0]["port"] == 82

    run(scenario())


def test_what_another_one_made_meanwhile_is_not_made_again() -> None:
    """Two leaders, one of them late: to make something is also no more than to make what is not there."""

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway()), lead=False) as it:
            it.server.hold = "/services/edge-sluicegate"
            it.loop.lead(True)
            await it.server.wait(lambda: it.server.held == 1)
            it.loop.lead(False)
            await asyncio.wait_for(it.writer.settled.wait(), 10)
            made = {"kind": "Service", "metadata": {"name": "edge-sluicegate", "namespace": "prod"}, "spec": {"a": "b"}}
            it.server.put(SERVICES, made)
            it.server.released.set()
            await it.server.wait(lambda: it.server.let_through == 1)
            assert it.server.objects[SERVICES]["prod", "edge-sluicegate"]["spec"] == {"a": "b"}

    run(scenario())


def test_a_change_that_no_watch_told_yet_is_looked_at() -> None:
    """The apply meets a conflict, and is decided again on what is there."""

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            silent = it.server.objects[SERVICES]["prod", "edge-sluicegate"]
            silent["metadata"]["resourceVersion"] = "9999"
            silent["status"] = {"loadBalancer": {}}
            it.server.put(GATEWAYS, gateway(port=81))
            await it.server.wait(lambda: "PATCH Service prod/edge-sluicegate" in it.server.writes[5:])
            assert it.server.objects[SERVICES]["prod", "edge-sluicegate"]["spec"]["ports"][0]["port"] == 81
            assert not it.complaints
            assert not it.writer.failures

    run(scenario())


def scale(it: Bench, replicas: int) -> None:
    """As `kubectl scale` does it."""
    deployment = copy.deepcopy(it.server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"])
    deployment["spec"]["replicas"] = replicas
    it.server.put(DEPLOYMENTS, deployment)


def replicas_of(it: Bench) -> int | None:
    found: int | None = it.server.objects[DEPLOYMENTS]["prod", "edge-sluicegate"]["spec"].get("replicas")
    return found


def test_a_count_of_pods_that_nobody_asked_for_is_whose_who_scales() -> None:
    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            assert replicas_of(it) is None
            scale(it, 3)
            await it.quiet()
            assert it.server.writes == ALL
            # It stays when something else is applied.
            it.server.put(GATEWAYS, gateway(annotations={"a": "b"}))
            await it.server.wait(lambda: "PATCH Deployment prod/edge-sluicegate" in it.server.writes[5:])
            assert replicas_of(it) == 3
            assert [reason for _, _, reason in it.events] == ["Provisioned"]

    run(scenario())


def test_what_is_put_back_is_told() -> None:
    async def scenario() -> None:
        parameters = {
            "apiVersion": "sluicegate.dev/v1alpha1",
            "kind": "GatewayParameters",
            "metadata": {"name": "mine", "namespace": "prod"},
            "spec": {"deployment": {"replicas": 2}},
        }
        reference = {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": "mine"}
        async with bench((PARAMETERS, parameters), (GATEWAYS, gateway(parametersRef=reference))) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            scale(it, 5)
            await it.until(lambda: it.events[-1] == (KEY, "Warning", "Reverted"))
            assert replicas_of(it) == 2
            text = "Deployment prod/edge-sluicegate: spec.replicas was 5 and is 2 again; set deployment.replicas of its"
            assert it.notes[-1].startswith(text)
            # What the parameters say otherwise is no revert.
            await it.quiet()
            told = len(it.events)
            it.server.put(PARAMETERS, {**copy.deepcopy(parameters), "spec": {"deployment": {"replicas": 4}}})
            await it.server.wait(lambda: replicas_of(it) == 4)
            await it.quiet()
            assert len(it.events) == told

    run(scenario())


def test_what_the_garbage_collector_takes_does_not_come_back() -> None:
    """Foreground deletion: the dependents go first, while the Gateway is still there."""

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            leaving = gateway()
            leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            it.server.put(GATEWAYS, leaving)
            await it.until(lambda: it.statuses is not None and all(p.kept for p in it.statuses.infrastructure.values()))
            for collection in (DEPLOYMENTS, SERVICES):
                it.server.delete(collection, "prod", "edge-sluicegate")
            await it.until(lambda: not any(key.kind in {"Deployment", "Service"} for key in it.writer._objects.live))
            await it.quiet()
            assert it.server.writes == ALL

    run(scenario())


def test_a_delete_that_is_refused_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_module, "DELETE_RETRY", 0.02)

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            it.server.refusals["/services/edge-sluicegate"] = (403, "not allowed")
            it.server.delete(GATEWAYS, "prod", "edge")
            await it.until(lambda: any("not allowed" in item for item in it.complaints))
            it.server.refusals.clear()
            await it.server.wait(lambda: len(it.server.writes) == 10)

    run(scenario())


def test_bad_parameters_keep_what_is_there() -> None:
    reference = {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": "gone"}

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            it.server.put(GATEWAYS, gateway(port=81, parametersRef=reference))
            await it.until(lambda: it.statuses is not None and it.accepted().startswith("False InvalidParameters"))
            await it.quiet()
            assert it.server.writes == ALL
            it.server.put(GATEWAYS, gateway())
            await it.until(lambda: it.accepted().startswith("True"))
            await it.quiet()
            assert it.server.writes == ALL

    run(scenario())


SHARED: dict[str, Any] = {
    "apiVersion": "sluicegate.dev/v1alpha1",
    "kind": "GatewayParameters",
    "metadata": {"name": "all", "namespace": "prod"},
    "spec": {"mode": "Shared"},
}


def class_of(parameters: dict[str, Any] | None, controller_name: str = NAME, uid: str = "class") -> dict[str, Any]:
    found = gateway_class()
    found["metadata"]["uid"] = uid
    found["spec"]["controllerName"] = controller_name
    if parameters is not None:
        place = parameters["metadata"]
        found["spec"]["parametersRef"] = {"group": "sluicegate.dev", "kind": "GatewayParameters", **place}
    return found


@pytest.mark.parametrize("parameters", [None, SHARED])
def test_a_class_that_is_deleted_takes_nothing_with_it(parameters: dict[str, Any] | None) -> None:
    """Nothing is written while it is gone or when it comes again; another controller's class ends the data plane."""

    async def scenario() -> None:
        given = [(PARAMETERS, parameters)] if parameters is not None else []
        async with bench(*given, (CLASSES, class_of(parameters)), (GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            it.server.delete(CLASSES, "", "sluicegate")
            await it.until(lambda: it.accepted().startswith("False GatewayClassNotFound: GatewayClass sluicegate"))
            assert "goes on serving" in it.accepted()
            await it.quiet()
            it.server.put(CLASSES, class_of(parameters, uid="another"))
            await it.until(lambda: it.accepted().startswith("True"))
            await it.quiet()
            assert len(it.server.writes) == 5
            it.server.delete(CLASSES, "", "sluicegate")
            it.server.put(CLASSES, class_of(parameters, "example.com/controller"))
            await it.server.wait(lambda: len(it.server.writes) == 10)
            assert all(item.startswith("DELETE") for item in it.server.writes[5:])

    run(scenario())


def test_a_restart_without_the_class() -> None:
    """By its Service a Gateway is known to be ours; one whose class never existed gets nothing."""

    async def scenario() -> None:
        async with bench((GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            made = {name: list(it.server.objects[name].values()) for name in (SERVICES, ACCOUNTS, CONFIG, DEPLOYMENTS)}
        there = [(name, copy.deepcopy(item)) for name, items in made.items() for item in items]
        other = gateway("other")
        other["spec"]["gatewayClassName"] = "never"
        without = gateway("edge")
        without["spec"]["gatewayClassName"] = "sluicegate"
        async with bench((GATEWAYS, without), (GATEWAYS, other), *there, lead=False) as it:
            it.server.delete(CLASSES, "", "sluicegate")
            await it.until(lambda: it.accepted().startswith("False GatewayClassNotFound"))
            it.loop.lead(True)
            await it.quiet()
            assert not it.server.writes

    run(scenario())


def test_what_is_shared_lets_go_of_the_class_that_owned_it() -> None:
    """Objects of an older version are applied again, not deleted; those that are not ours stay as they are."""

    async def scenario() -> None:
        async with bench((PARAMETERS, SHARED), (CLASSES, class_of(SHARED)), (GATEWAYS, gateway())) as it:
            await it.server.wait(lambda: len(it.server.writes) == 5)
            await it.quiet()
            [(key, document)] = it.server.objects[DEPLOYMENTS].items()
            assert "ownerReferences" not in document["metadata"]
            older = copy.deepcopy(document)
            older["metadata"]["annotations"]["sluicegate.dev/manifest"] = "older"
            older["metadata"]["ownerReferences"] = [{"kind": "GatewayClass", "uid": "class", "controller": True}]
            it.server.put(DEPLOYMENTS, older)
            await it.server.wait(lambda: len(it.server.writes) == 6)
            await it.quiet()
            assert it.server.writes[5:] == [f"PATCH Deployment {'/'.join(key)}"]
            foreign = copy.deepcopy(document)
            del foreign["metadata"]["labels"]
            it.server.put(DEPLOYMENTS, foreign)
            await it.until(lambda: "is not Sluicegate's" in it.programmed())
            assert len(it.server.writes) == 6

    run(scenario())


def test_many_at_a_time_are_bounded() -> None:
    async def scenario() -> None:
        documents = [(GATEWAYS, gateway(f"g{number}", uid=f"u{number}")) for number in range(40)]
        async with bench(*documents) as it:
            most = 0

            def all_written() -> bool:
                nonlocal most
                most = max(most, it.writer._queue.working)
                return len(it.server.writes) == 200

            await it.server.wait(all_written)
            await it.quiet()
            assert 1 < most <= apply_module.WORKERS
            assert len(it.server.writes) == 200

    run(scenario())


@pytest.mark.parametrize(
    ("have", "want", "holds"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": {}}, True),
        ({}, {"a": []}, True),
        ({}, {"a": 0}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": {"b": 1}}, {"a": [1]}, False),
        ([], {"a": 1}, False),
    ],
)
def test_covers(have: Any, want: Any, holds: bool) -> None:
    assert covers(have, want) is holds
