"""The bill of materials names what is linked and what is asked for, and nothing that may not be."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import bill_of_materials
from release_version import version
from requirements import requirements

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def crates() -> list[bill_of_materials.Crate]:
    return bill_of_materials.crates()


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    text = bill_of_materials.bill()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found: dict[str, Any] = json.loads(text)
    return found


def allowed(expression: str, licences: set[str]) -> bool:
    """Whether an expression of SPDX can be met with these licences."""
    words = re.findall(r"[()]|[^()\s]+", expression)
    told = {"(": "(", ")": ")", "AND": "and", "OR": "or"}
    return bool(eval(" ".join(told.get(word) or str(word in licences) for word in words)))


def test_every_linked_crate_has_a_licence_that_is_let_in(crates: list[bill_of_materials.Crate]) -> None:
    licences = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    assert [crate for crate in crates if not allowed(crate.licence, licences)] == []
    for licence in licences:
        assert [crate for crate in crates if not allowed(crate.licence, licences - {licence})], licence


def test_what_is_let_in_is_not_everything() -> None:
    assert allowed("(MIT OR GPL-3.0-only) AND ISC", {"MIT", "ISC"})
    assert not allowed("(MIT OR GPL-3.0-only) AND ISC", {"MIT"})
    assert not allowed("GPL-3.0-only", {"MIT"})


def test_crates_are_those_that_are_linked(crates: list[bill_of_materials.Crate]) -> None:
    """With what the library cannot be without, and without what only tests or builds it."""
    names = {crate.name for crate in crates}
    assert {"rustls", "tokio", "pyo3", "mimalloc", "sluicegate-core"} <= names
    assert not {"sluicegate-fuzz", "target-lexicon", "pyo3-build-config", "cc"} & names
    # Optional parts of other crates, which nothing turns on.
    assert not {"borsh", "ring", "signal-hook-registry", "toml_edit"} & names
    locked = {(item["name"], item["version"]) for item in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    assert {(crate.name, crate.version) for crate in crates} <= locked
    changed = {crate.name for crate in crates if crate.ours and not crate.name.startswith("sluicegate-")}
    assert changed == {path.parent.name for path in (ROOT / "native" / "vendor").glob("*/Cargo.toml")}
    assert all(re.fullmatch(r"[0-9a-f]{64}", crate.sha256) for crate in crates if not crate.ours)


def test_the_bill_has_every_crate(bill: dict[str, Any], crates: list[bill_of_materials.Crate]) -> None:
    found = {item["purl"]: item for item in bill["components"] if item["purl"].startswith("pkg:cargo/")}
    wanted = {f"pkg:cargo/{item.name}@{item.version}": item for item in crates if "sluicegate" not in item.name}
    assert found.keys() == wanted.keys()
    for key, item in found.items():
        assert item.get("hashes", []) == (
            [{"alg": "SHA-256", "content": wanted[key].sha256}] if wanted[key].sha256 else []
        )
        assert item["licenses"]


def test_the_bill_has_every_package_in_a_version_that_is_allowed(bill: dict[str, Any]) -> None:
    found = {item["name"]: item for item in bill["components"] if item["purl"].startswith("pkg:pypi/")}
    for scope, lines in (("required", requirements()), ("optional", requirements(["kubernetes"]))):
        for line in lines:
            wanted = Requirement(line)
            item = found[wanted.name]
            assert item["version"] in SpecifierSet(str(wanted.specifier)), line
            if scope == "required":
                assert item["scope"] == scope
    assert "pytest" not in found


def test_the_bill_is_that_of_this_version(bill: dict[str, Any]) -> None:
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("sluicegate", version())
    [of_root] = [item for item in bill["dependencies"] if item["ref"] == root["bom-ref"]]
    assert {*of_root["dependsOn"]} == {item["bom-ref"] for item in bill["components"]}


def test_the_same_versions_have_the_same_bill(bill: dict[str, Any]) -> None:
    assert json.loads(bill_of_materials.bill()) == bill


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bill_of_materials, "requirements", lambda *_: ["no-such-package>=1"])
    with pytest.raises(bill_of_materials.BillError, match=r"^no-such-package is not installed: python tools/"):
        bill_of_materials.packages()
