"""`sluicegate gateway`: settings, then the data plane."""

from __future__ import annotations

import argparse
import os

from sluicegate import __version__
from sluicegate.processes.settings import GatewaySettings, load_gateway_settings

from . import roles
from .options import CONFIG, Command, Option, setting

_SETTINGS = (
    setting(GatewaySettings, "workers", "Threads that serve.", "NUMBER", default="the cores that may be used"),
    setting(GatewaySettings, "drain", "Time for open requests after SIGTERM, once it has settled.", "SECONDS"),
    setting(GatewaySettings, "settle", "How long new connections are still taken after SIGTERM.", "SECONDS"),
    setting(GatewaySettings, "admin", "Address of healthz, readyz, metrics and config; or off.", "ADDRESS"),
    setting(GatewaySettings, "access_log", "JSON lines to a file, - for standard output, or off.", "PATH"),
    setting(GatewaySettings, "output", "json: one JSON object a line, for programs.", "text|json"),
    setting(GatewaySettings, "log_level", "The least that is told.", "debug|info|warning|error"),
    setting(
        GatewaySettings, "zone", "Zone of the pod, for Services whose traffic stays near.", "NAME", default="not known"
    ),
    setting(GatewaySettings, "node", "Node of the pod, for the same.", "NAME", default="not known"),
)


def _run(given: argparse.Namespace) -> int:
    flags = {item.key: getattr(given, item.key) for item in _SETTINGS}

    def load() -> roles.Role:
        from sluicegate.processes.gateway.role import Connection, run_gateway

        connection = Connection(given.controller, given.token_file, given.ca_file, given.state_directory)
        return roles.Role(
            lambda: run_gateway(connection, load_gateway_settings(flags, os.environ, given.config), __version__)
        )

    return roles.run(load)


COMMAND = Command(
    name="gateway",
    description="Serve a Gateway of a cluster as its controller says. Starts from its last configuration at once, and\n"
    "serves on while the controller is away.",
    run=_run,
    options=(
        Option(("--controller",), "The controller's config stream; its certificate is for HOST.", metavar="HOST:PORT"),
        Option(("--token-file",), "ServiceAccount token with the audience sluicegate.dev/config.", metavar="PATH"),
        Option(("--ca-file",), "CA of the controller (PEM); read at each connection.", metavar="PATH"),
        Option(("--state-directory",), "For the last configuration; it holds private keys.", metavar="PATH"),
        *_SETTINGS,
        CONFIG,
    ),
    examples=(
        (
            "sluicegate gateway --controller sluicegate-controller.sluicegate-system.svc:18000 \\\n"
            "      --token-file /var/run/secrets/sluicegate/token --ca-file /etc/sluicegate/ca.crt \\\n"
            "      --state-directory /var/lib/sluicegate",
            "as the controller runs it in the pods of a Gateway",
        ),
    ),
    notes="Limits and timeouts of the engine are set in the table [engine] of the settings file.",
)
