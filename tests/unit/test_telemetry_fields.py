"""What is said of traces besides an XTelemetryPolicy: what schemas take, what `check` and `explain` say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import (
    Manifest,
    by,
    dump,
    gateway,
    http_filter,
    listener,
    metadata,
    policy,
    route,
    rule,
    service,
    target,
)

from sluicegate.schema import violations

Command = Callable[..., tuple[int, str]]

EDGE = target("Gateway", "edge")
B3 = policy("ClientPolicy", "b3", EDGE, tracing={"propagation": ["B3", "B3Multi"]})
SELDOM = http_filter("seldom", telemetry={"sampling": {"numerator": 1, "denominator": 1000}})
ALWAYS = http_filter("always", telemetry={"sampling": {"numerator": 100}})


def client(**tracing: Any) -> Manifest:
    return policy("ClientPolicy", "p", EDGE, tracing=tracing)


PROVIDER = {"provider": {"backendRef": {"name": "collector", "port": 80}}}


def telemetry(**tracing: Any) -> Manifest:
    """A policy of the Gateway; one that traces has a provider, as the API server wants it."""
    provided = PROVIDER if tracing.get("mode", "Enabled") == "Enabled" else {}
    return {
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XTelemetryPolicy",
        "metadata": metadata("traces"),
        "spec": {"targetRefs": [EDGE], "tracing": {"mode": "Enabled", **provided, **tracing}},
    }


def world(*manifests: Manifest, of_listener: str = "", of_rule: str = "") -> tuple[Manifest, ...]:
    """A Gateway with one rule, which have filters of these names."""
    filters = {"filters": {"requests": by(of_listener)}} if of_listener else {}
    return (
        gateway(listener(**filters), name="edge"),
        route(rule("/", "app", **({"filters": by(of_rule)} if of_rule else {})), parents=[{"name": "edge"}]),
        *service("app", ("10.0.0.1", 80)),
        *service("collector", ("10.0.0.2", 4317)),
        SELDOM,
        ALWAYS,
        *manifests,
    )


@pytest.mark.parametrize(
    "manifest",
    [
        B3,
        client(propagation=["B3Multi"]),
        client(propagation=[]),
        client(mode="Disabled"),
        telemetry(),
        telemetry(mode="Disabled"),
        telemetry(mode="ImplementationDefault"),
        SELDOM,
        ALWAYS,
        http_filter("f", telemetry={"sampling": {"numerator": 0}}),
        http_filter("f", telemetry={"sampling": {"numerator": 7, "denominator": 7}}),
    ],
)
def test_what_is_taken(manifest: Manifest) -> None:
    assert violations(manifest) == []


@pytest.mark.parametrize(
    ("manifest", "field", "words"),
    [
        (client(), "spec.tracing", "propagation is needed, or mode Disabled"),
        (client(propagation=["Jaeger"]), "spec.tracing.propagation[0]", "Jaeger"),
        (client(propagation=["B3", "B3"]), "spec.tracing.propagation[1]", "B3"),
        (client(propagation=["B3", "B3Multi", "B3"]), "spec.tracing.propagation", ""),
        (
            policy("ClientPolicy", "p", target("HTTPRoute", "shop"), tracing={"propagation": ["B3"]}),
            "spec",
            "are for Gateways and ListenerSets",
        ),
        *(
            (manifest, "spec.tracing", "provider is required when mode is Enabled, and must be empty otherwise")
            for manifest in (
                telemetry(mode="Disabled", **PROVIDER),
                telemetry(mode="ImplementationDefault", **PROVIDER),
                telemetry(provider=None),
            )
        ),
        (http_filter("f", telemetry={}), "spec.telemetry.sampling", ""),
        (http_filter("f", telemetry={"sampling": {}}), "spec.telemetry.sampling.numerator", ""),
        (
            http_filter("f", telemetry={"sampling": {"numerator": 101}}),
            "spec.telemetry.sampling",
            "the numerator is not above the denominator",
        ),
        (
            http_filter("f", telemetry={"sampling": {"numerator": 8, "denominator": 7}}),
            "spec.telemetry.sampling",
            "the numerator is not above the denominator",
        ),
        (
            http_filter("f", telemetry={"sampling": {"numerator": 0, "denominator": 0}}),
            "spec.telemetry.sampling.denominator",
            "",
        ),
        (http_filter("f", telemetry={"sampling": {"numerator": -1}}), "spec.telemetry.sampling.numerator", ""),
        (
            http_filter("f", telemetry={"sampling": {"numerator": 1}}, buffer={"maxSize": 1}),
            "spec",
            "exactly one of",
        ),
    ],
)
def test_what_is_refused(manifest: Manifest, field: str, words: str) -> None:
    found = [item for item in violations(manifest) if item.field == field]
    assert found, violations(manifest)
    assert any(words in item.message for item in found), found


@pytest.fixture
def untraced(command: Command, tmp_path: Path) -> Callable[..., dict[tuple[str, str], str]]:
    """What `check` says of traces that there are none of, by object and field."""

    def run(*manifests: Manifest) -> dict[tuple[str, str], str]:
        (tmp_path / "world.yaml").write_text(dump(*manifests))
        document = json.loads(command("check", "--for", "standalone", "--output", "json", tmp_path)[1])
        problems = [item for item in document["problems"] if item["code"] == "not-traced"]
        assert all(item["severity"] == "warning" and item["line"] for item in problems)
        return {(item["object"], item["field"]): item["message"] for item in problems}

    return run


def test_check_tells_where_nothing_is_traced(untraced: Callable[..., dict[tuple[str, str], str]]) -> None:
    every = world(B3, of_listener="seldom", of_rule="always")
    expected = {
        ("Gateway/default/edge", "spec.listeners"): "telemetry of an HTTPFilter of the listener http means nothing",
        ("ClientPolicy/default/b3", "spec.tracing"): "tracing means nothing at Gateway/default/edge/http",
        ("HTTPRoute/default/route", "spec.rules[0].filters"): "telemetry of an HTTPFilter means nothing at Gateway",
    }
    for manifests in (
        every,
        (*every, telemetry(mode="Disabled")),
        (*every, telemetry(provider={"backendRef": {"name": "missing", "port": 80}})),
    ):
        found = untraced(*manifests)
        assert found.keys() == expected.keys()
        assert all(words in found[place] for place, words in expected.items())
    assert untraced(*every, telemetry()) == {}
    assert untraced(*world()) == {}
    assert untraced(*world(policy("ClientPolicy", "b3", EDGE, tracing={"propagation": []}))) == {}


@pytest.mark.parametrize("destination", ["standalone", "cluster"])
def test_check_refuses_what_the_api_server_does(command: Command, tmp_path: Path, destination: str) -> None:
    (tmp_path / "world.yaml").write_text(dump(*world(telemetry(mode="Disabled", **PROVIDER))))
    status, text = command("check", "--for", destination, "--output", "json", tmp_path)
    found = json.loads(text)
    (problem,) = [item for item in found["problems"] if item["severity"] == "error"]
    assert (status, problem["code"], problem["field"]) == (1, "rule", "spec.tracing")
    assert found["refused"] == ["XTelemetryPolicy/default/traces"]


def test_one_listener_that_is_traced_is_enough(untraced: Callable[..., dict[tuple[str, str], str]]) -> None:
    every = world(telemetry(), of_rule="always")
    both = route(rule("/both", "app", filters=by("always")), name="both", parents=[{"name": "edge"}, {"name": "other"}])
    assert untraced(*every, gateway(listener(port=8081), name="other"), both) == {}


@pytest.fixture
def traced(explain: Command, tmp_path: Path) -> Callable[..., tuple[list[str], Manifest | None]]:
    """The lines of `explain` about traces, and what is written for programs."""

    def run(*manifests: Manifest, path: str = "/") -> tuple[list[str], Manifest | None]:
        (tmp_path / "world.yaml").write_text(dump(*manifests))
        asked = (tmp_path, "--request", f"GET http://a.test:8080{path}")
        lines = [line.strip() for line in explain(*asked)[1].splitlines()]
        document = json.loads(explain(*asked, "--output", "json")[1])
        return [line for line in lines if line.startswith("traced ")], document["tracing"]

    return run


@pytest.mark.parametrize(
    ("of_listener", "of_rule", "share", "by_whom"),
    [
        ("", "", (5, 100), "policy"),
        ("seldom", "", (1, 1000), "listener"),
        ("seldom", "always", (100, 100), "rule"),
        ("", "seldom", (1, 1000), "rule"),
    ],
)
def test_explain_says_how_often(
    traced: Callable[..., tuple[list[str], Manifest | None]],
    of_listener: str,
    of_rule: str,
    share: tuple[int, int],
    by_whom: str,
) -> None:
    tracing = {"samplingRate": {"numerator": 5}, "serviceName": "shop"}
    manifests = world(telemetry(**tracing), B3, of_listener=of_listener, of_rule=of_rule)
    [line], found = traced(*manifests)
    assert found == {
        "policy": "XTelemetryPolicy/default/traces",
        "service_name": "shop",
        "sampling": {"numerator": share[0], "denominator": share[1]},
        "sampling_of": by_whom,
        "parent_sampling": None,
        "propagation": ["B3", "B3Multi"],
        "collector": "default/collector:80",
    }
    by = "" if by_whom == "policy" else f" (HTTPFilter of the {by_whom})"
    assert line == (
        f"traced    by XTelemetryPolicy/default/traces, samplingRate {share[0]} of {share[1]}{by}, "
        "what clients say of it does not count, backends are told by B3 and B3Multi too, serviceName shop, "
        "spans go to default/collector:80"
    )


def test_explain_where_clients_are_believed(traced: Callable[..., tuple[list[str], Manifest | None]]) -> None:
    parent = {"mode": "Enabled", "samplingRate": {"numerator": 50}}
    [line], found = traced(*world(telemetry(parentBasedSampling=parent)))
    assert found is not None
    assert found["parent_sampling"] == {"numerator": 50, "denominator": 100}
    assert "samplingRate 1 of 100, 50 of 100 of what clients have sampled, serviceName sluicegate" in line


def test_explain_where_nothing_is_traced(traced: Callable[..., tuple[list[str], Manifest | None]]) -> None:
    assert traced(*world(B3, of_rule="always")) == ([], None)
    assert traced(*world(telemetry(mode="Disabled"))) == ([], None)
