"""The page beside other gateways: each cell of ours is shown by a test that is there."""

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


def test_what_is_here_has_its_test() -> None:
    """And that asks over both versions of HTTP, where requests are what it is about."""
    for row in rows():
        assert len(row) == COLUMNS, row
        feature, here, test = row[0], row[5], row[6]
        if here == "-":
            assert not test, feature
            continue
        found = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", test)
        assert found, feature
        text = (ROOT / "tests" / "system" / found[1]).read_text()
        signature = re.search(rf"^def {found[2]}\((.*?)\) -> None:", text, re.MULTILINE | re.DOTALL)
        assert signature, test
        assert found[2] in NOT_HTTP or re.search(r"\b(client|protocol): ", signature[1]), test


def test_it_is_read_from_the_page_of_policies() -> None:
    assert "comparison.md" in (PAGE.parent / "README.md").read_text()
