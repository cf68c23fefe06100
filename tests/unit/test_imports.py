"""What a process loads is memory for as long as it serves."""

from __future__ import annotations

import subprocess
import sys

import pytest


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


def test_the_command_line_of_cel_can_still_be_loaded() -> None:
    code = "import sluicegate.schema.rules, cel.cli; print(cel.cli.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("cli.py")
