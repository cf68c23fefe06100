"""The files that tell strangers about the project agree with it: the package's page, the changes, forms, links."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.cli.application import COMMANDS

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
REPOSITORY = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["repository"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGES = ("README.md", "SECURITY.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "deploy/README.md")
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
#: Headings below a version: https://keepachangelog.com/en/1.1.0/, and what a reader has to know.
CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Known limits"}


def pythons_of_tests() -> list[str]:
    jobs = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())["jobs"]
    versions: list[str] = jobs["test"]["strategy"]["matrix"]["python"]
    return versions


def headings(text: str, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", text, re.MULTILINE)


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    assert links
    for link in links:
        if link.startswith("https://"):
            continue
        name, _, section = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if section:
            found = {anchor(heading) for level in (1, 2, 3) for heading in headings(target.read_text(), level)}
            assert section in found, link


def test_the_version_has_its_changes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    released = headings(text, 2)
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d|unreleased)", item) for item in released), released
    assert released[0].startswith(f"[{version}] - ")
    assert sum("unreleased" in item for item in released) <= 1
    assert set(headings(text, 3)) <= CHANGES
    for item in released:
        number = item[1 : item.index("]")]
        assert f"[{number}]: {REPOSITORY}/releases/tag/v{number}" in text.splitlines()


def test_the_page_of_the_package_says_which_pythons_were_tried() -> None:
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    assert named == pythons_of_tests()
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert len(set(PROJECT["classifiers"])) == len(PROJECT["classifiers"])


def test_the_page_of_the_package_has_links() -> None:
    for url in PROJECT["urls"].values():
        assert url.startswith(REPOSITORY), url
        name = url.removeprefix(REPOSITORY).removeprefix("/tree/main/").removeprefix("/blob/main/")
        assert name in {"", "/issues"} or (ROOT / name).exists(), url


def test_badges_say_what_is() -> None:
    text = (ROOT / "README.md").read_text()
    badges = dict(re.findall(r"^\[!\[([^]:]+)[^]]*\]\(([^)]*)\)\]\([^)]*\)$", text, re.MULTILINE))
    assert list(badges) == ["CI", "Gateway API conformance", "Python", "Licence"]
    assert badges.pop("CI").startswith(f"{REPOSITORY}/actions/workflows/ci.yml/badge.svg")
    shown = {name: url.rpartition("/")[2].split("-", 1)[1].removesuffix("-blue") for name, url in badges.items()}
    reports = sorted(path.name for path in (ROOT / "tests" / "conformance" / "reports").glob("v*"))
    assert shown["Gateway API conformance"].split("_|_") == reports
    assert shown["Python"].split("_|_") == pythons_of_tests()
    assert shown["Licence"].replace("--", "-") == PROJECT["license"]


def test_vulnerabilities_are_reported_privately() -> None:
    address = f"{REPOSITORY}/security/advisories/new"
    assert address in (ROOT / "SECURITY.md").read_text()
    [contact] = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "config.yml").read_text())["contact_links"]
    assert contact["url"] == address


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        ("github-issue-forms", ["ISSUE_TEMPLATE/bug.yml", "ISSUE_TEMPLATE/feature.yml"]),
        ("github-issue-config", ["ISSUE_TEMPLATE/config.yml"]),
        ("dependabot", ["dependabot.yml"]),
    ],
)
def test_github_reads_it(schema: str, names: list[str]) -> None:
    """By the schemas that editors use: what it does not understand it leaves out without a word."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    files = [GITHUB / name for name in names]
    result = subprocess.run([*command, *files], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_of_issues(path: Path) -> None:
    """As GitHub wants them, or they are not shown; the commands that they ask for exist."""
    form: dict[str, Any] = yaml.safe_load(path.read_text())
    assert form.keys() == {"name", "description", "labels", "body"}
    identifiers = [field["id"] for field in form["body"]]
    assert len(set(identifiers)) == len(identifiers)
    for field in form["body"]:
        assert field["type"] in {"input", "textarea"}
        assert field["attributes"]["label"]
    assert [field for field in form["body"] if field.get("validations", {}).get("required")]
    asked = set(re.findall(r"sluicegate (\w+)", path.read_text()))
    assert asked <= set(COMMANDS)


def test_there_are_forms() -> None:
    assert [path.stem for path in FORMS] == ["bug", "feature"]


def test_what_is_kept_new() -> None:
    """Every kind of thing that is pinned is kept new."""
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {item["package-ecosystem"] for item in updates} == {"github-actions", "docker", "cargo", "pip"}
    for item in updates:
        assert (ROOT / item["directory"].strip("/")).is_dir()
