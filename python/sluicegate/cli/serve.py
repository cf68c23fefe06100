"""`sluicegate serve`: settings, then the server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from sluicegate.processes import signals
from sluicegate.processes.settings import Settings, load_settings

#: Exit status for a command line or a setting that cannot be used.
EXIT_USAGE = 2


def run(paths: Sequence[str], flags: Mapping[str, Any], config: str | None, version: str) -> int:
    """Serve manifests until a signal; returns the exit status."""
    from sluicegate.processes.serve import serve
    from sluicegate.schema import violations

    return _run(flags, config, lambda settings: serve(paths, settings, version, violations))


def run_cluster(flags: Mapping[str, Any], config: str | None, kubeconfig: str | None, version: str) -> int:
    """Serve the Gateways of a cluster until a signal; returns the exit status."""
    try:
        from sluicegate.processes.serve.cluster import ApiError, serve_cluster
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: {error}; install the extra: pip install 'sluicegate[kubernetes]'\n")
        return EXIT_USAGE
    try:
        return _run(flags, config, lambda settings: serve_cluster(settings, kubeconfig, version))
    except ApiError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE


def _run(flags: Mapping[str, Any], config: str | None, start: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    try:
        settings = load_settings(flags, os.environ, config)
        return asyncio.run(start(settings))
    except (ValueError, OSError) as error:  # a setting that cannot be used is a ValueError too
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    finally:
        # All is closed: a signal that comes now has nothing to end but a clean exit.
        signals.ignore((*signals.ENDING, *signals.HARMLESS))
