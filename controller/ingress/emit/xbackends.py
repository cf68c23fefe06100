"""Hosts outside the cluster, which routes and policies name by an XBackend."""

from __future__ import annotations

import re
from typing import Any

from ..losses import Cause
from ..urls import Url
from .manifest import Manifest
from .output import Output

EXTERNAL_GROUP = "gateway.networking.x-k8s.io"
#: What an XBackend does not take: it wants a name.
ADDRESS = re.compile(r"[0-9.]+|.*:.*|(?!.*[a-z]).*|.*[^-a-z0-9.].*")


def external_name(url: Url) -> str:
    """The name of the XBackend for a host and port."""
    return f"{url.host}-{url.port}"


def external_host(url: Url, namespace: str, causes: tuple[Cause, ...], output: Output) -> Manifest:
    """The XBackend for the host of a URL; its certificate is verified."""
    name = output.names.give("XBackend", namespace, external_name(url))
    content: dict[str, Any] = {
        "type": "ExternalHostname",
        "externalHostname": {"hostname": url.host},
        "port": {"number": url.port},
    }
    if url.scheme == "https":
        validation = {"hostname": url.host, "wellKnownCACertificates": "System"}
        content["tls"] = {"mode": "ServerOnly", "validation": validation}
    return Manifest("XBackend", namespace, name, content, causes={"": causes})
