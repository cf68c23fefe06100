"""Leader election: one leads, another takes over when the lease is given back, or not renewed in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from api_server import ApiServer
from kubernetes.aio.client import Configuration

from sluicegate.controller.kube import lease
from sluicegate.controller.kube.client import ApiError, Client
from sluicegate.controller.kube.lease import Election

LEASES = "/apis/coordination.k8s.io/v1/namespaces/system/leases"


def test_one_leads_and_gives_the_lease_back(monkeypatch) -> None:
    monkeypatch.setattr(lease, "RETRY", 0.02)

    async def test() -> None:
        server = ApiServer()
        await server.start()
        configuration = Configuration()
        configuration.host = server.url
        leading: dict[str, bool] = {}
        async with Client(configuration) as client:
            candidates = {
                name: Election(client, "system", "lease", name, lambda leads, name=name: leading.update({name: leads}))
                for name in ("one", "two")
            }
            first = asyncio.create_task(candidates["one"].run())
            await server.wait(lambda: leading.get("one"))
            second = asyncio.create_task(candidates["two"].run())
            version = server.version
            await server.wait(lambda: server.version >= version + 3)
            assert leading == {"one": True}
            assert server.objects[LEASES]["", "lease"]["spec"]["holderIdentity"] == "one"
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await candidates["one"].release()
            assert leading["one"] is False
            await server.wait(lambda: leading.get("two"))
            assert server.objects[LEASES]["", "lease"]["spec"]["leaseTransitions"] == 1
            acquired = server.objects[LEASES]["", "lease"]["spec"]["acquireTime"]
            version = server.version
            await server.wait(lambda: server.version >= version + 2)
            assert server.objects[LEASES]["", "lease"]["spec"]["acquireTime"] == acquired
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
        await server.stop()

    asyncio.run(test())


def test_an_answer_of_something_before_the_api_server_ends_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RETRY", 0.02)

    async def test() -> None:
        server = ApiServer()
        server.page_before = b"<html>Please log in</html>"
        await server.start()
        configuration = Configuration()
        configuration.host = server.url
        leading: list[bool] = []
        async with Client(configuration) as client:
            candidate = asyncio.create_task(Election(client, "system", "lease", "one", leading.append).run())
            await server.wait(lambda: server.requests >= 3)
            assert not leading
            server.page_before = None
            await server.wait(lambda: leading == [True])
            candidate.cancel()
            await asyncio.gather(candidate, return_exceptions=True)
        await server.stop()

    asyncio.run(test())


def test_what_was_given_back_is_not_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process drains for a while after it gave the Lease back; and who is not ready is no candidate."""
    monkeypatch.setattr(lease, "RETRY", 0.02)

    async def test() -> None:
        server = ApiServer()
        await server.start()
        configuration = Configuration()
        configuration.host = server.url
        told: list[tuple[str, bool]] = []
        async with Client(configuration) as client:
            candidates = {
                name: Election(client, "system", "lease", name, lambda leads, name=name: told.append((name, leads)))
                for name in ("one", "two")
            }
            ready = asyncio.Event()
            tasks = [asyncio.create_task(candidates["one"].run())]
            await server.wait(lambda: told)
            tasks.append(asyncio.create_task(candidates["two"].run(ready)))
            await candidates["one"].release()
            asked = server.lease_reads
            await server.wait(lambda: server.lease_reads >= asked + 3)
            assert told == [("one", True), ("one", False)]
            ready.set()
            await server.wait(lambda: told[2:] == [("two", True)])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await server.stop()

    asyncio.run(test())


class Unheard(Client):
    """A client whose connections may be half-open: what it sends is lost, and nobody tells it."""

    lost = False

    async def request(self, method: str, path: str, *, limit: float = 0.0, **given: Any) -> bytes:
        if self.lost:
            await asyncio.sleep(limit)
            raise ApiError(0, f"{method} {path}: no answer in time")
        return await super().request(method, path, limit=limit, **given)


def test_two_never_lead_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that nobody hears stops before another begins, whatever it waits for."""
    # A request takes longer than all the rest: what ends leading is the clock.
    for name, value in {"DURATION": 1, "DEADLINE": 0.5, "RETRY": 0.05, "REQUEST": 5.0}.items():
        monkeypatch.setattr(lease, name, value)

    async def test() -> None:
        server = ApiServer()
        await server.start()
        configuration = Configuration()
        configuration.host = server.url
        told: list[tuple[str, bool]] = []
        async with Unheard(configuration) as one, Client(configuration) as two:
            candidates = {
                name: Election(client, "system", "lease", name, lambda leads, name=name: told.append((name, leads)))
                for name, client in {"one": one, "two": two}.items()
            }
            tasks = [asyncio.create_task(candidates["one"].run())]
            await server.wait(lambda: ("one", True) in told)
            tasks.append(asyncio.create_task(candidates["two"].run()))
            version = server.version
            await server.wait(lambda: server.version >= version + 3)
            one.lost = True
            await server.wait(lambda: ("two", True) in told)
            assert told == [("one", True), ("one", False), ("two", True)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await server.stop()

    asyncio.run(test())


def test_a_conflict_does_not_end_leading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody labelled the Lease: the next try sees that it is still ours."""
    monkeypatch.setattr(lease, "RETRY", 0.02)

    async def test() -> None:
        server = ApiServer()
        await server.start()
        configuration = Configuration()
        configuration.host = server.url
        told: list[bool] = []
        async with Client(configuration) as client:
            task = asyncio.create_task(Election(client, "system", "lease", "one", told.append).run())
            await server.wait(lambda: told)
            server.put_conflicts = 1
            await server.wait(lambda: not server.put_conflicts)
            version = server.version
            await server.wait(lambda: server.version >= version + 2)
            assert told == [True]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await server.stop()

    asyncio.run(test())


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

    asyncio.run(test())
