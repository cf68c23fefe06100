"""Demo backends.

`python -m sluicegate.testing.demo PATH... -- serve PATH... [options]` starts a small HTTP server on every loopback
endpoint of the EndpointSlices below the paths, which says which Service it stands for and what it got; then runs
`sluicegate` with the arguments after `--` until it ends. A WebSocket is taken, and its frames come back.

`python -m sluicegate.testing.demo --serve SERVICE=ADDRESS:PORT` starts one such server and nothing else: the backend of
the quick start in a cluster.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from sluicegate.controller.api import DecodeError, EndpointSlice, Service, decode
from sluicegate.controller.sources.files import read

from .demo_protocols import accept_of, answer_datagrams, echo_frames

#: Manifests of the quick start, in the package: `examples/quickstart` of the sources is the same folder.
QUICKSTART = str(Path(__file__).with_name("quickstart"))
#: The same over TLS, for who makes the certificate: `examples/quickstart` is for clusters too, and has none.
QUICKSTART_HTTPS = str(Path(__file__).with_name("quickstart_https.yaml"))
SERVICE_LABEL = "kubernetes.io/service-name"
#: Ports that are tried where one for TCP is not free for UDP too.
_TRIES = 8


def main(arguments: Sequence[str]) -> int:
    """Run the backends and the gateway; returns the gateway's exit status."""
    if len(arguments) == 2 and arguments[0] == "--serve":
        return serve(arguments[1])
    if "--" not in arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    split = list(arguments).index("--")
    for _, service, address, port in endpoints(arguments[:split]):
        start(service, address, port)
    # In a session of its own, so that each signal reaches it once, from here.
    command = [sys.executable, "-m", "sluicegate", *arguments[split + 1 :]]
    gateway = subprocess.Popen(command, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, lambda number, _frame: gateway.send_signal(number))
    return gateway.wait()


def serve(backend: str) -> int:
    """Serve `SERVICE=ADDRESS:PORT` until a signal; returns the exit status."""
    service, _, place = backend.partition("=")
    address, _, port = place.rpartition(":")
    if not address or not port.isdecimal():
        sys.stderr.write(f"--serve {backend}: write it like example-svc=0.0.0.0:8080\n")
        return 2
    stopped = (signal.SIGTERM, signal.SIGINT)
    # Blocked in the server's threads too, which are started after this.
    signal.pthread_sigmask(signal.SIG_BLOCK, stopped)
    server = start(service, address, int(port))
    signal.sigwait(stopped)
    server.shutdown()
    return 0


def endpoints(paths: Sequence[str]) -> Iterator[tuple[str, str, str, int]]:
    """Namespace and name of the Service, address and port of every endpoint on loopback."""
    for document in read(paths).documents:
        if document.data.get("kind") != "EndpointSlice":
            continue
        found = decode(document.data, document.origin)
        if not isinstance(found, EndpointSlice):
            continue
        service = found.metadata.labels.get(SERVICE_LABEL, found.name)
        for endpoint in found.endpoints:
            for address in endpoint.addresses:
                for port in found.ports:
                    if port.port and ip_address(address).is_loopback:
                        yield found.namespace, service, address, port.port


def services(paths: Sequence[str]) -> Iterator[Service]:
    """Every Service that can be read; `serve` says what is wrong with the others."""
    for document in read(paths).documents:
        if document.data.get("kind") == "Service":
            with contextlib.suppress(DecodeError):
                found = decode(document.data, document.origin)
                if isinstance(found, Service):
                    yield found


def start_service(service: Service, address: str) -> int:
    """Serve a Service on threads, its ports of UDP as well; the number of the port, which is free for both."""
    datagrams = any(item.protocol == "UDP" for item in service.spec.ports)
    for _ in range(_TRIES):
        server = start(service.name, address, 0)
        if not datagrams:
            return server.server_port
        try:
            answer_datagrams(service.name, address, server.server_port)
        except OSError:
            server.shutdown()
            server.server_close()
        else:
            return server.server_port
    raise SystemExit(f"error: demo backend of {service.name}: no port is free for TCP and UDP")


def start(service: str, address: str, port: int) -> ThreadingHTTPServer:
    """Serve one endpoint on a thread; port 0: any."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one segment, sent at once: in two, Nagle's algorithm keeps the body back until the gateway's
        # delayed acknowledgement of the head, 40 ms later.
        wbufsize = -1
        disable_nagle_algorithm = True

        def answer(self) -> None:
            if self.headers.get("upgrade", "").lower() == "websocket":
                self.send_response_only(101)
                self.send_header("upgrade", "websocket")
                self.send_header("connection", "Upgrade")
                self.send_header("sec-websocket-accept", accept_of(self.headers.get("sec-websocket-key", "")))
                self.end_headers()
                self.wfile.flush()
                self.close_connection = True
                echo_frames(self.rfile, self.wfile)
                return
            length = int(self.headers.get("content-length") or 0)
            received = len(self.rfile.read(length))
            lines = [f"Hello from {service} at {address}:{server.server_port}"]
            lines += ["", f"{self.command} {self.path}", *(f"{name}: {value}" for name, value in self.headers.items())]
            body = "\n".join([*lines, "", f"{received} bytes of body", ""]).encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

        def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 (the base class calls it so)
            """Say nothing: the gateway has the log."""

    ThreadingHTTPServer.allow_reuse_address = True
    try:
        server = ThreadingHTTPServer((address, port), Handler)
    except OSError as error:
        text = f"demo backend of {service}: {address}:{port} cannot be bound: {error.strerror}"
        raise SystemExit(f"error: {text}; stop what listens there") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
