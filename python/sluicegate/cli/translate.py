"""`sluicegate translate`: the engine's configuration, without secrets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from sluicegate import ir
from sluicegate.controller.translate import Translation
from sluicegate.processes.ingress_settings import wanted_of
from sluicegate.processes.serve.summary import listeners_of
from sluicegate.testing.offline import load_offline
from sluicegate.words import one_line

from .checked import nothing_in
from .exit_status import ExitStatus
from .ingress_options import INGRESS_SETTINGS
from .manifests import CONTROLLER_NAME, settings_of
from .options import CONFIG, PATHS, Command, Option
from .output import write_json
from .roles import refuse


def _run(given: argparse.Namespace) -> int:
    """Print the configuration; problems go to standard error."""
    try:
        settings = settings_of(given)
    except (ValueError, OSError) as error:
        return refuse(str(error))
    try:
        offline = load_offline(given.paths, settings.controller_name, ingress=wanted_of(settings))
    except ValueError as error:  # a name that is none
        return refuse(str(error))
    nothing = list(nothing_in(offline, given.paths))
    for item in (*offline.diagnostics(), *nothing):
        sys.stderr.write(f"{one_line(str(item))}\n")
    if given.output == "text":
        for line in _lines(offline.translation):
            named = offline.ingresses.named(line) if offline.ingresses is not None else line
            sys.stdout.write(f"{one_line(named)}\n")
    else:
        write_json(ir.redacted(offline.transaction()))
    failed = any(item.severity == "error" for item in (*offline.refresh.diagnostics, *nothing))
    return ExitStatus.FAILED if failed else ExitStatus.OK


def _lines(translation: Translation) -> Iterator[str]:
    """Listeners with what they serve, for people."""
    for item in listeners_of(translation, {}):
        listener = translation.ir.listeners[item.id]
        yield f"{item.id}  {item.protocol} {item.hostname or '*'}:{listener.port}"
        for route in item.routes:
            hosts = ",".join(route.hostnames) or "*"
            yield f"  {hosts} {route.match} -> {', '.join(route.backends)}  [{route.route}]"


COMMAND = Command(
    name="translate",
    description="Print the engine's configuration, without secrets.",
    run=_run,
    paths=PATHS,
    options=(
        CONTROLLER_NAME,
        *INGRESS_SETTINGS,
        CONFIG,
        Option(
            ("--output", "-o"),
            "All of it for programs, or what each listener serves.",
            "json",
            choices=("text", "json"),
        ),
    ),
    examples=(
        ("sluicegate translate manifests --output text", "what each listener serves"),
        ("sluicegate translate manifests --ingress --output text", "with the Ingresses that serve --ingress serves"),
    ),
)
