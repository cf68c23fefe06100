"""Write `docs/schemas`: a JSON Schema for every `--output json`, and the list of them."""

from __future__ import annotations

import json
from pathlib import Path

from sluicegate.cli.schemas import SCHEMAS, VERSION, schema

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"

_HEAD = """\
# Schemas of what commands write

JSON Schema (draft 2020-12) of every `--output json`. Within one version fields may be added, never taken away or
changed in what they mean; who reads them leaves fields alone that they do not know. Codes of problems are in
[diagnostics.md](../diagnostics.md).

Written by `python tools/output_schemas.py` from the structs that the commands write; tests compare the two, and hold
real output to them.

| schema | of |
|---|---|
"""


def files() -> dict[Path, str]:
    """Every file as it should be."""
    rows = "".join(f"| [{name}.json]({VERSION}/{name}.json) | {title} |\n" for name, (title, _) in SCHEMAS.items())
    found = {FOLDER / "README.md": _HEAD + rows}
    for name in SCHEMAS:
        found[FOLDER / VERSION / f"{name}.json"] = json.dumps(schema(name), indent=2) + "\n"
    return found


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
