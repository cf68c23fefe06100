"""How results are written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import msgspec

from sluicegate.colors import painted, wants_color
from sluicegate.words import one_line

from .options import Option

#: `--output` of the commands that do not serve.
OUTPUT = Option(("--output", "-o"), "How to write it.", "text", choices=("text", "json"))


def write_lines(lines: Iterable[str], color: str) -> None:
    """Write lines for people; no text of an object moves the cursor.

    Args:
        lines: without their ends.
        color: as `--color` has it.
    """
    paint = painted if wants_color(color, sys.stdout, os.environ) else str
    for line in lines:
        sys.stdout.write(f"{paint(one_line(line))}\n")


def write_json(document: msgspec.Struct) -> None:
    """Write a document for programs; its schema is published (`docs/schemas`)."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
