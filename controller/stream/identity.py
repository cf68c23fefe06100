"""The controller's own CA, in a Secret, and the certificate of the stream made with it.

    Secret: tls.crt and tls.key sign; next.crt and next.key will; ca.crt is what data planes trust: all of them, and
    the one before while it lives

Rules:
- A CA that is to follow is trusted for `OVERLAP` before it signs, so that every data plane has read its certificate.
- The server's certificate is in memory only, made anew at each start and before two thirds of its life are over.
- Nothing is ever signed for names that the controller was not given.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..api import ObjectKey
from ..api.kinds import AUTHORITY as SECRET
from ..complain import Complain
from ..sources.kubernetes.client import ApiError, Client, decoded
from ..sources.kubernetes.resources import BY_KIND
from ..store.store import Apply, Delete, Event
from . import own_secret

#: Life of a CA; when the next one is made, before the end; how long both are trusted before it signs.
CA_LIFE = datetime.timedelta(days=1_095)
CA_RENEWAL = datetime.timedelta(days=365)
OVERLAP = datetime.timedelta(days=7)
#: Life of the server's certificate, and when it is made anew, before the end.
SERVER_LIFE = datetime.timedelta(days=30)
SERVER_RENEWAL = datetime.timedelta(days=10)
#: Clocks that are a little late.
SKEW = datetime.timedelta(minutes=5)
#: Seconds between looks at what has to be renewed, and after an error.
CHECK, RETRY = 3_600.0, 2.0

_Key = ec.EllipticCurvePrivateKey


class Authority(msgspec.Struct, frozen=True):
    """The CA as the Secret has it, PEM.

    Attributes:
        certificate, key: sign.
        following, following_key: will sign; empty where none is made yet.
        bundle: certificates that data planes trust.
    """

    certificate: bytes
    key: bytes
    following: bytes
    following_key: bytes
    bundle: bytes

    def __repr__(self) -> str:
        """Without keys: a representation ends up in logs."""
        return "Authority(...)"


class ServerCertificate(msgspec.Struct, frozen=True):
    """The certificate of the stream with its key, PEM, and when a new one is due (seconds since 1970)."""

    chain: bytes
    key: bytes
    renewal: float

    def __repr__(self) -> str:
        """Without the key."""
        return "ServerCertificate(...)"


class AuthorityError(ValueError):
    """A Secret that holds no CA; the message says what to do."""


def make_authority(now: datetime.datetime) -> Authority:
    """Make a new CA."""
    certificate, key = _make_ca(now)
    return Authority(certificate, key, b"", b"", certificate)


def renewed(authority: Authority, now: datetime.datetime) -> Authority:
    """The CA as it should be at a time; the same one where nothing is due.

    Raises:
        AuthorityError: what is there is none.
    """
    current = _certificate(authority.certificate)
    if now >= current.not_valid_after_utc:
        return make_authority(now)
    if not authority.following:
        if now < current.not_valid_after_utc - CA_RENEWAL:
            return authority
        following, key = _make_ca(now)
        bundle = authority.certificate + following
        return msgspec.structs.replace(authority, following=following, following_key=key, bundle=bundle)
    if now < _certificate(authority.following).not_valid_before_utc + SKEW + OVERLAP:
        return authority
    bundle = authority.following + authority.certificate
    return Authority(authority.following, authority.following_key, b"", b"", bundle)


def server_certificate(authority: Authority, names: Sequence[str], now: datetime.datetime) -> ServerCertificate:
    """Make a certificate for the stream.

    Args:
        authority: signs.
        names: DNS names and IP addresses that data planes dial.
        now: the time.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = _certificate(authority.certificate)
    end = min(now + SERVER_LIFE, issuer.not_valid_after_utc)
    certificate = (
        _builder("sluicegate config stream", now, end, key, issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_key(issuer), critical=False)
        .sign(_private_key(authority.key), hashes.SHA256())
    )
    return ServerCertificate(_pem(certificate), _key_pem(key), (end - SERVER_RENEWAL).timestamp())


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        raise AuthorityError(f"the Secret {SECRET} holds another's CA; delete it, and a new one is made") from None
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _make_ca(now: datetime.datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder("sluicegate controller", now, now + CA_LIFE, key, None)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def _builder(
    name: str, now: datetime.datetime, end: datetime.datetime, key: _Key, issuer: x509.Name | None
) -> x509.CertificateBuilder:
    serial = x509.random_serial_number()
    # The serial number in the name tells a CA from the one before.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {serial % 10**8:08d}")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - SKEW)
        .not_valid_after(end)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise AuthorityError(f"the Secret {SECRET} holds no CA ({error}); delete it, and a new one is made") from None


def _private_key(pem: bytes) -> _Key:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError(f"the Secret {SECRET} holds no key of a CA; delete it, and a new one is made")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


#: Fields of `Authority` as the Secret names them.
_FIELDS = {
    "tls.crt": "certificate",
    "tls.key": "key",
    "next.crt": "following",
    "next.key": "following_key",
    "ca.crt": "bundle",
}


class Identity:
    """Keeps the CA in its Secret and a valid certificate for the stream."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        names: Sequence[str],
        complain: Complain,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Make one that is not loaded.

        Args:
            client: of the API server.
            namespace: of the Secret.
            names: DNS names and IP addresses that data planes dial.
            complain: takes a code and a message.
            changed: called when `bundle` is another.
        """
        self._client = client
        self._collection = BY_KIND["Secret"].collection_in(namespace)
        self._names = tuple(names)
        self._complain = complain
        self._changed = changed
        self._authority: Authority | None = None
        self._server: ServerCertificate | None = None
        self.ready = asyncio.Event()
        self._again = asyncio.Event()
        self._key = ObjectKey("Secret", namespace, SECRET)

    @property
    def bundle(self) -> str:
        """CA certificates that data planes trust, PEM; empty before it is loaded."""
        return self._authority.bundle.decode() if self._authority is not None else ""

    def certificate(self) -> ServerCertificate | None:
        """The certificate of the stream of this moment; None before the CA is loaded. Any thread may ask."""
        return self._server

    async def load(self) -> None:
        """Read the CA, make or renew it where that is due, and make the stream's certificate.

        Raises:
            ApiError: the API server does not let us, or does not answer.
            AuthorityError: the Secret holds no CA.
        """
        now = datetime.datetime.now(datetime.UTC)
        document, found = await self._read()
        authority = renewed(found, now) if found is not None else make_authority(now)
        if authority is not found:
            await self._write(document, authority)
        before, self._authority = self._authority, authority
        changed = before is None or before.bundle != authority.bundle
        signs = before is None or before.certificate != authority.certificate
        if self._server is None or signs or time.time() >= self._server.renewal:
            self._server = server_certificate(authority, self._names, now)
        self.ready.set()
        if changed:
            self._changed()

    def handle(self, event: Event) -> None:
        """Take an event of any watched kind: a Secret that somebody deletes or replaces is looked at at once."""
        key = event.object.key if isinstance(event, Apply) else event.key if isinstance(event, Delete) else None
        if key == self._key:
            self._again.set()

    async def run(self) -> None:
        """Keep it loaded and renewed until cancelled; only the leader does."""
        while True:
            self._again.clear()
            try:
                await self.load()
                await self._rest()
            except (ApiError, AuthorityError) as error:
                if not (isinstance(error, ApiError) and error.status == 409):  # another one was quicker: read again
                    self._complain("authority_failed", f"the CA of the config stream: {error}; trying again")
                await asyncio.sleep(RETRY)

    async def _rest(self) -> None:
        """Wait until it is to be looked at again."""
        timer = asyncio.get_running_loop().call_later(CHECK, self._again.set)
        try:
            await self._again.wait()
        finally:
            timer.cancel()

    async def _read(self) -> tuple[dict[str, Any], Authority | None]:
        try:
            answer = await self._client.get(f"{self._collection}/{SECRET}")
            document = decoded(answer, dict[str, Any], f"the Secret {SECRET}")
        except ApiError as error:
            if error.status != 404:
                raise
            return {}, None
        data = document.get("data") or {}
        try:
            values = {field: base64.b64decode(data.get(name) or "") for name, field in _FIELDS.items()}
        except ValueError:
            raise AuthorityError(f"the Secret {SECRET} is no base64; delete it, and a new one is made") from None
        authority = Authority(**values)
        _certificate(authority.certificate), _private_key(authority.key), _certificate(authority.bundle)
        return document, authority

    async def _write(self, document: dict[str, Any], authority: Authority) -> None:
        values = {name: getattr(authority, field) for name, field in _FIELDS.items()}
        # Of this type, since the controller watches such, and shows its ca.crt to data planes by it.
        await own_secret.write(self._client, self._collection, SECRET, document, values, kind="kubernetes.io/tls")
