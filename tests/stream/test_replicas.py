"""How many pods share budgets: said to each, never before it is known; who is away counts for a while."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stream_support import PLANE, Plane, Side, following, serving, simple

from sluicegate import ir
from sluicegate.controller.stream.plane import REPLICAS
from sluicegate.controller.stream.transport import ServerTimes

NAME = "/".join(PLANE)


def pods_of(plane: Plane) -> int:
    """What a pod was told; 0: nothing."""
    found = plane.holdings.tables[REPLICAS].get(NAME)
    return 0 if found is None else ir.decode(plane.holdings.everything().transaction(1)).upsert.replicas[0].pods


async def told(plane: Plane, pods: int) -> None:
    await plane.engine.until(lambda: pods_of(plane) == pods)


async def settle(side: Side) -> None:
    """The time for data planes to come is over."""
    await side.server._settle(0)


def test_pods_are_counted_as_they_come_and_go(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a"), times=ServerTimes(keep=0.05)) as side:
            one, two = Plane(tmp_path / "one", side), Plane(tmp_path / "two", side, token="second-pod")
            async with following(one):
                await one.engine.until(lambda: len(one.engine.changes) == 1)
                assert pods_of(one) == 0
                await settle(side)
                await told(one, 1)
                async with following(two):
                    await told(two, 2)
                    await told(one, 2)
                await told(one, 1)

    asyncio.run(run())


def test_a_new_leader_says_nothing_before_it_knows(tmp_path: Path) -> None:
    """Pods that share a budget go on doing so while they come to another controller one by one."""

    async def run() -> None:
        async with serving(*simple("a")) as side:
            before, two = Plane(tmp_path / "one", side), Plane(tmp_path / "two", side, token="second-pod")
            async with following(before), following(two):
                await before.engine.until(lambda: len(before.engine.changes) == 1)
                await two.engine.until(lambda: len(two.engine.changes) == 1)
                await settle(side)
                await told(before, 2)
        async with serving(*simple("a", "b")) as side:
            one = Plane(tmp_path / "one", side)
            one.holdings.tables.update(before.holdings.tables)
            async with following(one):
                await one.engine.until(lambda: len(one.engine.names("http_rules")) == 2)
                assert pods_of(one) == 2
                await settle(side)
                await told(one, 1)

    asyncio.run(run())
