"""`sluicegate serve`: settings, then the server."""

from __future__ import annotations

import argparse
import os

from sluicegate import __version__
from sluicegate.processes.settings import Settings, load_settings

from . import roles
from .ingress_options import INGRESS_SETTINGS, status_setting
from .manifests import BACKEND, COLOR, KUBECONFIG, SELF_SIGNED
from .options import CONFIG, PATHS, Command, Option, setting

#: Options that are settings, in the order of the help; those of a cluster come last.
_SETTINGS = (
    setting(Settings, "controller_name", "controllerName of the GatewayClasses to serve.", "NAME"),
    setting(
        Settings,
        "listen",
        "Address to bind instead of those that Gateways ask for.",
        "ADDRESS",
        default="as Gateways ask",
    ),
    BACKEND,
    SELF_SIGNED,
    setting(Settings, "port_offset", "Added to every port: 8000 serves port 80 on 8080, without root.", "NUMBER"),
    setting(Settings, "workers", "Threads that serve.", "NUMBER", default="the cores that may be used"),
    setting(Settings, "drain", "Time for open requests after SIGTERM or Ctrl-C.", "SECONDS"),
    setting(Settings, "keep_going", "Start even where nothing can be served yet, and wait for it.", "", default="off"),
    setting(Settings, "admin", "Address of the page, healthz, readyz, metrics and config; or off.", "ADDRESS"),
    setting(
        Settings,
        "access_log",
        "Lines to a file, - for standard output (error with --output json), or off; auto: on a terminal.",
        "PATH",
    ),
    setting(
        Settings,
        "access_log_format",
        "How a line of the access log is written; auto: text on a terminal, else json.",
        "auto|text|json",
    ),
    setting(Settings, "output", "json: one JSON object a line, for programs.", "text|json"),
    COLOR,
    setting(Settings, "log_level", "The least that is told.", "debug|info|warning|error"),
    setting(
        Settings, "zone", "Zone of this machine, for Services whose traffic stays near.", "NAME", default="not known"
    ),
    setting(Settings, "node", "Node that this machine is, for the same.", "NAME", default="not known"),
    setting(Settings, "external_names", "Services of type ExternalName lead to their hosts.", "", default="off"),
    setting(Settings, "local_external_hosts", "Names of external hosts may come to this machine.", "", default="off"),
    *INGRESS_SETTINGS,
    status_setting(Settings, "With --kubernetes: "),
    setting(
        Settings,
        "keys_directory",
        "Where keys of identity providers are kept for the next start.",
        "PATH",
        default="nowhere",
    ),
    setting(
        Settings,
        "address_pool",
        "With --kubernetes: network or range that Gateways get addresses from.",
        "NETWORK",
        default="none",
    ),
    setting(
        Settings,
        "status_address",
        "With --kubernetes: address that Gateways report.",
        "ADDRESS",
        default="this machine's",
    ),
    setting(Settings, "namespace", "With --kubernetes: where the Lease is.", "NAME"),
    setting(
        Settings,
        "certificate_grace",
        "With --kubernetes: time for which a certificate serves on after its Secret is gone.",
        "SECONDS",
    ),
    KUBECONFIG,
)


def _run(given: argparse.Namespace) -> int:
    if given.kubernetes and given.paths:
        return roles.refuse("give paths of manifests, or --kubernetes, and not both")
    if given.kubernetes and given.backend:
        return roles.refuse("--backend is for manifests: in a cluster EndpointSlices say where programs listen")
    if not given.kubernetes and not given.paths:
        return roles.refuse("give paths of manifests (- for standard input), or --kubernetes")
    flags = {item.key: getattr(given, item.key) for item in _SETTINGS}

    def settings() -> Settings:
        return load_settings(flags, os.environ, given.config)

    def load() -> roles.Role:
        if given.kubernetes:
            from sluicegate.processes.serve.cluster import ApiError, serve_cluster

            from .page import make_page

            return roles.Role(lambda: serve_cluster(settings(), __version__, make_page), (ApiError,))
        from sluicegate.processes import without_tls  # noqa: F401 (before asyncio)  # isort: skip
        from sluicegate.processes.serve import serve
        from sluicegate.schema import violations

        from .page import make_page

        return roles.Role(lambda: serve(given.paths, settings(), __version__, violations, page=make_page))

    return roles.run(load)


COMMAND = Command(
    name="serve",
    description="Serve the Gateways of manifests and follow the files, or serve those of a cluster (--kubernetes).",
    run=_run,
    paths=PATHS,
    paths_optional=True,
    options=(
        *_SETTINGS,
        Option(("--kubernetes",), "Serve the Gateways of a cluster instead of files.", "files"),
        CONFIG,
    ),
    examples=(
        ("sluicegate serve manifests --port-offset 8000", "port 80 of a Gateway is port 8080 of this machine"),
        ("sluicegate serve manifests --backend default/cart=127.0.0.1:9001", "the program of a Service listens there"),
        ("kustomize build . | sluicegate serve -", "manifests from standard input"),
        ("sluicegate serve manifests --ingress --port-offset 8000", "Ingresses as well, as ingress-nginx would"),
    ),
    notes="Options win over environment variables, these over the settings file (port_offset = 8000). Limits and\n"
    "timeouts of the engine are set in its table [engine].",
)
