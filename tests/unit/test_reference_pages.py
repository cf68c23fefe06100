"""Pages of the site that are made of the code are as their tools make them; those that are written agree with it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import chart_page
import conformance_page
import crds_page
import features_page
import performance_page
from sluicegate.controller.api import ROUTE_KINDS
from sluicegate.controller.translate import conditions, versions
from sluicegate.controller.translate.policies.registry import POLICIES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GOLDEN = ROOT / "tests" / "golden"

#: Object, condition, status and reason.
Said = tuple[str, str, str, str]
#: What no golden case has: the module that says it.
OTHERWISE = {
    ("Gateway", "Programmed", "False", "NoResources"): "programmed.py",
    ("Gateway", "sluicegate.dev/PolicyLimitReached", "True", "AncestorLimitReached"): "policies/stage.py",
    ("ListenerSet", "Programmed", "False", "AddressNotUsable"): "programmed.py",
    ("ListenerSet", "Programmed", "False", "Invalid"): "programmed.py",
    ("ListenerSet", "Programmed", "False", "PortUnavailable"): "programmed.py",
    ("Listeners", "Programmed", "False", "AddressNotUsable"): "programmed.py",
    ("Policies and backends", "Programmed", "False", "Overridden"): "policies/status.py",
    ("Policies and backends", "ResolvedRefs", "False", "SecretInvalid"): "policies/draft.py",
    ("Policies and backends", "sluicegate.dev/ProviderKeysUnavailable", "True", "KeysOutOfDate"): "provider_keys.py",
    ("Policies and backends", "sluicegate.dev/ProviderKeysUnavailable", "True", "NoKeys"): "provider_keys.py",
}


@pytest.mark.parametrize("tool", [chart_page, conformance_page, crds_page, features_page, performance_page])
def test_the_page_is_what_the_code_says(tool: ModuleType) -> None:
    assert tool.PAGE.read_text() == tool.page(), "run: make pages"


def test_the_plot_is_that_of_the_results() -> None:
    assert performance_page.SHOWN.read_bytes() == performance_page.PLOT.read_bytes(), "run: make pages"


def of_statuses() -> Iterator[Said]:
    """Everything that the statuses of golden cases say."""
    groups = {**dict.fromkeys(ROUTE_KINDS, "Routes"), **{item.kind: "Policies and backends" for item in POLICIES}}
    for path in GOLDEN.glob("*/*/status.yaml"):
        for key, status in (yaml.load(path.read_text(), yaml.CSafeLoader).get("statuses") or {}).items():
            kind = key.partition("/")[0]
            parts: list[tuple[str, Any]] = [(groups.get(kind, kind), status.get("conditions") or {})]
            parts += [("Listeners", item["conditions"]) for item in status.get("listeners") or ()]
            parts += [(groups.get(kind, kind), item["conditions"]) for item in status.get("parents") or ()]
            parts += [(groups.get(kind, kind), item["conditions"]) for item in status.get("ancestors") or ()]
            for title, found in parts:
                yield from ((title, name, *text.split(" ", 2)[:2]) for name, text in found.items())


def of_page() -> Iterator[Said]:
    """Everything that the page of conditions has a row for."""
    for part in (DOCS / "reference" / "conditions.md").read_text().split("\n## ")[1:]:
        title = part.partition("\n")[0]
        for condition, status, reasons in re.findall(r"^\| `([^`]+)` \| (\w+) \| ([^|]+) \|", part, re.MULTILINE):
            yield from ((title, condition, status, reason) for reason in re.findall(r"`(\w+)`", reasons))


def test_every_condition_is_on_the_page_with_each_reason() -> None:
    seen, rows = set(of_statuses()), set(of_page())
    affected = {item for item in seen if item[3] == conditions.Reason.AFFECTED}
    assert affected
    assert seen - affected - rows == set()
    assert rows - seen == OTHERWISE.keys()
    for (_, _, _, reason), name in OTHERWISE.items():
        text = (ROOT / "controller" / "translate" / name).read_text()
        assert f"Reason.{conditions.Reason(reason).name}" in text, (reason, name)


def test_every_reason_that_there_is_is_on_the_page() -> None:
    rows = set(of_page())
    assert {reason for *_, reason in rows} == {*conditions.Reason} - {conditions.Reason.AFFECTED}
    assert {kind for _, kind, *_ in rows} == {*conditions.ConditionType}


def test_notes_are_about_fields_that_there_are() -> None:
    """And a field that the gateway reads has no note that it is not honoured, but for what is read to be told."""
    told = {
        "Gateway": ["defaultScope"],
        "XBackend": ["sessionPersistence"],
        **{kind: ["useDefaultGateways"] for kind in ROUTE_KINDS},
    }
    for kind in {kind for kind, _ in features_page.NOTES}:
        fields = {field.path: field.read for field in features_page.fields(kind)}
        for path, note in ((path, note) for of, path, note in noted() if of == kind):
            assert path in fields, (kind, path)
            refused = "backendRefs[].filters" in path or path in told.get(kind, ())
            assert note.startswith("no") == (not fields[path] or refused), (kind, path)


def noted() -> Iterator[tuple[str, str, str]]:
    yield from ((kind, path, note) for (kind, path), note in features_page.NOTES.items())


def test_the_compatibility_is_that_of_the_workflow() -> None:
    """What is said to be tested is what the workflow and the harness run."""
    rows = dict(
        re.findall(r"^\| ([^|]+) \| (.+) \|$", (DOCS / "project" / "compatibility.md").read_text(), re.MULTILINE)
    )
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    assert pythons == [f"3.{minor}" for minor in range(11, 11 + len(pythons))], "none is left out"
    assert rows["Python"].endswith(f"| {pythons[0]} to {pythons[-1]}, by the workflow")
    for version in versions.SUPPORTED:
        assert f"{version}.x" in rows["Gateway API"]
    reports = sorted(path.name for path in (ROOT / "tests" / "conformance" / "reports").glob("v*"))
    assert f"the conformance suites of {' and '.join(reports)} " in rows["Gateway API"]
    modules = (ROOT / "tests" / "cluster" / "harness" / "src" / "kube" / "go.mod").read_text()
    [kubernetes] = re.findall(r"k8s\.io/kubernetes v(\d+\.\d+)", modules)
    assert f"| {kubernetes}:" in rows["Kubernetes"]
    assert "Kubernetes 1.31 or later" in (ROOT / "deploy" / "README.md").read_text()
    assert rows["Kubernetes"].startswith("1.31 and later")
    rust = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    assert rows["Rust, to build it"].startswith(rust)


def test_the_memory_to_plan_with_is_what_was_measured() -> None:
    results = json.loads((ROOT / "benches" / "results" / "control.json").read_text())["rows"]
    largest = {row["name"]: row["figure"]["largest"] for row in results if row["name"].startswith("memory of ")}
    page = (DOCS / "operate" / "install.md").read_text()
    for what, role in (("a controller", "controller"), ("a data plane", "gateway")):
        figures = [largest[f"memory of {role}, {count} routes"] for count in ("0", "1,000", "3,000", "10,000")]
        row = f"| memory of {what}, MiB | {' | '.join(f'{figure:.0f}' for figure in figures)} |"
        assert row in page, row
