"""What pyproject.toml declares is what is imported, no more and no less; and nothing private of others."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Distributions by the module that is imported, where the names differ.
DISTRIBUTIONS = {
    "cel": "common-expression-language",
    "grpc": "grpcio",
    "re2": "google-re2",
    "tomli_w": "tomli-w",
    "yaml": "pyyaml",
    "prometheus_client": "prometheus-client",
}
#: The plugin for pytest is imported by pytest alone.
BY_OTHERS = {"pytest"}


def imports() -> Iterator[tuple[str, str]]:
    """Modules of others that the packages import, with the file."""
    for folder in (ROOT / "python" / "sluicegate", ROOT / "controller"):
        for path in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    names = [node.module, *(f"{node.module}.{item.name}" for item in node.names)]
                for name in names:
                    if name.partition(".")[0] not in {*sys.stdlib_module_names, "sluicegate"}:
                        yield name, str(path.relative_to(ROOT))


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["kubernetes"], *extras["reference"]]
    return {re.split(r"[^\w.-]", item)[0].lower() for item in wanted}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    found = {DISTRIBUTIONS.get(top, top) for name, _ in imports() if (top := name.partition(".")[0]) not in BY_OTHERS}
    assert found == declared()


def test_an_extra_is_imported_where_it_says() -> None:
    """A plain install has none: `reference` alone needs what its extra has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {re.split(r"[^\w.-]", item)[0] for item in project["optional-dependencies"]["reference"]}
    found = {
        (path.rpartition("/")[0], DISTRIBUTIONS.get(top, top))
        for name, path in imports()
        if DISTRIBUTIONS.get(top := name.partition(".")[0], top) in extra
    }
    assert found == {("python/sluicegate/reference", name) for name in extra}


def test_nothing_private_of_others_is_imported() -> None:
    assert [item for item in imports() if any(part.startswith("_") for part in item[0].split("."))] == []


def test_every_bound_has_a_lower_end() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["kubernetes"], *extras["reference"]]
    assert [item for item in wanted if ">=" not in item] == []
