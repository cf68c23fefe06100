"""`python -m sluicegate` and the command `sluicegate`."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from typing import TextIO

#: Commands that serve: signals that rotate and switch logs never end them, not even while they are being loaded.
SERVING = frozenset({"serve", "demo", "gateway", "controller"})
#: Exit status of a program that Ctrl-C ends (`cli/exit_status.py`, which is not loaded yet then).
EXIT_INTERRUPTED = 130
EXIT_FAILED = 1
#: What a shell makes of SIGPIPE.
EXIT_UNREAD = 141
#: What writing to a disk that has no room fails with.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _open_streams() -> None:
    """See that the standard streams can be used.

    One that is closed is opened on nothing: else a socket gets its number, and whatever is told goes into it. A
    character that an encoding does not have is escaped, not an error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (until the end)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Write what is left of standard output to nothing: it is tried once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run the command line."""
    _open_streams()
    serves = bool(SERVING.intersection(sys.argv[1:2]))
    if serves:
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
    try:
        from sluicegate.cli.application import main as run
        from sluicegate.processes import interpreter

        interpreter.set_back()
        status = run(sys.argv[1:])
        try:
            sys.stdout.flush()
        except OSError:
            if not serves:
                raise
            _drop_output()  # what a log cannot be told is lost, and makes no clean end a failure
        sys.exit(status)
    except BrokenPipeError:  # who reads, such as `head`, has read enough
        _drop_output()
        raise SystemExit(EXIT_UNREAD) from None
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _drop_output()
        where = "standard output" if error.filename is None else error.filename
        sys.stderr.write(f"error: {where}: {error.strerror}\n")
        raise SystemExit(EXIT_FAILED) from None
    except KeyboardInterrupt:  # while the program itself is still being loaded
        raise SystemExit(EXIT_INTERRUPTED) from None


if __name__ == "__main__":
    main()
