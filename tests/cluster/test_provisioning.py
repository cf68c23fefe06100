"""What the controller makes of a Gateway on a real API server: server-side apply, autoscaling, quotas, tokens."""

from __future__ import annotations

import re
import secrets
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from api import Api, ApiError, Object, condition, is_ready, kubectl, path_of, read
from faults import HOST, LABEL, Serving, change_arrives, leader, load, route, serve, serving, task_of
from harness import install
from traffic import Load, until

from conftest import ROOT
from sluicegate.controller.stream.messages import Request, Response
from sluicegate.controller.stream.protocol import (
    AUDIENCE,
    GENERATION,
    METHOD,
    SECTIONS,
    SERVICE,
    section_of,
    subscription,
)

__all__ = ["load", "serving"]

PARAMETERS = {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": "p"}
OWNED = ("ServiceAccount", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget")
NAME = "web-sluicegate"
STREAM_PORT = 18000
#: Seconds for an exchange with the config stream.
STREAM_LIMIT = 10.0


def gateway(namespace: str, name: str = "web", class_name: str = "sluicegate", **infrastructure: Any) -> Object:
    listener = {"name": "http", "protocol": "HTTP", "port": 80}
    spec = {"gatewayClassName": class_name, "listeners": [listener], "infrastructure": infrastructure}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def parameters(namespace: str, name: str = "p", **spec: Any) -> Object:
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "GatewayParameters",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def programmed(api: Api, namespace: str, name: str = "web") -> str:
    """Wait for a Gateway; returns its address. On the way nothing may be called missing that only takes its time."""
    reasons: list[str] = []

    def holds(item: Object) -> bool:
        reasons.extend(reason_of(item, "Programmed"))
        return condition(item, "Programmed") == "True"

    found = api.until("Gateway", namespace, name, holds)
    assert "NoResources" not in reasons
    return str(found["status"]["addresses"][0]["value"])


def reason_of(item: Object, kind: str) -> list[str]:
    """Reason of a condition, if it is there."""
    return [found["reason"] for found in item.get("status", {}).get("conditions", []) if found["type"] == kind]


def message_of(item: Object, kind: str) -> str:
    return next(found["message"] for found in item["status"]["conditions"] if found["type"] == kind)


def warned(api: Api, namespace: str, name: str, reason: str) -> str:
    """Wait for a Warning event about a Gateway; returns what it says."""

    def holds(_: str, item: Object) -> bool:
        about = item["regarding"]
        return item["type"] == "Warning" and (about["kind"], about["name"]) == ("Gateway", name)

    return str(api.watch(path_of("Event", namespace), f"reason={reason}", holds, 30)["note"])


@pytest.mark.usefixtures("controller")
def test_what_is_set_arrives_and_goes_again(api: Api, namespace: str) -> None:
    deployment = {"replicas": 2, "podLabels": {"example.com/pod": "1"}}
    service = {"annotations": {"example.com/service": "1"}}
    api.create(parameters(namespace, deployment=deployment, service=service))
    extra = {"labels": {"example.com/label": "1"}, "annotations": {"example.com/note": "1"}}
    api.create(gateway(namespace, parametersRef=PARAMETERS, **extra))

    def marks(item: Object) -> set[str]:
        """All of ours that an object and its pods have."""
        template = item.get("spec", {}).get("template", {}).get("metadata", {})
        parts = [part.get(name) or {} for part in (item["metadata"], template) for name in ("labels", "annotations")]
        return {name for part in parts for name in part if name.startswith("example.com/")}

    both = {"example.com/label", "example.com/note"}
    more = {"Service": {"example.com/service"}, "Deployment": {"example.com/pod"}}
    made = {
        kind: api.until(kind, namespace, NAME, lambda item, kind=kind: marks(item) == both | more.get(kind, set()))
        for kind in OWNED
    }
    assert made["Deployment"]["spec"]["replicas"] == 2

    api.patch("Gateway", namespace, "web", {"spec": {"infrastructure": {"labels": None, "annotations": None}}})
    nothing = {"deployment": {"replicas": None, "podLabels": None}, "service": {"annotations": None}}
    api.patch("GatewayParameters", namespace, "p", {"spec": nothing})
    for kind in OWNED:
        item = api.until(kind, namespace, NAME, lambda item: not marks(item))
        assert item["metadata"]["uid"] == made[kind]["metadata"]["uid"]
    # A count that nobody sets any more is whose who scales.
    assert api.get("Deployment", namespace, NAME)["spec"]["replicas"] == 2
    programmed(api, namespace)


@pytest.mark.usefixtures("controller")
def test_somebody_scales_a_data_plane(api: Api, namespace: str) -> None:
    """The count stays where the parameters say nothing of it; where they do it is put back, and that is told."""
    api.create(parameters(namespace, service={"annotations": {"example.com/service": "1"}}))
    api.create(gateway(namespace, parametersRef=PARAMETERS))
    programmed(api, namespace)
    kubectl("scale", "--namespace", namespace, f"deployment/{NAME}", "--replicas=2")
    api.until("Deployment", namespace, NAME, is_ready)
    api.patch("Gateway", namespace, "web", {"spec": {"infrastructure": {"labels": {"example.com/label": "1"}}}})
    api.until("Deployment", namespace, NAME, lambda item: "example.com/label" in item["metadata"]["labels"])
    assert api.get("Deployment", namespace, NAME)["spec"]["replicas"] == 2
    api.patch("GatewayParameters", namespace, "p", {"spec": {"deployment": {"replicas": 1}}})
    api.until("Deployment", namespace, NAME, lambda item: item["spec"]["replicas"] == 1)
    kubectl("scale", "--namespace", namespace, f"deployment/{NAME}", "--replicas=3")
    assert "spec.replicas was 3 and is 1 again" in warned(api, namespace, "web", "Reverted")
    api.until("Deployment", namespace, NAME, lambda item: item["spec"]["replicas"] == 1)


@pytest.mark.usefixtures("controller")
def test_who_waits_for_an_address_gets_it(api: Api, namespace: str) -> None:
    """The wait of the README begins before there is any status, and must not see a list that is empty."""
    [wait] = [line for line in (ROOT / "README.md").read_text().splitlines() if "--for=jsonpath=" in line]
    path = shlex.split(wait.replace("$", "", 1), comments=True)[2]
    api.create(gateway(namespace))
    kubectl("wait", "--namespace", namespace, path, "gateway/web", "--timeout=60s")
    assert programmed(api, namespace)


@pytest.mark.usefixtures("controller")
def test_an_autoscaler_comes_and_goes(api: Api, namespace: str) -> None:
    scaling = {"minReplicas": 2, "maxReplicas": 4}
    api.create(parameters(namespace, deployment={"replicas": 1}, autoscaling=scaling))
    api.create(gateway(namespace, parametersRef=PARAMETERS))
    scaler = api.until("HorizontalPodAutoscaler", namespace, NAME, lambda _: True)
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 4)
    assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}

    # Another apply leaves the count that the autoscaler came to.
    api.patch("Deployment", namespace, NAME, {"spec": {"replicas": 3}})
    api.patch("Gateway", namespace, "web", {"spec": {"infrastructure": {"labels": {"example.com/label": "1"}}}})
    labelled = api.until("Deployment", namespace, NAME, lambda item: "example.com/label" in item["metadata"]["labels"])
    assert labelled["spec"]["replicas"] == 3

    fixed: Object = {"spec": {"autoscaling": None, "deployment": {"replicas": 0}}}
    api.patch("GatewayParameters", namespace, "p", fixed)
    api.gone("HorizontalPodAutoscaler", namespace, NAME)
    api.until("Deployment", namespace, NAME, lambda item: item["spec"]["replicas"] == 0)
    # An autoscaler leaves a Deployment alone that is scaled to 0.
    api.patch("GatewayParameters", namespace, "p", {"spec": {"autoscaling": scaling, "deployment": None}})
    api.until("Deployment", namespace, NAME, lambda item: item["spec"]["replicas"] >= 2)
    api.until("HorizontalPodAutoscaler", namespace, NAME, lambda _: True)


