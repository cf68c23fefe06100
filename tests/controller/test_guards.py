"""Each stage has a guard for each object: what one raises costs that one, which keeps its last good version.

No input is known that needs a guard, so each stage is made to raise for the object called `odd`.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from odd_cluster import CANARY, NAME, Cluster
from odd_inputs import objects

from sluicegate.controller import caught
from sluicegate.controller.api import READ_KINDS, Object, ObjectKey
from sluicegate.controller.api.kinds import BY_NAME
from sluicegate.controller.provision import events
from sluicegate.controller.provision.events import EventWriter
from sluicegate.controller.sources.kubernetes import documents
from sluicegate.controller.store.store import Apply, Init, InitDone, Store
from sluicegate.controller.stream import projection
from sluicegate.controller.translate import ApplyReport, topology_stage, translator
from sluicegate.controller.translate import report as statuses
from sluicegate.ir import ListenerReport

ODD = "odd"


@pytest.fixture
def raised() -> Callable[[str], int]:
    """How many exceptions of a stage were counted since."""
    before = caught.counts()
    return lambda stage: caught.counts().get(stage, 0) - before.get(stage, 0)


def stumbling(real: Callable[..., Any], is_odd: Callable[..., bool]) -> Callable[..., Any]:
    """A routine that raises for what is odd."""

    def routine(*arguments: Any, **keywords: Any) -> Any:
        if is_odd(*arguments):
            raise KeyError(ODD)
        return real(*arguments, **keywords)

    return routine


@functools.lru_cache(maxsize=1)
def first_of() -> dict[str, str]:
    """The first object of each kind in the golden cases."""
    return {item["kind"]: json.dumps(item, default=str) for item in reversed(objects())}


def document(kind: str, version: int) -> dict[str, Any]:
    """An object of the kind, called `odd`; its version is in its labels."""
    copy: dict[str, Any] = json.loads(first_of()[kind])
    copy["metadata"] = {"name": ODD, "labels": {"version": str(version)}}
    if BY_NAME[kind].namespaced:
        copy["metadata"]["namespace"] = "elsewhere"
    return copy


def served(*, provisioned: bool = False) -> Cluster:
    cluster = Cluster(provisioned=provisioned)
    for item in CANARY:
        cluster.send(item["kind"], "ADDED", json.dumps(item))
    return cluster


def key_of(kind: str) -> ObjectKey:
    return ObjectKey(kind, "elsewhere" if BY_NAME[kind].namespaced else "", ODD)


def version_of(cluster: Cluster, kind: str) -> str:
    found = cluster.loop._store.snapshot().get(key_of(kind))
    return found.metadata.labels["version"] if found is not None else ""


def other_route() -> str:
    copy = json.loads(json.dumps(CANARY[3]))
    copy["metadata"]["name"] = "other"
    return json.dumps(copy)


@pytest.mark.parametrize("kind", READ_KINDS)
def test_decoding(kind: str, monkeypatch: pytest.MonkeyPatch, raised: Callable[[str], int]) -> None:
    cluster = served()
    cluster.send(kind, "ADDED", json.dumps(document(kind, 1)))
    is_odd = lambda item, *_: item["metadata"]["name"] == ODD  # noqa: E731 (as short as that)
    monkeypatch.setattr(documents, "decode", stumbling(documents.decode, is_odd))
    cluster.send(kind, "MODIFIED", json.dumps(document(kind, 2)))
    cluster.send("HTTPRoute", "ADDED", other_route())
    assert version_of(cluster, kind) == "1"
    assert cluster.translate().attached == {"Gateway/canary/canary/http": 2}
    assert (raised("watch"), cluster.loop.unusable) == (1, 1)
    [(code, text)] = cluster.complaints
    assert (code, f"{key_of(kind)}: " in text, "its last good version goes on" in text) == (
        "object_unreadable",
        True,
        True,
    )


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("kind", READ_KINDS)
def test_the_store(kind: str, listed: bool, monkeypatch: pytest.MonkeyPatch, raised: Callable[[str], int]) -> None:
    cluster = served()
    cluster.send(kind, "ADDED", json.dumps(document(kind, 1)))
    real = Object.same_content
    monkeypatch.setattr(Object, "same_content", stumbling(real, lambda item, _: item.name == ODD))
    odd = document(kind, 2)
    if listed:
        same = [item for item in CANARY if item["kind"] == kind]
        cluster.list(kind, [odd, *json.loads(json.dumps(same))])
    else:
        cluster.send(kind, "MODIFIED", json.dumps(odd))
    assert version_of(cluster, kind) == "1"
    cluster.translate()
    assert "127.0.0.9:9" in cluster.canary()
    assert (raised("store"), cluster.loop.unusable) == (1, 1)
    assert [code for code, text in cluster.complaints if str(key_of(kind)) in text] == ["fault"]
    monkeypatch.setattr(Object, "same_content", real)
    cluster.send(kind, "MODIFIED", json.dumps(odd))
    assert (version_of(cluster, kind), cluster.loop.unusable) == ("2", 0)


@pytest.mark.parametrize("provisioned", [False, True])
@pytest.mark.parametrize("kind", READ_KINDS)
def test_the_translation(
    kind: str, provisioned: bool, monkeypatch: pytest.MonkeyPatch, raised: Callable[[str], int]
) -> None:
    """Wherever in it: what reads the second version of the object raises."""
    cluster = served(provisioned=provisioned)
    cluster.send(kind, "ADDED", json.dumps(document(kind, 1)))
    cluster.translate()
    key = key_of(kind)

    def reads_odd(_self: Any, _memo: Any, snapshot: Any, _options: Any) -> bool:
        found = snapshot.get(key)
        return found is not None and found.metadata.labels["version"] == "2"

    real = translator.Translator._translate
    monkeypatch.setattr(translator.Translator, "_translate", stumbling(real, reads_odd))
    cluster.send(kind, "MODIFIED", json.dumps(document(kind, 2)))
    cluster.send("HTTPRoute", "ADDED", other_route())
    found = cluster.translate()
    assert found.attached["Gateway/canary/canary/http"] == 2
    assert "127.0.0.9:9" in cluster.canary()
    assert list(cluster.translator.held) == [key]
    assert raised("translate") == 1
    assert [(item.code, item.object) for item in found.diagnostics if item.code == "held"] == [("held", str(key))]


def test_a_data_plane_is_planned(monkeypatch: pytest.MonkeyPatch, raised: Callable[[str], int]) -> None:
    cluster = served(provisioned=True)
    odd = json.loads(json.dumps(CANARY[2]))
    odd["metadata"] = {"name": ODD, "namespace": "elsewhere"}
    cluster.send("Gateway", "ADDED", json.dumps(odd))
    before = cluster.translate().infrastructure
    is_odd = lambda request, _: any(item.key.name == ODD and item.labels for item in request.gateways)  # noqa: E731
    monkeypatch.setattr(topology_stage, "plan", stumbling(topology_stage.plan, is_odd))
    odd["spec"]["infrastructure"] = {"labels": {"a": "b"}}
    cluster.send("Gateway", "MODIFIED", json.dumps(odd))
    canary = json.loads(json.dumps(CANARY[2]))
    canary["spec"]["infrastructure"] = {"labels": {"a": "b"}}
    cluster.send("Gateway", "MODIFIED", json.dumps(canary))
    after = cluster.translate().infrastructure
    [mine] = [name for name, plane in after.items() if plane.gateways == (ObjectKey("Gateway", "canary", "canary"),)]
    [other] = [name for name in after if name != mine]
    assert list(cluster.translator.held) == [ObjectKey("Gateway", "elsewhere", ODD)]
    assert after[other].objects == before[other].objects
    assert after[mine].objects != before[mine].objects
    assert raised("translate") == 1


def test_the_projection_for_data_planes(monkeypatch: pytest.MonkeyPatch, raised: Callable[[str], int]) -> None:
    cluster = served(provisioned=True)
    route = json.loads(json.dumps(CANARY[3]))
    route["metadata"]["name"] = ODD
    cluster.send("HTTPRoute", "ADDED", json.dumps(route))
    cluster.translate()
    [plane] = cluster._projector.planes.values()
    before = dict(plane.tables["http_rules"])
    is_odd = lambda item: getattr(item, "route", "").endswith(f"/{ODD}")  # noqa: E731
    monkeypatch.setattr(projection, "item_of", stumbling(projection.item_of, is_odd))
    for name in (ODD, "canary"):
        route["metadata"]["name"], route["spec"]["hostnames"] = name, ["new.test"]
        cluster.send("HTTPRoute", "MODIFIED", json.dumps(route))
    cluster.translate()
    after = plane.tables["http_rules"]
    assert [name for name in after if after[name] != before[name]] == ["HTTPRoute/canary/canary/0"]
    assert list(cluster._projector.faults) == [("http_rules", f"HTTPRoute/canary/{ODD}/0")]
    assert raised("stream") == 1
    monkeypatch.undo()
    cluster.send("HTTPRoute", "DELETED", json.dumps(route))
    route["metadata"]["name"] = ODD
    cluster.send("HTTPRoute", "DELETED", json.dumps(route))
    cluster.translate()
    assert (plane.tables["http_rules"], plane.tables["backends"], plane.tables["endpoints"]) == ({}, {}, {})


def test_statuses_with_reports(monkeypatch: pytest.MonkeyPatch, raised: Callable[[str], int]) -> None:
    cluster = served()
    odd = json.loads(json.dumps(CANARY[2]))
    odd["metadata"]["name"], odd["spec"]["listeners"][0]["port"] = ODD, 7778
    cluster.send("Gateway", "ADDED", json.dumps(odd))
    found = cluster.translate()
    names = ("canary", ODD)
    first = found.with_report(report(*names, bound=False))
    is_odd = lambda facts, *_: facts.object.name == ODD  # noqa: E731
    monkeypatch.setattr(statuses, "gateway_programmed", stumbling(statuses.gateway_programmed, is_odd))
    second = found.with_report(report(*names, bound=True), before=first)
    keys = {name: ObjectKey("Gateway", "canary", name) for name in names}
    assert second.statuses[keys[ODD]] == first.statuses[keys[ODD]]
    assert second.statuses[keys["canary"]] != first.statuses[keys["canary"]]
    assert raised("status") == 1
    assert [(item.code, item.object) for item in second.diagnostics if item.code == "fault"] == [
        ("fault", str(keys[ODD]))
    ]


def report(*gateways: str, bound: bool) -> ApplyReport:
    sockets = ("127.0.0.1:80",) if bound else ()
    return ApplyReport(1, tuple(ListenerReport(f"Gateway/canary/{name}/http", sockets) for name in gateways))


def test_a_list_of_the_store_is_taken_without_the_odd_object(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(Object, "same_content", stumbling(Object.same_content, lambda item, _: item.name == ODD))
    for version in (1, 2):
        store.handle(Init("Service"))
        for name in (ODD, "a", "b"):
            item = {**document("Service", version), "metadata": {"name": name, "generation": version}}
            store.handle(Apply(documents.decode(item)))
        store.handle(InitDone("Service"))
    found = {item.name: item.metadata.generation for item in store.snapshot().table("Service").values()}
    assert found == {ODD: 1, "a": 2, "b": 2}
    assert "KeyError: 'odd'" in store.faults[ObjectKey("Service", "default", ODD)]


def test_events(monkeypatch: pytest.MonkeyPatch, raised: Callable[[str], int]) -> None:
    async def run() -> None:
        told: list[tuple[str, str]] = []
        client: Any = None
        writer = EventWriter(client, NAME, "pod", lambda *said, **_: told.append(said))
        cluster = served()
        for name in (ODD, "other"):
            bad = json.loads(json.dumps(CANARY[3]))
            bad["metadata"]["name"], bad["spec"]["rules"][0]["backendRefs"][0]["name"] = name, "missing"
            cluster.send("HTTPRoute", "ADDED", json.dumps(bad))
        found = cluster.translate()
        odd = found.statuses[ObjectKey("HTTPRoute", "canary", ODD)]
        monkeypatch.setattr(events, "_conditions", stumbling(events._conditions, lambda status: status is odd))
        writer.lead(True)
        writer.want(found)
        assert list(writer._due) == [ObjectKey("HTTPRoute", "canary", "other")]
        assert raised("write") == 1
        [(code, text)] = told
        assert (code, f"HTTPRoute/canary/{ODD}" in text) == ("event_failed", True)

    asyncio.run(run())
