"""What the engine says of a transaction that it took, listener by listener (`native/py/src/engine.rs`)."""

from __future__ import annotations

import msgspec

__all__ = [
    "BindError",
    "ListenerReport",
]


class BindError(msgspec.Struct, frozen=True):
    """Why a listener could not be bound: a stable code, the system's message, what helps."""

    code: str
    message: str
    hint: str = ""


class ListenerReport(msgspec.Struct, frozen=True):
    """What became of one listener: the sockets that are bound (`address:port`), and an error if any failed."""

    id: str
    bound: tuple[str, ...] = ()
    error: BindError | None = None
