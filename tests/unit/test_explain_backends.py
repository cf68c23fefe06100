"""`sluicegate explain` says how the endpoints of the backend are used, and what keeps a client with one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest
from system_manifests import Manifest, backend, backend_policy, dump, gateway, policy, route, rule, service, target

from sluicegate import ir
from sluicegate.cli.used_backends import parts_in_words
from sluicegate.testing.offline import Offline

Explain = Callable[..., tuple[int, str]]
Of = Callable[..., tuple[list[str], Manifest]]

SERVICE = target("Service", "app", group="")


@pytest.fixture
def of_backend(explain: Explain, tmp_path: Path) -> Of:
    """The lines about one backend and its sessions, and what is written for programs."""

    def run(*manifests: Manifest, asked: str = "http://a.test:8080/", **spec: object) -> tuple[list[str], Manifest]:
        world = (gateway(), route({**rule("/", "app"), **spec}), *service("app", ("10.0.0.1", 80)), *manifests)
        (tmp_path / "world.yaml").write_text(dump(*world))
        lines = [line.strip() for line in explain(tmp_path, "--request", asked)[1].splitlines()]
        document = json.loads(explain(tmp_path, "--request", asked, "--output", "json")[1])
        found = {name: document[name] for name in ("backend_parts", "session")}
        return [line for line in lines if line.startswith(("policy ", "session "))], found

    return run


def traffic(**spec: object) -> Manifest:
    made = policy("XBackendTrafficPolicy", "own", SERVICE, **spec)
    return {**made, "apiVersion": "gateway.networking.x-k8s.io/v1alpha1"}


CASES: Mapping[str, tuple[Manifest, list[str]]] = {
    "hash": (
        {"loadBalancing": {"type": "Hash", "hash": {"key": ["header:x-user", "client"], "subset": 3}}},
        ["loadBalancing of BackendPolicy/default/own: Hash of header:x-user, client, subset 3"],
    ),
    "slow-start": (
        {"loadBalancing": {"type": "PeakEwma", "slowStart": "30s"}},
        ["loadBalancing of BackendPolicy/default/own: PeakEwma, slowStart 30s"],
    ),
    "limits": (
        {"limits": {"connections": 10, "requests": 200, "pending": 0}},
        ["limits of BackendPolicy/default/own: connections 10, requests 200, pending 0"],
    ),
    "timeouts": (
        {"timeouts": {"connect": "500ms", "idle": "1m", "firstByte": "10s", "stall": "5s"}},
        ["timeouts of BackendPolicy/default/own: connect 500ms, idle 60s, firstByte 10s, stall 5s"],
    ),
    "retries": (
        {"retries": {"methods": ["POST"], "within": "5s"}},
        ["retries of BackendPolicy/default/own: methods POST, within 5s"],
    ),
    "passive": (
        {"health": {"passive": {"consecutiveErrors": 7, "ejectFor": "20s", "maxEjected": 30}, "panicThreshold": 40}},
        [
            "health of BackendPolicy/default/own:"
            " passive: consecutiveErrors 7, ejectFor 20s, maxEjected 30; panicThreshold 40"
        ],
    ),
    "active": (
        {"health": {"active": {"type": "HTTP", "http": {"path": "/up", "host": "h.test"}, "port": 81}}},
        [
            "health of BackendPolicy/default/own: active: HTTP /up, host h.test, port 81, interval 5s, timeout 1s,"
            " unhealthyThreshold 3, healthyThreshold 1; panicThreshold 50"
        ],
    ),
    "connection": (
        {
            "connection": {
                "maxRequests": 100,
                "proxyProtocol": "v2",
                "keepalive": {"idle": "30s", "interval": "5s", "probes": 3},
            }
        },
        [
            "connection of BackendPolicy/default/own:"
            " maxRequests 100, proxyProtocol v2, keepalive idle 30s interval 5s probes 3"
        ],
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_parts_of_a_backend_policy(of_backend: Of, name: str) -> None:
    spec, wanted = CASES[name]
    lines, found = of_backend(backend_policy("own", "app", **spec))
    assert [line.removeprefix("policy").strip() for line in lines] == wanted
    assert [f"{item['part']} of {item['policy']}: {item['says']}" for item in found["backend_parts"]] == wanted, (
        "programs are told the same"
    )


def test_a_backend_without_policies(of_backend: Of) -> None:
    assert of_backend() == ([], {"backend_parts": [], "session": None})


def test_one_that_is_not_chosen_says_nothing(of_backend: Of) -> None:
    lines, found = of_backend(
        backend_policy("own", "app", limits={"requests": 1}),
        backendRefs=[backend("app", weight=0), backend("other", weight=1)],
    )
    assert (lines, found["backend_parts"]) == ([], [])


def test_one_that_cannot_be_honoured(of_backend: Of) -> None:
    lines, _ = of_backend(backend_policy("own", "app", loadBalancing={"type": "Hash", "hash": {"key": ["header: "]}}))
    assert lines == ["policy    BackendPolicy/default/own: it cannot be honoured"]


def test_a_session_of_the_rule(of_backend: Of) -> None:
    spec = {
        "type": "Cookie",
        "absoluteTimeout": "12h",
        "cookie": {"name": "shop", "path": "/a", "lifetimeType": "Permanent"},
    }
    lines, found = of_backend(sessionPersistence=spec)
    assert lines == ["session   cookie shop, path /a, Permanent, absoluteTimeout 12h"]
    assert found["session"] == {
        "carrier": "cookie",
        "name": "shop",
        "path": "/a",
        "is_permanent": True,
        "absolute_timeout_ms": 43_200_000,
        "policy": None,
    }


def test_a_session_of_the_service(of_backend: Of) -> None:
    """What a rule says holds in its place."""
    own = traffic(sessionPersistence={"type": "Header", "header": {"name": "X-Session"}})
    lines, found = of_backend(own)
    assert lines == ["session   header x-session  [XBackendTrafficPolicy/default/own]"]
    assert found["session"]["policy"] == "XBackendTrafficPolicy/default/own"
    lines, _ = of_backend(own, sessionPersistence={"type": "Cookie", "cookie": {"name": "shop"}})
    assert lines == ["session   cookie shop, path /"]


def test_how_its_cookie_is_written(of_backend: Of) -> None:
    lines, _ = of_backend(
        backend_policy(
            "own", "app", sessionCookie={"domain": "a.test", "sameSite": "Lax", "maxAge": "1h", "onFailure": "Keep"}
        ),
        sessionPersistence={"type": "Cookie", "cookie": {"name": "shop"}},
    )
    assert lines == [
        "session   cookie shop, path /",
        "policy    sessionCookie of BackendPolicy/default/own: domain a.test, sameSite Lax, secure OverTLS,"
        " httpOnly true, maxAge 1h, onFailure Keep, backends ByWeight",
    ]


def test_a_budget_of_retries(of_backend: Of) -> None:
    lines, _ = of_backend(
        traffic(
            retryConstraint={
                "budget": {"percent": 20, "interval": "10s"},
                "minRetryRate": {"count": 10, "interval": "1s"},
            }
        )
    )
    assert lines == [
        "policy    retryConstraint of XBackendTrafficPolicy/default/own: percent 20 in 10s, minRetryRate 10 in 1s"
    ]


def test_tls(of_backend: Of) -> None:
    tls = policy(
        "BackendTLSPolicy", "own", SERVICE, validation={"hostname": "b.test", "wellKnownCACertificates": "System"}
    )
    tls["apiVersion"] = "gateway.networking.k8s.io/v1"
    lines, _ = of_backend(tls, backend_policy("more", "app", tls={"minVersion": "1.3", "serverName": "Omitted"}))
    assert lines == [
        "policy    validation of BackendTLSPolicy/default/own: hostname b.test, CA certificates of the system",
        "policy    tls of BackendPolicy/default/more: minVersion 1.3, serverName Omitted",
    ]


def test_nothing_that_a_policy_says_is_left_out() -> None:
    """Each field of the resource, set alone, is told."""
    values = {
        "load_balancing": ir.Random(),
        "slow_start_ms": 1_000,
        "limits": ir.BackendLimits(requests=1),
        "timeouts": ir.BackendTimeouts(connect_ms=1),
        "retry_methods": ("POST",),
        "retry_within_ms": 1_000,
        "passive": ir.PassiveHealth(consecutive_errors=1, eject_for_ms=1, max_ejected_percent=1),
        "active": ir.ActiveHealth(
            question=ir.TcpQuestion(), interval_ms=1, timeout_ms=1, unhealthy_after=1, healthy_after=1
        ),
        "panic_percent": 1,
        "proxy_protocol": ir.ProxyProtocol.V1,
        "max_requests": 1,
        "keepalive": ir.Keepalive(idle_seconds=1, interval_seconds=1, probes=1),
        "tls": ir.TlsVersions(min=ir.TlsVersion.TLS13),
        "unverified": True,
        "nameless": True,
        "session_cookie": ir.SessionCookieAttributes(),
        "invalid": True,
    }
    assert set(values) == {item.name for item in msgspec.structs.fields(ir.BackendPolicy)} - {"id"}
    silent = [
        name for name, value in values.items() if not [*parts_in_words(ir.BackendPolicy(id="x", **{name: value}))]
    ]
    # What may be used of the endpoints that do badly is told beside who finds that out.
    assert silent == ["panic_percent"]


def test_what_is_wrong_is_looked_for_once(explain: Explain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a look at every object: of 10,000 routes a good part of the time."""
    looks = []
    diagnostics = Offline.diagnostics
    monkeypatch.setattr(Offline, "diagnostics", lambda self: looks.append(self) or diagnostics(self))
    world = (gateway(), route(rule("/", "missing")), *service("app", ("10.0.0.1", 80)))
    (tmp_path / "world.yaml").write_text(dump(*world))
    _, text = explain(tmp_path, "--request", "http://a.test:8080/")
    assert "Service default/missing does not exist" in text
    assert len(looks) == 1
