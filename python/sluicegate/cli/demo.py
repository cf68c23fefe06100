"""`sluicegate demo`: the quick start out of the package, or manifests, and their backends, in one process."""

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
    setting(DemoSettings, "admin", "Address of the page, healthz, readyz, metrics and config; or off.", "ADDRESS"),
    setting(
        DemoSettings,
        "access_log",
        "Lines to a file, - for standard output (error with --output json), or off; auto: on a terminal.",
        "PATH",
    ),
    setting(
        DemoSettings,
        "access_log_format",
        "How a line of the access log is written; auto: text on a terminal, else json.",
        "auto|text|json",
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

        from .page import make_page

        paths = given.paths or [demo.QUICKSTART, demo.QUICKSTART_HTTPS]
        # On any free ports: those that EndpointSlices name may be taken.
        backends = (
            f"{service.namespace}/{service.name}=127.0.0.1:{demo.start_service(service, '127.0.0.1')}"
            for service in demo.services(paths)
        )
        settings = msgspec.structs.replace(settings, backend=tuple(backends))
        notes = (f"Manifests: {' '.join(paths)}; Ctrl-C ends it all",)
        return roles.Role(
            lambda: serve(paths, settings, __version__, violations, remedy=_REMEDY, notes=notes, page=make_page)
        )

    return roles.run(load)


COMMAND = Command(
    name="demo",
    description="Serve an example that the package brings, or manifests, with demo backends that say who they are.",
    run=_run,
    paths="File or directory of manifests, whose Services get demo backends.",
    paths_optional=True,
    options=_SETTINGS,
    examples=(
        ("sluicegate demo", "says which requests to try"),
        ("sluicegate demo manifests", "your own manifests, with a demo backend for each Service"),
        ("sluicegate demo --port-offset 9000", "where port 8080 or 8443 is taken"),
    ),
    notes="Listeners for HTTPS whose Secret is missing get a certificate made at the start: hence curl --insecure.",
)
