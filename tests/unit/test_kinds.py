"""Kinds, groups and versions that are not known: what was meant, and what is none of our business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluicegate.controller.sources.files import Reader
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.store import Store
from sluicegate.schema import violations

GATEWAY_API = "gateway.networking.k8s.io"
ROUTE = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: shop}\nspec: {}\n"


def said(version: Any, kind: Any, **rest: Any) -> list[tuple[str, str, str]]:
    document = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": {}, **rest}
    document = {key: value for key, value in document.items() if value is not None}
    return [(item.field, item.code, f"{item.message}; {item.remedy}") for item in violations(document)]


@pytest.mark.parametrize(
    ("version", "kind", "field", "words"),
    [
        (f"{GATEWAY_API}/v1", "HttpRoute", "kind", "did you mean HTTPRoute?"),
        (f"{GATEWAY_API}/v1", "httproute", "kind", "did you mean HTTPRoute?"),
        (f"{GATEWAY_API}/v1", "HTTPRoutes", "kind", "did you mean HTTPRoute?"),
        (f"{GATEWAY_API}/v1", "Gatway", "kind", "did you mean Gateway?"),
        (f"{GATEWAY_API}/v1", "Mesh", "kind", "it has BackendTLSPolicy, "),
        (GATEWAY_API, "HTTPRoute", "apiVersion", f"lacks a version; write {GATEWAY_API}/v1"),
        (f"{GATEWAY_API}/v2", "HTTPRoute", "apiVersion", f"no version {GATEWAY_API}/v2; write {GATEWAY_API}/v1 or"),
        ("networking.gateway.k8s.io/v1", "HTTPRoute", "apiVersion", f"write apiVersion: {GATEWAY_API}/v1"),
        ("gateway.networking.k8s/v1", "HTTPRoute", "apiVersion", f"write apiVersion: {GATEWAY_API}/v1"),
        ("networking.k8s.io/v1", "Gateway", "apiVersion", f"write apiVersion: {GATEWAY_API}/v1"),
        ("v1", "HTTPRoute", "apiVersion", f"write apiVersion: {GATEWAY_API}/v1"),
        ("apps/v1", "HttpRoute", "apiVersion", "and kind: HTTPRoute"),
        ("v1", "Servce", "kind", "did you mean Service?"),
        ("v1", "secret", "kind", "did you mean Secret?"),
        ("v2", "Service", "apiVersion", "Service has no version v2; write v1"),
        ("core/v1", "Service", "apiVersion", "write apiVersion: v1"),
        ("v1", "EndpointSlice", "apiVersion", "write apiVersion: discovery.k8s.io/v1"),
        ("discovery.k8s.io/v1", "EndpointSlices", "kind", "did you mean EndpointSlice?"),
        (None, "HTTPRoute", "apiVersion", "required; an object begins with apiVersion and kind"),
        ("v1", ["Service"], "kind", "is no text"),
    ],
)
def test_mistakes_are_told_with_what_was_meant(version: Any, kind: Any, field: str, words: str) -> None:
    [(found, _, text)] = said(version, kind)
    assert (found, words in text) == (field, True), text


def test_case_of_the_first_fields() -> None:
    assert said("v1", None, Kind="Service") == [("kind", "schema", "required; write kind, not Kind")]


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("apps/v1", "Deployment"),
        ("v1", "Pod"),
        ("v1", "ServiceAccount"),
        ("v1", "Node"),
        ("networking.k8s.io/v1", "Ingress"),
        ("networking.istio.io/v1", "Gateway"),
        ("specs.smi-spec.io/v1alpha4", "TCPRoute"),
        ("serving.knative.dev/v1", "Service"),
        ("cert-manager.io/v1", "Certificate"),
        ("kustomize.config.k8s.io/v1beta1", "Kustomization"),
    ],
)
def test_kinds_of_others_are_not_judged(version: str, kind: str) -> None:
    assert said(version, kind) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("HTTPRoute", "HttpRoute"), ("k8s.io/v1", "k8s.io/v7"), ("gateway.networking", "networking.gateway")],
)
def test_a_misspelt_object_keeps_its_last_good_version(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(ROUTE)
    store = Store()
    source = Source(Reader([str(path)]), store, violations)
    source.refresh()
    path.write_text(ROUTE.replace(old, new))
    found = source.refresh()
    assert (len(found.diagnostics), found.ignored) == (1, {})
    assert ("default", "shop") in store.snapshot().table("HTTPRoute")
    path.unlink()
    source.refresh()
    path.write_text("# nothing\n")
    source.refresh()
    assert ("default", "shop") not in store.snapshot().table("HTTPRoute")


def test_the_crds_of_the_gateway_api_in_files_are_ignored(tmp_path: Path) -> None:
    """Only in a cluster do they say which version is installed."""
    (tmp_path / "crd.yaml").write_text(
        "apiVersion: apiextensions.k8s.io/v1\n"
        "kind: CustomResourceDefinition\n"
        "metadata: {name: gatewayclasses.gateway.networking.k8s.io}\n"
    )
    store = Store()
    found = Source(Reader([str(tmp_path)]), store, violations).refresh()
    assert (found.diagnostics, found.ignored) == ((), {"apiextensions.k8s.io/v1/CustomResourceDefinition": 1})
    assert not store.snapshot().table("CustomResourceDefinition")
