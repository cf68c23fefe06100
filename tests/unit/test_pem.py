"""PEM: the same table for the control plane and for the engine, whose own test reads it too; keys and what is told."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from sluicegate import checks
from sluicegate.controller.translate.options import Checks
from sluicegate.controller.translate.pem import PemError, certificates

CASES = json.loads((Path(__file__).parent / "pem_cases.json").read_text())
BODIES = {"A": "QQ==", "AA": "QUE=", "AAA": "QUFB", "BBB": "QkJC"}


def made(key: Any, signer: Any = None, days: int = 10) -> bytes:
    """A certificate for a key, PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pem.test")])
    now = datetime.datetime.now(datetime.UTC)
    signer = signer or key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    certificate = builder.not_valid_after(now + datetime.timedelta(days=days)).sign(signer, digest)
    return certificate.public_bytes(serialization.Encoding.PEM)


def private(key: Any, form: str = "PKCS8", password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), encryption))


EC = ec.generate_private_key(ec.SECP256R1())
FIRST, SECOND = made(EC), made(EC, days=20)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_shape(case: dict[str, Any]) -> None:
    error = case.get("error", "")
    if error.startswith("no certificate in it"):
        assert certificates(case["text"]) == []
    elif error and not error.endswith("cut short"):  # the engine decodes it, and tells
        with pytest.raises(PemError) as caught:
            certificates(case["text"])
        assert str(caught.value) == error
    else:
        found = [block.body for block in certificates(case["text"])]
        assert error or found == [BODIES[name] for name in case["certificates"]]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_engine(case: dict[str, Any]) -> None:
    """The same words for what is refused; all is read of the others, with real certificates in them."""
    text = case["text"]
    if "error" not in case:
        first, second = ("".join(item.decode().splitlines()[1:-1]) for item in (FIRST, SECOND))
        bodies = {"QUFB": first, "Q\nU\nF\nB": "\n".join(first), "QkJC": second, "QUE=": first, "QQ==": second}
        for body, real in bodies.items():
            text = text.replace(body, real)
    found = checks.engine.check_trust(text)
    if "error" in case:
        assert found.error == case["error"]
    else:
        assert (found.error, found.count) == (None, len(case["certificates"]))


@pytest.mark.parametrize(
    ("label", "text", "count"),
    [
        ("a letter of Latin-1 in a comment", b"# K\xf6ln\n" + FIRST + SECOND, 2),
        ("UTF-16", FIRST.decode().encode("utf-16"), 0),
        ("DER", b"\x30\x82\x01\x00", 0),
    ],
)
def test_bytes(label: str, text: bytes, count: int) -> None:
    for trust in (Checks().trust, checks.native_checks().trust):
        assert (trust(text) is None) == bool(count), label


def test_a_certificate_in_the_middle_that_cannot_be_read() -> None:
    broken = made(EC).replace(b"MII", b"AAA", 1)
    trust = checks.native_checks().trust
    assert trust(FIRST + broken + SECOND) == "block 2: not X.509: BadEncoding"
    chain = checks.native_checks().certificate(FIRST + broken + SECOND, private(EC))
    assert (chain.error or "").startswith("tls.crt: block 2: not X.509: ")


SUPPORTED = "supported are RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, and Ed25519"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (EC, None),
        (ec.generate_private_key(ec.SECP384R1()), None),
        (ec.generate_private_key(ec.SECP521R1()), None),
        (ed25519.Ed25519PrivateKey.generate(), None),
        (rsa.generate_private_key(65537, 2048), None),
        (rsa.generate_private_key(65537, 2560), None),
        (ec.generate_private_key(ec.SECP224R1()), "ECDSA on P-224"),
        (ec.generate_private_key(ec.SECP256K1()), "ECDSA on secp256k1"),
        (rsa.generate_private_key(65537, 1024), "RSA of 1024 bits"),
        (rsa.generate_private_key(65537, 2040), "RSA of 2040 bits"),
        (ed448.Ed448PrivateKey.generate(), "Ed448"),
        (dsa.generate_private_key(2048), "DSA"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "key_size", ""),
)
def test_kinds_of_keys(key: Any, kind: str | None) -> None:
    error = checks.native_checks().certificate(made(key), private(key)).error
    if kind is None:
        assert error is None
    else:
        assert error is not None
        assert error.startswith("tls.key: it cannot be used (")
        assert f"the certificate is for {kind}; {SUPPORTED}" in error


@pytest.mark.parametrize(
    ("chain", "key", "error"),
    [
        (FIRST, private(EC, password=b"x"), "tls.key: block 1: the key is encrypted: decrypt it"),
        (FIRST, private(EC, "TraditionalOpenSSL", b"x"), "tls.key: block 1: the key is encrypted: decrypt it"),
        (FIRST, FIRST, "tls.key: no private key in it, only CERTIFICATE"),
        (FIRST, private(EC, "OpenSSH"), "tls.key: block 1: OPENSSH PRIVATE KEY is not supported: supported are RSA"),
        (
            FIRST,
            private(ec.generate_private_key(ec.SECP256R1())),
            "tls.key is not the key of the certificate in tls.crt",
        ),
        (
            made(ec.generate_private_key(ec.SECP256R1())) + FIRST,
            private(EC),
            "tls.key is not the key of the certificate in tls.crt, but of the one in block 2: the leaf goes first",
        ),
        (
            FIRST.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
            private(EC),
            "tls.crt: block 1: TRUSTED CERTIFICATE is",
        ),
    ],
)
def test_what_is_wrong_with_a_key(chain: bytes, key: bytes, error: str) -> None:
    found = checks.native_checks().certificate(chain, key).error
    assert found is not None
    assert found.startswith(error)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_forms_of_keys(form: str) -> None:
    for key in (EC, rsa.generate_private_key(65537, 2048)):
        glued = made(key).rstrip(b"\n") + private(key, form)
        assert checks.native_checks().certificate(glued, b"\xef\xbb\xbf" + glued).error is None
