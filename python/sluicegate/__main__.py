"""`python -m sluicegate` and the command `sluicegate`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    # The data plane reads its own arguments: what the other commands need would be memory in every pod.
    if sys.argv[1:2] == ["gateway"]:
        from sluicegate.commands.gateway import run

        sys.exit(run(sys.argv[2:]))
    from sluicegate.cli import application

    application(prog_name="sluicegate")


if __name__ == "__main__":
    main()
