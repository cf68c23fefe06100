"""Whether an installed Sluicegate works where it is installed: import it, check, serve, ask over HTTP and over TLS.

    python tools/try_installed.py [COMMAND...]

COMMAND runs the Python in which it is installed; without, that is the one that runs this. It may be one of another
machine: `qemu-aarch64 -L ROOT ROOT/usr/bin/python3.13`. The certificate is made by `openssl`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Seconds for one step; a machine that is emulated takes ten times as long as a real one.
LIMIT = 300
#: Commands are started here: no module is imported from it. Anybody may leave one in the folder for temporary files.
NOWHERE = "/"
ADDRESS = "127.9.9.10"
HOST = "www.example.com"
#: The ports of the listeners, with the offset that lets anybody listen.
OFFSET = 8000
HTTP, HTTPS = OFFSET + 80, OFFSET + 443
ADMIN = 19000

WHERE = """
import platform, sluicegate
from sluicegate.engine import native
print(platform.machine(), *platform.libc_ver(), "Python", platform.python_version(), sluicegate.__file__)
"""

OVER_TLS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: over-tls
spec:
  gatewayClassName: example-class
  listeners:
  - name: https
    protocol: HTTPS
    port: 443
    tls:
      certificateRefs:
      - name: certificate
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: over-tls
spec:
  parentRefs:
  - name: over-tls
  rules:
  - backendRefs:
    - name: example-svc
      port: 8080
---
"""


class Backend(BaseHTTPRequestHandler):
    """Answers with the path that it got."""

    def do_GET(self) -> None:
        """Answer."""
        body = f"asked for {self.path}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class calls it so)
        """Say nothing."""


def main(command: Sequence[str]) -> int:
    try_installed(command or (sys.executable,))
    return 0


def try_installed(python: Sequence[str | Path]) -> None:
    """Try what a command that runs Python can import.

    Raises:
        AssertionError: it says something else than it should.
        OSError: it does not answer.
        subprocess.SubprocessError: it fails, or takes too long.
    """
    with tempfile.TemporaryDirectory() as folder, backend() as port:
        manifests, certificate = write_manifests(Path(folder), port)
        run([*python, "-c", WHERE])
        run([*python, "-m", "sluicegate", "check", "--for", "standalone", manifests])
        with served([*python, "-m", "sluicegate", "serve", manifests]):
            ask_for("/readyz", ADMIN, "ready")
            ask_for("/login", HTTP, "asked for /login")
            for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
                context = ssl.create_default_context(cafile=certificate)
                context.minimum_version = context.maximum_version = version
                ask_for("/over-tls", HTTPS, "asked for /over-tls", context)
    print("It is imported, checks, serves and answers over HTTP, TLS 1.3 and TLS 1.2.")


@contextlib.contextmanager
def backend() -> Iterator[int]:
    """Serve what the gateway forwards to; gives the port."""
    server = ThreadingHTTPServer((ADDRESS, 0), Backend)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_manifests(folder: Path, port: int) -> tuple[Path, Path]:
    """Write the quick start with a backend on that port, and a Gateway with TLS; returns where, and the certificate."""
    manifests, quickstart = folder / "manifests", ROOT / "examples" / "quickstart"
    manifests.mkdir()
    shutil.copy(quickstart / "gateway.yaml", manifests)
    backends = (quickstart / "backends.yaml").read_text()
    (manifests / "backends.yaml").write_text(backends.replace("127.0.0.1", ADDRESS).replace("18080", str(port)))
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "90", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
            *("-out", certificate, "-keyout", key),
        ]
    )
    files = {"tls.crt": certificate, "tls.key": key}
    data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certificate"}, "type": "kubernetes.io/tls"}
    (manifests / "over-tls.yaml").write_text(f"{OVER_TLS}{json.dumps({**secret, 'data': data})}\n")
    return manifests, certificate


def run(command: Sequence[str | Path]) -> None:
    """Run a command where no tree of sources can be imported from."""
    subprocess.run(command, check=True, timeout=LIMIT, cwd=NOWHERE)


@contextlib.contextmanager
def served(command: Sequence[str | Path]) -> Iterator[None]:
    """Serve for as long as the context lasts: it says that it is ready first, and has to end well."""
    options = ["--listen", ADDRESS, "--port-offset", str(OFFSET), "--admin", f"{ADDRESS}:{ADMIN}", "--output", "json"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, cwd=NOWHERE)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "it did not start"
        ready = json.loads(line)
        assert (ready["event"], ready["problems"]) == ("ready", []), line
        yield
    finally:
        process.terminate()
        process.stdout.read()
        process.stdout.close()
        status = process.wait(LIMIT)
    assert status == 0, status


def ask_for(path: str, port: int, expected: str, context: ssl.SSLContext | None = None) -> None:
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((ADDRESS, port), LIMIT))
        if context is not None:
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname=HOST))
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
        answer = stack.enter_context(HTTPResponse(connection))
        answer.begin()
        body = answer.read().decode()
    assert answer.status == 200, (answer.status, body)
    assert expected in body, body


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
