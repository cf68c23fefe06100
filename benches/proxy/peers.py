"""The proxies, each with the same 1,000 routes: 31 hosts, 33 path prefixes each, one backend.

A peer writes its configuration, says how it is started, and which port speaks what.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

HOSTS = 31
PREFIXES = 33
HOST = "host-7.example.com"
PATHS = tuple(f"/service-{number}/v1/items/42?page=2" for number in (0, 5, 11, 17, 23, 29, 32, 8))
ADDRESS = "127.0.0.1"
_ENVOY = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True)
class Peer:
    """A proxy under test.

    Attributes:
        name: for the table.
        command: that starts it in the foreground.
        http1: port.
        http2: port for HTTP/2 with prior knowledge; None where it speaks none.
    """

    name: str
    command: list[str]
    http1: int
    http2: int | None


def prefixes() -> Iterator[tuple[str, str]]:
    for host in range(HOSTS):
        for prefix in range(PREFIXES):
            yield f"host-{host}.example.com", f"/service-{prefix}/v1"


def sluicegate(folder: Path, backend: int, port: int) -> Peer:
    manifests = folder / "manifests"
    manifests.mkdir()
    documents: list[object] = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "gateway"},
            "spec": {
                "gatewayClassName": "sluicegate",
                "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}],
            },
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app"}, "spec": {"ports": [{"port": 80}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "app", "labels": {"kubernetes.io/service-name": "app"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS]}],
            "ports": [{"port": backend}],
        },
    ]
    for number, (host, prefix) in enumerate(prefixes()):
        documents.append(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": f"route-{number}"},
                "spec": {
                    "parentRefs": [{"name": "gateway"}],
                    "hostnames": [host],
                    "rules": [{"matches": [{"path": {"value": prefix}}], "backendRefs": [{"name": "app", "port": 80}]}],
                },
            }
        )
    (manifests / "all.yaml").write_text(yaml.dump_all(documents, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
    command = [sys.executable, "-m", "sluicegate", "serve", str(manifests), "--workers", "1", "--listen", ADDRESS]
    return Peer("sluicegate", [*command, "--admin", f"{ADDRESS}:{port + 1}"], port, port)


def reference(folder: Path, backend: int, port: int) -> Peer:
    return Peer("reference", [sys.executable, "-m", "benches.proxy.reference", str(port), str(backend)], port, None)


def nginx(folder: Path, backend: int, port: int) -> Peer:
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    servers = []
    for host in range(HOSTS):
        locations = "".join(
            f"location /service-{prefix}/v1/ {{ proxy_pass http://app; }}\n" for prefix in range(PREFIXES)
        )
        servers.append(
            f"server {{ listen {ADDRESS}:{port} backlog=4096; listen {ADDRESS}:{port + 1} http2 backlog=4096;\n"
            f"server_name host-{host}.example.com; {locations} }}\n"
            if host == 0
            else f"server {{ listen {ADDRESS}:{port}; listen {ADDRESS}:{port + 1} http2;\n"
            f"server_name host-{host}.example.com; {locations} }}\n"
        )
    (folder / "nginx.conf").write_text(
        f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; http2_max_concurrent_streams 128;
  server_names_hash_bucket_size 128; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-f; uwsgi_temp_path {folder}/nginx-u; scgi_temp_path {folder}/nginx-s;
  upstream app {{ server {ADDRESS}:{backend}; keepalive 512; keepalive_requests 1000000000; }}
  {"".join(servers)}
}}
"""
    )
    return Peer("nginx", [binary, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log"], port, port + 1)


def haproxy(folder: Path, backend: int, port: int) -> Peer:
    binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
    (folder / "routes.map").write_text("".join(f"{host}{prefix}/ app\n" for host, prefix in prefixes()))
    (folder / "haproxy.cfg").write_text(
        f"""global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-request 10s
  option http-keep-alive
  http-reuse always
frontend in
  bind {ADDRESS}:{port} backlog 4096
  bind {ADDRESS}:{port + 1} proto h2 backlog 4096
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  use_backend %[base,map_beg({folder}/routes.map)]
backend app
  server app {ADDRESS}:{backend} pool-max-conn 512
"""
    )
    return Peer("haproxy", [binary, "-db", "-f", f"{folder}/haproxy.cfg"], port, port + 1)


def envoy(folder: Path, backend: int, port: int) -> Peer:
    beside = Path(sys.executable).with_name("envoy")
    binary = str(beside) if beside.exists() else shutil.which("envoy") or "envoy"
    virtual_hosts = [
        {
            "name": f"host-{host}",
            "domains": [f"host-{host}.example.com", f"host-{host}.example.com:*"],
            "routes": [
                {"match": {"path_separated_prefix": f"/service-{prefix}/v1"}, "route": {"cluster": "app"}}
                for prefix in range(PREFIXES)
            ],
        }
        for host in range(HOSTS)
    ]
    manager = {
        "@type": f"{_ENVOY}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"name": "routes", "virtual_hosts": virtual_hosts},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_ENVOY}.filters.http.router.v3.Router"},
            }
        ],
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
    }
    document = {
        "static_resources": {
            "listeners": [
                {
                    "name": "in",
                    "address": {"socket_address": {"address": ADDRESS, "port_value": port}},
                    "filter_chains": [
                        {
                            "filters": [
                                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "app",
                    "type": "STATIC",
                    "circuit_breakers": {
                        "thresholds": [{"max_connections": 4096, "max_pending_requests": 8192, "max_requests": 8192}]
                    },
                    "load_assignment": {
                        "cluster_name": "app",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {
                                        "endpoint": {
                                            "address": {"socket_address": {"address": ADDRESS, "port_value": backend}}
                                        }
                                    }
                                ]
                            }
                        ],
                    },
                }
            ],
        }
    }
    (folder / "envoy.yaml").write_text(yaml.safe_dump(document))
    command = [binary, "-c", f"{folder}/envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return Peer("envoy", command, port, port)


PEERS: dict[str, Callable[[Path, int, int], Peer]] = {
    "sluicegate": sluicegate,
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
    "reference": reference,
}


def backend(folder: Path, port: int) -> list[str]:
    """A backend that costs little: nginx, which answers by itself."""
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    (folder / "backend.conf").write_text(
        f"""daemon off; worker_processes 1; pid {folder}/backend.pid; error_log {folder}/backend.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
  client_body_temp_path {folder}/backend-body; proxy_temp_path {folder}/backend-proxy;
  fastcgi_temp_path {folder}/backend-f; uwsgi_temp_path {folder}/backend-u; scgi_temp_path {folder}/backend-s;
  server {{ listen {ADDRESS}:{port} backlog=4096; location / {{ return 200 "0123456789abcdef0123456789abcdef"; }} }}
}}
"""
    )
    return [binary, "-c", f"{folder}/backend.conf", "-e", f"{folder}/backend.log"]
