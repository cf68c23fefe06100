"""What the commands have in common that look at manifests and do not serve."""

from __future__ import annotations

import argparse
import os

from sluicegate.processes.settings import Settings, load_offline_settings

from .ingress_options import INGRESS_SETTINGS
from .options import Option, setting

CONTROLLER_NAME = setting(
    Settings, "controller_name", "controllerName of the GatewayClasses whose Gateways are meant.", "NAME"
)

COLOR = setting(Settings, "color", "Colours in text; auto: on a terminal, unless NO_COLOR is set.", "auto|always|never")
SELF_SIGNED = setting(
    Settings,
    "self_signed",
    "Listeners whose Secret is missing get a certificate made at the start.",
    "",
    default="off",
)
BACKEND = setting(
    Settings,
    "backend",
    "Where the program of a Service listens, in place of EndpointSlices: default/cart=127.0.0.1:9001.",
    "SERVICE=ADDRESS:PORT",
    default="EndpointSlices say it",
)
KUBECONFIG = setting(
    Settings,
    "kubeconfig",
    "With --kubernetes: how to reach the cluster.",
    "PATH",
    default="the pod's own account, else $KUBECONFIG",
)
DESTINATION = Option(
    ("--for",),
    "What the manifests are for: a cluster, or sluicegate serve.",
    "what they look like",
    choices=("cluster", "standalone"),
    name="destination",
)


def settings_of(given: argparse.Namespace) -> Settings:
    """Settings of the gateway that is meant.

    Raises:
        ValueError: a setting that cannot be used.
        OSError: a path that is not there.
    """
    for path in given.paths:
        if path != "-" and not os.path.exists(path):
            raise FileNotFoundError(f"{path}: no such file or directory")
    names = {
        "controller_name",
        "port_offset",
        "backend",
        "color",
        "kubeconfig",
        *(item.key for item in INGRESS_SETTINGS),
    }
    flags = {name: value for name, value in vars(given).items() if name in names}
    return load_offline_settings(flags, os.environ, given.config)
