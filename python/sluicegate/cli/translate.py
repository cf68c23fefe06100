"""`sluicegate translate`: the IR, without secrets."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from sluicegate import ir
from sluicegate.testing.offline import load_offline


def run(paths: Sequence[str], controller_name: str) -> int:
    """Print the IR; problems go to standard error. Returns 1 where something could not be read."""
    offline = load_offline(paths, controller_name)
    for item in offline.diagnostics():
        sys.stderr.write(f"{item}\n")
    redacted = ir.redacted(offline.transaction())
    sys.stdout.write(msgspec.json.format(ir.encode(redacted), indent=2).decode() + "\n")
    return 1 if offline.refresh.diagnostics else 0
