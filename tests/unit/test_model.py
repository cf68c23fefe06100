"""What is kept of objects: what the gateway reads, and nothing that is only large."""

from __future__ import annotations

import copy
import tracemalloc
from typing import Any

import pytest

from sluicegate.controller.api import ConfigMap, Gateway, decode

LARGE = "x" * 1_000_000
BUNDLE = "-----BEGIN CERTIFICATE-----\n"


def config_map(**values: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, **values}


def test_of_a_config_map_only_the_bundle_is_kept() -> None:
    found = decode(config_map(data={"ca.crt": BUNDLE, "large": LARGE}, binaryData={"ca.crt": b"y", "large": LARGE}))
    assert isinstance(found, ConfigMap)
    assert (found.data.bundle, found.binary_data.bundle) == (BUNDLE, b"y")
    tracemalloc.start()
    try:
        kept = [
            decode(config_map(data={f"{number}": LARGE + str(number)}, binaryData={"a": LARGE + str(number)}))
            for number in range(10)
        ]
        assert tracemalloc.get_traced_memory()[0] < len(LARGE) / 10
    finally:
        tracemalloc.stop()
    # A change of what is not read is no change.
    assert kept[0].same_content(kept[1])


def test_what_kubectl_keeps_once_more_is_dropped() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": LARGE, "other": "stays"}
    document = config_map()
    document["metadata"]["annotations"] = annotations
    before = copy.deepcopy(document)
    assert decode(document).metadata.annotations == {"other": "stays"}
    assert document == before


@pytest.mark.parametrize("status", ["odd", [], {"addresses": "odd"}, {"addresses": [{"value": 1}]}])
def test_an_odd_status_is_no_reason_to_refuse_an_object(status: object) -> None:
    spec = {"gatewayClassName": "a", "listeners": [{"name": "a", "port": 80, "protocol": "HTTP"}]}
    document = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "a"}}
    found = decode({**document, "spec": spec, "status": status})
    assert isinstance(found, Gateway)
    assert found.status.addresses == ()
