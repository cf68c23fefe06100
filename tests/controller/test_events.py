"""Events: what is told, when, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from api_server import ApiServer

from sluicegate.controller.api import ObjectKey, decode
from sluicegate.controller.provision import events
from sluicegate.controller.provision.events import EventWriter
from sluicegate.controller.sources.kubernetes.access import Configuration
from sluicegate.controller.sources.kubernetes.client import Client
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Options, Translator

EVENTS = "/apis/events.k8s.io/v1/events"
KEY = ObjectKey("Gateway", "prod", "edge")
NAME = "sluicegate.dev/controller"


class Bench:
    """A writer and what it is told."""

    def __init__(self, server: ApiServer, writer: EventWriter, complaints: asyncio.Queue[str]) -> None:
        self.server = server
        self.writer = writer
        self.complaints = complaints
        self.store = Store(())
        self.translator = Translator(options=Options(status_addresses=("10.0.0.1",)))

    def put(self, protocol: str, *, bound: bool = False) -> None:
        """The Gateway has one listener of a protocol, and perhaps it is bound."""
        document = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "prod", "uid": "u-1"},
            "spec": {
                "gatewayClassName": "sluicegate",
                "listeners": [{"name": "http", "port": 80, "protocol": protocol}],
            },
        }
        self.store.handle(Apply(decode(document)))
        self.want(bound=bound)

    def want(self, *, bound: bool = False, settled: bool = True) -> None:
        listeners = [{"id": "Gateway/prod/edge/http", "bound": ["0.0.0.0:80"]}] if bound else []
        translation = self.translator.translate(self.store.snapshot())
        self.writer.want(translation.with_report({"generation": 1, "listeners": listeners, "settled": settled}))

    def told(self) -> list[tuple[str, str, int]]:
        found = self.server.objects[EVENTS].values()
        return sorted((item["type"], item["reason"], item.get("series", {}).get("count", 1)) for item in found)


@asynccontextmanager
async def bench(lead: bool = True) -> AsyncIterator[Bench]:
    server = ApiServer()
    await server.start()
    configuration = Configuration()
    configuration.host = server.url
    async with Client(configuration) as client:
        complaints: asyncio.Queue[str] = asyncio.Queue()
        writer = EventWriter(client, NAME, "pod-1", lambda code, message, **_: complaints.put_nowait(code))
        task = asyncio.create_task(writer.run())
        writer.lead(lead)
        try:
            yield Bench(server, writer, complaints)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await server.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SETTLE", 0.0)
    monkeypatch.setattr(events, "LOOK", 0.01)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_a_new_leader_that_learns_how_things_are_tells_no_change() -> None:
    async def scenario() -> None:
        async with bench() as it:
            it.put("HTTP")
            it.want(settled=False)
            it.want(bound=True)
            it.want()
            it.want(bound=True)
            it.writer.tell(KEY, "Normal", "Last", "that is all")
            await it.server.wait(lambda: len(it.server.objects[EVENTS]) == 2)
            assert it.told() == [("Normal", "Last", 1), ("Normal", "Programmed", 1)]

    run(scenario())


def test_what_stays_bad_is_told_once() -> None:
    async def scenario() -> None:
        async with bench() as it:
            it.put("example.com/ODD")
            await it.server.wait(lambda: len(it.server.objects[EVENTS]) == 2)
            it.want()
            it.want()
            it.writer.tell(KEY, "Normal", "Last", "that is all")
            await it.server.wait(lambda: len(it.server.objects[EVENTS]) == 3)
            assert it.told() == [
                ("Normal", "Last", 1),
                ("Warning", "Invalid", 1),
                ("Warning", "ListenersNotValid", 1),
            ]
            found = next(item for item in it.server.objects[EVENTS].values() if item["reason"] == "ListenersNotValid")
            assert found["regarding"] == {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "namespace": "prod",
                "name": "edge",
                "uid": "u-1",
            }
            assert found["note"].startswith("Accepted is False: ")
            assert (found["reportingController"], found["reportingInstance"]) == (NAME, "pod-1")
            assert found["metadata"]["namespace"] == "prod"

    run(scenario())


def test_what_is_mended_in_time_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SETTLE", 3600.0)

    async def scenario() -> None:
        async with bench() as it:
            it.put("example.com/ODD")
            it.put("HTTP", bound=True)
            await it.server.wait(lambda: len(it.server.objects[EVENTS]) == 1)
            assert it.told() == [("Normal", "Programmed", 1)]

    run(scenario())


def test_a_gateway_that_was_programmed_at_the_start_is_no_news() -> None:
    async def scenario() -> None:
        async with bench() as it:
            it.put("HTTP", bound=True)
            it.writer.tell(KEY, "Normal", "Last", "that is all")
            await it.server.wait(lambda: len(it.server.objects[EVENTS]) == 1)
            assert it.told() == [("Normal", "Last", 1)]

    run(scenario())


def test_repeats_are_counted() -> None:
    async def scenario() -> None:
        async with bench() as it:
            it.put("HTTP")
            for _ in range(3):
                it.writer.tell(KEY, "Warning", "ProvisioningFailed", "no quota")
            await it.server.wait(lambda: len(it.server.patches) == 2)
            assert it.told() == [("Warning", "ProvisioningFailed", 3)]

    run(scenario())


def test_a_flood_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BURST", 5)
    monkeypatch.setattr(events, "RATE", 0.001)

    async def scenario() -> None:
        async with bench() as it:
            it.put("HTTP")
            it.writer._tokens = 5.0
            for number in range(events.MAX_WAITING + 100):
                it.writer.tell(KEY, "Warning", "Flood", f"number {number}")
            assert it.writer.dropped == 100
            await it.server.wait(lambda: len(it.server.objects[EVENTS]) == 5)
            assert it.writer.writes <= 5
            notes = {item["note"] for item in it.server.objects[EVENTS].values()}
            assert notes == {f"number {number}" for number in range(100, 105)}  # the oldest gave way

    run(scenario())


def test_who_does_not_lead_tells_nothing_and_what_is_gone_is_not_told() -> None:
    async def scenario() -> None:
        async with bench(lead=False) as it:
            it.put("example.com/ODD")
            it.writer.tell(KEY, "Warning", "Early", "nobody asked")
            it.writer.lead(True)
            it.store.handle(Delete(KEY))
            it.want()
            it.writer.tell(KEY, "Warning", "Gone", "nobody is there")
            it.put("HTTP")
            it.writer.tell(KEY, "Normal", "Last", "that is all")
            await it.server.wait(lambda: len(it.server.objects[EVENTS]) >= 1)
            assert ("Warning", "Early", 1) not in it.told()

    run(scenario())


def test_a_refused_event_is_a_complaint_and_no_more() -> None:
    async def scenario() -> None:
        async with bench() as it:
            it.put("HTTP")
            it.server.refusals["/events"] = (403, "not allowed")
            it.writer.tell(KEY, "Warning", "One", "first")
            assert await asyncio.wait_for(it.complaints.get(), 10) == "event_failed"
            it.server.refusals.clear()
            it.writer.tell(KEY, "Warning", "Two", "second")
            await it.server.wait(lambda: len(it.server.objects[EVENTS]) == 1)
            assert it.told() == [("Warning", "Two", 1)]

    run(scenario())


def test_an_event_that_is_being_written_ends_with_the_leadership() -> None:
    """The next leader tells the same; who leads again need not wait for a request that may take half a minute."""

    async def scenario() -> None:
        async with bench() as it:
            it.put("HTTP")
            it.server.hold = "/events"
            it.writer.tell(KEY, "Warning", "One", "first")
            await it.server.wait(lambda: it.server.held == 1)
            it.writer.lead(False)
            it.server.hold = None
            it.writer.lead(True)
            it.writer.tell(KEY, "Warning", "Two", "second")
            await it.server.wait(lambda: it.told() == [("Warning", "Two", 1)])
            assert it.complaints.empty()
            it.server.released.set()
            await it.server.wait(lambda: it.server.let_through == 1)

    run(scenario())
