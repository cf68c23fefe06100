"""The page beside other gateways: every cell says something, and each of ours is shown by tests that are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "policies" / "comparison.md"
SYSTEM = ROOT / "tests" / "system"
GATEWAYS = ["Envoy Gateway", "agentgateway", "NGINX Gateway Fabric", "Traefik"]
COLUMNS = ["feature", *GATEWAYS, "here", "test"]

#: What is about connections and datagrams, which have no version of HTTP, and what the operator looks at.
NOT_HTTP = {
    "test_addresses_of_connections_and_datagrams",
    "test_connections_and_flows",
    "test_figures_are_live",
    "test_it_is_read_only_and_for_this_machine",
}
#: What asks over one version after the other by itself.
BY_ITSELF = {"test_no_other_site_opens_a_websocket"}
#: What both versions are called where a test is run once for each.
VERSIONS = ({"Http1", "Http2"}, {"'http1'", "'http2'"})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def tables() -> list[list[list[str]]]:
    """The rows of each table of the page, its head first."""
    blocks = re.split(r"\n\s*\n", PAGE.read_text())
    return [[cells(line) for line in block.splitlines()] for block in blocks if block.startswith("|")]


def rows() -> list[list[str]]:
    """The cells of each row about a feature."""
    return [row for head, _, *rest in tables() if head == COLUMNS for row in rest]


@cache
def module(name: str) -> ast.Module:
    return ast.parse((SYSTEM / name).read_text())


def functions(name: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in module(name).body if isinstance(node, ast.FunctionDef)}


def parametrized(name: str, decorators: list[ast.expr]) -> dict[str, set[str]]:
    """What a test is run for, by the name of the parameter; marks may have names of their own in the module."""
    named = {
        target.id: node.value
        for node in module(name).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = {}
    for decorator in decorators:
        mark = named.get(decorator.id, decorator) if isinstance(decorator, ast.Name) else decorator
        if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("parametrize"):
            parameter, values = mark.args[:2]
            if isinstance(parameter, ast.Constant) and isinstance(values, ast.List):
                found[str(parameter.value)] = {ast.unparse(value) for value in values.elts}
    return found


def asks_over_both(name: str, test: str) -> bool:
    """Whether a test takes which version is spoken, takes it for both, and does something with it."""
    found = functions(name)[test]
    used = {node.id for line in found.body for node in ast.walk(line) if isinstance(node, ast.Name)}
    sources = parametrized(name, found.decorator_list)
    for argument in {argument.arg for argument in found.args.args} & used:
        if argument in sources:
            if sources[argument] in VERSIONS:
                return True
        elif argument == "client" and argument not in functions(name):
            # The fixture of all system tests.
            return True
    return False


def test_the_fixture_has_both_versions() -> None:
    [decorator] = functions("conftest.py")["client"].decorator_list
    assert isinstance(decorator, ast.Call)
    [parameters] = [word.value for word in decorator.keywords if word.arg == "params"]
    assert isinstance(parameters, ast.List)
    assert {ast.unparse(each) for each in parameters.elts} in VERSIONS


def test_every_cell_says_something() -> None:
    """What a gateway offers, or `-`: nothing that nobody has looked at."""
    assert len(rows()) > 50
    for row in rows():
        assert len(row) == len(COLUMNS), row
        for column, cell in zip(COLUMNS[:-1], row, strict=False):
            assert cell, (row[0], column)
            assert "?" not in cell, (row[0], column)
    features = [row[0] for row in rows()]
    assert len(set(features)) == len(features)


def test_what_is_here_has_its_tests() -> None:
    """And that they ask over both versions of HTTP, where requests are what they are about."""
    for *_, here, tests in rows():
        if here == "-":
            assert not tests
            continue
        for test in tests.split(", "):
            found = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", test)
            assert found, (here, test)
            assert found[2] in functions(found[1]), test
            assert found[2] in NOT_HTTP | BY_ITSELF or asks_over_both(found[1], found[2]), test


def test_versions_and_sources_are_told() -> None:
    [versions] = [rest for head, _, *rest in tables() if head[:2] == ["gateway", "as of version"]]
    assert [row[0] for row in versions] == GATEWAYS
    assert all(re.match(r"v\d+\.\d+\.\d+\b", row[1]) and re.fullmatch(r"\d{4}-\d\d-\d\d", row[2]) for row in versions)
    sources = PAGE.read_text().partition("\n## Sources\n")[2]
    for name, version, _ in versions:
        [listed] = [item for item in sources.split("\n- ") if item.startswith(f"{name}: ")]
        assert "](https://" in listed
        assert re.split(r"[,\s]", version)[0] in listed


@pytest.mark.parametrize("test", sorted(NOT_HTTP | BY_ITSELF))
def test_exceptions_are_used(test: str) -> None:
    assert any(f"::{test}`" in row[-1] for row in rows())


def test_it_is_read_from_the_page_of_policies() -> None:
    assert "comparison.md" in (PAGE.parent / "README.md").read_text()
