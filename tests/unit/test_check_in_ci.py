"""`sluicegate check` before a commit and in a pull request: the hook and the Action, as far as they run here."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "check"
PAGE = (ROOT / "docs" / "check-in-ci.md").read_text()
QUICKSTART = ROOT / "examples" / "quickstart"

Run = Callable[..., tuple[int, str]]


def action() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ACTION / "action.yml").read_text())
    return found


def config_of(name: str) -> list[Any]:
    """The blocks of the page that are a file of this name, or go on with one."""
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", PAGE, re.MULTILINE)
    return [found for block in blocks if isinstance(found := yaml.safe_load(block), dict) and name in found]


@pytest.fixture
def check(tmp_path: Path) -> Callable[[str, str], tuple[int, dict[str, str], str]]:
    """What the step of the Action comes to: its exit status, its outputs, and the log."""
    program = tmp_path / "bin" / "sluicegate"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sluicegate "$@"\n')
    program.chmod(0o755)

    def run(paths: str, options: str = "") -> tuple[int, dict[str, str], str]:
        outputs = tmp_path / "outputs"
        outputs.write_text("")
        environment = {
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "CHECK_PATHS": paths,
            "CHECK_OPTIONS": options,
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_OUTPUT": str(outputs),
        }
        command = ["bash", str(ACTION / "check.sh")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
        lines = outputs.read_text().splitlines()
        return done.returncode, dict(line.split("=", 1) for line in lines), done.stdout + done.stderr

    return run


def test_the_action_annotates_what_is_wrong_and_fails(check: Any, tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    shutil.copytree(QUICKSTART, folder)
    assert check("two words\n")[:2] == (0, {"sarif": f"{tmp_path}/sluicegate.sarif", "status": "0"})
    manifest = folder / "gateway.yaml"
    manifest.write_text(manifest.read_text().replace("protocol: HTTP", "protocol: HTPP"))
    status, outputs, log = check("\ntwo words\n")
    assert (status, outputs["status"]) == (0, "1")
    (run,) = json.loads(Path(outputs["sarif"]).read_text())["runs"]
    places = [item["locations"][0]["physicalLocation"] for item in run["results"]]
    line = manifest.read_text().splitlines().index("    protocol: HTPP") + 1
    wanted = {"artifactLocation": {"uri": "two%20words/gateway.yaml"}, "region": {"startLine": line}}
    assert wanted in places
    assert f"two words/gateway.yaml:{line}: error" in log


def test_options_reach_the_command(check: Any, tmp_path: Path) -> None:
    shutil.copytree(QUICKSTART, tmp_path / "a")
    (tmp_path / "b.yaml").write_text("apiVersion: v1\nkind: Endpoints\nmetadata: {name: app}\n")
    assert check("a\nb.yaml")[1]["status"] == "0"
    assert check("a\nb.yaml", "--for standalone --fail-on warning")[1]["status"] == "1"
    status, outputs, log = check("gone")
    assert (status, outputs["status"], "gone: no such file or directory" in log) == (0, "2", True)


def test_the_action_hands_on_what_the_script_reads_and_writes() -> None:
    document = action()
    steps = document["runs"]["steps"]
    [checked] = [step for step in steps if step.get("id") == "check"]
    script = (ACTION / "check.sh").read_text()
    assert {name for name in checked["env"] if name.startswith("CHECK_")} == {*re.findall(r"CHECK_\w+", script)}
    used = set(re.findall(r"inputs\.(\w+)", (ACTION / "action.yml").read_text()))
    assert used == document["inputs"].keys()
    assert set(re.findall(r"outputs\.(\w+)", (ACTION / "action.yml").read_text())) == {"sarif", "status"}
    # It ends as the check did, behind the upload.
    assert [step["env"] for step in steps if step.get("run") == 'exit "$STATUS"'] == [steps[-1]["env"]]
    assert "upload-sarif@" in steps[-2]["uses"]
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.+) \|$", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(document["inputs"])


def test_the_hook_checks_everything(command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["pass_filenames"]) == ("sluicegate-check", False)
    shutil.copytree(QUICKSTART, tmp_path / "manifests")
    monkeypatch.chdir(tmp_path)
    program, *words = [*shlex.split(hook["entry"]), *hook["args"]]
    assert program == "sluicegate"
    assert command(*words)[0] == 0
    (tmp_path / "manifests" / "more.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: 7}\n")
    assert command(*words)[0] == 1
    changed = re.compile(hook["files"])
    assert changed.search("manifests/more.yaml")
    assert not changed.search("README.md")


def test_the_page_shows_what_is_there(command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [workflow] = config_of("jobs")
    [used] = [step for step in workflow["jobs"]["check"]["steps"] if "sluicegate" in step["uses"]]
    place = used["uses"].partition("@")[0].removeprefix("sluicegate/sluicegate/")
    assert (ROOT / place / "action.yml").is_file()
    assert used["with"].keys() <= action()["inputs"].keys()
    shutil.copytree(QUICKSTART, tmp_path / "manifests")
    monkeypatch.chdir(tmp_path)
    assert command("check", used["with"]["paths"], *used["with"]["options"].split())[0] == 0
    local, ours = (config["repos"][0]["hooks"][0] for config in config_of("repos"))
    assert ours["id"] == local["id"] == "sluicegate-check"
    assert command(*shlex.split(local["entry"])[1:])[0] == 0
