"""The loop: what goes to which output, reports without a translation, watches that are dead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import loop_tasks
import pytest
from api_server import ApiServer

from sluicegate.controller import caught
from sluicegate.controller.api import ObjectKey
from sluicegate.controller.sources.kubernetes import watch as watches
from sluicegate.controller.sources.kubernetes.access import Configuration
from sluicegate.controller.sources.kubernetes.client import Client
from sluicegate.controller.sources.kubernetes.resources import WATCHED, Resource
from sluicegate.controller.store.store import Delete, Event, InitDone
from sluicegate.controller.translate import Options, State, Translation, Translator
from sluicegate.processes import loop as loops
from sluicegate.processes.loop import Loop, Output

GATEWAY = "/apis/gateway.networking.k8s.io/v1"
DEPLOYMENTS = "/apis/apps/v1/deployments"
LIMIT = 10.0


class Recorder:
    """A writer that writes down what it is told."""

    def __init__(self) -> None:
        self.leading: list[bool] = []
        self.documents: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.wanted: list[Any] = []
        self.changed = asyncio.Event()

    def lead(self, leading: bool) -> None:
        self.leading.append(leading)

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        self.documents.append((kind, document["metadata"]["name"]))
        self.changed.set()

    def handle(self, event: Event) -> None:
        self.events.append(event)
        self.changed.set()

    def want(self, value: Any) -> None:
        self.wanted.append(value)
        self.changed.set()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not holds():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), LIMIT)


class Numbered:
    """Reports that differ each time."""

    def __init__(self) -> None:
        self.asked = 0

    def reported(self, translation: Translation) -> Translation:
        self.asked += 1
        listeners = [{"id": item, "bound": [f"10.0.0.{self.asked}:80"]} for item in translation.ir.listeners]
        return translation.with_report({"generation": self.asked, "listeners": listeners})


class Counting(Translator):
    """A translator that counts its translations."""

    translations = 0

    def translate(self, snapshot: Any, now: float | None = None, take: Any = None) -> Translation:
        self.translations += 1
        return super().translate(snapshot, now)


Test = Callable[[ApiServer, Loop, Recorder, Recorder, Counting], Awaitable[None]]


async def with_loop(test: Test, pool: tuple[str, ...] = ()) -> None:
    server = ApiServer()
    server.put(f"{GATEWAY}/gatewayclasses", {"metadata": {"name": "c"}, "spec": {"controllerName": "example.com/c"}})
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    metadata = {"name": "gateway", "namespace": "default"}
    server.put(f"{GATEWAY}/gateways", {"metadata": metadata, "spec": {"gatewayClassName": "c", "listeners": listeners}})
    server.put(DEPLOYMENTS, {"metadata": {"name": "owned", "namespace": "default"}, "status": {"readyReplicas": 1}})
    await server.start()
    configuration = Configuration()
    configuration.host = server.url
    async with Client(configuration) as client:
        plain, reported = Recorder(), Recorder()
        outputs = [
            Output(reported, lambda translation: translation.reports, reported=True),
            Output(plain, lambda translation: translation.ir),
        ]
        translator = Counting("example.com/c", Options(implicit_class=False, implicit_namespaces=False, pool=pool))
        resources = (*WATCHED, Resource("Deployment", "apps/v1", "deployments"))
        loop = Loop(client, translator, outputs, Numbered(), lambda *_, **__: None, resources)
        running = asyncio.create_task(loop_tasks.run(loop))
        try:
            await asyncio.wait_for(loop.ready.wait(), LIMIT)
            await test(server, loop, plain, reported, translator)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await server.stop()


def test_each_output_gets_its_part_and_every_event() -> None:
    async def test(_server: ApiServer, loop: Loop, plain: Recorder, reported: Recorder, _translator: Counting) -> None:
        assert list(plain.wanted[0].listeners) == ["Gateway/default/gateway/http"]
        assert reported.wanted[0]["Gateway/default/gateway/http"].bound == ("10.0.0.1:80",)
        loop.lead(True)
        for writer in (plain, reported):
            assert writer.leading == [True]
            # A kind that is written, not read, is seen as the API has it; the list of it begins and ends.
            assert ("Deployment", "owned") in writer.documents
            assert InitDone("Deployment") in writer.events

    asyncio.run(with_loop(test))


def test_what_a_list_does_not_name_any_more_is_gone_for_all() -> None:
    """Writers hear of it as of a deletion, and its address is another's; one that was listed meanwhile gets it."""

    async def test(server: ApiServer, _loop: Loop, plain: Recorder, *_: Any) -> None:
        assert addresses(plain.wanted[-1]) == {"gateway": "10.0.0.1"}
        collection = f"{GATEWAY}/gateways"
        await server.wait(lambda: server.watchers(collection) == 1)
        # A change that no watch tells, and then a watch that cannot go on.
        spec = server.objects[collection].pop(("default", "gateway"))["spec"]
        metadata = {"name": "next", "namespace": "default", "resourceVersion": "1"}
        server.objects[collection]["default", "next"] = {"metadata": metadata, "spec": spec}
        server.tell_raw(collection, b'{"type": "ERROR", "object": {"code": 410}}\n')
        await plain.until(lambda: addresses(plain.wanted[-1]) == {"next": "10.0.0.1"})
        assert Delete(ObjectKey("Gateway", "default", "gateway")) in plain.events

    asyncio.run(with_loop(test, ("10.0.0.1",)))


