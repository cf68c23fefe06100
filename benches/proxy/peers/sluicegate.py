"""Sluicegate itself, from manifests as a user would write them."""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping

import yaml

from benches.proxy.peers.site import ADDRESS, ENTRIES, GRPC_HOST, GRPC_SERVICE, Peer, Site, prefixes

_API = "gateway.networking.k8s.io/v1"


def peer(site: Site) -> Peer:
    """One worker; HTTP/2 is on the port of HTTP."""
    manifests = site.folder / "manifests"
    manifests.mkdir()
    documents = [*gateway(site), *services(site), *routes()]
    (manifests / "all.yaml").write_text(yaml.dump_all(documents, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
    admin = f"{ADDRESS}:{site.first_port + len(ENTRIES)}"
    command = [sys.executable, "-m", "sluicegate", "serve", str(manifests), "--workers", "1", "--listen", ADDRESS]
    ports = {**site.ports("http", "tls", "tcp", "udp"), "http2": site.port("http")}
    return Peer("sluicegate", [*command, "--admin", admin], ports)


def gateway(site: Site) -> list[object]:
    """The Gateway and its Secret."""
    tls = {"mode": "Terminate", "certificateRefs": [{"name": "certificate"}]}
    listeners: list[dict[str, object]] = [
        {"name": "http", "port": site.port("http"), "protocol": "HTTP"},
        {"name": "https", "port": site.port("tls"), "protocol": "HTTPS", "tls": tls},
        {"name": "tcp", "port": site.port("tcp"), "protocol": "TCP"},
        {"name": "udp", "port": site.port("udp"), "protocol": "UDP"},
    ]
    files = {"tls.crt": site.certificate.chain, "tls.key": site.certificate.key}
    data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
    return [
        {
            "apiVersion": _API,
            "kind": "Gateway",
            "metadata": {"name": "gateway"},
            "spec": {"gatewayClassName": "sluicegate", "listeners": listeners},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "certificate"},
            "type": "kubernetes.io/tls",
            "data": data,
        },
    ]


def services(site: Site) -> list[object]:
    """A Service and its EndpointSlice for each backend."""
    documents: list[object] = []
    backends = site.backends
    for name, port, protocol in (
        ("app", backends.http, "TCP"),
        ("grpc", backends.grpc, "TCP"),
        ("udp", backends.udp, "UDP"),
    ):
        documents += [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"ports": [{"port": 80, "protocol": protocol}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [ADDRESS]}],
                "ports": [{"port": port, "protocol": protocol}],
            },
        ]
    return documents


def routes() -> list[object]:
    """Routes of all kinds."""
    documents: list[object] = []
    for number, (host, prefix) in enumerate(prefixes()):
        match = {"path": {"value": prefix}}
        documents.append(route("HTTPRoute", f"route-{number}", "app", {"matches": [match]}, [host]))
    service = {"matches": [{"method": {"service": GRPC_SERVICE}}]}
    documents.append(route("GRPCRoute", "grpc", "grpc", service, [GRPC_HOST]))
    documents += [route("TCPRoute", "tcp", "app", {}), route("UDPRoute", "udp", "udp", {})]
    return documents


def route(kind: str, name: str, backend: str, rule: Mapping[str, object], hosts: list[str] | None = None) -> object:
    """A route with one rule."""
    section = {"TCPRoute": ["tcp"], "UDPRoute": ["udp"]}.get(kind, ["http", "https"])
    return {
        "apiVersion": _API,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "gateway", "sectionName": each} for each in section],
            **({"hostnames": hosts} if hosts else {}),
            "rules": [{**rule, "backendRefs": [{"name": backend, "port": 80}]}],
        },
    }
