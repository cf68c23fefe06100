"""Set-up of the tests of the command line and of the library."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.cli.application import main


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the manifests of the module."""
    (tmp_path / "all.yaml").write_text(request.module.MANIFESTS)
    return tmp_path


@pytest.fixture
def command() -> Callable[..., tuple[int, str]]:
    """`sluicegate` with some arguments: exit status, and what it writes."""

    def run(*arguments: object) -> tuple[int, str]:
        written = io.StringIO()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            try:
                status = main([str(item) for item in arguments])
            except SystemExit as ended:
                status = int(ended.code or 0)
        return status, written.getvalue()

    return run


@pytest.fixture
def explain(command: Callable[..., tuple[int, str]]) -> Callable[..., tuple[int, str]]:
    """`sluicegate explain` with some arguments: exit status, and what it writes."""
    return lambda *arguments: command("explain", *arguments)
