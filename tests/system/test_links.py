"""Where changes are looked for: below links, which git-sync exchanges for a new checkout, and beside single files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from system_clients import Http1
from system_gateway import Gateway
from system_manifests import Manifest, dump, gateway, route, rule, service


def checkout(root: Path, name: str) -> None:
    """A new checkout with a route of its name, and the link to it."""
    folder = root / "worktrees" / name / "manifests"
    folder.mkdir(parents=True)
    (folder / "route.yaml").write_text(dump(route(rule(f"/{name}", "app"), name=name)))
    link = root / "new-link"
    link.symlink_to(Path("worktrees") / name)
    link.rename(root / "current")


def changed(found: Gateway, name: str) -> None:
    found.event(lambda event: event["event"] == "changed" and f"HTTPRoute/default/{name}" in event["objects"])


def status(found: Gateway, target: str) -> int:
    connection = Http1(found.address, 8080)
    try:
        return connection.request("GET", "any.test", target).status
    finally:
        connection.close()


@pytest.fixture
def objects(backend: Any) -> list[Manifest]:
    return [gateway(), *service("app", backend("app").address)]


@pytest.mark.parametrize("path", ["current", "current/manifests", "current/manifests/route.yaml"])
def test_a_link_is_followed(start: Any, objects: list[Manifest], tmp_path: Path, path: str) -> None:
    checkout(tmp_path, "first")
    found = start(*objects, arguments=(str(tmp_path / path),))
    assert status(found, "/first") == 200
    for before, name in (("first", "second"), ("second", "third")):
        checkout(tmp_path, name)
        changed(found, name)
        assert [status(found, f"/{each}") for each in (before, name)] == [404, 200]
    # What it leads to now is watched as well.
    (tmp_path / "current" / "manifests" / "route.yaml").write_text(dump(route(rule("/last", "app"), name="last")))
    changed(found, "last")
    assert status(found, "/last") == 200


def test_files_of_a_folder_and_of_one_below_it(start: Any, objects: list[Manifest], tmp_path: Path) -> None:
    """Only files are given, so that the watch of the folder is not of all below."""
    (tmp_path / "below").mkdir()
    files = [tmp_path / "all.yaml", tmp_path / "below" / "route.yaml"]
    files[1].write_text(dump(route(rule("/first", "app"), name="first")))
    found = start(*objects, folder=tmp_path, paths=files)
    files[1].write_text(dump(route(rule("/second", "app"), name="second")))
    changed(found, "second")
    assert status(found, "/second") == 200
