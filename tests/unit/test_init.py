"""`sluicegate init`: the shop that it writes passes `check`, and its own tests pass."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sluicegate.schema.catalog import catalog

Run = Callable[..., tuple[int, str]]
ROOT = Path(__file__).parents[2]
#: Kinds of which a schema is known.
READ_KINDS = {kind for _, kind in catalog()}
FILES = {
    ".gitignore",
    ".schema.json",
    "README.md",
    "manifests/certificate.yaml",
    "manifests/gateway.yaml",
    "manifests/routes.yaml",
    "manifests/services.yaml",
    "pytest.ini",
    "sluicegate.toml",
    "tests/test_routes.py",
}


@pytest.fixture
def shop(command: Run, tmp_path: Path) -> Path:
    folder = tmp_path / "new" / "shop"
    status, text = command("init", str(folder), "-o", "json")
    assert status == 0
    document = json.loads(text)
    assert document["format"] == "sluicegate.dev/init/v1"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(document["files"])
    assert set(document["files"]) == FILES
    return folder


def test_the_shop_passes_check(command: Run, shop: Path) -> None:
    status, text = command("check", str(shop / "manifests"), "--fail-on", "warning")
    assert (status, text.splitlines()[-1]) == (0, "10 documents: no problem"), text
    config = ("--config", str(shop / "sluicegate.toml"))
    status, text = command("check", str(shop / "manifests"), "--fail-on", "warning", *config)
    assert (status, text.splitlines()[-1]) == (0, "10 documents: no problem"), text
    assert text.startswith("Checked for sluicegate serve: --backend says")


def test_what_is_beside_the_manifests_is_taken_for_none(command: Run, shop: Path) -> None:
    status, text = command("check", str(shop), "--fail-on", "warning")
    assert (status, text.splitlines()[-1]) == (0, "10 documents: no problem"), text


def test_its_tests_pass_and_can_fail(shop: Path) -> None:
    def run() -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        return subprocess.run(command, capture_output=True, text=True, cwd=shop, check=False).stdout

    assert "5 passed" in run()
    routes = shop / "manifests" / "routes.yaml"
    routes.write_text(routes.read_text().replace("weight: 10", "weight: 20"))
    assert "1 failed, 4 passed" in run()


def test_nobody_else_reads_the_key(shop: Path) -> None:
    certificate = shop / "manifests" / "certificate.yaml"
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o600
    assert (shop / ".gitignore").read_text().splitlines()[-1] == "/manifests/certificate.yaml"


def test_nothing_is_written_where_there_is_something(command: Run, tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("mine")
    status, text = command("init", str(tmp_path))
    assert (status, "is not empty: nothing is written" in text) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]
    status, text = command("init", str(tmp_path / ".hidden"))
    assert (status, "File exists" in text) == (2, True)
    assert command("init")[0] == command("init", "a", "b")[0] == 2


def test_what_it_says_to_try(command: Run, tmp_path: Path) -> None:
    status, text = command("init", str(tmp_path / "shop"))
    assert status == 0
    last = text.splitlines()[-1]
    assert last == f"Try: cd {tmp_path / 'shop'} && sluicegate check manifests && sluicegate demo manifests"


def test_each_document_names_the_schema(shop: Path) -> None:
    for path in (shop / "manifests").glob("*.yaml"):
        documents = path.read_text().split("\n---\n")
        lines = [document.splitlines()[0] for document in documents]
        assert set(lines) == {"# yaml-language-server: $schema=../.schema.json"}, path
        assert (path.parent / "../.schema.json").is_file()


def test_the_schema_takes_what_is_right_and_nothing_that_is_misspelt(shop: Path, tmp_path: Path) -> None:
    """By a validator of its own: all examples fit, and of each one field that is spelt wrong does not."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    sources = [*(shop / "manifests").glob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")]
    for source in sources:
        for number, document in enumerate(yaml.safe_load_all(source.read_text())):
            if not isinstance(document, dict) or "kind" not in document:
                continue
            name = f"{source.stem}-{number}.json"
            (good / name).write_text(json.dumps(document, default=str))
            if isinstance(document.get("spec"), dict):
                (bad / name).write_text(
                    json.dumps({**document, "spec": {**document["spec"], "misspelt": 1}}, default=str)
                )
    assert len(list(bad.iterdir())) > 20

    def wrong(folder: Path) -> set[str]:
        command = [sys.executable, "-m", "check_jsonschema", "--schemafile", shop / ".schema.json", "-o", "JSON"]
        found = subprocess.run([*command, *folder.iterdir()], capture_output=True, text=True, check=False, timeout=120)
        return {Path(item["filename"]).name for item in json.loads(found.stdout)["errors"]}

    assert wrong(good) == set()
    read = {path.name for path in bad.iterdir() if json.loads(path.read_text())["kind"] in READ_KINDS}
    assert wrong(bad) == read
