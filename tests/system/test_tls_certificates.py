"""Of several certificates of one listener: which one a client gets (docs/tls.md)."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from system_certificates import Authority, Pair
from system_gateway import Gateway
from system_manifests import gateway, https, route, rule, secret, service

PORT = 8443


def of_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def pairs(authority: Authority) -> dict[str, Pair]:
    """Certificates by what they stand for, in the order of the listener's `certificateRefs`."""
    sign = authority.sign
    return {
        "expired-first": sign("old.test", days=-1),
        "first": sign("first.test"),
        "wildcard": sign("*.pick.test", days=15),
        "exact": sign("exact.pick.test"),
        "expired": sign("expired.pick.test", days=-1),
        "not-yet": sign("soon.pick.test", start=1),
        "lone-expired": sign("lone.test", days=-1),
        "shorter": sign("renewed.test", days=5),
        "longer": sign("renewed.test", days=9),
        "longest-expired": sign("renewed.test", start=-30, days=-1),
        "rsa": sign("both.test", days=15, key=of_rsa()),
        "ecdsa": sign("both.test"),
        "rsa-only": sign("rsa.test", key=of_rsa()),
    }


@pytest.fixture(scope="module")
def served(start: Any, backend: Any, pairs: dict[str, Pair]) -> Gateway:
    references = [{"name": name} for name in pairs]
    found: Gateway = start(
        gateway(https("all", PORT, tls={"certificateRefs": references})),
        *[secret(name, pair.certificate, pair.key) for name, pair in pairs.items()],
        route(rule("/", "app")),
        *service("app", backend("app").address),
    )
    return found


#: Suites of TLS 1.2 say what may sign; in TLS 1.3 only the signature schemes do.
ECDSA, RSA = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"


@pytest.mark.parametrize(
    ("sni", "ciphers", "expected"),
    [
        ("exact.pick.test", None, "exact"),
        ("EXACT.pick.test", None, "exact"),
        ("other.pick.test", None, "wildcard"),
        ("expired.pick.test", None, "wildcard"),
        ("soon.pick.test", None, "wildcard"),
        ("lone.test", None, "lone-expired"),
        ("renewed.test", None, "longer"),
        ("both.test", None, "ecdsa"),
        ("both.test", f"{RSA}:{ECDSA}", "ecdsa"),
        ("both.test", RSA, "rsa"),
        ("both.test", ECDSA, "ecdsa"),
        ("rsa.test", None, "rsa-only"),
        (None, None, "first"),
        ("nobody.test", None, "first"),
        ("a.b.pick.test", None, "first"),
        (None, RSA, "rsa"),
        ("exact.pick.test", RSA, "rsa"),
    ],
)
def test_which_certificate(
    served: Gateway, pairs: dict[str, Pair], sni: str | None, ciphers: str | None, expected: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if ciphers is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    raw = socket.create_connection((served.address, PORT), 10)
    with context.wrap_socket(raw, server_hostname=sni) as connection:
        presented = connection.getpeercert(binary_form=True)
    names = {
        x509.load_pem_x509_certificate(pair.certificate).public_bytes(Encoding.DER): name
        for name, pair in pairs.items()
    }
    assert presented is not None
    assert names[presented] == expected