def test_invalid_parameters_keep_the_traffic_and_are_told(api: Api, serving: Serving, load: Load) -> None:
    namespace = serving.namespace
    before = api.get("Deployment", namespace, NAME)["metadata"]
    api.create(parameters(namespace, proxy={"engine": {"trusted_proxies": ["nonsense"]}}))
    for name, said in (("none", "does not exist"), ("p", "spec.proxy.engine.trusted_proxies[0]: 'nonsense' is no")):
        reference = {"spec": {"infrastructure": {"parametersRef": {**PARAMETERS, "name": name}}}}
        api.patch("Gateway", namespace, "web", reference)
        found = api.until("Gateway", namespace, "web", lambda item, said=said: said in message_of(item, "Accepted"))
        assert reason_of(found, "Accepted") == ["InvalidParameters"]
        assert condition(found, "Programmed") == "True"  # it serves, as the load shows
    assert "GatewayParameters" in warned(api, namespace, "web", "InvalidParameters")
    change_arrives(api, serving)
    after = api.get("Deployment", namespace, NAME)["metadata"]
    assert (after["uid"], after["generation"]) == (before["uid"], before["generation"])
    api.patch("Gateway", namespace, "web", {"spec": {"infrastructure": None}})
    assert programmed(api, namespace) == serving.address


