"""HAProxy: one thread; it carries no UDP."""

from __future__ import annotations

from benches.proxy.peers.site import (
    ADDRESS,
    BACKLOG,
    CONNECTIONS,
    GRPC_HOST,
    GRPC_SERVICE,
    Peer,
    Site,
    prefixes,
    program,
)


def peer(site: Site) -> Peer:
    """HTTP/2 in clear text has a port of its own."""
    binary = program("haproxy", "Debian: haproxy")
    folder = site.folder
    routes = "".join(f"{host}{prefix}/ app\n" for host, prefix in prefixes())
    (folder / "routes.map").write_text(f"{routes}{GRPC_HOST}/{GRPC_SERVICE}/ grpc\n")
    (folder / "haproxy.cfg").write_text(
        f"""global
  nbthread 1
  maxconn {CONNECTIONS}
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-request 10s
  option http-keep-alive
  http-reuse always
frontend in
  bind {ADDRESS}:{site.port("http")} backlog {BACKLOG}
  bind {ADDRESS}:{site.port("http2")} proto h2 backlog {BACKLOG}
  bind {ADDRESS}:{site.port("tls")} ssl crt {site.certificate.both} alpn h2,http/1.1 backlog {BACKLOG}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  use_backend %[base,map_beg({folder}/routes.map)]
backend app
  server app {ADDRESS}:{site.backends.http} pool-max-conn 512
backend grpc
  server grpc {ADDRESS}:{site.backends.grpc} proto h2 pool-max-conn 512
frontend tcp
  mode tcp
  bind {ADDRESS}:{site.port("tcp")} backlog {BACKLOG}
  default_backend tcp
backend tcp
  mode tcp
  server tcp {ADDRESS}:{site.backends.http}
"""
    )
    command = [binary, "-db", "-f", f"{folder}/haproxy.cfg"]
    return Peer("haproxy", command, site.ports("http", "http2", "tls", "tcp"))
