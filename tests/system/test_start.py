"""A start that would serve nothing ends with status 1 and says why; `--keep-going` waits for what is missing."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system_gateway import LIMIT, own_address
from system_manifests import dump, gateway, listener

COMMAND = [sys.executable, "-m", "sluicegate", "serve"]
FOREIGN = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"}}
TWO = gateway(listener("a", 8080), listener("b", 8081))
#: What is in the folder, which ports are taken, what the error says, and what people see before it.
STARTS = {
    "a path that is not there": (None, (), "no such file or directory", "0 listeners"),
    "an empty folder": ([], (), "no object that can be used", "0 listeners, 0 routes, 0 objects"),
    "foreign kinds": ([FOREIGN, FOREIGN], (), "only objects of kinds", "not read: 2 of apps/v1/Deployment"),
    "a class of somebody else": ([gateway(gatewayClassName="other")], (), "no listener", "no GatewayClass other"),
    "taken ports": ([TWO], (8080, 8081), "0 of 2 listeners could be bound", "0 of 2 listeners"),
    "a taken admin port": ([TWO], (19000,), "admin listener", ""),
}


@contextlib.contextmanager
def start(folder: Path, case: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    objects, taken, _, _ = STARTS[case]
    address = own_address()
    if objects is not None:
        folder.mkdir()
        for number, item in enumerate(objects):
            (folder / f"{number}.yaml").write_text(dump({**item, "metadata": {"name": f"a{number}"}}))
    with contextlib.ExitStack() as stack:
        for port in taken:
            stack.enter_context(socket.create_server((address, port)))
        command = [*COMMAND, str(folder), "--listen", address, "--admin", f"{address}:19000", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("case", STARTS)
def test_a_start_that_serves_nothing_says_so(case: str, tmp_path: Path) -> None:
    _, _, error, shown = STARTS[case]
    with start(tmp_path / "manifests", case) as process:
        out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (1, "")
    lines = err.splitlines()
    assert lines[-1].startswith("error: ")
    assert error in lines[-1]
    assert "--keep-going" in lines[-1] or "--admin" in lines[-1]
    assert shown in err


@pytest.mark.parametrize("case", STARTS)
def test_programs_are_told_as_well(case: str, tmp_path: Path) -> None:
    with start(tmp_path / "manifests", case, "--output", "json") as process:
        out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (1, "")
    (event,) = map(json.loads, out.splitlines())
    assert (event["event"], event["code"]) == ("error", "start_failed")
    assert STARTS[case][2] in event["message"]
    if "kinds" in case:
        assert event["ignored"] == {"apps/v1/Deployment": 2}


@pytest.mark.parametrize("case", STARTS)
def test_it_may_be_told_to_wait(case: str, tmp_path: Path) -> None:
    with start(tmp_path / "manifests", case, "--output", "json", "--keep-going") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "ready":
                break
            assert event["event"] == "warning"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0


def test_one_port_that_is_taken_does_not_stop_the_other(tmp_path: Path) -> None:
    """The summary says how many of the listeners are bound."""
    address = own_address()
    (tmp_path / "all.yaml").write_text(dump(TWO))
    command = [*COMMAND, str(tmp_path / "all.yaml"), "--listen", address, "--admin", "off"]
    with (
        socket.create_server((address, 8081)),
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        assert "1 of 2 listeners, 0 routes, 1 object" in process.stdout.readline()
        process.terminate()
        assert process.wait(LIMIT) == 0
