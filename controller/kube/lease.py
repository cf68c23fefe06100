"""Leader election by a Lease, as client-go does it: whoever renews it leads; it is given back on shutdown.

Source: `k8s.io/client-go/tools/leaderelection`; the times are its usual ones.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Any

import msgspec

from .client import ApiError, Client

#: Seconds that a lease holds without being renewed, that a leader has for renewing it, and between tries.
DURATION, DEADLINE, RETRY = 15, 10.0, 2.0


class Election:
    """One candidate."""

    def __init__(
        self, client: Client, namespace: str, name: str, identity: str, changed: Callable[[bool], None]
    ) -> None:
        """Make a candidate.

        Args:
            client: of the API server.
            namespace: of the Lease.
            name: of the Lease.
            identity: of this candidate; unique among them.
            changed: told when leading begins and ends.
        """
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._identity = identity
        self._changed = changed
        self._leading = False
        self._renewed = 0.0
        #: What was seen of the holder, and when by our own clock: other machines' clocks may be wrong.
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0

    async def run(self) -> None:
        """Take part until cancelled."""
        while True:
            try:
                held = await self._try()
            except ApiError:
                held = self._leading and time.monotonic() - self._renewed < DEADLINE
            else:
                if held:
                    self._renewed = time.monotonic()
            self._lead(held)
            await asyncio.sleep(RETRY)

    async def release(self) -> None:
        """Give the lease back, so that the next one need not wait."""
        if not self._leading:
            return
        self._lead(False)
        body = {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}
        try:
            await self._client.patch(f"{self._collection}/{self._name}", body)
        except ApiError:
            return

    def _lead(self, leading: bool) -> None:
        if leading != self._leading:
            self._leading = leading
            self._changed(leading)

    async def _try(self) -> bool:
        """Whether the lease is ours now."""
        path = f"{self._collection}/{self._name}"
        try:
            lease = msgspec.json.decode(await self._client.get(path))
        except ApiError as error:
            if error.status != 404:
                raise
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name},
                "spec": self._spec(0),
            }
            return await self._write("POST", self._collection, body)
        spec: dict[str, Any] = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        seen = (holder, str(spec.get("renewTime")))
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        expired = time.monotonic() - self._seen_at > (spec.get("leaseDurationSeconds") or DURATION)
        if holder and holder != self._identity and not expired:
            return False
        transitions = spec.get("leaseTransitions") or 0
        lease["spec"] = self._spec(transitions + (holder != self._identity))
        return await self._write("PUT", path, lease)

    async def _write(self, method: str, path: str, body: dict[str, Any]) -> bool:
        try:
            await self._client.request(method, path, body=body)
        except ApiError as error:
            if error.status == 409:
                return False  # another candidate was quicker
            raise
        return True

    def _spec(self, transitions: int) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
