"""Ingresses of a cluster: what is watched for them, and whose virtual objects are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from sluicegate.controller.api import ObjectKey
from sluicegate.controller.api.ingress import SERVED_INGRESS_KINDS
from sluicegate.controller.api.names import VIRTUAL
from sluicegate.controller.complain import Complain
from sluicegate.controller.ingress import Loss
from sluicegate.controller.ingress.texts import Texts
from sluicegate.controller.sources.kubernetes.resources import INGRESS_RESOURCES, Resource
from sluicegate.controller.store.store import Delete, Event
from sluicegate.controller.store.with_ingress import StoreWithIngress

from .ingress import Ingresses, served_of
from .ingress_settings import Wanted

#: What only Ingresses of one provider name.
_OF_PROVIDER = {"Middleware": "traefik"}


class ClusterIngresses:
    """Serves the Ingresses that a cluster has.

    Attributes:
        resources: that are watched for them, besides those of every gateway.
        store: takes the events of all.
        gateway: that serves them.
    """

    def __init__(self, wanted: Wanted, controller_name: str, read_kinds: Iterable[str]) -> None:
        """Serve nothing yet.

        Args:
            wanted: which Ingresses.
            controller_name: of the GatewayClasses to serve.
            read_kinds: kinds that are watched for every gateway, and read.

        Raises:
            ValueError: a name that is none.
        """
        kinds = [kind for kind in SERVED_INGRESS_KINDS if _OF_PROVIDER.get(kind, wanted.provider) == wanted.provider]
        self.resources: tuple[Resource, ...] = tuple(INGRESS_RESOURCES[kind] for kind in kinds)
        self.store = StoreWithIngress(kinds, read_kinds)
        self._served = served_of(wanted, controller_name)
        self._texts = Texts()
        self._ingresses = Ingresses(self._served, self.store, self._texts.table)
        self._faults: Mapping[ObjectKey, str] = {}
        self.gateway = ObjectKey("Gateway", *self._served.gateway)
        self._told_missing = False

    @property
    def changed(self) -> bool:
        """Whether there is something to look at that the store does not know of."""
        return self._texts.changed

    @property
    def served(self) -> Ingresses:
        """Where each virtual object comes from."""
        return self._ingresses

    @property
    def selected(self) -> frozenset[ObjectKey]:
        """Ingresses that are served."""
        return self._ingresses.result.selected

    @property
    def losses(self) -> Mapping[ObjectKey, tuple[Loss, ...]]:
        """What of them does not hold, or holds differently."""
        return self._ingresses.result.losses

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """Take a watched object as the API has it."""
        if kind == "ConfigMap":
            self._texts.seen(document)

    def handle(self, event: Event) -> None:
        """Take an event of any watched kind."""
        if isinstance(event, Delete) and event.key.kind == "ConfigMap":
            self._texts.forget(event.key.namespace, event.key.name)

    async def update(self, complain: Complain) -> bool:
        """Have the store hold what Ingresses come to; returns whether others are served than before.

        Args:
            complain: takes a code and a message about what cannot be converted.
        """
        if self._ingresses.is_current():
            return False
        before, inputs = self.selected, self._ingresses.inputs()
        try:
            result = await asyncio.to_thread(self._served.update, inputs)
        except BaseException:
            self._ingresses.forget()
            raise
        self._ingresses.take(inputs, result)
        for key, reason in result.faults.items():
            if self._faults.get(key) != reason:
                text = f"{key}: {reason}; it, and what shares its hosts, goes on as it was, if it was served"
                complain("fault", text, object=str(key))
        self._faults = result.faults
        missing = bool(result.selected) and self.store.get(self.gateway) is None
        if missing and not self._told_missing:
            text = (
                f"there is no {self.gateway}, which is to serve Ingresses; make it, or name another --ingress-gateway"
            )
            complain("ingress_gateway_missing", text, object=str(self.gateway))
        self._told_missing = missing
        return result.selected != before

    def subject(self, key: ObjectKey) -> ObjectKey:
        """The object that people know: the Ingress of a virtual one, all others themselves."""
        found = self._served.ingress_of(key) if key.name.startswith(VIRTUAL) else None
        return found.key if found is not None else key

    def reference(self, key: ObjectKey) -> tuple[str, str] | None:
        """`apiVersion` and uid of an Ingress; None: it is gone, or none."""
        found = self.store.apart.get(key) if key.kind == "Ingress" else None
        return (INGRESS_RESOURCES["Ingress"].version, found.metadata.uid) if found is not None else None
