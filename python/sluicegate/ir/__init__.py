"""The intermediate representation: what the control plane sends and the engine compiles.

The mirror of `native/route/src/ir`, file by file and field by field; `tests/parity` holds the two together.
Rules of the format:

- A `Transaction` is JSON, UTF-8: flat lists of small resources, each with an `id` unique within its kind. A resource
  points up by id (a rule to its listeners, an endpoint to its backend), so one changed object is one small resource.
  Policies are named by what they hold for.
- `full: true` replaces the whole state; otherwise `remove` and then `upsert` are applied to the state before.
- An unknown field or version refuses the whole transaction. What a default says is left out of the JSON.
- What the engine answers to one that it does not take is a `RefusedError`, else a `ListenerReport` for each listener.
- Secrets travel in a section of their own; `redacted` takes them out, everything else can be shown.

All structs are frozen and made of tuples, so they can be compared, hashed and shared between generations. They hold no
reference cycles, hence `gc=False`: 10,000 rules are then nothing that the garbage collector walks through.
"""

from __future__ import annotations

import msgspec

from . import http, l4, policies, refusal, report, resources
from .base import Base, Unsigned32, Unsigned64

# Each module lists what it offers: a new kind of rule, filter or policy is written there only.
from .http import *  # noqa: F403
from .l4 import *  # noqa: F403
from .policies import *  # noqa: F403
from .refusal import *  # noqa: F403
from .report import *  # noqa: F403
from .resources import *  # noqa: F403
from .resources import Removals, Resources, Secrets

__all__ = ["VERSION", "IrError", "Transaction", "decode", "encode", "redacted"]
__all__ += http.__all__ + l4.__all__ + policies.__all__ + refusal.__all__ + report.__all__ + resources.__all__

#: The format version this build reads and writes. Another number refuses the transaction.
VERSION = 3


class IrError(ValueError):
    """Bytes that are no transaction this build reads; the message names the field and what is wrong with it."""


class Transaction(Base, frozen=True, kw_only=True):
    """One atomic change of configuration; `generation` grows with every transaction of one controller."""

    version: Unsigned32
    generation: Unsigned64
    full: bool = False
    upsert: Resources = Resources()
    secrets: Secrets = Secrets()
    remove: Removals = Removals()


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Transaction)


def encode(transaction: Transaction) -> bytes:
    """The JSON of a transaction, with its secrets."""
    return _ENCODER.encode(transaction)


def decode(data: bytes) -> Transaction:
    """Read the JSON of a transaction.

    Raises:
        IrError: it is no JSON, or a field is unknown, missing or of the wrong type or range, or the version is another.
    """
    try:
        transaction = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"the transaction cannot be read: {error}"
        raise IrError(message) from error
    if transaction.version != VERSION:
        message = (
            f"the transaction has version {transaction.version}, this build reads version {VERSION}: "
            "run the same release of the control plane and the gateway"
        )
        raise IrError(message)
    return transaction


def redacted(transaction: Transaction) -> Transaction:
    """The same transaction without its secrets, fit to be shown."""
    return msgspec.structs.replace(transaction, secrets=Secrets())
