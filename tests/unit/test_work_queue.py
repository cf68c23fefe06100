"""The queue of a leader: each item once at a time, again when it was pushed meanwhile, nothing after `stop`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from controller.leader.queue import WorkQueue

#: Seconds for what takes a turn of the loop.
SOON = 5.0


class Worker:
    """Begins items, and ends each when the test says so."""

    def __init__(self) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()

    async def work(self, item: str) -> None:
        gate = self._gates[item] = asyncio.Event()
        self.begun.append(item)
        self._changed.set()
        await gate.wait()
        if item == "bad":
            raise ValueError(item)
        self.ended.append(item)

    def failed(self, item: str, error: Exception) -> None:
        self.failures.append((item, repr(error)))

    def end(self, item: str) -> None:
        self._gates.pop(item).set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


def run(scene: Callable[[Worker], Coroutine[Any, Any, None]], workers: int = 2) -> Worker:
    """Run a scene beside a queue that works."""

    async def whole() -> Worker:
        worker = Worker()
        task = asyncio.ensure_future(worker.queue.run(workers, worker.work, worker.failed))
        try:
            await scene(worker)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return worker

    return asyncio.run(whole())


def test_an_item_that_is_pushed_while_it_is_worked_on_gets_another_turn_and_never_two_at_once() -> None:
    async def scene(worker: Worker) -> None:
        worker.queue.push("a")
        await worker.until(lambda: worker.begun == ["a"])
        worker.queue.push("a")
        worker.queue.push("a")
        worker.queue.push("b")
        await worker.until(lambda: worker.begun == ["a", "b"])
        assert len(worker.queue) == 3, "two that are worked on, and one that waits"
        worker.end("a")
        await worker.until(lambda: worker.begun == ["a", "b", "a"])
        worker.end("b")
        worker.end("a")
        async with asyncio.timeout(SOON):
            await worker.queue.settled.wait()
        assert sorted(worker.ended) == ["a", "a", "b"]
        assert len(worker.queue) == 0

    run(scene)


def test_one_that_fails_stops_no_other() -> None:
    async def scene(worker: Worker) -> None:
        worker.queue.push("bad")
        worker.queue.push("good")
        await worker.until(lambda: worker.begun == ["bad"])
        worker.end("bad")
        await worker.until(lambda: worker.begun == ["bad", "good"])
        worker.end("good")
        async with asyncio.timeout(SOON):
            await worker.queue.settled.wait()

    worker = run(scene, workers=1)
    assert worker.failures == [("bad", "ValueError('bad')")]
    assert worker.ended == ["good"]


def test_what_waits_and_what_is_under_way_ends_with_the_leadership() -> None:
    async def scene(worker: Worker) -> None:
        worker.queue.push("a")
        worker.queue.push("b")
        await worker.until(lambda: worker.begun == ["a"])
        assert not worker.queue.settled.is_set()
        worker.queue.stop()
        async with asyncio.timeout(SOON):
            await worker.queue.settled.wait()
        assert worker.ended == []
        worker.queue.push("c")
        await worker.until(lambda: worker.begun == ["a", "c"])
        worker.end("c")
        async with asyncio.timeout(SOON):
            await worker.queue.settled.wait()
        assert worker.ended == ["c"]

    run(scene, workers=1)


def test_an_item_that_is_gone_waits_no_more() -> None:
    async def scene(worker: Worker) -> None:
        worker.queue.push("a")
        worker.queue.push("b")
        worker.queue.drop("a")
        worker.queue.drop("b")
        assert worker.queue.settled.is_set()
        assert len(worker.queue) == 0

    assert run(scene).begun == []
