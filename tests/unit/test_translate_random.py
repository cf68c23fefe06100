"""Random objects of every kind come, change and go: what is remembered never shows, no engine refuses the result."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sluicegate import _native, ir, reference
from sluicegate.controller import api as model
from sluicegate.controller.api import ROUTE_KINDS, Object, ObjectKey
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import State, Translation, Translator, ir_transaction
from sluicegate.controller.translate.state import RESOURCE_KINDS

STEPS = 80
GATEWAY_API = "gateway.networking.k8s.io/v1"
NAMES, NAMESPACES = ("x", "y"), ("a", "b")
HOSTNAMES = ("a.example.com", "*.example.com", "z.test")
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
KINDS = (
    *("Gateway", "ListenerSet", *ROUTE_KINDS, "Service", "EndpointSlice"),
    *("ReferenceGrant", "BackendTLSPolicy", "Secret", "ConfigMap"),
)
Document = dict[str, Any]


class Objects:
    """Makes documents that refer to each other now and then, good and bad ones."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def maybe(self, share: float, **fields: Any) -> Document:
        return fields if self.chance.random() < share else {}

    def pick(self, *values: Any) -> Any:
        return self.chance.choice(values)

    def document(self) -> Document:
        kind = self.pick(*KINDS)
        created = f"2026-01-0{self.chance.randint(1, 3)}T00:00:00Z"
        metadata = {"name": self.pick(*NAMES), "namespace": self.pick(*NAMESPACES), "creationTimestamp": created}
        if kind == "EndpointSlice":
            metadata["labels"] = {"kubernetes.io/service-name": self.pick(*NAMES)}
        make = self.route if kind in ROUTE_KINDS else getattr(self, kind.lower())
        version = {"EndpointSlice": "discovery.k8s.io/v1"}.get(kind, "v1")
        version = GATEWAY_API if kind in KINDS[:7] or kind in {"ReferenceGrant", "BackendTLSPolicy"} else version
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **make(kind)}

    def listeners(self) -> list[Document]:
        return [
            {
                "name": f"listener-{number}",
                "port": self.pick(80, 443, 9000),
                "protocol": self.pick("HTTP", "HTTPS", "TLS", "TCP", "UDP", "ODD"),
                **self.maybe(0.5, hostname=self.pick(*HOSTNAMES[:2])),
                **self.maybe(
                    0.6, tls={"mode": self.pick("Terminate", "Passthrough"), "certificateRefs": [{"name": "x"}]}
                ),
                "allowedRoutes": {
                    "namespaces": {"from": self.pick("Same", "All")},
                    **self.maybe(0.3, kinds=[{"kind": self.pick(*ROUTE_KINDS)}]),
                },
            }
            for number in range(self.chance.randint(1, 4))
        ]

    def gateway(self, _kind: str) -> Document:
        allowed = {"namespaces": {"from": self.pick("All", "Same", "None")}}
        return {"spec": {"gatewayClassName": "sluicegate", "listeners": self.listeners(), "allowedListeners": allowed}}

    def listenerset(self, _kind: str) -> Document:
        parent = {"name": self.pick(*NAMES), "namespace": self.pick(*NAMESPACES)}
        return {"spec": {"parentRef": parent, "listeners": self.listeners()}}

    def route(self, kind: str) -> Document:
        parents = [
            {
                "kind": self.pick("Gateway", "Gateway", "ListenerSet"),
                "name": self.pick(*NAMES),
                "namespace": self.pick(*NAMESPACES),
                **self.maybe(0.3, sectionName=f"listener-{self.chance.randint(0, 3)}"),
            }
            for _ in range(self.chance.randint(1, 3))
        ]
        rules = [
            {"backendRefs": [self.backend() for _ in range(self.chance.randint(0, 2))]}
            for _ in range(self.chance.randint(1, 2))
        ]
        named = {} if kind in {"TCPRoute", "UDPRoute"} else self.maybe(0.6, hostnames=[self.pick(*HOSTNAMES)])
        return {"spec": {"parentRefs": parents, **named, "rules": rules}}

    def backend(self) -> Document:
        place = self.maybe(0.5, namespace=self.pick(*NAMESPACES))
        weight = self.chance.randint(0, 2)
        return {"name": self.pick(*NAMES), "port": self.pick(80, 53), **place, "weight": weight}

    def service(self, _kind: str) -> Document:
        ports = [
            {"name": "web", "port": 80},
            {"name": "udp", "port": 53, "protocol": "UDP"},
            {"name": "tcp", "port": 53, "appProtocol": self.pick("", "https", "mysql")},
        ]
        return {"spec": {"ports": ports[: self.chance.randint(1, 3)]}}

    def endpointslice(self, _kind: str) -> Document:
        ports = [{"name": "web", "port": 1}, {"name": "udp", "port": 2, "protocol": "UDP"}, {"name": "tcp", "port": 3}]
        endpoint = {"addresses": [f"10.0.0.{self.chance.randint(1, 3)}"]}
        return {"addressType": "IPv4", "endpoints": [endpoint], "ports": ports}

    def referencegrant(self, _kind: str) -> Document:
        source = {"group": "gateway.networking.k8s.io", "kind": self.pick(*ROUTE_KINDS)}
        to = {"group": "", "kind": "Service"}
        return {"spec": {"from": [{**source, "namespace": self.pick(*NAMESPACES)}], "to": [to]}}

    def backendtlspolicy(self, _kind: str) -> Document:
        target = {"group": "", "kind": "Service", "name": self.pick(*NAMES)}
        bundles = [{"group": "", "kind": "ConfigMap", "name": self.pick(*NAMES)}]
        validation = {"hostname": "a.example.com", "caCertificateRefs": bundles}
        section = self.maybe(0.5, sectionName=self.pick("web", "tcp"))
        return {"spec": {"targetRefs": [{**target, **section}], "validation": validation}}

    def secret(self, _kind: str) -> Document:
        return {"stringData": {"tls.crt": CERTIFICATE, "tls.key": "-----BEGIN PRIVATE KEY-----"}}

    def configmap(self, _kind: str) -> Document:
        return {"data": {"ca.crt": CERTIFICATE}}


