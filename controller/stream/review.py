"""Who a data plane is: its ServiceAccount token, looked at by the API server (TokenReview) for our audience.

Only tokens that are bound to a pod are taken: they end with the pod. What the API server said is kept for a short time
and for a bounded number of tokens (by digest, never the token); few questions are asked at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from typing import NamedTuple, Protocol

import msgspec

from ..sources.kubernetes.client import ApiError, decoded
from ..sources.kubernetes.resources import BY_KIND
from .protocol import AUDIENCE

_RESOURCE = BY_KIND["TokenReview"]
#: Seconds that an answer counts: a good one, and a refusal.
KEEP, KEEP_REFUSAL = 30.0, 10.0
#: Answers that are kept. Stops memory exhaustion by ever new tokens.
MAX_KEPT = 4_096
#: Questions at once, and callers that wait for their turn. Stops a flood of the API server.
MAX_ASKED, MAX_WAITING = 8, 256
#: Characters of a token.
MAX_TOKEN = 12 * 1024

_PREFIX = "system:serviceaccount:"
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"


class Caller(NamedTuple):
    """Who shows a token: a pod, running under a ServiceAccount."""

    namespace: str
    service_account: str
    pod: str
    pod_uid: str


class RefusedTokenError(Exception):
    """The token is not one of a pod for our audience; nobody is told more."""


class BusyError(Exception):
    """The token could not be looked at: the API server does not answer, or too many ask."""


class Requests(Protocol):
    """The part of `Client` that is needed."""

    async def request(self, method: str, path: str, *, body: dict[str, object] | None = None) -> bytes:
        """Ask the API server."""


class _User(msgspec.Struct):
    username: str = ""
    extra: dict[str, list[str]] = {}


class _Status(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)
    audiences: list[str] = []


class _TokenReview(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


class Reviewer:
    """Looks at tokens."""

    def __init__(self, client: Requests) -> None:
        """Ask this API server."""
        self._client = client
        self._kept: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()
        self._turn = asyncio.Semaphore(MAX_ASKED)
        self._waiting = 0

    async def review(self, token: str) -> Caller:
        """Say who shows a token.

        Raises:
            RefusedTokenError: nobody that we know.
            BusyError: it is not known now.
        """
        if not token or len(token) > MAX_TOKEN:
            raise RefusedTokenError
        digest = hashlib.sha256(token.encode()).digest()
        if digest not in self._kept or self._kept[digest][0] < time.monotonic():
            if self._waiting >= MAX_WAITING:
                raise BusyError("too many callers")
            self._waiting += 1
            try:
                async with self._turn:
                    caller = await self._ask(token)
            finally:
                self._waiting -= 1
            self._keep(digest, caller)
        found = self._kept[digest][1]
        if found is None:
            raise RefusedTokenError
        return found

    def _keep(self, digest: bytes, caller: Caller | None) -> None:
        until = time.monotonic() + (KEEP if caller is not None else KEEP_REFUSAL)
        self._kept[digest] = (until, caller)
        self._kept.move_to_end(digest)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def _ask(self, token: str) -> Caller | None:
        body: dict[str, object] = {
            "apiVersion": _RESOURCE.version,
            "kind": _RESOURCE.kind,
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        try:
            answer = await self._client.request("POST", _RESOURCE.collection, body=body)
            status = decoded(answer, _TokenReview, "a TokenReview").status
        except ApiError as error:
            raise BusyError(f"a token cannot be reviewed: {error}") from None
        return _caller(status)


def _caller(status: _Status) -> Caller | None:
    # An API server that does not know of audiences names none: its answer says nothing about ours.
    if not status.authenticated or AUDIENCE not in status.audiences:
        return None
    namespace, _, name = status.user.username.removeprefix(_PREFIX).partition(":")
    pods, uids = status.user.extra.get(_POD_NAME, []), status.user.extra.get(_POD_UID, [])
    if not status.user.username.startswith(_PREFIX) or not name or len(pods) != 1 or len(uids) != 1:
        return None
    return Caller(namespace, name, pods[0], uids[0])
