"""Leader election: one leads, another takes over when the lease is given back, or not renewed in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from api_server import ApiServer

from sluicegate.controller import caught
from sluicegate.controller.leader import lease
from sluicegate.controller.leader.lease import Election
from sluicegate.controller.sources.kubernetes.access import Configuration
from sluicegate.controller.sources.kubernetes.client import ApiError, Client

LEASES = "/apis/coordination.k8s.io/v1/namespaces/system/leases"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RETRY", 0.02)


class Half(Client):
    """A client whose connections may be half-open: what it sends is lost, and nobody tells it."""

    lost = False

    async def request(self, method: str, path: str, *, limit: float = 0.0, **given: Any) -> bytes:
        if self.lost:
            await asyncio.sleep(limit)
            raise ApiError(0, f"{method} {path}: no answer in time")
        return await super().request(method, path, limit=limit, **given)


class Candidates:
    """The candidates `one` and `two`, each with a client of its own, and what they told in order."""

    def __init__(self, server: ApiServer, clients: dict[str, Half]) -> None:
        self.server = server
        self.clients = clients
        self.told: list[tuple[str, bool]] = []
        self.elections = {
            name: Election(client, "system", "lease", name, lambda leads, name=name: self.told.append((name, leads)))
            for name, client in clients.items()
        }
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, ready: asyncio.Event | None = None) -> None:
        self.tasks[name] = asyncio.create_task(self.elections[name].run(ready))

    async def end(self, *names: str) -> None:
        tasks = [self.tasks.pop(name) for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def until_told(self, name: str, leads: bool = True) -> None:
        await self.server.wait(lambda: (name, leads) in self.told)

    async def rounds(self, count: int) -> None:
        """Wait until the Lease was written so often."""
        version = self.server.version
        await self.server.wait(lambda: self.server.version >= version + count)

    @property
    def spec(self) -> dict[str, Any]:
        return self.server.objects[LEASES]["", "lease"]["spec"]


@asynccontextmanager
async def candidates(page_before: bytes | None = None) -> AsyncIterator[Candidates]:
    server = ApiServer()
    server.page_before = page_before
    await server.start()
    configuration = Configuration()
    configuration.host = server.url
    async with Half(configuration) as one, Half(configuration) as two:
        made = Candidates(server, {"one": one, "two": two})
        try:
            yield made
        finally:
            await made.end(*made.tasks)
    await server.stop()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_one_leads_and_gives_the_lease_back() -> None:
    async def test() -> None:
        async with candidates() as it:
            it.start("one")
            await it.until_told("one")
            it.start("two")
            await it.rounds(3)
            assert it.told == [("one", True)]
            assert it.spec["holderIdentity"] == "one"
            await it.end("one")
            await it.elections["one"].release()
            assert it.told[-1] == ("one", False)
            await it.until_told("two")
            assert it.spec["leaseTransitions"] == 1
            acquired = it.spec["acquireTime"]
            await it.rounds(2)
            assert it.spec["acquireTime"] == acquired

    run(test())


def test_an_answer_of_something_before_the_api_server_ends_no_candidate() -> None:
    async def test() -> None:
        async with candidates(b"<html>Please log in</html>") as it:
            it.start("one")
            await it.server.wait(lambda: it.server.requests >= 3)
            assert not it.told
            it.server.page_before = None
            await it.until_told("one")

    run(test())


def test_what_was_given_back_is_not_taken_again() -> None:
    """A process drains for a while after it gave the Lease back; and who is not ready is no candidate."""

    async def test() -> None:
        async with candidates() as it:
            ready = asyncio.Event()
            it.start("one")
            await it.until_told("one")
            it.start("two", ready)
            await it.elections["one"].release()
            asked = it.server.lease_reads
            await it.server.wait(lambda: it.server.lease_reads >= asked + 3)
            assert it.told == [("one", True), ("one", False)]
            ready.set()
            await it.until_told("two")
            assert it.told == [("one", True), ("one", False), ("two", True)]

    run(test())


def test_two_never_lead_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that nobody hears stops before another begins, whatever it waits for."""
    # A request takes longer than all the rest: what ends leading is the clock.
    for name, value in {"DURATION": 1, "DEADLINE": 0.5, "RETRY": 0.05, "REQUEST": 5.0}.items():
        monkeypatch.setattr(lease, name, value)

    async def test() -> None:
        async with candidates() as it:
            it.start("one")
            await it.until_told("one")
            it.start("two")
            await it.rounds(3)
            it.clients["one"].lost = True
            await it.until_told("two")
            assert it.told == [("one", True), ("one", False), ("two", True)]

    run(test())


def test_a_conflict_does_not_end_leading() -> None:
    """Somebody labelled the Lease: the next try sees that it is still ours."""

    async def test() -> None:
        async with candidates() as it:
            it.start("one")
            await it.until_told("one")
            it.server.put_conflicts = 1
            await it.server.wait(lambda: not it.server.put_conflicts)
            await it.rounds(2)
            assert it.told == [("one", True)]

    run(test())


def test_a_request_ends_at_its_limit() -> None:
    """The other side takes the connection and says nothing."""

    async def test() -> None:
        silent = await asyncio.start_server(lambda _reader, _writer: asyncio.Event().wait(), "127.0.0.1", 0)
        configuration = Configuration()
        configuration.host = "http://{}:{}".format(*silent.sockets[0].getsockname())
        async with Client(configuration) as client:
            with pytest.raises(ApiError) as refused:
                await asyncio.wait_for(client.get("/version", limit=0.1), 5.0)
        assert refused.value.status == 0
        silent.close()

    run(test())


def test_a_fault_of_ours_is_told_and_costs_one_try() -> None:
    """A gateway whose election fails must serve on: the process ended with the task."""

    class Odd(Client):
        faults = 2

        async def request(self, method: str, path: str, **given: Any) -> bytes:
            if self.faults:
                self.faults -= 1
                raise KeyError("odd")
            return await super().request(method, path, **given)

    async def scenario() -> None:
        server = ApiServer()
        await server.start()
        told: list[tuple[str, str]] = []
        leads = asyncio.Event()
        before = caught.counts().get("write", 0)
        async with Odd(Configuration(host=server.url)) as client:
            election = Election(
                client, "system", "lease", "one", lambda _: leads.set(), lambda *what: told.append(what)
            )
            task = asyncio.create_task(election.run())
            await asyncio.wait_for(leads.wait(), 10)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await election.release()
        await server.stop()
        assert [code for code, _ in told] == ["fault", "fault"]
        assert "KeyError: 'odd'" in told[0][1]
        assert caught.counts()["write"] == before + 2

    asyncio.run(scenario())
