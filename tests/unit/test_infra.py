"""Planning of data planes: names, ports, parameters, and that nothing is planned again without need."""

from __future__ import annotations

import string
from typing import Any

import msgspec
import pytest

from sluicegate.controller.api import GatewayParametersSpec, ObjectKey, Service, decode
from sluicegate.controller.api.parameters import ProxyParameters, merged
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.stream import protocol
from sluicegate.controller.translate import Options, Translator
from sluicegate.controller.translate.infrastructure import manifests
from sluicegate.controller.translate.infrastructure.manifests import settings_file
from sluicegate.controller.translate.infrastructure.names import (
    FIRST_SHARED,
    GATEWAY_PORTS,
    NAMESPACE_PORTS,
    SHARED_PORTS,
    dedicated_ports,
    label_value,
    plane_name,
    shared_ports,
    shared_service_name,
)
from sluicegate.controller.translate.infrastructure.parameters import unusable
from sluicegate.controller.translate.infrastructure.plane import PlanePort, ProvisionOptions
from sluicegate.controller.translate.infrastructure.service import service_addresses
from sluicegate.processes.settings import Settings

SERVICE_NAME = set(string.ascii_lowercase + string.digits + "-")


@pytest.mark.parametrize(
    "gateway", ["edge", "a" * 253, "4.example.com", "a.b", "a-b", "x" * 60, f"{'y' * 52}.zz", "9", "a-" * 126 + "a"]
)
def test_names_are_names_of_services(gateway: str) -> None:
    key = ObjectKey("Gateway", "n" * 63, gateway)
    for name in (plane_name(gateway, "sluicegate"), shared_service_name(key, "c" * 253)):
        assert 0 < len(name) <= 63
        assert set(name) <= SERVICE_NAME
        assert name[0].isalpha()
        assert name[-1] != "-"
    assert len(label_value(gateway)) <= 63


def test_a_plain_name_is_gateway_and_class() -> None:
    assert plane_name("edge", "sluicegate") == "edge-sluicegate"
    assert label_value("edge") == "edge"


