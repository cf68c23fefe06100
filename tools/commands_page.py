"""Write `docs/commands.md`: every command's help, and the table of exit statuses, as the program has them."""

from __future__ import annotations

import os
from pathlib import Path

from sluicegate.cli.application import COMMANDS, command
from sluicegate.cli.exit_status import CASE_COMMANDS, CASES, MEANINGS
from sluicegate.cli.options import parser_of

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"

_HEAD = """\
# Commands

`sluicegate COMMAND --help` prints what is below. Options that are settings may be environment variables too, and those
of `serve` and `gateway` lines of a settings file: [settings.md](settings.md) says what each means. A variable that
begins with `SLUICEGATE_` and is not known is told. Results go to standard output, what is wrong to standard error.
What `--output json` writes is described in [schemas](schemas/README.md).

This page is written by `python tools/commands_page.py`.

## Exit status

| status | meaning |
|---|---|
"""


def page() -> str:
    """The page as it should be."""
    os.environ["COLUMNS"] = "100"
    rows = "".join(f"| {status.value} | {meaning} |\n" for status, meaning in MEANINGS.items())
    rows += "\n`serve` ends with 1 where a path is not there: it may come, and `--keep-going` waits for it.\n\n"
    rows += f"| given | {' | '.join(f'`{name}`' for name in CASE_COMMANDS)} |\n|---|{'---|' * len(CASE_COMMANDS)}\n"
    rows += "".join(f"| {case} | {' | '.join(map(str, ends))} |\n" for case, ends in CASES.items())
    parts = [f"\n## `sluicegate {name}`\n\n{_indented(parser_of(command(name)).format_help())}" for name in COMMANDS]
    return _HEAD + rows + "".join(parts)


def _indented(text: str) -> str:
    return "".join(f"    {line}".rstrip() + "\n" for line in text.splitlines())


if __name__ == "__main__":
    PAGE.write_text(page())
