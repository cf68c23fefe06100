"""How results are written."""

from __future__ import annotations

import sys

import msgspec

from .options import Option

#: `--output` of the commands that do not serve.
OUTPUT = Option(("--output", "-o"), "How to write it.", "text", choices=("text", "json"))


def write_json(document: msgspec.Struct) -> None:
    """Write a document for programs; its schema is published (`docs/schemas`)."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
