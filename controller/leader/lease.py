"""Leader election by a Lease, as client-go does it: whoever renews it leads; it is given back on shutdown.

Two never lead at once, unless somebody deletes the Lease: a leader that cannot renew stops `DEADLINE` after it sent
its last renewal, whatever it waits for at that moment, and the others wait for `DURATION` after they saw that one.

Source: `k8s.io/client-go/tools/leaderelection`; the times are its usual ones.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Any

from .. import caught
from ..sources.kubernetes.client import ApiError, Client, decoded
from ..sources.kubernetes.resources import BY_KIND

#: Seconds that a lease holds without being renewed, that a leader has for renewing it, and between tries.
DURATION, DEADLINE, RETRY = 15, 10.0, 2.0
#: Seconds for one request: a connection that is dead without a word leaves the time for a try over a new one.
REQUEST = 3.0
#: Seconds before the next try where another candidate, or somebody else, wrote the Lease meanwhile.
CONFLICT = 0.2


class Election:
    """One candidate."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        changed: Callable[[bool], None],
        complain: Callable[[str, str], None] = lambda _code, _message: None,
    ) -> None:
        """Make a candidate.

        Args:
            client: of the API server.
            namespace: of the Lease.
            name: of the Lease.
            identity: of this candidate; unique among them.
            changed: told when leading begins and ends.
            complain: takes a code and a message about a fault of ours.
        """
        self._client = client
        self._collection = BY_KIND["Lease"].collection_in(namespace)
        self._name = name
        self._identity = identity
        self._changed = changed
        self._complain = complain
        self._leading = False
        self._released = False
        #: When leading ends without a renewal.
        self._end: asyncio.TimerHandle | None = None
        #: What was seen of the holder, and when by our own clock: other machines' clocks may be wrong.
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Take part until cancelled.

        Args:
            ready: when to begin: who cannot do anything yet must not lead. None: at once.
        """
        if ready is not None:
            await ready.wait()
        while True:
            sent, pause = asyncio.get_running_loop().time(), RETRY
            try:
                self._lead(await self._try(), sent)
            except ApiError as error:
                # A leader leads on until its time is over. After a conflict it looks soon who has the Lease.
                pause = CONFLICT if error.status == 409 else RETRY
            except Exception as error:  # whoever cannot lead serves on
                self._complain("fault", f"the Lease {self._name}: {caught.note('write', error)}; it is tried again")
            await asyncio.sleep(pause)

    async def release(self) -> None:
        """Give the lease back for good, so that the next one need not wait."""
        self._released = True
        if not self._leading:
            return
        self._lead(False)
        body = {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}
        try:
            await self._client.patch(f"{self._collection}/{self._name}", body, limit=REQUEST)
        except ApiError:
            return

    def _lead(self, leading: bool, sent: float = 0.0) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
        leading = leading and not self._released
        if leading:
            self._end = asyncio.get_running_loop().call_at(sent + DEADLINE, self._lead, False)
        if leading != self._leading:
            self._leading = leading
            self._changed(leading)

    async def _try(self) -> bool:
        """Whether the lease is ours now."""
        path = f"{self._collection}/{self._name}"
        try:
            answer = await self._client.get(path, limit=REQUEST)
            lease = decoded(answer, dict[str, Any], f"the Lease {self._name}")
        except ApiError as error:
            if error.status != 404 or self._released:
                raise
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name},
                "spec": self._spec({}),
            }
            await self._client.request("POST", self._collection, body=body, limit=REQUEST)
            return True
        spec: dict[str, Any] = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        seen = (holder, str(spec.get("renewTime")))
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        expired = time.monotonic() - self._seen_at > (spec.get("leaseDurationSeconds") or DURATION)
        if self._released or (holder and holder != self._identity and not expired):
            return False
        lease["spec"] = self._spec(spec)
        # A conflict is an error like others: the next try sees whether somebody else has it.
        await self._client.request("PUT", path, body=lease, limit=REQUEST)
        return True

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        kept = before.get("holderIdentity") == self._identity
        transitions = before.get("leaseTransitions") or 0
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION,
            "acquireTime": (before.get("acquireTime") if kept else None) or now,
            "renewTime": now,
            "leaseTransitions": transitions if kept or not before else transitions + 1,
        }
