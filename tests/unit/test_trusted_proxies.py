"""`check` tells where whoever connects is a trusted proxy, and so can say that it has any address."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from system_manifests import Manifest, dump, gateway, metadata, policy, route, rule, service, target

from sluicegate.controller.translate.policies.networks import trusts_everybody

Command = Callable[..., tuple[int, str]]

WORLD = (gateway(), route(rule("/", "app")), *service("app", ("10.0.0.1", 80)))
V4, V6, BOTH = "every address of IPv4 is", "every address of IPv6 is", "every address of IPv4, IPv6 is"


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        (["0.0.0.0/0"], V4),
        (["::/0"], V6),
        (["10.0.0.0/8", "0.0.0.0/0"], V4),
        (["0.0.0.0/1", "128.0.0.0/1"], V4),
        (["::/1", "8000::/2", "c000::/2"], V6),
        (["::/0", "0.0.0.0/0"], BOTH),
        (["::ffff:0.0.0.0/96"], V4),
        (["0.0.0.0/1", "::ffff:128.0.0.0/97"], V4),
        (["1.2.3.4/0"], V4),
        (["no network", "0.0.0.0/0"], V4),
    ],
)
def test_networks_that_are_everybody(networks: list[str], words: str) -> None:
    assert trusts_everybody(networks).startswith(words)


@pytest.mark.parametrize(
    "networks", [[], ["10.0.0.0/8"], ["0.0.0.0/1"], ["::/1", "c000::/2"], ["0.0.0.0/1", "8000::/1"], ["0"]]
)
def test_networks_that_are_not(networks: list[str]) -> None:
    assert trusts_everybody(networks) == ""


@pytest.fixture
def told(command: Command, tmp_path: Path) -> Callable[..., list[Manifest]]:
    """What `check` says of it."""

    def run(*manifests: Manifest, settings: str = "") -> list[Manifest]:
        (tmp_path / "world.yaml").write_text(dump(*WORLD, *manifests))
        (tmp_path / "sluicegate.toml").write_text(settings)
        options = ("--for", "standalone", "--output", "json", "--config", tmp_path / "sluicegate.toml")
        document = json.loads(command("check", *options, tmp_path)[1])
        return [item for item in document["problems"] if item["code"] == "trusts-everybody"]

    return run


def test_a_policy(told: Callable[..., list[Manifest]], command: Command, tmp_path: Path) -> None:
    own = policy("ClientPolicy", "own", target("Gateway", "gateway"), clientAddress={"trustedProxies": ["0.0.0.0/0"]})
    (found,) = told(own)
    assert found["object"] == "ClientPolicy/default/own"
    assert (found["field"], found["severity"]) == ("spec.clientAddress.trustedProxies", "warning")
    assert "any client can say that it has any address" in found["message"]
    assert found["remedy"].startswith("name the proxies")
    assert found["line"]
    # Whoever looks at the cluster finds it in the condition.
    document = json.loads(command("check", "--for", "standalone", "--output", "json", tmp_path)[1])
    status = next(item["status"] for item in document["objects"] if item["object"] == found["object"])
    accepted = next(item for item in status["ancestors"][0]["conditions"] if item["type"] == "Accepted")
    assert accepted["status"] == "True"
    assert accepted["message"].startswith("The policy is accepted; every address of IPv4 is a trusted proxy")


def test_the_settings_file(told: Callable[..., list[Manifest]], tmp_path: Path) -> None:
    (found,) = told(settings='[engine]\ntrusted_proxies = ["0.0.0.0/1", "128.0.0.0/1"]\n')
    assert (found["path"], found["field"]) == (str(tmp_path / "sluicegate.toml"), "engine.trusted_proxies")
    assert told(settings='[engine]\ntrusted_proxies = ["10.0.0.0/8"]\n') == []


def test_parameters(told: Callable[..., list[Manifest]]) -> None:
    def parameters(*networks: str) -> Manifest:
        return {
            "apiVersion": "sluicegate.dev/v1alpha1",
            "kind": "GatewayParameters",
            "metadata": metadata("own"),
            "spec": {"proxy": {"engine": {"trusted_proxies": list(networks)}}},
        }

    (found,) = told(parameters("::/0"))
    assert (found["object"], found["field"]) == (
        "GatewayParameters/default/own",
        "spec.proxy.engine.trusted_proxies",
    )
    assert found["line"]
    assert told(parameters("10.0.0.0/8")) == []
