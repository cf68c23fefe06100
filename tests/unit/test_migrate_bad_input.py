"""Bad input of `sluicegate migrate`: each is told with object, file, line and what to do, and all else converts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str]]
PREFIX = "nginx.ingress.kubernetes.io/"

#: An Ingress; `%s` are its name, annotations, class and more of its spec.
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: shop
  annotations: {annotations}
spec:
  ingressClassName: {ingress_class}
  rules:
  - host: {name}.example.com
    http:
      paths:
      - path: {path}
        pathType: {kind}
        backend: {{service: {{name: {service}, port: {port}}}}}
"""


def manifest(
    annotations: str = "{}",
    *,
    name: str = "bad",
    ingress_class: str = "nginx",
    path: str = "/",
    kind: str = "Prefix",
    service: str = "web",
    port: str = "{number: 80}",
) -> str:
    return INGRESS.format(
        name=name,
        annotations=annotations,
        ingress_class=ingress_class,
        path=path,
        kind=kind,
        service=service,
        port=port,
    )


def noted(name: str, value: str) -> str:
    return f'{{{PREFIX}{name}: "{value}"}}'


#: What is wrong, the line of the Ingress where it stands, and words of what is told.
BAD = {
    "nonsense-number": (manifest(noted("proxy-body-size", "much")), 6, "a size such as 8m is expected"),
    "nonsense-flag": (manifest(noted("ssl-redirect", "perhaps")), 6, "true or false is expected"),
    "nonsense-list": (manifest(noted("allowlist-source-range", "10.0.0.0/99")), 6, "no list of CIDR blocks"),
    "misspelt": (manifest(noted("proxy-bodysize", "1m")), 6, "there is no such annotation"),
    "snippet": (manifest(noted("configuration-snippet", "deny all;")), 6, "configuration of nginx is not converted"),
    "missing-secret": (
        manifest(f"{{{PREFIX}auth-type: basic, {PREFIX}auth-secret: nobody}}"),
        6,
        "the Secret shop/nobody is not here",
    ),
    "missing-service": (manifest(port="{name: http}"), 13, "Service"),
    "missing-map": (manifest(noted("custom-headers", "shop/nothing")), 6, "the ConfigMap shop/nothing is not here"),
    "look-around": (
        manifest(noted("use-regex", "true"), path="/(?!api)", kind="ImplementationSpecific"),
        13,
        "RE2 cannot say",
    ),
    "back-reference": (
        manifest(noted("use-regex", "true"), path=r"/(a)\1", kind="ImplementationSpecific"),
        13,
        "RE2 cannot say",
    ),
    "broken-expression": (manifest(noted("use-regex", "true"), path="/(", kind="ImplementationSpecific"), 13, ""),
    "path-type": (manifest(kind="Odd"), 13, ""),
    "no-path": (manifest(path="relative"), 13, ""),
}


@pytest.fixture
def report(command: Run, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """The report on something bad, with an Ingress that is good behind it."""

    def run(text: str) -> dict[str, Any]:
        (tmp_path / "in.yaml").write_text(f"{text}---\n{manifest(name='good')}")
        status, written = command("migrate", tmp_path / "in.yaml", "-o", "json")
        document: dict[str, Any] = json.loads(written)
        assert status in {1, 3}
        routes = {item["metadata"]["name"] for item in document["objects"] if item["kind"] == "HTTPRoute"}
        assert "good-good.example.com" in routes
        return document

    return run


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told(report: Callable[[str], dict[str, Any]], tmp_path: Path, case: str) -> None:
    text, line, words = BAD[case]
    document = report(text)
    told = [*document["fates"], *document["problems"]]
    found = [item for item in told if item["object"] == "Ingress/shop/bad" and item["line"] == line]
    found = [item for item in found if words in item["message"] and item.get("fate") not in {"converted"}]
    assert found, told
    assert all(item["path"] == str(tmp_path / "in.yaml") for item in found)
    assert any(item["remedy"] for item in found), found


def test_a_class_of_somebody_else_is_told(command: Run, tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(f"{manifest(ingress_class='other')}---\n{manifest(name='good')}")
    document = json.loads(command("migrate", tmp_path / "in.yaml", "-o", "json")[1])
    assert document["ingresses"] == 1
    (found,) = [item for item in document["fates"] if item["object"] == "Ingress/shop/bad"]
    assert (found["line"], found["message"]) == (8, "there is no class other here: left out")
    assert found["remedy"].startswith("--ingress-class other if it is meant")
    assert {item["metadata"]["name"] for item in document["objects"] if item["kind"] == "HTTPRoute"} == {
        "good-good.example.com"
    }


def test_what_is_no_ingress_is_told(report: Callable[[str], dict[str, Any]]) -> None:
    document = report("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: bad}\nspec: {rules: 5}\n")
    (found,) = document["problems"]
    assert (found["object"], found["line"]) == ("Ingress/default/bad", 4)
