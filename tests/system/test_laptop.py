"""A laptop's first minute: https without a Secret, requests on the terminal, a backend that is not there."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from system_clients import Http1
from system_gateway import LIMIT, own_address
from system_manifests import dump, gateway, https, listener, route, rule, service


def certificate_names(address: str, port: int, name: str) -> str:
    """What `openssl` says of the names of the certificate that a server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, port), LIMIT) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    command = ["openssl", "x509", "-inform", "DER", "-noout", "-ext", "subjectAltName"]
    return subprocess.run(command, input=shown, capture_output=True, check=True).stdout.decode()


def test_https_without_a_secret(start: Any, backend: Any) -> None:
    objects = [
        gateway(https("https", hostname="shop.test", secret="gone")),
        route(rule("/", "app")),
        *service("app", backend("app").address),
    ]
    found = start(*objects, arguments=("--self-signed",))
    [line] = found.ready["listeners"]
    port = int(line["bound"][0].rpartition(":")[2])
    assert "DNS:shop.test" in certificate_names(found.address, port, "shop.test")
    [problem] = found.ready["problems"]
    assert (problem["severity"], problem["code"]) == ("warning", "invalid-certificate-ref")
    assert "a certificate made at this start serves" in problem["message"]


@pytest.mark.parametrize(
    ("form", "begins"), [("text", r"\d\d:\d\d:\d\d 200 GET http://any.test/a -> "), ("json", r"\{")]
)
def test_a_line_of_each_request(tmp_path: Path, backend: Any, form: str, begins: str) -> None:
    objects = [gateway(listener()), route(rule("/", "app")), *service("app", backend("app").address)]
    (tmp_path / "all.yaml").write_text(dump(*objects))
    address, log = own_address(), tmp_path / "access.log"
    command = [sys.executable, "-m", "sluicegate", "serve", str(tmp_path), "--listen", address, "--admin", "off"]
    command += ["--access-log", str(log), "--access-log-format", form, "--drain", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("Sluicegate"))
        client = Http1(address, 8080)
        assert client.request("GET", "any.test", "/a").status == 200
        client.close()
        process.terminate()
        assert process.wait(LIMIT) == 0
    [written] = log.read_text().splitlines()
    assert re.match(begins, written), written
    assert "\x1b" not in written


def test_a_backend_that_takes_no_connections_is_told_once(start: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        place = unused.getsockname()
        found = start(gateway(), route(rule("/", "app")), *service("app", place))
        client = Http1(found.address, 8080)
        assert [client.request("GET", "any.test", "/").status for _ in range(3)] == [503] * 3
        client.close()
        event = found.event(lambda event: event.get("code") == "backend_unreachable")
        assert f"default/app:80: 127.0.0.1:{place[1]} takes no connections: " in event["message"]
        assert found.stop() == 0
        found.event(lambda event: event["event"] == "stopped")
        assert [item.get("code") for item in found.seen].count("backend_unreachable") == 1
