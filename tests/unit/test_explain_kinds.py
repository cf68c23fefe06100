"""`sluicegate explain` and the library for GRPCRoute, TLSRoute, TCPRoute, UDPRoute, and for filters of listeners."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import sluicegate

pytest_plugins = ["pytester"]

Explain = Callable[..., tuple[int, str]]

MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  gatewayClassName: sluicegate
  listeners:
  - {name: grpc, protocol: HTTP, port: 80}
  - name: edited
    protocol: HTTP
    port: 81
    filters:
      requests:
      - type: ExtensionRef
        extensionRef: {group: sluicegate.dev, kind: RequestHeaderFilter, name: tenant}
  - {name: pass, protocol: TLS, port: 443, tls: {mode: Passthrough}}
  - {name: db, protocol: TCP, port: 5432}
  - {name: dns, protocol: UDP, port: 53}
  - {name: dns-tcp, protocol: TCP, port: 53}
---
apiVersion: sluicegate.dev/v1alpha1
kind: RequestHeaderFilter
metadata: {name: tenant}
spec: {set: [{name: x-tenant, value: one}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls}
spec:
  parentRefs: [{name: gateway, sectionName: grpc}]
  hostnames: [api.test]
  rules:
  - matches: [{method: {service: p.Shop, method: Get}}]
    backendRefs: [{name: app, port: 80}]
  - matches: [{method: {service: p.Shop}}]
    backendRefs: [{name: app, port: 80}]
  - matches: [{method: {type: RegularExpression, service: "p[.].*", method: Get}}]
    backendRefs: [{name: empty, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: by-tenant}
spec:
  parentRefs: [{name: gateway, sectionName: edited}]
  rules:
  - matches: [{headers: [{name: x-tenant, value: sent}]}]
    backendRefs: [{name: empty, port: 80}]
  - matches: [{headers: [{name: x-tenant, value: one}]}]
    backendRefs: [{name: app, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: wide}
spec:
  parentRefs: [{name: gateway, sectionName: pass}]
  hostnames: ["*.shop.test"]
  rules: [{backendRefs: [{name: app, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: exact}
spec:
  parentRefs: [{name: gateway, sectionName: pass}]
  hostnames: [www.shop.test]
  rules: [{backendRefs: [{name: app, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: a, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  parentRefs: [{name: gateway, sectionName: db}]
  rules: [{backendRefs: [{name: app, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: b, creationTimestamp: "2025-01-01T00:00:00Z"}
spec:
  parentRefs: [{name: gateway, sectionName: db}]
  rules: [{backendRefs: [{name: empty, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: names}
spec:
  parentRefs: [{name: gateway, sectionName: dns}]
  rules: [{backendRefs: [{name: names, port: 53}]}]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: names}
spec: {ports: [{port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
ports: [{port: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: names, labels: {kubernetes.io/service-name: names}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.2]}]
ports: [{port: 5353, protocol: UDP}]
"""


#: A match of gRPC that names no service exactly asks for the content type too.
EXPRESSION = (
    "POST GrpcMethod /p[.].*/Get (RegularExpression), "
    "header content-type: application/grpc(?:[+;-].*)? (RegularExpression)"
)


