"""A real nginx in a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from system_gateway import LIMIT, until

#: Where Debian has it, which is on the path of root alone.
_DEBIAN = "/usr/sbin/nginx"
MISSING = "there is no nginx (Debian: nginx-light)"


def program() -> str | None:
    """The path of nginx; None: this machine has none."""
    found = shutil.which("nginx")
    return found or (_DEBIAN if os.access(_DEBIAN, os.X_OK) else None)


class Nginx:
    """A running nginx.

    Attributes:
        configuration: what it runs.
    """

    def __init__(self, binary: str, configuration: str, folder: Path, address: str, port: int) -> None:
        """Start it, and wait until it listens at a port."""
        self.configuration = configuration
        self._log = folder / "nginx.log"
        path = folder / "nginx.conf"
        path.write_text(configuration)
        command = [binary, "-p", str(folder), "-c", str(path), "-e", str(self._log)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self._listens(address, port), "nginx listens")

    def _listens(self, address: str, port: int) -> bool:
        assert self._process.poll() is None, f"nginx ended: {self._log.read_text()}\n{self.configuration}"
        try:
            socket.create_connection((address, port), LIMIT).close()
        except ConnectionRefusedError:
            return False
        return True

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(LIMIT)
