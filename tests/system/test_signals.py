"""Signals: before the gateway is ready, under traffic, to files that were rotated."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_certificates import Authority
from system_clients import Http1
from system_gateway import LIMIT, Gateway, until
from system_manifests import Manifest, dump, gateway, https, listener, route, rule, secret, service

PORT = 8080
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


# --- The drain --------------------------------------------------------------------------------------------------


@pytest.fixture
def simple(backend: Any) -> list[Manifest]:
    return [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]


class Caller(threading.Thread):
    """Asks again and again, on one connection as long as it may, until nobody listens any more."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.answered = 0
        self.failures: list[str] = []
        self.start()

    def run(self) -> None:
        connection: Http1 | None = None
        while not self.failures:
            try:
                connection = connection or Http1(self.address, PORT)
            except ConnectionRefusedError:
                return
            except OSError as error:
                self.failures.append(f"connecting: {error!r}")
                return
            try:
                answer = connection.request("GET", "a", "/")
            except OSError as error:
                self.failures.append(f"after {self.answered} answers: {error!r}")
                return
            self.answered += 1
            if answer.status != 200:
                self.failures.append(f"status {answer.status}")
            if answer.header("connection") == "close":
                connection.close()
                connection = None


@pytest.mark.parametrize("turn", range(5))
def test_no_request_fails_when_it_ends(start: Any, simple: list[Manifest], turn: int) -> None:
    """Constant traffic on kept connections; who is asked to go comes back until nobody listens."""
    found: Gateway = start(*simple, arguments=("--drain", "60"))
    callers = [Caller(found.address) for _ in range(20)]
    until(lambda: all(caller.answered > turn for caller in callers), "traffic")
    started = time.monotonic()
    assert found.stop() == 0
    assert time.monotonic() - started < 50, "it waits for its limit"
    for caller in callers:
        caller.join(LIMIT)
        assert not caller.is_alive()
    assert [caller.failures for caller in callers if caller.failures] == []


def test_a_kept_connection_stays_for_a_request(start: Any, simple: list[Manifest]) -> None:
    """It is answered, and asked to go; those that stay idle are closed in order."""
    found: Gateway = start(*simple, arguments=("--drain", "60"))
    kept, silent, unused = (Http1(found.address, PORT) for _ in range(3))
    for connection in (kept, silent):
        assert connection.request("GET", "a", "/").header("connection") is None
    found.send_signal(signal.SIGTERM)
    found.event(lambda event: event["event"] == "draining")
    # Each worker is told by itself, so a first answer may be as before.
    until(lambda: kept.request("GET", "a", "/").header("connection") == "close", "it is asked to go")
    assert kept.at_end()
    kept.close()
    assert found.admin_status("/readyz") == 503
    for connection in (silent, unused):
        assert connection.socket.recv(1) == b""  # an end, and not a reset
        connection.close()
    assert found.event(lambda event: event["event"] == "stopped")["message"] == "stopped"
    assert found.stop() == 0


