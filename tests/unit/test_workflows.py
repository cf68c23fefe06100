"""The workflow runs nothing that somebody may replace, and no line that was never tried, but for those named here."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: Actions of ours use others, as workflows do.
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
CI_RUN = (ROOT / ".ci" / "run").read_text()

#: Actions without a digest, with the reason. A digest is that of the commit that the tag, said beside it, names.
UNPINNED_ACTIONS: dict[str, str] = {}
#: Images without a digest, with the reason.
BY_TAG = "no registry could be asked where this was written; dependabot.yml has them looked after"
UNPINNED_IMAGES = {
    "docker.io/library/rust:1-slim-bookworm": BY_TAG,
    "docker.io/library/python:3.13-slim-bookworm": BY_TAG,
    "docker.io/library/python:3.11-slim-bookworm": BY_TAG,
    "docker.io/library/python:3.14-slim-trixie": BY_TAG,
    "docker.io/library/python:3.11-alpine": BY_TAG,
    "docker.io/library/python:3.14-alpine": BY_TAG,
}
#: What jobs may do besides reading the repository.
PERMISSIONS = {
    "publish-image": {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"},
    "publish-chart": {"packages": "write", "id-token": "write"},
    "publish": {"id-token": "write"},
    "publish-release": {"contents": "write", "id-token": "write", "attestations": "write"},
    "publish-site": {"pages": "write", "id-token": "write"},
}
#: Targets of make that the workflow runs and `.ci/run` does not by this name, with where they run otherwise.
TRIED = {
    "bench-instructions": "`.ci/run` runs the recipe, which has one exit status more than make",
    "cluster-prerequisites": "`.ci/run` runs the recipe (`harness prerequisites`)",
    "cluster": "`.ci/run` runs the recipe (`harness up`, then `make cluster-image`)",
    "site": "tests/unit/test_site.py builds it the same way",
    "site-versions": "by hand; its tool by tests/unit/test_site.py",
    "release": "by hand, with a build and with DISTRIBUTIONS; its tools by tests/packaging/test_release.py",
    "test-release": "by hand; its test by `make test`",
}
#: Lines that cannot run where the project is developed, by how they begin, with the reason.
NOT_HERE = {
    "make audit": "the databases of advisories are not reached",
    "sudo apt-get ": "packages of the runner's distribution",
    "docker run ": "there is no daemon; tools/try_installed.py runs in test_release.py",
    "echo '${{ toJSON(needs) }}'": "only a run of the workflow has results of jobs",
    'echo "version=${GITHUB_REF_NAME#v}"': "only a run of the workflow has an output file",
    "cosign sign": "signs with the identity of a run of the workflow",
    "helm push ": "writes to a registry",
    "set -o pipefail": "of the step that pushes the chart",
    "gh release create ": "writes to the repository",
}
#: Lines that stand around others.
AROUND = (
    "as_root() { sudo ",
    'sudo chown -R "$USER" ',
    "digest=$(sed ",
    "test '${{ contains(needs",
    "for image in ",
    "done",
)


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        yield from yaml.safe_load(path.read_text())["jobs"].items()


def scripts() -> Iterator[tuple[str, str]]:
    """Job and line of everything that is run; a line that is quoted over several is one."""
    for name, job in jobs():
        for step in job["steps"]:
            script = re.sub(r"sh -c '\n[^']*'", "sh -c ...", step.get("run", ""))
            for line in filter(None, map(str.strip, script.splitlines())):
                yield name, line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_github_reads_it(path: Path) -> None:
    """By the schema that its editors use."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr


def test_actions_are_pinned() -> None:
    """By the digest of a commit, with the version beside it: a tag may be moved to other code."""
    texts = [path.read_text() for path in (*WORKFLOWS, *ACTIONS)]
    used = [line for text in texts for line in text.splitlines() if re.match(r"\s+(- )?uses:", line)]
    assert used
    assert any("/upload-sarif@" in line for line in used)
    for line in used:
        name = line.partition("uses: ")[2]
        pinned = re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # (v\d+\.\d+\.\d+|master, \d{4}-\d\d-\d\d)", name)
        assert pinned or name.split()[0] in UNPINNED_ACTIONS, line


def test_one_action_has_one_digest() -> None:
    found: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, *ACTIONS):
        for name, digest in re.findall(r"uses: ([^@\s]+)@(.*)$", path.read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(digest)
    assert {name: digests for name, digests in found.items() if len(digests) > 1} == {}


def test_images_are_pinned_or_named() -> None:
    texts = [path.read_text() for path in (*WORKFLOWS, ROOT / "deploy" / "Containerfile")]
    used = {name for text in texts for name in re.findall(r"\b(?:FROM \S+|image: [\w./]+:[\w.-]+)", text)}
    names = {name.split()[1] for name in used}
    full = {name if "/" in name else f"docker.io/library/{name}" for name in names}
    assert {name for name in full if "@sha256:" not in name} == UNPINNED_IMAGES.keys()


def test_jobs_may_do_what_they_need() -> None:
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in jobs() if "permissions" in job} == PERMISSIONS
    for name, job in jobs():
        assert ("environment" in job) == (name in PERMISSIONS), name
        assert name == "all-green" or job["timeout-minutes"] <= 60, name
        for step in job["steps"]:
            if "/checkout@" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, name


def test_nothing_that_strangers_write_is_a_command() -> None:
    """A branch may be named `$(...)`: what comes from outside is a variable of the shell, never text of the script."""
    for name, line in scripts():
        for expression in re.findall(r"\$\{\{\s*(.*?)\s*\}\}", line):
            assert re.match(r"(matrix\.|toJSON\(needs\)|contains\(needs\.)", expression), (name, line)


def test_every_line_ran_or_is_named() -> None:
    ran = set(re.findall(r"\bmake ([\w-]+)", CI_RUN))
    unknown, seen = [], set()
    for name, line in scripts():
        target = re.match(r"(?:as_root )?make ([\w-]+)", line)
        begins = [start for start in NOT_HERE if line.startswith(start)]
        seen.update(begins)
        if target and not begins:
            assert re.search(rf"^{target[1]}: ", MAKEFILE, re.MULTILINE), line
            seen.add(target[1])
            if target[1] not in ran and target[1] not in TRIED:
                unknown.append((name, line))
        elif line.startswith("python tools/"):
            if line.split()[1] not in CI_RUN:
                unknown.append((name, line))
        elif not begins and not line.startswith(AROUND):
            unknown.append((name, line))
    assert unknown == [], "run it once, as a target of make, or name it here with the reason why it cannot"
    assert {*TRIED, *NOT_HERE} <= seen, "named, and not in the workflow any more"


@pytest.mark.parametrize("target", ["cluster-prerequisites", "cluster", "bench-instructions"])
def test_what_runs_under_another_name_is_the_recipe(target: str) -> None:
    [recipe] = re.findall(rf"^{target}: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    for line in recipe.splitlines():
        command = line.strip().replace("$(HARNESS)", "harness").partition(" $(if")[0].replace("$(BIN)", ".venv/bin")
        assert command in CI_RUN or command == "harness image", line
