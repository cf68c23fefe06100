"""The features that a class publishes are those of the Gateway API, of both versions."""

from __future__ import annotations

import re

import pytest
import yaml

from go_modules import module
from sluicegate.controller.api import CLASS_CRD, Document, decode
from sluicegate.controller.status.merge import merged_status
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Translator, supported_features, to_document
from sluicegate.controller.translate.versions import VERSION_ANNOTATION

VERSIONS = ("v1.6.3", "v1.7.0")
_NAME = re.compile(r'Support\w+ (?:FeatureName )?= "(\w+)"')


def published(version: str) -> set[str]:
    folder = module("sigs.k8s.io/gateway-api", version) / "pkg" / "features"
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.go")) if not path.name.startswith("mesh"))
    return set(_NAME.findall(text))


#: `fault`, `buffer` and `respond` of a listener's HTTPFilter act once a request has its rule, not before.
LEFT_OUT: dict[str, set[str]] = {"v1.6.3": set(), "v1.7.0": {"GatewayListenerFilters"}}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_feature_of_a_version_is_published_but_what_is_not_done_as_it_says(version: str) -> None:
    ours = {item.name for item in supported_features(provisioned=True)}
    assert published(version) - ours == LEFT_OUT[version]


def test_nothing_else_is_published() -> None:
    ours = [item.name for item in supported_features(provisioned=True)]
    assert ours == sorted(set(ours))
    assert set(ours) <= published(VERSIONS[0]) | published(VERSIONS[1])


def test_what_needs_provisioning() -> None:
    every = {item.name for item in supported_features(provisioned=True)}
    assert every - {item.name for item in supported_features(provisioned=False)} == {
        "GatewayAddressRoutability",
        "GatewayAddressRoutabilityCluster",
        "GatewayInfrastructure",
    }


CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "sluicegate"},
    "spec": {"controllerName": "sluicegate.dev/controller"},
}


def crd(version: str | None) -> Document:
    metadata = {"name": CLASS_CRD, "annotations": {VERSION_ANNOTATION: version} if version is not None else {}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata}


def class_conditions(*documents: Document) -> dict[str, str]:
    """Type, status and message of the conditions of a class."""
    store = Store()
    store.load(decode(item) for item in (CLASS, *documents))
    statuses = Translator().translate(store.snapshot()).statuses
    [status] = [to_document(status) for key, status in statuses.items() if key.kind == "GatewayClass"]
    return {item["type"]: f"{item['status']} {item['reason']}: {item['message']}" for item in status["conditions"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("channel", ["standard", "experimental"])
def test_the_crds_of_both_versions_are_supported(version: str, channel: str) -> None:
    folder = module("sigs.k8s.io/gateway-api", version)
    document = yaml.safe_load(
        (folder / "config" / "crd" / channel / "gateway.networking.k8s.io_gatewayclasses.yaml").read_text()
    )
    assert document["metadata"]["name"] == CLASS_CRD
    assert f'BundleVersionAnnotation = "{VERSION_ANNOTATION}"' in (folder / "pkg" / "consts" / "consts.go").read_text()
    said = class_conditions(document)["SupportedVersion"]
    assert said == f"True SupportedVersion: Version {version} of the Gateway API is supported"


@pytest.mark.parametrize("version", [None, "", "v1.5.1", "v1.8.0", "v2.7.0", "v1.7", "v1.7.0-rc.1", "1.7.0", "v11.7.0"])
def test_other_versions_are_told_and_served(version: str | None) -> None:
    conditions = class_conditions(crd(version))
    said = conditions["SupportedVersion"]
    assert said.startswith("False UnsupportedVersion: ")
    assert (f"of version {version};" if version else VERSION_ANNOTATION) in said
    assert "supported are v1.6.x and v1.7.x: kubectl apply" in said
    assert conditions["Accepted"].startswith("True")


def test_where_no_crd_tells_the_version() -> None:
    """Without a cluster nothing is said of it, and nothing that was said before stays."""
    assert set(class_conditions()) == {"Accepted"}
    stale = {"type": "SupportedVersion", "status": "True", "reason": "SupportedVersion", "message": "before"}
    store = Store()
    store.load([decode(CLASS)])
    [status] = Translator().translate(store.snapshot()).statuses.values()
    merged = merged_status({"conditions": [stale]}, status, "sluicegate.dev/controller", "2026-11-25T00:00:00Z")
    assert merged is not None
    assert {item["type"] for item in merged["conditions"]} == {"Accepted"}
