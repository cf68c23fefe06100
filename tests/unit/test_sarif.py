"""SARIF of `check` and `migrate`: its form, the places that it names, and its rules.

The form is what `sarif-schema-2.1.0.json` of OASIS says of the objects that are written, in our own words: that file is
not part of this repository. What is written may have nothing else, and rules of the text are added where
a code host depends on them (SARIF 2.1.0, sections 3.4, 3.27, 3.49).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import pytest
from json_schema import errors

from sluicegate.cli.sarif_rules import CODES, FATES, RULES, rule
from sluicegate.controller.api import Code
from sluicegate.controller.ingress import FATES as ALL_FATES

Run = Callable[..., tuple[int, str]]

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "migrate" / "cases"


def form(*required: str, **properties: Any) -> dict[str, Any]:
    """An object with these properties; those that are named first have to be there."""
    return {"type": "object", "properties": properties, "required": list(required)}


def some(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


TEXT = {"type": "string", "minLength": 1}
MESSAGE = form("text", text=TEXT)
REGION = form("startLine", startLine={"type": "integer", "minimum": 1})
PHYSICAL = form("artifactLocation", artifactLocation=form("uri", uri=TEXT), region=REGION)
LOGICAL = form("fullyQualifiedName", fullyQualifiedName=TEXT, kind=TEXT)
RESULT = form(
    *("ruleId", "ruleIndex", "level", "message", "locations"),
    ruleId={"enum": list(RULES)},
    ruleIndex={"type": "integer", "minimum": 0},
    level={"enum": ["note", "warning", "error"]},
    message=MESSAGE,
    locations=some(form(physicalLocation=PHYSICAL, logicalLocations=some(LOGICAL))),
)
RULE = form("id", "shortDescription", "help", "helpUri", id=TEXT, shortDescription=MESSAGE, help=MESSAGE, helpUri=TEXT)
DRIVER = form("name", "version", name=TEXT, version=TEXT, informationUri=TEXT, rules=some(RULE))
RUN = form("tool", "results", tool=form("driver", driver=DRIVER), results=some(RESULT))
LOG = form("version", "runs", **{"$schema": TEXT}, version={"const": "2.1.0"}, runs=some(RUN))
#: A relative reference without a scheme, or a file.
URI = re.compile(r"(file:///|(?!/)[^:?#]*$)")
BROKEN = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken}\nspec: {rules: 5}\n"


def results(text: str) -> list[dict[str, Any]]:
    """The results of a log, whose form is right."""
    document = json.loads(text)
    assert list(errors(document, LOG)) == []
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert {item["ruleId"] for item in run["results"]} == {item["id"] for item in rules}
    for item in run["results"]:
        assert rules[item["ruleIndex"]]["id"] == item["ruleId"]
        places = (place["physicalLocation"] for place in item["locations"] if "physicalLocation" in place)
        assert all(URI.match(place["artifactLocation"]["uri"]) for place in places), item
    found: list[dict[str, Any]] = run["results"]
    return found


def place_of(result: dict[str, Any]) -> tuple[str, int]:
    """File and line of a result."""
    place = result["locations"][0]["physicalLocation"]
    return unquote(place["artifactLocation"]["uri"]), place.get("region", {}).get("startLine", 0)


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_a_loss_is_at_the_line_that_it_is_about(command: Run, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Whatever the report has: the line names the annotation, the setting or the field."""
    monkeypatch.chdir(CASES / case)
    provider = ("--provider", case.partition("-")[0]) if case.startswith(("f5-", "traefik-")) else ()
    report = json.loads(command("migrate", "in.yaml", *provider, "-o", "json")[1])
    told = [item for item in report["fates"] if item["fate"] not in {"converted", "dropped-harmless"}]
    found = results(command("migrate", "in.yaml", *provider, "-o", "sarif")[1])[len(report["problems"]) :]
    lines = (CASES / case / "in.yaml").read_text().splitlines()
    for loss, result in zip(told, found, strict=True):
        assert result["ruleId"] == loss["fate"]
        assert loss["message"] in result["message"]["text"]
        assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == loss["object"]
        if loss["line"]:
            assert place_of(result) == (loss["path"], loss["line"])
            # A field, or an item of a list; what is not written is told where it would stand.
            name = re.split(r"[./]", loss["subject"])[-1]
            name = "backend" if case == "beta" and name == "defaultBackend" else name
            line = lines[loss["line"] - 1]
            assert name in line or name.endswith("]") or line.lstrip().startswith("- "), (loss, line)


def test_files(command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A code host looks for relative paths; what is in no file has an object alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "an x.yaml").write_text(BROKEN)
    for given, uri in (("./an x.yaml", "an x.yaml"), (tmp_path / "an x.yaml", f"file://{tmp_path}/an x.yaml")):
        for name, *options in (("check", "--ingress"), ("migrate",)):
            (found,) = results(command(name, given, *options, "-o", "sarif")[1])
            assert place_of(found) == (uri, 4)


def test_standard_input(command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(BROKEN)
    with (tmp_path / "x.yaml").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        found = results(command("migrate", "-", "-o", "sarif")[1])
    named = {"logicalLocations": [{"fullyQualifiedName": "Ingress/default/broken", "kind": "resource"}]}
    assert [named] in [item["locations"] for item in found]
    assert not any("physicalLocation" in place for item in found for place in item["locations"])


def test_rules() -> None:
    """Each has an id that stays, and words of its own; codes those of their page."""
    assert tuple(CODES) == get_args(Code)
    assert set(FATES) == set(ALL_FATES)
    page = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", (ROOT / "docs" / "diagnostics.md").read_text(), re.MULTILINE)
    assert {name: re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text) for name, text in page} == CODES
    for name in RULES:
        made = rule(name)
        assert made["help"]["text"].startswith(made["shortDescription"]["text"])
        pages = made["helpUri"].removeprefix("https://github.com/sluicegate/sluicegate/blob/main/")
        assert (ROOT / pages).is_file()
