"""What `.ci/run` makes of a cluster that cannot be had, and of what is broken; what the workflow publishes and when."""

from __future__ import annotations

import os
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from cross_wheels import PLATFORMS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "run"


def program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("wanted", "prerequisites", "up", "counts", "lowest", "broken", "status", "words"),
    [
        ("auto", 0, 0, 0, 0, "nothing", 0, "conformance v1.7.0"),
        ("auto", 3, 0, 0, 0, "nothing", 0, "# no root"),
        ("require", 3, 0, 0, 0, "nothing", 1, "NOT TESTED"),
        ("auto", 1, 0, 0, 0, "nothing", 1, "no root"),
        ("auto", 0, 3, 0, 0, "nothing", 0, "# The cluster does not come up"),
        ("require", 0, 3, 0, 0, "nothing", 1, "NOT TESTED"),
        ("auto", 0, 1, 0, 0, "nothing", 1, "cluster FAILED"),
        ("auto", 0, 0, 0, 0, "cluster-image", 2, "image FAILED"),
        ("auto", 0, 0, 0, 0, "test-cluster*", 2, "what failed again FAILED"),
        ("auto", 0, 0, 0, 0, "check", 2, "check FAILED"),
        ("auto", 0, 0, 1, 0, "nothing", 1, "instructions FAILED"),
        ("auto", 0, 0, 0, 1, "nothing", 1, "lowest versions FAILED"),
        ("auto", 0, 0, 3, 0, "nothing", 0, "# NOT MEASURED: no count of instructions"),
        ("never", 1, 1, 0, 0, "cluster-image", 0, "not wanted"),
    ],
)
def test_exit_status(
    tmp_path: Path,
    wanted: str,
    prerequisites: int,
    up: int,
    counts: int,
    lowest: int,
    broken: str,
    status: int,
    words: str,
) -> None:
    """With stubs of make (2 for every error), of the harness, the counts of instructions and the lowest versions."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / "tests" / "cluster").mkdir(parents=True)
    script = shutil.copy(SCRIPT, tmp_path / ".ci" / "run")
    harness = f"case $3 in prerequisites) echo no root; exit {prerequisites};; up) exit {up};; *) exit 9;; esac"
    program(
        tmp_path / ".venv" / "bin" / "python",
        f'case "$1 $2" in "-m benches.instructions") exit {counts};; tools/lowest_versions.py*) exit {lowest};; esac\n'
        f"{harness}",
    )
    program(tmp_path / "bin" / "make", f'for word in "$@"; do case "$word" in {broken}) exit 2;; esac; done')
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SLUICEGATE_CI_CLUSTER": wanted}
    result = subprocess.run([script], env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert (result.returncode, words in result.stdout) == (status, True), result.stdout + result.stderr


def steps(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    """What the steps of a job that use an action are given."""
    return [step.get("with", {}) for step in job["steps"] if step.get("uses", "").partition("@")[0].endswith(action)]


def before(jobs: dict[str, Any], name: str) -> set[str]:
    """The jobs that have ended well before a job begins."""
    needs = jobs[name].get("needs", [])
    direct = {needs} if isinstance(needs, str) else {*needs}
    return direct.union(*(before(jobs, item) for item in direct))


def test_only_distributions_are_published() -> None:
    """Every upload of a job that builds distributions, and none of another: the index refuses all where one is none."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    [download] = steps(jobs["publish"], "/download-artifact")
    uploads = [(name, given) for name, job in jobs.items() for given in steps(job, "/upload-artifact")]
    published = {name for name, given in uploads if fnmatch(given["name"], download.get("pattern", "*"))}
    building = {name for name, job in jobs.items() if steps(job, "/maturin-action")}
    assert published == building == {"wheels", "sdist"}
    [whole] = steps(jobs["release-files"], "/download-artifact")
    assert whole["pattern"] == download["pattern"], "what is published is what was checked"
    for name in building:
        [built] = steps(jobs[name], "/maturin-action")
        [upload] = steps(jobs[name], "/upload-artifact")
        assert built["args"].endswith(f"--out {upload['path']}")
    assert {name for name, _ in uploads} > published, "there are reports too"


def test_nothing_is_published_that_was_not_tested() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    publishing = {name for name in jobs if name.startswith("publish")}
    assert publishing == {"publish", "publish-image", "publish-chart", "publish-release"}
    for name in publishing:
        assert jobs[name]["if"] == "startsWith(github.ref, 'refs/tags/v')"
        assert {"all-green", "audit"} <= before(jobs, name)
    # Advisories are published without us: a new one stops a release, not a commit.
    assert set(jobs["all-green"]["needs"]) == set(jobs) - publishing - {"all-green", "audit"}
    # What cannot be taken back comes after what can, and people are told last.
    assert {"publish-image", "publish-chart"} <= before(jobs, "publish")
    assert before(jobs, "publish-release") >= publishing - {"publish-release"}
    scripts = [step.get("run", "") for step in jobs["lowest-versions"]["steps"]]
    assert any("tools/lowest_versions.py" in script for script in scripts)
    assert "tools/lowest_versions.py" in (ROOT / ".ci" / "run").read_text()


def test_a_wheel_of_every_platform_is_tried_before_it_is_published() -> None:
    """Installed in images with the same C library; `tools/cross_wheels.py` builds the same ones elsewhere."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    job, pythons = jobs["wheels"], jobs["test"]["strategy"]["matrix"]["python"]
    built = job["strategy"]["matrix"]["include"]
    platforms = {(target.partition("-")[0], name.removeprefix("manylinux_")) for target, name in PLATFORMS.items()}
    assert sorted((each["target"], each["manylinux"]) for each in built) == sorted(platforms)
    for each in built:
        images = [each["oldest-image"], each["newest-image"]]
        assert ["alpine" in image for image in images] == ["musl" in each["manylinux"]] * 2
        versions = [image.partition(":")[2].partition("-")[0] for image in images]
        assert versions == [pythons[0], pythons[-1]], "one wheel for all of them"
    [tried] = [number for number, step in enumerate(job["steps"]) if "tools/try_installed.py" in step.get("run", "")]
    assert "actions/upload-artifact" in job["steps"][tried + 1]["uses"]
