"""Whether the pods of data planes can start, as their Deployments say it; pods are not watched (no permission for it).

A healthy start is no trouble, although `Available` is False then. What counts:
- `ReplicaFailure`: pods cannot even be made (a quota, a policy): at once;
- `Progressing` False: none became ready in `manifests.PROGRESS_SECONDS` (an image that cannot be pulled, a crash loop);
- `Available` False after the roll-out was complete: for `UNAVAILABLE_SECONDS`, since a pod may move to another node.

An event tells of it. The Gateway is only called not programmed where no pod of the Deployment serves: those from before
a roll-out that fails go on, with the newest configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..api import ObjectKey
from ..store.store import Delete, Event, Init, InitDone
from ..translate.infrastructure.plane import PLANE_LABEL, DataPlane, Manifest, controller_of

#: Seconds without enough pods, after there were, that are no trouble.
UNAVAILABLE_SECONDS = 30.0
#: Characters of a Deployment's message that a condition shows.
MAX_MESSAGE = 1_024
DEPLOYMENT = "Deployment"

#: Takes an object, `Normal` or `Warning`, a reason and a message.
Tell = Callable[[ObjectKey, str, str, str], None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a Deployment lacks pods.

    Attributes:
        message: for people.
        serving: other pods of it are available.
        wait: seconds that it must last to count.
    """

    message: str
    serving: bool
    wait: float = 0.0


def trouble_of(deployment: Manifest) -> Trouble | None:
    """What the conditions of a Deployment say of its pods; None: they run, or may still start. Pure."""
    metadata, status = deployment["metadata"], deployment.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    failing, progressing, available = (
        conditions.get(name, {}) for name in ("ReplicaFailure", "Progressing", "Available")
    )
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    serving = bool(status.get("availableReplicas"))

    def trouble(what: str, condition: Manifest, remedy: str = "", wait: float = 0.0) -> Trouble:
        said = str(condition.get("message", ""))[:MAX_MESSAGE]
        return Trouble(f"Deployment {namespace}/{name} {what}: {said}{remedy}", serving, wait)

    if failing.get("status") == "True":
        return trouble("cannot make its pods", failing)
    remedy = f" Look with `kubectl describe pods -n {namespace} -l {PLANE_LABEL}={name}`"
    if progressing.get("status") == "False":
        return trouble("has pods that do not start", progressing, remedy)
    if available.get("status") == "False" and progressing.get("reason") == "NewReplicaSetAvailable":
        return trouble("has lost pods", available, remedy, UNAVAILABLE_SECONDS)
    return None


class PodTroubles:
    """Collects the troubles of planned Deployments, and tells their Gateways."""

    def __init__(self, controller_name: str, *, changed: Callable[[], None], tell: Tell) -> None:
        """Know nothing yet.

        Args:
            controller_name: whose Deployments are ours.
            changed: called when `failures` changed.
            tell: takes events about Gateways.
        """
        self._controller_name = controller_name
        self._changed = changed
        self._tell = tell
        self._leading = False
        self._planes: Mapping[str, DataPlane] = {}
        self._listing: set[ObjectKey] | None = None
        self._troubles: dict[ObjectKey, Trouble] = {}
        self._timers: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._lasting: set[ObjectKey] = set()
        self._told: dict[ObjectKey, str] = {}
        #: Why no pod serves a Gateway; replaced, never changed: any thread may look at it.
        self.failures: Mapping[ObjectKey, str] = {}

    def lead(self, leading: bool) -> None:
        """Begin or stop to tell."""
        self._leading = leading
        self._told = {}
        self._update()

    def seen(self, kind: str, document: Manifest) -> None:
        """Take an object as the watch tells it."""
        if kind != DEPLOYMENT:
            return
        metadata = document["metadata"]
        key = ObjectKey(kind, metadata.get("namespace", ""), metadata["name"])
        if self._listing is not None:
            self._listing.add(key)
        ours = controller_of(metadata.get("labels") or {}, metadata.get("annotations") or {}) == self._controller_name
        self._put(key, trouble_of(document) if ours else None)

    def handle(self, event: Event) -> None:
        """Take an event of any watched kind."""
        if isinstance(event, Delete):
            self._put(event.key, None)
        elif isinstance(event, Init) and event.kind == DEPLOYMENT:
            self._listing = set()
        elif isinstance(event, InitDone) and event.kind == DEPLOYMENT:
            listed, self._listing = self._listing or set(), None
            for key in self._troubles.keys() - listed:
                self._put(key, None)

    def want(self, planes: Mapping[str, DataPlane]) -> None:
        """Say what is planned from now on, by `namespace/name`."""
        if planes is not self._planes:
            self._planes = planes
            self._update()

    async def run(self) -> None:
        """Nothing runs: it is told."""
        await asyncio.Event().wait()

    def _put(self, key: ObjectKey, trouble: Trouble | None) -> None:
        before = self._troubles.get(key)
        if trouble == before:
            return
        if trouble is not None:
            self._troubles[key] = trouble
        else:
            del self._troubles[key]
        if trouble is None or before is None or before.message != trouble.message:
            self._lasting.discard(key)
            timer = self._timers.pop(key, None)
            if timer is not None:
                timer.cancel()
            if trouble is not None and trouble.wait:
                self._timers[key] = asyncio.get_running_loop().call_later(trouble.wait, self._lasts, key)
            elif trouble is not None:
                self._lasting.add(key)
        self._update()

    def _lasts(self, key: ObjectKey) -> None:
        del self._timers[key]
        self._lasting.add(key)
        self._update()

    def _update(self) -> None:
        """Tell what is new."""
        messages: dict[ObjectKey, str] = {}
        failures: dict[ObjectKey, str] = {}
        for key in sorted(self._lasting):
            trouble, plane = self._troubles[key], self._planes.get(f"{key.namespace}/{key.name}")
            for gateway in plane.gateways if plane is not None else ():
                messages[gateway] = trouble.message
                if not trouble.serving:
                    failures[gateway] = trouble.message
        if self._leading:
            for gateway, message in messages.items():
                if self._told.get(gateway) != message:
                    self._tell(gateway, "Warning", "PodsNotReady", message)
            self._told = messages
        if failures != self.failures:
            self.failures = failures
            self._changed()
