"""Commands that go on until somebody ends them."""

from __future__ import annotations

import signal


def end_by_signals() -> None:
    """Have Ctrl-C and SIGTERM raise KeyboardInterrupt in the main thread.

    A shell without job control has what it starts in the background ignore SIGINT, and Python leaves it so.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
