"""What a process loads is memory for as long as it serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def loaded(*modules: str) -> set[str]:
    """What is loaded, by its first name, after some modules were imported."""
    names = "{name.partition('.')[0] for name in sys.modules}"
    code = f"import sys, {', '.join(modules)}; print(*{names})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", ["rich", "typer", "prompt_toolkit", "pygments", "cryptography", "kubernetes", "grpc"])
def test_serving_files_does_not_load(name: str) -> None:
    assert name not in loaded(
        "sluicegate.cli.application", "sluicegate.processes.serve.files", "sluicegate.schema.rules"
    )


@pytest.mark.parametrize("name", ["ssl", "_ssl", "_hashlib", "zipfile"])
def test_serving_files_does_without(name: str) -> None:
    assert name not in loaded(
        "sluicegate.cli.application",
        "sluicegate.cli.serve",
        "sluicegate.processes.without_tls",
        "sluicegate.processes.serve.files",
        "sluicegate.schema.rules",
    )


def test_tls_can_still_be_loaded() -> None:
    code = "import sluicegate.processes.without_tls, ssl; print(ssl.create_default_context().check_hostname)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize(
    "name", ["kubernetes", "requests", "pydantic", "oauthlib", "yaml", "cel", "watchfiles", "google"]
)
def test_a_controller_in_a_pod_does_not_load(name: str) -> None:
    assert name not in loaded("sluicegate.cli.controller", "sluicegate.processes.controller.role")


#: What the extras have, and what only tests, benchmarks and tools need.
NOT_INSTALLED = (
    *("kubernetes", "aiohttp", "cryptography", "grpc", "h2", "prometheus_client", "re2", "cel"),
    *("rich", "typer", "prompt_toolkit", "pygments", "pytest", "hypothesis"),
)
COMMANDS = ("check", "demo", "diff", "explain", "graph", "init", "serve", "translate", "top")


def without_extras(code: str) -> str:
    """What a program prints where only `dependencies` are installed."""
    missing = f"import sys; sys.modules.update(dict.fromkeys({NOT_INSTALLED!r}))\n"
    done = subprocess.run([sys.executable, "-c", missing + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "module",
    [
        *(f"sluicegate.cli.{command}" for command in COMMANDS),
        *("sluicegate.cli.application", "sluicegate.cli.checked", "sluicegate.cli.page.site", "sluicegate.cli.migrate"),
        *("sluicegate.schema.rules", "sluicegate.processes.serve.files", "sluicegate.processes.gateway"),
        *("sluicegate.testing.library", "sluicegate.testing.offline", "sluicegate.testing.table"),
    ],
)
def test_a_plain_install_has_all_that_is_imported(module: str) -> None:
    without_extras(f"import {module}")


@pytest.mark.parametrize("command", ["check", "translate", "graph", "explain"])
def test_a_plain_install_reads_manifests(command: str) -> None:
    """What is imported only once a command runs is there too."""
    manifest = str(ROOT / "tests" / "golden" / "policies" / "rate-limits" / "in.yaml")
    request = ["--request", "http://example.com/"] if command == "explain" else []
    arguments = [command, manifest, *request]
    assert without_extras(f"from sluicegate.cli.application import main; print(main({arguments!r}))")
