"""The way out of a gateway without a balancer in front."""

from __future__ import annotations

from ..serving_engine import Drain
from ..settings import Settings

#: Seconds after SIGTERM in which new connections are still taken, as long as any is open. Clients that say nothing cost
#: 2 s more (`IDLE_GRACE` of the engine).
SETTLE = 1.0


def drain_of(settings: Settings) -> Drain:
    """All within the time of `--drain`: a laptop's Ctrl-C should not take longer."""
    return Drain(min(SETTLE, settings.drain), settings.drain, settings.drain, always=False)
