"""The way out of a standalone gateway."""

from __future__ import annotations

from sluicegate.engine.native import Engine
from sluicegate.processes.settings import Settings

from .report import Reporter

#: Seconds after SIGTERM in which new connections are still taken, as long as any is open: readiness has just failed,
#: and who was asked to go comes back on a new one. Clients that say nothing cost 2 s more
#: (`IDLE_GRACE` of the engine).
SETTLE = 1.0


async def leave(engine: Engine, settings: Settings, reporter: Reporter) -> None:
    """Drain; returns when all connections have ended, or the time for them is over."""
    settle = min(SETTLE, settings.drain)
    text = f"draining: new connections for up to {settle:g} s more, up to {settings.drain:g} s for open requests"
    reporter.information(text, "draining")
    ended = await engine.drain_async(settings.drain, settle, settle_alone=False)
    reporter.information("stopped" if ended else "stopped; the rest of the connections was closed", "stopped")
