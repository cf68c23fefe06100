"""The status of gRPC that `explain` names for what the gateway answers: the one that the wire has."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate import parse_request
from sluicegate.cli.explanation import explain
from sluicegate.controller.translate import DEFAULT_CONTROLLER_NAME
from sluicegate.testing.offline import load_offline
from sluicegate.testing.table import Table

MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  gatewayClassName: sluicegate
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - matches: [{path: {value: /p.Own/Get}}]
    filters: [{type: ExtensionRef, extensionRef: {group: sluicegate.dev, kind: HTTPFilter, name: own}}]
  - matches: [{path: {value: /p.Away/Get}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: other.test}}]
  - matches: [{path: {value: /p.Faulty/Get}}]
    filters: [{type: ExtensionRef, extensionRef: {group: sluicegate.dev, kind: HTTPFilter, name: faulty}}]
    backendRefs: [{name: app, port: 80}]
---
apiVersion: sluicegate.dev/v1alpha1
kind: HTTPFilter
metadata: {name: own}
spec: {respond: {status: 503}}
---
apiVersion: sluicegate.dev/v1alpha1
kind: HTTPFilter
metadata: {name: faulty}
spec: {fault: {abort: {status: 418}}}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
"""


def status_of(folder: Path, path: str, *content_types: str) -> str | None:
    """What a request with these content types is answered."""
    (folder / "all.yaml").write_text(MANIFESTS)
    offline = load_offline([str(folder)], DEFAULT_CONTROLLER_NAME)
    fields = tuple(("Content-Type", each) for each in content_types)
    request = parse_request(f"POST http://a.test{path}", fields)
    return explain(offline, Table(offline.transaction()), request).grpc_status


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/p.None/Get", "12 UNIMPLEMENTED"),
        # A fault is unavailability, whatever status it has over HTTP.
        ("/p.Faulty/Get", "14 UNAVAILABLE"),
        # What a filter answers is an answer of HTTP.
        ("/p.Own/Get", None),
        ("/p.Away/Get", None),
    ],
)
def test_what_a_call_ends_with(tmp_path: Path, path: str, expected: str | None) -> None:
    assert status_of(tmp_path, path, "application/grpc") == expected


@pytest.mark.parametrize(
    ("content_types", "is_call"),
    [
        (("application/grpc",), True),
        (("Application/GRPC+proto",), True),
        (("application/grpc;charset=utf-8",), True),
        (("application/grpc ; x=1",), True),
        # gRPC-Web is another protocol: its clients read statuses of HTTP.
        (("application/grpc-web",), False),
        (("application/grpcx",), False),
        (("text/plain", "application/grpc"), False),
        ((), False),
    ],
)
def test_what_is_a_call(tmp_path: Path, content_types: tuple[str, ...], is_call: bool) -> None:
    assert status_of(tmp_path, "/p.None/Get", *content_types) == ("12 UNIMPLEMENTED" if is_call else None)
