"""Cipher suites: there is no choice of them here, so what is read is whether that is what was wanted.

Source: `internal/ingress/annotations/sslcipher`, `proxyssl`. A list is one of OpenSSL, and is about TLS 1.2 and older.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sluicegate.words import listed

from ...features import Feature
from ...reading import Reading

#: Suites of TLS 1.2 that are spoken, by their names in OpenSSL: those with forward secrecy that authenticate what they
#: encrypt (RFC 9325 section 4.2).
SPOKEN = frozenset(
    {
        f"ECDHE-{signature}-{cipher}"
        for signature in ("ECDSA", "RSA")
        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    }
)
_SEPARATORS = re.compile(r"[:, ]+")
#: Of a list that names no suites but kinds of them, those that the spoken ones are among.
_KINDS = ("HIGH", "ALL", "DEFAULT", "ECDH", "EECDH", "ECDHE", "AESGCM", "CHACHA20", "AES", "TLSV1.2", "FIPS", "SUITEB")


def read(reading: Reading) -> Iterator[Feature]:
    """Tell what becomes of the annotations of the group; no feature comes of them."""
    _tell(reading, "ssl-ciphers", "clients")
    if reading.text("backend-protocol").upper() in {"HTTPS", "GRPCS"}:
        _tell(reading, "proxy-ssl-ciphers", "backends")
    else:
        reading.tell("proxy-ssl-ciphers", "dropped-harmless", "backends are not spoken to over TLS", "take it out")
    yield from ()


def _tell(reading: Reading, name: str, others: str) -> None:
    """Say how what is spoken differs from a list."""
    items = [item for item in _SEPARATORS.split(reading.text(name)) if item and item[0] not in "!-@"]
    if not items:
        return
    wanted = {item.removeprefix("+") for item in items}
    suites = {item for item in wanted if "-" in item}
    both = suites & SPOKEN
    named = any(kind in item.upper() for item in wanted - suites for kind in _KINDS)
    rest = sorted(suites - SPOKEN)
    if not both and not named and rest:
        message = f"{listed(rest)}: none of them is spoken, and {others} that know no others cannot connect"
        reading.tell(name, "no-equivalent", message, f"use {listed(sorted(SPOKEN))}")
    elif both == SPOKEN and not rest:
        reading.tell(name, "converted", "these are the suites that are spoken")
    elif rest:
        message = f"{listed(rest)}: not spoken; {others} that know no others cannot connect"
        reading.tell(name, "converted-with-difference", message, f"use {listed(sorted(SPOKEN))}")
