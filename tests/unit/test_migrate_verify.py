"""`sluicegate migrate --verify` as people call it: exit statuses, and the forms of what it found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from json_schema import errors

import output_schemas
from sluicegate.cli import migrate
from sluicegate.controller.ingress import PROVIDERS, Conversion
from sluicegate.testing import migration

Run = Callable[..., tuple[int, str]]

#: A redirect to a URL: the query goes along here, which is told.
LOSSY = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations: {nginx.ingress.kubernetes.io/temporal-redirect: "https://new.example.com/<b>"}
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example.com], secretName: shop-tls}]
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
"""
CLEAN = LOSSY.replace(
    '{nginx.ingress.kubernetes.io/temporal-redirect: "https://new.example.com/<b>"}', "{cert-manager.io/issuer: ours}"
)
TOLD = LOSSY.replace("<b>", "there")


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Write manifests to a file."""

    def write(text: str) -> Path:
        path = tmp_path / "ingress.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def silent_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison sees a report that says nothing."""

    def verify(inventory: Any, conversion: Conversion, *rest: Any) -> migration.Verification:
        return migration.verify(inventory, Conversion(conversion.objects, (), 1, 1), *rest)

    monkeypatch.setattr(migrate, "verify", verify)


@pytest.mark.parametrize(("text", "status"), [(CLEAN, 0), (TOLD, 3)])
def test_exit_statuses(command: Run, file: Callable[[str], Path], text: str, status: int) -> None:
    found, told = command("migrate", file(text), "--verify")
    assert found == status, told
    assert " requests asked of a model of ingress-nginx and of the manifests (seed 0): " in told
    assert ", 0 otherwise and not told" in told


@pytest.mark.usefixtures("silent_report")
def test_a_difference_that_nobody_names_fails(command: Run, file: Callable[[str], Path]) -> None:
    found, told = command("migrate", file(TOLD), "--verify")
    assert found == 1
    assert "Answered otherwise, and nothing above says so:" in told
    assert "there: 302 to https://new.example.com/there" in told
    assert "here: 302 to https://new.example.com/there?a=1" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "1"], "--seed: it is of --verify, which is not given"),
        (["--verify", "--seed", "x"], '--seed: "x" is not a whole number from 0 to'),
        (["--verify", "--seed", "99999999999"], "--seed: 99999999999 is not a whole number from 0 to"),
    ],
)
def test_mistakes(command: Run, file: Callable[[str], Path], arguments: list[str], words: str) -> None:
    status, told = command("migrate", file(CLEAN), *arguments)
    assert (status, words in told) == (2, True), told


def test_json(command: Run, file: Callable[[str], Path]) -> None:
    schema: dict[str, Any] = json.loads((output_schemas.FOLDER / "v1" / "migrate.json").read_text())
    document = json.loads(command("migrate", file(TOLD), "--verify", "--seed", "7", "-o", "json")[1])
    assert list(errors(document, schema)) == []
    found = document["verification"]
    assert (found["seed"], found["unnamed"], found["asked"]) == (7, 0, found["equal"] + found["named"])
    one = next(item for item in found["differences"] if "redirect-query" in item["differs"])
    assert one["curl"].startswith("curl -ik --path-as-is 'http")
    assert any("temporal-redirect" in name for name in one["named"])
    names = {item["name"] for item in document["everywhere"]}
    assert "slash" in names
    without = json.loads(command("migrate", file(TOLD), "-o", "json")[1])
    assert (without["verification"], without["everywhere"]) == (None, document["everywhere"])


@pytest.mark.parametrize("provider", sorted(PROVIDERS.keys() - {"nginx"}))
@pytest.mark.parametrize("form", ["text", "json", "sarif", "html"])
def test_what_cannot_be_verified_is_told_in_every_form(
    command: Run, file: Callable[[str], Path], provider: str, form: str
) -> None:
    """Who asks for a proof that there is none of is not told that all is well; the manifests are made all the same."""
    title, name = PROVIDERS[provider].title, PROVIDERS[provider].ingress_class
    path = file(CLEAN.replace("ingressClassName: nginx", f"ingressClassName: {name}"))
    status, text = command("migrate", path, "--provider", provider, "--verify", "-o", form)
    assert status == 1
    words = f"--verify asked nothing: there is a model of ingress-nginx, and none of {title}. Not compared with"
    assert words in text
    assert "go by the losses, ask both for what matters" in text
    if form == "text":
        assert "kind: HTTPRoute" in text
    elif form == "json":
        document = json.loads(text)
        assert list(errors(document, json.loads((output_schemas.FOLDER / "v1" / "migrate.json").read_text()))) == []
        assert (document["failed"], document["verification"]) == (True, None)
        assert [item["code"] for item in document["problems"]] == ["not-verified"]
        assert document["objects"]
    elif form == "sarif":
        found = [item for item in json.loads(text)["runs"][0]["results"] if item["ruleId"] == "not-verified"]
        assert [item["level"] for item in found] == ["error"]
    else:
        assert "<h2>Not verified</h2>" in text
        assert "Cannot be read" not in text
    assert command("migrate", path, "--provider", provider, "-o", form)[0] in {0, 3}


@pytest.mark.usefixtures("silent_report")
def test_sarif(command: Run, file: Callable[[str], Path]) -> None:
    document = json.loads(command("migrate", file(TOLD), "--verify", "-o", "sarif")[1])
    levels = {item["level"] for item in document["runs"][0]["results"] if item["ruleId"] == "different-answer"}
    assert levels == {"error", "note"}


def test_html(command: Run, file: Callable[[str], Path]) -> None:
    """Figures and both answers are on the page, and what authors wrote is text."""
    _, text = command("migrate", file(LOSSY), "--verify", "-o", "html")
    assert "requests asked of a model of ingress-nginx" in text
    assert "What is different for every host" in text
    assert "<b>" not in text
    _, text = command("migrate", file(TOLD), "--verify", "-o", "html")
    assert "There: 302 to https://new.example.com/there" in text
