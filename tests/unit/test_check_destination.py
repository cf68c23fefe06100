"""`sluicegate check` in CI: what manifests are for, what makes it fail, what may be ignored, what nobody else tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from system_certificates import Authority
from system_manifests import dump, gateway, https, listener, route, rule, secret

Run = Callable[..., tuple[int, str]]
Check = Callable[..., tuple[int, dict[str, Any]]]

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "app"},
    "spec": {"selector": {"app": "app"}, "ports": [{"port": 80}]},
}
SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "app", "labels": {"kubernetes.io/service-name": "app"}},
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["127.0.0.1"]}],
    "ports": [{"port": 8080}],
}
PAIR = Authority().sign("a.test")


@pytest.fixture
def check(command: Run, tmp_path: Path) -> Check:
    """`check --output json` of some objects: exit status and document."""

    def run(*items: dict[str, Any] | str) -> tuple[int, dict[str, Any]]:
        objects = [item for item in items if isinstance(item, dict)]
        options = [item for item in items if isinstance(item, str)]
        (tmp_path / "all.yaml").write_text(dump(*objects))
        status, text = command("check", tmp_path / "all.yaml", "--output", "json", *options)
        return status, json.loads(text)

    return run


def codes(document: dict[str, Any]) -> list[str]:
    """Of all problems; that the certificate of a test ends soon is none here."""
    return sorted({item["code"] for item in document["problems"]} - {"certificate-expires"})


def test_the_manifests_of_the_readme_pass(command: Run) -> None:
    """What README applies to a cluster, as it stands there."""
    readme = (EXAMPLES.parent / "README.md").read_text()
    assert "kubectl apply -f examples/quickstart/gateway.yaml -f examples/cluster/example-svc.yaml" in readme
    status, text = command(
        "check",
        EXAMPLES / "quickstart" / "gateway.yaml",
        EXAMPLES / "cluster" / "example-svc.yaml",
        "--fail-on",
        "warning",
    )
    assert status == 0, text
    assert text.startswith("Checked for a cluster: the manifests have no EndpointSlice")
    assert text.endswith(
        "Not read: 1 of apps/v1/Deployment, a kind that the gateway has no use for\n5 documents: no problem\n"
    )
    assert "Programmed" not in text


def test_those_of_a_laptop_pass_too(command: Run) -> None:
    status, text = command("check", EXAMPLES / "quickstart", "--fail-on", "warning")
    assert status == 0, text
    assert text.startswith("Checked for sluicegate serve: the manifests have EndpointSlices")
    assert "(--for cluster: the other way)" in text.splitlines()[0]


def test_selectors_are_endpoints_in_a_cluster(check: Check) -> None:
    objects = (gateway(), route(rule("/", "app")), SERVICE)
    status, document = check(*objects)
    assert (status, document["destination"], codes(document)) == (0, "cluster", [])
    status, document = check(*objects, "--for", "standalone")
    assert (status, document["destination"], codes(document)) == (0, "standalone", ["no-endpoints"])
    bare = {**SERVICE, "spec": {"ports": [{"port": 80}]}}
    assert codes(check(gateway(), route(rule("/", "app")), bare)[1]) == ["no-endpoints"]


def test_fail_on_and_ignore(check: Check) -> None:
    objects = (gateway(), route(rule("/", "app")), SERVICE, "--for", "standalone")
    assert check(*objects)[0] == 0
    assert check(*objects, "--fail-on", "error")[0] == 0
    status, document = check(*objects, "--fail-on", "warning")
    assert (status, document["failed"], document["counts"]) == (1, True, {"error": 0, "warning": 1, "info": 0})
    status, document = check(*objects, "--fail-on", "warning", "--ignore", "no-endpoints", "--ignore", "schema")
    assert (status, document["ignored"], document["problems"]) == (0, {"no-endpoints": 1}, [])
    errors = (gateway(), route(rule("/", "gone")))
    assert check(*errors)[0] == 1
    assert check(*errors, "--ignore", "backend-not-found")[0] == 0


def test_a_code_that_is_none_is_told(command: Run) -> None:
    status, text = command("check", EXAMPLES, "--ignore", "no-endpoint")
    assert status == 2
    assert "--ignore: there is no code no-endpoint; did you mean no-endpoints?" in text


def test_two_gateways_on_one_port(check: Check) -> None:
    """In a cluster each has its own address; in one process they are merged."""
    objects = (gateway(name="one"), gateway(name="two"))
    status, document = check(*objects, "--for", "cluster")
    assert (status, codes(document)) == (0, [])
    status, document = check(*objects, "--for", "standalone")
    assert (status, codes(document)) == (1, ["listener-conflict"])


def test_a_secret_that_the_controller_is_not_shown(check: Check) -> None:
    pair = secret("pair", PAIR.certificate, PAIR.key)
    listens = gateway(https(secret="pair", hostname="a.test"))
    for destination in ("standalone", "cluster"):
        assert codes(check(listens, pair, "--for", destination)[1]) == []
        status, document = check(listens, {**pair, "type": "Opaque"}, "--for", destination)
        assert (status, codes(document)) == (0, ["secret-type"])
    release = {**pair, "type": "helm.sh/release.v1"}
    status, document = check(listens, release, "--for", "cluster")
    assert (status, codes(document)) == (1, ["invalid-certificate-ref"])


def test_what_the_api_server_refuses_has_no_conditions(check: Check, command: Run, tmp_path: Path) -> None:
    bad = gateway(listener(port=70_000))
    status, document = check(bad, route(rule("/", "app")), SERVICE)
    assert (status, document["refused"], codes(document)) == (
        1,
        ["Gateway/default/gateway"],
        ["foreign-parent", "schema"],
    )
    assert not any(item["object"].startswith("Gateway/") for item in document["objects"])
    [parent] = [item for item in document["problems"] if item["code"] == "foreign-parent"]
    assert parent["remedy"] == "correct Gateway/default/gateway first: it is refused"
    text = command("check", tmp_path / "all.yaml")[1]
    assert "Gateway/default/gateway  is refused" in text
    assert "Accepted=True" not in text


def test_a_condition_that_is_not_as_usual_says_why(check: Check, command: Run, tmp_path: Path) -> None:
    check(gateway(listener(), https(secret="not-yet")))
    text = command("check", tmp_path / "all.yaml")[1]
    assert (
        "\n  Accepted=True (ListenersNotValid): Some listeners are valid; waiting for their certificates: https" in text
    )
    assert "\n  listener http: Accepted=True (Accepted)\n" in text
    assert "\n  listener http: Conflicted=False (NoConflicts)\n" in text


def test_an_unknown_field_is_an_error_once(check: Check) -> None:
    misspelt = route(rule("/", "app"), hostname=["a.test"])
    status, document = check(gateway(), misspelt, SERVICE)
    assert (status, codes(document), len(document["problems"])) == (1, ["unknown-field"], 1)
    assert document["problems"][0]["severity"] == "error"


def test_a_match_that_another_route_has(check: Check) -> None:
    one = route(rule("/a", "app"), rule("/b", "app"), name="one", hostnames=["a.test"])
    two = route(rule("/c", "app"), rule("/a", "app"), name="two", hostnames=["a.test", "b.test"])
    status, document = check(gateway(), one, two, SERVICE)
    [found] = document["problems"]
    assert (status, found["severity"], found["code"]) == (0, "warning", "shadowed-route")
    assert (found["object"], found["field"]) == ("HTTPRoute/default/two", "spec.rules[1].matches[0]")
    assert found["message"] == (
        "HTTPRoute/default/one rules[0] has the same match at Gateway/default/gateway/http with hostname a.test "
        "and comes first, since its route comes first by namespace and name, and both are of the same age: "
        "this match gets none there"
    )
    assert found["line"] > 1
    two["spec"]["hostnames"] = ["a.test"]
    two["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    one["metadata"]["creationTimestamp"] = "2021-01-01T00:00:00Z"
    [found] = check(gateway(), one, two, SERVICE)[1]["problems"]
    assert found["object"] == "HTTPRoute/default/one"
    assert found["message"].endswith(
        "comes first, since its route is older (made 2020-01-01 00:00:00, this one 2021-01-01 00:00:00): "
        "this match gets no request"
    )
    twice = route(rule("/a", "app"), rule("/a", "app"), hostnames=["a.test", "b.test", "c.test"])
    [found] = check(gateway(), twice, SERVICE)[1]["problems"]
    assert (
        "with hostname a.test and 2 other places and comes first, since its rule comes first in the" in found["message"]
    )


@pytest.mark.parametrize(
    "other",
    [
        {"path": {"value": "/a"}, "method": "GET"},
        {"path": {"value": "/a", "type": "Exact"}},
        {"path": {"value": "/a"}, "headers": [{"name": "x", "value": "2"}]},
        {"path": {"value": "/a"}, "queryParams": [{"name": "x", "value": "1"}]},
    ],
)
def test_matches_that_differ_are_no_shadow(check: Check, other: dict[str, Any]) -> None:
    one = route(rule(matches=[{"path": {"value": "/a"}, "headers": [{"name": "x", "value": "1"}]}]), name="one")
    assert codes(check(gateway(), one, route(rule(matches=[other]), name="two"))[1]) == ["no-backends"]


POLICIES = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: jwt}
spec:
  targetRefs:
  - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: route}
  jwt: {}
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: retries}
spec: {targetRefs: [{group: "", kind: Service, name: app}]}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: ClientSettingsPolicy
metadata: {name: body, namespace: default}
spec: {targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: gateway}}
---
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: app}
spec: {targetRef: {apiVersion: apps/v1, kind: Deployment, name: app}}
"""


