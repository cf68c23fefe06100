"""A GatewayClass, or the CRD of classes, goes and comes again: data planes stay and serve, and the status says so."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from api import KINDS, LIMIT, MERGE, Api, Object, condition
from faults import GATEWAY, HOST, LABEL, PAUSE, Serving, change_arrives, load, restart_controller, serving
from harness import install
from traffic import Load, until

__all__ = ["load", "serving"]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLASSES = "gatewayclasses.gateway.networking.k8s.io"
NAME = "sluicegate"
ALLOWED = {"namespaces": {"from": "Same"}}
LISTENER_SET = """
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: extra}
spec:
  parentRef: {name: web}
  listeners: [{name: extra, protocol: HTTP, port: 81}]
"""
VERSION = "gateway.networking.k8s.io/bundle-version"


def made_of(api: Api, serving: Serving) -> dict[str, str]:
    """Unique ids of what was made for the Gateway, and its address."""
    name = f"{serving.gateway}-{NAME}"
    found = {kind: str(api.get(kind, serving.namespace, name)["metadata"]["uid"]) for kind in ("Deployment", "Service")}
    gateway = api.get("Gateway", serving.namespace, serving.gateway)
    return {**found, "address": gateway["status"]["addresses"][0]["value"]}


def says_class_is_missing(gateway: Object) -> bool:
    """Whether its Accepted says that the class is gone and that traffic goes on."""
    found = [item for item in gateway["status"]["conditions"] if item["type"] == "Accepted"]
    return found[0]["reason"] == "GatewayClassNotFound" and "goes on serving" in found[0]["message"]


def missing_is_told(api: Api, serving: Serving) -> None:
    """Wait for the status and the Warning of a class that is gone; routes may change meanwhile."""
    api.until("Gateway", serving.namespace, serving.gateway, says_class_is_missing)
    event = ("Warning", "GatewayClassNotFound", serving.gateway)
    path = f"/apis/{KINDS['Event'][0]}/namespaces/{serving.namespace}/events"
    api.watch(path, "", lambda _, item: (item["type"], item["reason"], item["regarding"]["name"]) == event, LIMIT)
    change_arrives(api, serving)


def is_programmed(gateway: Object) -> bool:
    """Whether it is accepted and programmed, or a ListenerSet is."""
    return condition(gateway, "Accepted") == condition(gateway, "Programmed") == "True"


@pytest.fixture
def restored(api: Api, controller: None) -> Iterator[None]:
    """The CRDs and the class are there again afterwards."""
    yield
    install.crds(install.VERSIONS[-1], restore=True)
    install.controller()


def test_a_class_is_deleted_and_made_again(api: Api, serving: Serving, load: Load, restored: None) -> None:
    before = made_of(api, serving)
    api.patch("Gateway", serving.namespace, serving.gateway, {"spec": {"allowedListeners": ALLOWED}})
    api.apply(LISTENER_SET, serving.namespace)
    api.until("ListenerSet", serving.namespace, "extra", is_programmed)
    api.delete("GatewayClass", "", NAME)
    missing_is_told(api, serving)
    restart_controller()
    change_arrives(api, serving)
    # external-dns publishes the names of what is accepted.
    assert is_programmed(api.get("ListenerSet", serving.namespace, "extra"))
    assert condition(api.get("Gateway", serving.namespace, serving.gateway), "Programmed") == "True"
    assert says_class_is_missing(api.get("Gateway", serving.namespace, serving.gateway))
    install.controller()
    api.until("Gateway", serving.namespace, serving.gateway, is_programmed)
    change_arrives(api, serving)
    assert made_of(api, serving) == before
    api.delete("ListenerSet", serving.namespace, "extra")


def test_the_crd_of_classes_is_deleted_and_installed_again(
    api: Api, serving: Serving, load: Load, restored: None
) -> None:
    before = made_of(api, serving)
    api.call("DELETE", f"{CRDS}/{CLASSES}")
    api.watch(CRDS, f"metadata.name={CLASSES}", lambda event, _: event == "DELETED", LIMIT, absent=True)
    missing_is_told(api, serving)
    restart_controller()
    change_arrives(api, serving)
    install.crds(install.VERSIONS[-1], restore=True)
    install.controller()
    api.until("Gateway", serving.namespace, serving.gateway, is_programmed)
    change_arrives(api, serving)
    assert made_of(api, serving) == before


@pytest.fixture
def shared(api: Api, serving: Serving) -> Iterator[Serving]:
    """A Gateway of a class whose Gateways share a data plane."""
    name, namespace = f"shared-{secrets.token_hex(4)}", serving.namespace
    place = {"name": name, "namespace": namespace}
    version, group = KINDS["GatewayParameters"][0], "sluicegate.dev"
    api.create({"apiVersion": version, "kind": "GatewayParameters", "metadata": place, "spec": {"mode": "Shared"}})
    spec = {
        "controllerName": "sluicegate.dev/controller",
        "parametersRef": {"group": group, "kind": "GatewayParameters", **place},
    }
    made = {"apiVersion": KINDS["GatewayClass"][0], "kind": "GatewayClass", "metadata": {"name": name}, "spec": spec}
    api.create(made)
    try:
        api.apply(
            GATEWAY.replace("gatewayClassName: sluicegate", f"gatewayClassName: {name}").replace("NAME", name),
            namespace,
        )
        gateway = api.until("Gateway", namespace, name, is_programmed)
        address = gateway["status"]["addresses"][0]["value"]
        until(address, HOST)
        yield Serving(namespace, name, address)
    finally:
        api.apply([made])
        for kind in ("Gateway", "HTTPRoute"):
            api.delete(kind, namespace, name)
        # Nobody owns it: the controller deletes it with its last Gateway.
        api.gone("Deployment", install.SYSTEM, f"sluicegate-{name}")
        api.delete("GatewayClass", "", name)


def test_a_class_of_a_shared_data_plane_is_deleted_and_made_again(api: Api, shared: Serving) -> None:
    """Kubernetes' garbage collector takes nothing either."""

    def made() -> set[str]:
        services = api.list("Service", install.SYSTEM, labelSelector=f"{LABEL}={shared.gateway}")
        deployment = api.get("Deployment", install.SYSTEM, f"sluicegate-{shared.gateway}")
        return {str(item["metadata"]["uid"]) for item in (*services, deployment)}

    before = made()
    assert len(before) == 2
    with Load(shared.address, HOST, pause=PAUSE) as load:
        gone = api.get("GatewayClass", "", shared.gateway)
        api.delete("GatewayClass", "", shared.gateway)
        missing_is_told(api, shared)
        metadata = {"name": shared.gateway}
        api.create({**{key: gone[key] for key in ("apiVersion", "kind", "spec")}, "metadata": metadata})
        api.until("Gateway", shared.namespace, shared.gateway, is_programmed)
        change_arrives(api, shared)
    load.check(at_least=20)
    assert made() == before


def test_the_version_of_the_crds_is_told(api: Api, serving: Serving, load: Load, restored: None) -> None:
    """One that is not supported is served as well as may be."""

    def install_version(version: str) -> None:
        api.call("PATCH", f"{CRDS}/{CLASSES}", {"metadata": {"annotations": {VERSION: version}}}, MERGE)

    api.until("GatewayClass", "", NAME, lambda item: condition(item, "SupportedVersion") == "True")
    install_version("v1.99.0")
    item = api.until("GatewayClass", "", NAME, lambda item: condition(item, "SupportedVersion") == "False")
    assert condition(item, "Accepted") == "True"
    [found] = [found for found in item["status"]["conditions"] if found["type"] == "SupportedVersion"]
    assert "v1.99.0" in found["message"]
    change_arrives(api, serving)
    install_version(install.VERSIONS[-1])
    api.until("GatewayClass", "", NAME, lambda item: condition(item, "SupportedVersion") == "True")
