"""What every proxy is told: routes, backends, ports, a certificate."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"
HOSTS = 31
PREFIXES = 33
#: The host that is asked, one in the middle.
HOST = "host-7.example.com"
GRPC_HOST = "grpc.example.com"
GRPC_SERVICE = "bench.Echo"
#: Entries of a proxy: clear text (HTTP/1.1, HTTP/2 by prior knowledge), TLS, and what is not HTTP.
ENTRIES = ("http", "http2", "tls", "tcp", "udp")
#: Proxies listen so deep, and take so many connections.
BACKLOG, CONNECTIONS = 4096, 8192


@dataclass(frozen=True)
class Peer:
    """A proxy under test.

    Attributes:
        name: for the table.
        command: that starts it in the foreground.
        ports: those of `ENTRIES` that it has.
    """

    name: str
    command: list[str]
    ports: Mapping[str, int]


@dataclass(frozen=True)
class Backends:
    """Ports on loopback: HTTP/1.1 (and TCP), HTTP/2 in clear text with gRPC, UDP."""

    http: int
    grpc: int
    udp: int


@dataclass(frozen=True)
class Certificate:
    """Files, PEM: an ECDSA certificate of P-256 for all the hosts, its key, and both in one."""

    chain: Path
    key: Path
    both: Path


@dataclass(frozen=True)
class Site:
    """Where one proxy lives.

    Attributes:
        folder: its own, for what it writes.
        first_port: of as many as there are `ENTRIES`, and one more.
        backends: what it forwards to.
        certificate: of its TLS entry.
    """

    folder: Path
    first_port: int
    backends: Backends
    certificate: Certificate

    def port(self, entry: str) -> int:
        """The port of an entry."""
        return self.first_port + ENTRIES.index(entry)

    def ports(self, *entries: str) -> dict[str, int]:
        """The ports of some entries."""
        return {entry: self.port(entry) for entry in entries}


def prefixes() -> Iterator[tuple[str, str]]:
    """Host and path prefix of each route."""
    for host in range(HOSTS):
        for prefix in range(PREFIXES):
            yield f"host-{host}.example.com", f"/service-{prefix}/v1"


def program(name: str, package: str) -> str:
    """The path of a program.

    Raises:
        SystemExit: it is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise SystemExit(f"{name} is not installed ({package}); --peers leaves proxies out")
    return found


def make_certificate(folder: Path) -> Certificate:
    """A self-signed certificate for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("*.example.com")]), critical=False)
    chain = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret = key.private_bytes(*form)
    made = Certificate(folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    for path, content in ((made.chain, chain), (made.key, secret), (made.both, chain + secret)):
        path.write_bytes(content)
    return made
