"""The watch: pages, changes, and every way back in after a fault."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from api_server import ApiServer

from sluicegate.controller.sources.kubernetes import watch
from sluicegate.controller.sources.kubernetes.access import Configuration
from sluicegate.controller.sources.kubernetes.client import PROBES, Client
from sluicegate.controller.sources.kubernetes.resources import BY_KIND
from sluicegate.controller.sources.kubernetes.watch import Watch
from sluicegate.controller.store.store import Apply, Delete, Event, Init, InitDone, Keep

COLLECTION = "/apis/gateway.networking.k8s.io/v1/httproutes"
LIMIT = 10.0
GONE = b'{"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}\n'


def route(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"parentRefs": [{"name": "gateway"}]}}


class Seen:
    """Events as the store gets them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.complaints: list[tuple[str, str]] = []
        self.about: list[object] = []
        self._changed = asyncio.Event()

    def tell(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    def complain(self, code: str, message: str, **fields: object) -> None:
        self.complaints.append((code, message))
        self.about.append(fields.get("object"))
        self._changed.set()

    def words(self) -> list[str]:
        names = {Init: "init", Keep: "keep", InitDone: "done"}
        words = []
        for event in self.events:
            if isinstance(event, Apply):
                words.append(event.object.name)
            elif isinstance(event, Delete):
                words.append(f"-{event.key.name}")
            else:
                words.append(names[type(event)])
        return words

    async def until(self, holds: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not holds():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), LIMIT)


@asynccontextmanager
async def watching(
    kind: str = "HTTPRoute", prepare: Callable[[ApiServer], None] = lambda _: None
) -> AsyncIterator[Any]:
    server = ApiServer()
    prepare(server)
    await server.start()
    seen = Seen()
    configuration = Configuration()
    configuration.host = server.url
    async with Client(configuration) as client:
        watch = asyncio.create_task(Watch(client, BY_KIND[kind], seen.tell, seen.complain).run())
        try:
            yield server, seen
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await server.stop()


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())


def test_lists_in_pages_then_follows() -> None:
    async def test() -> None:
        def prepare(server: ApiServer) -> None:
            server.page = 2
            for name in "abcde":
                server.put(COLLECTION, route(name))

        async with watching(prepare=prepare) as (server, seen):
            await seen.until(lambda: "done" in seen.words())
            assert seen.words() == ["init", *"abcde", "done"]
            assert len(server.lists) == 3
            await server.wait(lambda: server.watchers(COLLECTION) == 1)
            server.put(COLLECTION, route("f"))
            server.delete(COLLECTION, "default", "a")
            await seen.until(lambda: seen.words()[-2:] == ["f", "-a"])

    run(test)


def test_a_watch_that_ends_is_followed_by_another() -> None:
    async def test() -> None:
        async with watching() as (server, seen):
            for name in "ab":
                await server.wait(lambda: server.watchers(COLLECTION) == 1)
                server.put(COLLECTION, route(name))
                await seen.until(lambda name=name: seen.words()[-1] == name)
                server.end_watches()
                await server.wait(lambda: server.watchers(COLLECTION) == 0)
            assert seen.words() == ["init", "done", "a", "b"]
            assert len(server.lists) == 1

    run(test)


