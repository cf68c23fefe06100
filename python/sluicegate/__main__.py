"""`python -m sluicegate` and the command `sluicegate`."""

from __future__ import annotations

import signal
import sys

#: Commands that serve: signals that rotate and switch logs never end them, not even while they are being loaded.
SERVING = frozenset({"serve", "gateway", "controller"})
#: Exit status of a program that Ctrl-C ends.
EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    if SERVING.intersection(sys.argv[1:2]):
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
    try:
        # The roles of a cluster read their own arguments: what the other commands need would be memory in every pod.
        if sys.argv[1:2] == ["gateway"]:
            from sluicegate.commands.gateway import run as run_gateway

            sys.exit(run_gateway(sys.argv[2:]))
        if sys.argv[1:2] == ["controller"]:
            from sluicegate.commands.controller import run as run_controller

            sys.exit(run_controller(sys.argv[2:]))
        from sluicegate import collector
        from sluicegate.cli import application

        collector.set_back()
        application(prog_name="sluicegate")
    except KeyboardInterrupt:  # while the program itself is still being loaded
        raise SystemExit(EXIT_INTERRUPTED) from None


if __name__ == "__main__":
    main()
