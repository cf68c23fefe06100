"""Everything that says the version says the same, and one command sets it."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

import release_version as version
import sluicegate

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, list[str]]:
    """A copy of what the tool looks at, with the names of its files."""
    names = [name for name in version.tracked(ROOT) if name.endswith((*version.NAMED_IN, version.LOCK))]
    names = [name for name in names if not (ROOT / name).is_symlink()]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path, names


def test_every_place_has_the_same_version() -> None:
    assert version.disagreements(ROOT, version.tracked(ROOT)) == []
    assert sluicegate.__version__ == version.version()


def test_every_form_of_delivery_has_a_place() -> None:
    """Read as their tools read them, not as the tool of versions does."""
    wanted = version.version()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == wanted
    chart = yaml.safe_load((ROOT / "deploy" / "chart" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (wanted, wanted)
    for path in (ROOT / "deploy").rglob("*.yaml"):
        for image in re.findall(r"\bsluicegate:([\w.-]+)", path.read_text()):
            assert image == wanted, path
    [image] = yaml.safe_load((ROOT / "deploy" / "controller" / "kustomization.yaml").read_text())["images"]
    assert image == {"name": "sluicegate", "newTag": wanted}
    for manifest in (ROOT / "native").glob("*/Cargo.toml"):
        assert tomllib.loads(manifest.read_text())["package"]["version"] == {"workspace": True}, manifest


def test_a_version_is_set_everywhere(tree: tuple[Path, list[str]]) -> None:
    root, names = tree
    changed = version.set_version(root, names, "9.8.7")
    assert {*version.PLACES, version.LOCK, "README.md", "deploy/controller/deployment.yaml", "CHANGELOG.md"} <= {
        *changed
    }
    assert version.disagreements(root, names) == []
    assert version.version(root) == "9.8.7"
    assert not [name for name in changed if name.startswith(("benches/results", "tests/conformance/reports"))]
    changes = (root / "CHANGELOG.md").read_text()
    assert "\n## [9.8.7] - unreleased\n\n## [" in changes
    assert re.search(r"^\[9\.8\.7\]: https://\S+/v9\.8\.7$", changes, re.MULTILINE)
    assert version.set_version(root, names, "9.8.7") == []


def test_only_three_numbers_are_a_version(tree: tuple[Path, list[str]]) -> None:
    for odd in ("1.0", "v1.0.0", "1.0.0-rc.1", "1.0.0rc1", ""):
        with pytest.raises(version.VersionError, match="three numbers"):
            version.set_version(*tree, odd)
    assert version.version(tree[0]) == version.version()


@pytest.mark.parametrize("name", ["deploy/node/deployment.yaml", "README.md", "Cargo.lock", "deploy/chart/Chart.yaml"])
def test_a_place_with_another_version_is_named(tree: tuple[Path, list[str]], name: str) -> None:
    root, names = tree
    path = root / name
    place = version.places(name, path.read_text())[-1]
    text = path.read_text()
    path.write_text(f"{text[: place.start]}3.2.1{text[place.end :]}")
    [wrong] = version.disagreements(root, names)
    assert wrong.startswith(f"{name}:{place.line}: 3.2.1, Cargo.toml says {version.version()}; run: make version TO=")


def test_a_place_that_is_gone_is_named(tree: tuple[Path, list[str]]) -> None:
    root, names = tree
    (root / "deploy" / "chart" / "Chart.yaml").write_text("name: sluicegate\n")
    with pytest.raises(version.VersionError, match=r"^deploy/chart/Chart\.yaml: 0 places match .*, there should be 2"):
        version.disagreements(root, names)


def test_a_tag_is_that_of_the_version_and_has_its_changes(tree: tuple[Path, list[str]]) -> None:
    root, names = tree
    version.set_version(root, names, "9.8.7")
    assert len(version.wrong_for_a_tag(root, "v9.8.8")) == 2
    [wrong] = version.wrong_for_a_tag(root, "v9.8.7")
    assert wrong == "CHANGELOG.md: the heading of 9.8.7 has no date; write `## [9.8.7] - YYYY-MM-DD`"
    changes = root / "CHANGELOG.md"
    changes.write_text(changes.read_text().replace("[9.8.7] - unreleased", "[9.8.7] - 2030-01-31"))
    assert version.wrong_for_a_tag(root, "v9.8.7") == []


def test_make_sets_it() -> None:
    [recipe] = re.findall(r"^version: .*\n\t(.*)$", MAKEFILE, re.MULTILINE)
    assert recipe.endswith("tools/release_version.py $(TO)")
