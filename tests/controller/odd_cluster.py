"""A control plane without a network, and in it objects that must not be disturbed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sluicegate import ir
from sluicegate.checks import native_checks
from sluicegate.controller.provision.apply import InfraWriter
from sluicegate.controller.provision.pods import PodTroubles
from sluicegate.controller.sources.kubernetes.resources import WATCHED_TO_PROVISION
from sluicegate.controller.status import StatusWriter
from sluicegate.controller.status.merge import merged_status
from sluicegate.controller.store.store import Init, InitDone
from sluicegate.controller.stream.projection import Projector
from sluicegate.controller.stream.wanted import WantedOf
from sluicegate.controller.translate import Options, Translation, Translator, ir_transaction
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions
from sluicegate.engine.native import RouteTable
from sluicegate.processes.loop import Loop, Output

NAME = "sluicegate.dev/controller"
API = "gateway.networking.k8s.io/v1"

#: What must not be disturbed.
CANARY: list[dict[str, Any]] = [
    {"apiVersion": API, "kind": "GatewayClass", "metadata": {"name": "canary"}, "spec": {"controllerName": NAME}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "canary"}},
    {
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": {"name": "canary", "namespace": "canary", "creationTimestamp": "2001-01-01T00:00:00Z"},
        "spec": {"gatewayClassName": "canary", "listeners": [{"name": "http", "port": 7777, "protocol": "HTTP"}]},
    },
    {
        "apiVersion": API,
        "kind": "HTTPRoute",
        "metadata": {"name": "canary", "namespace": "canary"},
        "spec": {
            "parentRefs": [{"name": "canary"}],
            "hostnames": ["canary.test"],
            "rules": [{"backendRefs": [{"name": "canary", "port": 80}]}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "canary", "namespace": "canary"},
        "spec": {"ports": [{"port": 80}]},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "canary",
            "namespace": "canary",
            "labels": {"kubernetes.io/service-name": "canary"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.9"]}],
        "ports": [{"port": 9}],
    },
]
REQUEST = {"bind_port": 7777, "sni": None, "method": "GET", "authority": "canary.test", "target": "/", "headers": []}


class Cluster:
    """A loop without a network: what the API server would send is given to its watches."""

    def __init__(self, *, provisioned: bool) -> None:
        self.complaints: list[tuple[str, str]] = []
        client: Any = None
        self.writer = StatusWriter(client, NAME, self._complain)
        infra = InfraWriter(client, NAME, self._complain)
        pods = PodTroubles(NAME, changed=lambda: None, tell=lambda *_: None)
        outputs = [
            Output(infra, lambda translation: translation.infrastructure),
            Output(pods, lambda translation: translation.infrastructure),
            Output(self.writer, lambda translation: translation, reported=True),
        ]
        options = Options(
            implicit_class=False,
            implicit_namespaces=False,
            keep_served=not provisioned,
            merge_gateways=not provisioned,
            checks=native_checks(),
            provision=ProvisionOptions(namespace="sluicegate", authority="") if provisioned else None,
        )
        self.translator = Translator(NAME, options)
        reports: Any = None
        resources = WATCHED_TO_PROVISION
        self.loop = Loop(client, self.translator, outputs, reports, self._complain, resources=resources)
        self._watches = {watch.kind: watch for watch in self.loop._watches}
        for item in resources:
            self.loop._take(Init(item.kind))
            self.loop._take(InitDone(item.kind))
        self._table: RouteTable | None = None
        self._endpoints: Mapping[str, object] = {}
        self._projector = Projector()

    def _complain(self, code: str, message: str, **_fields: object) -> None:
        self.complaints.append((code, message))

    def send(self, kind: str, word: str, document: str) -> None:
        """One event of a watch; `document` is JSON."""
        watch = self._watches.get(kind)
        if watch is not None:
            watch._take(b'{"type": "%s", "object": %s}' % (word.encode(), document.encode()))

    def list(self, kind: str, documents: list[dict[str, Any]]) -> None:
        """A whole list."""
        self.loop._take(Init(kind))
        for item in documents:
            self._watches[kind]._documents.apply(item, self._watches[kind]._resource)
        self.loop._take(InitDone(kind))

    def translate(self) -> Translation:
        """One round, down to the native table and the statuses."""
        translation = self.translator.translate(self.loop._store.snapshot(), time.time())
        for output in self.loop._outputs:
            output.writer.want(output.select(translation))
        for key, live in self.writer._live.items():
            merged_status(live.status, translation.statuses.get(key), NAME, "2026-01-01T00:00:00Z", live.generation)
        if translation.infrastructure:
            self._projector.update(*WantedOf()(translation))
        transaction = ir.encode(ir_transaction(None, translation.ir, 1))
        # Data planes of their own may share ports, one table cannot.
        self._table = None if self.translator.options.provision is not None else RouteTable(transaction)
        self._endpoints = translation.ir.endpoints
        return translation

    def canary(self) -> str:
        """The endpoint that a request to the canary gets."""
        if self._table is None:
            return str([item for item in self._endpoints if item.startswith("canary/")])
        found = json.loads(self._table.decide(json.dumps(REQUEST).encode()))
        return str(found["endpoints"])
