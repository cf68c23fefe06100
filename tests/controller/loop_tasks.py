"""The jobs of a control loop without a process around them: the first exception ends all."""

from __future__ import annotations

import asyncio

from sluicegate.processes.loop import Loop


async def run(loop: Loop) -> None:
    """Run until cancelled."""
    await asyncio.gather(*(job.run() for job in loop.jobs()))
