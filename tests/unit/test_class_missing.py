"""One process for all Gateways: one that is served goes on when its class is deleted, as long as the process runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.controller.api import Document, ObjectKey, decode
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Options, Translation, Translator, to_document
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions

GATEWAY_API = "gateway.networking.k8s.io/v1"
OPTIONS = Options(implicit_class=False, implicit_namespaces=False, keep_served=True)
CLASS = ObjectKey("GatewayClass", "", "sluicegate")
KEY = ObjectKey("Gateway", "default", "web")


def gateway_class(controller_name: str = "sluicegate.dev/controller") -> Document:
    spec = {"controllerName": controller_name}
    return {"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": "sluicegate"}, "spec": spec}


def gateway(name: str = "web", class_name: str = "sluicegate", port: int = 80) -> Document:
    listener = {"name": "http", "port": port, "protocol": "HTTP"}
    spec = {"gatewayClassName": class_name, "listeners": [listener]}
    return {"apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": {"name": name}, "spec": spec}


class Bench:
    """A store and a translator."""

    def __init__(self, *documents: Document, options: Options = OPTIONS) -> None:
        self.store = Store()
        self.translator = Translator(options=options)
        self.store.load(decode(item) for item in documents)

    def after(self, *changes: Document | ObjectKey) -> Translation:
        for change in changes:
            self.store.handle(Delete(change) if isinstance(change, ObjectKey) else Apply(decode(change)))
        return self.translator.translate(self.store.snapshot())


def accepted(translation: Translation) -> str:
    [found] = [item for item in to_document(translation.statuses[KEY])["conditions"] if item["type"] == "Accepted"]
    return f"{found['status']} {found['reason']}: {found['message']}"


def test_a_gateway_that_is_served_goes_on() -> None:
    bench = Bench(gateway_class(), gateway())
    before = bench.after()
    gone = bench.after(CLASS)
    assert gone.ir.listeners == before.ir.listeners
    assert accepted(gone).startswith("False GatewayClassNotFound: GatewayClass sluicegate does not exist; it goes on")
    # Changes of it and of others are no reason to stop, and a second Gateway of the class does not begin.
    changed = bench.after(gateway(port=81), gateway("late", port=82))
    assert {item.port for item in changed.ir.listeners.values()} == {81}
    again = bench.after(gateway_class())
    assert {item.port for item in again.ir.listeners.values()} == {81, 82}
    assert accepted(again).startswith("True")


def test_one_that_was_refused_does_not_begin() -> None:
    refused = gateway()
    refused["spec"]["infrastructure"] = {"parametersRef": {"group": "sluicegate.dev", "kind": "Odd", "name": "a"}}
    bench = Bench(gateway_class(), refused)
    assert not bench.after().ir.listeners
    gone = bench.after(CLASS)
    assert not gone.ir.listeners
    assert KEY not in gone.statuses


def test_what_ends_it() -> None:
    for change in (KEY, gateway(class_name="other"), gateway_class("example.com/controller")):
        bench = Bench(gateway_class(), gateway())
        bench.after()
        assert bench.after(CLASS).ir.listeners
        assert not bench.after(change).ir.listeners
    fresh = Bench(gateway())
    assert not fresh.after().ir.listeners


def test_conflicts_with_others_are_still_found() -> None:
    """Two Gateways on one socket: the younger one loses, whether its class or that of the older one is gone."""
    other = gateway_class()
    other["metadata"] = {"name": "other"}
    bench = Bench(gateway_class(), other, gateway(), gateway("younger", "other"))
    before = bench.after().ir.listeners
    assert len(before) == 1
    assert bench.after(CLASS).ir.listeners == before
    bench = Bench(gateway_class(), other, gateway(), gateway("younger", "other"))
    bench.after()
    assert bench.after(ObjectKey("GatewayClass", "", "other")).ir.listeners == before


def test_services_of_data_planes_are_looked_at_only_while_the_class_is_gone() -> None:
    """A change of one, such as its address, must not build all Gateways anew."""

    def service(address: str) -> Document:
        metadata = {"name": "web-sluicegate", "namespace": "default"}
        status = {"loadBalancer": {"ingress": [{"ip": address}]}}
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "status": status}

    options = Options(implicit_class=False, provision=ProvisionOptions(authority=""))
    bench = Bench(gateway_class(), gateway(), service("10.0.0.1"), options=options)
    assert bench.after().topology is bench.after(service("10.0.0.2")).topology
    assert bench.after(CLASS).topology is not bench.after(service("10.0.0.3")).topology


def listener_set(name: str = "extra", gateway: str = "web") -> Document:
    spec = {"parentRef": {"name": gateway}, "listeners": [{"name": "a", "port": 8080, "protocol": "HTTP"}]}
    return {"apiVersion": GATEWAY_API, "kind": "ListenerSet", "metadata": {"name": name}, "spec": spec}


def with_sets(name: str = "web") -> Document:
    made = gateway(name)
    made["spec"]["allowedListeners"] = {"namespaces": {"from": "Same"}}
    return made


def bound(translation: Translation) -> Translation:
    """The same after an engine bound everything."""
    listeners = [{"id": item, "bound": ["10.0.0.1:80"]} for item in translation.ir.listeners]
    return translation.with_report({"generation": 1, "listeners": listeners})


def conditions(translation: Translation, key: ObjectKey) -> dict[str, str]:
    return {item["type"]: item["status"] for item in to_document(translation.statuses[key])["conditions"]}


SET = ObjectKey("ListenerSet", "default", "extra")


def test_what_serves_on_is_told_as_such() -> None:
    """external-dns drops the names of a ListenerSet that is not accepted, whatever the traffic does."""
    options = replace(OPTIONS, status_addresses=("10.0.0.1",))
    bench = Bench(gateway_class(), with_sets(), listener_set(), options=options)
    assert conditions(bound(bench.after()), SET) == {"Accepted": "True", "Programmed": "True"}
    gone = bound(bench.after(CLASS))
    assert conditions(gone, SET) == {"Accepted": "True", "Programmed": "True"}
    assert conditions(gone, KEY) == {"Accepted": "False", "Programmed": "True", "ResolvedRefs": "True"}
    assert to_document(gone.statuses[KEY])["addresses"]


def provisioned_service() -> Document:
    labels = {
        "app.kubernetes.io/managed-by": "sluicegate",
        "gateway.networking.k8s.io/gateway-name": "web",
        "gateway.networking.k8s.io/gateway-class-name": "sluicegate",
    }
    owner = {"apiVersion": GATEWAY_API, "kind": "Gateway", "name": "web", "uid": "u", "controller": True}
    metadata = {
        "name": "web-sluicegate",
        "labels": labels,
        "annotations": {"sluicegate.dev/controller-name": "sluicegate.dev/controller"},
        "ownerReferences": [owner],
    }
    status = {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": "LoadBalancer"},
        "status": status,
    }


@pytest.mark.parametrize("provisioned", [True, False])
def test_parameters_that_are_mistyped_end_nothing_that_serves(provisioned: bool) -> None:
    """A Gateway that has no data plane yet is another matter: nothing of it serves."""
    options = Options(implicit_class=False, implicit_namespaces=False, provision=ProvisionOptions(authority=""))
    wrong = with_sets()
    wrong["metadata"]["uid"] = "u"
    reference = {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": "nope"}
    wrong["spec"]["infrastructure"] = {"parametersRef": reference}
    services = [provisioned_service()] if provisioned else []
    bench = Bench(gateway_class(), wrong, listener_set(), *services, options=options)
    told = bound(bench.after())
    serves = str(provisioned)
    assert conditions(told, KEY) == {"Accepted": "False", "Programmed": serves, "ResolvedRefs": "True"}
    assert conditions(told, SET) == {"Accepted": serves, "Programmed": serves}
    assert accepted(told) == "False InvalidParameters: GatewayParameters default/nope does not exist"
