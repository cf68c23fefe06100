"""h2spec (github.com/summerwind/h2spec), strict: every case of RFC 9113 and RFC 7541, in plain text and with TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from system_backends import response
from system_certificates import Authority
from system_gateway import LIMIT, Gateway
from system_interop import build
from system_manifests import gateway, https, listener, route, rule, secret, service

MODULE = Path(__file__).resolve().parent.parent / "h2spec"
PACKAGES = {"h2spec": "github.com/summerwind/h2spec/cmd/h2spec"}


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority) -> Gateway:
    pair = authority.sign("localhost")
    app = backend(lambda _request: response(b"some bytes for flow control"))
    objects = [gateway(listener(), https(secret="pair")), route(rule("/", "app")), *service("app", app.address)]
    return start(*objects, secret("pair", pair.certificate, pair.key))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "arguments", [("--port", "8080"), ("--port", "8443", "--tls", "--insecure")], ids=["h2c", "h2"]
)
def test_every_case_passes(world: Gateway, arguments: tuple[str, ...]) -> None:
    command = [
        str(build(MODULE, PACKAGES)["h2spec"]),
        "--host",
        world.address,
        "--strict",
        "--timeout",
        "5",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5 * LIMIT, check=False)
    assert "146 tests, 146 passed, 0 skipped, 0 failed" in done.stdout, done.stdout[-4000:] + done.stderr