@pytest.mark.usefixtures("controller")
def test_a_service_of_somebody_else_is_left_alone(api: Api, namespace: str) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"ports": [{"port": 80}]},
    }
    before = api.create(theirs)
    api.create(gateway(namespace))
    found = api.until("Gateway", namespace, "web", lambda item: "NoResources" in reason_of(item, "Programmed"))
    said = f"Service {namespace}/{NAME} exists and is not Sluicegate's"
    assert said in message_of(found, "Programmed")
    assert not found["status"].get("addresses")
    assert said in warned(api, namespace, "web", "ProvisioningFailed")
    api.until("Deployment", namespace, NAME, is_ready)
    assert api.get("Service", namespace, NAME) == before
    assert not api.get("Gateway", namespace, "web")["status"].get("addresses")

    api.delete("Service", namespace, NAME)
    found = api.until("Gateway", namespace, "web", lambda item: condition(item, "Programmed") == "True")
    assert found["status"]["addresses"][0]["value"] != before["spec"]["clusterIP"]


@pytest.mark.usefixtures("controller")
def test_pods_that_cannot_be_made_are_told(api: Api, namespace: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    api.create(quota)
    api.until("ResourceQuota", namespace, "none", lambda item: "hard" in item.get("status", {}))
    api.create(gateway(namespace))
    found = api.until("Gateway", namespace, "web", lambda item: "NoResources" in reason_of(item, "Programmed"))
    assert f"Deployment {namespace}/{NAME} cannot make its pods" in message_of(found, "Programmed")
    assert "exceeded quota: none" in message_of(found, "Programmed")
    assert "exceeded quota: none" in warned(api, namespace, "web", "PodsNotReady")
    api.delete("ResourceQuota", namespace, "none")
    api.until("Gateway", namespace, "web", lambda item: condition(item, "Programmed") == "True")


@pytest.fixture
def shared(api: Api, controller: None) -> Iterator[str]:
    """A class whose Gateways share a data plane."""
    name = f"shared-{secrets.token_hex(4)}"
    reference = {**PARAMETERS, "name": name, "namespace": install.SYSTEM}
    spec = {"controllerName": "sluicegate.dev/controller", "parametersRef": reference}
    api.create(parameters(install.SYSTEM, name, mode="Shared"))
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": name}}
    api.create({**kind, "spec": spec})
    yield name
    api.delete("GatewayClass", "", name)
    api.delete("GatewayParameters", install.SYSTEM, name)


def test_a_shared_data_plane(api: Api, namespace: str, serving: Serving, shared: str) -> None:
    """Two Gateways of two namespaces have addresses of their own, and nothing of each other."""
    spaces, name = (namespace, serving.namespace), f"sluicegate-{shared}"
    api.apply(read(ROOT / "examples" / "cluster" / "example-svc.yaml"), namespace)
    hosts = {space: f"{space}.example.com" for space in spaces}
    for space in spaces:
        api.create(gateway(space, "both", shared))
        api.create(route(Serving(space, "both", ""), "both", hosts[space]))
    addresses = {space: programmed(api, space, "both") for space in spaces}
    assert len(set(addresses.values())) == 2
    for space, other in (spaces, reversed(spaces)):
        until(addresses[space], hosts[space])
        # An address is told before every balancer knows it.
        until(addresses[other], hosts[space], status=404)

    labels = f"app.kubernetes.io/instance={name}"
    [_] = api.list("Deployment", install.SYSTEM, labelSelector=labels)
    services = {
        item["metadata"]["labels"]["sluicegate.dev/gateway-namespace"]: item["metadata"]["name"]
        for item in api.list("Service", install.SYSTEM, labelSelector=labels)
    }
    assert set(services) == set(spaces)
    api.delete("Gateway", namespace, "both")
    api.gone("Service", install.SYSTEM, services[namespace])
    until(addresses[serving.namespace], hosts[serving.namespace])
    api.delete("Gateway", serving.namespace, "both")
    for kind in OWNED:
        api.gone(kind, install.SYSTEM, services[serving.namespace] if kind == "Service" else name)


def asked(api: Api, token: str, trust: bytes) -> tuple[grpc.StatusCode | None, dict[str, set[str]]]:
    """Ask the leader's config stream for everything, as whoever has a token (empty: without).

    Returns:
        The status that it ends with, None where a whole transaction came; names of what came, by section.
    """
    pod = api.get("Pod", install.SYSTEM, leader(api))
    credentials = grpc.ssl_channel_credentials(root_certificates=trust)
    host = f"sluicegate-controller.{install.SYSTEM}.svc"
    options = [("grpc.ssl_target_name_override", host)]
    done, got = threading.Event(), dict[str, set[str]]()

    def requests() -> Iterator[Any]:
        for section in (*SECTIONS, GENERATION):
            yield subscription(section, ())
        done.wait(STREAM_LIMIT)

    with grpc.secure_channel(f"{pod['status']['podIP']}:{STREAM_PORT}", credentials, options=options) as channel:
        method = channel.stream_stream(
            f"/{SERVICE}/{METHOD}",
            request_serializer=Request.to_bytes,
            response_deserializer=Response.from_bytes,
        )
        metadata = [("authorization", f"Bearer {token}")] if token else []
        try:
            for response in method(requests(), metadata=metadata, timeout=STREAM_LIMIT):
                section = section_of(response.type_url)
                if section == GENERATION:
                    return None, got
                got.setdefault(str(section), set()).update(item.name for item in response.resources)
        except grpc.RpcError as error:
            return error.code(), got
        finally:
            done.set()
    return grpc.StatusCode.OK, got


def test_the_config_stream_is_for_a_data_plane_alone(api: Api, serving: Serving) -> None:
    namespace = serving.namespace
    other = serve(api, namespace, "other")
    trust = api.get("ConfigMap", namespace, NAME)["data"]["ca.crt"].encode()
    [pod] = api.list("Pod", namespace, labelSelector=f"{LABEL}={other.gateway}")
    application = api.list("Pod", namespace, labelSelector="app=example-svc")[0]
    unknown, forbidden = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
    account = "other-sluicegate"
    for token, status in (
        ("", unknown),
        (api.token(namespace, "default", AUDIENCE), unknown),
        (api.token(namespace, "default", AUDIENCE, application), forbidden),
        (api.token(namespace, account, AUDIENCE), unknown),
        (api.token(namespace, account, "", pod), unknown),
    ):
        assert asked(api, token, trust) == (status, {})

    status, got = asked(api, api.token(namespace, account, AUDIENCE, pod), trust)
    assert status is None
    assert got["listeners"] == {f"Gateway/{namespace}/other/http"}
    assert got["http_rules"] == {f"HTTPRoute/{namespace}/other/0"}
    until(other.address, HOST)
    api.delete("Gateway", namespace, "other")


def test_a_data_plane_may_do_nothing(api: Api, serving: Serving) -> None:
    [pod] = api.list("Pod", serving.namespace, labelSelector=f"{LABEL}={serving.gateway}")
    process = task_of(pod["status"]["containerStatuses"][0]["containerID"])
    status = dict(re.findall(r"^(\w+):\s*(.*)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE))
    assert set(status["Uid"].split()) == {"65532"}
    assert {name: int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == dict.fromkeys(
        ("CapEff", "CapPrm", "CapBnd", "CapAmb"), 0
    )
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")

    account = Api(api.token(serving.namespace, NAME))
    for kind in ("Secret", "ConfigMap", "Pod", "HTTPRoute", "Gateway", "Namespace"):
        with pytest.raises(ApiError) as refused:
            account.list(kind, serving.namespace)
        assert refused.value.status == 403