def test_gone_inside_the_stream_lists_again_and_replaces() -> None:
    async def test() -> None:
        async with watching() as (server, seen):
            await server.wait(lambda: server.watchers(COLLECTION) == 1)
            server.objects[COLLECTION].clear()
            server.put(COLLECTION, route("new"))
            server.tell(COLLECTION, {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
            await seen.until(lambda: seen.words().count("done") == 2)
            assert seen.words()[-3:] == ["init", "new", "done"]

    run(test)


@pytest.mark.parametrize("words", [b"", GONE, b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}\n'])
def test_watches_that_end_at_once_are_opened_ever_more_slowly(monkeypatch: pytest.MonkeyPatch, words: bytes) -> None:
    """The first is followed at once, as after any end; the others after 0.05, 0.1, 0.2 s (less jitter)."""
    monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.FIRST_WAIT", 0.05)

    async def test() -> None:
        async with watching(prepare=lambda server: setattr(server, "last_words", words)) as (server, seen):
            await server.wait(lambda: server.watches == 5)
            pauses = [later - earlier for earlier, later in itertools.pairwise(server.opened)]
            assert all(pause >= least for pause, least in zip(pauses, (0, 0.035, 0.07, 0.14), strict=True))
            assert len(server.lists) == (5 if words == GONE else 1)
            assert not seen.complaints
            # Whatever one brings makes the next one quick again.
            server.last_words = None
            await server.wait(lambda: server.watchers(COLLECTION) == 1)
            server.put(COLLECTION, route("new"))
            await seen.until(lambda: seen.words()[-1] == "new")
            monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.FIRST_WAIT", 10 * LIMIT)
            server.end_watches()
            await server.wait(lambda: server.watches == 7)

    run(test)


def test_a_watch_that_lasted_is_followed_at_once_though_it_brought_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.SHORT", 0.0)
    monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.FIRST_WAIT", 10 * LIMIT)

    async def test() -> None:
        async with watching() as (server, _):
            for number in range(1, 5):
                await server.wait(lambda number=number: server.watches == number)
                server.end_watches()

    run(test)


def test_a_broken_line_and_other_errors_do_not_end_the_watch() -> None:
    async def test() -> None:
        async with watching() as (server, seen):
            faults = (
                b"{broken\n",
                b'{"type": "\xff"}\n',
                b'{"type": "ERROR", "object": {"code": 500, "message": "x"}}\n',
            )
            for number, fault in enumerate(faults, 1):
                await server.wait(lambda number=number: server.watches == number)
                server.tell_raw(COLLECTION, fault)
            await server.wait(lambda: server.watches == 4)
            server.put(COLLECTION, route("after"))
            await seen.until(lambda: seen.words()[-1] == "after")

    run(test)


def test_an_error_is_no_empty_list() -> None:
    async def test() -> None:
        def prepare(server: ApiServer) -> None:
            server.refuse_lists = 2
            server.put(COLLECTION, route("a"))

        async with watching(prepare=prepare) as (server, seen):
            await seen.until(lambda: "done" in seen.words())
            assert len(server.lists) == 3
            # Each failed list began anew; only the one that was complete replaces anything.
            assert seen.words() == ["init", "init", "init", "a", "done"]
            assert any(code == "watch_failed" for code, _ in seen.complaints)

    run(test)


LOGIN = b"<html>Please log in</html>"
PAGES = [LOGIN, b'{"error": "log in"}', b"[]", b'{"metadata": 7}', b"\xff", b""]


@pytest.mark.parametrize("page", PAGES)
def test_an_answer_of_something_before_the_api_server_is_an_error(monkeypatch: pytest.MonkeyPatch, page: bytes) -> None:
    monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.FIRST_WAIT", 1.0)

    async def test() -> None:
        def prepare(server: ApiServer) -> None:
            server.page_before = page
            server.put(COLLECTION, route("a"))

        async with watching(prepare=prepare) as (server, seen):
            await seen.until(lambda: bool(seen.complaints))
            [(code, message)] = seen.complaints
            assert code == "watch_failed"
            assert "the list of HTTPRoute: the answer is not the API server's" in message
            assert "look for a proxy" in message
            assert seen.words() == ["init"]
            server.page_before = None
            await seen.until(lambda: "done" in seen.words())
            assert seen.words() == ["init", "init", "a", "done"]

    run(test)


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        ("Node", False),
        ("CustomResourceDefinition", False),
        ("TCPRoute", False),
        ("GatewayParameters", False),
        ("HTTPRoute", True),
        ("Secret", True),
        ("BackendTLSPolicy", True),
    ],
)
def test_a_kind_that_may_not_be_read(kind: str, waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ClusterRole older than the program: what it can do without counts as empty, soon; what guards does not."""
    monkeypatch.setattr(watch, "REFUSED_WAIT", 0.3)

    async def test() -> None:
        collection = BY_KIND[kind].collection
        async with watching(kind, lambda server: server.forbidden.add(collection)) as (server, seen):
            await seen.until(lambda: len(seen.complaints) == 3)
            assert {code for code, _ in seen.complaints} == {"watch_refused"}
            assert all("ClusterRole" in message for _, message in seen.complaints)
            assert ("done" in seen.words()) is not waits
            assert ("until then there is none of it" in seen.complaints[-1][1]) is not waits
            server.forbidden.clear()
            await seen.until(lambda: seen.words()[-1] == "done")
            await server.wait(lambda: server.watchers(collection) == 1)

    run(test)


@pytest.mark.parametrize("kind", ["HTTPRoute", "BackendTLSPolicy"])
def test_a_kind_that_may_not_be_read_and_is_not_there(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server says 403 before it says 404: a kind that is not installed keeps nobody waiting."""
    monkeypatch.setattr(watch, "CONFIRM_WAIT", 0.05)

    async def test() -> None:
        collections = {item.collection for item in BY_KIND[kind].versions}

        def prepare(server: ApiServer) -> None:
            server.forbidden |= collections
            server.undiscovered |= collections

        async with watching(kind, prepare) as (server, seen):
            await seen.until(lambda: "done" in seen.words())
            assert [code for code, _ in seen.complaints] == ["kind_missing"]
            assert not server.lists

    run(test)


def test_what_was_read_stays_when_it_may_not_be_read_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "REFUSED_WAIT", 0.0)
    collection = BY_KIND["TCPRoute"].collection

    async def test() -> None:
        async with watching("TCPRoute") as (server, seen):
            await server.wait(lambda: server.watchers(collection) == 1)
            server.forbidden.add(collection)
            server.tell_raw(collection, b'{"type": "ERROR", "object": {"code": 410}}\n')
            await seen.until(lambda: len(seen.complaints) == 2)
            assert seen.words() == ["init", "done", "init", "init"]

    run(test)


def test_kinds_that_the_cluster_does_not_have() -> None:
    async def test() -> None:
        """Nothing waits for them, one that the gateway needs or not; once they are there they are read."""
        for kind in ("ListenerSet", "HTTPRoute", "TCPRoute"):
            missing = {item.collection for item in BY_KIND[kind].versions}
            async with watching(kind, lambda server, missing=missing: server.missing.update(missing)) as (server, seen):
                await seen.until(lambda seen=seen: "done" in seen.words())
                [(code, message)] = seen.complaints
                assert code == "kind_missing"
                assert all(item.version in message for item in BY_KIND[kind].versions)
                assert not server.lists

    run(test)


@pytest.mark.parametrize(("kind", "keeps"), [("GatewayClass", True), ("HTTPRoute", True), ("TCPRoute", False)])
def test_a_kind_that_is_no_longer_served(kind: str, keeps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the gateway cannot do without stays as it was listed, and it is said once which CRD is missing."""
    monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.CONFIRM_WAIT", 0.05)
    monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.MISSING_WAIT", 0.05)
    resource = BY_KIND[kind]
    document = {"metadata": {"name": "a"}, "spec": {"controllerName": "sluicegate.dev/controller"}}

    async def test() -> None:
        def prepare(server: ApiServer) -> None:
            server.put(resource.collection, document if kind == "GatewayClass" else route("a"))

        async with watching(kind, prepare) as (server, seen):
            await server.wait(lambda: server.watchers(resource.collection) == 1)
            server.missing.update(item.collection for item in resource.versions)
            server.end_watches()
            await seen.until(lambda: any(code == "kind_missing" for code, _ in seen.complaints))
            server.missing.clear()
            await server.wait(lambda: server.watchers(resource.collection) == 1)
            server.delete(resource.collection, *(("", "a") if kind == "GatewayClass" else ("default", "a")))
            await seen.until(lambda: seen.words()[-1] == "-a")
            [message] = [message for code, message in seen.complaints if code == "kind_missing"]
            assert (f"{resource.plural}.gateway.networking.k8s.io" in message) == keeps
            told = [word for word in seen.words() if word != "init"]
            assert told == (["a", "done", "a", "done", "-a"] if keeps else ["a", "done", "done", "a", "done", "-a"])

    run(test)


def test_a_kind_that_comes_later_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.MISSING_WAIT", 0.05)
    collection = BY_KIND["UDPRoute"].collection

    async def test() -> None:
        missing = {item.collection for item in BY_KIND["UDPRoute"].versions}
        async with watching("UDPRoute", lambda server: server.missing.update(missing)) as (server, seen):
            await seen.until(lambda: "done" in seen.words())
            server.put(collection, route("late"))
            server.missing.clear()
            await seen.until(lambda: "late" in seen.words())

    run(test)


def test_older_versions_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest one that the cluster serves is read, changes too; when it goes away the others are asked for again."""
    monkeypatch.setattr("sluicegate.controller.sources.kubernetes.watch.CONFIRM_WAIT", 0.05)
    newest, middle, oldest = (item.collection for item in BY_KIND["TLSRoute"].versions)

    async def test() -> None:
        def prepare(server: ApiServer) -> None:
            server.missing.update({newest, middle})
            server.put(oldest, route("old"))

        async with watching("TLSRoute", prepare) as (server, seen):
            await seen.until(lambda: "old" in seen.words())
            [(code, message)] = seen.complaints
            assert code == "kind_older"
            assert "v1alpha2" in message
            await server.wait(lambda: server.watchers(oldest) == 1)
            server.put(oldest, route("next"))
            await seen.until(lambda: "next" in seen.words())
            server.put(newest, route("new"))
            server.missing = {oldest}
            server.end_watches()
            await seen.until(lambda: "new" in seen.words())
            assert seen.words()[-3:] == ["init", "new", "done"]

    run(test)


def test_an_older_version_where_the_newest_is_not_served() -> None:
    async def test() -> None:
        bundle = {"metadata": {"name": "example.com:signer:roots"}, "spec": {"trustBundle": "pem"}}
        beta = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles"
        every = {
            f"/apis/certificates.k8s.io/{version}/clustertrustbundles" for version in ("v1", "v1beta1", "v1alpha1")
        }

        def prepare(server: ApiServer) -> None:
            server.missing |= every - {beta}
            server.put(beta, bundle)

        async with watching("ClusterTrustBundle", prepare) as (server, seen):
            await seen.until(lambda: "done" in seen.words())
            assert seen.words()[-2:] == ["example.com:signer:roots", "done"]
            assert not seen.complaints
            await server.wait(lambda: server.watchers(beta) == 1)
        async with watching("ClusterTrustBundle", lambda server: server.missing.update(every)) as (_, seen):
            await seen.until(lambda: "done" in seen.words())
            [(code, message)] = seen.complaints
            assert code == "kind_missing"
            assert "certificates.k8s.io/v1 or certificates.k8s.io/v1beta1 or certificates.k8s.io/v1alpha1" in message

    run(test)


def test_an_object_that_cannot_be_read_costs_itself_only() -> None:
    async def test() -> None:
        def prepare(server: ApiServer) -> None:
            server.put(COLLECTION, {"metadata": {"name": "bad", "namespace": "default"}, "spec": {"rules": 7}})
            server.put(COLLECTION, route("good"))

        async with watching(prepare=prepare) as (_, seen):
            await seen.until(lambda: "done" in seen.words())
            assert seen.words() == ["init", "keep", "good", "done"]
            assert seen.complaints[0][0] == "object_unreadable"
            assert seen.about == ["HTTPRoute/default/bad"]

    run(test)


def test_the_connection_of_a_watch_is_probed() -> None:
    """A half-open connection is found out by the kernel, long before the limit of silence."""

    async def test() -> None:
        server = ApiServer()
        await server.start()
        configuration = Configuration()
        configuration.host = server.url
        query = {"watch": "1", "resourceVersion": "100"}
        try:
            async with Client(configuration) as client, client.stream(COLLECTION, query, read_limit=LIMIT) as stream:
                transport = stream._protocol.transport
                assert transport is not None
                found = transport.get_extra_info("socket")
                assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                for name, value in PROBES.items():
                    assert found.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value
        finally:
            await server.stop()

    asyncio.run(test())
