"""What the schemas of AccessPolicy, BackendPolicy, ClientPolicy and RateLimitPolicy take and refuse, by field."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.schema import violations

BACKEND = {"name": "login", "port": 443}


def object_of(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    group, target = ("", "Service") if kind == "BackendPolicy" else ("gateway.networking.k8s.io", "HTTPRoute")
    reference = {"group": group, "kind": target, "name": "shop"}
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"targetRefs": [reference], **spec},
    }


def keys(**given: Any) -> tuple[str, dict[str, Any]]:
    provider = {"name": "login", "issuer": "https://login.test", "audiences": ["shop"], "keys": given}
    return "AccessPolicy", {"jwt": {"providers": [provider]}}


def external(**given: Any) -> tuple[str, dict[str, Any]]:
    return "AccessPolicy", {"external": {"protocol": "HTTP", "backendRef": BACKEND, **given}}


def cookie(**given: Any) -> tuple[str, dict[str, Any]]:
    return "BackendPolicy", {"sessionCookie": given}


def collector(**given: Any) -> tuple[str, dict[str, Any]]:
    return "ClientPolicy", {"accessLog": {"collector": given}}


def limit(**given: Any) -> tuple[str, dict[str, Any]]:
    return "RateLimitPolicy", {"local": {"limits": [{"name": "a", **given}]}}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        keys(configMapRef={"name": "keys"}),
        keys(backendRef=BACKEND, path="/keys?p=1"),
        keys(backendRef={**BACKEND, "namespace": "auth"}, path="/keys", hostname="login.test", refresh="12h"),
        external(cache={"ttl": "5m"}, signIn={"url": "https://login.test/start?a=b"}),
        external(cache={"ttl": "1s", "headers": ["Cookie"], "denials": True}, http={"path": "/a", "exact": True}),
        external(
            http={"method": "GET", "host": "[::1]:80", "setHeaders": [{"name": "X-A", "expression": "request.path"}]}
        ),
        external(signIn={"url": "/start?a=b", "returnTo": "Path"}, http={"clientHeaders": ["X-Plan"]}),
        cookie(domain=".example.com", sameSite="None", secure="Always", httpOnly=False, maxAge="12h"),
        cookie(sameSite="None"),
        ("BackendPolicy", {"retries": {"within": "10s"}}),
        ("BackendPolicy", {"loadBalancing": {"type": "Hash", "hash": {"key": ["client"], "subset": 8}}}),
        collector(backendRef=BACKEND, headers=[{"name": "Authorization", "value": "Bearer a"}]),
        collector(backendRef={**BACKEND, "namespace": "observability"}),
        collector(backendRef={"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "vendor"}),
        limit(requests=1, per="1s"),
        limit(concurrent=1, key=["client"], mode="Shadow"),
    ],
)
def test_what_is_taken(kind: str, spec: dict[str, Any]) -> None:
    assert violations(object_of(kind, spec)) == []


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        (keys(), "spec.jwt.providers[0].keys", "exactly one of configMapRef, secretRef and backendRef"),
        (
            keys(backendRef=BACKEND, path="/keys", secretRef={"name": "a"}),
            "spec.jwt.providers[0].keys",
            "exactly one of",
        ),
        (keys(backendRef=BACKEND), "spec.jwt.providers[0].keys", "backendRef and path go together"),
        (
            keys(configMapRef={"name": "a"}, hostname="a.test"),
            "spec.jwt.providers[0].keys",
            "hostname goes with backendRef",
        ),
        (
            keys(configMapRef={"name": "a"}, refresh="1m"),
            "spec.jwt.providers[0].keys",
            "refresh goes with backendRef",
        ),
        (keys(backendRef=BACKEND, path="keys"), "spec.jwt.providers[0].keys.path", ""),
        (keys(backendRef=BACKEND, path="/keys", refresh="9s"), "spec.jwt.providers[0].keys.refresh", "10s to 12h"),
        (external(cache={}), "spec.external.cache.ttl", "required"),
        (external(cache={"ttl": "6m"}), "spec.external.cache.ttl", "up to 5m"),
        (external(signIn={"url": "javascript:alert(1)"}), "spec.external.signIn.url", ""),
        (external(signIn={"url": "https://a.test/#b"}), "spec.external.signIn.url", ""),
        (external(signIn={"url": "//evil.test/"}), "spec.external.signIn.url", "of another host"),
        (external(http={"setHeaders": [{"name": "X-A"}]}), "spec.external.http.setHeaders[0]", "exactly one of value"),
        (
            external(http={"setHeaders": [{"name": "Host", "value": "a"}]}),
            "spec.external.http.setHeaders[0].name",
            "set by no policy",
        ),
        (external(http={"method": "CONNECT"}), "spec.external.http.method", ""),
        (external(http={"host": "a/b"}), "spec.external.http.host", ""),
        (cookie(domain="example..com"), "spec.sessionCookie.domain", ""),
        (cookie(sameSite="None", secure="Never"), "spec.sessionCookie", "only where it is Secure"),
        (("BackendPolicy", {"retries": {}}), "spec.retries", "give methods, or within"),
        (cookie(maxAge="500ms"), "spec.sessionCookie.maxAge", ""),
        (cookie(maxAge="9601h"), "spec.sessionCookie.maxAge", "from 1s to 9600h"),
        (collector(), "spec.accessLog.collector.backendRef", "required"),
        (collector(backendRef={"name": "a"}), "spec.accessLog.collector.backendRef", "a port is named"),
        (
            collector(backendRef=BACKEND, headers=[{"name": "a b", "value": "c"}]),
            "spec.accessLog.collector.headers[0].name",
            "",
        ),
        (
            collector(backendRef=BACKEND, headers=[{"name": "a", "value": ""}]),
            "spec.accessLog.collector.headers[0].value",
            "",
        ),
        (
            collector(backendRef=BACKEND, headers=[{"name": "a", "value": "b"}] * 2),
            "spec.accessLog.collector.headers[1]",
            "duplicate",
        ),
        (limit(), "spec.local.limits[0]", "give requests and per, or concurrent"),
        (limit(requests=1), "spec.local.limits[0]", "give requests and per, or concurrent"),
        (limit(concurrent=1, requests=1, per="1s"), "spec.local.limits[0]", "give requests and per, or concurrent"),
        (limit(concurrent=1, cost="2"), "spec.local.limits[0]", "burst and cost go with requests"),
        (("AccessPolicy", {"oidc": {}}), "spec", "one of exempt"),
        (
            ("AccessPolicy", {"oidc": {"issuer": "https://login.test"}, "csrf": {}}),
            "spec",
            "sign-in by OpenID Connect is not there yet",
        ),
    ],
)
def test_what_is_refused(given: tuple[str, dict[str, Any]], field: str, words: str) -> None:
    told = [item for item in violations(object_of(*given)) if item.code != "unknown-field"]
    assert any(item.field == field and words in item.message for item in told), told
