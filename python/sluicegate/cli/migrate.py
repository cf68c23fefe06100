"""`sluicegate migrate`: Ingresses to Gateway API manifests, and what is lost; `--apply` alone writes to a cluster."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TextIO

from sluicegate import __version__
from sluicegate.checks import certificate_names, native_checks
from sluicegate.controller.api import CLUSTER, Diagnostic
from sluicegate.controller.api.names import is_label, is_subdomain
from sluicegate.controller.ingress import NGINX, PROVIDERS, Manifest, Name, Options, Provider, convert
from sluicegate.controller.ingress.emit.manifest import ORDER
from sluicegate.processes.interpreter import set_back
from sluicegate.processes.settings import ENVIRONMENT_PREFIX
from sluicegate.testing.arguments import whole_number
from sluicegate.testing.migration import verify
from sluicegate.words import count, one_line

from .annotated_yaml import write_manifests
from .cluster_error import NO_CLIENT, ClusterError
from .exit_status import ExitStatus
from .ingress_files import IngressFiles, read_ingresses
from .migration_page import page_of
from .migration_report import NOT_VERIFIED, MigrationReport, lines_of, report_of, with_applied
from .options import PATHS, Command, Option
from .output import write_json
from .roles import refuse
from .sarif import migration_sarif

#: Variables that other commands have as well.
_KUBECONFIG, _CLASSES = f"{ENVIRONMENT_PREFIX}KUBECONFIG", f"{ENVIRONMENT_PREFIX}INGRESS_CLASS"
#: Files of `--output-dir`: what a kind is written to.
_FILES = {"ListenerSet": "gateway.yaml", "Gateway": "gateway.yaml"}

#: Lines that are written at once.
_LINES = 2000
#: Of the bar: how often it is drawn, its characters, and what takes it away.
_STEP, _BAR, _CLEAR = 50, 20, "\r\x1b[K"
#: The last seed of `--verify`.
MAX_SEED = 2**31 - 1


def _run(given: argparse.Namespace) -> int:
    wrong = _misused(given)
    if wrong:
        return refuse(wrong)
    try:
        options = _options(given)
        seed = _seed(given)
    except ValueError as error:
        return refuse(str(error))
    provider = PROVIDERS[given.provider]
    set_back()  # 10,000 Ingresses are millions of objects that stay
    try:
        if given.kubernetes:
            from .migration_cluster import read_from_cluster

            files, conversion = read_from_cluster(_kubeconfig(given), provider, options, _progress("converting"))
        else:
            files = read_ingresses(given.paths, _progress("reading"), namespace=given.default_namespace)
            conversion = convert(files.inventory, provider, options, _progress("converting"))
    except ModuleNotFoundError as error:
        return refuse(NO_CLIENT.format(error=error))
    except ClusterError as error:
        return error.tell()
    verification = None
    if given.verify and provider is NGINX:
        verification = verify(files.inventory, conversion, options, seed, _progress("asking"))
    if sys.stderr.isatty():
        sys.stderr.write(_CLEAR)
    problems = [*files.problems, *_missing(files, options, given.paths)]
    problems += [_not_verified(provider)] if given.verify and verification is None else []
    if given.output_dir is not None:
        problems += _left(given.output_dir, conversion.objects)
    report = report_of(
        conversion,
        problems,
        version=__version__,
        provider=provider.name,
        documents=files.documents,
        verification=verification,
    )
    if given.output_dir is not None:
        try:
            _write_files(given.output_dir, conversion.objects)
        except OSError as error:
            return refuse(f"--output-dir: {error}")
    if given.apply:
        return _apply(given, report, conversion.objects, _hosts(files))
    _write(given, report, conversion.objects, _hosts(files))
    return _status(report)


def _apply(
    given: argparse.Namespace,
    report: MigrationReport,
    objects: Sequence[Manifest],
    hosts: Mapping[str, Sequence[str]],
) -> int:
    """Write the manifests to the cluster, as far as somebody wants that."""
    told = sys.stdout if given.output == "text" else sys.stderr
    if given.output == "text":
        _write_lines(told, map(one_line, lines_of(report)))
    try:
        from .migration_cluster import apply_to_cluster

        # What cannot be read may protect something.
        applied = apply_to_cluster(_kubeconfig(given), objects, told, sure=given.yes) if not report.failed else ()
    except ModuleNotFoundError as error:
        return refuse(NO_CLIENT.format(error=error))
    except ClusterError as error:
        return error.tell()
    if report.failed:
        told.write(f"Nothing is written: {_reason(report)}\n")
    report = with_applied(report, applied)
    if given.output != "text":
        _write(given, report, objects, hosts)
    return _status(report)


def _reason(report: MigrationReport) -> str:
    """Why a report has failed."""
    if report.verification is not None and report.verification.unnamed > 0:
        return "an answer differs, and nothing says so"
    wrong = {item.code for item in report.problems if item.severity == "error"}
    return "what --verify is to prove is not proved" if wrong == {NOT_VERIFIED} else "not everything could be read"


def _not_verified(provider: Provider) -> Diagnostic:
    """Who asks for a proof, and there is none to be had, is not told that all is well."""
    message = (
        f"--verify asked nothing: there is a model of {NGINX.title}, and none of {provider.title}. Not compared with "
        f"what {provider.title} answers are hosts, paths, redirects, backends, fields, and who may"
    )
    remedy = (
        "go by the losses, ask both for what matters (`sluicegate explain` says what the manifests answer), "
        "and leave --verify out"
    )
    return Diagnostic(severity="error", code=NOT_VERIFIED, message=message, remedy=remedy)


def _kubeconfig(given: argparse.Namespace) -> str | None:
    """The file that says how to reach the cluster; None: nobody names one."""
    return given.kubeconfig or os.environ.get(_KUBECONFIG)


def _status(report: MigrationReport) -> int:
    if report.failed:
        return ExitStatus.FAILED
    return ExitStatus.DIFFERENT if report.lossy else ExitStatus.OK


def _misused(given: argparse.Namespace) -> str:
    """What is wrong with how the command is called; empty: nothing."""
    if given.kubernetes and given.paths:
        return "give paths of manifests, or --kubernetes, and not both"
    if not given.kubernetes and not given.paths:
        return "give paths of manifests (- for standard input), or --kubernetes"
    if given.yes and not given.apply:
        return "--yes is for --apply"
    if given.default_namespace is not None and given.kubernetes:
        return "--default-namespace is for files: objects of a cluster have theirs"
    if given.default_namespace is not None and not is_label(given.default_namespace):
        return f"--default-namespace: {given.default_namespace!r} is not a name"
    if given.kubeconfig is not None and not (given.kubernetes or given.apply):
        return "--kubeconfig is for --kubernetes and --apply"
    if given.apply and not given.yes and not sys.stdin.isatty():
        return "--apply asks before it writes, and standard input is no terminal: give --yes where you are sure"
    missing = next((path for path in given.paths if path != "-" and not os.path.exists(path)), None)
    return f"{missing}: no such file or directory" if missing is not None else ""


def _options(given: argparse.Namespace) -> Options:
    """What the conversion is told.

    Raises:
        ValueError: an option that is no name of an object.
    """
    checks = native_checks()
    classes = tuple(given.ingress_class or filter(None, os.environ.get(_CLASSES, "").split(",")))
    if given.provider != NGINX.name and (given.tcp_services_configmap or given.udp_services_configmap):
        raise ValueError(f"--tcp-services-configmap and --udp-services-configmap are those of {NGINX.title}")
    for option, names in (("--ingress-class", classes), ("--gateway-class", (given.gateway_class or "sluicegate",))):
        wrong = next((item for item in names if not is_subdomain(item)), None)
        if wrong is not None:
            raise ValueError(f"{option}: {wrong!r} is not a name")
    namespace, slash, name = (given.gateway or "").rpartition("/")
    if given.gateway is not None and not ((is_label(namespace) or not slash) and is_subdomain(name)):
        raise ValueError(f"--gateway: {given.gateway!r} is not a name, with a namespace before it or not")
    if given.existing_gateway and not namespace:
        raise ValueError("--existing-gateway: name it with its namespace, by --gateway NAMESPACE/NAME")
    return Options(
        ingress_class=classes[0] if classes else "",
        other_classes=classes[1:],
        config_map=_name("--config-map", given.config_map),
        tcp_services=_name("--tcp-services-configmap", given.tcp_services_configmap),
        udp_services=_name("--udp-services-configmap", given.udp_services_configmap),
        gateway=Name(namespace, name),
        gateway_class=given.gateway_class or "sluicegate",
        default_certificate=_name("--default-certificate", given.default_certificate),
        gateway_exists=bool(given.existing_gateway),
        standard_only=bool(given.standard_only),
        forwarding_headers=bool(given.forwarding_headers),
        strict_paths=bool(given.strict_paths),
        pattern_error=lambda pattern: checks.pattern(pattern).error,
        certificate_names=certificate_names,
    )


def _seed(given: argparse.Namespace) -> int:
    """The seed of `--verify`.

    Raises:
        ValueError: it is no number, or there is nothing to verify.
    """
    if given.seed is None:
        return 0
    if not given.verify:
        raise ValueError("--seed: it is of --verify, which is not given")
    text = str(given.seed)
    return whole_number("--seed", int(text) if text.isdecimal() else text, 0, MAX_SEED)


def _name(option: str, text: str | None) -> Name | None:
    if text is None:
        return None
    namespace, _, name = text.partition("/")
    if not (is_label(namespace) and is_subdomain(name)):
        raise ValueError(f"{option}: {text!r} is not a namespace and a name, such as ingress-nginx/controller")
    return Name(namespace, name)


def _missing(files: IngressFiles, options: Options, paths: Sequence[str]) -> Iterable[Diagnostic]:
    """Say what was asked for and is not there."""
    path = next(iter(paths), CLUSTER.path)
    # Of what cannot be read its own fault says more: it may be an Ingress.
    broken = any(item.code == "unreadable" or item.object.startswith("Ingress/") for item in files.problems)
    if not files.inventory.ingresses and not broken:
        among = f": {count(files.documents, 'document')} of other kinds" if files.documents else ": nothing is in it"
        remedy = "check the path; of directories files are read that end in .yaml, .yml or .json"
        message = "there is no Ingress" + (among if paths else "")
        yield Diagnostic(
            path=path, severity="error", code="no-objects", message=message, remedy=remedy if paths else ""
        )
    for name, otherwise in (
        (options.config_map, "the defaults of the controller hold"),
        (options.tcp_services, "no TCP port is converted"),
        (options.udp_services, "no UDP port is converted"),
    ):
        if name is not None and name not in files.inventory.config_maps:
            message = f"the ConfigMap {'/'.join(name)} is not there: {otherwise}"
            yield Diagnostic(path=path, severity="error", code="target-not-found", message=message)


def _write(
    given: argparse.Namespace,
    report: MigrationReport,
    objects: Iterable[Manifest],
    hosts: Mapping[str, Sequence[str]],
) -> None:
    if given.output == "json":
        write_json(report)
    elif given.output == "sarif":
        sys.stdout.write(json.dumps(migration_sarif(report, __version__), indent=2) + "\n")
    elif given.output == "html":
        sys.stdout.write(page_of(report, hosts))
    else:
        # Manifests are what is asked for; where they go to files, the report is.
        told = sys.stderr if given.output_dir is None else sys.stdout
        if given.output_dir is None:
            _write_lines(sys.stdout, write_manifests(objects))
        _write_lines(told, map(one_line, lines_of(report)))


def _write_files(folder: str, objects: Iterable[Manifest]) -> None:
    """A file for each kind and namespace: `gateway.yaml`, `shop/httproute.yaml`.

    Raises:
        OSError: a file that cannot be written.
    """
    for path, items in _by_file(folder, objects).items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            _write_lines(file, write_manifests(items))


def _by_file(folder: str, objects: Iterable[Manifest]) -> dict[str, list[Manifest]]:
    """What each file has, by its path."""
    found: dict[str, list[Manifest]] = {}
    for item in sorted(objects, key=lambda item: (item.namespace, ORDER.index(item.kind), item.name)):
        name = _FILES.get(item.kind, f"{item.kind.lower()}.yaml")
        found.setdefault(os.path.join(folder, item.namespace, name), []).append(item)
    return found


def _left(folder: str, objects: Iterable[Manifest]) -> Iterable[Diagnostic]:
    """What was below the directory before and is no file of this run: whoever applies all of it applies that too."""
    written = _by_file(folder, objects)
    message = "this run does not write it, and whoever applies the directory applies it too"
    remedy = "take it out where it is of an earlier run"
    for place, folders, names in os.walk(folder):
        folders.sort()
        for path in (os.path.join(place, name) for name in sorted(names)):
            if path.endswith((".yaml", ".yml", ".json")) and path not in written:
                yield Diagnostic(path=path, severity="warning", code="other-file", message=message, remedy=remedy)


def _write_lines(file: TextIO, lines: Iterable[str]) -> None:
    """Write lines, many at once: there may be millions."""
    rest = iter(lines)
    while some := list(itertools.islice(rest, _LINES)):
        file.write("\n".join(some) + "\n")


def _hosts(files: IngressFiles) -> dict[str, list[str]]:
    """The hosts of each Ingress, by its name in the report."""
    return {
        str(item.key): sorted({rule.host.lower() for rule in item.spec.rules}) for item in files.inventory.ingresses
    }


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
    description="Convert Ingresses to Gateway API manifests, and say what is lost. Nothing is written to a cluster\n"
    "without --apply.",
    run=_run,
    paths=PATHS,
    paths_optional=True,
    options=(
        Option(("--provider",), "The controller whose annotations they have.", "nginx", choices=tuple(PROVIDERS)),
        Option(
            ("--ingress-class",),
            "The class to convert.",
            "all that the controller serves",
            "NAME",
            repeats=True,
            variable=_CLASSES,
        ),
        Option(("--config-map",), "Settings of that controller.", "its defaults", "NAMESPACE/NAME"),
        Option(
            ("--tcp-services-configmap",),
            "TCP ports and their Services, as of that controller.",
            "none",
            "NAMESPACE/NAME",
        ),
        Option(
            ("--udp-services-configmap",),
            "UDP ports and their Services, as of that controller.",
            "none",
            "NAMESPACE/NAME",
        ),
        Option(
            ("--default-namespace",), "Of objects of files that name none, such as those of a chart.", "default", "NAME"
        ),
        Option(("--kubernetes",), "Read the Ingresses of a cluster instead of files.", "files"),
        Option(
            ("--kubeconfig",),
            "How to reach the cluster.",
            "the pod's own account, else $KUBECONFIG",
            "PATH",
            variable=_KUBECONFIG,
        ),
        Option(("--apply",), "Write the manifests to the cluster, after showing what changes.", "nothing is written"),
        Option(("--yes",), "With --apply: do not ask.", "it asks"),
        Option(("--gateway",), "The Gateway to make.", "named as the class, beside the Ingresses", "[NAMESPACE/]NAME"),
        Option(("--gateway-class",), "Class of the Gateway.", "sluicegate", "NAME"),
        Option(("--existing-gateway",), "The Gateway is there: attach to it, and make none.", "it is made"),
        Option(
            ("--default-certificate",),
            "Secret for port 443 of hosts without TLS.",
            "these are not served there",
            "NAMESPACE/NAME",
        ),
        Option(("--standard-only",), "Nothing but the Gateway API; tell what it cannot say.", "our policies as well"),
        Option(
            ("--forwarding-headers",),
            "Have backends get X-Real-IP, X-Forwarded-Port and X-Scheme, as the controller sends them.",
            "they get X-Forwarded-For, -Proto and -Host",
        ),
        Option(
            ("--strict-paths",),
            "On hosts with expressions, take plain paths by their types, and expressions in their case.",
            "all paths of such a host are expressions in any case, as ingress-nginx has it",
        ),
        Option(
            ("--verify",),
            "Ask a model of ingress-nginx and the manifests the same requests, and show what is answered otherwise; "
            "of other controllers there is none.",
            "nothing is asked",
        ),
        Option(("--seed",), "Of the requests of --verify: the same seed, the same requests.", "0", "N"),
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
        ("sluicegate migrate --kubernetes --config-map ingress-nginx/controller > gateway.yaml", "of a cluster"),
        ("sluicegate migrate --kubernetes --apply", "of a cluster, into the cluster: it shows the changes, and asks"),
        ("sluicegate migrate manifests --config-map ingress-nginx/controller --output-dir new", "into files"),
        (
            "sluicegate migrate manifests --verify > gateway.yaml",
            "exit status 1 where an answer differs and nothing says so",
        ),
        ("sluicegate migrate manifests -o html > report.html", "the report as a page"),
    ),
    notes="docs/migration.md is the guide, docs/migration has every annotation of each controller.",
)
