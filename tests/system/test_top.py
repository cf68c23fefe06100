"""`sluicegate top` beside a real gateway: for programs, without a terminal, and on one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_gateway import LIMIT, Gateway

MANIFESTS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: sluicegate, listeners: [{name: http, protocol: HTTP, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: moved}
spec:
  parentRefs: [{name: edge}]
  hostnames: [moved.test]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: new.test}}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: broken}
spec:
  parentRefs: [{name: edge}]
  hostnames: [broken.test]
  rules: [{backendRefs: [{name: gone, port: 80}]}]
"""
PROGRAM = [sys.executable, "-m", "sluicegate", "top"]


class Busy:
    """A gateway that is asked again and again, twice as often by the name that works."""

    def __init__(self, folder: Path) -> None:
        self.gateway = Gateway(folder, text=MANIFESTS)
        self.admin = f"{self.gateway.address}:19000"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self.gateway.address, 8080, timeout=LIMIT)
        while not self._ended.wait(0.005):
            for host in ("moved.test", "moved.test", "broken.test", "nobody.test"):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection.request("GET", "/", headers={"Host": host})
                    connection.getresponse().read()
        connection.close()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(LIMIT)
        self.gateway.stop()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    made = Busy(tmp_path_factory.mktemp("top"))
    yield made
    made.stop()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=LIMIT, check=False)


def test_programs_get_rates_errors_and_latencies(busy: Busy) -> None:
    ended = run(busy.admin, "--once", "--interval", "0.5", "--output", "json")
    assert (ended.returncode, ended.stderr) == (0, "")
    [report] = map(json.loads, ended.stdout.splitlines())
    assert report["format"] == "sluicegate.dev/top/v1"
    moved, broken = (row(report, name) for name in ("moved", "broken"))
    assert report["routes"][0] == moved  # asked twice as often, so first
    assert moved["rate"] > broken["rate"] > 0
    assert (moved["errors"], moved["client_errors"]) == (0, 0)
    assert broken["errors"] == pytest.approx(broken["rate"])
    assert 0 < moved["p50"] <= moved["p99"] <= 5
    assert report["answered"]["no_route"] > 0
    assert report["rate"] == pytest.approx(moved["rate"] + broken["rate"])


def row(report: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [item for item in report["routes"] if item["route"] == f"HTTPRoute/default/{name}"]
    return found


def test_without_a_terminal_it_writes_plain_tables(busy: Busy) -> None:
    ended = run(f"http://{busy.admin}/metrics", "--once", "-n", "0.2", "--filter", "BROKEN", "--sort", "p99")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert "\x1b" not in ended.stdout
    assert [line.split()[0] for line in lines[2:]] == ["ROUTE,", "HTTPRoute/default/broken"]


def test_a_reader_that_has_read_enough_ends_it(busy: Busy) -> None:
    process = subprocess.Popen(
        [*PROGRAM, busy.admin, "-n", "0.1", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["routes"]
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(LIMIT) == 0


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process, self._master = pty.fork()
        if self.process == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # as what a script starts in the background has it
            os.environ.update({"TERM": "xterm", "COLUMNS": "120", "LINES": "24", **environment})
            os.execv(sys.executable, [*PROGRAM, *arguments])
        self.text = ""

    def until(self, pattern: str) -> None:
        """Read until a pattern is found in what comes from now on."""
        begin, deadline = len(self.text), time.monotonic() + LIMIT
        while re.search(pattern, self.text[begin:], re.DOTALL) is None:
            assert time.monotonic() < deadline, f"{pattern!r} is not in {self.text[-3000:]!r}"
            assert self._read(), f"{pattern!r} is not in {self.text[begin:]!r}"

    def _read(self) -> bool:
        assert select.select([self._master], [], [], LIMIT)[0], self.text
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.text += data.decode()
        return bool(data)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Wait for its end; returns the exit status."""
        deadline = time.monotonic() + LIMIT
        while self._read():
            assert time.monotonic() < deadline, self.text[-3000:]
        _, status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(status)


def test_keys_change_the_order_and_the_filter(busy: Busy) -> None:
    terminal = Terminal(busy.admin, "--interval", "0.2")
    terminal.until(r"ROUTE, by rate.*\x1b\[31mHTTPRoute/default/broken")
    for key, order in {"e": "errors", "5": "p50", "9": "p99", "t": "total", "n": "route"}.items():
        terminal.press(key)
        terminal.until(f"ROUTE, by {order}")
    terminal.press("/shop\x1b/mov\x7fved")  # faster than anybody types
    terminal.until("filter: moved_")
    terminal.press("\r")
    begin = len(terminal.text)
    terminal.until("s  [^\r]*filter: moved.*HTTPRoute/default/moved.*q quit.*filter: moved.*q quit")
    assert "broken" not in terminal.text[begin:].rpartition("\x1b[H")[2]
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.text.rstrip().endswith("\x1b[?1049l")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_gives_the_terminal_back(busy: Busy, number: signal.Signals) -> None:
    terminal = Terminal(busy.admin, "--interval", "0.2", NO_COLOR="1")
    terminal.until("HTTPRoute/default/broken")
    if number is signal.SIGINT:
        terminal.press("\x03")  # as a keyboard sends it, through the terminal
    else:
        os.kill(terminal.process, number)
    assert terminal.end() == 0
    assert "Traceback" not in terminal.text
    assert not re.search(r"\x1b\[\d*m", terminal.text), "NO_COLOR"
    assert terminal.text.rstrip().endswith("\x1b[?1049l")


def test_the_gateway_goes_away(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, text=MANIFESTS)
    address = f"{gateway.address}:19000"
    try:
        terminal = Terminal(address, "--interval", "0.1")
        terminal.until("no route has had a request yet")
    finally:
        gateway.stop()
    assert terminal.end() == 1
    assert f"error: the gateway at {address} does not answer" in terminal.text.rpartition("\x1b[?1049l")[2]
    ended = run(address)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: the gateway at {address} does not answer")
