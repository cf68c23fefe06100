"""The gateway and who is around it: a backend that answers at once, and a collector that takes everything.

One process has a Gateway for each way of being traced, on a port of its own, with the same route: so what differs
between two of them is the policy, and neither another process nor where its memory happens to be.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benches.proxy.peers.site import ADDRESS, CONNECTIONS, program
from benches.telemetry.verdict import VARIANTS, Variant

PATH = "/shop/items/42"
_GROUP = "gateway.networking.k8s.io"


@dataclass(frozen=True)
class Site:
    """Where everything is, on loopback.

    Attributes:
        folder: for configurations and logs.
        backend, admin: ports of the backend, which is the collector too, and of the gateway's admin listener.
        ports: of the Gateways, by the name of their variant.
    """

    folder: Path
    backend: int
    admin: int
    ports: Mapping[str, int]


def site_of(folder: Path) -> Site:
    """Free ports for everything: held until all are known, so that none is given twice."""
    held = [socket.create_server((ADDRESS, 0)) for _ in range(len(VARIANTS) + 2)]
    backend, admin, *ports = (each.getsockname()[1] for each in held)
    for each in held:
        each.close()
    return Site(folder, backend, admin, dict(zip(VARIANTS, ports, strict=True)))


def backend(site: Site) -> list[str]:
    """The command of the backend: 32 octets for a request, and nothing for a message of spans, which is read whole."""
    (site.folder / "backend.conf").write_text(
        f"""daemon off; worker_processes 1; pid {site.folder}/backend.pid; error_log {site.folder}/backend.log crit;
events {{ worker_connections {CONNECTIONS}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; client_max_body_size 8m;
  client_body_temp_path {site.folder}/b; proxy_temp_path {site.folder}/p; fastcgi_temp_path {site.folder}/f;
  uwsgi_temp_path {site.folder}/u; scgi_temp_path {site.folder}/s;
  server {{
    listen {ADDRESS}:{site.backend} backlog=4096;
    location / {{ return 200 "0123456789abcdef0123456789abcdef"; }}
    location = /v1/traces {{ return 200; }}
  }}
}}
"""
    )
    return [program("nginx", "Debian: nginx-light"), "-c", f"{site.folder}/backend.conf", "-e", f"{site.folder}/log"]


def gateway(site: Site) -> list[str]:
    """The command of the gateway, one worker."""
    manifests = site.folder / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(yaml.safe_dump_all(objects(site)))
    command = [sys.executable, "-m", "sluicegate", "serve", str(manifests), "--workers", "1", "--listen", ADDRESS]
    return [*command, "--admin", f"{ADDRESS}:{site.admin}"]


def objects(site: Site) -> Iterator[dict[str, Any]]:
    """What the gateway is told, as a user would write it."""
    for name, port in site.ports.items():
        listener = {"name": "http", "port": port, "protocol": "HTTP"}
        yield _object("Gateway", name, {"gatewayClassName": "sluicegate", "listeners": [listener]})
        if (tracing := tracing_of(VARIANTS[name])) is not None:
            targets = [{"group": _GROUP, "kind": "Gateway", "name": name}]
            version = "gateway.networking.x-k8s.io/v1alpha1"
            yield _object("XTelemetryPolicy", name, {"targetRefs": targets, "tracing": tracing}, version)
    parents = [{"name": name} for name in site.ports]
    rule = {"matches": [{"path": {"value": "/shop"}}], "backendRefs": [{"name": "app", "port": 80}]}
    yield _object("HTTPRoute", "shop", {"parentRefs": parents, "rules": [rule]})
    for name in ("app", "collector"):
        yield _object("Service", name, {"ports": [{"port": 80, "appProtocol": "http"}]}, "v1")
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS]}],
            "ports": [{"port": site.backend}],
        }


def tracing_of(variant: Variant) -> dict[str, Any] | None:
    """What its policy says; None: it has no policy."""
    if variant.rate is None:
        return None
    if not variant.rate:
        return {"mode": "Disabled"}
    provider = {"backendRef": {"name": "collector", "port": 80}}
    return {"mode": "Enabled", "provider": provider, "samplingRate": {"numerator": variant.rate, "denominator": 100}}


def _object(kind: str, name: str, spec: Mapping[str, Any], version: str = f"{_GROUP}/v1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
