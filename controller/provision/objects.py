"""One object: what is there of it, and how it is brought to what its manifest says.

Rules:
- An object of the same name that is not ours stays untouched. Ours is what carries our label and controller name, or is
  owned by the Gateway.
- Every apply carries the version that it was decided on, so that one which arrives late changes nothing. What somebody
  else changed is put back, and told.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..api import ObjectKey
from ..sources.kubernetes.client import APPLY, ApiError, Client, decoded
from ..sources.kubernetes.resources import path_of
from ..translate.infrastructure.plane import MANAGER, DataPlane, Manifest, key_of
from .compare import Live, difference, digest_of, live_of, name_of, owner_of, says, was_applied, with_replicas
from .troubles import Tell

#: Applies of one object that others may forestall, one after the other.
CONFLICTS = 3
#: A version that no object has: applied with it, what is not there is made, and what is there is a conflict.
NOT_THERE = "1"
#: Characters of a value that an event shows.
MAX_VALUE = 60
#: What to do in place of changing a field of an object of ours.
REMEDIES = {("Deployment", "spec.replicas"): "set deployment.replicas of its GatewayParameters, or leave it out there"}


class ProvisionError(Exception):
    """Why an object could not be written; the message is for the Gateway's condition."""


class Objects:
    """What is there, as the watches and our own writes tell it.

    Attributes:
        live: by key: ours, and others that have a name which one of ours needs.
        writes, deletes: how many there were.
    """

    def __init__(
        self,
        client: Client,
        controller_name: str,
        look_at: Callable[[ObjectKey], None],
        may_write: Callable[[], bool],
        tell: Tell | None,
    ) -> None:
        """Know of nothing yet.

        Args:
            client: of the API server.
            controller_name: whose objects are ours.
            look_at: called where something about an object changed that no event tells.
            may_write: whether this process leads.
            tell: takes events about Gateways.
        """
        self.live: dict[ObjectKey, Live] = {}
        self.writes = 0
        self.deletes = 0
        self._client = client
        self._controller_name = controller_name
        self._look_at = look_at
        self._may_write = may_write
        self._tell = tell
        #: What the API made of what was applied: it may write a value in another way (a quantity).
        self._applied: dict[ObjectKey, tuple[str, Manifest]] = {}
        #: What was deleted while something is worked on.
        self._gone: set[ObjectKey] = set()

    def forget(self, key: ObjectKey, *, working: bool) -> None:
        """The watch told of the end of an object; `working`: while something is written."""
        self.live.pop(key, None)
        self._applied.pop(key, None)
        if working:
            self._gone.add(key)

    def rest(self) -> None:
        """Nothing is worked on any more."""
        self._gone.clear()

    async def bring(self, manifest: Manifest, plane: DataPlane) -> None:
        """Bring one object to what its manifest says.

        Raises:
            ProvisionError: it cannot be.
            ApiError: not now.
        """
        key = key_of(manifest)
        live = self.live.get(key) or await self._find(key)
        for _ in range(CONFLICTS):
            if live is not None and not await self._is_to_be_written(key, live, manifest):
                return
            if not self._may_write():
                return  # since it was looked for
            try:
                await self._apply(key, live, manifest, plane)
            except ApiError as error:
                if error.status != 409:
                    raise
                live = await self._find(key)  # another one wrote it, and the watch has not told yet
            else:
                return
        raise ApiError(409, f"{name_of(key)} is written by others all the time")

    async def _is_to_be_written(self, key: ObjectKey, live: Live, manifest: Manifest) -> bool:
        """Whether an object that is there is ours and says something else."""
        owner = owner_of(manifest)
        if live.controller != self._controller_name and (not owner or live.owner != owner):
            whose = f"belongs to controller {live.controller}" if live.controller else "is not Sluicegate's"
            raise ProvisionError(f"{name_of(key)} exists and {whose}: rename or delete it, or rename the Gateway")
        if live.terminating:
            return False  # its Delete event brings us back
        if owner and live.owner != owner:
            await self.delete(key, live)  # of a Gateway of the same name that is no more
            return False
        return not says(live, manifest) and self._applied.get(key) != (digest_of(manifest), live.document)

    async def _apply(self, key: ObjectKey, live: Live | None, manifest: Manifest, plane: DataPlane) -> None:
        query = {"fieldManager": MANAGER, "force": "true"}
        self._gone.discard(key)
        body = with_replicas(manifest, live, plane.objects)
        version = live.version if live is not None else NOT_THERE
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
        try:
            answer = await self._client.patch(path_of(key), body, kind=APPLY, query=query)
        except ApiError as error:
            if is_passing(error):
                raise
            raise ProvisionError(f"{name_of(key)} cannot be written: {error}") from None
        self.writes += 1
        self._tell_reverted(key, live, manifest, plane)
        if key in self._gone:  # the watch told of its end, or of the one before it, before this answer came
            self._look_at(key)
            return
        after = live_of(decoded(answer, dict[str, Any], name_of(key)))
        self._applied[key] = (digest_of(manifest), after.document)
        self.live[key] = after
        if live is None and key.kind == "Deployment" and self._tell is not None:
            for gateway in plane.gateways:
                self._tell(gateway, "Normal", "Provisioned", f"Created {name_of(key)}")

    def _tell_reverted(self, key: ObjectKey, live: Live | None, manifest: Manifest, plane: DataPlane) -> None:
        """Tell who changed an object that was as we wanted it: it is as it was before."""
        if live is None or self._tell is None or not was_applied(live, manifest):
            return
        found = difference(live, manifest)
        if found is None:
            return
        field, was, wanted = found
        remedy = REMEDIES.get((key.kind, field), "change the Gateway or its GatewayParameters instead")
        text = f"{name_of(key)}: {field} was {_short(was)} and is {_short(wanted)} again; {remedy}"
        for gateway in plane.gateways:
            self._tell(gateway, "Warning", "Reverted", text)

    async def _find(self, key: ObjectKey) -> Live | None:
        """Look for an object that no watch told: it may not be ours, and then has not our label."""
        try:
            return live_of(decoded(await self._client.get(path_of(key)), dict[str, Any], name_of(key)))
        except ApiError as error:
            if error.status == 404:
                return None
            if is_passing(error):
                raise
            raise ProvisionError(f"{name_of(key)} cannot be read: {error}") from None

    async def delete(self, key: ObjectKey, live: Live) -> None:
        """Delete an object.

        Raises:
            ApiError: not now.
        """
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": live.uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._client.request("DELETE", path_of(key), body=body)
        except ApiError as error:
            if error.status not in {404, 409}:
                raise
            # Gone, or another object of the same name: what is remembered is not there, and no event may come of it.
            if self.live.get(key) is live:
                del self.live[key]
                self._applied.pop(key, None)
                self._look_at(key)
            return
        self.deletes += 1


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}..."


def is_passing(error: ApiError) -> bool:
    """Whether the same request may work later without anybody's doing."""
    return error.status in {0, 409, 429} or error.status >= 500
