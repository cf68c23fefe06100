"""Every interop case of google.golang.org/grpc that needs no cloud, through the gateway: in plain text and with TLS.

Left out, because each asks Google's own services for a token and tests nothing of the connection:
`compute_engine_creds`, `service_account_creds`, `jwt_token_creds`, `per_rpc_creds`, `oauth2_auth_token`,
`google_default_credentials`, `compute_engine_channel_credentials`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system_certificates import Authority
from system_interop import InteropServer, binaries, run_case
from system_manifests import (
    backend_tls_policy,
    config_map,
    gateway,
    grpc_route,
    grpc_rule,
    https,
    listener,
    secret,
    service,
)

CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "orca_per_rpc",
    "orca_oob",
    "pick_first_unary",
)

#: The policy that asks servers for their load.
ORCA = '--service_config_json={"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}'

SOAK = (
    "--soak_iterations=60",
    "--soak_num_threads=4",
    "--soak_overall_timeout_seconds=100",
    "--soak_per_iteration_max_acceptable_latency_ms=60000",
)

Run = Callable[..., None]


@pytest.fixture(scope="module", params=["plain", "tls"])
def run(
    request: pytest.FixtureRequest, start: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """Run a case: through an HTTP listener to an h2c backend, or through an HTTPS listener to a backend with TLS."""
    built = binaries()
    folder: Path = tmp_path_factory.mktemp("interop")
    rules = [
        # What no rule takes is the gateway's to answer: `unimplemented_service`.
        grpc_rule("interop", matches=[{"method": {"service": "grpc.testing.TestService"}}]),
        grpc_rule("interop", matches=[{"method": {"service": "xds.service.orca.v3.OpenRcaService"}}]),
        grpc_rule(
            "identified",
            matches=[
                {
                    "method": {"service": "grpc.testing.TestService"},
                    "headers": [{"name": "x-case", "value": "identified"}],
                }
            ],
        ),
    ]
    if request.param == "plain":
        servers = [InteropServer(built[name]) for name in ("server", "identified")]
        services = service("interop", servers[0].address) + service("identified", servers[1].address)
        found = start(gateway(listener()), grpc_route(*rules), *services)
        port, arguments = 8080, ()
    else:
        certificate = authority.sign("interop.test")
        chain, key = certificate.write(folder, "server")
        (folder / "ca.crt").write_bytes(authority.pem)
        pair = ("--use_tls", f"--tls_cert_file={chain}", f"--tls_key_file={key}")
        servers = [InteropServer(built[name], *pair) for name in ("server", "identified")]
        found = start(
            gateway(https()),
            grpc_route(*rules),
            *service("interop", servers[0].address),
            *service("identified", servers[1].address),
            secret("certificate", certificate.certificate, certificate.key),
            config_map("authority", authority.pem),
            backend_tls_policy("policy", "interop", "interop.test", "authority"),
            backend_tls_policy("policy-identified", "identified", "interop.test", "authority"),
        )
        port = 8443
        arguments = (
            "--use_tls",
            "--use_test_ca",
            f"--ca_file={folder / 'ca.crt'}",
            "--server_host_override=interop.test",
        )
    yield lambda case, *more: run_case(built["client"], found.address, port, case, *arguments, *more)
    for server in servers:
        server.close()


@pytest.mark.parametrize("case", CASES)
def test_interop(run: Run, case: str) -> None:
    more = {"pick_first_unary": ("--additional_metadata=x-case:identified",)}
    run(case, *more.get(case, (ORCA,) if case.startswith("orca") else ()))


@pytest.mark.parametrize("case", ["rpc_soak", "channel_soak"])
def test_interop_soak(run: Run, case: str) -> None:
    run(case, *SOAK)
