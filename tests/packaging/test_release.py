"""What a tag publishes: every file is made, is what it says, and can be installed from.

`make test-release` looks at what `make release` made in dist/ (TEST_RELEASE); otherwise the files are made here, from
the distributions that the other tests of this folder use.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import release
from deploy_tools import chart_documents, kustomize_documents, program
from release_version import version
from try_installed import try_installed

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VERSION = version()
IMAGE = os.environ.get("RELEASE_IMAGE") or release.IMAGE
LIMIT = 600


@pytest.fixture(scope="module")
def released(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("TEST_RELEASE")
    if given:
        return ROOT / given
    folder = tmp_path_factory.mktemp("dist")
    for path in built:
        shutil.copy(path, folder)
    command = [sys.executable, "tools/release.py", folder]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert result.returncode == 0, result.stderr
    for path in folder.iterdir():
        assert str(path) in result.stdout
    return folder


def documents(text: str) -> list[Any]:
    return [item for item in yaml.safe_load_all(text) if item]


def with_image(item: Any) -> Any:
    """An object of the tree as it is published: with the image of the registry in place of the one of the tree."""
    text = json.dumps(item)
    return json.loads(re.sub(rf'"sluicegate:{re.escape(VERSION)}"', f'"{IMAGE}:{VERSION}"', text))


def test_there_is_every_file_and_no_other(released: Path) -> None:
    names = {path.name for path in released.iterdir()}
    wheels = {name for name in names if name.endswith(".whl")}
    assert wheels
    assert names - wheels == {*release.names(VERSION).values(), f"sluicegate-{VERSION}.tar.gz"}


def test_the_sums_are_those_of_all_files(released: Path) -> None:
    """By the command that a user has."""
    command = ["sha256sum", "--check", "--strict", release.SUMS]
    result = subprocess.run(command, cwd=released, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert result.returncode == 0, result.stdout + result.stderr
    checked = {line.partition(": ")[0] for line in result.stdout.splitlines()}
    assert checked == {path.name for path in released.iterdir()} - {release.SUMS}


def test_the_index_takes_the_distributions(released: Path) -> None:
    release.check_distributions(release.distributions(released, VERSION))


def test_the_chart_installs_what_that_of_the_tree_installs(released: Path) -> None:
    chart = released / f"sluicegate-{VERSION}.tgz"
    ours = documents(chart_documents(DEPLOY / "chart", "sluicegate", "sluicegate-system"))
    theirs = documents(chart_documents(chart, "sluicegate", "sluicegate-system"))
    assert theirs == [with_image(item) for item in ours]
    assert theirs != ours
    assert [item for item in theirs if item["kind"] == "CustomResourceDefinition"]
    command = [program("helm"), "lint", "--strict", str(chart)]
    linted = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_chart_has_files_and_no_links(released: Path) -> None:
    with tarfile.open(released / f"sluicegate-{VERSION}.tgz") as archive:
        members = archive.getmembers()
        readme = archive.extractfile("sluicegate/README.md")
        assert readme is not None
        assert f'| `image.repository` | `"{IMAGE}"` |' in readme.read().decode()
    assert all(member.isfile() for member in members)
    crds = {Path(member.name).name for member in members if member.name.startswith("sluicegate/crds/")}
    assert crds == {path.name for path in (DEPLOY / "crds").glob("*.yaml")} - {"kustomization.yaml"}


def test_the_manifests_are_those_of_the_tree(released: Path) -> None:
    text = (released / release.MANIFESTS).read_text()
    ours = documents(kustomize_documents(DEPLOY / "controller"))
    assert documents(text) == [with_image(item) for item in ours]
    [deployment] = [item for item in documents(text) if item["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{IMAGE}:{VERSION}"
    assert {"name": "SLUICEGATE_IMAGE", "value": container["image"]} in container["env"]
    assert text.startswith(f"# Sluicegate {VERSION}: kubectl apply --server-side -f install.yaml\n")


def test_the_bill_is_that_of_the_version(released: Path) -> None:
    """What is in it is asked by test_bill_of_materials.py."""
    bill = json.loads((released / f"sluicegate-{VERSION}.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == VERSION
    kinds = {item["purl"].partition("/")[0] for item in bill["components"]}
    assert kinds == {"pkg:cargo", "pkg:pypi"}


def test_every_wheel_has_a_bill_of_its_crates(released: Path) -> None:
    for wheel in released.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            bills = [name for name in archive.namelist() if ".dist-info/sboms/" in name]
            assert bills, wheel
            named = {item["name"] for name in bills for item in json.loads(archive.read(name)).get("components", ())}
        assert "rustls" in named


def test_the_notes_are_the_changes_of_the_version(released: Path) -> None:
    notes = (released / release.NOTES).read_text()
    assert notes == release.changes(VERSION)
    assert notes.startswith("The first version." if VERSION == "0.1.0" else "### ")
    assert "\n## " not in notes


def test_pip_installs_from_it_and_it_serves(released: Path, tmp_path: Path) -> None:
    """pip chooses the wheel for this machine, as from an index."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    bare = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST", "CARGO"))}
    command = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--find-links", released, "--only-binary", "sluicegate", f"sluicegate=={VERSION}"]
    subprocess.run(command, cwd=tmp_path, env=bare, check=True, timeout=LIMIT)
    said = subprocess.run(
        [place / "bin" / "sluicegate", "version"], env=bare, capture_output=True, text=True, check=True
    )
    assert said.stdout == f"{VERSION}\n"
    try_installed([str(place / "bin" / "python")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Names of distributions, which is all that is looked at first."""
    for name in (f"sluicegate-{VERSION}-cp311-abi3-linux_x86_64.whl", f"sluicegate-{VERSION}.tar.gz"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_file_that_is_not_of_the_release_ends_it(folder: Path) -> None:
    """What a report or an older wheel would do: all of the folder is published."""
    assert len(release.distributions(folder, VERSION)) == 2
    for name in ("README.md", "sluicegate-0.0.9-cp311-abi3-linux_x86_64.whl", "conformance-reports"):
        (folder / name).touch()
        with pytest.raises(release.ReleaseError, match=f"{name}: is no file of the release {VERSION}; remove it"):
            release.distributions(folder, VERSION)
        (folder / name).unlink()


@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
def test_a_distribution_that_is_missing_is_named(folder: Path, suffix: str) -> None:
    for path in folder.glob(f"*{suffix}"):
        path.unlink()
    with pytest.raises(release.ReleaseError, match="run: make release"):
        release.distributions(folder, VERSION)


def test_what_the_index_would_refuse_ends_it(folder: Path) -> None:
    with pytest.raises(release.ReleaseError, match="twine check --strict"):
        release.check_distributions(release.distributions(folder, VERSION))


def test_a_tag_of_another_version_makes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELEASE_TAG", "v99.0.0")
    before = sorted(folder.iterdir())
    assert release.main([str(folder)]) == 1
    assert f"the tag v99.0.0 is not v{VERSION}" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_a_version_without_changes_ends_it() -> None:
    with pytest.raises(release.ReleaseError, match=r"CHANGELOG\.md: says nothing of 99\.0\.0; write what users notice"):
        release.changes("99.0.0")
