"""`sluicegate demo`: the quick start and its backends, out of the package, in one process."""

from __future__ import annotations

import argparse
import os

import msgspec

from sluicegate import __version__
from sluicegate.processes.settings import DemoSettings, load_settings

from . import roles
from .manifests import COLOR
from .options import Command, setting

_SETTINGS = (
    setting(DemoSettings, "port_offset", "Added to every port: 8000 serves port 80 on 8080, without root.", "NUMBER"),
    setting(
        DemoSettings,
        "listen",
        "Address to bind instead of those that Gateways ask for.",
        "ADDRESS",
        default="127.0.0.1",
    ),
    setting(DemoSettings, "admin", "Address of healthz, readyz, metrics and config; or off.", "ADDRESS"),
    setting(
        DemoSettings,
        "access_log",
        "JSON lines to a file, - for standard output (error with --output json), or off.",
        "PATH",
    ),
    COLOR,
    setting(DemoSettings, "output", "json: one JSON object a line, for programs.", "text|json"),
)

#: Where the default does not do, one that most machines have free.
_REMEDY = "stop what listens there, or choose other ports: sluicegate demo --port-offset 9000"


def _run(given: argparse.Namespace) -> int:
    flags = {item.key: getattr(given, item.key) for item in _SETTINGS}

    def load() -> roles.Role:
        settings = load_settings(flags, os.environ, kind=DemoSettings)
        from sluicegate.processes import without_tls  # noqa: F401 (before asyncio)  # isort: skip
        from sluicegate.processes.serve import serve
        from sluicegate.schema import violations
        from sluicegate.testing import demo

        # On any free ports: what the EndpointSlices of the example say may be taken.
        backends = [
            f"{namespace}/{service}={address}:{demo.start(service, address, 0).server_port}"
            for namespace, service, address, _ in demo.endpoints([demo.QUICKSTART])
        ]
        settings = msgspec.structs.replace(settings, backend=tuple(backends))
        notes = (f"Manifests: {demo.QUICKSTART}; Ctrl-C ends it all",)
        paths = [demo.QUICKSTART]
        return roles.Role(lambda: serve(paths, settings, __version__, violations, remedy=_REMEDY, notes=notes))

    return roles.run(load)


COMMAND = Command(
    name="demo",
    description="Serve an example that the package brings: a Gateway, a route, and the backend that it leads to.",
    run=_run,
    options=_SETTINGS,
    examples=(
        ("sluicegate demo", "says which requests to try"),
        ("sluicegate demo --port-offset 9000", "where port 8080 is taken"),
    ),
)
