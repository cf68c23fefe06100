"""The page beside other gateways: each cell of ours is shown by tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "policies" / "comparison.md"
COLUMNS = 7


def rows() -> list[list[str]]:
    """The cells of each row below the head."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


#: What is about connections and datagrams, which have no version of HTTP.
NOT_HTTP = {"test_connections_and_flows"}
#: What asks over one version after the other by itself.
BY_ITSELF = {"test_no_other_site_opens_a_websocket"}


def test_what_is_here_has_its_tests() -> None:
    """And that they ask over both versions of HTTP, where requests are what they are about."""
    for row in rows():
        assert len(row) == COLUMNS, row
        feature, here, tests = row[0], row[5], row[6]
        if here == "-":
            assert not tests, feature
            continue
        for test in tests.split(", "):
            found = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", test)
            assert found, feature
            text = (ROOT / "tests" / "system" / found[1]).read_text()
            signature = re.search(rf"^def {found[2]}\((.*?)\) -> None:", text, re.MULTILINE | re.DOTALL)
            assert signature, test
            is_asked = re.search(r"\b(client|protocol|how): ", signature[1])
            assert found[2] in NOT_HTTP | BY_ITSELF or is_asked, test


def test_it_is_read_from_the_page_of_policies() -> None:
    assert "comparison.md" in (PAGE.parent / "README.md").read_text()
