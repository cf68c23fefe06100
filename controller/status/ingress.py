"""Writes `status.loadBalancer` of the Ingresses that are served: the addresses of the Gateway that serves them.

Rules:
- Only the leader writes. A write carries the version that it was decided on; a conflict waits for the watch.
- As long as the Gateway has no address nothing is written: names in DNS follow what is there (external-dns).
- Of an Ingress that is served no longer the addresses go, if they are still these: whoever serves it now writes its
  own.
- An object is written at most once in `REST` seconds. Two controllers that serve one class would otherwise write
  against each other without an end; `--no-ingress-status` is for whoever has two on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .. import caught
from ..api import ObjectKey
from ..complain import Complain
from ..leader.queue import WorkQueue
from ..sources.kubernetes.client import ApiError, Client
from ..sources.kubernetes.resources import INGRESS_RESOURCES
from ..store.store import Delete, Event
from ..translate import Translation
from ..translate.status import GatewayStatus

#: Writes at once.
WORKERS = 2
#: Seconds from one write of an object to the next one, and before one that failed is tried again.
REST, RETRY = 5.0, 5.0
_KIND = "Ingress"

#: Of each entry of `status.loadBalancer.ingress`: the field, and what it says.
Addresses = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Live:
    """An Ingress as the API has it.

    Attributes:
        api_version: that it was read in.
        version: its `resourceVersion`.
        addresses: that it reports.
    """

    api_version: str
    version: str
    addresses: Addresses


class IngressStatusWriter:
    """Keeps the addresses of Ingresses at those of their Gateway."""

    def __init__(
        self, client: Client, gateway: ObjectKey, selected: Callable[[], frozenset[ObjectKey]], complain: Complain
    ) -> None:
        """Make a writer that waits until it leads.

        Args:
            client: of the API server.
            gateway: whose addresses they report.
            selected: says which Ingresses are served.
            complain: takes a code and a message.
        """
        self._client = client
        self._gateway = gateway
        self._selected = selected
        self._complain = complain
        self._live: dict[ObjectKey, _Live] = {}
        self._served: frozenset[ObjectKey] = frozenset()
        self._addresses: Addresses = ()
        self._queue: WorkQueue[ObjectKey] = WorkQueue()
        #: When an object may be written again, by the clock of the loop.
        self._rests: dict[ObjectKey, float] = {}
        self._leading = False
        self.writes = 0

    @property
    def depth(self) -> int:
        """Objects that wait to be written or are being written."""
        return len(self._queue)

    def lead(self, leading: bool) -> None:
        """Begin or stop to write."""
        self._leading = leading
        if leading:
            self._push_all()
        else:
            self._queue.stop()

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """Take an Ingress as the watch tells it."""
        if kind != _KIND:
            return
        metadata = document.get("metadata") or {}
        key = ObjectKey(kind, metadata.get("namespace", ""), metadata.get("name", ""))
        version = str(metadata.get("resourceVersion", ""))
        self._live[key] = _Live(str(document.get("apiVersion", "")), version, _addresses_of(document))
        self._push(key)

    def handle(self, event: Event) -> None:
        """Forget what is deleted."""
        if isinstance(event, Delete) and event.key.kind == _KIND:
            self._live.pop(event.key, None)
            self._queue.drop(event.key)
            self._rests.pop(event.key, None)

    def want(self, translation: Translation) -> None:
        """Take the addresses of the Gateway, and which Ingresses are served."""
        status = translation.statuses.get(self._gateway)
        found = status.addresses if isinstance(status, GatewayStatus) else ()
        addresses = tuple((_field(item.type), item.value) for item in found)
        served = self._selected()
        if addresses and addresses != self._addresses:
            self._addresses, self._served = addresses, served
            self._push_all()
        elif served is not self._served:
            before, self._served = self._served, served
            for key in before ^ served:
                self._push(key)

    async def run(self) -> None:
        """Write until cancelled."""
        await self._queue.run(WORKERS, self._write, self._failed)

    def _push_all(self) -> None:
        for key in self._live:
            self._push(key)

    def _push(self, key: ObjectKey) -> None:
        if self._leading and self._addresses and self._wanted(key) is not None:
            self._queue.push(key)

    def _wanted(self, key: ObjectKey) -> Addresses | None:
        """What an Ingress is to report; None: what it reports stays."""
        live = self._live.get(key)
        if live is None:
            return None
        if key in self._served:
            return self._addresses if live.addresses != self._addresses else None
        return () if live.addresses == self._addresses else None

    async def _write(self, key: ObjectKey) -> None:
        loop = asyncio.get_running_loop()
        due = self._rests.get(key, 0.0)
        if due > loop.time():
            loop.call_at(due, self._push, key)
            return
        live, wanted = self._live.get(key), self._wanted(key)
        if live is None or wanted is None:
            return
        self._rests[key] = loop.time() + REST
        entries = [{name: value} for name, value in wanted]
        body = {
            "metadata": {"resourceVersion": live.version},
            "status": {"loadBalancer": {"ingress": entries or None}},
        }
        resource = INGRESS_RESOURCES[_KIND]
        if live.api_version:
            resource = replace(resource, version=live.api_version)
        try:
            await self._client.patch(f"{resource.path(key.namespace, key.name)}/status", body)
        except ApiError as error:
            if error.status in {404, 409}:
                return  # gone, or changed since: the watch tells, and the object is looked at again
            self._retry_later(key, str(error))
            return
        self.writes += 1

    def _failed(self, key: ObjectKey, error: Exception) -> None:
        self._retry_later(key, caught.note("write", error))

    def _retry_later(self, key: ObjectKey, reason: str) -> None:
        text = f"the status of {key} cannot be written: {reason}; it is tried again"
        self._complain("status_failed", text, object=str(key))
        asyncio.get_running_loop().call_later(RETRY, self._push, key)


def _field(kind: str) -> str:
    """Where an address of a type stands (`IngressLoadBalancerIngress`)."""
    return "hostname" if kind == "Hostname" else "ip"


def _addresses_of(document: dict[str, Any]) -> Addresses:
    status = document.get("status")
    balancer = status.get("loadBalancer") if isinstance(status, dict) else None
    entries = balancer.get("ingress") if isinstance(balancer, dict) else None
    found: list[tuple[str, str]] = []
    for item in entries if isinstance(entries, list) else ():
        if isinstance(item, dict):
            found += [(name, str(item[name])) for name in ("ip", "hostname") if item.get(name)]
    return tuple(found)
