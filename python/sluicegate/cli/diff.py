"""`sluicegate diff OLD NEW`: which requests change their listener, backend, policy or status between two sets."""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

from sluicegate import __version__
from sluicegate.controller.api import Diagnostic
from sluicegate.controller.sources.files.source import Source
from sluicegate.engine.native import Refused
from sluicegate.processes.ingress_settings import wanted_of
from sluicegate.processes.settings import Settings
from sluicegate.testing.difference import Side, compare
from sluicegate.testing.offline import Offline, load_offline

from .checked import checked, nothing_in
from .destination import Destination, destination_of
from .diff_markdown import markdown_of
from .diff_report import DiffReport, SetReport, lines_of
from .exit_status import ExitStatus
from .ingress_options import INGRESS_SETTINGS
from .manifests import COLOR, CONTROLLER_NAME, DESTINATION, settings_of
from .options import CONFIG, Command, Option
from .output import write_json, write_lines
from .roles import refuse


class _Loaded(NamedTuple):
    """A set, and what it looks like by itself."""

    path: str
    offline: Offline
    looks: Destination


def _run(given: argparse.Namespace) -> int:
    if len(given.paths) != 2 or given.paths == ["-", "-"]:
        return refuse("name two sets of manifests, such as: sluicegate diff old new; one of them may be -")
    try:
        settings = settings_of(given)
        seed = _seed(given.seed)
    except (ValueError, OSError) as error:
        return refuse(str(error))
    try:
        text = sys.stdin.buffer.read().decode() if "-" in given.paths else None
        loaded = [_load(path, settings, text, given.destination) for path in given.paths]
        if loaded[0].offline.for_cluster != loaded[1].offline.for_cluster:
            # Both are looked at in one way: as the one that has EndpointSlices wants it.
            loaded = [_load(path, settings, text, "standalone") for path in given.paths]
    except UnicodeDecodeError as error:
        return refuse(f"-: it is no text in UTF-8: {error.reason} at byte {error.start:,}")
    except ValueError as error:  # a name that is none
        return refuse(str(error))
    with_endpoints = all(item.looks == "standalone" for item in loaded)
    normalization = settings.engine.path_normalization or "strict"
    try:
        old, new = (Side(item.offline, normalization, with_endpoints=with_endpoints) for item in loaded)
        comparison = compare(old, new, seed)
    except Refused as error:
        # A fault of ours: what `check` lets through the engine takes.
        return refuse(f"the engine does not take what these files come to: {error}")
    sets = [_set(item, normalization) for item in loaded]
    report = DiffReport(
        version=__version__,
        destination="cluster" if loaded[0].offline.for_cluster else "standalone",
        endpoints=with_endpoints,
        old=sets[0],
        new=sets[1],
        comparison=comparison,
        failed=any(item.unreadable for item in sets),
    )
    if given.output == "json":
        write_json(report)
    elif given.output == "markdown":
        sys.stdout.write(markdown_of(report))
    else:
        write_lines(lines_of(report), settings.color)
    if report.failed:
        return ExitStatus.FAILED
    return ExitStatus.DIFFERENT if comparison.different else ExitStatus.OK


def _seed(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"--seed: {text!r} is not a whole number")
    return int(text)


def _load(path: str, settings: Settings, text: str | None, wanted: Destination | None) -> _Loaded:
    looks: Destination = "cluster"

    def for_cluster(source: Source) -> bool:
        nonlocal looks
        looks, _ = destination_of(source.documents())
        return (wanted or looks) == "cluster"

    offline = load_offline(
        [path],
        settings.controller_name,
        standard_input=text,
        cluster=for_cluster,
        ingress=wanted_of(settings),
    )
    return _Loaded(path, offline, looks)


def _set(loaded: _Loaded, normalization: str) -> SetReport:
    offline, paths = loaded.offline, [loaded.path]
    found: list[Diagnostic] = checked(offline, "off" if normalization == "off" else "strict", paths)
    unreadable = [*offline.refresh.diagnostics, *nothing_in(offline, paths)]
    return SetReport(
        path=loaded.path,
        documents=len(offline.source.documents()),
        problems=tuple(found),
        unreadable=any(item.severity == "error" for item in unreadable),
    )


COMMAND = Command(
    name="diff",
    description="Say which requests change their listener, backend, policy or status between two sets of manifests.",
    run=_run,
    paths="Two sets of manifests, each a file or a directory; - for standard input.",
    metavar="OLD NEW",
    options=(
        DESTINATION,
        Option(("--seed",), "Of the requests: the same seed, the same requests.", "0", "N"),
        CONTROLLER_NAME,
        *INGRESS_SETTINGS,
        CONFIG,
        COLOR,
        Option(
            ("--output", "-o"),
            "How to write it; markdown: for a pull request.",
            "text",
            choices=("text", "json", "markdown"),
        ),
    ),
    examples=(
        ("git worktree add ../before main && sluicegate diff ../before/manifests manifests", "what a branch changes"),
        ("sluicegate diff old new --output markdown", "for a comment of a pull request"),
        ("helm template . -f new.yaml | sluicegate diff rendered.yaml -", "what other values change"),
    ),
    notes="Exit status 3: some request is answered otherwise. Endpoints that come and go are no difference, but where\n"
    "both sets have EndpointSlices the first and the last endpoint of a backend are. path_normalization of the\n"
    "settings file counts.",
)