def test_a_request_that_has_begun_is_not_idle(start: Any, simple: list[Manifest]) -> None:
    found: Gateway = start(*simple, arguments=("--drain", "60"))
    connections = [Http1(found.address, PORT) for _ in range(2)]
    assert connections[0].request("GET", "a", "/").status == 200
    for connection in connections:
        connection.send(b"P")
    found.send_signal(signal.SIGTERM)
    silent = Http1(found.address, PORT)
    assert silent.at_end()  # what is idle has been closed
    for connection in connections:
        connection.send(b"OST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        answer = connection.read()
        assert (answer.status, answer.header("connection")) == (200, "close")
        connection.close()
    silent.close()
    assert found.stop() == 0


@pytest.mark.parametrize("flows", [False, True], ids=["https", "tls-and-https"])
def test_a_connection_that_has_not_begun_its_handshake(
    start: Any, simple: list[Manifest], authority: Authority, tmp_path: Path, flows: bool
) -> None:
    """It is as idle as any other, and holds up nothing."""
    settings = tmp_path / "sluicegate.toml"
    settings.write_text("[engine]\nhandshake_timeout_ms = 3600000\n")
    pair = authority.sign("a.test")
    listeners = [https("https", hostname="a.test", secret="pair")]
    if flows:
        listeners.append(listener("tls", 8443, "TLS", hostname="b.test", tls={"mode": "Passthrough"}))
    found = start(
        gateway(*listeners),
        *simple[1:],
        secret("pair", pair.certificate, pair.key),
        arguments=("--config", str(settings), "--drain", "3600"),
    )
    with socket.create_connection((found.address, 8443), LIMIT):
        assert found.stop() == 0


def test_without_clients_it_ends_at_once(start: Any, simple: list[Manifest]) -> None:
    found: Gateway = start(*simple, arguments=("--drain", "60"))
    started = time.monotonic()
    assert found.stop() == 0
    assert time.monotonic() - started < 30, "it waits for its limit"
    assert found.event(lambda event: event["event"] == "stopped")["message"] == "stopped"


# --- Logs that are rotated, files that are read again --------------------------------------------------------------


def paths(log: Path) -> list[str]:
    """The paths of the requests in a log."""
    return [json.loads(line)["path"] for line in log.read_text().splitlines()] if log.exists() else []


def ask(found: Gateway, path: str) -> None:
    connection = Http1(found.address, PORT)
    assert connection.request("GET", "a", path).status == 200
    connection.close()


@pytest.mark.parametrize("numbers", [[signal.SIGHUP], [signal.SIGUSR1, signal.SIGUSR1]], ids=["SIGHUP", "off and on"])
def test_a_rotated_log(start: Any, simple: list[Manifest], tmp_path: Path, numbers: list[signal.Signals]) -> None:
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    found: Gateway = start(*simple, arguments=("--access-log", str(log)))
    ask(found, "/before")
    until(lambda: paths(log) == ["/before"], "the line is written")
    log.rename(moved)
    for number in numbers:
        found.process.send_signal(number)
        found.event(lambda event: event["event"] in {"access_log", "access_log_reopened"})
    until(log.exists, "the file is there again")
    ask(found, "/after")
    until(lambda: paths(log) == ["/after"], "lines go to the new file")
    assert paths(moved) == ["/before"]


def test_a_log_that_cannot_be_opened_again(start: Any, simple: list[Manifest], tmp_path: Path) -> None:
    """It is told, and the lines go where they went."""
    folder = tmp_path / "logs"
    folder.mkdir()
    log, moved = folder / "access.log", tmp_path / "moved"
    found: Gateway = start(*simple, arguments=("--access-log", str(log)))
    folder.rename(moved)
    found.process.send_signal(signal.SIGHUP)
    told = found.event(lambda event: event.get("code") == "access_log_failed")["message"]
    assert str(log) in told
    assert "No such file" in told
    ask(found, "/still")
    until(lambda: paths(moved / "access.log") == ["/still"], "lines go to the file that is open")


def test_a_hang_up_reads_the_files_again(start: Any, simple: list[Manifest]) -> None:
    """And without a log in a file there is nothing to reopen."""
    found: Gateway = start(*simple)
    found.process.send_signal(signal.SIGHUP)
    events = [found.event(lambda event: event["event"] in {"reread", "access_log_reopened"}) for _ in range(2)]
    messages = {event["event"]: event["message"] for event in events}
    assert messages["reread"] == f"SIGHUP: read again, {len(simple)} objects"
    assert "nothing to reopen" in messages["access_log_reopened"]
    ask(found, "/")


def test_signals_while_it_starts(tmp_path: Path) -> None:
    """Neither SIGHUP nor SIGUSR1 ends it, from the first line of its own that is run."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*COMMAND, "-o", "json", str(pipe)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with pipe.open("w") as text:
        for number in (signal.SIGHUP, signal.SIGUSR1):
            process.send_signal(number)
        text.write(dump(gateway()))
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "ready":
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 0