@pytest.mark.parametrize(
    ("request_line", "status", "expected"),
    [
        (
            "grpc://api.test/p.Shop/Get",
            0,
            [
                "POST http://api.test/p.Shop/Get (port 80)",
                "  listener  Gateway/default/gateway/grpc",
                "  route     GRPCRoute/default/calls, hostname api.test",
                "  rule      rules[0].matches[0]: POST GrpcMethod /p.Shop/Get",
                "  backend   default/app:80",
                "  endpoints 10.0.0.1:8080",
                "  sent as   POST api.test/p.Shop/Get",
                "              content-type: application/grpc",
                "  holds too: GRPCRoute/default/calls rules[1].matches[0]: POST GrpcMethod /p.Shop/*: "
                "its gRPC method is shorter",
                f"  holds too: GRPCRoute/default/calls rules[2].matches[0]: {EXPRESSION}: "
                "its gRPC method is a regular expression",
            ],
        ),
        (
            "grpc://api.test/p.Other/Get",
            1,
            [
                f"  rule      rules[2].matches[0]: {EXPRESSION}",
                "  endpoints none",
                "  answer    503 (no_endpoint), gRPC status 14 UNAVAILABLE",
            ],
        ),
        ("grpc://api.test/q.Other/Get", 1, ["  answer    404 (no_route), gRPC status 12 UNIMPLEMENTED"]),
        (
            "http://any.test:81/",
            0,
            [
                "  rule      rules[1].matches[0]: PathPrefix /, header x-tenant: one",
                '  filter    request_headers: {"set":[{"name":"x-tenant","value":"one"}]}',
                "              x-tenant: one",
                "  not: HTTPRoute/default/by-tenant rules[0].matches[0]: PathPrefix /, header x-tenant: sent: "
                "the header x-tenant does not fit",
            ],
        ),
        (
            "tls://www.shop.test:443",
            0,
            [
                "tls://www.shop.test:443",
                "  listener  Gateway/default/gateway/pass",
                "  route     TLSRoute/default/exact, hostname www.shop.test",
                "  rule      rules[0]",
                "  backend   default/app:80",
                "  endpoints 10.0.0.1:8080",
                "  holds too: TLSRoute/default/wide rules[0]: *.shop.test: its hostname is less specific",
            ],
        ),
        (
            "tls://other.test",
            1,
            [
                "  closed    (no_route)",
                "  not: TLSRoute/default/exact rules[0]: www.shop.test: "
                "the hostnames www.shop.test do not hold for other.test",
            ],
        ),
        ("tls://:443", 1, ["  closed    (no_route)"]),
        (
            "tcp://:5432",
            1,
            [
                "  route     TCPRoute/default/b, hostname *",
                "  closed    (no_endpoint)",
                "  holds too: TCPRoute/default/a rules[0]: every connection: its route is younger",
            ],
        ),
        ("udp://:53", 0, ["  listener  Gateway/default/gateway/dns", "  endpoints 10.0.0.2:5353"]),
        ("tcp://:53", 1, ["  listener  Gateway/default/gateway/dns-tcp", "  closed    (no_route)"]),
        ("udp://:5432", 1, ["  dropped   (no_listener)"]),
        (
            "http://www.shop.test:443/",
            1,
            ["  closed    (scheme_mismatch): the port speaks the other one of http and https"],
        ),
        (
            "https://www.shop.test/",
            0,
            [
                "  listener  Gateway/default/gateway/pass",
                "  route     TLSRoute/default/exact, hostname www.shop.test",
                "  carried   unread: what comes to this listener are connections",
            ],
        ),
    ],
)
def test_explain(folder: Path, explain: Explain, request_line: str, status: int, expected: list[str]) -> None:
    found, text = explain(folder, "--request", request_line)
    lines = text.splitlines()
    assert [line for line in expected if line not in lines] == [], text
    assert found == status


def test_json(folder: Path, explain: Explain) -> None:
    status, text = explain(folder, "--request", "tls://www.shop.test:443", "--output", "json")
    document = json.loads(text)
    assert status == 0
    asked = {"kind": "connection", "protocol": "tls", "port": 443, "server_name": "www.shop.test", "client": None}
    assert document["request"] == asked
    assert document["decision"]["route"] == "TLSRoute/default/exact"
    assert (document["winner"], document["hostname"], document["losers"][0]["match"]) == (None, "www.shop.test", None)


def test_the_library(folder: Path) -> None:
    routes = sluicegate.load(folder)
    assert routes.decide("tcp://:5432").reason == "no_endpoint"
    assert routes.decide("udp://:53").endpoints == ("10.0.0.2:5353",)
    assert routes.decide("tls://a.shop.test").route == "TLSRoute/default/wide"
    call = routes.decide("grpc://api.test/p.Shop/Get", {"authorization": "x"})
    assert (call.route, call.backend) == ("GRPCRoute/default/calls", "default/app:80")
    assert call.request is not None
    assert ("authorization", "x") in call.request.headers
    posted = routes.decide("POST http://api.test/p.Shop/Other", {"content-type": "application/grpc+proto"})
    assert (posted.route, posted.rule) == ("GRPCRoute/default/calls", 1)
