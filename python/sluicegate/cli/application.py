"""`sluicegate COMMAND`: which module does a command, and what is common to all of them.

A command is loaded when it is called: what the others need would be memory in the pod, and time on every call.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from sluicegate import __version__
from sluicegate.words import suggestion

from .exit_status import ExitStatus
from .options import Command, parse
from .variables import unknown_variables

#: The commands, in the order of the help; the module of each has its name.
COMMANDS = {
    "demo": "Serve an example with its backends: nothing else is needed.",
    "init": "Write a small shop to begin with.",
    "serve": "Serve the Gateways of manifests, or of a cluster, from this machine.",
    "check": "Say what the API server and the controller would say about manifests.",
    "explain": "Say which route takes a request, and why others do not.",
    "status": "Say what of Gateways and routes is accepted and programmed, and why not.",
    "top": "Show live rates, errors and latencies of each route of a running gateway.",
    "diff": "Say which requests two sets of manifests answer otherwise.",
    "graph": "Draw Gateways, listeners, routes, backends and policies.",
    "translate": "Print the engine's configuration, without secrets.",
    "migrate": "Convert Ingresses to Gateway API manifests, and say what is lost.",
    "controller": "The control plane of a cluster.",
    "gateway": "The data plane of a Gateway of a cluster.",
    "completion": "Print what bash, zsh or fish needs to complete a command line.",
    "version": "Print the version.",
}

_TITLE = "A Kubernetes Gateway API gateway: manifests in, traffic out."


def command(name: str) -> Command:
    """Load a command by its name, one of `COMMANDS`."""
    found: Command = importlib.import_module(f"{__package__}.{name}").COMMAND
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit status.

    Raises:
        SystemExit: after `--help` (0), and for a command line that cannot be used (2).
    """
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        return _help(arguments)
    name = arguments[0]
    if name in {"-V", "--version"}:
        sys.stdout.write(f"{__version__}\n")
        return ExitStatus.OK
    if name not in COMMANDS:
        what = "option" if name.startswith("-") else "command"
        sys.stderr.write(f"error: there is no {what} {name}{suggestion(name, COMMANDS)}\n")
        sys.stderr.write("sluicegate --help lists the commands\n")
        return ExitStatus.USAGE
    found = command(name)
    given = parse(found, arguments[1:])
    for message in unknown_variables(os.environ):
        sys.stderr.write(f"warning: {message}\n")
    return found.run(given)


def _help(arguments: Sequence[str]) -> int:
    """The list of commands; `help COMMAND` is `COMMAND --help`."""
    if len(arguments) > 1 and arguments[0] == "help" and arguments[1] in COMMANDS:
        return main([arguments[1], "--help"])
    lines = ["usage: sluicegate COMMAND [options]", "", _TITLE, "", "commands:"]
    lines += [f"  {name:<12}{summary}" for name, summary in COMMANDS.items()]
    lines += [
        "",
        "options:",
        f"  {'-V, --version':<16}Show the version and exit.",
        f"  {'-h, --help':<16}Show this and exit.",
    ]
    lines += ["", "sluicegate COMMAND --help shows the options of a command, their defaults and environment variables."]
    stream = sys.stdout if arguments else sys.stderr
    stream.write("\n".join(lines) + "\n")
    return ExitStatus.OK if arguments else ExitStatus.USAGE
