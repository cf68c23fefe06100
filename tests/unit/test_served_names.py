"""Ingresses that are served are named by what people wrote: `explain`, `translate`, and annotations without quotes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str]]

MANIFESTS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  annotations: {nginx.ingress.kubernetes.io/limit-rps: "5"}
spec:
  ingressClassName: nginx
  rules:
  - host: shop.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /api, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
"""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(MANIFESTS)
    return "shop.yaml"


def test_a_decision_names_the_ingress(command: Run, served: str) -> None:
    """And so do those that lose; the listener keeps the name that routes attach by."""
    asked = ("explain", "--ingress", served, "-r", "http://shop.test/api/x", "--from", "192.0.2.1")
    found = json.loads(command(*asked, "-o", "json")[1])
    decision = found["decision"]
    assert (decision["route"], decision["rule"], decision["match"]) == ("Ingress/default/shop", None, None)
    assert found["ingress"] == "shop.yaml:13 Ingress/default/shop spec.rules[0].http.paths[1]"
    assert decision["policies"][-1]["from"] == "Ingress/default/shop"
    (loser,) = found["losers"]
    assert (loser["route"], loser["rule"]) == ("Ingress/default/shop", None)
    assert loser["ingress"] == "shop.yaml:12 Ingress/default/shop spec.rules[0].http.paths[0]"
    assert decision["listener"] == "ListenerSet/default/ingress:shop.test/http.shop.test"
    rest = json.dumps({**found, "decision": {**decision, "listener": ""}})
    assert "ingress:" not in rest.replace("default/ingress:gateway", "")
    _, text = command(*asked)
    assert "  ingress   shop.yaml:13 Ingress/default/shop spec.rules[0].http.paths[1], hostname shop.test" in text
    assert "  match     PathPrefix /api" in text
    assert "  holds too: shop.yaml:12 Ingress/default/shop spec.rules[0].http.paths[0]: PathPrefix /" in text


def test_translate_has_what_serve_would_serve(command: Run, served: str) -> None:
    status, text = command("translate", "--ingress", served, "-o", "text")
    assert status == 0, text
    assert "  shop.test PathPrefix /api -> default/web:80  [Ingress/default/shop (shop.yaml:13)]" in text
    rules = json.loads(command("translate", "--ingress", served)[1].partition("\n{")[2].join(("{", "")))["upsert"]
    assert {item["route"] for item in rules["http_rules"]} == {"HTTPRoute/default/ingress:shop:shop.test"}
    assert "shop.test" not in command("translate", served, "-o", "text")[1].replace("shop.test:80", "")
    status, text = command("translate", "--ingress-class", "No Name", served)
    assert (status, "--ingress-class" in text) == (2, True)


@pytest.mark.parametrize(("value", "shown"), [("8", '"8"'), ("true", '"true"'), ("[8]", "not a list")])
def test_an_annotation_without_quotes_is_named(command: Run, served: str, value: str, shown: str) -> None:
    Path(served).write_text(MANIFESTS.replace('"5"', value))
    status, text = command("check", "--ingress", served)
    assert status == 1
    place = 'shop.yaml:5: error: Ingress/default/shop: metadata.annotations["nginx.ingress.kubernetes.io/limit-rps"]: '
    (line,) = [line for line in text.splitlines() if place in line]
    assert shown in line


def test_a_setting_that_is_lost_is_told_once(command: Run, served: str) -> None:
    settings = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: in}\ndata: {global-auth-url: "URL"}\n'
    asked = settings.replace("URL", "http://auth.auth.svc.cluster.local/check?x=<$host>")
    Path("settings.yaml").write_text(asked)
    _, text = command("migrate", ".", "--config-map", "in/c", "-o", "json")
    fates = [item["fate"] for item in json.loads(text)["fates"] if item["subject"] == "global-auth-url"]
    assert fates == ["invalid"]
