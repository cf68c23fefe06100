"""Signals that come before the gateway is ready."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system_gateway import LIMIT
from system_manifests import dump, gateway, route, rule

COMMAND = [sys.executable, "-m", "sluicegate", "serve", "--admin", "off", "--port-offset", "9000"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Progress is shown to people only."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def large(folder: Path, files: int, documents: int) -> Path:
    """So much that reading takes some ten seconds."""
    folder.mkdir()
    (folder / "a.yaml").write_text(dump(gateway()))
    text = dump(route(rule("/", "app"), name="NAME", hostnames=["NAME.test"])) + "---\n"
    for number in range(files):
        names = (f"r{number}-{each}" for each in range(documents))
        (folder / f"r{number}.yaml").write_text("".join(text.replace("NAME", name) for name in names))
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("files", "documents"), [(1, 20_000), (2_000, 10)], ids=["large file", "many files"])
def test_a_signal_while_the_files_are_read(
    tmp_path: Path, terminal: tuple[int, int], number: int, files: int, documents: int
) -> None:
    """It ends the gateway at once: it never gets ready."""
    folder = large(tmp_path / "manifests", files, documents)
    process = subprocess.Popen([*COMMAND, str(folder)], stdout=subprocess.PIPE, stderr=terminal[1], text=True)
    os.close(terminal[1])
    shown = b""
    while b"reading" not in shown:
        shown += os.read(terminal[0], 1024)
    process.send_signal(number)
    assert process.wait(LIMIT) == 0
    assert process.stdout is not None
    assert process.stdout.read() == ""
    process.stdout.close()
    while b"stopped before it was ready" not in shown:
        shown += os.read(terminal[0], 1024)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_waits_for_a_pipe(tmp_path: Path, number: int) -> None:
    """A pipe that somebody opened and says nothing on."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen([*COMMAND, str(pipe)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with pipe.open("w"):  # returns when the gateway has opened it too
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (0, "")
    assert err == "stopped before it was ready\n"
