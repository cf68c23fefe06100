"""nginx: one worker; TCP and UDP where it has its stream module."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benches.proxy.peers.site import (
    ADDRESS,
    BACKLOG,
    CONNECTIONS,
    GRPC_HOST,
    GRPC_SERVICE,
    HOSTS,
    PREFIXES,
    Peer,
    Site,
    program,
)

#: Debian: libnginx-mod-stream.
_STREAM = (Path("/usr/lib/nginx/modules/ngx_stream_module.so"), Path("/usr/lib64/nginx/modules/ngx_stream_module.so"))


def peer(site: Site) -> Peer:
    """HTTP/2 has a port of its own; without the stream module there is neither TCP nor UDP."""
    binary = program("nginx", "Debian: nginx-light")
    module = stream_module(binary)
    folder, stream = site.folder, "" if module is None else stream_of(site)
    (folder / "nginx.conf").write_text(
        f"""{module or ""}
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
worker_rlimit_nofile {2 * CONNECTIONS}; events {{ worker_connections {CONNECTIONS}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; http2_max_concurrent_streams 128;
  server_names_hash_bucket_size 128; client_max_body_size 0;
  ssl_certificate {site.certificate.chain}; ssl_certificate_key {site.certificate.key}; ssl_protocols TLSv1.2 TLSv1.3;
  proxy_http_version 1.1; proxy_max_temp_file_size 0; proxy_request_buffering off;
  proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host;
  grpc_set_header X-Forwarded-For $remote_addr; grpc_set_header X-Forwarded-Proto $scheme;
  grpc_set_header X-Forwarded-Host $host;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-f; uwsgi_temp_path {folder}/nginx-u; scgi_temp_path {folder}/nginx-s;
  upstream app {{ server {ADDRESS}:{site.backends.http}; keepalive 512; keepalive_requests 1000000000; }}
  upstream grpc {{ server {ADDRESS}:{site.backends.grpc}; keepalive 512; keepalive_requests 1000000000; }}
  {"".join(servers(site))}
}}
{stream}
"""
    )
    ports = site.ports("http", "http2", "tls", *(() if module is None else ("tcp", "udp")))
    return Peer("nginx", [binary, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log"], ports)


def servers(site: Site) -> list[str]:
    """A server for each host."""
    locations = "".join(f"location /service-{prefix}/v1/ {{ proxy_pass http://app; }}\n" for prefix in range(PREFIXES))
    named = [(f"host-{host}.example.com", locations) for host in range(HOSTS)]
    named.append((GRPC_HOST, f"location /{GRPC_SERVICE}/ {{ grpc_pass grpc://grpc; }}\n"))
    entries = {"http": "", "http2": " http2", "tls": " ssl"}
    found = []
    for number, (name, body) in enumerate(named):
        listens = ""
        for entry, options in entries.items():
            backlog = f" backlog={BACKLOG}" if number == 0 else ""
            listens += f"listen {ADDRESS}:{site.port(entry)}{options}{backlog}; "
        found.append(f"server {{ {listens}\nserver_name {name}; {body} }}\n")
    return found


def stream_of(site: Site) -> str:
    """The TCP and the UDP entry."""
    tcp = f"listen {ADDRESS}:{site.port('tcp')} backlog={BACKLOG}; proxy_pass {ADDRESS}:{site.backends.http};"
    udp = f"listen {ADDRESS}:{site.port('udp')} udp; proxy_pass {ADDRESS}:{site.backends.udp}; proxy_timeout 60s;"
    return f"stream {{ server {{ {tcp} }}\nserver {{ {udp} }} }}\n"


def stream_module(binary: str) -> str | None:
    """The directive that loads the stream module, empty where it is built in, None where there is none."""
    for path in _STREAM:
        if path.exists():
            return f"load_module {path};"
    built = subprocess.run([binary, "-V"], capture_output=True, text=True, check=True).stderr
    return "" if "--with-stream" in built.split() else None
