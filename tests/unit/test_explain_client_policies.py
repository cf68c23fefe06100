"""`sluicegate explain` says what a ClientPolicy and a RateLimitPolicy set, and not only that they are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from system_manifests import Manifest, dump, gateway, policy, route, rule, service, target

from sluicegate import ir
from sluicegate.cli.settings_in_words import settings_in_words

Explain = Callable[..., tuple[int, str]]

CASES: dict[str, tuple[str, Manifest, str]] = {
    "address": (
        "clientAddress",
        {"trustedProxies": ["10.0.0.0/8"], "proxyProtocol": "Required"},
        "holds: trustedProxies 10.0.0.0/8, proxyProtocol Required",
    ),
    "connections": (
        "connections",
        {"max": 10, "maxDuration": "30m", "maxRequests": 1000},
        "holds: max 10, maxDuration 1800s, maxRequests 1000",
    ),
    "timeouts": (
        "timeouts",
        {"head": "5s", "idle": "30s", "request": "500ms"},
        "holds: head 5s, idle 30s, request 500ms (where the route sets none)",
    ),
    "headers": (
        "headers",
        {"maxSize": "16Ki", "maxCount": 64, "underscores": "Drop"},
        "passes: maxSize 16384, maxCount 64, underscores Drop",
    ),
    "http2": ("http2", {"maxConcurrentStreams": 64}, "holds: maxConcurrentStreams 64"),
    "body": ("body", {"maxSize": "1Mi", "timeout": "10s"}, "passes: maxSize 1048576, timeout 10s"),
    "log": ("accessLog", {"mode": "All", "sample": {"numerator": 1}}, "holds: mode All, sample 1 of 100"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_a_client_policy_sets(explain: Explain, tmp_path: Path, name: str) -> None:
    stanza, spec, wanted = CASES[name]
    own = policy("ClientPolicy", "own", target("Gateway", "gateway"), **{stanza: spec})
    world = (gateway(), route(rule("/", "app")), *service("app", ("10.0.0.1", 80)), own)
    (tmp_path / "world.yaml").write_text(dump(*world))
    _, text = explain(tmp_path, "--request", "http://a.test:8080/", "--from", "203.0.113.7")
    lines = [line.strip() for line in text.splitlines() if f" {stanza} of ClientPolicy" in line]
    assert lines == [f"policy    {stanza} of ClientPolicy/default/own: {wanted}  [Gateway default/gateway]"]


def test_an_override_of_a_timeout() -> None:
    held = ir.ClientTimeouts(id="ClientPolicy/default/own/timeouts", overrides=True, request_ms=1_000)
    assert settings_in_words(held) == "request 1s (the shorter one, where the route sets one)"


def test_settings_of_tls_and_of_certificates() -> None:
    versions = ir.TlsVersions(min=ir.TlsVersion.TLS12, suites=(ir.CipherSuite.RSA_AES128,))
    tls = ir.ClientTls(id="a/b/c/tls", versions=versions)
    assert settings_in_words(tls) == "minVersion 1.2, cipherSuites TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    shown = ir.ClientCertificateHeader(
        id="a/b/c/clientCertificate", header="x-cert", fields=(ir.CertificateField.HASH, ir.CertificateField.DNS)
    )
    assert settings_in_words(shown) == "header x-cert, fields Hash DNS"


def test_what_limits_allow(explain: Explain, tmp_path: Path) -> None:
    limits = [
        {"name": "each", "key": ["client", "header:x-key"], "requests": 100, "per": "1m", "burst": 20},
        {"name": "all", "concurrent": 5, "pods": "Each"},
        {
            "name": "costly",
            "requests": 9,
            "per": "1h",
            "cost": "3",
            "when": "request.method == 'POST'",
            "scope": "Rule",
        },
        {"name": "seen", "requests": 1, "per": "1s", "mode": "Shadow", "key": ["claim:sub"]},
    ]
    own = policy("RateLimitPolicy", "own", target("Gateway", "gateway"), local={"limits": limits})
    world = (gateway(), route(rule("/", "app")), *service("app", ("10.0.0.1", 80)), own)
    (tmp_path / "world.yaml").write_text(dump(*world))
    _, text = explain(tmp_path, "--request", "http://a.test:8080/", "--from", "203.0.113.7")
    [line] = [line.strip() for line in text.splitlines() if " local of " in line]
    assert line == (
        "policy    local of RateLimitPolicy/default/own: counts; taken to pass here:"
        " each (100 in 60s, burst 20, key client header:x-key), all (concurrent 5, pods Each),"
        " costly (9 in 1h, burst 9, cost 3, when request.method == 'POST', scope Rule),"
        " seen (1 in 1s, burst 1, key claim:sub, mode Shadow)  [Gateway default/gateway]"
    )
