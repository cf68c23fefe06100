"""Options of the commands that serve Ingresses, or say how they would be served."""

from __future__ import annotations

import msgspec

from sluicegate.processes.ingress_settings import PROVIDERS
from sluicegate.processes.settings import Settings

from .options import Option, setting


def ingress_settings(kind: type[msgspec.Struct], gateway: str) -> tuple[Option, ...]:
    """Options that are settings.

    Args:
        kind: struct of the settings.
        gateway: what serves Ingresses where no Gateway is named, in words.
    """
    names = "NAMESPACE/NAME"
    every = "all that the provider's controller serves"
    return (
        setting(kind, "ingress", "Serve Ingresses as well (docs/migration/serving.md).", "", default="off"),
        setting(kind, "ingress_class", "Serve Ingresses, those of this class.", "NAME", default=every),
        setting(kind, "ingress_provider", "Whose annotations Ingresses have.", "|".join(PROVIDERS)),
        setting(kind, "ingress_config_map", "Settings of that controller.", names, default="its defaults"),
        setting(
            kind,
            "ingress_default_certificate",
            "Secret for port 443 of hosts without TLS.",
            names,
            default="these are not served there",
        ),
        setting(
            kind,
            "ingress_forwarding_headers",
            "Backends get X-Real-IP, X-Forwarded-Port and X-Scheme, as that controller sends them.",
            "",
            default="they get X-Forwarded-For, -Proto and -Host",
        ),
        setting(kind, "ingress_gateway", "The Gateway that serves Ingresses.", names, default=gateway),
    )


#: Of `serve`, and of commands that say what it does.
INGRESS_SETTINGS = ingress_settings(Settings, "one is made; with --kubernetes ingress in --namespace")


def status_setting(kind: type[msgspec.Struct], where: str = "") -> Option:
    """Whether Ingresses are told their addresses; `where`: what the help says first."""
    text = f"{where}Ingresses are not told the addresses of the Gateway."
    return setting(kind, "no_ingress_status", text, "", default="they are")
