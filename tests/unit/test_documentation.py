"""Documentation that lists what the code has lists all of it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


RECORDS = {"access_log.rs": "Record", "l4.rs": "L4Record"}


def test_every_field_of_the_access_log_is_documented() -> None:
    """One table for requests, one for connections and sessions, in this order."""
    text = (ROOT / "docs" / "access-log.md").read_text()
    tables = [table for table in text.split("\n\n") if table.startswith("|")]
    for (file, name), table in zip(RECORDS.items(), tables, strict=True):
        source = (ROOT / "native" / "core" / "src" / "observe" / file).read_text()
        record = source[source.index(f"pub struct {name}<") :]
        fields = re.findall(r"pub (\w+):", record[: record.index("\n}")])
        documented = [field for row in table.splitlines() for field in re.findall(r"`(\w+)`", row.split("|")[1])]
        assert sorted(fields) == sorted(documented), file


def test_the_readme_shows_commands_that_exist() -> None:
    from sluicegate.cli import application

    names = {command.callback.__name__ for command in application.registered_commands if command.callback is not None}
    shown = set(re.findall(r"^\| `sluicegate (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert shown <= names
    assert {"serve", "check", "explain", "translate"} <= shown