def test_different_gateways_have_different_names() -> None:
    gateways = ["a.b", "a-b", "a" * 252, "a" * 253, "b" * 253]
    assert len({plane_name(name, "class") for name in gateways}) == len(gateways)
    keys = [ObjectKey("Gateway", space, name) for space in ("one", "two") for name in gateways]
    assert len({shared_service_name(key, "class") for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("wanted", "targets"),
    [
        ([("TCP", 80), ("TCP", 443), ("TCP", 80)], {("TCP", 80): 80, ("TCP", 443): 443}),
        ([("TCP", 53), ("UDP", 53)], {("TCP", 53): 53, ("UDP", 53): 53}),
        ([("TCP", 19000), ("UDP", 19000)], {("TCP", 19000): 20000, ("UDP", 19000): 19000}),
        ([("TCP", 19000), ("TCP", 20000)], {("TCP", 19000): 20001, ("TCP", 20000): 20000}),
        ([], {}),
    ],
)
def test_dedicated_ports(wanted: list[tuple[str, int]], targets: dict[tuple[str, int], int]) -> None:
    found = dedicated_ports(wanted)
    assert found == tuple(sorted(PlanePort(*key, target) for key, target in targets.items()))


def test_shared_ports_are_unique_and_stay() -> None:
    gateways = [ObjectKey("Gateway", "n", f"g{number}") for number in range(300)]
    wanted = [(gateway, transport, 80) for gateway in gateways for transport in ("TCP", "UDP")]
    first = shared_ports(wanted, {})
    for transport in ("TCP", "UDP"):
        ports = [port for (_, name, _), port in first.items() if name == transport]
        assert len(set(ports)) == len(ports) == 300
        assert all(FIRST_SHARED <= port < FIRST_SHARED + SHARED_PORTS for port in ports)
    # Half of them go, and the others come in another order: what is in use stays.
    left = wanted[::-2]
    assert shared_ports(left, first) == {item: first[item] for item in left}
    # A port that somebody else wrote, and one that two claim, are not believed.
    odd = shared_ports(wanted[:4], {wanted[0]: 80, wanted[1]: 30_000, wanted[3]: 30_000})
    assert odd[wanted[0]] == first[wanted[0]]
    assert odd[wanted[1]] == 30_000
    assert odd[wanted[3]] == first[wanted[3]]


def test_shared_ports_run_out() -> None:
    wanted = [
        (ObjectKey("Gateway", f"n{number}", "g"), "TCP", port)
        for number in range(13)
        for port in range(1, 1 + GATEWAY_PORTS)
    ]
    assert len(shared_ports(wanted, {})) == SHARED_PORTS


def test_no_gateway_and_no_namespace_takes_the_ports_of_all() -> None:
    greedy = [
        (ObjectKey("Gateway", "greedy", f"g{number}"), "TCP", port) for number in range(9) for port in range(1, 9_000)
    ]
    modest = [(ObjectKey("Gateway", "modest", "g"), "TCP", port) for port in (80, 443)]
    found = shared_ports([*greedy, *modest], {})
    assert len(found) == NAMESPACE_PORTS + 2
    assert all(item in found for item in (*greedy[:GATEWAY_PORTS], *modest))
    assert greedy[GATEWAY_PORTS] not in found
    assert len(dedicated_ports(("TCP", port) for port in range(1, 22_401))) == GATEWAY_PORTS


def spec_of(**parts: Any) -> GatewayParametersSpec:
    return msgspec.convert(parts, GatewayParametersSpec)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"mode": "Both"}, "spec.mode"),
        ({"deployment": {"replicas": -1}}, "spec.deployment.replicas"),
        ({"service": {"type": "ExternalName"}}, "spec.service.type"),
        ({"service": {"type": "ClusterIP", "externalTrafficPolicy": "Local"}}, "spec.service.externalTrafficPolicy"),
        ({"autoscaling": {"minReplicas": 2}}, "spec.autoscaling.maxReplicas"),
        ({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}, "spec.autoscaling.minReplicas"),
        ({"autoscaling": {"maxReplicas": 2, "targetCpuUtilization": 0}}, "spec.autoscaling.targetCpuUtilization"),
        (
            {"autoscaling": {"maxReplicas": 2, "targetCpuUtilization": 50, "metrics": [{"type": "Resource"}]}},
            "spec.autoscaling.metrics",
        ),
        ({"disruptionBudget": {"minAvailable": 1, "maxUnavailable": "10%"}}, "spec.disruptionBudget"),
        ({"proxy": {"workers": 1000}}, "spec.proxy.workers"),
        ({"proxy": {"drainSeconds": 4000}}, "spec.proxy.drainSeconds"),
        ({"proxy": {"settleSeconds": -1}}, "spec.proxy.settleSeconds"),
        ({"proxy": {"engine": {"colour": 1}}}, "spec.proxy.engine.colour"),
        ({"proxy": {"engine": {"max_connections": "many"}}}, "spec.proxy.engine.max_connections"),
        ({"proxy": {"engine": {"trusted_proxies": "10.0.0.0/8"}}}, "spec.proxy.engine.trusted_proxies"),
        ({"proxy": {"engine": {"trusted_proxies": ["nonsense"]}}}, "spec.proxy.engine.trusted_proxies[0]"),
    ],
)
def test_bad_parameters(spec: dict[str, Any], field: str) -> None:
    found = list(unusable(spec_of(**spec)))
    assert [item.field for item in found] == [field]
    assert all(item.message for item in found)


def test_good_parameters() -> None:
    assert not list(unusable(GatewayParametersSpec()))
    whole = spec_of(
        mode="Shared",
        deployment={"replicas": 0},
        service={"type": "NodePort", "externalTrafficPolicy": "Local"},
        autoscaling={"maxReplicas": 4, "metrics": [{"type": "Resource"}]},
        disruptionBudget={"minAvailable": "50%"},
        proxy={"workers": 0, "drainSeconds": 0, "engine": {"max_connections": 10, "trusted_proxies": ["10.0.0.0/8"]}},
    )
    assert not list(unusable(whole))


def test_what_the_gateway_says_wins_field_by_field() -> None:
    base = spec_of(mode="PerGateway", deployment={"replicas": 3, "image": "a"}, proxy={"workers": 2})
    over = spec_of(mode="Shared", deployment={"replicas": 0}, service={"type": "NodePort"})
    found = merged(base, over)
    assert (found.mode, found.deployment.replicas, found.deployment.image) == ("PerGateway", 0, "a")
    assert (found.service.type, found.proxy.workers) == ("NodePort", 2)


