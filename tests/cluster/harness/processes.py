"""Processes that outlive the command that started them.

Their pids are written down at once, so that a later command ends what an earlier one started, and nothing else: a pid
counts only with the time at which its process began.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

#: Seconds that a process has for ending by itself.
GRACE = 10.0


class Processes:
    """The processes of a cluster, by name."""

    def __init__(self, folder: Path) -> None:
        """Use a folder: of the list of processes, and of their logs."""
        self._folder = folder
        self._file = folder / "processes.json"
        self._known: dict[str, tuple[int, int]] = {}
        if self._file.exists():
            self._known = {name: (pid, began) for name, (pid, began) in json.loads(self._file.read_text()).items()}

    def start(self, name: str, command: list[str]) -> None:
        """Start one, in a session of its own; its output is appended to its log.

        Raises:
            RuntimeError: it runs already.
        """
        if self.alive(name):
            raise RuntimeError(f"{name} runs already")
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self.add(name, process.pid)

    def add(self, name: str, pid: int) -> None:
        """Have a process that something else started."""
        self._known[name] = (pid, _began(pid) or 0)
        self._file.write_text(json.dumps(self._known))

    def send(self, name: str, number: int) -> None:
        """Send a signal; nothing happens where it does not run."""
        if self.alive(name):
            os.kill(self._known[name][0], number)

    def stop(self, names: Iterable[str], number: int = signal.SIGTERM) -> None:
        """Stop several at once; those that do not end by themselves are killed."""
        names = list(names)
        for name in names:
            self.send(name, number)
            self.send(name, signal.SIGCONT)
        deadline = time.monotonic() + GRACE
        while any(map(self.alive, names)):
            if time.monotonic() > deadline:
                for name in names:
                    self.send(name, signal.SIGKILL)
            time.sleep(0.02)

    def alive(self, name: str) -> bool:
        """Whether it runs."""
        pid, began = self._known.get(name, (0, 0))
        return bool(pid) and _began(pid) == began

    def pid(self, name: str) -> int:
        """Its process id; 0 where it does not run."""
        return self._known[name][0] if self.alive(name) else 0

    def log(self, name: str) -> Path:
        """Its log."""
        return self._folder / f"{name}.log"

    @property
    def names(self) -> list[str]:
        """Names of all that were started."""
        return list(self._known)


def _began(pid: int) -> int | None:
    """Clock ticks from the boot to the start of a process; None where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie whose other threads have not ended yet still holds its sockets.
    return None if fields[0] == "Z" and int(fields[17]) <= 1 else int(fields[19])
