"""`sluicegate gateway`: arguments and settings, then the data plane.

The arguments are read by `argparse`: a data plane is started by a Deployment, and every megabyte counts in each pod.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from sluicegate import __version__
from sluicegate.processes import signals
from sluicegate.processes.settings import load_gateway_settings

#: Exit status for a command line or a setting that cannot be used.
EXIT_USAGE = 2


def run(arguments: Sequence[str]) -> int:
    """Run a data plane until a signal; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        from sluicegate.processes.gateway.role import Connection, run_gateway
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: {error}; install the extra: pip install 'sluicegate[kubernetes]'\n")
        return EXIT_USAGE
    connection = Connection(given.controller, given.token_file, given.ca_file, given.state_directory)
    try:
        settings = load_gateway_settings({"admin": given.admin, "output": given.output}, os.environ, given.settings)
        return asyncio.run(run_gateway(connection, settings, __version__))
    except (ValueError, OSError) as error:  # a setting that cannot be used is a ValueError too
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    finally:
        # All is closed: a signal that comes now has nothing to end but a clean exit.
        signals.ignore((*signals.ENDING, *signals.HARMLESS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluicegate gateway",
        description="Serve a Gateway of a cluster as its controller says. Starts from its last configuration at once, "
        "and serves on while the controller is away.",
        epilog="Settings of the file (TOML): output, access_log, drain, settle, workers, and the table [engine].",
    )
    parser.add_argument(
        "--controller",
        required=True,
        metavar="HOST:PORT",
        help="The controller's config stream; its certificate is for HOST.",
    )
    parser.add_argument(
        "--token-file",
        required=True,
        metavar="PATH",
        help="ServiceAccount token with the audience sluicegate.dev/config.",
    )
    parser.add_argument(
        "--ca-file", required=True, metavar="PATH", help="CA of the controller (PEM); read at each connection."
    )
    parser.add_argument(
        "--state-directory", required=True, metavar="PATH", help="For the last configuration; it holds private keys."
    )
    parser.add_argument("--settings", metavar="PATH", help="Settings file (TOML). [$SLUICEGATE_CONFIG]")
    parser.add_argument(
        "--admin", metavar="ADDRESS", help="healthz, readyz, metrics, config; or off. [127.0.0.1:19000]"
    )
    parser.add_argument("--output", choices=["text", "json"], help="json: one JSON object a line, for programs. [text]")
    return parser
