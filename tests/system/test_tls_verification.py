"""`tls.verification` of BackendPolicy: nothing but `Disabled` takes an endpoint that cannot show who it is."""

from __future__ import annotations

import ssl
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend, echo
from system_certificates import Authority
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    backend_policy,
    backend_tls_policy,
    config_map,
    gateway,
    route,
    rule,
    service,
)

PORT = 8080
NAME = "app.test"
#: What endpoints show, and whether it holds for the BackendTLSPolicy.
SHOWN = {"good": True, "other-name": False, "other-authority": False, "expired": False}
#: What the BackendPolicy says; None: there is none. Only the last one takes whatever it is shown.
SAID: dict[str, dict[str, Any] | None] = {
    "no-policy": None,
    "says-nothing": {"tls": {"minVersion": "1.2"}},
    "required": {"tls": {"verification": "Required"}},
    "disabled": {"tls": {"verification": "Disabled"}},
}


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gateway with a Service for each certificate and each policy, and the endpoints by what they show."""
    folder = tmp_path_factory.mktemp("certificates")
    pairs = {
        "good": authority.sign(NAME),
        "other-name": authority.sign("other.test"),
        "other-authority": Authority("Other CA").sign(NAME),
        "expired": authority.sign(NAME, start=-9, days=-2),
    }
    endpoints: dict[str, Backend] = {}
    objects: list[Manifest] = [gateway(), config_map("ca", authority.pem)]
    for shown, pair in pairs.items():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair.write(folder, shown))
        endpoints[shown] = backend(echo(shown), tls=context)
        for said, spec in SAID.items():
            name = f"{said}-{shown}"
            objects += [route(rule(f"/{name}", name), name=name), backend_tls_policy(name, name, NAME, "ca")]
            objects += service(name, endpoints[shown].address)
            objects += [] if spec is None else [backend_policy(name, name, **spec)]
    return start(*objects), endpoints


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("shown", SHOWN)
def test_certificates_are_verified_unless_that_is_disabled(
    world: tuple[Gateway, dict[str, Backend]], client: Any, shown: str, said: str
) -> None:
    running, endpoints = world
    before = len(endpoints[shown].requests)
    with closing(client(running.address, PORT)) as each:
        found = each.request("GET", "a.test", f"/{said}-{shown}")
    taken = SHOWN[shown] or said == "disabled"
    if taken:
        assert (found.status, found.echo["backend"]) == (200, shown)
    else:
        assert (found.status, found.body.partition(b":")[0]) == (503, b"upstream_tls")
    # Nothing of a request goes to whom nobody knows.
    assert len(endpoints[shown].requests) - before == taken
