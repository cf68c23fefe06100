"""Documentation that lists what the code has lists all of it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_field_of_the_access_log_is_documented() -> None:
    source = (ROOT / "native" / "core" / "src" / "observe" / "access_log.rs").read_text()
    record = source[source.index("pub struct Record") :]
    fields = re.findall(r"pub (\w+):", record[: record.index("}")])
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "access-log.md").read_text(), re.MULTILINE)
    assert fields == documented


def test_the_readme_shows_commands_that_exist() -> None:
    from sluicegate.cli import application

    names = {command.callback.__name__ for command in application.registered_commands if command.callback is not None}
    shown = set(re.findall(r"^\| `sluicegate (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert shown <= names
    assert {"serve", "check", "explain", "translate"} <= shown
