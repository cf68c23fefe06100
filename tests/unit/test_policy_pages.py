"""Each page of policies and filters has the fields of its CRD, says its conditions, and knows the codes of errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "policies" / f"{kind}.md" for kind in ("AccessPolicy", "ClientPolicy", "RateLimitPolicy", "HTTPFilter")]
PAGES.append(DOCS / "policies" / "BackendPolicy.md")


def rows(text: str, columns: int) -> list[list[str]]:
    """Rows of tables with so many columns that begin with a literal."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if len(row) == columns]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_codes_are_those_of_errors(page: Path) -> None:
    known = {row[0]: row[1] for row in rows((DOCS / "errors.md").read_text(), 4)}
    text = page.read_text()
    [section] = re.findall(r"^## (?:Errors|Conditions and codes)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    table = section[section.index("| code | status | when |") :]
    codes = {row[0]: row[1] for row in rows(table, 3)}
    assert codes
    assert {code: known.get(code) for code in codes} == codes
    assert "Accepted" in section or "README.md#what-a-policys-conditions-say" in section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", page.read_text()):
        assert not target or target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [*PAGES, DOCS / "policies" / "README.md"], ids=lambda page: page.stem)
def test_places_in_pages_are_there(page: Path) -> None:
    """What stands behind `#` is a heading of that page."""
    for target, place in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        text = (page.parent / target).read_text() if target else page.read_text()
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert place in slugs, (target, place)
