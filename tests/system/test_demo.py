"""`sluicegate demo`: the first minute, as somebody has it who installed the package and nothing else."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system_gateway import LIMIT, own_address, until_refused

from sluicegate.testing.demo import QUICKSTART

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo on an address of its own, from a folder that has nothing."""
    command = [sys.executable, "-m", "sluicegate", "demo", "--listen", own_address(), "--admin", "off"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def summary(process: subprocess.Popen[str]) -> list[str]:
    """What it says up to the first request to try."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("Try: "):
            return lines
    raise AssertionError(f"it ended: {lines}")


def test_the_request_that_it_says_is_answered_and_ctrl_c_ends_all(demo: subprocess.Popen[str]) -> None:
    lines = summary(demo)
    assert "1 listener, 1 route" in lines[0]
    assert not any("problem" in line for line in lines), lines
    assert any(line.startswith(f"Manifests: {QUICKSTART}") for line in lines)
    command = [*shlex.split(lines[-1].removeprefix("Try: ")), "--silent", "--show-error"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT).stdout
    found = re.match(r"Hello from example-svc at (127\.0\.0\.1):(\d+)\n", answer)
    assert found is not None, answer
    demo.send_signal(signal.SIGINT)
    assert demo.wait(LIMIT) == 0
    until_refused(found[1], int(found[2]))


def test_a_port_that_is_taken_is_told_with_what_to_do(tmp_path: Path) -> None:
    address = own_address()
    command = [sys.executable, "-m", "sluicegate", "demo", "--listen", address, "--admin", "off"]
    with socket.create_server((address, 8080)):
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{address}:8080" in done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "stop what listens there, or choose other ports: sluicegate demo --port-offset 9000"
    )


def test_the_manifests_are_those_of_the_example() -> None:
    """One folder with two names, so that they cannot differ."""
    assert Path(QUICKSTART).samefile(ROOT / "examples" / "quickstart")
