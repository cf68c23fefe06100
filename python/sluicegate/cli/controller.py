"""`sluicegate controller`: settings, then the control plane."""

from __future__ import annotations

import argparse
import os

from sluicegate import __version__
from sluicegate.processes.controller.settings import ControllerSettings, load_controller_settings

from . import roles
from .ingress_options import ingress_settings, status_setting
from .options import Command, setting

_SETTINGS = (
    setting(
        ControllerSettings,
        "kubeconfig",
        "How to reach the cluster.",
        "PATH",
        default="the pod's own account, else $KUBECONFIG",
    ),
    setting(ControllerSettings, "controller_name", "controllerName of the GatewayClasses to serve.", "NAME"),
    setting(
        ControllerSettings,
        "namespace",
        "Where the Lease, the CA and shared data planes are.",
        "NAME",
        default="$POD_NAMESPACE, else sluicegate-system",
    ),
    setting(ControllerSettings, "image", "Image of data planes.", "REFERENCE", default=f"sluicegate:{__version__}"),
    setting(
        ControllerSettings,
        "image_pull_policy",
        "When that image is pulled.",
        "Always|IfNotPresent|Never",
        default="as Kubernetes does",
    ),
    setting(ControllerSettings, "stream_address", "Where the config stream is served.", "ADDRESS"),
    setting(
        ControllerSettings,
        "stream_name",
        "The config stream as data planes dial it.",
        "HOST:PORT",
        default="sluicegate-controller.NAMESPACE.svc:18000",
    ),
    setting(
        ControllerSettings,
        "certificate_grace",
        "Time for which a certificate serves on after its Secret is gone.",
        "SECONDS",
    ),
    setting(
        ControllerSettings, "external_names", "Services of type ExternalName lead to their hosts.", "", default="off"
    ),
    *ingress_settings(ControllerSettings, "ingress in --namespace"),
    status_setting(ControllerSettings),
    setting(ControllerSettings, "admin", "Address of the page, healthz, readyz and metrics; or off.", "ADDRESS"),
    setting(ControllerSettings, "output", "json: one JSON object a line, for programs.", "text|json"),
    setting(ControllerSettings, "log_level", "The least that is told.", "debug|info|warning|error"),
)


def _run(given: argparse.Namespace) -> int:
    flags = {item.key: getattr(given, item.key) for item in _SETTINGS}

    def load() -> roles.Role:
        from sluicegate.processes.controller.role import ApiError, run_controller

        from .page import make_page

        return roles.Role(
            lambda: run_controller(load_controller_settings(flags, os.environ, __version__), __version__, make_page),
            (ApiError,),
        )

    return roles.run(load)


COMMAND = Command(
    name="controller",
    description="Control the Gateways of a cluster: provision their data planes, give them their configuration, write\n"
    "status. Several replicas may run; one of them leads.",
    run=_run,
    options=_SETTINGS,
    examples=(
        (
            f"sluicegate controller --image registry.example.com/sluicegate:{__version__}",
            "data planes from your registry",
        ),
        ("sluicegate controller --ingress-class nginx", "Ingresses of that class as well"),
    ),
)
