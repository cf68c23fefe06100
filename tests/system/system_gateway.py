"""A gateway as people run it: `sluicegate serve` in a process of its own, on a loopback address of its own.

Every gateway binds another address of 127.0.0.0/8, so ports may be fixed and tests may run side by side.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from system_manifests import Manifest, dump

#: Seconds after which a test fails; never reached by a gateway that works.
#: Seconds between two looks at what no event tells: the gateway needs the processor too.
PAUSE = 0.002
LIMIT = 60.0

_numbers = itertools.count(1)
Event = dict[str, Any]


def own_address() -> str:
    """An address that no other gateway of this test run binds."""
    number, process = next(_numbers), os.getpid()
    return f"127.{process % 200 + 20}.{process // 200 % 250 + 1}.{number % 250 + 1}"


def until(holds: Callable[[], object], what: str) -> None:
    """Ask again and again until it holds; a test fails where it never does."""
    deadline, pause = time.monotonic() + LIMIT, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"not within {LIMIT:.0f} s: {what}"
        pause.wait(PAUSE)


def until_refused(address: str, port: int) -> None:
    """Wait until nobody listens: sockets close just after the transaction; what is in their queue is reset."""

    def is_refused() -> bool:
        try:
            socket.create_connection((address, port), LIMIT).close()
        except ConnectionRefusedError:
            return True
        except ConnectionError:
            return False
        return False

    until(is_refused, f"{address}:{port} is closed")


def resident(process: int) -> float:
    """Memory of a process, MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


class ProcessEvents:
    """What a process tells on its standard streams, and how to wait for it."""

    process: subprocess.Popen[str]
    seen: list[Event]
    errors: list[str]
    _events: queue.Queue[Event]
    _threads: list[threading.Thread]

    def listen(self) -> None:
        """Read what the process tells from now on, each stream on a thread."""
        self._events, self.seen, self.errors = queue.Queue(), [], []
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            event = json.loads(line)
            if "event" in event:  # the access log may go there as well
                self._events.put(event)
        self._events.put({"event": "end"})

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def event(self, wanted: Callable[[Event], object]) -> Event:
        """Wait for an event."""
        while True:
            try:
                event = self._events.get(timeout=LIMIT)
            except queue.Empty:
                raise AssertionError(f"no such event; seen: {self.seen}, errors: {self.errors}") from None
            self.seen.append(event)
            if wanted(event):
                return event
            assert event.get("event") != "end", f"it ended; seen: {self.seen}, errors: {self.errors}"


class Gateway(ProcessEvents):
    """A running gateway.

    Attributes:
        address: that it binds.
        folder: its manifests; `write` changes them. It is what is served, unless `paths` say something else.
        ready: its first event.
    """

    def __init__(
        self,
        folder: Path,
        *objects: Manifest,
        arguments: tuple[str, ...] = (),
        text: str = "",
        prefix: Sequence[str] = (),
        paths: Sequence[Path] = (),
    ) -> None:
        self.address = own_address()
        self.folder = folder
        self.signalled = False
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "all.yaml").write_text(text or dump(*objects))
        command = [sys.executable, "-m", "sluicegate", "serve", *map(str, paths or (folder,))]
        command += ["--output", "json", "--workers", "2"]
        command += ["--listen", self.address, "--admin", f"{self.address}:19000", "--drain", "5", "--keep-going"]
        command += arguments
        self.process = subprocess.Popen([*prefix, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.listen()
        self.ready = self.event(lambda event: event["event"] == "ready")

    def write(self, *objects: Manifest, name: str = "all.yaml", text: str = "") -> Event:
        """Replace a file as editors do, and wait until the gateway has told what came of it."""
        temporary = self.folder / f".{name}.new"
        temporary.write_text(text or dump(*objects))
        temporary.rename(self.folder / name)
        return self.event(lambda event: event["event"] == "changed")

    def admin(self, path: str) -> str:
        """A page of the admin listener."""
        with urllib.request.urlopen(f"http://{self.address}:19000{path}", timeout=LIMIT) as response:
            return str(response.read().decode())

    def admin_status(self, path: str) -> int:
        """Status of a page of the admin listener."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:19000{path}", timeout=LIMIT) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def send_signal(self, number: int) -> None:
        """Send a signal; `stop` then only waits."""
        self.signalled = True
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it; returns the exit status."""
        if self.process.poll() is None and not self.signalled:
            self.send_signal(number)
        try:
            return self.process.wait(LIMIT)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
