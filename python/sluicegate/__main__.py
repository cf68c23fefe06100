"""`python -m sluicegate` and the command `sluicegate`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from sluicegate.cli import application

    application(prog_name="sluicegate")


if __name__ == "__main__":
    main()
