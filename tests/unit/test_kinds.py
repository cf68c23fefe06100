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


def told(folder: Path, text: str, name: str = "all.yaml") -> list[tuple[str, str, str]]:
    (folder / name).write_text(text)
    found = Source(Reader([str(folder)]), Store(), violations).refresh()
    assert sum(found.ignored.values()) == 1
    return [(item.severity, item.field, item.text) for item in found.diagnostics if item.code == "unread-kind"]


@pytest.mark.parametrize(
    ("version", "kind", "rest", "severity", "field", "words"),
    [
        ("v1", "Endpoints", "", "warning", "kind", "write an EndpointSlice"),
        ("networking.k8s.io/v1", "Ingress", "", "info", "kind", "write an HTTPRoute"),
        ("extensions/v1beta1", "Ingress", "", "info", "kind", "write an HTTPRoute"),
        ("networking.x-k8s.io/v1alpha1", "HTTPRoute", "", "warning", "apiVersion", f"apiVersion: {GATEWAY_API}/v1 and"),
        ("networking.x-k8s.io/v1alpha1", "BackendPolicy", "", "warning", "apiVersion", "do without"),
        ("gateway.networking.x-k8s.io/v1alpha1", "XListenerSet", "", "warning", "apiVersion", "and kind: ListenerSet"),
        ("gateway.networking.x-k8s.io/v1alpha1", "XMesh", "", "warning", "apiVersion", "is not read"),
        (
            "gateway.envoyproxy.io/v1alpha1",
            "SecurityPolicy",
            f"spec: {{targetRefs: [{{group: {GATEWAY_API}, kind: HTTPRoute, name: a}}]}}",
            "warning",
            "spec.targetRefs[0]",
            "nothing of it holds for this HTTPRoute",
        ),
        (
            "gateway.nginx.org/v1alpha1",
            "ClientSettingsPolicy",
            f"spec: {{targetRef: {{group: {GATEWAY_API}, kind: Gateway, name: a}}}}",
            "warning",
            "spec.targetRef",
            "nothing of it holds for this Gateway",
        ),
    ],
)
def test_kinds_that_somebody_may_expect_to_work_are_told(
    tmp_path: Path, version: str, kind: str, rest: str, severity: str, field: str, words: str
) -> None:
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n{rest}\n"
    [(found, at, message)] = told(tmp_path, text)
    assert (found, at, words in message) == (severity, field, True), message


@pytest.mark.parametrize(
    "rest",
    ["spec: []", "spec: {targetRefs: 1}", "spec: {targetRefs: [1, {kind: Service, name: a}]}", "spec: {targetRef: a}"],
)
def test_nothing_is_said_of_other_kinds(tmp_path: Path, rest: str) -> None:
    assert told(tmp_path, f"apiVersion: example.com/v1\nkind: Policy\nmetadata: {{name: a}}\n{rest}\n") == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("values.yaml", "replicas: 2\n", "values of a Helm chart"),
        ("values-prod.yml", "replicas: 2\n", "values of a Helm chart"),
        ("Chart.yaml", "apiVersion: v2\nname: shop\n", "the description of a Helm chart"),
        ("docker-compose.yaml", "services: {}\n", "a Compose file"),
        ("package.json", '{"name": "shop"}', "a file of npm"),
    ],
)
def test_files_of_other_programs_are_told_for_what_they_are(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "route.yaml").write_text(ROUTE)
    found = Source(Reader([str(tmp_path)]), Store(), violations).refresh()
    [said] = found.diagnostics
    assert (found.objects, said.severity, said.code) == (1, "warning", "other-file")
    assert said.message.startswith(f"{words}, and no manifest")
    (tmp_path / name).write_text(f"apiVersion: v1\nkind: 1\n{text}" if name.endswith("l") else '{"kind": 1}')
    assert "other-file" not in str(Source(Reader([str(tmp_path)]), Store(), violations).refresh().diagnostics)


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml"])
def test_a_kustomization_is_left_aside_without_its_kind_too(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("resources:\n- a.yaml\n")
    (tmp_path / "a.yaml").write_text(ROUTE)
    found = Source(Reader([str(tmp_path)]), Store(), violations).refresh()
    assert found.objects == 1
    [said] = found.diagnostics
    assert (said.severity, said.code, said.object) == ("info", "unread-kind", "Kustomization")
    assert "kubectl kustomize" in said.remedy
    assert found.ignored == {"kustomize.config.k8s.io/v1beta1/Kustomization": 1}
    (tmp_path / "other.yaml").write_text("resources: []\n")
    found = Source(Reader([str(tmp_path)]), Store(), violations).refresh()
    assert [(Path(item.path).name, item.field) for item in found.diagnostics if item.severity == "error"] == [
        ("other.yaml", "apiVersion"),
        ("other.yaml", "kind"),
    ]
