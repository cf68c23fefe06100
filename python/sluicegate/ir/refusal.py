"""What the engine says of a transaction that it does not take (`native/py/src/engine.rs`, `Refused`)."""

from __future__ import annotations

import msgspec

__all__ = [
    "Refusal",
    "RefusedError",
]


class Refusal(msgspec.Struct, frozen=True):
    """Why the engine refuses a resource, and with it the transaction."""

    kind: str
    id: str
    reason: str


class RefusedError(Exception):
    """The engine does not take a transaction; `reasons` says what of it."""

    def __init__(self, reasons: tuple[Refusal, ...]) -> None:
        super().__init__("; ".join(f"{item.kind} {item.id}: {item.reason}" for item in reasons))
        self.reasons = reasons
