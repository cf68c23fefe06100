"""Leader election: one leads, another takes over when the lease is given back."""

from __future__ import annotations

import asyncio

from api_server import ApiServer
from kubernetes.aio.client import Configuration

from sluicegate.controller.kube import lease
from sluicegate.controller.kube.client import Client
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
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
        await server.stop()

    asyncio.run(test())
