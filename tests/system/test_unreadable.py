"""Files and directories that cannot be read: told with what helps, and nothing else is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_clients import Http1
from system_gateway import LIMIT, Gateway
from system_manifests import Manifest, dump, gateway, route, rule, service

#: Runs a command for which permissions hold even where tests run as root: without the capabilities
#: CAP_DAC_OVERRIDE (1) and CAP_DAC_READ_SEARCH (2), dropped by PR_CAPBSET_DROP (24). For others they hold anyway.
_CODE = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
WITHOUT_PRIVILEGES = [sys.executable, "-c", _CODE]


@pytest.fixture
def objects(backend: Any) -> list[Manifest]:
    return [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]


@pytest.fixture
def folder(tmp_path: Path, objects: list[Manifest]) -> Iterator[Path]:
    """One good file, and one of each kind that cannot be read."""
    found = tmp_path / "manifests"
    (found / "closed").mkdir(parents=True)
    (found / "all.yaml").write_text(dump(*objects))
    (found / "closed" / "inside.yaml").write_text(dump(route(rule("/inside", "app"), name="inside")))
    (found / "secret.yaml").write_text("kind: A")
    (found / "secret.yaml").chmod(0)
    (found / "dangling.yaml").symlink_to("nowhere.yaml")
    (found / "circle.yaml").symlink_to("circle.yaml")
    os.mkfifo(found / "pipe.yaml")
    (found / "folder.yaml").mkdir()
    (found / "closed").chmod(0)
    yield found
    (found / "closed").chmod(0o755)


TOLD = {
    "secret.yaml": ("Permission denied", "chmod a+r "),
    "closed": ("Permission denied", "chmod a+rx "),
    "dangling.yaml": ("nowhere.yaml, which does not exist", "correct the link or remove it"),
    "circle.yaml": ("links lead in a circle", "remove it"),
    "pipe.yaml": ("a named pipe", "move it away"),
}


def get(found: Gateway, target: str) -> int:
    connection = Http1(found.address, 8080)
    try:
        return connection.request("GET", "any.test", target).status
    finally:
        connection.close()


def test_what_cannot_be_read_at_the_start(start: Any, folder: Path, objects: list[Manifest]) -> None:
    found = start(*objects, folder=folder, prefix=WITHOUT_PRIVILEGES)
    told = {Path(item["path"]).name: item["message"] for item in found.ready["problems"]}
    assert told.keys() == TOLD.keys()
    for name, words in TOLD.items():
        assert all(word in told[name] for word in words), told[name]
    assert get(found, "/") == 200
    (folder / "closed").chmod(0o755)
    event = found.event(lambda event: event["event"] == "changed" and "HTTPRoute/default/inside" in event["objects"])
    assert [Path(item["path"]).name for item in event["solved"]] == ["closed"]
    (folder / "dangling.yaml").unlink()
    found.event(lambda event: event["event"] == "changed" and bool(event["solved"]))


def test_what_cannot_be_read_any_more(start: Any, tmp_path: Path, objects: list[Manifest]) -> None:
    """What was read goes on serving, and changes elsewhere are live."""
    folder = tmp_path / "manifests"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "deep.yaml").write_text(dump(route(rule("/deep", {"name": "gone", "port": 80}), name="deep")))
    found = start(*objects, folder=folder, prefix=WITHOUT_PRIVILEGES)
    (folder / "deep").chmod(0)
    event = found.event(lambda event: event["event"] == "changed" and bool(event["problems"]))
    assert [item["path"] for item in event["problems"]] == [str(folder / "deep")]
    assert (get(found, "/"), get(found, "/deep")) == (200, 500)
    changed = found.write(*objects, route(rule("/new", "app"), name="new"))
    assert "HTTPRoute/default/new" in changed["objects"]
    assert (get(found, "/new"), get(found, "/deep")) == (200, 500)
    (folder / "deep").chmod(0o755)
    found.event(lambda event: event["event"] == "changed" and bool(event["solved"]))
    closed = folder / "closed.yaml"
    closed.write_text(dump(route(rule("/closed", "app"), name="closed")))
    found.event(lambda event: event["event"] == "changed" and "HTTPRoute/default/closed" in event["objects"])
    unreadable = folder / ".unreadable"
    unreadable.write_text("kind: A")
    unreadable.chmod(0)
    unreadable.rename(closed)
    event = found.event(lambda event: event["event"] == "changed" and bool(event["problems"]))
    assert "chmod a+r " in event["problems"][0]["message"]
    assert get(found, "/closed") == 200


def test_check_tells_the_same(folder: Path) -> None:
    command = [sys.executable, "-m", "sluicegate", "check", str(folder)]
    result = subprocess.run([*WITHOUT_PRIVILEGES, *command], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert result.returncode == 1
    assert result.stderr == ""
    for name, words in TOLD.items():
        line = next(line for line in result.stdout.splitlines() if line.startswith(f"  {folder / name}: error: "))
        assert all(word in line for word in words), line
    assert "HTTPRoute/default/route" in result.stdout