def test_the_settings_file_is_toml_that_the_settings_take() -> None:
    engine = {"max_connections": 9, "trusted_proxies": ["10.0.0.0/8", 'a"\\\x7f\u2028']}
    text = settings_file(ProxyParameters(workers=3, access_log=True, drain_seconds=7, engine=engine))
    found = msgspec.toml.decode(text)
    assert found == {"access_log": "-", "drain": 7, "settle": 5, "workers": 3, "engine": engine}
    known = set(Settings.__struct_fields__) | {"settle"}
    assert set(found) <= known


@pytest.mark.parametrize(
    ("spec", "status", "addresses"),
    [
        ({"type": "LoadBalancer", "clusterIP": "10.96.0.1"}, {}, ()),
        (
            {"type": "LoadBalancer"},
            {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}, {"hostname": "lb.example"}, {"ip": "10.0.0.1"}, {}]}},
            (("IPAddress", "10.0.0.1"), ("Hostname", "lb.example")),
        ),
        ({"type": "ClusterIP", "clusterIP": "10.96.0.1"}, {}, (("IPAddress", "10.96.0.1"),)),
        (
            {"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]},
            {},
            (("IPAddress", "10.96.0.1"), ("IPAddress", "fd00::1")),
        ),
        ({"type": "ClusterIP", "clusterIP": "None"}, {}, ()),
        ({"type": "ClusterIP"}, {}, ()),
    ],
)
def test_addresses_of_a_service(spec: Any, status: Any, addresses: tuple[tuple[str, str], ...]) -> None:
    document = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec, "status": status}
    service = decode(document)
    assert isinstance(service, Service)
    assert service_addresses(service) == addresses


def gateway(name: str, port: int = 80, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "prod", "uid": name, **metadata},
        "spec": {
            "gatewayClassName": "sluicegate",
            "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}],
        },
    }


def route(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "prod"},
        "spec": {"parentRefs": [{"name": "one"}], "rules": [{}]},
    }


def service(address: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "one-sluicegate",
            "namespace": "prod",
            "ownerReferences": [{"uid": "one", "controller": True}],
        },
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
    }


def test_only_what_changed_is_planned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from sluicegate.controller.translate import topology_stage

    planned: list[str] = []
    plan = topology_stage.plan
    monkeypatch.setattr(
        topology_stage, "plan", lambda request, options: planned.append(request.name) or plan(request, options)
    )
    store = Store(())
    for item in ("one", "two"):
        store.handle(Apply(decode(gateway(item))))
    translator = Translator(options=Options(provision=ProvisionOptions(authority="")))
    first = translator.translate(store.snapshot())
    assert sorted(planned) == ["one-sluicegate", "two-sluicegate"]

    planned.clear()
    store.handle(Apply(decode(route("a"))))
    second = translator.translate(store.snapshot())
    assert second.infrastructure is first.infrastructure
    store.handle(Apply(decode(service("10.0.0.1"))))
    third = translator.translate(store.snapshot())
    assert third.infrastructure is first.infrastructure
    assert not planned
    key = ObjectKey("Gateway", "prod", "one")
    assert [item.value for item in third.assigned[key]] == ["10.0.0.1"]
    assert [item.value for item in third.statuses[key].addresses] == ["10.0.0.1"]  # type: ignore[union-attr]

    store.handle(Apply(decode(gateway("one", 81))))
    fourth = translator.translate(store.snapshot())
    assert planned == ["one-sluicegate"]
    untouched = "prod/two-sluicegate"
    assert fourth.infrastructure[untouched] is first.infrastructure[untouched]

    store.handle(Delete(key))
    assert set(translator.translate(store.snapshot()).infrastructure) == {untouched}


def test_a_failure_is_told_in_the_gateway() -> None:
    store = Store(())
    store.handle(Apply(decode(gateway("one"))))
    translator = Translator(options=Options(provision=ProvisionOptions(authority="")))
    key = ObjectKey("Gateway", "prod", "one")
    result = translator.translate(store.snapshot()).with_report({"generation": 1}, {key: "Service a/b is not ours"})
    programmed = next(item for item in result.statuses[key].conditions if item.type == "Programmed")  # type: ignore[union-attr]
    assert (programmed.status, programmed.reason, programmed.message) == (
        "False",
        "NoResources",
        "Service a/b is not ours",
    )


def test_a_token_is_for_whom_the_stream_takes_it() -> None:
    assert manifests.AUDIENCE == protocol.AUDIENCE
