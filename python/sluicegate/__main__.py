"""`python -m sluicegate` and the command `sluicegate`."""

from __future__ import annotations

#: Exit status of a program that Ctrl-C ends.
EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        from sluicegate.cli import application

        application(prog_name="sluicegate")
    except KeyboardInterrupt:  # while the program itself is still being loaded
        raise SystemExit(EXIT_INTERRUPTED) from None


if __name__ == "__main__":
    main()