@pytest.mark.parametrize("seed", range(25))
def test_what_is_remembered_never_shows(seed: int) -> None:
    objects, store, translator = Objects(seed), Store(()), Translator()
    live: dict[ObjectKey, Object] = {}
    tables: dict[str, dict[str, Any]] = {kind: {} for kind in RESOURCE_KINDS}
    state: State | None = None
    for step in range(STEPS):
        if live and objects.chance.random() < 0.25:
            gone = objects.chance.choice(sorted(live))
            del live[gone]
            store.handle(Delete(gone))
        else:
            item = model.decode(objects.document())
            live[item.key] = item
            store.handle(Apply(item))
        if step % 2:
            found = translator.translate(store.snapshot())
            _apply(tables, ir_transaction(state, found.ir, step + 1))
            state = found.ir
        if step % 16 == 15:
            fresh = _fresh(live)
            assert found.statuses == fresh.statuses
            assert found.diagnostics == fresh.diagnostics
            assert tables == {kind: dict(fresh.ir.table(kind)) for kind in RESOURCE_KINDS}
            data = ir.encode(ir_transaction(None, fresh.ir, 1))
            _native.RouteTable(data)
            reference.compile(data)


def _fresh(live: dict[ObjectKey, Object]) -> Translation:
    store = Store()
    store.load(live.values())
    return Translator().translate(store.snapshot())


def _apply(tables: dict[str, dict[str, Any]], transaction: ir.Transaction) -> None:
    for kind, table in tables.items():
        for name in getattr(transaction.remove, kind):
            del table[name]
        source = transaction.secrets if kind in ir.Secrets.__struct_fields__ else transaction.upsert
        table.update({item.id: item for item in getattr(source, kind)})
