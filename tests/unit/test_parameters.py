"""GatewayParameters: the published schema, and that it and the planner agree."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

import parameters_crd
from sluicegate.controller.api import GatewayParametersSpec
from sluicegate.controller.translate.infrastructure.parameters import unusable
from sluicegate.engine.limits import EngineLimits
from sluicegate.engine.native import Engine
from sluicegate.schema import violations

SCHEMA = parameters_crd.filled(parameters_crd.yaml.safe_load(parameters_crd.SOURCE.read_text()))["spec"]["versions"][0]
SPEC = SCHEMA["schema"]["openAPIV3Schema"]["properties"]["spec"]


def document(spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "GatewayParameters",
        "metadata": {"name": "a", "namespace": "prod"},
        "spec": spec,
    }


def test_the_crd_is_made_of_its_source() -> None:
    """Where this fails: `make schemas`."""
    assert parameters_crd.TARGET.read_text() == parameters_crd.text()


def test_every_field_is_described() -> None:
    def missing(schema: dict[str, Any], place: str) -> list[str]:
        found = [] if "description" in schema else [place]
        if place.count(".") < 2:  # below are the types of Kubernetes
            for name, item in schema.get("properties", {}).items():
                found += missing(item, f"{place}.{name}")
        return found

    assert missing(SPEC, "spec") == []


def test_schema_and_model_have_the_same_fields() -> None:
    model = {
        field.encode_name: {part.encode_name for part in msgspec.structs.fields(field.type)}
        for field in msgspec.structs.fields(GatewayParametersSpec)
        if field.encode_name != "mode"
    }
    schema = {name: set(item["properties"]) for name, item in SPEC["properties"].items() if name != "mode"}
    assert schema == model
    assert set(SPEC["properties"]["proxy"]["properties"]["engine"]["properties"]) == set(EngineLimits.__struct_fields__)


GOOD = {
    "mode": "Shared",
    "deployment": {
        "replicas": 3,
        "image": "registry.example/sluicegate:1",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "pull"}],
        "resources": {"requests": {"cpu": 1, "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "topologyKey": "zone",
                            "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
                        },
                    }
                ]
            }
        },
        "tolerations": [{"key": "edge", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
        "nodeSelector": {"pool": "edge"},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
        ],
        "priorityClassName": "high",
        "podLabels": {"a": "b"},
        "podAnnotations": {"a": "b"},
    },
    "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
    "autoscaling": {
        "minReplicas": 2,
        "maxReplicas": 8,
        "metrics": [
            {
                "type": "Pods",
                "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": 100}},
            }
        ],
        "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
    },
    "disruptionBudget": {"minAvailable": "50%"},
    "proxy": {
        "workers": 2,
        "accessLog": True,
        "drainSeconds": 30,
        "engine": {"max_connections": 1000, "trusted_proxies": ["10.0.0.0/8"]},
    },
}


@pytest.mark.parametrize("spec", [{}, GOOD], ids=["nothing", "everything"])
def test_good_parameters(spec: Any) -> None:
    assert violations(document(spec)) == []
    assert not list(unusable(msgspec.convert(spec, GatewayParametersSpec)))


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"mode": "Both"}, "spec.mode"),
        ({"deployment": {"replicas": -1}}, "spec.deployment.replicas"),
        ({"deployment": {"replicas": "3"}}, "spec.deployment.replicas"),
        ({"deployment": {"tolerations": [{"key": 1}]}}, "spec.deployment.tolerations[0].key"),
        ({"service": {"type": "ExternalName"}}, "spec.service.type"),
        ({"service": {"type": "ClusterIP", "externalTrafficPolicy": "Local"}}, "spec.service"),
        ({"autoscaling": {"minReplicas": 2}}, "spec.autoscaling"),
        ({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}, "spec.autoscaling"),
        (
            {"autoscaling": {"maxReplicas": 2, "targetCpuUtilization": 5, "metrics": [{"type": "a"}]}},
            "spec.autoscaling",
        ),
        ({"disruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "spec.disruptionBudget"),
        ({"proxy": {"workers": 300}}, "spec.proxy.workers"),
        ({"proxy": {"engine": {"colour": 1}}}, "spec.proxy.engine.colour"),
        ({"proxy": {"engine": {"max_connections": "9"}}}, "spec.proxy.engine.max_connections"),
        ({"proxy": {"engine": {"max_connections": 0}}}, "spec.proxy.engine.max_connections"),
        ({"proxy": {"colour": 1}}, "spec.proxy.colour"),
    ],
)
def test_check_refuses(spec: Any, field: str) -> None:
    assert [item.field for item in violations(document(spec))] == [field]


def test_the_engine_s_bounds_are_the_same_everywhere() -> None:
    """A pod whose settings its own gateway refuses would never start."""
    schema = SPEC["properties"]["proxy"]["properties"]["engine"]["properties"]
    bounds = {name: (item["minimum"], item["maximum"]) for name, item in schema.items() if item["type"] == "integer"}
    enumerations = {name: item["enum"] for name, item in schema.items() if "enum" in item}
    assert {*bounds, *enumerations, "trusted_proxies"} == set(EngineLimits.__struct_fields__)

    def refused(name: str, value: Any) -> list[str]:
        spec = msgspec.convert({"proxy": {"engine": {name: value}}}, GatewayParametersSpec)
        return [item.field for item in unusable(spec)]

    for name, (least, most) in bounds.items():
        for value in (least, most):
            assert getattr(msgspec.convert({name: value}, EngineLimits), name) == value
            assert not refused(name, value)
            Engine({"workers": 1, name: value}).shutdown()
        for value in (least - 1, most + 1, str(least), True, 1.5, None):
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert({name: value}, EngineLimits)
            assert refused(name, value) == [f"spec.proxy.engine.{name}"]
        for value in (least - 1, most + 1, 2**63):
            with pytest.raises(ValueError, match=rf"^settings: ({name} is {value}; it must be between|invalid value)"):
                Engine({"workers": 1, name: value})
    for name, values in enumerations.items():
        for value in values:
            assert not refused(name, value)
            Engine({"workers": 1, name: value}).shutdown()
        # A YAML that writes `off` without quotes says false.
        for value in ("", values[0].upper(), False, 1, None):
            assert refused(name, value) == [f"spec.proxy.engine.{name}"]


NETWORKS = {
    **dict.fromkeys(["10.0.0.0/8", "10.1.2.3/8", "192.0.2.1", "2001:db8::/32", "::1", "0.0.0.0/0"], True),
    **dict.fromkeys(["nonsense", "", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/255.0.0.0"], False),
    **dict.fromkeys(["fe80::1%eth0", "::1/129", "10.0.0/8", "10.0.0.0/8/8"], False),
}


@pytest.mark.parametrize(("network", "good"), NETWORKS.items())
def test_parameters_take_the_networks_that_the_engine_takes(network: str, good: bool) -> None:
    spec = msgspec.convert({"proxy": {"engine": {"trusted_proxies": ["::1", network]}}}, GatewayParametersSpec)
    assert [item.field for item in unusable(spec)] == ([] if good else ["spec.proxy.engine.trusted_proxies[1]"])
    if good:
        Engine({"workers": 1, "trusted_proxies": [network]}).shutdown()
    else:
        with pytest.raises(ValueError, match=r"network|prefix"):
            Engine({"workers": 1, "trusted_proxies": [network]})


def test_every_parameter_is_in_the_documentation() -> None:
    text = (parameters_crd.ROOT / "docs" / "provisioning.md").read_text()
    table = text[text.index("| field | default |") :].split("\n\n")[0]
    shown = set(re.findall(r"`\.?([A-Za-z.]+)`", "\n".join(line.split("|")[1] for line in table.splitlines())))
    names = {name.rpartition(".")[2] for name in shown}
    for part, schema in SPEC["properties"].items():
        for name in schema.get("properties", {part: None}):
            assert name in names, f"{part}.{name}"
