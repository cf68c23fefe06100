"""The keys of session tickets, in a Secret of the controller, and what of them the data planes of each Gateway get.

    Secret: keys, JSON: secrets of 32 bytes (hexadecimal) with the time when they were made, newest first

Rules:
- A Gateway's replicas share keys that are made from these and the Gateway's name: a data plane learns nothing of
  others.
- A new key comes every `ROTATION`, and `KEPT` of them are there: the newest makes tickets, the others are good for
  theirs.
- Only the leader writes. A new leader goes on with what the Secret has; what is too old, or not made yet by the clock,
  is left out. Without keys each pod makes its own: a session is resumed at the pod that began it, and nowhere else.
- To end all sessions, delete the Secret: it is read every `CHECK`.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from sluicegate import ir

from ..api.kinds import TICKETS as SECRET
from ..complain import Complain
from ..sources.kubernetes.client import ApiError, Client, decoded
from ..sources.kubernetes.resources import BY_KIND
from . import own_secret

#: Name of the Secret, and the field in it.
FIELD = "keys"
#: Seconds from a key to the next one; keys that are kept. The engine uses none that is older than both together
#: (`native/core/src/tls/tickets.rs`).
ROTATION, KEPT = 12 * 3_600, 3
#: Bytes of a secret.
LENGTH = 32
#: Seconds by which clocks may differ.
SKEW = 300
#: Seconds between looks at the Secret, and after an error.
CHECK, RETRY = 600.0, 2.0

#: What the keys of a Gateway are made with (HMAC-SHA-256).
_PURPOSE = b"sluicegate session tickets of "


class MasterKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key of the Secret; `created`: seconds since 1970."""

    secret: Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{2 * LENGTH}}}$")]
    created: int

    def __repr__(self) -> str:
        """Without the secret: a representation ends up in logs."""
        return f"MasterKey(created={self.created}, ...)"


MasterKeys = tuple[MasterKey, ...]
_KEYS = msgspec.json.Decoder(MasterKeys)


class TicketsError(ValueError):
    """A Secret that holds no keys; the message says what to do."""


def rotated(keys: MasterKeys, now: int) -> MasterKeys:
    """The keys as they should be at a time (seconds since 1970), newest first; equal ones where nothing is due."""
    alive = [key for key in keys if now - KEPT * ROTATION < key.created <= now + SKEW]
    alive.sort(key=lambda key: key.created, reverse=True)
    if not alive or now - alive[0].created >= ROTATION:
        alive.insert(0, MasterKey(secrets.token_hex(LENGTH), now))
    return tuple(alive[:KEPT])


class SharedKeys:
    """The keys of all Gateways at a time; never changed."""

    def __init__(self, keys: MasterKeys) -> None:
        """Make them from those of the Secret."""
        self._keys = keys

    def of(self, gateway: str) -> ir.SessionTickets:
        """The keys of a Gateway, `<namespace>/<name>`."""
        return ir.SessionTickets(
            id=gateway,
            keys=tuple(
                ir.TicketKey(
                    secret=hmac.digest(bytes.fromhex(key.secret), _PURPOSE + gateway.encode(), "sha256").hex(),
                    created=key.created,
                )
                for key in self._keys
            ),
        )


class TicketKeeper:
    """Keeps the keys in their Secret."""

    def __init__(
        self, client: Client, namespace: str, complain: Complain, changed: Callable[[SharedKeys], None]
    ) -> None:
        """Make one that has read nothing.

        Args:
            client: of the API server.
            namespace: of the Secret.
            complain: takes a code and a message.
            changed: takes the keys, whenever they are others.
        """
        self._client = client
        self._collection = BY_KIND["Secret"].collection_in(namespace)
        self._complain = complain
        self._changed = changed
        self._keys: MasterKeys = ()
        self.tried = asyncio.Event()

    async def load(self) -> None:
        """Read the keys, and make a new one where it is due.

        Raises:
            ApiError: the API server does not let us, or does not answer.
            TicketsError: the Secret holds no keys.
        """
        document, found = await self._read()
        keys = rotated(found, int(time.time()))
        if keys != found:
            await self._write(document, keys)
        if keys != self._keys:
            self._keys = keys
            self._changed(SharedKeys(keys))

    async def run(self) -> None:
        """Keep them loaded and rotated until cancelled; only the leader does. After an attempt `tried` is set."""
        told = ""
        while True:
            pause = CHECK
            try:
                await self.load()
                told = ""
            except (ApiError, TicketsError) as error:
                pause = RETRY
                # Another one was quicker: read again.
                is_race = isinstance(error, ApiError) and error.status == 409
                if not is_race and str(error) != told:
                    told = str(error)
                    text = f"the keys of session tickets: {error}; trying again, each pod has its own meanwhile"
                    self._complain("tickets_failed", text)
            self.tried.set()
            await asyncio.sleep(pause)

    async def _read(self) -> tuple[dict[str, Any], MasterKeys]:
        try:
            answer = await self._client.get(f"{self._collection}/{SECRET}")
            document = decoded(answer, dict[str, Any], f"the Secret {SECRET}")
        except ApiError as error:
            if error.status != 404:
                raise
            return {}, ()
        try:
            return document, _KEYS.decode(base64.b64decode((document.get("data") or {})[FIELD]))
        except (KeyError, TypeError, ValueError):
            text = f"the Secret {SECRET} holds no keys in the field {FIELD}; delete it, and a new one is made"
            raise TicketsError(text) from None

    async def _write(self, document: dict[str, Any], keys: MasterKeys) -> None:
        values = {FIELD: msgspec.json.encode(keys)}
        await own_secret.write(self._client, self._collection, SECRET, document, values)
