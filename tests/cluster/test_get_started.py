"""The pages to get started on kind and on one node, as far as they are about a cluster: what is typed, and an answer.

The cluster and its image are here already, so commands that make these are left out, and so are the Gateway API's CRDs.
Files and what is typed on a laptop are typed by `tests/system/test_task_pages.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from api import Api
from harness import install
from harness.paths import BINARIES, KUBECONFIG

from conftest import ROOT

PAGES = ROOT / "docs" / "start"
#: Sections of a page that are about a cluster, in the order in which they are typed.
SECTIONS = {"kind": ("The controller", "A Gateway"), "one-node": ("The gateway", "The first Gateway")}
LIMIT = 180


@pytest.fixture
def shell(api: Api, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which `kubectl` means the test cluster, with nothing installed before and after."""
    own = BINARIES / "kubectl"
    found = own if own.exists() else shutil.which("kubectl")
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\nexec {found} --kubeconfig {KUBECONFIG} "$@"\n')
    program.chmod(0o755)
    install.remove()
    api.gone("Namespace", "", install.SYSTEM)
    yield {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    install.remove()
    api.gone("Namespace", "", install.SYSTEM)


def typed(name: str) -> list[str]:
    """Commands of a page, but that which fetches the Gateway API."""
    text = (PAGES / f"{name}.md").read_text()
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    lines = [line[4:] for title in SECTIONS[name] for line in sections[title].splitlines() if line.startswith("    ")]
    # A fence has its own indentation.
    return [line for line in lines if line.startswith(("kubectl ", "curl ")) and "gateway-api" not in line]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_reader_gets_an_answer(name: str, shell: dict[str, str], tmp_path: Path) -> None:
    for place in ("deploy", "examples"):
        (tmp_path / place).symlink_to(ROOT / place)
    for file, text in re.findall(
        r'^```yaml title="([^"]+)"\n(.*?)^```', (PAGES / f"{name}.md").read_text(), re.M | re.S
    ):
        (tmp_path / file).write_text(text)
    *commands, last = typed(name)
    assert len(commands) >= 4
    assert last.startswith("curl ")
    forwarded: list[subprocess.Popen[str]] = []
    try:
        for command in commands:
            if " port-forward " in command:
                forwarded.append(forward(command, shell))
            else:
                run(command, shell, tmp_path)
        assert run(last, shell, tmp_path).startswith("Hello from example-svc")
    finally:
        for process in forwarded:
            process.terminate()
            process.wait(LIMIT)
        files = re.search(r"kubectl apply (-f .*)", "\n".join(commands))
        assert files is not None
        run(f"kubectl delete --ignore-not-found {files[1]}", shell, tmp_path)


def run(command: str, shell: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=shell, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


def forward(command: str, shell: dict[str, str]) -> subprocess.Popen[str]:
    """Begin to forward; returns once it does."""
    process = subprocess.Popen(["bash", "-c", f"exec {command}"], env=shell, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Forwarding from")
    return process