def test_policies_that_nobody_honours_are_told(check: Check) -> None:
    status, document = check(gateway(), route(rule("/", "app")), SERVICE, *yaml.safe_load_all(POLICIES))
    found = {item["object"]: item for item in document["problems"]}
    assert status == 0
    assert {item["code"] for item in found.values()} == {"foreign-policy"}
    assert sorted(found) == [
        "ClientSettingsPolicy/default/body",
        "SecurityPolicy/default/jwt",
        "TrafficPolicy/default/retries",
    ]
    told = found["SecurityPolicy/default/jwt"]
    assert told["field"] == "spec.targetRefs[0]"
    assert "is not honoured: what it says of HTTPRoute default/route has no effect" in told["message"]
    assert document["not_read"]["autoscaling.k8s.io/v1/VerticalPodAutoscaler"] == 1


def test_paths_that_no_request_has_without_normalisation(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = (gateway(), route(rule("/caf%61", "app"), rule("/caf%c3%a9", "app"), rule("/plain", "app")), SERVICE)
    assert codes(check(*objects)[1]) == []
    settings = tmp_path / "sluicegate.toml"
    settings.write_text('[engine]\npath_normalization = "off"\n')
    _, document = check(*objects, "--config", str(settings))
    assert [(item["code"], item["field"]) for item in document["problems"]] == [
        ("path-normalization", f"spec.rules[{index}].matches[0].path.value") for index in (0, 1)
    ]
    assert document["problems"][0]["message"] == "/caf%61 is looked for as /cafa, and path_normalization is off"
    monkeypatch.setenv("SLUICEGATE_CONFIG", str(settings))
    assert codes(check(*objects)[1]) == ["path-normalization"]
