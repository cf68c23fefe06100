"""Set-up of the tests of `sluicegate explain` and of the library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sluicegate.cli.application import application


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the manifests of the module."""
    (tmp_path / "all.yaml").write_text(request.module.MANIFESTS)
    return tmp_path


@pytest.fixture
def explain() -> Callable[..., tuple[int, str]]:
    """`sluicegate explain` with some arguments: exit status, and what it writes."""

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(application, ["explain", *map(str, arguments)], catch_exceptions=False)
        return result.exit_code, result.output

    return run