def addresses(state: State) -> dict[str, str]:
    return {item.gateway.rpartition("/")[2]: ",".join(item.addresses) for item in state.listeners.values()}


def test_changed_reports_translate_nothing() -> None:
    async def test(_server: ApiServer, loop: Loop, plain: Recorder, reported: Recorder, translator: Counting) -> None:
        before = (translator.translations, len(plain.wanted))
        loop.report_changed()
        await reported.until(lambda: len(reported.wanted) == 2)
        assert reported.wanted[1]["Gateway/default/gateway/http"].bound == ("10.0.0.2:80",)
        assert (translator.translations, len(plain.wanted)) == before

    asyncio.run(with_loop(test))


def test_an_object_does_not_wait_for_reports(monkeypatch: Any) -> None:
    """A look at reports that was just made holds back the next such look, and no object."""
    monkeypatch.setattr(loops, "REPORTS", 10 * LIMIT)

    async def test(server: ApiServer, loop: Loop, plain: Recorder, reported: Recorder, *_: Any) -> None:
        loop.report_changed()
        route = {"metadata": {"name": "route", "namespace": "default"}, "spec": {"parentRefs": [{"name": "gateway"}]}}
        server.put(f"{GATEWAY}/httproutes", route)
        await plain.until(lambda: len(plain.wanted) == 2)
        await reported.until(lambda: len(reported.wanted) == 2)

    asyncio.run(with_loop(test))


def test_a_kind_that_is_only_written_translates_nothing() -> None:
    async def test(server: ApiServer, _loop: Loop, plain: Recorder, _reported: Recorder, translator: Counting) -> None:
        before = translator.translations
        server.put(DEPLOYMENTS, {"metadata": {"name": "other", "namespace": "default"}})
        await plain.until(lambda: ("Deployment", "other") in plain.documents)
        server.put(
            f"{GATEWAY}/httproutes",
            {"metadata": {"name": "route", "namespace": "default"}, "spec": {"parentRefs": [{"name": "gateway"}]}},
        )
        await plain.until(lambda: len(plain.wanted) == 2)
        assert translator.translations == before + 1

    asyncio.run(with_loop(test))


def test_a_watch_that_stands_still_is_a_fault(monkeypatch: Any) -> None:
    async def test(_server: ApiServer, loop: Loop, *_: Any) -> None:
        assert loop.faults() == []
        monkeypatch.setattr(watches, "DEAD", -1.0)
        assert "the watch of HTTPRoute is dead" in loop.faults()

    asyncio.run(with_loop(test))


def test_a_translation_that_does_not_end_is_a_fault(monkeypatch: Any) -> None:
    async def test(server: ApiServer, loop: Loop, _plain: Recorder, reported: Recorder, translator: Counting) -> None:
        begun, end = asyncio.Event(), threading.Event()
        running = asyncio.get_running_loop()

        def stuck(snapshot: Any, now: float | None = None, take: Any = None) -> Translation:
            running.call_soon_threadsafe(begun.set)
            end.wait(LIMIT)
            return Counting.translate(translator, snapshot, now)

        monkeypatch.setattr(translator, "translate", stuck)
        server.put(
            f"{GATEWAY}/gatewayclasses", {"metadata": {"name": "d"}, "spec": {"controllerName": "example.com/c"}}
        )
        await asyncio.wait_for(begun.wait(), LIMIT)
        assert loop.faults() == []
        monkeypatch.setattr(loops, "STUCK", -1.0)
        [fault] = loop.faults()
        assert "a translation got no further" in fault
        monkeypatch.setattr(loops, "STUCK", LIMIT)
        assert loop.faults() == []
        count = len(reported.wanted)
        end.set()
        await reported.until(lambda: len(reported.wanted) > count)
        assert loop.faults() == []

    asyncio.run(with_loop(test))


def test_a_round_or_a_writer_that_raises_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The round is made again with the next change, and the other writers get what is theirs."""

    async def test(server: ApiServer, loop: Loop, plain: Recorder, reported: Recorder, translator: Counting) -> None:
        failing = {"translate": True, "want": True, "seen": True}
        before, here = caught.counts(), asyncio.get_running_loop()

        def stumbling(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                if failing[name]:
                    failing[name] = False
                    here.call_soon_threadsafe(plain.changed.set)
                    raise KeyError("odd")
                return real(*arguments)

            return call

        monkeypatch.setattr(translator, "translate", stumbling("translate", translator.translate))
        monkeypatch.setattr(plain, "want", stumbling("want", plain.want))
        monkeypatch.setattr(plain, "seen", stumbling("seen", plain.seen))
        collection = f"{GATEWAY}/gateways"
        await server.wait(lambda: server.watchers(collection) == 1)
        spec = server.objects[collection]["default", "gateway"]["spec"]
        for number, name in enumerate(("translate", "want", ""), 1):
            spec = {**spec, "listeners": [{**spec["listeners"][0], "port": 8000 + number}]}
            server.put(collection, {"metadata": {"name": f"g{number}", "namespace": "default"}, "spec": spec})
            if name:
                await plain.until(lambda name=name: not failing[name])  # type: ignore[misc]
        await plain.until(lambda: len(plain.wanted[-1].listeners) == 4)
        await reported.until(lambda: len(reported.wanted[-1]) == 4)
        counts = caught.counts()
        assert {name: counts[name] - before.get(name, 0) for name in ("step", "write", "watch")} == {
            "step": 1,
            "write": 1,
            "watch": 1,
        }
        assert loop.faults() == []

    asyncio.run(with_loop(test))
