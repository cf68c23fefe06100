"""A GatewayClass, or the CRD of classes, goes and comes again: data planes stay and serve, and the status says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api import KINDS, LIMIT, MERGE, Api, Object, condition
from faults import Serving, change_arrives, load, restart_controller, serving
from harness import install
from traffic import Load

__all__ = ["load", "serving"]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLASSES = "gatewayclasses.gateway.networking.k8s.io"
NAME = "sluicegate"
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
    """Whether it is accepted and programmed."""
    return condition(gateway, "Accepted") == condition(gateway, "Programmed") == "True"


@pytest.fixture
def restored(api: Api, controller: None) -> Iterator[None]:
    """The CRDs and the class are there again afterwards."""
    yield
    install.crds(install.VERSIONS[-1])
    install.controller()


def test_a_class_is_deleted_and_made_again(api: Api, serving: Serving, load: Load, restored: None) -> None:
    before = made_of(api, serving)
    api.delete("GatewayClass", "", NAME)
    missing_is_told(api, serving)
    restart_controller()
    change_arrives(api, serving)
    assert says_class_is_missing(api.get("Gateway", serving.namespace, serving.gateway))
    install.controller()
    api.until("Gateway", serving.namespace, serving.gateway, is_programmed)
    change_arrives(api, serving)
    assert made_of(api, serving) == before


def test_the_crd_of_classes_is_deleted_and_installed_again(
    api: Api, serving: Serving, load: Load, restored: None
) -> None:
    before = made_of(api, serving)
    api.call("DELETE", f"{CRDS}/{CLASSES}")
    api.watch(CRDS, f"metadata.name={CLASSES}", lambda event, _: event == "DELETED", LIMIT, absent=True)
    missing_is_told(api, serving)
    restart_controller()
    change_arrives(api, serving)
    install.crds(install.VERSIONS[-1])
    install.controller()
    api.until("Gateway", serving.namespace, serving.gateway, is_programmed)
    change_arrives(api, serving)
    assert made_of(api, serving) == before


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
