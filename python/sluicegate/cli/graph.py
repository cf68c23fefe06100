"""`sluicegate graph`: a picture of Gateways, listeners, routes, backends and policies, and of what is not accepted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sluicegate.processes.given_backends import given_backends
from sluicegate.processes.ingress_settings import wanted_of
from sluicegate.processes.settings import Settings
from sluicegate.testing.offline import Offline, load_offline

from .checked import checked, nothing_in, refused_objects
from .cluster_error import ClusterError
from .cluster_options import KUBERNETES, misused, of_cluster, tell_unread
from .destination import destination_of
from .exit_status import ExitStatus
from .graph_mermaid import mermaid
from .graph_model import Graph, graph_of, refusals
from .graph_svg import svg
from .ingress_options import INGRESS_SETTINGS
from .manifests import BACKEND, CONTROLLER_NAME, DESTINATION, KUBECONFIG, settings_of
from .options import CONFIG, PATHS, Command, Option
from .roles import refuse

_FORMATS: dict[str, Callable[[Graph], Iterator[str]]] = {"mermaid": mermaid, "svg": svg}


def _run(given: argparse.Namespace) -> int:
    wrong = misused(given) or ("--for is for manifests" if given.kubernetes and given.destination else "")
    if wrong:
        return refuse(wrong)
    try:
        settings = settings_of(given)
        offline = of_cluster(settings) if given.kubernetes else _of_files(given, settings)
    except ClusterError as error:
        return error.tell()
    except (ValueError, OSError) as error:
        return refuse(str(error))
    found = checked(offline, settings.engine.path_normalization or "strict", given.paths)
    graph = graph_of(offline, refusals(found, refused_objects(found)))
    # Broken surrogates of a JSON file have no form in UTF-8.
    text = "".join(f"{line}\n" for line in _FORMATS[given.format](graph)).encode(errors="backslashreplace")
    if given.output_file is None:
        sys.stdout.flush()
        sys.stdout.write(text.decode())
    else:
        try:
            Path(given.output_file).write_bytes(text)
        except OSError as error:
            return refuse(f"--output-file: {error}")
    tell_unread(offline)
    unread = [item for item in found if item.code == "unreadable"]
    nothing = [*unread, *nothing_in(offline, given.paths)]
    for item in nothing if not offline.from_cluster else ():
        sys.stderr.write(f"{item}\n")
    return ExitStatus.FAILED if any(item.severity == "error" for item in nothing) else ExitStatus.OK


def _of_files(given: argparse.Namespace, settings: Settings) -> Offline:
    wanted = given.destination or ("standalone" if settings.backend else None)
    return load_offline(
        given.paths,
        settings.controller_name,
        cluster=lambda source: (wanted or destination_of(source.documents())[0]) == "cluster",
        ingress=wanted_of(settings),
        backends=given_backends(settings.backend),
    )


COMMAND = Command(
    name="graph",
    description="Draw Gateways, listeners, routes, backends and policies; what is not accepted has its reason with it.",
    run=_run,
    paths=PATHS,
    paths_optional=True,
    options=(
        Option(("--format", "-f"), "Mermaid for Markdown, or a picture.", "mermaid", choices=tuple(_FORMATS)),
        Option(("--output-file",), "Write it there.", "standard output", "FILE"),
        KUBERNETES,
        KUBECONFIG,
        DESTINATION,
        CONTROLLER_NAME,
        BACKEND,
        *INGRESS_SETTINGS,
        CONFIG,
    ),
    examples=(
        ("sluicegate graph manifests --format svg --output-file routes.svg", "a picture, for any number of routes"),
        ("sluicegate graph manifests", "for a page of a code host: within ```mermaid and ```"),
        ("sluicegate graph --kubernetes --format svg > cluster.svg", "what a cluster has"),
    ),
    notes="A picture is a file of its own, without scripts. Code hosts draw Mermaid of up to 500 lines between boxes.",
)
