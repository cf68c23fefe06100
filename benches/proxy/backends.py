"""The backends: they answer by themselves and cost little, so that what is measured is the proxy.

HTTP/1.1 is nginx, HTTP/2 with gRPC is nghttpd, UDP is an echo (`datagrams.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from benches.proxy.peers.site import ADDRESS, CONNECTIONS, GRPC_SERVICE, program

MIB = 1024 * 1024
#: Paths of the host that is asked, spread over its routes.
SMALL = tuple(f"/service-{number}/v1/items/42?page=2" for number in (0, 5, 11, 17, 23, 29, 32, 8))
DOWNLOAD = "/service-0/v1/download"
UPLOAD = "/service-0/v1/upload"
UNARY = f"/{GRPC_SERVICE}/Unary.grpc"
#: A message of 32 bytes with its prefix (gRPC over HTTP/2, "Length-Prefixed-Message").
GRPC_MESSAGE = bytes([0, 0, 0, 0, 32]) + b"0123456789abcdef" * 2


def http(folder: Path, port: int) -> list[str]:
    """Small answers, a download of 1 MiB, uploads of which every byte is read before the answer."""
    content = folder / "content"
    (content / DOWNLOAD[1:]).parent.mkdir(parents=True)
    (content / DOWNLOAD[1:]).write_bytes(bytes(range(256)) * (MIB // 256))
    (folder / "upload.bin").write_bytes(bytes(range(256)) * (MIB // 256))
    (folder / "backend.conf").write_text(
        f"""daemon off; worker_processes 1; pid {folder}/backend.pid; error_log {folder}/backend.log crit;
events {{ worker_connections {CONNECTIONS}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; sendfile on;
  client_body_temp_path {folder}/backend-body; proxy_temp_path {folder}/backend-proxy;
  fastcgi_temp_path {folder}/backend-f; uwsgi_temp_path {folder}/backend-u; scgi_temp_path {folder}/backend-s;
  upstream self {{ server {ADDRESS}:{port}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen {ADDRESS}:{port} backlog=4096;
    location / {{ return 200 "0123456789abcdef0123456789abcdef"; }}
    location = {DOWNLOAD} {{ root {content}; }}
    location = {UPLOAD} {{
      client_max_body_size 0; client_body_buffer_size 2m; proxy_pass_request_body off;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Content-Length ""; proxy_method GET;
      proxy_pass http://self/;
    }}
  }}
}}
"""
    )
    return [program("nginx", "Debian: nginx-light"), "-c", f"{folder}/backend.conf", "-e", f"{folder}/backend.log"]


def grpc(folder: Path, port: int) -> list[str]:
    """A unary method that answers with one message and status 0."""
    content = folder / "grpc"
    (content / UNARY[1:]).parent.mkdir(parents=True)
    (content / UNARY[1:]).write_bytes(GRPC_MESSAGE)
    (folder / "message.bin").write_bytes(GRPC_MESSAGE)
    (folder / "types").write_text("application/grpc grpc\n")
    binary = program("nghttpd", "Debian: nghttp2-server")
    command = [binary, "--no-tls", "-a", ADDRESS, "-d", str(content), "--mime-types-file", str(folder / "types")]
    return [*command, "--trailer", "grpc-status: 0", "-m", "1000", str(port)]


def udp(port: int) -> list[str]:
    """An echo."""
    return [sys.executable, "-m", "benches.proxy.datagrams", "echo", str(port)]
