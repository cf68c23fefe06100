"""Jobs of a process: what one raises is told and counted, and it begins again, later each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sluicegate.controller import caught
from sluicegate.observe.log import Log
from sluicegate.processes import job as job_module
from sluicegate.processes.job import Job, Jobs

LIMIT = 30.0


class Told(Log):
    """A log that keeps what is told."""

    def __init__(self) -> None:
        super().__init__("text")
        self.messages: list[str] = []

    def warning(self, code: str, message: str, **fields: object) -> None:
        self.messages.append(message)


def run(scenario: Callable[[Jobs, Told], Coroutine[Any, Any, None]]) -> None:
    async def all_of_it() -> None:
        told = Told()
        jobs = Jobs(told)
        try:
            await asyncio.wait_for(scenario(jobs, told), LIMIT)
        finally:
            await jobs.end()

    asyncio.run(all_of_it())


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits before a job begins again, which take no time."""
    found: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        found.append(seconds)
        await real(0)

    monkeypatch.setattr(job_module.asyncio, "sleep", sleep)
    return found


def test_one_that_raises_begins_again_later_each_time(waits: list[float]) -> None:
    before = caught.counts().get("step", 0)

    async def scenario(jobs: Jobs, told: Told) -> None:
        done, begun = asyncio.Event(), 0

        async def stumble() -> None:
            nonlocal begun
            begun += 1
            if begun <= 9:
                raise KeyError("odd")
            done.set()

        jobs.begin(Job("the thing", stumble))
        await done.wait()
        assert told.messages[0].startswith("the thing: a fault of the gateway (KeyError: 'odd' at test_jobs.py:")
        assert len(told.messages) == 9

    run(scenario)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert caught.counts()["step"] == before + 9


def test_others_go_on_and_one_that_returns_is_done(waits: list[float]) -> None:
    async def scenario(jobs: Jobs, told: Told) -> None:
        done = asyncio.Event()

        async def raises() -> None:
            raise OSError(5, "odd")

        async def returns() -> None:
            done.set()

        jobs.begin(Job("raises", raises))
        jobs.begin(Job("returns", returns))
        await done.wait()

    run(scenario)


def test_what_was_cancelled_under_it_is_no_end(waits: list[float]) -> None:
    """A library that cancels a future of its own must not end what follows a cluster."""

    async def scenario(jobs: Jobs, told: Told) -> None:
        done, begun = asyncio.Event(), 0

        async def waiting() -> None:
            nonlocal begun
            begun += 1
            if begun > 1:
                done.set()
                return
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        jobs.begin(Job("waiting", waiting))
        await done.wait()
        assert "CancelledError" in told.messages[0]

    run(scenario)


def test_the_first_of_a_group_is_told(waits: list[float]) -> None:
    async def scenario(jobs: Jobs, told: Told) -> None:
        done, begun = asyncio.Event(), 0

        async def worker() -> None:
            raise KeyError("odd")

        async def workers() -> None:
            nonlocal begun
            begun += 1
            if begun > 1:
                done.set()
                return
            async with asyncio.TaskGroup() as group:
                group.create_task(worker())
                group.create_task(asyncio.Event().wait())

        jobs.begin(Job("workers", workers))
        await done.wait()
        assert "KeyError: 'odd' at test_jobs.py:" in told.messages[0]

    run(scenario)


def test_the_end_waits_for_all() -> None:
    async def scenario(jobs: Jobs, told: Told) -> None:
        begun, ended = asyncio.Event(), False

        async def stays() -> None:
            nonlocal ended
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                ended = True

        jobs.begin(Job("stays", stays))
        await begun.wait()
        await jobs.end()
        assert ended
        assert told.messages == []

    run(scenario)
