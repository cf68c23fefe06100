"""Who a data plane is: its ServiceAccount token, looked at by the API server (TokenReview) for our audience.

Only tokens that are bound to a pod are taken: they end with the pod. What the API server said is kept for a short time
and for a bounded number of tokens (by digest, never the token): refusals apart from the others, which no flood of them
can push out. Few questions are asked at once, and one peer asks few of them: a pod that floods waits for itself, while
a new data plane has its turn.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import msgspec

from ..sources.kubernetes.client import ApiError, decoded
from ..sources.kubernetes.resources import BY_KIND
from .protocol import AUDIENCE

_RESOURCE = BY_KIND["TokenReview"]
#: Seconds that an answer counts: a good one, and a refusal.
KEEP, KEEP_REFUSAL = 30.0, 10.0
#: Good answers, and refusals, that are kept. Stops memory exhaustion by ever new tokens.
MAX_KEPT, MAX_REFUSALS = 4_096, 4_096
#: Questions at once, callers that wait for their turn, and addresses that these come from; the first one of an address
#: waits however many others do. Stops a flood of the API server.
MAX_ASKED, MAX_WAITING, MAX_PEERS = 8, 256, 1_024
#: The same of one address, which the data planes of a node may share. Stops one pod that keeps all others waiting.
MAX_ASKED_OF_PEER, MAX_WAITING_OF_PEER = 2, 16
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


class _Answers:
    """What the API server said of tokens, for a while; of too many the oldest is forgotten."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._kept: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept)

    def find(self, digest: bytes) -> tuple[Caller | None] | None:
        """The answer; None where there is none, or it is too old."""
        found = self._kept.get(digest)
        return (found[1],) if found is not None and found[0] >= time.monotonic() else None

    def keep(self, digest: bytes, caller: Caller | None) -> None:
        self._kept[digest] = (time.monotonic() + self._seconds, caller)
        self._kept.move_to_end(digest)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        self._kept.pop(digest, None)


class _Peer:
    """The callers of one address that wait; known only as long as there are some."""

    def __init__(self) -> None:
        self.turn = asyncio.Semaphore(MAX_ASKED_OF_PEER)
        self.waiting = 0


class Reviewer:
    """Looks at tokens."""

    def __init__(self, client: Requests) -> None:
        """Ask this API server."""
        self._client = client
        self._good = _Answers(KEEP, MAX_KEPT)
        self._refused = _Answers(KEEP_REFUSAL, MAX_REFUSALS)
        self._turn = asyncio.Semaphore(MAX_ASKED)
        self._waiting = 0
        self._peers: dict[str, _Peer] = {}

    async def review(self, token: str, peer: str) -> Caller:
        """Say who shows a token.

        Args:
            token: as it was shown.
            peer: the address that it came from.

        Raises:
            RefusedTokenError: nobody that we know.
            BusyError: it is not known now.
        """
        if not token or len(token) > MAX_TOKEN:
            raise RefusedTokenError
        digest = hashlib.sha256(token.encode()).digest()
        known = self._good.find(digest) or self._refused.find(digest)
        caller = known[0] if known is not None else await self._look(token, digest, peer)
        if caller is None:
            raise RefusedTokenError
        return caller

    async def _look(self, token: str, digest: bytes, peer: str) -> Caller | None:
        """Ask once it is the turn of the peer, and then of all: who waits for its own peer is in nobody's way."""
        own = self._peers.get(peer) or _Peer()
        if own.waiting >= MAX_WAITING_OF_PEER or (own.waiting and self._waiting >= MAX_WAITING):
            raise BusyError(f"too many callers at {peer}")
        if len(self._peers) >= MAX_PEERS and not own.waiting:
            raise BusyError("too many callers")
        self._peers[peer] = own
        own.waiting += 1
        self._waiting += 1
        try:
            async with own.turn, self._turn:
                caller = await self._ask(token)
        finally:
            own.waiting -= 1
            self._waiting -= 1
            if not own.waiting:
                del self._peers[peer]
        kept, other = (self._good, self._refused) if caller is not None else (self._refused, self._good)
        kept.keep(digest, caller)
        other.forget(digest)
        return caller

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
