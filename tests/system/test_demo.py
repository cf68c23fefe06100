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

from sluicegate.testing.demo import QUICKSTART, QUICKSTART_HTTPS

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


def summary(process: subprocess.Popen[str], tries: int = 1) -> list[str]:
    """What it says up to the last of so many requests to try."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if sum(item.startswith("Try: ") for item in lines) == tries:
            return lines
    raise AssertionError(f"it ended: {lines}")


def test_the_requests_that_it_says_are_answered_and_ctrl_c_ends_all(demo: subprocess.Popen[str]) -> None:
    lines = summary(demo, 2)
    assert "2 listeners, 2 routes" in lines[0]
    # The certificate is made, and nothing else is amiss.
    [problem] = [line for line in lines if ": warning: " in line or ": error: " in line]
    assert "a certificate made at this start serves" in problem
    assert any(line.startswith(f"Manifests: {QUICKSTART} {QUICKSTART_HTTPS}") for line in lines)
    plain, over_tls = (shlex.split(line.removeprefix("Try: ")) for line in lines[-2:])
    assert "--insecure" in over_tls
    assert over_tls[-1].startswith("https://www.example.com:8443/")
    for command in (plain, over_tls):
        command += ["--silent", "--show-error"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT).stdout
        found = re.match(r"Hello from example-svc at (127\.0\.0\.1):(\d+)\n", answer)
        assert found is not None, answer
    demo.send_signal(signal.SIGINT)
    assert demo.wait(LIMIT) == 0
    until_refused(found[1], int(found[2]))


def test_ports_that_are_taken_are_told_with_what_to_do(tmp_path: Path) -> None:
    address = own_address()
    command = [sys.executable, "-m", "sluicegate", "demo", "--listen", address, "--admin", "off"]
    with socket.create_server((address, 8080)), socket.create_server((address, 8443)):
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{address}:8080" in done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "stop what listens there, or choose other ports: sluicegate demo --port-offset 9000"
    )


def test_the_manifests_are_those_of_the_example() -> None:
    """One folder with two names, so that they cannot differ."""
    assert Path(QUICKSTART).samefile(ROOT / "examples" / "quickstart")


SHOP = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {gatewayClassName: sluicegate, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec: {parentRefs: [{name: gateway}], rules: [{backendRefs: [{name: cart, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: 7}
"""


def test_manifests_that_are_given_get_backends(tmp_path: Path) -> None:
    """One for each Service; what cannot be read is told by the gateway."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    command = [sys.executable, "-m", "sluicegate", "demo", str(tmp_path), "--listen", own_address(), "--admin", "off"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = summary(process)
            assert [line for line in lines if "shop.yaml:18: error" in line], lines
            answer = subprocess.run(shlex.split(lines[-1][5:]), capture_output=True, text=True, check=True).stdout
            assert answer.startswith("Hello from cart at 127.0.0.1:")
        finally:
            process.kill()
