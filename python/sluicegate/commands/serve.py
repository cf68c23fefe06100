"""`sluicegate serve`: settings, then the server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sluicegate.settings import SettingsError, load_settings

#: Exit status for a command line or a setting that cannot be used.
EXIT_USAGE = 2


def run(paths: Sequence[str], flags: Mapping[str, Any], config: str | None, version: str) -> int:
    """Serve until a signal; returns the exit status."""
    from sluicegate.schema import violations
    from sluicegate.standalone import serve

    try:
        settings = load_settings(flags, os.environ, config)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    try:
        return asyncio.run(serve(paths, settings, version, violations))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    finally:
        # All is closed: a signal that comes now has nothing to end but a clean exit.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
