"""Authorities without the extensions that Python asks for since 3.13: kubectl takes them, so we do on every Python."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sluicegate.controller.sources.kubernetes.access import Configuration, Connections
from sluicegate.dataplane.channel import Call, CallError, Limits

LIMIT = 20.0


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts as Python has them since 3.13."""
    plain = ssl.create_default_context

    def create(*arguments: Any, **keywords: Any) -> ssl.SSLContext:
        found = plain(*arguments, **keywords)
        found.verify_flags |= ssl.VERIFY_X509_STRICT
        return found

    monkeypatch.setattr(ssl, "create_default_context", create)


def certificates(folder: Path) -> tuple[Path, Path]:
    """The certificate of an authority, and one that it signed with its key: neither has more than it must."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("old", "localhost")]
    address = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    found = []
    for name, key, extension in ((names[0], keys[0], x509.BasicConstraints(True, None)), (names[1], keys[1], address)):
        made = x509.CertificateBuilder().subject_name(name).issuer_name(names[0]).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        made = made.not_valid_after(now + datetime.timedelta(days=1)).add_extension(extension, critical=False)
        found.append(made.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(found[0])
    (folder / "server.pem").write_bytes(found[1] + key)
    return folder / "ca.pem", folder / "server.pem"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
    await writer.drain()
    writer.close()


async def served(pair: Path) -> tuple[asyncio.Server, int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.usefixtures("strict")
def test_an_api_server(tmp_path: Path) -> None:
    ca, pair = certificates(tmp_path)

    async def ask() -> int:
        server, port = await served(pair)
        async with server:
            found = Connections(Configuration(host=f"https://localhost:{port}", ssl_ca_cert=str(ca)))
            try:
                limits = aiohttp.ClientTimeout(total=LIMIT)
                response = await found.ask("GET", "/version", {}, None, limits)
                await response.read()
                return response.status
            finally:
                await found.close()

    assert asyncio.run(ask()) == 200


@pytest.mark.usefixtures("strict")
def test_a_config_stream(tmp_path: Path) -> None:
    """It is believed: what follows is that nobody speaks HTTP/2 there."""
    ca, pair = certificates(tmp_path)

    async def call() -> None:
        server, port = await served(pair)
        async with server:
            limits = Limits(LIMIT, LIMIT, LIMIT, 1024, 1024)
            await Call.open(f"localhost:{port}", "/a/b", (), ca.read_bytes(), limits)

    with pytest.raises(CallError, match="does not speak HTTP/2"):
        asyncio.run(call())
