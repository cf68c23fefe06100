"""The features that a class publishes are those of the Gateway API, of both versions."""

from __future__ import annotations

import re

import pytest

from go_modules import module
from sluicegate.controller.translate import supported_features

VERSIONS = ("v1.6.3", "v1.7.0")
_NAME = re.compile(r'Support\w+ (?:FeatureName )?= "(\w+)"')


def published(version: str) -> set[str]:
    folder = module("sigs.k8s.io/gateway-api", version) / "pkg" / "features"
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.go")) if not path.name.startswith("mesh"))
    return set(_NAME.findall(text))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_feature_of_a_version_is_published(version: str) -> None:
    ours = {item.name for item in supported_features(provisioned=True)}
    assert published(version) <= ours


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
