"""`sluicegate migrate`: Ingresses to Gateway API manifests, and what is lost. Nothing is written to a cluster."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable

from sluicegate import __version__
from sluicegate.checks import native_checks
from sluicegate.controller.api import Diagnostic
from sluicegate.controller.api.names import is_label, is_subdomain
from sluicegate.controller.ingress import PROVIDERS, Manifest, Name, Options, convert
from sluicegate.controller.ingress.emit.manifest import ORDER
from sluicegate.words import one_line

from .annotated_yaml import write_manifests
from .exit_status import ExitStatus
from .ingress_files import IngressFiles, read_ingresses
from .migration_page import page_of
from .migration_report import MigrationReport, lines_of, report_of
from .options import PATHS, Command, Option
from .output import write_json
from .roles import refuse
from .sarif import migration_sarif

#: Files of `--output-dir`: what a kind is written to.
_FILES = {"ListenerSet": "gateway.yaml", "Gateway": "gateway.yaml"}

#: Of the bar: how often it is drawn, its characters, and what takes it away.
_STEP, _BAR, _CLEAR = 50, 20, "\r\x1b[K"


def _run(given: argparse.Namespace) -> int:
    for path in given.paths:
        if path != "-" and not os.path.exists(path):
            return refuse(f"{path}: no such file or directory")
    try:
        options = _options(given)
    except ValueError as error:
        return refuse(str(error))
    files = read_ingresses(given.paths, _progress("reading"))
    provider = PROVIDERS[given.provider]
    conversion = convert(files.inventory, provider, options, _progress("converting"))
    if sys.stderr.isatty():
        sys.stderr.write(_CLEAR)
    problems = [*files.problems, *_missing(files, options, given.paths)]
    report = report_of(conversion, problems, version=__version__, provider=provider.name, documents=files.documents)
    if given.output_dir is not None:
        try:
            _write_files(given.output_dir, conversion.objects)
        except OSError as error:
            return refuse(f"--output-dir: {error}")
    _write(given, report, conversion.objects)
    if report.failed:
        return ExitStatus.FAILED
    return ExitStatus.LOSSES if report.lossy else ExitStatus.OK


def _options(given: argparse.Namespace) -> Options:
    """What the conversion is told.

    Raises:
        ValueError: an option that is no name of an object.
    """
    checks = native_checks()
    namespace, slash, name = (given.gateway or "").rpartition("/")
    if given.gateway is not None and not ((is_label(namespace) or not slash) and is_subdomain(name)):
        raise ValueError(f"--gateway: {given.gateway!r} is not a name, with a namespace before it or not")
    return Options(
        ingress_class=given.ingress_class or "",
        config_map=_name("--config-map", given.config_map),
        gateway=Name(namespace, name),
        gateway_class=given.gateway_class or "sluicegate",
        default_certificate=_name("--default-certificate", given.default_certificate),
        standard_only=bool(given.standard_only),
        pattern_error=lambda pattern: checks.pattern(pattern).error,
    )


def _name(option: str, text: str | None) -> Name | None:
    if text is None:
        return None
    namespace, _, name = text.partition("/")
    if not (is_label(namespace) and is_subdomain(name)):
        raise ValueError(f"{option}: {text!r} is not a namespace and a name, such as ingress-nginx/controller")
    return Name(namespace, name)


def _missing(files: IngressFiles, options: Options, paths: Iterable[str]) -> Iterable[Diagnostic]:
    """Say what was asked for and is not there."""
    path = next(iter(paths), "")
    if not files.inventory.ingresses:
        yield Diagnostic(path=path, severity="error", code="no-objects", message="no Ingress is in it")
    config_map = options.config_map
    if config_map is not None and config_map not in files.inventory.config_maps:
        message = f"the ConfigMap {'/'.join(config_map)} is not there: the defaults of the controller hold"
        yield Diagnostic(path=path, severity="error", code="target-not-found", message=message)


def _write(given: argparse.Namespace, report: MigrationReport, objects: Iterable[Manifest]) -> None:
    if given.output == "json":
        write_json(report)
    elif given.output == "sarif":
        sys.stdout.write(json.dumps(migration_sarif(report.problems, report.fates, __version__), indent=2) + "\n")
    elif given.output == "html":
        sys.stdout.write(page_of(report))
    else:
        # Manifests are what is asked for; where they go to files, the report is.
        told = sys.stderr if given.output_dir is None else sys.stdout
        if given.output_dir is None:
            sys.stdout.writelines(f"{line}\n" for line in write_manifests(objects))
        told.writelines(f"{one_line(line)}\n" for line in lines_of(report))


def _write_files(folder: str, objects: Iterable[Manifest]) -> None:
    """A file for each kind and namespace: `gateway.yaml`, `shop/httproute.yaml`.

    Raises:
        OSError: a file that cannot be written.
    """
    by_file: dict[str, list[Manifest]] = {}
    for item in sorted(objects, key=lambda item: (item.namespace, ORDER.index(item.kind), item.name)):
        name = _FILES.get(item.kind, f"{item.kind.lower()}.yaml")
        by_file.setdefault(os.path.join(folder, item.namespace, name), []).append(item)
    for path, items in by_file.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in write_manifests(items))


def _progress(what: str) -> Callable[[str, int, int], None] | None:
    """A bar on a terminal; None: nobody looks."""
    if not sys.stderr.isatty():
        return None

    def tell(name: str, number: int, known: int) -> None:
        if number % _STEP == 0:
            done = number * _BAR // max(known, 1)
            bar = "#" * done + "." * (_BAR - done)
            sys.stderr.write(f"{_CLEAR}{what} [{bar}] {number:,} of {known:,}: {one_line(name)}")
            sys.stderr.flush()

    return tell


COMMAND = Command(
    name="migrate",
    description="Convert Ingresses to Gateway API manifests, and say what is lost. Nothing is written to a cluster.",
    run=_run,
    paths=PATHS,
    options=(
        Option(("--provider",), "The controller whose annotations they have.", "nginx", choices=tuple(PROVIDERS)),
        Option(("--ingress-class",), "The class to convert.", "all that the controller serves", "NAME"),
        Option(("--config-map",), "Settings of that controller.", "its defaults", "NAMESPACE/NAME"),
        Option(("--gateway",), "The Gateway to make.", "named as the class, beside the Ingresses", "[NAMESPACE/]NAME"),
        Option(("--gateway-class",), "Class of the Gateway.", "sluicegate", "NAME"),
        Option(
            ("--default-certificate",),
            "Secret for port 443 of hosts without TLS.",
            "these are not served there",
            "NAMESPACE/NAME",
        ),
        Option(("--standard-only",), "Nothing but the Gateway API; tell what it cannot say.", "our policies as well"),
        Option(
            ("--output-dir",),
            "Write the manifests to files below this directory.",
            "to standard output, and the report to standard error",
            "DIRECTORY",
        ),
        Option(
            ("--output", "-o"),
            "The manifests and a report for people, or the report with all of it.",
            "text",
            choices=("text", "json", "sarif", "html"),
        ),
    ),
    examples=(
        ("sluicegate migrate manifests > gateway.yaml", "exit status 3 where something is lost"),
        ("kubectl get ingress,ingressclass,service,configmap -A -o yaml | sluicegate migrate -", "of a cluster"),
        ("sluicegate migrate manifests --config-map ingress-nginx/controller --output-dir new", "into files"),
        ("sluicegate migrate manifests -o html > report.html", "the report as a page"),
    ),
    notes="docs/migration.md is the guide, docs/migration has every annotation of each controller.",
)
