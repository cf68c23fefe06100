"""The reference proxy with the benchmark's routes: `python -m benches.proxy.reference PORT BACKEND`."""

from __future__ import annotations

import asyncio
import sys

from benches.proxy.peers.site import ADDRESS, prefixes
from sluicegate import ir, reference
from sluicegate.reference.proxy import Proxy


async def main(port: int, backend: int) -> None:
    listener = ir.Listener(id="l", gateway="g", port=port, bind_port=port, protocol=ir.ListenerProtocol.HTTP)
    rules = tuple(
        ir.HttpRule(
            id=f"HTTPRoute/default/route-{number}/0",
            route=f"HTTPRoute/default/route-{number}",
            index=0,
            listeners=("l",),
            hostnames=(host,),
            matches=(ir.Match(path=ir.PathPrefix(value=prefix)),),
            backends=(ir.WeightedBackend(backend="default/app:80", weight=1),),
        )
        for number, (host, prefix) in enumerate(prefixes())
    )
    endpoint = ir.Endpoint(
        id=f"default/app:80@{ADDRESS}:{backend}", backend="default/app:80", address=ADDRESS, port=backend
    )
    resources = ir.Resources(
        listeners=(listener,), http_rules=rules, backends=(ir.Backend(id="default/app:80"),), endpoints=(endpoint,)
    )
    table = reference.compile(ir.Transaction(version=ir.VERSION, generation=1, full=True, upsert=resources))
    server = await Proxy(table, port).start(ADDRESS, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
