"""The documentation site builds without a warning, and has every page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "mkdocs.yml"


def pages(entry: Any) -> set[str]:
    """Pages of a part of the navigation."""
    if isinstance(entry, str):
        return {entry}
    parts = entry if isinstance(entry, list) else entry.values()
    return set().union(*map(pages, parts))


def test_the_navigation_has_every_page() -> None:
    docs = ROOT / "docs"
    there = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    assert pages(yaml.safe_load(CONFIGURATION.read_text())["nav"]) == there


def test_the_symptoms_are_answers_that_there_are() -> None:
    errors = (ROOT / "docs" / "errors.md").read_text()
    answers = {(row[1], row[0]) for row in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", errors, re.MULTILINE)}
    page = (ROOT / "docs" / "operate" / "troubleshooting.md").read_text()
    named = set(re.findall(r"\b(\d{3}) `(\w+)`", page))
    assert len(named) > 10
    assert named - answers == set()


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    """Strict: a link to a page or a heading that is not there is an error."""
    shutil.copy(CONFIGURATION, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    zensical = Path(sys.executable).with_name("zensical")
    command = [zensical, "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<h1" in (tmp_path / "build" / "site" / "tasks" / "canary" / "index.html").read_text()
    assert "/canary/" in (tmp_path / "build" / "site" / "tasks" / "index.html").read_text()
